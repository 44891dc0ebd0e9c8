"""The fault table on real hosts: what the user is told, what visitors get meanwhile, and how it goes on.

All tests share one shop on four app hosts and two proxies, under a constant load of which no request may be
lost but what the fault itself must lose. Each test mends what it broke; where it leaves half a release in the
idle slot, `Shop.warm` stages a whole one there for the next.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import real
from releaselib import config, index
from releaselib.actions import machines, rehearse, release, slots, status
from releaselib.config.inventory import Host as Address
from releaselib.config.tables import Index
from releaselib.decide.journal import Failed, written
from releaselib.decide.release import Wanted
from releaselib.errors import HostsFailed, ReleaseError
from releaselib.hosts import facts, hops, lock, nginx, proof, scripts, slot, ssh
from releaselib.hosts.connection import Unreachable
from releaselib.hosts.fleet import Fleet
from releaselib.index import pypiserver
from releaselib.index.simple import PASSWORD
from rig import Host, wait_for
from rig.image import DEPLOY
from rig.visitors import LISTEN, ask

from .shop import FOLDER, Shop, deaf, edited, fingerprint, once, other_key, squatter, when

pytestmark = pytest.mark.hosts


@contextmanager
def committed(shop: Shop, name: str, old: str, new: str) -> Iterator[None]:
    """Another text in a file of the project, committed; taken back at the end of the block."""
    with edited(shop.project.folder / name, old, new):
        shop.project.commit("Break it")
        yield
    shop.project.commit("Mend it")


# --- what is found before anything is changed


def test_an_unknown_host_key_is_refused_with_its_fingerprint(shop: Shop) -> None:
    stranger, before = shop.app[1], shop.state()
    with edited(shop.world.fleet.known_hosts, f"{stranger.name},{stranger.address} ", "elsewhere "):
        done = shop.project.fab("release", "--stage", "test", check=False)
        assert f"look at: {stranger.address}: its host key is not known here" in shop.status()
    assert done.returncode == 3
    assert "error: check: 1 of 4 hosts failed (max_failures = 0)" in done.stderr
    assert f"{stranger.address}: its host key is not known here: ssh-ed25519 SHA256:" in done.stderr
    assert fingerprint(stranger) in done.stderr
    assert "add it to known_hosts" in done.stderr
    assert shop.state() == before


def test_a_changed_host_key_is_refused_with_both_fingerprints(shop: Shop) -> None:
    old, before = fingerprint(shop.proxy[1]), shop.state()
    with other_key(shop.proxy[1]) as new:
        text = shop.refused(3, release.rollback)
    assert f"{shop.proxy[1].address}: its host key has changed" in text
    assert f"expected ssh-ed25519 {old}" in text
    assert f"got      ssh-ed25519 {new}" in text
    assert shop.state() == before


def test_a_host_with_a_changed_key_is_left_out_when_hosts_may_fail(shop: Shop) -> None:
    with other_key(shop.app[1]):
        assert "its host key has changed" in shop.refused(3, rehearse.doctor, "")
        assert "(3 app hosts, 2 proxies)" in rehearse.doctor(shop.configured(max_failures="25%"), "test", "")


def test_hosts_without_the_wanted_python_are_named(shop: Shop) -> None:
    text = shop.refused(3, rehearse.doctor, "", stage={"python": "3.99"})
    assert f"{shop.app[0].address}: there is no such Python on this host" in text
    for host in shop.app + shop.proxy:
        assert host.address in text
    assert "no Python 3.99 on this host" in text
    assert "set python of the stage" in text


BARE = """
mkdir -p /opt/bare/bin && cp "$(readlink -f /usr/bin/python3)" /opt/bare/bin/python3
lib=$(/usr/bin/python3 -c 'import os; print(os.path.dirname(os.__file__))')
mkdir -p /opt/bare/lib/"$(basename "$lib")" && ln -s "$lib"/* /opt/bare/lib/"$(basename "$lib")"
rm /opt/bare/lib/*/ensurepip
"""


def test_a_python_that_makes_no_virtualenv_is_named_with_the_package_to_install(shop: Shop) -> None:
    """Unless the index has uv, which makes them."""
    for host in shop.app + shop.proxy:
        host.run(BARE)
    bare = {"python": "/opt/bare/bin/python3"}
    assert "nothing stands against" in rehearse.doctor(shop.configured(**bare), "test", "")
    with no_uv(shop):
        text = shop.refused(3, rehearse.doctor, "", stage=bare)
    assert f"{shop.app[0].address}: its Python makes no virtualenvs: apt-get install python3-venv" in text


@contextmanager
def no_uv(shop: Shop) -> Iterator[None]:
    """An index without uv, for the length of the block."""
    wheels = {path: path.with_name(f"{path.name}.away") for path in shop.world.server.folder.rglob("uv-*.whl")}
    assert wheels
    for path, away in wheels.items():
        path.rename(away)
    yield
    for path, away in wheels.items():
        away.rename(path)


def test_sudo_that_asks_for_a_password_is_named_before_anything_is_staged(shop: Shop) -> None:
    """The user `deploy` is in no sudoers file, so sudo would ask."""
    before = shop.state()
    settings = {"user": "deploy", "sudo": True, "nginx": "system", "prefix": "/home/deploy/shop"}
    text = shop.refused(3, rehearse.doctor, "", stage=settings)
    for host in shop.proxy:
        assert f"{host.address}: " in text
    assert "sudo = true, but sudo does not work there: sudo: a password is required" in text
    assert shop.state() == before


def test_a_name_that_does_not_resolve_is_named(shop: Shop) -> None:
    before = shop.state()
    hosts = (Address(address="nowhere.invalid"), *shop.configured().stage("test").app[1:])
    text = shop.refused(6, rehearse.doctor, "", stage={"app": hosts})
    assert "nowhere.invalid: cannot be reached: [Errno -2] Name or service not known" in text
    assert shop.state() == before


def test_all_problems_are_told_at_once_also_who_has_a_port(shop: Shop) -> None:
    app, before = shop.app, shop.state()
    slots.supervise(shop.configured(), "test", "shutdown", Wanted(slot=shop.idle, hosts=app[0].address))
    port = shop.ports(shop.idle)[0]
    with squatter(app[0], port) as pid, other_key(app[1]), note(shop):
        text = shop.refused(3, release.release)
    owner = f"python3 -m http.server {port} (pid {pid})"
    assert "check: 3 things stand against it; nothing was changed" in text
    assert "not committed: note" in text
    assert f"{app[0].address}: port {port} (slot {shop.idle}) is in use by {owner}" in text
    assert f"{app[1].address}: its host key has changed" in text
    assert shop.state() == before


@contextmanager
def note(shop: Shop) -> Iterator[None]:
    """A file that is not committed, for the length of the block."""
    file = shop.project.folder / "note"
    file.touch()
    yield
    file.unlink()


def test_a_proxy_that_is_cut_off_stops_a_release_before_anything_is_staged(shop: Shop) -> None:
    lost, before = shop.proxy[1], shop.state()
    with cut(shop, lost, lost.address):
        text = shop.failed(3, release.release, stage={"connect_timeout": 1})
    assert f"{lost.address}: cannot be reached" in text
    assert "a switch is all proxies or none; visitors are served as before" in text
    assert "turn it off, so that it sends visitors nowhere, and only then take it out of release.toml" in text
    assert shop.state() == before


@contextmanager
def cut(shop: Shop, host: Host, address: str = "", kind: str = "") -> Iterator[None]:
    """A host without a network for the length of the block; what visitors lose by that is excused."""
    with shop.losing(address, kind):
        host.cut()
        try:
            yield
        finally:
            host.heal()


def test_a_clock_that_is_a_year_off_changes_nothing(shop: Shop) -> None:
    for host, offset in ((shop.app[0], "+1y"), (shop.app[1], "-1y"), (shop.proxy[1], "+1y")):
        host.set_clock(offset)
    try:
        assert shop.ssh(shop.app[0], "date +%Y") > shop.ssh(shop.app[2], "date +%Y")
        shop.release_again(shop.other)
        report = release.rollback(shop.configured(), "test")
    finally:
        for host in (shop.app[0], shop.app[1], shop.proxy[1]):
            host.set_clock("")
    assert (report.failed, shop.served()) == (0, {report.version})
    assert "look at" not in shop.status()
    shop.release_again(shop.other)


# --- the index


def test_an_index_that_is_down_changes_nothing(shop: Shop) -> None:
    before = shop.state()
    pypiserver.stop(shop.world.server.folder)
    try:
        text = shop.refused(7, release.release)
    finally:
        pypiserver.ensure(shop.world.server, "releaser")
    assert f"the index {shop.world.server.url}simple/ cannot be reached" in text
    assert "Connection refused" in text
    assert shop.state() == before


def test_going_back_needs_no_index(shop: Shop) -> None:
    warm = shop.warm()
    pypiserver.stop(shop.world.server.folder)
    try:
        assert release.switch(shop.configured(), "test").version == warm
    finally:
        pypiserver.ensure(shop.world.server, "releaser")


def test_an_index_that_answers_with_an_error_is_not_called_down(shop: Shop) -> None:
    before, own = shop.state(), shop.configured().stage("test").index
    with real.Web({"/simple/my-service/": (500, "out of order")}) as web:
        where = Index(url=f"{web.url}/simple/", upload_url=own.upload_url, username=own.username)
        text = shop.refused(7, release.release, stage={"index": where})
    assert "500" in text
    assert "Connection refused" not in text
    assert shop.state() == before


def test_an_index_that_is_slow_is_waited_for(shop: Shop) -> None:
    """Each connection to it begins half a second late."""
    own = shop.configured().stage("test").index
    with real.Relay(shop.world.server, late=0.5) as relay:
        where = Index(url=f"{relay.url}simple/", upload_url=own.upload_url, username=own.username)
        shop.empty(shop.app[0])
        report = release.deploy(shop.configured(index=where), "test", Wanted(version=shop.other))
    assert len(report.hosts) == 4


def test_an_upload_that_is_cut_off_is_done_again_by_the_same_command(shop: Shop) -> None:
    """The index must not offer half a file meanwhile."""
    own, events = shop.configured().stage("test").index, shop.events()
    files, held = index.of(own).files("my-service"), shop.holds()
    shop.project.commit("Work")
    with real.Relay(shop.world.server, cut_after=2000) as relay:
        where = Index(url=own.url, upload_url=relay.url, username=own.username)
        text = shop.refused(7, release.release, stage={"index": where})
    assert f"publish: the index {relay.url} did not take the upload" in text
    assert index.of(own).files("my-service") == files
    assert (shop.holds(), shop.events()) == (held, [*events, "began", "failed"])
    version = release.release(shop.configured(), "test").version
    assert shop.served() == {version}
    shop.versions = [version, release.rollback(shop.configured(), "test").version]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda content: content[: len(content) // 2], "truncated|unexpected"),
    "other bytes": (lambda content: content[:10] + b"\0\0" + content[12:], "(?i)hash mismatch"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_file_of_the_index_that_is_not_what_was_built_is_installed_nowhere(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes], words: str
) -> None:
    shop.project.commit("Work")
    folder = shop.world.server.folder
    kept: dict[Path, bytes] = {}

    def harm() -> None:
        (wheel,) = [one for one in folder.rglob("my_service-*.whl") if one not in known]
        kept[wheel] = wheel.read_bytes()
        wheel.write_bytes(damage(kept[wheel]))

    known = set(folder.rglob("my_service-*.whl"))
    once(monkeypatch, slot, "stage_release", harm)
    text = shop.refused(6, release.release)
    assert "stage: 4 of 4 hosts failed" in text
    assert "cannot install the release" in text
    assert re.search(words, text), text
    for wheel, content in kept.items():
        wheel.write_bytes(content)
    version = release.release(shop.configured(), "test").version
    assert {version} == shop.served()
    shop.versions = [version, release.rollback(shop.configured(), "test").version]


def test_a_version_that_is_on_the_index_with_other_bytes_is_never_replaced(shop: Shop, tmp_path: Path) -> None:
    where, before = shop.configured().stage("test").index, shop.state()
    held, version = index.of(where).files("my-service"), shop.versions[0]
    wheel = real.wheel(tmp_path, "my-service", version)
    built = {"version": version, "commit": shop.project.git("rev-parse", "HEAD"), "files": {str(wheel): ""}}
    built["files"] = {str(wheel): real.sha256(wheel)}
    (tmp_path / "built.json").write_text(json.dumps(built))
    words = ("publish", "--stage", "test", "--built", str(tmp_path / "built.json"))
    done = shop.project.fab(*words, check=False)
    assert done.returncode == 3
    assert f"other bytes as my_service-{version}-py3-none-any.whl" in done.stderr
    assert "next: release another version; a published file never changes" in done.stderr
    assert index.of(where).files("my-service") == held
    assert shop.state() == before


def test_a_wrong_upload_password_leaves_no_tag_and_no_wheel(shop: Shop, tmp_path: Path) -> None:
    where, before = shop.configured().stage("test").index, shop.state()
    held, wheel = index.of(where).files("my-service"), real.wheel(tmp_path, "my-service", "99.1")
    built = {"version": "99.1", "commit": shop.project.git("rev-parse", "HEAD"), "files": {}}
    built["files"] = {str(wheel): real.sha256(wheel)}
    (tmp_path / "built.json").write_text(json.dumps(built))
    words = ("publish", "--stage", "test", "--built", str(tmp_path / "built.json"))
    done = shop.project.fab(*words, check=False, **{PASSWORD: "a-guess"})
    assert done.returncode == 7
    assert f"the index {where.upload_url} refused the upload" in done.stderr
    assert "403" in done.stderr
    assert f"check [index] username (releaser) and {PASSWORD}, then run it again" in done.stderr
    assert "a-guess" not in done.stdout + done.stderr
    assert index.of(where).files("my-service") == held
    assert shop.state() == before


def test_a_dependency_that_the_index_lacks_is_named_with_the_command_that_mends_it(shop: Shop) -> None:
    where, before, events = shop.configured().stage("test").index, shop.holds(), shop.events()
    held = index.of(where).files("my-service")
    with committed(shop, "pyproject.toml", "dependencies = [", 'dependencies = [\n    "iniconfig",'):
        text = shop.refused(3, release.release)
    assert "the index lacks iniconfig" in text
    assert "next: fab index.sync --stage test --packages iniconfig" in text
    assert index.of(where).files("my-service") == held
    assert shop.holds() == before
    assert shop.events() == [*events, "began", "failed"]


# --- staging

WRONG = {"dies": "RuntimeError: closed for today", "unhealthy": "500", "lies": "answered version 0.0, not 20"}


@pytest.mark.parametrize(("what", "words"), WRONG.items(), ids=WRONG)
def test_an_app_that_is_not_well_on_one_host_is_switched_to_nowhere(shop: Shop, what: str, words: str) -> None:
    bad, idle = shop.app[1], shop.idle
    with shop.wrong(what, bad):
        text = shop.refused(6, release.deploy, Wanted(version=shop.other), stage={"health_timeout": 3})
        assert "stage: 1 of 4 hosts failed (max_failures = 0); nothing was switched" in text
        assert f"{bad.address}: not every process became healthy" in text
        assert words in text
        assert f"fab host.logs --stage test --hosts {bad.address} --slot {idle}" in text
        text = shop.refused(6, release.switch, stage={"health_timeout": 3})
        assert f"{bad.address}: slot {idle} does not hold {shop.other} there" in text
    assert shop.events()[-1] == "failed"
    assert shop.app[0].address not in text
    assert shop.release_again(shop.other).hosts == [host.address for host in shop.app]


def test_an_app_that_is_slow_to_start_is_waited_for(shop: Shop) -> None:
    with shop.wrong("is late", *shop.app[:2]):
        assert len(shop.release_again(shop.other).hosts) == 4


def test_an_app_that_dies_after_it_was_healthy_is_never_all_that_visitors_get(shop: Shop) -> None:
    """Its supervisord starts it again; visitors are sent on to the other processes."""
    with shop.wrong("dies later", shop.app[0]), shop.losing(kind="websocket"):
        with suppress(ReleaseError):  # as the proxies happen to see it, or not
            release.release(shop.configured(), "test", Wanted(version=shop.other, ref=shop.other))
        assert len(shop.served()) == 1
    slots.supervise(shop.configured(), "test", "restart", Wanted(hosts=shop.app[0].address), yes=True)


def test_processes_that_end_between_staging_and_switch_are_seen_by_the_proxies(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.warm()
    bad, idle, before = shop.app[2], shop.idle, shop.links()
    pid = f"/{FOLDER}/slots/{idle}/run/supervisord.pid"
    once(monkeypatch, nginx, "configure", lambda: bad.run(f"kill -9 $(cat {pid}); pkill -9 -f [s]lots/{idle}/venv"))
    text = shop.refused(6, release.release, Wanted(version=shop.other, ref=shop.other), stage={"keep_warm": True})
    assert "switch: 2 of 2 proxies failed: no proxy was switched; visitors get the release that they got before" in text
    assert f"{bad.address}:{shop.ports(idle)[0]}" in text
    assert shop.links() == before


def test_an_old_process_that_still_has_the_port_is_found(shop: Shop) -> None:
    """Its supervisord is gone, so nobody ends it; it answers, too, but with the old version."""
    bad, idle, before = shop.app[2], shop.idle, shop.links()
    shop.warm()
    pid = (bad.root / FOLDER / f"slots/{idle}/run/supervisord.pid").read_text().strip()
    bad.run(f"kill -9 {pid}")
    text = shop.refused(3, release.release, Wanted(version=shop.other, ref=shop.other))
    assert f"{bad.address}: port {shop.ports(idle)[0]} (slot {idle}) is in use by " in text
    assert f"slots/{idle}/venv/bin/python" in text
    bad.run(f"pkill -f [s]lots/{idle}/venv")
    assert shop.links() == before


PHASES = ["stage", "switch"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_full_disk_on_an_app_host_is_named_in_each_phase(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    full = shop.app[3]
    shop.empty(full)
    module, name = {"stage": (slot, "stage_release"), "switch": (nginx, "configure")}[phase]
    once(monkeypatch, module, name, full.fill_disk)
    wanted = Wanted(version=shop.other, ref=shop.other)
    try:
        if phase == "stage":
            text = shop.refused(6, release.release, wanted)
            assert "stage: 1 of 4 hosts failed" in text
            assert f"{full.address}: " in text
            assert "No space left on device" in text or " 0 KiB free on " in text
            assert shop.app[0].address not in text
            full.free_disk()
            text = shop.refused(6, release.switch)
            assert f"{full.address}: slot {shop.idle} does not hold {shop.other} there" in text
        else:
            assert shop.release_again(shop.other).failed == 0  # nothing is written there any more
    finally:
        full.free_disk()


JOURNAL = {"begin": (lock, "hold"), "record": (nginx, "retire"), "switch": (nginx, "configure")}


@pytest.mark.parametrize(("module", "name"), JOURNAL.values(), ids=JOURNAL)
def test_a_full_disk_on_a_proxy_stops_it_before_the_switch(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    full, before = shop.proxy[1], shop.links()
    with monkeypatch.context() as patch:
        once(patch, module, name, full.fill_disk)
        try:
            with pytest.raises(ReleaseError) as caught:
                release.release(shop.configured(), "test", Wanted(version=shop.other, ref=shop.other))
        finally:
            full.free_disk()
    assert full.address in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert shop.links() == before
    shop.release_again(shop.other)


def test_a_full_disk_on_a_proxy_after_the_switch_is_no_secret(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visitors get the new release; what could not be written down is told."""
    full, wanted = shop.proxy[1], shop.other
    journal = full.root / FOLDER / "journal.jsonl"

    def fill() -> None:  # the last page of the journal, too
        with journal.open("a") as file:
            file.write("\n".rjust(4096 - journal.stat().st_size % 4096))
        full.fill_disk()

    with monkeypatch.context() as patch:
        once(patch, proof, "switched", fill)
        try:
            text = shop.failed(5, release.release, Wanted(version=wanted, ref=wanted))
        finally:
            full.free_disk()
    assert f"{full.address}: the journal cannot be written" in text
    assert f"visitors get {wanted} (slot {shop.live})" in text
    assert "No space left on device" in text
    assert shop.served() == {wanted}
    assert f"{wanted} is live" in shop.status()
    shop.release_again(shop.other)


def test_a_stale_pid_file_ends_no_other_process(shop: Shop) -> None:
    host, idle = shop.app[0], shop.idle
    slots.supervise(shop.configured(), "test", "shutdown", Wanted(slot=idle, hosts=host.address))
    pid = host.run(f"sleep 1000 >&- 2>&- & echo $! | tee /{FOLDER}/slots/{idle}/run/supervisord.pid").stdout
    assert re.search(rf"{host.address} +{idle} .* idle, stopped", shop.status())
    release.deploy(shop.configured(), "test", Wanted(version=shop.other))
    assert host.run(f"kill {pid}", check=False).returncode == 0


def test_a_host_that_is_off_stops_a_release_unless_it_may_fail(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    lost, idle = shop.app[1], shop.idle
    with shop.mortal(lost):
        lost.power_off()
        before = shop.state()
        text = shop.refused(6, release.release)
        assert "check: 1 of 4 hosts failed (max_failures = 0); nothing was switched" in text
        assert f"{lost.address}: cannot be reached" in text
        assert shop.state() == before
        with shop.reloading():
            report = shop.release_again(shop.other, max_failures="25%")
        assert f"left out of the switch: {lost.address}: cannot be reached" in capsys.readouterr().err
        assert lost.address not in report.hosts
        assert len(report.hosts) == 3
        assert shop.live == idle
        assert lost.address not in shop.behind(idle)
    assert f"look at: left out, no visitor gets there: {lost.address}: fab deploy --missing" in shop.status()
    with shop.reloading():
        release.join(shop.configured(), "test")
    assert lost.address in shop.behind(idle)
    assert "look at" not in shop.status()


def installing(shop: Shop, host: Host) -> Callable[[], bool]:
    """Whether the release is being installed there now."""
    folder, before = host.root / FOLDER / "slots" / shop.idle, shop.counted()
    return lambda: host.address in before() and (folder / "venv").exists()


def starting(shop: Shop, host: Host) -> Callable[[], bool]:
    """Whether it is installed there, and waited for."""
    folder, built = host.root / FOLDER / "slots" / shop.idle, installing(shop, host)
    return lambda: built() and (folder / "run/supervisord.pid").exists()


@pytest.mark.parametrize("at_work", [installing, starting])
def test_a_host_that_loses_its_power_at_work_is_named_and_staged_by_the_next_release(
    shop: Shop, at_work: Callable[[Shop, Host], Callable[[], bool]]
) -> None:
    lost = shop.app[1]
    shop.empty(*shop.app)
    wanted = Wanted(version=shop.other, ref=shop.other)
    with shop.mortal(lost), shop.wrong("waits", lost), when(at_work(shop, lost), lost.power_off, "it to be at work"):
        text = shop.refused(6, release.release, wanted)
    assert "stage: 1 of 4 hosts failed (max_failures = 0); nothing was switched" in text
    assert f"{lost.address}: the connection was lost" in text
    built = shop.counted()
    assert len(shop.release_again(wanted.version).hosts) == 4
    assert built() == [lost.address], "what the others hold is left as it is"


@pytest.mark.parametrize("at_work", [installing, starting])
def test_a_host_that_is_cut_off_at_work_is_given_up_and_the_next_release_goes_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, at_work: Callable[[Shop, Host], Callable[[], bool]]
) -> None:
    monkeypatch.setattr(hops, "KEEPALIVE", 1)
    monkeypatch.setattr(hops, "SILENCE", 2)
    lost = shop.app[1]
    shop.empty(*shop.app)
    wanted = Wanted(version=shop.other, ref=shop.other)
    try:
        with shop.losing(), shop.wrong("waits", lost):
            with when(at_work(shop, lost), lost.cut, "it to be at work"):
                text = shop.failed(6, release.release, wanted)
            lost.heal()
    finally:
        lost.heal()
    assert "stage: 1 of 4 hosts failed (max_failures = 0); nothing was switched" in text
    assert f"{lost.address}: the connection was lost" in text
    assert "release" in shop.status()
    built = shop.counted()
    assert len(shop.release_again(wanted.version).hosts) == 4
    assert set(built()) <= {lost.address}, "what the others hold is left as it is"


def test_a_host_that_falls_silent_at_work_is_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hops, "KEEPALIVE", 1)
    monkeypatch.setattr(hops, "SILENCE", 2)
    stage = shop.configured(command_timeout=600).stage("test")
    remote = ssh.Ssh(stage.app[0], stage)
    running = remote.start(["sh", "-c", "echo begun; cat"])
    assert running.receive() == "begun"
    with cut(shop, shop.app[0]), pytest.raises(Unreachable, match="the connection was lost") as caught:
        running.finish()
    remote.close()
    assert caught.value.what.endswith("the command's end was not heard"), "nobody waits for command_timeout"


# --- switching: all proxies or none


def test_a_site_that_nginx_does_not_accept_is_switched_to_on_no_proxy(shop: Shop) -> None:
    before = shop.links()
    with committed(shop, "release.d/nginx.conf.j2", "server_tokens off;", "server_tokens off; garbage;"):
        text = shop.refused(6, release.release)
    assert "switch: 2 of 2 proxies failed: no proxy was switched; visitors get the release that they got before" in text
    assert f"{shop.proxy[0].address}: nginx does not accept the configuration" in text
    assert f"the same on {shop.proxy[1].address}" in text
    assert 'unknown directive "garbage" in' in text
    assert shop.links() == before
    assert "look at" not in shop.status()
    known = [host.root / FOLDER / "nginx/slots" / shop.idle / shop.idle for host in shop.proxy]
    assert not any(file.exists() for file in known), "what no nginx has taken is nothing to switch to"


def test_a_reload_that_is_not_taken_leaves_the_old_configuration_at_work(shop: Shop) -> None:
    """`nginx -s reload` exits 0, but another process has the port that the new site wants."""
    before = shop.links()
    listen = "    listen {{ listen }};"
    with (
        committed(shop, "release.d/nginx.conf.j2", listen, f"{listen}\n    listen 9999;"),
        squatter(shop.proxy[1], 9999),
        shop.reloading(),
    ):
        text = shop.failed(6, release.release)
    assert f"{shop.proxy[1].address}: nginx does not answer as it should" in text
    assert "bind() to 0.0.0.0:9999 failed" in text
    assert shop.links()["proxy2"] == before["proxy2"]
    assert {slot for slot, _ in shop.links().values()} == {before["proxy1"][0]}
    with shop.reloading():
        machines.control_nginx(shop.configured(), "test", "setup")


def test_a_rollback_reloads_nothing_so_what_nginx_would_not_accept_does_not_stop_it(shop: Shop) -> None:
    warm = shop.warm()
    shop.release_again(warm)
    with edited(shop.proxy[1].root / FOLDER / "nginx/nginx.conf", "http {", "garbage;\nhttp {"):
        workers = [nginx_workers(host) for host in shop.proxy]
        assert release.rollback(shop.configured(), "test").failed == 0
        assert [nginx_workers(host) for host in shop.proxy] == workers


def nginx_workers(host: Host) -> str:
    """The processes that serve visitors there: other ones after a reload. One of before may be about to end still."""
    return host.run("pgrep -f '[n]ginx: worker process$'").stdout


def test_one_proxy_that_cannot_be_switched_takes_the_others_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.warm()
    before, lost = shop.links(), shop.proxy[1]
    once(monkeypatch, nginx, "switch", lost.power_off)
    with shop.mortal(lost):
        text = shop.failed(5, release.switch)
        assert ask(shop.proxy[0].address) in shop.versions
        assert "switch: the switch failed; in doubt: 1 of 2 proxies" in text
        assert f"{lost.address}: the connection was lost" in text
    shop.start_nginx()
    assert shop.links() == before
    assert "look at" not in shop.status()


@pytest.mark.parametrize(
    ("module", "name", "code"), [(facts, "look", 3), (proof, "begin", 6)], ids=["before the look", "before the switch"]
)
def test_a_proxy_that_dies_before_the_switch_leaves_the_other_one_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, module: object, name: str, code: int
) -> None:
    shop.warm()
    before, lost = shop.links(), shop.proxy[1]
    once(monkeypatch, module, name, lost.power_off)
    with shop.mortal(lost):
        assert lost.address in shop.failed(code, release.switch)
    shop.start_nginx()
    assert shop.links() == before


def test_a_proxy_that_dies_after_the_switch_leaves_it_in_doubt(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    version, lost = shop.warm(), shop.proxy[1]
    monkeypatch.setattr(proof, "ENOUGH", 300)  # some seconds of requests, and it is gone before
    once(monkeypatch, proof, "end", lost.power_off)
    with shop.mortal(lost):
        text = shop.failed(5, release.switch)
        assert f"prove: nginx sends visitors to slot {shop.live} ({version}), but it is not proved" in text
        assert f"{lost.address}: no samples: {lost.address}: the connection was lost" in text
    shop.start_nginx()
    assert shop.served() == {version}


def test_the_live_slot_is_safe_while_an_nginx_is_off(shop: Shop) -> None:
    before, lost, live = shop.state(), shop.proxy[1], shop.live
    with shop.losing(lost.address):
        pid = lost.root / FOLDER / "nginx/nginx.pid"
        lost.run(f"kill {pid.read_text()}")
        wait_for(lambda: not pid.exists(), "nginx to end")
        assert f"look at: {lost.address}: nginx does not run: fab nginx.setup" in shop.status()
        assert f"slot {live} is live" in shop.failed(3, slots.remove, Wanted(slot=live))
        shop.start_nginx()
        wait_for(lambda: len(shop.served()) == 1, "nginx to serve")
    assert shop.state() == before
    assert "nothing stands against" in rehearse.doctor(shop.configured(), "test", "")


# --- what takes long


def test_a_slow_request_and_a_websocket_go_on_over_a_switch_and_are_told_of_by_the_next_release(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The request is answered by the release that it was sent to; a websocket ends with its slot."""
    warm, old = shop.warm(), next(iter(shop.served()))
    address = shop.proxy[0].address
    with shop.websocket(address) as websocket, shop.slow(address, 5) as request:
        assert websocket() == old
        release.switch(shop.configured(), "test")
        assert websocket() == old
        assert ask(address) == warm
        assert not request.done(), "the switch did not wait for it"
        assert request.result() == old
        with shop.losing(kind="websocket"):
            shop.release_again(old, drain_timeout=1)
        told = capsys.readouterr().err
    assert re.search(rf"{address}: \d requests to slot {shop.live} are still open after 1 s; they are cut off", told)


# --- stages of other kinds

KINDS = {
    "nginx of the system, as root": ("root", "system", "/srv/my-service"),
    "nginx of its own, as a plain user": ("deploy", "own", "/home/deploy/my-service"),
}


@pytest.mark.parametrize(("user", "kind", "prefix"), KINDS.values(), ids=KINDS)
def test_a_stage_is_released_to_and_switched_with(shop: Shop, user: str, kind: str, prefix: str) -> None:
    fleet, name = shop.world.fleet, f"{kind}-{user}"
    (app,), (proxy,) = fleet.add_many(1, "more"), fleet.add_many(1, "front")
    settings = {"user": user, "nginx": kind, "prefix": prefix}
    shop.project.configure(shop.world.stage([app], [proxy], name, **settings))
    early = []
    for version in shop.versions:
        report = release.release(config.load(shop.project.folder), name, Wanted(version=version, ref=version))
        assert (ask(proxy.address), report.failed) == (version, 0)
        early.append(connected(proxy))
    for connection in early:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["version"]) == (200, shop.versions[-1])
    owner = (proxy.root / prefix[1:] / "nginx/live").lstat().st_uid
    assert owner == {"root": 0, "deploy": DEPLOY}[user]
    assert (proxy.root / "etc/nginx/conf.d/my-service.conf").exists() == (kind == "system")
    if kind == "system":
        foreign_site(shop, name, proxy)
    for host in (app, proxy):
        host.power_off()
        host.power_on()


def connected(proxy: Host) -> http.client.HTTPConnection:
    """A visitor that connects and says nothing yet, as browsers do."""
    connection = http.client.HTTPConnection(proxy.address, LISTEN)
    connection.connect()
    return connection


def foreign_site(shop: Shop, name: str, proxy: Host) -> None:
    """Somebody else's site on this nginx is broken: that stops no rollback, and a change of hosts by its name."""
    project = config.load(shop.project.folder)
    (proxy.root / "etc/nginx/conf.d/foreign.conf").write_text("server { rubbish; }")
    assert release.rollback(project, name).failed == 0
    stage = project.stage(name).model_copy(update={"server_name": "shop.example"})
    with pytest.raises(ReleaseError, match=r"rubbish.*foreign\.conf"):
        release.release(
            project.model_copy(update={"stages": {name: stage}}),
            name,
            Wanted(version=shop.versions[1], ref=shop.versions[1]),
        )
    assert ask(proxy.address) == shop.versions[0]


# --- single acts


def test_a_slot_is_not_removed_while_somebody_is_at_work(shop: Shop) -> None:
    with lock.hold(Fleet(shop.configured().stage("test")), "maria@desk since just now: release"):
        text = shop.refused(4, slots.remove, Wanted(slot=shop.idle))
    assert "stage test is locked by maria@desk since just now: release" in text


STOPS: dict[str, tuple[Callable[..., object], tuple[object, ...], dict[str, object]]] = {
    "supervisor.stop": (slots.supervise, ("stop",), {}),
    "supervisor.restart": (slots.supervise, ("restart",), {}),
    "nginx.stop": (machines.control_nginx, ("stop",), {}),
    "slot.remove --all": (slots.remove, (), {"everything": True}),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_serves_visitors_is_not_stopped_unless_that_is_said_to_be_meant(shop: Shop, name: str) -> None:
    act, words, options = STOPS[name]
    text = shop.refused(3, act, *words, **options)
    assert f"slot {shop.live} ({shop.served().pop()}) serves the visitors of test; {name} would end that" in text
    assert f"next: fab {name} --stage test --yes" in text


def test_doctor_finds_a_wrong_password_and_an_app_that_is_stopped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(PASSWORD, "guess")
        assert "refuses the password of releaser" in shop.failed(7, rehearse.doctor, "HEAD")
    stopped = shop.app[0]
    assert "look at" not in rehearse.doctor(shop.configured(), "test", "HEAD")
    with shop.losing(kind="websocket"):
        slots.supervise(shop.configured(), "test", "shutdown", Wanted(hosts=stopped.address), yes=True)
    assert f"does not run there: {stopped.address}" in rehearse.doctor(shop.configured(), "test", "HEAD")
    with shop.reloading():
        release.join(shop.configured(), "test")
    assert "look at" not in rehearse.doctor(shop.configured(), "test", "HEAD")


def test_one_host_that_fails_does_not_hide_what_the_others_say(shop: Shop) -> None:
    command = ("sh", "-c", f"hostname -I | grep -q {shop.app[0].address} && exit 9; echo well")
    with pytest.raises(HostsFailed, match=f"{shop.app[0].address}: exit code 9") as caught:
        machines.execute(shop.configured(), "test", command)
    assert caught.value.answers == {host.address: "well" for host in shop.app[1:]}


def test_all_slots_of_some_hosts_are_no_leave_to_stop_what_serves_visitors(shop: Shop) -> None:
    before = shop.state()
    text = shop.refused(3, slots.remove, Wanted(hosts=shop.app[0].address), everything=True)
    assert f"visitors are served from {shop.app[0].address}" in text
    assert shop.state() == before


# --- going back


def test_going_back_leads_to_what_a_slot_holds_and_by_its_name_to_any_older_release(shop: Shop) -> None:
    app, proxy = shop.app[0], shop.proxy[0]
    settings = {"prefix": "/srv/other", "port_base": 9000, "listen": "9099"}
    shop.project.configure(shop.world.stage([app], [proxy], "first", **settings))
    for _ in range(3):
        shop.project.commit("Work")
        shop.publish()
    project = config.load(shop.project.folder)
    first, *later = versions = shop.versions[-5:]
    release.release(project, "first", Wanted(version=first, ref=first))
    with pytest.raises(ReleaseError, match=re.escape(f"older than the live one ({first})")) as caught:
        release.rollback(project, "first")
    assert caught.value.exit_code == 3
    for version in later:
        release.release(project, "first", Wanted(version=version, ref=version))
    for version in (versions[-2], versions[-3]):  # out of the warm slot, and staged again
        assert release.rollback(project, "first").version == version
    for version in (versions[1], first):
        assert release.rollback(project, "first", Wanted(version=version)).version == version
        assert ask(proxy.address, port=9099) == version
    assert ask(proxy.address, port=9099) == first
    with pytest.raises(ReleaseError, match=re.escape(f"older than the live one ({first})")) as caught:
        release.rollback(project, "first")
    assert caught.value.next_step.startswith("fab rollback --stage first --version V stages an older version again")
    slots.remove(project, "first", everything=True, yes=True)


def test_going_back_starts_a_slot_that_was_stopped(shop: Shop) -> None:
    shop.release_again(shop.warm())
    before = next(version for version in shop.versions if {version} != shop.served())
    slots.supervise(shop.configured(), "test", "shutdown", Wanted(slot=shop.idle))
    assert "warm" not in shop.status().partition("look at")[0].partition("warm:")[2]
    assert release.rollback(shop.configured(), "test").version == before
    assert shop.served() == {before}


def test_a_version_that_was_never_here_is_nothing_to_go_back_to(shop: Shop, tmp_path: Path) -> None:
    version = f"{shop.versions[0]}+never"
    shop.project.fab("build", "--stage", "test", "--version", version, "--out", str(tmp_path))
    built = {str(path): real.sha256(path) for path in tmp_path.iterdir()}
    commit = shop.project.git("rev-parse", "HEAD")
    (tmp_path / "built.json").write_text(json.dumps({"version": version, "commit": commit, "files": built}))
    shop.project.fab("publish", "--stage", "test", "--built", str(tmp_path / "built.json"))
    text = shop.refused(3, release.rollback, Wanted(version=version))
    assert f"{version} was never on stage test, so there is no going back to it" in text
    assert f"next: fab release --stage test --version {version} --ref {version}" in text


def test_going_back_needs_the_proxies_alone(shop: Shop) -> None:
    """No app host can be reached by ssh, and none is asked."""
    shop.release_again(shop.warm())
    workers = [nginx_workers(host) for host in shop.proxy]
    with deaf(*shop.app):
        assert release.rollback(shop.configured(connect_timeout=1), "test").failed == 0
    assert [nginx_workers(host) for host in shop.proxy] == workers, "nothing is reloaded"


def test_a_host_that_is_off_is_left_out_of_the_way_back(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.release_again(shop.warm())
    lost, idle, before = shop.app[1], shop.idle, shop.state()
    with shop.mortal(lost):
        lost.power_off()
        text = shop.refused(6, release.rollback)
        assert f"go on without them: add {lost.address} to --exclude" in text
        assert f"{lost.address}:{shop.ports(idle)[0]}" in capsys.readouterr().err, (
            "what the proxies did not see healthy"
        )
        assert shop.state() == before
        without = Wanted(exclude=lost.address)
        assert "is ready on 2 proxies" in rehearse.drill(shop.configured(), "test", lost.address)
        with shop.reloading():
            report = release.rollback(shop.configured(), "test", without)
        assert (shop.live, report.failed, lost.address in report.hosts) == (idle, 0, False)
        assert lost.address not in shop.behind(idle)
        assert f"look at: left out, no visitor gets there: {lost.address}" in shop.status()
    assert f"look at: left out, no visitor gets there: {lost.address}: fab deploy --missing" in shop.status()
    with shop.reloading():
        release.join(shop.configured(), "test")
    assert "look at" not in shop.status()


def test_a_slot_whose_processes_a_killed_release_had_ended_is_told_as_stopped_and_can_be_gone_back_to(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every app host the script is killed while the supervisord of the slot waits for the next release."""
    shop.release_again(shop.warm())
    again, there = shop.warm(), scripts.text
    # What a restart of a host started has another environment, and waits for none.
    slots.supervise(shop.configured(), "test", "reload", Wanted(slot=shop.idle), yes=True)
    moment = "os.link(old + SOCKET"
    with monkeypatch.context() as patch:
        patch.setattr(
            scripts, "text", lambda name: there(name).replace(moment, f"os.killpg(0, signal.SIGKILL); {moment}")
        )
        patch.setattr(scripts, "program", scripts.program.__wrapped__)  # it remembers
        shop.refused(6, release.deploy, Wanted(version=again, slot=shop.idle), stage={"health_timeout": 31})
    assert f"slot {shop.idle}: {again}" not in shop.status()
    report = release.rollback(shop.configured(), "test")
    assert (report.version, report.failed, shop.served()) == (again, 0, {again})
    for host in shop.app:
        assert (host.root / FOLDER / "slots" / shop.live / "runs").exists(), "after a restart, too"


# --- what an error advises


def test_every_command_that_was_advised_above_can_be_typed_as_it_stands(shop: Shop) -> None:
    command = re.compile(r"\bfab ([a-z]+(?:\.[a-z]+)?(?: --[a-z-]+(?: (?!--)[^\s,;]+)?)*)")
    advised = {one for step in shop.advised for one in command.findall(step)}
    # --version V is to be filled in; what --yes confirms, or maintenance.on, takes something from visitors, and
    # index.serve stays in front: these have tests of their own.
    typed = sorted(one for one in advised if not re.search(r"\b[A-Z]+\b|--yes|maintenance.on|index.serve", one))
    assert len(typed) > 3, shop.advised
    for one in typed:
        done = shop.project.fab(*one.split(), check=False)
        assert done.returncode not in (1, 2), f"{one}: {done.stdout}{done.stderr}"  # no such task, or not so
        assert "Traceback" not in done.stderr, one


# --- what a deploy tells


def test_a_deploy_knows_the_commit_and_asks_only_the_hosts_it_is_for(shop: Shop) -> None:
    lost, target = shop.app[1], shop.app[0]
    with shop.mortal(lost):
        lost.power_off()
        wanted = Wanted(version=shop.other, slot=shop.idle, hosts=target.address)
        report = release.deploy(shop.configured(connect_timeout=1), "test", wanted)
    assert report.hosts == [target.address]
    held = json.loads((target.root / FOLDER / "slots" / report.slot / "release.json").read_text())
    assert held["commit"] == shop.project.git("rev-parse", f"{report.version}^{{commit}}")
    conf = (target.root / FOLDER / "slots" / report.slot / "supervisord.conf").read_text()
    assert held["commit"] in conf
    release.deploy(shop.configured(), "test", Wanted(version=report.version, slot=report.slot))


def test_as_much_of_the_history_is_shown_as_was_asked_for(shop: Shop) -> None:
    journals = [host.root / FOLDER / "journal.jsonl" for host in shop.proxy]
    texts = [file.read_text() for file in journals]
    for file, text in zip(journals, texts, strict=True):
        file.write_text(text + f"{written(Failed('deploy', 'no'))}\n" * 500)
    assert len(status.history(shop.configured(), "test", 450)) == 450
    assert len(status.history(shop.configured(), "test", 1)) == 1
    for number in (0, -3):
        assert "would show nothing" in shop.failed(2, status.history, number)
    for file, text in zip(journals, texts, strict=True):
        file.write_text(text)
