"""The commands of the documentation's pages for the first day, typed as they stand there, in the Django project."""

from __future__ import annotations

import re
import shlex

import pytest

import real
from template.baking import FAB, ROOT, Oven, Project, commit_all
from template.conftest import ANSWERS

PAGES = ("settings", "static", "migrations", "programs", "by-hand", "https", "hosts")
ELSEWHERE = ("console", "host.shell", "--follow")
"""What needs a terminal: tests/fleet/test_by_hand.py."""
CODES = {
    "fab deploy --missing --stage production": (3, "no host is left out"),
    "fab release --stage production --exclude local": (2, "no host is left"),
}


def commands() -> list[str]:
    """The lines of a shell, and the whole commands in sentences, on these pages; its one host is this machine."""
    found = []
    for page in PAGES:
        text = (ROOT / f"docs/{page}.md").read_text("utf-8")
        found += re.findall(r"(?m)^ *(fab .*?)(?:\s+#.*)?$", "\n".join(re.findall(r"(?ms)^ *```sh\n(.*?)```", text)))
        found += [span for span in re.findall(r"`(fab [^`\n]+)`", text) if "--stage production" in span]
    here = [re.sub(r"10\.0\.[0-9.*]+", "local", line) for line in dict.fromkeys(found)]
    return [line for line in here if not any(word in line for word in ELSEWHERE)]


@pytest.fixture
def shop(quick: Oven, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("x")
    answers = {**ANSWERS, "forge": "none", "port_base": str(real.free_port(100))}
    project = quick.bake(folder, flavour="django", **answers)
    toml = project.folder / "release.toml"
    job = (
        '[app.programs.tidy]\ncommand = "python -m my_shop clearsessions"\nschedule = "17 3 * * *"\none_host = true\n\n'
    )
    toml.write_text(
        toml.read_text().replace("[stages.local", f"{job}[stages.production", 1).replace("s.local.", "s.production.")
    )
    return project


def test_each_command_does_what_its_page_says(shop: Project) -> None:
    wanted = commands()
    assert len(wanted) > 9
    try:
        for slot in "ab":
            (shop.folder / "notes.txt").write_text(slot)
            commit_all(shop.folder, "Work")
            shop.run(FAB, "release", "--stage", "production")
        for command in wanted:
            code, words = CODES.get(command, (0, ""))
            done = shop.run(FAB, *shlex.split(command)[1:], check=False)
            assert (done.code, words in done.output) == (code, True), f"{command}: {done.output}"
    finally:
        shop.run(FAB, "slot.remove", "--all", "--stage", "production")
