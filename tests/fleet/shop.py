"""A shop on real hosts, to be harmed: what it serves, what it holds, and the faults to make."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from releaselib import config
from releaselib.actions import machines, release, status
from releaselib.config import Project as Configured
from releaselib.decide.journal import Report
from releaselib.decide.release import Wanted
from releaselib.errors import ReleaseError
from rig import Host, wait_for
from rig.visitors import Visitors, ask
from rig.world import Project, World

FOLDER = "srv/my-service"  # of the project, on every host


@dataclass
class Shop:
    """A project with its stage `test`, the hosts of that, and two versions that are on the index."""

    world: World
    project: Project
    app: list[Host]
    proxy: list[Host]
    versions: list[str]

    def configured(self, **settings: Any) -> Configured:
        """What the library works with; ``settings`` change the stage."""
        project = config.load(self.project.folder)
        stage = project.stage("test").model_copy(update=settings)
        return project.model_copy(update={"stages": {"test": stage}})

    def failed(
        self, code: int, act: Callable[..., object], *words: object, stage: Any = None, **options: Any
    ) -> str:
        """What an action says that must fail with this exit code; ``stage`` holds settings of the stage."""
        with pytest.raises(ReleaseError) as caught:
            act(self.configured(**(stage or {})), "test", *words, **options)
        assert caught.value.exit_code == code, str(caught.value)
        assert caught.value.next_step
        return str(caught.value)

    def refused(self, *words: Any, **options: Any) -> str:
        """The same, and visitors of all proxies do not notice."""
        with self.unnoticed():
            return self.failed(*words, **options)

    @contextmanager
    def unnoticed(self) -> Iterator[None]:
        """Visitors get the same release, and no error, during and after the block."""
        before, files = self.served(), self.upstreams()
        with Visitors([host.address for host in self.proxy], pause=0.1) as visitors:
            yield
        assert not visitors.failed
        assert {version for _, _, version in visitors.answers} == before
        assert (self.served(), self.upstreams()) == (before, files)

    def served(self) -> set[str]:
        """The versions that visitors get; one, but for a moment within a switch."""
        return {ask(host.address) for host in self.proxy}

    def upstreams(self) -> dict[str, bytes]:
        """The upstream file of each proxy."""
        return {host.name: (host.root / FOLDER / "nginx/upstream.conf").read_bytes() for host in self.proxy}

    @property
    def live(self) -> str:
        """The slot that the proxies' files mean."""
        (slot,) = {text.split()[1].decode() for text in self.upstreams().values()}
        return slot

    @property
    def idle(self) -> str:
        """The other slot."""
        return "b" if self.live == "a" else "a"

    @property
    def other(self) -> str:
        """The first of the versions that visitors do not get."""
        return next(version for version in self.versions if {version} != self.served())

    def held(self, slot: str) -> list[str]:
        """The version in a slot of each app host; nothing where it is not complete."""
        folders = [host.root / FOLDER / "slots" / slot for host in self.app]
        return [
            json.loads((one / "release.json").read_text())["version"] if (one / "healthy").exists() else ""
            for one in folders
        ]

    def state(self) -> object:
        """Everything that a command which is refused leaves as it is."""
        return self.events(), *self.holds()

    def holds(self) -> tuple[object, ...]:
        """The same without the journal, which is told of what failed under the lock."""
        return self.held("a"), self.held("b"), self.project.git("tag"), self.upstreams()

    def events(self) -> list[str]:
        """What the journal tells, oldest first."""
        lines = (self.proxy[0].root / FOLDER / "journal.jsonl").read_text().splitlines()
        return [json.loads(line)["event"] for line in lines]

    def status(self) -> str:
        """What `fab status` prints."""
        return str(status.status(self.configured(), "test"))

    def release_again(self, version: str, **settings: Any) -> Report:
        """Release a version that is on the index already; it must be proved, and all visitors get it."""
        wanted = Wanted(version=version, ref=version)
        report = release.release(self.configured(**settings), "test", wanted)
        assert (self.served(), report.version, report.failed) == ({version}, version, 0)
        return report

    def warm(self) -> str:
        """Have a good release in the idle slot of all app hosts; its version."""
        held = set(self.held(self.idle))
        if len(held) > 1 or not held.pop():
            release.deploy(self.configured(), "test", Wanted(version=self.other, slot=self.idle))
        (version,) = set(self.held(self.idle))
        return version

    def start_nginx(self) -> None:
        """Do what the messages say for a proxy that was off."""
        machines.control_nginx(self.configured(), "test", "start")

    def is_free(self) -> bool:
        """Whether nobody holds the lock of the stage."""
        done = [host.run(f"flock -n /{FOLDER}/stage.lock true", check=False) for host in self.proxy]
        return not any(one.returncode for one in done)


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
def dead(host: Host) -> Iterator[None]:
    """A host that may be powered off in the block; it is on again at the end."""
    try:
        yield
    finally:
        if not host.is_on:
            host.power_on()


def once(patch: pytest.MonkeyPatch, module: object, name: str, act: Callable[[], object]) -> None:
    """Let something happen just before a function of the library is called for the first time."""
    function = getattr(module, name)

    def first(*words: Any, **options: Any) -> Any:
        patch.undo()
        act()
        return function(*words, **options)

    patch.setattr(module, name, first)
