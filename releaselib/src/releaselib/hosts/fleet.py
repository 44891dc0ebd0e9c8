"""Hosts at work together: one connection each, bounded fan-out, one typed result a host."""

import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.budget import Budget
from releaselib.errors import ConfigError, HostsFailed, ReleaseError, several
from releaselib.hosts import known_hosts
from releaselib.hosts.connection import Remote, Unreachable
from releaselib.hosts.here import Here
from releaselib.hosts.openssh import OpenSsh
from releaselib.hosts.ssh import Ssh
from releaselib.progress import Event, patience, report, say

T = TypeVar("T")
CONNECTORS: dict[str, Callable[[Host, Stage], Remote]] = {"paramiko": Ssh, "openssh": OpenSsh}
EACH, SPARE = {"paramiko": 3, "openssh": 8}, 256
"""Open files of a connection (of OpenSSH each command has pipes of its own), and of all else."""
RECENT = 15
"""Seconds for which a host that could not be connected to is not tried again by who comes next."""


@dataclass(frozen=True)
class Results(Generic[T]):
    """What came out of one piece of work on many hosts, in the order of the hosts."""

    succeeded: dict[Host, T]
    failures: dict[Host, ReleaseError]

    def require(self, what: str, *, next_step: str = "fab status") -> dict[Host, T]:
        """The values. Raises HostsFailed with ``what`` and every failure unless all succeeded."""
        if self.failures:
            count = len(self.succeeded) + len(self.failures)
            raise HostsFailed(
                f"{len(self.failures)} of {count} {what}",
                cause=several({host.name: error for host, error in self.failures.items()}),
                next_step=next_step,
            )
        return self.succeeded

    def named(self, what: str) -> dict[str, T]:
        """The same by the hosts' names. Raises HostsFailed with the answers of those that succeeded."""
        answers = {host.name: value for host, value in self.succeeded.items()}
        try:
            self.require(what)
        except HostsFailed as error:
            error.answers = answers
            raise
        return answers

    def within(self, budget: Budget) -> dict[Host, T]:
        """The values, those that failed left out. Raises HostsFailed when more failed than may."""
        for words in budget.require(self.failures):
            say(words)
        return self.succeeded


def _few(hosts: Sequence[Host]) -> str:
    """The names of the first of some hosts, and how many there are beside. Pure."""
    names = [host.name for host in hosts]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")


def nothing(_: int) -> None:
    """What a number higher than that of the lock leads to while none is held."""


class Fleet:
    """The hosts of a stage, each connected once, when it is first needed; ``fence`` as for a remote."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.fence = 0
        self.outnumber: Callable[[int], None] = nothing  # while no lock is held
        self._remotes: dict[Host, Remote] = {}
        self._turns: dict[Host, threading.Lock] = {}
        self._refused: dict[Host, tuple[float, ReleaseError]] = {}  # when, and why
        self._closed = False

    def remote(self, host: Host) -> Remote:
        """The one connection to a host; raises Unreachable."""
        with self._turn(host):
            when, error = self._refused.pop(host, (0, None))
            if error and time.monotonic() < when + RECENT:
                raise error
            remote = self._open(host)
            remote.fence = self.fence
            return remote

    def connect_ahead(self, hosts: Sequence[Host]) -> None:
        """Begin to connect, and go on: whoever needs one of them waits for it then, or hears why there is none."""
        todo = iter(dict.fromkeys(hosts))

        def work() -> None:
            for host in todo:
                with self._turn(host), suppress(ReleaseError):
                    if not self._closed:
                        self._open(host)

        for _ in range(min(self.stage.parallel, len(hosts))):
            threading.Thread(target=work, daemon=True).start()

    def _turn(self, host: Host) -> threading.Lock:
        return self._turns.setdefault(host, threading.Lock())

    def _open(self, host: Host) -> Remote:
        if host not in self._remotes:
            connect = Here if host.local else CONNECTORS[self.stage.connector]
            try:
                self._remotes[host] = connect(host, self.stage)
            except ReleaseError as error:
                self._refused[host] = time.monotonic(), error
                raise
            if self._closed:  # meanwhile
                self._remotes[host].close()
        return self._remotes[host]

    def each(self, hosts: Sequence[Host], act: Callable[[Remote], T]) -> Results[T]:
        """Act on every host, at most ``parallel`` at once; errors become failures.

        An interrupt (ctrl-c) ends it: nobody waits for what still runs on the hosts, but for a connection that is
        being made, which takes connect_timeout at most.
        """
        at_work: list[Host] = []
        done: list[Host] = []
        interrupted = threading.Event()

        def one(host: Host) -> T | ReleaseError:
            begun = time.monotonic()
            at_work.append(host)
            report(Event("host begun", host.name))
            outcome: T | ReleaseError
            try:
                remote = self.remote(host)
                if interrupted.is_set():
                    raise Unreachable(f"{host.name}: nothing was begun there")
                outcome = act(remote)
            except ReleaseError as error:
                outcome = error
            words = str(outcome) if isinstance(outcome, ReleaseError) else ""
            at_work.remove(host)
            done.append(host)
            report(Event("host ended", host.name, words, time.monotonic() - begun))
            return outcome

        told = patience(lambda: f"{len(done)} of {len(hosts)} hosts done; at work: {_few(at_work)}")
        with ThreadPoolExecutor(max(1, min(self.stage.parallel, len(hosts)))) as pool, told:
            try:
                outcomes = dict(zip(hosts, pool.map(one, hosts), strict=True))
            except KeyboardInterrupt:
                interrupted.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for host in list(at_work):  # the others may hold the lock, and be told how it ended
                    if remote := self._remotes.pop(host, None):  # what tidies up after it connects anew
                        remote.close()
                raise
        return Results(
            {host: value for host, value in outcomes.items() if not isinstance(value, ReleaseError)},
            {host: error for host, error in outcomes.items() if isinstance(error, ReleaseError)},
        )

    def close(self) -> None:
        """Close every connection, and those that are still being made."""
        self._closed = True
        for remote in list(self._remotes.values()):  # after ctrl-c some may still be connecting
            remote.close()


def _require_descriptors(stage: Stage) -> None:
    """Let this process have as many open files as its connections need. Raises ConfigError where it may not."""
    need = SPARE + EACH[stage.connector] * len({*stage.app, *stage.proxy})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard != resource.RLIM_INFINITY and hard < need:
        raise ConfigError(
            f"stage {stage.name}: its connections need {need} open files, and this process may have {hard}",
            next_step=f"raise the limit (ulimit -Hn {need}, or nofile in /etc/security/limits.conf), then run it again",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


@contextmanager
def connected(stage: Stage) -> Iterator[Fleet]:
    """The hosts of a stage for the length of a ``with`` block.

    Raises ConfigError without its known_hosts, or the program that is to connect.
    """
    if stage.known_hosts and not Path(stage.known_hosts).exists():
        raise ConfigError(
            f"stages.{stage.name}.known_hosts: {stage.known_hosts} is missing",
            next_step=f"ssh-keyscan HOST >> {stage.known_hosts}, compare the fingerprints, commit it",
        )
    if not stage.local:
        if stage.connector == "paramiko":
            known_hosts.known(stage.known_hosts)
        elif not shutil.which("ssh"):
            raise ConfigError(
                f'stages.{stage.name}.connector: "openssh" needs the program ssh, and there is none on PATH',
                next_step='install it (apt install openssh-client), or take connector = "paramiko"',
            )
        _require_descriptors(stage)
    fleet = Fleet(stage)
    try:
        yield fleet
    finally:
        fleet.close()
