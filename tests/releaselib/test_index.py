"""The index tells what it holds and takes what is uploaded; here it is a real pypiserver."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import real
from releaselib import index
from releaselib.errors import IndexFailed, Refused
from releaselib.index import File, files, password, projects, require, upload, uv_wheel
from releaselib.settings import Index

NOBODY = Index(url="http://127.0.0.1:9/simple/", upload_url="http://127.0.0.1:9/", username="releaser")


def team(shelf: Index) -> Index:
    """The same index as a team's: the password comes from the environment."""
    return shelf.model_copy(update={"folder": ""})


def test_every_file_of_a_project_is_told_with_its_sha256(shelf: Index) -> None:
    found = {file.name: file for file in files(shelf, "shelf-lib")}
    folder = Path(shelf.folder) / "packages"
    assert set(found) == {"shelf_lib-1.0-py3-none-any.whl", "shelf_lib-1.1-py3-none-any.whl"}
    for name, file in found.items():
        assert file.sha256 == real.sha256(folder / name)
        assert file.version == name.split("-")[1]


@pytest.mark.parametrize("name", ["Shelf_Lib", "shelf.lib", "SHELF-LIB"])
def test_a_name_can_be_written_in_every_way(shelf: Index, name: str) -> None:
    assert len(files(shelf, name)) == 2


def test_of_an_unknown_project_there_is_nothing(shelf: Index) -> None:
    assert files(shelf, "nowhere-to-be-found") == []


def test_all_projects_are_told(shelf: Index) -> None:
    assert {"shelf-app", "shelf-lib", "uv"} <= set(projects(shelf))


def test_an_index_that_cannot_be_reached_is_told_with_the_cause() -> None:
    with pytest.raises(IndexFailed) as caught:
        projects(NOBODY)
    assert caught.value.exit_code == 7
    assert caught.value.what == "the index http://127.0.0.1:9/simple/ cannot be reached"
    assert "Connection refused" in caught.value.cause
    assert caught.value.next_step == "curl http://127.0.0.1:9/simple/; fab index.serve starts one"


def test_files_of_an_index_that_cannot_be_reached_are_no_empty_list() -> None:
    with pytest.raises(IndexFailed, match="Connection refused"):
        files(NOBODY, "shelf-lib")


def test_an_index_that_fails_is_told_with_its_answer() -> None:
    with real.Web({"/simple/shop/": (500, "disk on fire")}) as web:
        with pytest.raises(IndexFailed) as caught:
            files(Index(url=f"{web.url}/simple/"), "shop")
        assert caught.value.what == f"the index {web.url}/simple/ does not answer as one"
        assert "500" in caught.value.cause


def test_a_project_without_an_index_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        require(Index())
    assert caught.value.exit_code == 3
    assert caught.value.what == "release.toml has no [index] url"
    assert "fab index.serve" in caught.value.next_step


def test_the_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(index.PASSWORD, "sesame")
    assert password(NOBODY) == "sesame"


def test_an_index_of_ones_own_knows_its_password(shelf: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(index.PASSWORD, "of another index")
    assert password(shelf) == (Path(shelf.folder) / "password").read_text()


def test_without_a_password_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(index.PASSWORD, raising=False)
    with pytest.raises(Refused) as caught:
        upload(NOBODY, [Path("x.whl")])
    assert caught.value.exit_code == 3
    assert caught.value.what == "no password for http://127.0.0.1:9/"
    assert caught.value.next_step == "export RELEASELIB_INDEX_PASSWORD=... (user: releaser)"


def test_wrong_credentials_are_told_in_the_words_of_twine_and_without_the_password(
    shelf: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(index.PASSWORD, "not-the-password")
    with pytest.raises(IndexFailed) as caught:
        upload(team(shelf), [real.wheel(tmp_path, "forbidden", "1.0")])
    error = caught.value
    assert error.exit_code == 7
    assert error.what == f"the index {shelf.upload_url} refused the upload"
    assert "403" in error.cause
    assert "\x1b" not in error.cause
    assert error.next_step.startswith("check [index] username (releaser) and RELEASELIB_INDEX_PASSWORD")
    assert "not-the-password" not in str(error)
    assert files(shelf, "forbidden") == []


def test_no_upload_is_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    upload(NOBODY, [])


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
def test_hosts_get_the_newest_uv_for_their_machine(
    held: list[File], machine: str, version: str | None
) -> None:
    found = uv_wheel(held, machine)
    assert (found.version if found else None) == version
