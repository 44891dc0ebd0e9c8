"""Hosts come, go and come back: after a restart, new, rebuilt, taken out; and what is told to visitors meanwhile."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from releaselib.actions import machines, release, status
from releaselib.decide.release import Wanted
from rig import Host, wait_for
from rig.visitors import LISTEN

from .shop import FOLDER, Shop, when

pytestmark = pytest.mark.hosts


# --- a restart


def test_an_app_host_comes_back_after_a_restart_with_its_live_and_its_warm_slot(shop: Shop) -> None:
    shop.release_again(shop.other)
    lost = shop.app[2]
    with shop.mortal(lost):
        lost.power_off()
    assert lost.address in shop.behind(shop.live)
    wait_for(lambda: shop.is_up(lost, shop.idle), "the warm slot to be up")
    wait_for(lambda: "look at" not in shop.status(), "all to be well", 30)
    report = release.rollback(shop.configured(), "test")
    assert (report.failed, shop.served()) == (0, {report.version})


def test_the_entry_for_the_restart_comes_back_beside_those_that_are_somebody_elses(shop: Shop) -> None:
    host, mine = shop.app[2], '5 5 1 1 * echo "*" # mine'
    host.run(f"echo '{mine}' | crontab -")
    for _ in range(2):
        shop.release_again(shop.other)
        assert host.run("crontab -l").stdout.splitlines() == [mine, f"@reboot /{FOLDER}/boot.sh"]
    host.run(f"crontab -l | grep -vF '{mine}' | crontab -")


def test_settings_are_there_again_after_a_restart(shop: Shop) -> None:
    shop.release_again(shop.other, env={"SHOP_SIGN": "it's open"})
    lost = shop.app[2]
    with shop.mortal(lost):
        lost.power_off()
    processes = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
    assert "SHOP_SIGN=it's open\n" in lost.run(processes).stdout
    other = shop.configured(env={"SHOP_SIGN": "closed", "SHOP_TILL": "2"})
    plan = str(release.plan(other, "test", Wanted(version=shop.other, ref=shop.other)))
    assert "\nsettings: SHOP_SIGN differs, SHOP_TILL new\n" in plan


def test_a_proxy_comes_back_after_a_restart_with_the_slot_that_was_live(shop: Shop) -> None:
    shop.release_again(shop.other)
    (version,), lost = shop.served(), shop.proxy[0]
    with shop.mortal(lost):
        lost.power_off()
    assert shop.served() == {version}
    assert "look at" not in shop.status()


def test_hosts_that_restart_during_a_release_come_back_with_what_was_live(shop: Shop) -> None:
    shop.empty(*shop.app)
    app, proxy, idle, (version,) = shop.app[3], shop.proxy[0], shop.idle, shop.served()

    def restart() -> None:
        app.power_off()
        proxy.power_off()

    folder = app.root / FOLDER / "slots" / idle
    with shop.mortal(app), shop.mortal(proxy), shop.wrong("waits", *shop.app):
        at_work = shop.counted()
        with when(lambda: app.address in at_work() and folder.joinpath("venv").exists(), restart, "it to be at work"):
            text = shop.failed(6, release.release, Wanted(version=shop.other, ref=shop.other))
    assert app.address in text
    assert "nothing was switched" in text
    assert shop.served() == {version}
    assert not (folder / "healthy").exists(), "what is half built does not run"
    shop.release_again(shop.other)
    assert "look at" not in shop.status()


# --- hosts of release.toml


@contextmanager
def listed(shop: Shop, *more: Host) -> Iterator[None]:
    """More app hosts in release.toml, for the length of the block."""
    app = list(shop.app)
    write(shop, [*app, *more])
    try:
        yield
    finally:
        write(shop, app)


def write(shop: Shop, app: list[Host]) -> None:
    """These app hosts of the stage in release.toml."""
    file = shop.project.folder / "release.toml"
    old, new = (json.dumps([one.address for one in some]) for some in (shop.app, app))
    file.write_text(file.read_text().replace(old, new))
    shop.project.commit("Other hosts")
    shop.app[:] = app


def test_a_host_is_added_with_the_live_release_and_taken_out_again(shop: Shop) -> None:
    (new,) = shop.world.fleet.add_many(1, "more")
    with listed(shop, new):
        assert f"left out, no visitor gets there: {new.address}: fab deploy --missing --stage test" in shop.status()
        assert new.address not in shop.behind(shop.live)
        built = shop.counted()
        with shop.reloading():
            assert shop.project.fab("deploy", "--missing", "--stage", "test").returncode == 0
        assert new.address in shop.behind(shop.live)
        assert built() == [], "nothing is built on the hosts that were there, nor in another slot"
        assert "look at" not in shop.status()
        with shop.reloading():
            shop.release_again(shop.other)
    gone = f"visitors get to hosts that are not in release.toml: {new.address}: fab nginx.sync --stage test"
    assert gone in shop.status()
    with shop.reloading():
        shop.project.fab("nginx.sync", "--stage", "test")
    assert new.address not in shop.behind(shop.live)
    assert "look at" not in shop.status()


def test_a_host_that_was_rebuilt_from_nothing_is_brought_back(shop: Shop) -> None:
    rebuilt = shop.app[1]
    with shop.mortal(rebuilt):
        rebuilt.power_off()
        shutil.rmtree(rebuilt.root / FOLDER)
        rebuilt.power_on()
        assert f"does not run there: {rebuilt.address}: fab deploy --missing" in shop.status()
        with shop.reloading():
            release.join(shop.configured(), "test")
    assert rebuilt.address in shop.behind(shop.live)
    shop.release_again(shop.other)
    assert "look at" not in shop.status()


def test_a_proxy_that_was_rebuilt_from_nothing_serves_what_the_other_one_does(shop: Shop) -> None:
    new, rebuilt = shop.other, shop.proxy[1]
    with shop.mortal(rebuilt):
        rebuilt.power_off()
        shutil.rmtree(rebuilt.root / FOLDER)
        rebuilt.power_on()
        shop.release_again(new)
    assert "look at" not in shop.status()


def test_a_host_that_was_away_serves_its_old_release_to_nobody_when_it_returns(shop: Shop) -> None:
    shop.warm()
    lost = shop.app[3]
    with shop.mortal(lost):
        lost.power_off()
        for _ in range(2):  # then the slot that is live there has another release everywhere else
            shop.project.commit("Work")
            shop.publish()
            with shop.reloading():
                shop.release_again(shop.versions[-1], max_failures=1)
    assert lost.address not in shop.behind("a") + shop.behind("b")
    with shop.reloading():
        release.join(shop.configured(), "test")
    assert lost.address in shop.behind(shop.live)
    with shop.reloading():
        shop.release_again(shop.other)


# --- a rehearsal, and a pause


def test_a_drill_does_everything_but_the_switch(shop: Shop) -> None:
    version = shop.served().pop()
    shop.release_again(shop.other)
    state = shop.holds()
    text = shop.project.fab("drill", "--stage", "test").stdout
    assert f"a rollback to {version} (slot {shop.idle}) is ready on 2 proxies" in text
    assert shop.holds() == state


def test_visitors_get_a_page_during_maintenance(shop: Shop) -> None:
    (before,), new = shop.served(), shop.other
    with shop.losing():
        machines.maintain(shop.configured(), "test", "We move <house>.")
        try:
            for proxy in shop.proxy:
                with pytest.raises(urllib.error.HTTPError) as caught:
                    urllib.request.urlopen(f"http://{proxy.address}:{LISTEN}/")
                assert (caught.value.code, caught.value.headers["Retry-After"]) == (503, "60")
                assert "We move &lt;house&gt;." in caught.value.read().decode()
            assert "everybody gets the maintenance page: fab maintenance.off --stage test" in shop.status()
            release.release(shop.configured(), "test", Wanted(version=new, ref=new))
        finally:
            machines.maintain(shop.configured(), "test", "")
    assert before != new
    assert shop.served() == {new}
    assert "look at" not in str(status.status(shop.configured(), "test"))
