"""A shop on real hosts, to be harmed: what it serves, what it holds, and the faults to make."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from releaselib import config
from releaselib.actions import machines, release, status, wheels
from releaselib.config import Project as Configured
from releaselib.decide.journal import Report
from releaselib.decide.release import Wanted
from releaselib.errors import ReleaseError
from rig import Host, wait_for
from rig.visitors import LISTEN, PATIENCE, Visitors, Websocket, ask
from rig.world import Project, World

NOTICED = 1.0
"""Seconds after a fault in which every visitor has asked again, and noticed it."""
FOLDER = "srv/my-service"  # of the project, on every host


@dataclass(repr=False)
class Shop:
    """A project with its stage `test`, the hosts of that, two versions that are on the index, and its visitors."""

    world: World
    project: Project
    app: list[Host]
    proxy: list[Host]
    versions: list[str]
    visitors: Visitors = field(default_factory=lambda: Visitors([]))
    excused: list[tuple[float, float, str, str]] = field(default_factory=list)
    advised: set[str] = field(default_factory=set)

    # --- what is done

    def configured(self, **settings: Any) -> Configured:
        """What the library works with; ``settings`` change the stage."""
        project = config.load(self.project.folder)
        stage = project.stage("test").model_copy(update=settings)
        return project.model_copy(update={"stages": {"test": stage}})

    def failed(self, code: int, act: Callable[..., object], *words: object, stage: Any = None, **options: Any) -> str:
        """What an action says that must fail with this exit code; ``stage`` holds settings of the stage."""
        with pytest.raises(ReleaseError) as caught:
            act(self.configured(**(stage or {})), "test", *words, **options)
        assert caught.value.exit_code == code, str(caught.value)
        assert caught.value.next_step
        self.advised.add(caught.value.next_step)
        return str(caught.value)

    def refused(self, *words: Any, **options: Any) -> str:
        """The same, and visitors go on to get what they got."""
        links = self.links()
        begun = time.monotonic()
        text = self.failed(*words, **options)
        assert self.links() == links
        assert set(self.visitors.since(begun)) <= self.served()
        return text

    def release_again(self, version: str, **settings: Any) -> Report:
        """Release a version that is on the index already; it must be proved, and all visitors get it."""
        wanted = Wanted(version=version, ref=version)
        report = release.release(self.configured(**settings), "test", wanted)
        assert (self.served(), report.version, report.failed) == ({version}, version, 0)
        return report

    def warm(self) -> str:
        """Have a good release in the idle slot of all app hosts; its version."""
        if f"slot {self.idle}: {self.other} on {len(self.app)} of {len(self.app)} hosts" not in self.status():
            release.deploy(self.configured(), "test", Wanted(version=self.other, slot=self.idle))
        return self.other

    def empty(self, *hosts: Host) -> None:
        """Have nothing complete in the idle slot of these hosts, so that it is staged anew there."""
        for host in hosts:
            (host.root / FOLDER / "slots" / self.idle / "healthy").unlink(missing_ok=True)

    @contextmanager
    def wrong(self, what: str, *hosts: Host) -> Iterator[None]:
        """Something is wrong with what runs in the idle slot of these hosts, or would (see app.py)."""
        line = f"{self.idle} {what}\n"
        for host in hosts:
            (host.root / "srv/faults").write_text(line)
        try:
            yield
        finally:
            for host in hosts:
                (host.root / "srv/faults").unlink()

    def make_whole(self) -> None:
        """Have every host behind both slots, as a release to all of them leaves it."""
        for _ in "ab":
            if any(len(self.behind(slot)) < len(self.app) for slot in "ab"):
                self.release_again(self.other)

    def publish(self) -> None:
        """Have the version of HEAD on the index, and in the list."""
        built = wheels.build(self.configured(), self.project.folder.parent / "dist", Wanted(), stage="test")
        wheels.publish(self.configured(), built, stage="test")
        self.versions.append(built.version)

    def ssh(self, host: Host, command: str) -> str:
        """What a command says over ssh."""
        argv, env = ["ssh", host.address, command], self.world.fleet.environment()
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout

    def start_nginx(self) -> None:
        """Do what the messages say for a proxy that was off."""
        with self.reloading():
            machines.control_nginx(self.configured(), "test", "start")

    # --- what is seen

    def status(self) -> str:
        """What `fab status` prints."""
        return str(status.status(self.configured(), "test"))

    def served(self) -> set[str]:
        """The versions that visitors get; one, but for a moment within a switch."""
        return {ask(host.address) for host in self.proxy}

    def links(self) -> dict[str, tuple[str, str]]:
        """The live slot of each proxy, and the configuration in use there."""
        folders = {host.name: host.root / FOLDER / "nginx" for host in self.proxy}
        return {name: (str((one / "live").readlink()), str((one / "conf").readlink())) for name, one in folders.items()}

    @property
    def live(self) -> str:
        """The slot that the proxies' links mean."""
        (slot,) = {Path(link).name for link, _ in self.links().values()}
        return slot

    @property
    def idle(self) -> str:
        """The other slot."""
        return "b" if self.live == "a" else "a"

    @property
    def other(self) -> str:
        """The first of the versions that visitors do not get."""
        return next(version for version in self.versions if {version} != self.served())

    def behind(self, slot: str) -> list[str]:
        """The hosts to which the proxies send visitors of a slot."""
        return [host.address for host in self.app if f"{host.address}:{self.ports(slot)[0]}" in self.upstreams(slot)]

    def upstreams(self, slot: str) -> str:
        """What the first proxy's configuration says of a slot."""
        text = (self.proxy[0].root / FOLDER / "nginx/conf/http.conf").read_text()
        return text.partition(f"upstream my_service_{slot} {{")[2].partition("}")[0]

    def ports(self, slot: str) -> list[int]:
        """The ports of a slot."""
        return self.configured().stage("test").ports(slot)

    def held(self, slot: str) -> list[str]:
        """The version in a slot of each app host; nothing where it is not complete."""
        folders = [host.root / FOLDER / "slots" / slot for host in self.app]
        return [
            json.loads((one / "release.json").read_text())["version"] if (one / "healthy").exists() else ""
            for one in folders
        ]

    def counted(self) -> Callable[[], list[str]]:
        """Gives the hosts whose idle slot was built anew since."""
        folder = f"{FOLDER}/slots/{self.idle}/venv"
        before = {host: made(host.root / folder) for host in self.app}
        return lambda: [host.address for host, was in before.items() if made(host.root / folder) != was]

    def state(self) -> tuple[object, ...]:
        """Everything that a command which is refused leaves as it is."""
        return self.events(), *self.holds()

    def holds(self) -> tuple[object, ...]:
        """The same without the journal, which is told of what failed under the lock."""
        return self.held("a"), self.held("b"), self.project.git("tag"), self.links()

    def events(self) -> list[str]:
        """What the journal tells, oldest first."""
        lines = (self.proxy[0].root / FOLDER / "journal.jsonl").read_text().splitlines()
        return [json.loads(line)["event"] for line in lines]

    def is_free(self) -> bool:
        """Whether nobody holds the lock of the stage."""
        done = [host.run(f"flock -n /{FOLDER}/stage.lock true", check=False) for host in self.proxy]
        return not any(one.returncode for one in done)

    # --- its visitors

    @contextmanager
    def losing(self, address: str = "", kind: str = "") -> Iterator[None]:
        """The fault itself loses requests that are under way in the block: of an address, of a kind of visitor."""
        begun = time.monotonic() - PATIENCE
        try:
            yield
        finally:
            self.excused.append((begun, time.monotonic() + NOTICED, address, kind))

    @contextmanager
    def websocket(self, address: str) -> Iterator[Callable[[], str]]:
        """A websocket that stays open; asks it for the version."""
        client = Websocket()
        client.MESSAGES = 10**9
        try:
            yield lambda: client(address, "", LISTEN)
        finally:
            client.close()

    @contextmanager
    def slow(self, address: str, seconds: float) -> Iterator[Future[str]]:
        """A request that is under way for so long; gives the version that answered it."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(ask, address, f"/?seconds={seconds}")

    def reloading(self) -> AbstractContextManager[None]:
        """nginx is reloaded in the block: it closes idle connections, and a naive visitor writes into one."""
        return self.losing(kind="naive")

    @contextmanager
    def mortal(self, host: Host) -> Iterator[None]:
        """A host that may lose its power in the block; at the end it is on, and all that starts by itself has.

        Of an app host visitors lose their websockets, for nginx asks another one; of a proxy everything.
        """
        with self.losing(host.address) if host in self.proxy else self.losing(kind="websocket"):
            try:
                yield
            finally:
                if not host.is_on:
                    host.power_on()
                    wait_for(lambda: self.is_up(host), f"{host.name} to be up again")

    def is_up(self, host: Host, slot: str = "") -> bool:
        """Whether nginx, or a slot (the live one by default), answers there."""
        port = LISTEN if host in self.proxy else self.ports(slot or self.live_of_any)[0]
        with suppress(OSError):
            return bool(ask(host.address, port=port))
        return False

    @property
    def live_of_any(self) -> str:
        """The live slot of the first proxy."""
        return Path(self.links()[self.proxy[0].name][0]).name

    def require_nobody_lost(self) -> None:
        """Fail for every request that was lost but could not be."""
        lost = [
            one
            for one in self.visitors.failed
            if not any(
                begun <= one[0] <= end and one[1].startswith(address) and one[2].startswith(kind)
                for begun, end, address, kind in self.excused
            )
        ]
        assert not lost, lost[:5]


def made(path: Path) -> int:
    """What tells a folder from a new one of its name."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0


@contextmanager
def edited(file: Path, old: str, new: str) -> Iterator[None]:
    """Another text in a file, for the length of the block."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    try:
        yield
    finally:
        file.write_text(text)


@contextmanager
def squatter(host: Host, port: int) -> Iterator[str]:
    """A process that listens on a port of a host; its pid there."""
    host.run(f"python3 -m http.server {port} >/dev/null 2>&1 & echo $! >/tmp/squatter")
    pid = host.run("cat /tmp/squatter").stdout.strip()
    wait_for(lambda: f":{port} " in host.run("ss -Hltn").stdout, f"port {port} to be taken")
    try:
        yield pid
    finally:
        host.run(f"kill {pid}")
        wait_for(lambda: f":{port} " not in host.run("ss -Hltn").stdout, f"port {port} to be free")


@contextmanager
def other_key(host: Host) -> Iterator[str]:
    """Another host key of a host; the fingerprint of that."""
    pair = [host.root / f"etc/ssh/ssh_host_ed25519_key{end}" for end in ("", ".pub")]
    before = [file.read_bytes() for file in pair]
    host.change_host_key()
    try:
        yield fingerprint(host)
    finally:
        for file, content in zip(pair, before, strict=True):
            file.write_bytes(content)
        os.kill(host._init, signal.SIGHUP)
        wait_for(host._shows_its_key, f"{host.name} to show its old host key")


def fingerprint(host: Host) -> str:
    """The fingerprint of a host's key, as OpenSSH tells it."""
    command = ["ssh-keygen", "-lf", str(host.root / "etc/ssh/ssh_host_ed25519_key.pub")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]


@contextmanager
def deaf(*hosts: Host) -> Iterator[None]:
    """Hosts whose sshd answers nobody, while all else goes on there."""
    for host in hosts:
        os.kill(host._init, signal.SIGSTOP)
    try:
        yield
    finally:
        for host in hosts:
            os.kill(host._init, signal.SIGCONT)


def once(patch: pytest.MonkeyPatch, module: object, name: str, act: Callable[[], object]) -> None:
    """Let something happen just before a function of the library is called for the first time."""
    function = getattr(module, name)
    lock, left = threading.Lock(), [act]

    def first(*words: Any, **options: Any) -> Any:
        with lock:
            if left:
                left.pop()()
        return function(*words, **options)

    patch.setattr(module, name, first)


@contextmanager
def when(condition: Callable[[], bool], act: Callable[[], object], what: str) -> Iterator[None]:
    """Do something as soon as a condition holds while the block is at work; it must have come to that."""
    with ThreadPoolExecutor(1) as pool:

        def wait_and_act() -> None:
            wait_for(condition, what, 60)
            act()

        done = pool.submit(wait_and_act)
        yield
        done.result()
