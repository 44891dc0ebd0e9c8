"""A stage of workers: what was switched to last works, and the old ones stop where the new ones do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from releaselib import config, hooks
from releaselib.actions import release, slots, status
from releaselib.config import Project as Configured
from releaselib.decide.journal import Began, written
from releaselib.decide.release import Wanted, release_of
from releaselib.errors import CommandFailed, HostsFailed, Refused
from rig import Host
from rig.world import Project, World, bake, world

pytestmark = pytest.mark.hosts
FOLDER = "srv/my-service"


@pytest.fixture(scope="module")
def opened(
    packages: Path, tmp_path_factory: pytest.TempPathFactory, can_make_hosts: None
) -> Iterator[tuple[World, Project]]:
    """A project of workers on two hosts, and its first release."""
    folder = tmp_path_factory.mktemp("workers")
    with ExitStack() as stack:
        team = stack.enter_context(world(folder / "fleet", packages))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for key, value in team.env.items():
            environment.setenv(key, value)
        project = bake(team, folder, flavour="worker")
        project.configure(team.stage(team.fleet.add_many(2, "app"), []))
        project.fab("index.sync", "--stage", "test")
        project.fab("release", "--stage", "test")
        yield team, project


@pytest.fixture
def workers(opened: tuple[World, Project]) -> list[Host]:
    return list(opened[0].fleet.hosts.values())


@pytest.fixture
def settings(opened: tuple[World, Project]) -> Configured:
    return config.load(opened[1].folder)


def running(hosts: list[Host]) -> list[str]:
    """The slots whose worker processes run on each host."""
    command = re.compile(r"^/srv/my-service/slots/(.)/venv/bin/python -m my_service ", re.MULTILINE)
    return ["".join(sorted(set(command.findall(host.run("ps -ww -eo args").stdout)))) for host in hosts]


def test_what_is_only_staged_is_not_live_and_a_switch_leads_to_it(
    workers: list[Host], settings: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(hooks, "_hooks", {"post_switch": [lambda plan: told.append(plan.slot)]})
    before = status.status(settings, "test")
    staged = release.deploy(settings, "test")
    assert staged.slot != before.live
    assert status.status(settings, "test").live == before.live, "the old one is live while both run"
    with pytest.raises(Refused, match=f"slot {before.live} is live"):
        slots.remove(settings, "test", Wanted(slot=before.live))
    assert release.switch(settings, "test").slot == staged.slot
    assert running(workers) == [staged.slot] * 2
    assert status.status(settings, "test").live == staged.slot
    assert told == [staged.slot], "the hook ran once, after the switch"
    assert release.rollback(settings, "test").slot == before.live
    assert running(workers) == [before.live] * 2


def test_a_host_that_is_left_out_keeps_its_old_worker(workers: list[Host], settings: Configured) -> None:
    live, out = status.status(settings, "test").live, workers[1]
    other = "b" if live == "a" else "a"
    stage = settings.stage("test").model_copy(update={"max_failures": 1})
    lenient = settings.model_copy(update={"stages": {"test": stage}})
    out.run(f"rm /{FOLDER}/host.lock; mkdir /{FOLDER}/host.lock")  # nothing can be done there
    report = release.deploy(lenient, "test")
    assert (report.slot, report.hosts) == (other, [workers[0].address])
    release.switch(lenient, "test")
    assert running(workers) == [other, live]
    out.run(f"rmdir /{FOLDER}/host.lock")
    release.deploy(settings, "test", Wanted(slot=live, hosts=workers[0].address))
    release.switch(lenient, "test")
    assert running(workers) == [live, live]


def test_an_old_worker_that_cannot_be_stopped_is_no_success(workers: list[Host], settings: Configured) -> None:
    live, stuck = status.status(settings, "test").live, workers[1]
    release.deploy(settings, "test")
    to = "b" if live == "a" else "a"
    pid = stuck.run(f"cat /{FOLDER}/slots/{live}/run/supervisord.pid").stdout.strip()
    stuck.run(f"rm /{FOLDER}/host.lock; mkdir /{FOLDER}/host.lock")
    with pytest.raises(CommandFailed) as caught:
        release.switch(settings, "test")
    assert caught.value.what == "switch: the new workers did not take over on 1 of 2 hosts; in doubt: 1 of 2 hosts"
    assert f"{stuck.address}: " in caught.value.cause
    assert caught.value.next_step == "fab status --stage test"
    assert stuck.run(f"kill -0 {pid}").returncode == 0
    assert running(workers)[0] == live, "where the hand-over can be taken back, it is"
    stuck.run(f"rmdir /{FOLDER}/host.lock")
    assert release.switch(settings, "test", Wanted(slot=to)).slot == to
    assert running(workers) == [to] * 2


def test_a_release_that_fails_leaves_no_new_worker_beside_the_old_ones(
    workers: list[Host], settings: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    live, stuck = status.status(settings, "test").live, workers[1]
    to = "b" if live == "a" else "a"
    stuck.run(f"rm /{FOLDER}/host.lock; mkdir /{FOLDER}/host.lock")
    with pytest.raises(HostsFailed, match="nothing was switched"):
        release.deploy(settings, "test")
    stuck.run(f"rmdir /{FOLDER}/host.lock")
    assert running(workers) == [live] * 2
    said = capsys.readouterr().err
    assert f"the new workers (slot {to}) were stopped on 1 of 2 hosts" in said
    assert f"still at work beside the old ones: {stuck.address}: " in said


def test_going_back_from_a_release_that_was_cut_off_ends_its_workers(workers: list[Host], settings: Configured) -> None:
    live = status.status(settings, "test").live
    staged = release.deploy(settings, "test")
    assert running(workers) == ["ab"] * 2
    found = json.loads(workers[0].run(f"cat /{FOLDER}/slots/{staged.slot}/release.json").stdout)
    cut_off = Began("release", "somebody", "now", staged.slot, live, release_of(found))
    for host in workers:
        with (host.root / FOLDER / "journal.jsonl").open("a") as journal:
            journal.write(written(cut_off) + "\n")
    assert "was cut off: run it again, or fab rollback" in str(status.status(settings, "test"))
    assert release.rollback(settings, "test").slot == live
    assert running(workers) == [live] * 2
