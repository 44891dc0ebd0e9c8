"""An action under way: what its phases hand on to each other."""

from dataclasses import dataclass, field
from pathlib import Path

from releaselib.actions.session import Session, now
from releaselib.config.inventory import Host
from releaselib.decide.journal import Report
from releaselib.decide.plan import Plan
from releaselib.decide.samples import Samples
from releaselib.decide.view import View
from releaselib.hosts.connection import Running
from releaselib.hosts.lock import Journal
from releaselib.wheels.build import Built
from releaselib.wheels.resolve import Pinned
from releaselib.wheels.source import Source


@dataclass
class Run:
    """A plan being carried out while the lock is held.

    ``folder`` is for what is built; ``hosts`` are the app hosts whose slot is healthy; ``samplers`` are at
    work on the proxies.
    """

    at: Session
    plan: Plan
    view: View
    journal: Journal
    folder: Path
    source: Source | None = None
    built: Built | None = None
    pins: Pinned | None = None
    hosts: list[Host] = field(default_factory=list)
    samplers: dict[Host, Running] = field(default_factory=dict)
    samples: dict[Host, Samples] = field(default_factory=dict)

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
            url=stage.loopback if stage.local and stage.proxy else "",
            when=now(),
        )
