"""Faults on real hosts: what the user is told, what visitors get meanwhile, and how it goes on.

All tests share one shop on four hosts, released twice. Each mends what it broke; where it leaves half a
release in the idle slot, `Shop.warm` stages a whole one there for the next test.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import real
from releaselib import config, index
from releaselib.actions import release, slots, status
from releaselib.config.inventory import Host as Address
from releaselib.decide.journal import Began, Failed, Report, written
from releaselib.decide.release import Wanted
from releaselib.hosts import lock, nginx, proof, ssh
from releaselib.hosts.connection import Unreachable
from releaselib.hosts.fleet import Fleet
from releaselib.index import pypiserver
from releaselib.index.simple import PASSWORD
from rig import wait_for
from rig.image import DEPLOY
from rig.visitors import ask
from rig.world import BIN, bake, world

from .shop import FOLDER, Shop, dead, edited, fingerprint, once, other_key, squatter

pytestmark = pytest.mark.hosts

# A controller that is killed at the very moment at which it would run SCRIPT on HOST.
KILLED = """
import os, signal, sys
from releaselib import config
from releaselib.actions import release
from releaselib.hosts import ssh
script, host = sys.argv[1:]
run = ssh.Ssh.run
def dies(self, argv, *words, **options):
    if argv[3] == script and self.host.name == host:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(self, argv, *words, **options)
ssh.Ssh.run = dies
project = config.load()
stage = project.stage("test").model_copy(update={"parallel": 1})  # one host after the other
release.switch(project.model_copy(update={"stages": {"test": stage}}), "test")
"""


@pytest.fixture(scope="module")
def opened(packages: Path, tmp_path_factory: pytest.TempPathFactory, can_make_hosts: None) -> Iterator[Shop]:
    """A flask project that was released twice to two app hosts and two proxies."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        team = stack.enter_context(world(folder / "fleet", packages))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for key, value in team.env.items():
            environment.setenv(key, value)
        app = [team.fleet.add("app1"), team.fleet.add("app2", disk="400m")]
        shop = Shop(team, bake(team, folder, flavour="flask"), app, team.fleet.add_many(2, "proxy"), [])
        shop.project.configure(team.stage(shop.app, shop.proxy))
        shop.project.fab("index.sync", "--stage", "test")
        for _ in range(2):
            shop.project.commit("Work")
            shop.project.fab("release", "--stage", "test")
            shop.versions += shop.served()
        yield shop


@pytest.fixture
def shop(opened: Shop) -> Iterator[Shop]:
    """The shop, which must be whole again at the end of the test."""
    yield opened
    assert all(host.is_on for host in opened.world.fleet.hosts.values())
    assert len(opened.served()) == 1
    assert opened.is_free()


@pytest.fixture
def broken(shop: Shop) -> Iterator[Callable[[str, str, str], None]]:
    """Commit another text in a file of the project; taken back at the end of the test."""
    good = shop.project.git("rev-parse", "HEAD")

    def edit(name: str, old: str, new: str) -> None:
        file = shop.project.folder / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        shop.project.commit("Break it")

    yield edit
    shop.project.git("checkout", "--quiet", good, ".")
    shop.project.commit("Mend it")


# --- what is found before anything is changed


def test_an_unknown_host_key_is_refused_with_its_fingerprint(shop: Shop) -> None:
    stranger, before = shop.app[1], shop.state()
    with edited(shop.world.fleet.known_hosts, f"{stranger.name},{stranger.address} ", "elsewhere "):
        done = shop.project.fab("release", "--stage", "test", check=False)
        assert f"look at: {stranger.address}: its host key is not known here" in shop.status()
    assert done.returncode == 3
    assert "error: check: 1 of 2 hosts failed (max_failures = 0)" in done.stderr
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
        assert "its host key has changed" in shop.refused(3, status.doctor, "")
        assert "(1 app hosts, 2 proxies)" in status.doctor(shop.configured(max_failures=1), "test", "")


def test_hosts_without_the_wanted_python_are_named(shop: Shop) -> None:
    text = shop.refused(3, status.doctor, "", stage={"python": "3.99"})
    for host in shop.app + shop.proxy:
        assert f"{host.address}: there is no such Python on this host" in text
    assert "no Python 3.99 on this host" in text
    assert "set python of the stage" in text


def test_all_problems_are_told_at_once_also_who_has_a_port(shop: Shop) -> None:
    app, before = shop.app, shop.state()
    slots.supervise(shop.configured(), "test", "shutdown", Wanted(slot=shop.idle, hosts=app[0].address))
    port = shop.configured().stage("test").ports(shop.idle)[1]
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
    lost.cut()
    try:
        text = shop.failed(3, release.release, stage={"connect_timeout": 1})
    finally:
        lost.heal()
    assert f"{lost.address}: cannot be reached" in text
    assert "a switch is all proxies or none; visitors are served as before" in text
    assert "take it out of release.toml" in text
    assert shop.state() == before


def test_a_host_that_falls_silent_at_work_is_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "KEEPALIVE", 1)
    monkeypatch.setattr(ssh, "SILENCE", 2)
    stage = shop.configured(command_timeout=600).stage("test")
    remote = ssh.Ssh(stage.app[0], stage)
    running = remote.start(["sh", "-c", "echo begun; cat"])
    assert running.receive() == "begun"
    shop.app[0].cut()
    try:
        with pytest.raises(Unreachable, match="the connection was lost") as caught:
            running.finish()
    finally:
        shop.app[0].heal()
        remote.close()
    assert "timed out" not in str(caught.value), "that is the end of command_timeout"


def test_ctrl_c_within_a_switch_waits_until_all_proxies_are_switched(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = shop.warm()
    with monkeypatch.context() as patch:
        once(patch, nginx, "switch", lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            release.switch(shop.configured(parallel=1), "test")
    assert shop.served() == {warm}
    assert shop.events()[-3:] == ["switching", "switched", "failed"]


def test_ctrl_c_ends_a_command_at_once(shop: Shop) -> None:
    """It does not wait for what still runs on the hosts."""
    argv = [str(BIN / "fab"), "host.exec", "echo $$ >/tmp/slow; exec sleep 30", "--stage", "test"]
    with subprocess.Popen(argv, cwd=shop.project.folder, env=shop.world.env, stderr=subprocess.PIPE) as fab:
        wait_for(
            lambda: all((host.root / "tmp/slow").exists() for host in shop.app), "both hosts to be at work"
        )
        fab.send_signal(signal.SIGINT)
        assert b"interrupted; fab status" in fab.communicate()[1]
    assert fab.returncode == 130
    for host in shop.app:
        host.run("kill $(cat /tmp/slow) && rm /tmp/slow")  # which fails if it has ended


def test_the_live_slot_is_safe_while_a_proxy_does_not_answer(shop: Shop) -> None:
    before, lost, live = shop.state(), shop.proxy[1], shop.live
    pid = lost.root / FOLDER / "nginx/nginx.pid"
    lost.run(f"kill {pid.read_text()}")
    wait_for(lambda: not pid.exists(), "nginx to end")
    for text in (shop.failed(3, status.doctor, ""), shop.failed(3, release.release)):
        assert "the proxies do not agree" in text
        assert f"{lost.address}: -" in text
        assert "next: fab nginx.start" in text
    assert f"slot {live} is live" in shop.failed(3, slots.remove, Wanted(slot=live))
    assert "the proxies do not agree" in shop.status()
    shop.start_nginx()
    assert shop.state() == before
    assert "nothing stands against" in status.doctor(shop.configured(), "test", "")


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
    assert f"check [index] username (releaser) and {PASSWORD}" in done.stderr
    assert "a-guess" not in done.stdout + done.stderr
    assert index.of(where).files("my-service") == held
    assert shop.state() == before


def test_a_dependency_that_the_index_lacks_is_named_with_the_command_that_mends_it(
    shop: Shop, broken: Callable[[str, str, str], None]
) -> None:
    where, before, events = shop.configured().stage("test").index, shop.holds(), shop.events()
    held = index.of(where).files("my-service")
    broken("pyproject.toml", "dependencies = [", 'dependencies = [\n    "iniconfig",')
    text = shop.refused(3, release.release)
    assert "the index lacks iniconfig" in text
    assert "next: fab index.sync --packages iniconfig" in text
    assert index.of(where).files("my-service") == held
    assert shop.holds() == before
    assert shop.events() == [*events, "began", "failed"]


# --- staging

DIES = """\
    import os
    if os.uname().nodename == "app1":
        raise RuntimeError("closed")
"""


def test_an_app_that_dies_or_lies_is_not_switched_to_and_the_next_release_works(
    shop: Shop, broken: Callable[[str, str, str], None]
) -> None:
    broken("src/my_service/app.py", "    app = Flask", f"{DIES}    app = Flask")
    broken("src/my_service/about.py", '"version": version', '"version": "0.0"')
    text = shop.refused(6, release.release, stage={"health_timeout": 5})
    assert "stage: 2 of 2 hosts failed (max_failures = 0); nothing was switched" in text
    first, second = re.split("(?m)^ *(?=10[.])", text)[1:]
    assert first.startswith(f"{shop.app[0].address}: not every process became healthy")
    assert "RuntimeError: closed" in first
    assert f"fab host.logs --hosts {shop.app[0].address} --slot {shop.idle}" in first
    assert second.startswith(f"{shop.app[1].address}: not every process became healthy")
    assert "answered version 0.0, not 20" in second
    assert shop.events()[-1] == "failed"
    assert "does not hold" in shop.refused(6, release.switch)
    assert shop.release_again(shop.other).hosts == [host.address for host in shop.app]


def test_a_full_disk_is_named_and_what_one_host_lacks_is_not_switched_to(shop: Shop) -> None:
    full = shop.app[1]
    slots.remove(shop.configured(), "test", Wanted(slot=shop.idle, hosts=full.address))
    full.fill_disk()
    try:
        text = shop.refused(6, release.deploy, Wanted(version=shop.other))
    finally:
        full.free_disk()
    assert "stage: 1 of 2 hosts failed" in text
    assert f"{full.address}: " in text
    assert "No space left on device" in text
    assert shop.app[0].address not in text
    text = shop.refused(6, release.switch)
    assert "health: 1 of 2 hosts failed (max_failures = 0); nothing was switched" in text
    assert f"{full.address}: slot {shop.idle} does not hold {shop.other} there" in text


def test_a_stale_pid_file_ends_no_other_process(shop: Shop) -> None:
    host, idle = shop.app[0], shop.idle
    slots.supervise(shop.configured(), "test", "shutdown", Wanted(slot=idle, hosts=host.address))
    pid = host.run(f"sleep 1000 >&- 2>&- & echo $! | tee /{FOLDER}/slots/{idle}/run/supervisord.pid").stdout
    assert re.search(rf"{host.address} +{idle} .* idle, stopped", shop.status())
    release.deploy(shop.configured(), "test", Wanted(version=shop.other))
    assert host.run(f"kill {pid}", check=False).returncode == 0


def test_a_host_that_is_off_stops_a_release_unless_it_may_fail(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    lost, idle = shop.app[1], shop.idle
    with dead(lost):
        lost.power_off()
        before = shop.state()
        text = shop.refused(6, release.release)
        assert "check: 1 of 2 hosts failed (max_failures = 0); nothing was switched" in text
        assert f"{lost.address}: cannot be reached" in text
        assert shop.state() == before
        report = shop.release_again(shop.other, max_failures=1)
    assert f"left out of the switch: {lost.address}: cannot be reached" in capsys.readouterr().err
    assert report.hosts == [shop.app[0].address]
    assert shop.live == idle
    assert not any(lost.address.encode() in text for text in shop.upstreams().values())


# --- switching: all proxies or none


def test_no_proxy_is_switched_when_nginx_refuses_on_one(shop: Shop) -> None:
    shop.warm()
    with edited(shop.proxy[1].root / FOLDER / "nginx/site.conf", "server {", "garbage;\nserver {"):
        text = shop.refused(6, release.switch)
    assert "switch: 1 of 2 proxies failed: no proxy was switched; visitors are served as before" in text
    assert f"{shop.proxy[1].address}: nginx does not accept the configuration" in text
    assert 'unknown directive "garbage" in' in text
    assert shop.proxy[0].address not in text
    assert "nothing stands against" in status.doctor(shop.configured(), "test", "")


def test_what_was_switched_is_switched_back_when_one_nginx_does_not_take_it(shop: Shop) -> None:
    shop.warm()
    site, other = shop.proxy[1].root / FOLDER / "nginx/site.conf", "server { listen 9999; }"
    before, files = shop.served(), shop.upstreams()
    with squatter(shop.proxy[1], 9999), edited(site, "server {", f"{other}\nserver {{"):
        text = shop.failed(6, release.switch)
    assert "switch: the switch failed; all proxies serve the old release again" in text
    assert f"{shop.proxy[1].address}: nginx did not take the new configuration" in text
    assert "bind() to 0.0.0.0:9999 failed" in text
    assert (shop.served(), shop.upstreams()) == (before, files)
    assert "look at" not in shop.status()


def test_a_proxy_that_dies_before_it_is_switched_takes_the_other_one_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.warm()
    before, files, lost = shop.served(), shop.upstreams(), shop.proxy[1]
    once(monkeypatch, nginx, "switch", lost.power_off)
    with dead(lost):
        text = shop.failed(6, release.switch)
        assert {ask(shop.proxy[0].address)} == before
    assert "switch: the switch failed; 1 proxies are in doubt" in text
    assert f"{lost.address}: the connection was lost" in text
    assert f"{lost.address}  nginx  -" in shop.status()
    shop.start_nginx()
    assert (shop.served(), shop.upstreams()) == (before, files)


@pytest.mark.parametrize(("module", "name", "code"), [(lock, "hold", 5), (proof, "begin", 6)])
def test_a_proxy_that_dies_before_the_switch_leaves_the_other_one_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, module: object, name: str, code: int
) -> None:
    shop.warm()
    before, files, lost = shop.served(), shop.upstreams(), shop.proxy[1]
    once(monkeypatch, module, name, lost.power_off)
    with dead(lost):
        assert f"{lost.address}: the connection was lost" in shop.failed(code, release.switch)
        assert {ask(shop.proxy[0].address)} == before
    shop.start_nginx()
    assert (shop.served(), shop.upstreams()) == (before, files)


def test_a_proxy_that_dies_after_the_switch_leaves_it_in_doubt(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, lost = shop.warm(), shop.proxy[1]
    once(monkeypatch, proof, "switched", lost.power_off)
    with dead(lost):
        text = shop.failed(5, release.switch)
    assert f"prove: nginx sends visitors to slot {shop.live} ({version}), but it is not proved" in text
    assert f"{lost.address}: the connection was lost" in text
    shop.start_nginx()
    assert shop.served() == {version}


# --- a controller that is killed


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_release_that_is_killed_frees_the_lock_and_the_next_one_works(
    shop: Shop, how: signal.Signals
) -> None:
    began, before, version = shop.events().count("began"), shop.served(), shop.other
    words = ("release", "--stage", "test", "--version", version, "--ref", version)
    held = shop.app[0].run(f"flock /{FOLDER}/host.lock sleep 1000 >&- 2>&- & echo $!").stdout.strip()
    with ExitStack() as stack, shop.unnoticed():
        stack.callback(shop.app[0].run, f"pkill -P {held}; kill {held}", check=False)
        first = subprocess.Popen(
            ["fab", *words], cwd=shop.project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(first.wait)
        stack.callback(first.kill)
        wait_for(lambda: shop.events().count("began") > began, "the release to be at work", 120)
        second = shop.project.fab("rollback", "--stage", "test", check=False)
        assert "the stage is locked" in shop.status()
        first.send_signal(how)
        wait_for(shop.is_free, "the lock to be free")
    assert second.returncode == 4
    assert re.search(
        rf"stage test is locked by root@\S+ since \S+Z: release {version}\nnext: wait", second.stderr
    )
    assert re.search(
        rf"release {version} by root@\S+ \(\S+\) was cut off; run it again, or fab rollback", shop.status()
    )
    shop.release_again(version)
    assert "was cut off" not in shop.status()
    release.rollback(shop.configured(), "test")
    assert shop.served() == before


KILLS: dict[str, tuple[str, str, Callable[..., Report]]] = {
    "between two proxies": ("nginx_switch.sh", "proxy2", release.rollback),
    "while it proves": ("nginx_drain.sh", "proxy1", release.switch),
}


@pytest.mark.parametrize(("script", "host", "mend"), KILLS.values(), ids=KILLS)
def test_a_switch_that_is_killed_leaves_what_status_explains_and_a_command_mends(
    shop: Shop, script: str, host: str, mend: Callable[..., Report]
) -> None:
    version = shop.warm()
    before, address = shop.served(), shop.world.fleet.hosts[host].address
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, script, address],
        cwd=shop.project.folder,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    wait_for(shop.is_free, "the lock to be free")
    seen, text = shop.served(), shop.status()
    assert seen == ({version} if script == "nginx_drain.sh" else {version, *before})
    assert re.search(rf"switch {version} by root@\S+ \(\S+\) was cut off; run it again, or", text)
    assert ("the proxies do not agree" in text) == (len(seen) > 1)
    report = mend(shop.configured(), "test")
    assert shop.served() == {report.version}
    assert "look at" not in shop.status()


# --- stages of other kinds

KINDS = {
    "nginx of the system, as root": ("root", "system", "/srv/my-service"),
    "nginx of its own, as a plain user": ("deploy", "own", "/home/deploy/my-service"),
}


@pytest.mark.parametrize(("user", "kind", "prefix"), KINDS.values(), ids=KINDS)
def test_a_stage_is_released_to_and_switched_with(shop: Shop, user: str, kind: str, prefix: str) -> None:
    fleet, name = shop.world.fleet, f"{kind}-{user}"
    (app,), (proxy,) = fleet.add_many(1, "app"), fleet.add_many(1, "proxy")
    settings = {"user": user, "nginx": kind, "prefix": prefix}
    shop.project.configure(shop.world.stage([app], [proxy], name, **settings))
    for version in shop.versions:
        report = release.release(config.load(shop.project.folder), name, Wanted(version=version, ref=version))
        assert (ask(proxy.address), report.failed) == (version, 0)
    owner = (proxy.root / prefix[1:] / "nginx/upstream.conf").stat().st_uid
    assert owner == {"root": 0, "deploy": DEPLOY}[user]
    assert (proxy.root / "etc/nginx/conf.d/my-service.conf").exists() == (kind == "system")


# --- single acts


def test_a_slot_is_not_removed_while_somebody_is_at_work(shop: Shop) -> None:
    with lock.hold(Fleet(shop.configured().stage("test"))) as journal:
        journal.write(Began("release", "maria@desk", "just now"))
        text = shop.refused(4, slots.remove, Wanted(slot=shop.idle))
    assert "stage test is locked by maria@desk since just now: release" in text


def test_all_slots_of_some_hosts_are_no_leave_to_stop_what_serves_visitors(shop: Shop) -> None:
    before = shop.state()
    text = shop.refused(3, slots.remove, Wanted(hosts=shop.app[0].address), everything=True)
    assert f"slot {shop.live} is live; visitors are served from it" in text
    assert shop.state() == before


# --- going back


def test_going_back_twice_never_leads_forward_also_when_a_host_was_added(shop: Shop) -> None:
    """A new host holds nothing, so the release is staged again on all of them."""
    bad = shop.warm()
    good = shop.release_again(shop.other).version
    assert shop.release_again(bad).version == bad
    (new,) = shop.world.fleet.add_many(1, "added")
    wider = {"app": (*shop.configured().stage("test").app, Address(address=new.address))}
    report = release.rollback(shop.configured(**wider), "test")
    assert (report.action, report.version, shop.served()) == ("rollback", good, {good})
    assert len(report.hosts) == 3
    text = shop.failed(3, release.rollback, stage=wider)
    assert f"no slot holds a release older than the live one ({good}); beside it there is {bad}" in text
    assert shop.served() == {good}
    shop.release_again(bad)
    shop.release_again(good)


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


# --- what a deploy tells


def test_a_deploy_knows_the_commit_and_asks_only_the_hosts_it_is_for(shop: Shop) -> None:
    lost, target = shop.app[1], shop.app[0]
    with dead(lost):
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
    journal = shop.proxy[0].root / FOLDER / "journal.jsonl"
    text = journal.read_text()
    for host in shop.proxy:
        (host.root / FOLDER / "journal.jsonl").write_text(text + f"{written(Failed('deploy', 'no'))}\n" * 500)
    assert len(status.history(shop.configured(), "test", 450)) == 450
    assert len(status.history(shop.configured(), "test", 1)) == 1
    for number in (0, -3):
        assert "would show nothing" in shop.failed(2, status.history, number)
    for host in shop.proxy:
        (host.root / FOLDER / "journal.jsonl").write_text(text)
