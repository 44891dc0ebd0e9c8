"""Run one process: `python -m {{ cookiecutter.package_name }} --health-port 8000`."""

import argparse
import logging
import signal

from .work import work
from .worker import HealthServer, Worker

parser = argparse.ArgumentParser(prog=__package__, description="Run one process of the worker.")
parser.add_argument("--health-port", default=8000, type=int, help="of /healthz (%(default)s)")
parser.add_argument("--interval", default=5, type=float, help="seconds to wait (%(default)s)")

if __name__ == "__main__":
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    worker = Worker(work, interval=arguments.interval)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    with HealthServer(worker, arguments.health_port):
        worker.run()
