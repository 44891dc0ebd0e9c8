"""What will be done, as a value: a plan holds its phases, in order, and one runner carries out any plan.

It is made of a :class:`releaselib.decide.view.View` and then carried out, printed (``--plan``) or written
to the journal. To add a phase: its words here, its place in PHASES, its act in actions/phases.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.release import Release
from releaselib.decide.seen import UNSET
from releaselib.decide.view import View
from releaselib.output import table


@dataclass(frozen=True)
class Phase:
    """One phase of a plan: its name, the hosts it works on, and what it does in words."""

    name: str
    hosts: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Plan:
    """A release, deploy, switch or rollback before it is carried out.

    ``live`` and ``live_version`` are what visitors get before; ``files`` maps the name of a file on the hosts
    to its text, ``settings`` the name of each to how it stands beside the live slot (of a plan that is printed).
    """

    action: str
    stage: str
    release: Release
    slot: str
    live: str
    live_version: str
    app: tuple[Host, ...]
    proxy: tuple[Host, ...]
    phases: tuple[Phase, ...]
    files: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """What to type for the same once more."""
        return f"fab {COMMANDS.get(self.action, self.action)}"

    def __str__(self) -> str:
        slots = f"slot {self.live or UNSET} -> {self.slot}"
        rows = [(phase.name, _few(phase.hosts), phase.what) for phase in self.phases]
        return "\n".join(
            [
                f"{self.action} {self.release.version} to {self.stage}: {slots}",
                table(("phase", "where", "what"), rows),
                f"files on the hosts: {', '.join(sorted(self.files))}",
                *([f"settings: {changes}"] if (changes := _changes(self.settings)) else []),
                "nothing was done",
            ]
        )


def _changes(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {how}" for name, how in settings.items() if how != "same")


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} ... {names[-1]} ({len(names)})"


@dataclass(frozen=True)
class Aim:
    """What a plan is made for: an action, the phases that it may need, a release, its slot, its app hosts.

    ``live`` is the slot that visitors got before, where that is not what they get now.
    """

    action: str
    phases: tuple[str, ...]
    release: Release
    slot: str
    app: tuple[Host, ...]
    live: str = ""


MAKE = ("build", "publish")
"""Left out where the index has the version already, built from the same commit."""
SWITCH = ("switch", "prove", "watch", "take_over", "stop")
BACK = tuple(name for name in SWITCH if name != "watch")
"""The same of a rollback, which is not taken back for the errors of the release that it leads away from."""
AFTER = (*SWITCH, "after_switch")
"""What is left to do when some visitors get the release already."""
RELEASE = (*MAKE, "stage", "before_start", "before_switch", "static", "canary", *AFTER)
PHASES = {
    "release": RELEASE,
    "deploy": ("stage", "before_start"),
    "quickdeploy": (*MAKE, "stage", "before_start"),
    "switch": ("before_start", "health", "before_switch", "static", *AFTER),
    "rollback": ("health", "static", *BACK),
    "join": ("stage", "before_start", "join", "take_over"),
    "sync": ("join",),
}
COMMANDS = {"join": "deploy --missing", "sync": "nginx.sync", "canary": "release --canary-only"}
"""How to ask for an action that is no task of its own name."""
AGAIN = ("stage", "before_start", "static", *BACK)
"""The phases of a rollback to what is in no slot any more: what runs once for a release has run for that one."""
COLD = ("before_start", "health", "static")
"""Left out for a slot that is warm: the proxies have all of it."""
ONCE = ("before_start", "before_switch", "after_switch")
"""The moments at which commands of the project run once."""

WORDS = {
    "build": "build {version} from {commit} in a clean clone",
    "publish": "upload to {index}, read back, tag",
    "stage": "install {version} in slot {slot}, start it, wait until every process is healthy",
    "before_start": "run {before_start} there, then start it and wait until every process is healthy",
    "before_switch": "run {before_switch} in slot {slot}",
    "after_switch": "run {after_switch} in slot {slot}",
    "static": "have every proxy hold the static files of {version}, for {url}",
    "health": "start slot {slot} where it does not run, ask every process for its health",
    "switch": "point every proxy from slot {live} to slot {slot}, ask nginx which release it serves",
    "canary": "let some hosts have their share of visitors first, and compare",
    "watch": "watch what visitors get, and go back when it is worse than before",
    "join": "have every proxy send visitors to these hosts, too",
    "prove": "sample every proxy, as visitors do",
    "take_over": "end {waiting} in every other slot, then start them in slot {slot}",
    "stop": "stop the processes of slot {live}",
}
OF_WORKERS = WORDS | {
    "switch": "stop the processes of slot {live}, which slot {slot} replaces",
    "join": "stop the processes of every slot but {slot} there",
}
ON = {
    "stage": "app",
    **dict.fromkeys(ONCE, "app"),
    "health": "app",
    "take_over": "app",
    "stop": "app",
    "switch": "proxy",
    "prove": "proxy",
    "join": "proxy",
    "canary": "proxy",
    "static": "proxy",
    "watch": "proxy",
}


def make(stage: Stage, view: View, aim: Aim) -> Plan:
    """The plan for an aim: which phases, on which hosts, from which slot to which."""
    on = ON if stage.proxy else {**ON, "switch": "app", "join": "app"}
    hosts = {"app": aim.app, "proxy": stage.proxy}
    values = {
        "version": aim.release.version,
        "commit": aim.release.commit[:12],
        "index": stage.index.upload_url,
        "slot": aim.slot,
        "live": aim.live or view.live or UNSET,
        "waiting": ", ".join(stage.waiting),
        "url": stage.static.url if stage.static else "",
        **{moment: ", ".join(_at(stage, moment)) for moment in ONCE},
    }
    words = WORDS if stage.proxy else OF_WORKERS
    return Plan(
        action=aim.action,
        stage=stage.name,
        release=aim.release,
        slot=aim.slot,
        live=aim.live or view.live,
        live_version=old.version if (old := view.release(aim.live or view.live)) else "",
        app=aim.app,
        proxy=stage.proxy,
        phases=tuple(
            Phase(name, tuple(host.name for host in hosts.get(on.get(name, ""), ())), words[name].format(**values))
            for name in aim.phases
            if _applies(name, stage, aim.live or view.live, aim.slot)
            and not (
                name == "before_start" and aim.action == "switch" and view.running(aim.slot) == view.holders(aim.slot)
            )
        ),
    )


def _at(stage: Stage, moment: str) -> list[str]:
    return [f"{name} ({once.command})" for name, once in stage.run.items() if once.when == moment]


def _applies(phase: str, stage: Stage, live: str, slot: str) -> bool:
    """Proxies are proved where there are some; an old slot is stopped if it is not kept warm.

    Of workers the switch itself stops the old slot, for there are no visitors to keep.
    """
    if phase in ONCE:
        return bool(_at(stage, phase))
    if phase == "take_over":
        return bool(stage.waiting)
    if phase == "static":
        return bool(stage.proxy) and bool(stage.static)
    if phase == "canary":
        return bool(stage.proxy) and bool(stage.canary)
    if phase == "watch":
        return bool(stage.proxy) and stage.auto_rollback and bool(live)
    if phase == "stop":
        return bool(stage.proxy) and bool(live) and live != slot and not stage.keep_warm
    return bool(stage.proxy) or phase != "prove"
