"""Run one process: `python -m {{ cookiecutter.package_name }} --port 8000`."""

import argparse
import asyncio
import logging

from .app import serve

parser = argparse.ArgumentParser(prog=__package__, description="Run one process of the app.")
parser.add_argument("--bind", default="127.0.0.1", help="address to listen at (%(default)s)")
parser.add_argument("--port", default=8000, type=int, help="port to listen at (%(default)s)")

if __name__ == "__main__":
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(arguments.bind, arguments.port))
