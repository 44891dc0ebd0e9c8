"""Baking with a token creates the repository and pushes to it; whatever fails, the project is complete."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forges import KINDS, StandIn
from template.baking import Oven, Project, environment, named


@pytest.fixture(params=KINDS)
def brand(request: pytest.FixtureRequest) -> str:
    """Each forge."""
    return str(request.param)


@pytest.fixture
def forge(brand: str) -> Iterator[StandIn]:
    """A stand-in for it."""
    with KINDS[brand]() as running:
        yield running


@pytest.fixture
def oven(tmp_path: Path) -> Oven:
    """The developers' cookiecutter with a home of its own."""
    return Oven(Path(sys.executable).with_name("cookiecutter"), environment(tmp_path / "home"))


def answers(brand: str, forge: StandIn) -> dict[str, str]:
    """A shop in the namespace of a team."""
    return {"project_name": "Shop", "forge": brand, "forge_url": forge.url, "namespace": "team"}


def everything_below(folder: Path) -> Iterator[bytes]:
    """What all files below a folder hold."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def test_the_repository_is_created_and_pushed_to_and_the_token_is_nowhere(
    brand: str, forge: StandIn, oven: Oven, tmp_path: Path
) -> None:
    env = oven.env | {forge.token_variable: forge.token}
    project = oven.with_(env=env).bake(tmp_path / "here", **answers(brand, forge))
    assert forge.head("team/shop") == project.git("rev-parse", "HEAD")
    assert project.git("remote", "get-url", "origin") == f"{forge.url}/team/shop.git"
    assert project.git("status", "--porcelain", "--branch").startswith("## main...origin/main")
    assert project.said.splitlines()[-1] == f"{forge.url}/team/shop: created"
    assert len([request for request in forge.requests if request.method == "POST"]) == 1
    assert forge.token not in project.said
    assert not [text for text in everything_below(tmp_path) if forge.token.encode() in text]


@pytest.mark.parametrize("fault", ["wrong token", "no right", "not pushed"])
def test_what_fails_there_leaves_everything_here(
    brand: str, forge: StandIn, oven: Oven, tmp_path: Path, fault: str
) -> None:
    token = "another-token" if fault == "wrong token" else forge.token
    if fault == "no right":
        forge.forbidden.add("team")
    if fault == "not pushed":
        forge.fault("POST", "git-receive-pack", "status", status=503, times=99)
    project = oven.with_(env=oven.env | {forge.token_variable: token}).bake(tmp_path / "here", **answers(brand, forge))
    assert project.git("status", "--porcelain") == ""
    assert project.git("rev-list", "--count", "HEAD") == "1"
    assert project.said.rstrip().endswith("fab repo.create")
    assert "Traceback" not in project.said


def test_on_a_terminal_the_token_is_asked_for_and_not_shown(
    brand: str, forge: StandIn, oven: Oven, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    parent, child = pty.openpty()
    given = [f"{question}={answer}" for question, answer in named(answers(brand, forge)).items()]
    process = subprocess.Popen(
        [oven.cookiecutter, oven.template, *given],
        cwd=here,
        env=oven.env | {"TERM": "dumb"},
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(child)
    said = talk(parent, forge.token)
    assert process.wait(timeout=60) == 0
    assert "not shown" in said
    assert forge.token not in said
    project = Project(here / "shop", oven.env)
    assert forge.head("team/shop") == project.git("rev-parse", "HEAD")


def take_terminal() -> None:
    """Make the terminal at standard input the one that passwords are asked at."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def talk(terminal: int, token: str) -> str:
    """Press Enter at every question, and give the token when it is asked for; gives all that was said."""
    said = b""
    answered = 0
    while True:
        assert select.select([terminal], [], [], 30)[0], said.decode(errors="replace")
        try:
            new = os.read(terminal, 4096)
        except OSError:  # the other side is gone
            return said.decode(errors="replace")
        if not new:
            return said.decode(errors="replace")
        said += new
        if b"not shown" in said[answered:] and said.endswith(b": "):
            os.write(terminal, token.encode() + b"\n")
            answered = len(said)
        elif said.endswith(b"): "):
            os.write(terminal, b"\n")
