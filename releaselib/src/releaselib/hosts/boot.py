"""What ran on a host comes back after a restart of the machine: by systemd, else by cron's @reboot."""

import shlex
from importlib import resources

from releaselib.config.stage import Stage
from releaselib.render import render


def files(stage: Stage) -> dict[str, str]:
    """The script that starts it again, and the unit that runs the script where there is systemd. Pure.

    There are none for this machine, and where the stage does not want it.
    """
    if stage.local or not stage.boot:
        return {}
    paths = {name: shlex.quote(path) for name, path in stage.paths.variables.items()}
    values = {**paths, "project": stage.project, "stage": stage.name, "own": stage.nginx == "own"}
    folder = resources.files("releaselib.hosts") / "conf"
    names = ("boot.sh", "boot.service")
    return {name: render((folder / f"{name}.j2").read_text("utf-8"), values, name) for name in names}
