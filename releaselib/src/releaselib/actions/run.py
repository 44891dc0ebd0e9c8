"""An action under way: what its phases hand on to each other."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from releaselib.actions.early import Early
from releaselib.actions.session import Session, now
from releaselib.config.inventory import Host
from releaselib.decide.journal import Event, History, Ran, Report, Switching
from releaselib.decide.plan import Plan
from releaselib.decide.samples import Samples
from releaselib.decide.view import View
from releaselib.decide.watch import Traffic
from releaselib.errors import CommandFailed
from releaselib.hosts import health, lock, slot
from releaselib.hosts.connection import Remote, Running
from releaselib.hosts.held import Lock
from releaselib.wheels.build import Built
from releaselib.wheels.resolve import Pinned
from releaselib.wheels.source import Source


@dataclass
class Run:
    """A plan being carried out while the lock is held.

    ``early`` is a build that has begun, ``folder`` for what is built; ``hosts`` are the app hosts whose slot is
    healthy; ``samplers`` are at work on the proxies, ``serves`` is what nginx is to answer after the switch,
    ``before`` what it saw of the old release, ``switched`` whether all visitors get the new one.
    """

    at: Session
    plan: Plan
    view: View
    lock: Lock
    folder: Path
    source: Source | None = None
    early: Early | None = None
    built: Built | None = None
    pins: Pinned | None = None
    wheels: dict[str, str] = field(default_factory=dict)
    serves: str = ""
    switched: bool = False
    before: Traffic = field(default_factory=Traffic)
    hosts: list[Host] = field(default_factory=list)
    samplers: dict[Host, Running] = field(default_factory=dict)
    samples: dict[Host, Samples] = field(default_factory=dict)

    @property
    def beside(self) -> bool:
        """Whether the new processes run beside the old ones before the switch; some workers may not."""
        return bool(self.plan.proxy) or self.at.stage.overlap

    @property
    def may_go_back(self) -> bool:
        """Whether visitors get the old release again by themselves when they get worse.

        Never from a rollback, which leads away from what fails.
        """
        return self.at.stage.auto_rollback and bool(self.plan.live) and self.plan.action != "rollback"

    @cached_property
    def history(self) -> History:
        """What the journal tells of the release: all, unless that was built just now; a look tells the last of it."""
        return self.view.history if self.built else lock.read_journal(self.at.fleet)

    @property
    def visitors_get(self) -> str:
        """The version that they get now, in words."""
        if self.switched:
            return self.plan.release.version
        return "one of two releases: fab status" if self.view.split else self.plan.live_version or "nothing"

    def start(self, remote: Remote) -> None:
        """Start the slot on a host and wait until it is healthy. Raises CommandFailed."""
        slot.act(remote, "start", self.plan.slot)
        health.check(remote, self.plan.slot, self.at.stage.health_timeout)
        slot.well(remote, self.plan.slot)

    def record(self, event: Event) -> None:
        """Write an event to the journal. Raises CommandFailed, with what visitors get.

        What must be known before visitors may get another slot, or before a command would run a second time, is waited
        for; the rest is on its way, and what is waited for comes after it. A Report ends it, and gives the lock up.
        """
        wait = event.event in (Switching.event, Ran.event)  # a Switched is a Switching, too
        try:
            if isinstance(event, Report):
                self.lock.close(event)
            else:
                self.lock.write(event, wait=wait)
        except CommandFailed as error:
            if self.switched:
                error.what += f"; visitors get {self.plan.release.version} (slot {self.plan.slot})"
            raise

    def report(self) -> Report:
        """How it has ended, when all went well."""
        plan, stage, samples = self.plan, self.at.stage, self.samples.values()
        return Report(
            action=plan.action,
            stage=plan.stage,
            version=plan.release.version,
            slot=plan.slot,
            before=f"{plan.live} {plan.live_version}".strip(),
            hosts=[host.name for host in self.hosts],
            seconds=dict(self.at.clock.seconds),
            requests=sum(one.requests for one in samples),
            failed=sum(len(one.failed) for one in samples),
            url=stage.address,
            when=now(),
        )
