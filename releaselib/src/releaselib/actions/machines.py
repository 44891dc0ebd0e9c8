"""Single acts on the machines of a stage: run a command, read logs, set nginx up and control it."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from releaselib.actions import static
from releaselib.actions.session import session
from releaselib.actions.slots import require_yes
from releaselib.config import Project
from releaselib.config.inventory import Host, select
from releaselib.decide.release import NOTHING, Wanted
from releaselib.decide.slots import known_slot
from releaselib.errors import CommandFailed
from releaselib.hosts import boot, nginx, site
from releaselib.hosts.connection import Remote
from releaselib.hosts.fleet import Fleet


@dataclass(frozen=True)
class Hosts:
    """The app hosts of a plan, as a hook gets them."""

    fleet: Fleet
    app: tuple[Host, ...]

    def run(self, command: str, hosts: str = "") -> dict[str, str]:
        """Run a shell line on these hosts, or on those of them that are named; host -> what it printed.

        Raises HostsFailed.
        """
        results = self.fleet.each(select(self.app, hosts), lambda remote: _run(remote, ("sh", "-c", command)))
        return results.named(f"hosts failed: {command}")


def execute(project: Project, stage: str, command: Sequence[str], *, hosts: str = "") -> dict[str, str]:
    """Run a command on app hosts; host -> what it printed. Raises HostsFailed."""
    with session(project, stage, start=False) as at:
        results = at.fleet.each(select(at.stage.app, hosts), lambda remote: _run(remote, command))
        return results.named("hosts failed: host.exec")


def logs(project: Project, stage: str, wanted: Wanted = NOTHING, *, lines: int = 50) -> dict[str, str]:
    """The last lines of every log of a slot (the live one by default); host -> text."""
    with session(project, stage, start=False) as at:
        chosen = known_slot(at.stage, wanted.slot or at.look().live)
        folder = f"{at.stage.paths.slot(chosen)}/log"
        shown = 'cd "$1" && if [ "$(ls)" ]; then tail -n "$2" *.log; else echo there is no log yet; fi'
        command = ("sh", "-c", shown, "logs", folder, str(lines))
        results = at.fleet.each(select(at.stage.app, wanted.hosts), lambda remote: _run(remote, command))
        return results.named("hosts failed: host.logs")


def _run(remote: Remote, command: Sequence[str]) -> str:
    done = remote.run(command)
    if done.code:
        raise CommandFailed(f"{remote.host.name}: exit code {done.code}", cause=done.last_lines)
    return "\n".join(filter(None, (done.stdout.rstrip(), done.stderr.rstrip())))


def control_nginx(project: Project, stage: str, action: str, *, hosts: str = "", yes: bool = False) -> dict[str, str]:
    """``setup``, ``test``, ``start``, ``stop`` or ``reload`` on every proxy; host -> answer.

    All but ``test`` take the lock; an nginx that serves visitors is stopped only with ``yes``. Raises Refused,
    HostsFailed.
    """
    with (
        session(project, stage, start=False) as at,
        at.locked(f"nginx.{action}") if action != "test" else nullcontext(),
    ):
        if action == "stop":
            require_yes(at.stage, at.look(()), "nginx.stop", yes)
        if action == "setup":
            view, start = at.look(()), boot.files(at.stage)
            static.restore(at.fleet, view.known, select(at.stage.proxy, hosts))
            conf = site.configuration(project.template(site.TEMPLATE), at.stage, view.known)

        def act(remote: Remote) -> str:
            if action != "setup":
                return nginx.control(remote, action) or "done"
            nginx.configure(remote, conf, view.known, adopt=view.live, boot=start)
            return "set up"

        return at.fleet.each(select(at.stage.proxy, hosts), act).named(f"proxies failed: nginx.{action}")


def maintain(project: Project, stage: str, text: str) -> dict[str, str]:
    """Answer all visitors of all proxies with 503 and a page that says ``text``; for the empty text no more.

    Raises HostsFailed.
    """
    with session(project, stage, start=False) as at, at.locked("maintenance", frozen=True):
        at.fleet.each(at.stage.proxy, lambda remote: nginx.maintenance(remote, text)).require(
            "proxies failed: maintenance"
        )
        return {host.name: "maintenance" if text else "serves visitors" for host in at.stage.proxy}
