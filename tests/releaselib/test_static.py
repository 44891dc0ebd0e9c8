"""Static files: read from a slot, laid down on a proxy, and served there by a real nginx."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests
from test_nginx import Shop

import real
from releaselib.actions import static as acts
from releaselib.decide.static import PORTION, Static, of_host, portions
from releaselib.errors import CommandFailed, HostsFailed
from releaselib.hosts.fleet import Fleet

SIZES = {
    "nothing": ([], []),
    "small ones go together": ([1, 2, 3], [3]),
    "a great one goes alone": ([PORTION + 1, 2, 3], [1, 2]),
    "no more than fits": ([PORTION, 1], [1, 1]),
}


@pytest.mark.parametrize(("sizes", "counts"), SIZES.values(), ids=SIZES)
def test_files_travel_in_portions(sizes: list[int], counts: list[int]) -> None:
    files = {f"{n}.css": Static(f"{n}", size) for n, size in enumerate(sizes)}
    found = list(portions(files, [one.digest for one in files.values()]))
    assert [len(portion) for portion in found] == counts
    assert sorted(digest for portion in found for digest in portion) == sorted(one.digest for one in files.values())


@pytest.mark.parametrize("path", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "a\nb"])
def test_a_host_cannot_have_files_put_elsewhere_on_the_proxies(path: str) -> None:
    with pytest.raises(CommandFailed, match="no path for a static file"):
        of_host("10.0.0.1", {"good.css": ["0" * 64, 1], path: ["0" * 64, 1]})


def test_a_host_cannot_give_a_file_a_name_of_its_own_choice_there() -> None:
    with pytest.raises(CommandFailed, match="no path for a static file"):
        of_host("10.0.0.1", {"good.css": ["../../live/a", 1]})


# --- with a real nginx, two slots, and an app that is asked for what is no file


@pytest.fixture
def shop(nginx_program: str, short: Path) -> Iterator[Shop]:
    port = real.free_port(100)
    table = {"port_base": port, "processes": 1, "listen": f"127.0.0.1:{port + 90}", "static": {"keep_days": 7}}
    made = Shop(Fleet(real.stage(short, **table)))
    pages = {"/static/of-the-app.css": (200, "by the app")}
    with (
        real.Web({"/healthz": real.healthy("1.0"), **pages}, port=port) as made.old,
        real.Web({"/healthz": real.healthy("2.0"), **pages}, port=port + 10) as made.new,
    ):
        made.learn("a", "1.0")
        made.learn("b", "2.0")
        made.switch("a")
        yield made
        real.end_nginx(made.stage)


def lay(shop: Shop, slot: str, files: Mapping[str, str], folder: str = "static") -> int:
    """Have a slot hold these files, and its proxy serve them; how many that lacked."""
    place = Path(shop.stage.paths.slot(slot)) / folder
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    return acts.bring(Fleet(shop.stage), slot, shop.stage.app[0], shop.stage.proxy)


def test_the_files_of_the_live_slot_are_served_and_those_of_another_are_found_too(shop: Shop) -> None:
    assert lay(shop, "a", {"app.css": "old", "app.0123456789ab.css": "old", "img/a b.svg": "<svg/>"}) == 2, (
        "each content once"
    )
    assert shop.ask("/static/app.css") == (200, "old")
    assert shop.ask("/static/img/a%20b.svg") == (200, "<svg/>")
    assert shop.ask("/static/app.ffffffffffff.css")[0] == 404, "nobody has it yet"
    assert lay(shop, "b", {"app.css": "new", "app.ffffffffffff.css": "new", "img/a b.svg": "<svg/>"}) == 1
    assert shop.ask("/static/app.css") == (200, "old"), "a name that both have is of the live slot"
    assert shop.ask("/static/app.ffffffffffff.css") == (200, "new"), "a page of the new release, from another proxy"
    shop.switch("b")
    assert shop.ask("/static/app.css") == (200, "new")
    assert shop.ask("/static/app.0123456789ab.css") == (200, "old"), "a page from before the switch"
    shop.switch("a")
    assert shop.ask("/static/app.css") == (200, "old")


def test_what_is_no_file_is_asked_of_the_app_and_nothing_else_is_served(shop: Shop) -> None:
    lay(shop, "a", {"app.css": "old"})
    (Path(shop.stage.paths.static) / "kept/other").mkdir()
    (Path(shop.stage.paths.static) / "kept/other/secret").write_text("secret")
    assert shop.ask("/static/of-the-app.css") == (200, "by the app")
    for path in ("/-/static/a/static/app.css", "/other/secret", "/static/../other/secret", "/static/", "/static"):
        assert shop.ask(path)[0] == 404, path


def test_a_name_with_a_hash_is_kept_by_browsers_and_text_is_compressed(shop: Shop) -> None:
    lay(shop, "a", {"app.css": "a { color: red }" * 99, "app.0123456789ab.css": "x", "logo.PNG": "x"})
    plain = requests.get(f"{shop.url}/static/app.css")
    assert (plain.headers["Content-Type"], plain.headers["Content-Encoding"]) == ("text/css", "gzip")
    assert "Cache-Control" not in plain.headers
    assert "immutable" in requests.get(f"{shop.url}/static/app.0123456789ab.css").headers["Cache-Control"]
    again = requests.get(f"{shop.url}/static/app.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status_code == 304


def test_files_come_from_what_is_installed_too_and_no_link_leads_out(shop: Shop) -> None:
    site = Path(shop.stage.paths.slot("a")) / "venv/lib/python3.11/site-packages/my_shop/assets"
    site.mkdir(parents=True)
    (site / "app.css").write_text("installed")
    (site / "passwd").symlink_to("/etc/passwd")
    assert shop.stage.static
    shop.stage = shop.stage.model_copy(
        update={"static": shop.stage.static.model_copy(update={"folder": "my_shop/assets"})}
    )
    assert acts.bring(Fleet(shop.stage), "a", shop.stage.app[0], shop.stage.proxy) == 1
    assert shop.ask("/static/app.css") == (200, "installed")
    assert shop.ask("/static/passwd")[0] == 404


def test_a_slot_without_that_folder_is_told(shop: Shop) -> None:
    with pytest.raises(CommandFailed) as caught:
        acts.bring(Fleet(shop.stage), "a", shop.stage.app[0], shop.stage.proxy)
    assert caught.value.what == "local: it has no such folder of static files"
    assert caught.value.cause == "no folder static in slot a, nor in what is installed there"


def test_what_no_slot_has_any_more_goes_after_its_days(shop: Shop) -> None:
    lay(shop, "a", {"app.1111111111.css": "first"})
    lay(shop, "b", {"app.2222222222.css": "second"})
    trees = Path(shop.stage.paths.static) / "trees"

    def release(text: str, age: float) -> list[int]:
        """Another release in slot b, that many days after the one before was replaced."""
        for file in (Path(shop.stage.paths.slot("b")) / "static").iterdir():
            file.unlink()
        lay(shop, "b", {f"app.{text}.css": text})
        for tree in trees.iterdir():
            os.utime(tree, (time.time() - 86400 * age,) * 2)
        return [shop.ask(f"/static/app.{one}.css")[0] for one in ("1111111111", "2222222222", text)]

    assert release("3333333333", 6.9) == [200, 200, 200], "of the second only the page of a visitor is left"
    assert release("4444444444", 7.1) == [200, 200, 200]
    assert release("5555555555", 0) == [200, 404, 200], "the first is still that of slot a"
    left = {path.name for path in (Path(shop.stage.paths.static) / "files").iterdir()}
    assert len(left) == 3, "contents that nobody links to are gone"


def test_what_was_a_file_can_be_a_folder_and_back_again(shop: Shop) -> None:
    lay(shop, "a", {"app": "a file"})
    assert lay(shop, "b", {"app/x/y.css": "in a folder"}) == 1
    assert shop.ask("/static/app/x/y.css") == (200, "in a folder")
    shutil.rmtree(Path(shop.stage.paths.slot("a")) / "static")
    lay(shop, "a", {"app/x": "a file in it"})
    assert shop.ask("/static/app/x") == (200, "a file in it")


def test_a_file_that_arrives_as_something_else_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releaselib.hosts.static.Source.contents", lambda self, some: dict.fromkeys(some, "AAAA"))
    with pytest.raises(HostsFailed, match="arrived as something else"):
        lay(shop, "a", {"app.css": "old"})
    assert shop.ask("/static/app.css")[0] == 404
