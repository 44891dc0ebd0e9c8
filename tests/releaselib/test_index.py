"""The index tells what it holds and takes what is uploaded; here it is a real pypiserver."""

from __future__ import annotations

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import real
from releaselib import index, progress
from releaselib.config.tables import Index, OwnIndex
from releaselib.decide.files import File, missing, uv_wheel, wheels_of
from releaselib.errors import IndexFailed, Refused
from releaselib.index import simple
from releaselib.index.own import Own
from releaselib.index.simple import PASSWORD, Simple

NOBODY = Index(url="http://127.0.0.1:9/simple/", upload_url="http://127.0.0.1:9/", username="releaser")


def team(shelf: Index) -> Simple:
    """The same index as a team's: the password comes from the environment."""
    return Simple(shelf)


def test_every_file_of_a_project_is_told_with_its_sha256(shelf: OwnIndex) -> None:
    found = {file.name: file for file in index.of(shelf).files("shelf-lib")}
    folder = Path(shelf.folder) / "packages"
    assert set(found) == {"shelf_lib-1.0-py3-none-any.whl", "shelf_lib-1.1-py3-none-any.whl"}
    for name, file in found.items():
        assert file.sha256 == real.sha256(folder / name)
        assert file.version == name.split("-")[1]


@pytest.mark.parametrize("name", ["Shelf_Lib", "shelf.lib", "SHELF-LIB"])
def test_a_name_can_be_written_in_every_way(shelf: OwnIndex, name: str) -> None:
    assert len(index.of(shelf).files(name)) == 2


def test_of_an_unknown_project_there_is_nothing(shelf: OwnIndex) -> None:
    assert index.of(shelf).files("nowhere-to-be-found") == []


def test_all_projects_are_told(shelf: OwnIndex) -> None:
    assert {"shelf-app", "shelf-lib", "uv"} <= set(index.of(shelf).projects())


def test_an_index_that_cannot_be_reached_is_told_with_the_cause() -> None:
    with pytest.raises(IndexFailed) as caught:
        Simple(NOBODY).projects()
    assert caught.value.exit_code == 7
    assert caught.value.what == "the index http://127.0.0.1:9/simple/ cannot be reached"
    assert "Connection refused" in caught.value.cause
    assert caught.value.next_step == "curl http://127.0.0.1:9/simple/; fab index.serve starts one"


def test_files_of_an_index_that_cannot_be_reached_are_no_empty_list() -> None:
    with pytest.raises(IndexFailed, match="Connection refused"):
        Simple(NOBODY).files("shelf-lib")


def test_an_index_that_fails_is_told_with_its_answer() -> None:
    with real.Web({"/simple/shop/": (500, "disk on fire")}) as web:
        with pytest.raises(IndexFailed) as caught:
            Simple(Index(url=f"{web.url}/simple/")).files("shop")
        assert caught.value.what == f"the index {web.url}/simple/ does not answer as one"
        assert "500" in caught.value.cause


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<"])
def test_an_index_that_says_nothing_is_waited_for_with_words_and_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: bytes
) -> None:
    """Not a word, or none any more in the middle of its answer."""
    monkeypatch.setattr(simple, "TIMEOUT", 1)
    monkeypatch.setattr(progress, "SILENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple/"
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(silent.accept)
            answered = pool.submit(lambda: asked.result()[0].send(said))
            with pytest.raises(IndexFailed) as caught:
                Simple(Index(url=url)).files("shop")
            answered.result()
    assert caught.value.what == f"the index {url} said nothing for 1 s"
    assert capsys.readouterr().err.startswith(f"waiting for the index: {url}shop/\n")


def test_a_project_without_an_index_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        Simple(Index()).files("shop")
    assert caught.value.exit_code == 3
    assert caught.value.what == "release.toml has no [index] url"
    assert "fab index.serve" in caught.value.next_step


def test_the_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "sesame")
    assert Simple(NOBODY).password() == "sesame"


def test_an_index_of_ones_own_knows_its_password(shelf: OwnIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, "of another index")
    assert index.of(shelf).password() == (Path(shelf.folder) / "password").read_text()


def test_without_a_password_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(Refused) as caught:
        Simple(NOBODY).upload([Path("x.whl")])
    assert caught.value.exit_code == 3
    assert caught.value.what == "no password for http://127.0.0.1:9/"
    assert caught.value.next_step == "export RELEASELIB_INDEX_PASSWORD=... (user: releaser)"


def test_wrong_credentials_are_told_in_the_words_of_twine_and_without_the_password(
    shelf: OwnIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, "not-the-password")
    with pytest.raises(IndexFailed) as caught:
        team(shelf).upload([real.wheel(tmp_path, "forbidden", "1.0")])
    error = caught.value
    assert error.exit_code == 7
    assert error.what == f"the index {shelf.upload_url} refused the upload"
    assert "403" in error.cause
    assert "\x1b" not in error.cause
    assert error.next_step.startswith("check [index] username (releaser) and RELEASELIB_INDEX_PASSWORD")
    assert "not-the-password" not in str(error)
    assert index.of(shelf).files("forbidden") == []


def test_no_upload_is_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    Simple(NOBODY).upload([])


def test_an_upload_without_an_address_goes_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """twine takes an empty address for its own default, and would send wheel and password there."""
    monkeypatch.setenv(PASSWORD, "the team's")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    team_index = Simple(Index(url="http://index.internal/simple/", username="releaser"))
    with pytest.raises(Refused, match=r"has no \[index\] upload_url"):
        team_index.check_password()
    with pytest.raises(Refused, match=r"has no \[index\] upload_url") as caught:
        team_index.upload([tmp_path / "shop-1.0-py3-none-any.whl"])
    assert caught.value.next_step.endswith('upload_url = "http://index.internal/"')


def test_an_index_is_asked_for_one_project_alone_to_see_that_it_answers() -> None:
    """The page of all names is 17 MB on a mirror, and missing elsewhere."""
    with real.Web({"/simple/other/": (200, "<html>")}) as web:
        Simple(Index(url=f"{web.url}/simple/")).ping("shop")
        assert [path for path, _ in web.seen] == ["/simple/shop/"]
    with pytest.raises(IndexFailed, match="cannot be reached"):
        Simple(NOBODY).ping("shop")


def test_the_kind_of_an_index_follows_from_its_table(tmp_path: Path) -> None:
    assert type(index.of(NOBODY)) is Simple
    assert type(index.of(OwnIndex.at(9, str(tmp_path)))) is Own
    assert index.of(NOBODY).ensure() is False


def test_an_index_of_ones_own_holds_nothing_before_it_was_started(tmp_path: Path) -> None:
    own = index.of(OwnIndex.at(real.free_port(), str(tmp_path / "index")))
    assert own.files("shop") == []
    assert not (tmp_path / "index").exists(), "a look starts nothing"


WHEEL, SDIST = File("shop-1.0-py3-none-any.whl", "1.0", "", "aa"), File("shop-1.0.tar.gz", "1.0", "", "bb")


def test_wheels_of_a_version_are_no_sdists_and_no_others() -> None:
    other = File("shop-1.1-py3-none-any.whl", "1.1", "", "")
    assert wheels_of([WHEEL, SDIST, other], "1.0") == [WHEEL]
    assert wheels_of([SDIST], "1.0") == []


def test_an_index_that_tells_no_hash_has_no_other_bytes() -> None:
    """They are compared when they are read back."""
    held = [File(WHEEL.name, "1.0", "http://index/shop", "")]
    assert missing({f"/dist/{WHEEL.name}": "aa", f"/dist/{SDIST.name}": "bb"}, held) == [f"/dist/{SDIST.name}"]


def uv(version: str, platform: str) -> File:
    name = f"uv-{version}-py3-none-{platform}.whl"
    return File(name, version, f"http://index/{name}", "")


UV = {
    "the newest for the machine": (
        [
            uv("0.9.1", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
            uv("0.10.0", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
            uv("0.11.0", "manylinux_2_28_aarch64"),
        ],
        "x86_64",
        "0.10.0",
    ),
    "for another machine": ([uv("0.11.0", "manylinux_2_28_aarch64")], "aarch64", "0.11.0"),
    "none for the machine": ([uv("0.11.0", "manylinux_2_28_aarch64")], "x86_64", None),
    "not of musl": ([uv("0.11.0", "musllinux_1_1_x86_64")], "x86_64", None),
    "not of a mac": ([uv("0.11.0", "macosx_11_0_x86_64")], "x86_64", None),
    "no sdist": ([File("uv-0.11.0.tar.gz", "0.11.0", "", "")], "x86_64", None),
    "nothing": ([], "x86_64", None),
}


@pytest.mark.parametrize(("held", "machine", "version"), UV.values(), ids=UV)
def test_hosts_get_the_newest_uv_for_their_machine(held: list[File], machine: str, version: str | None) -> None:
    found = uv_wheel(held, machine)
    assert (found.version if found else None) == version
