"""One resolution for all hosts, from the team's index alone."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import real
from releaselib.config.app import App
from releaselib.config.inventory import Host
from releaselib.config.tables import Index, OwnIndex
from releaselib.decide.seen import AppSeen
from releaselib.decide.view import View
from releaselib.errors import IndexFailed, Refused
from releaselib.wheels.resolve import Target, command, exact, pins, resolve, tools

HERE = Target(".".join(platform.python_version_tuple()[:2]), platform.machine())


def test_everything_is_pinned_with_the_hashes_of_the_index(shelf: OwnIndex) -> None:
    text = resolve(["shelf-app==1.0"], shelf, HERE)
    assert pins(text) == {"shelf-app": "1.0", "shelf-lib": "1.1"}
    folder = Path(shelf.folder) / "packages"
    for name in ("shelf_app-1.0", "shelf_lib-1.1"):
        assert f"--hash=sha256:{real.sha256(folder / f'{name}-py3-none-any.whl')}" in text


def test_the_lock_of_the_project_decides(shelf: OwnIndex) -> None:
    text = resolve(["shelf-app"], shelf, HERE, constraints="shelf-lib==1.0\n")
    assert pins(text)["shelf-lib"] == "1.0"


def test_a_wheel_that_is_not_published_yet_can_be_resolved(shelf: OwnIndex, tmp_path: Path) -> None:
    wheel = real.wheel(tmp_path, "resolved-shop", "2.0", requires=["shelf-lib<1.1"])
    text = resolve(["resolved-shop==2.0"], shelf, HERE, links=tmp_path)
    assert pins(text) == {"resolved-shop": "2.0", "shelf-lib": "1.0"}
    assert real.sha256(wheel) in text


@pytest.mark.parametrize("target", [Target("3.9", "x86_64"), Target("3.12", "aarch64")])
def test_it_is_resolved_for_the_hosts_and_not_for_this_machine(shelf: OwnIndex, tmp_path: Path, target: Target) -> None:
    marked = [
        f"shelf-lib==1.0; python_version == '{target.python}' and platform_machine == '{target.machine}'",
        f"shelf-lib==1.1; python_version != '{target.python}' or platform_machine != '{target.machine}'",
    ]
    real.wheel(tmp_path, "resolved-shop", "2.0", requires=marked)
    assert pins(resolve(["resolved-shop"], shelf, target, links=tmp_path))["shelf-lib"] == "1.0"


SURROUNDINGS = {
    "UV_FIND_LINKS": "{folder}",
    "PIP_FIND_LINKS": "{folder}",
    "UV_INDEX": "{url}",
    "UV_EXTRA_INDEX_URL": "{url}",
    "UV_DEFAULT_INDEX": "{url}",
    "UV_CONSTRAINT": "{folder}/constraints.txt",
    "UV_CONFIG_FILE": "{folder}/uv.toml",
}


@pytest.mark.parametrize("variable", SURROUNDINGS)
def test_no_other_index_is_asked_whatever_the_environment_says(
    shelf: OwnIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    real.wheel(tmp_path, "shelf-lib", "9.9")
    (tmp_path / "constraints.txt").write_text("shelf-lib<1.1\n")
    (tmp_path / "uv.toml").write_text(f'find-links = ["{tmp_path}"]\n')
    with real.Web({}) as other:
        monkeypatch.setenv(variable, SURROUNDINGS[variable].format(folder=tmp_path, url=other.url))
        assert pins(resolve(["shelf-lib"], shelf, HERE)) == {"shelf-lib": "1.1"}
        assert other.seen == []


LACKING = {
    "the wanted itself": (["gone"], "", "the index lacks gone", " --packages gone"),
    "what a dependency needs": (
        ["shelf-broken"],
        "",
        "the index lacks nowhere-to-be-found",
        " --packages nowhere-to-be-found",
    ),
    "a version": (["shelf-lib==9"], "", "the index has no version of shelf-lib that will do", ""),
    "what only some Pythons need": (
        ["shelf-lib", "gone; python_version > '3'"],
        "",
        "the index has no version of gone that will do",
        "",
    ),
    "wheels for those Pythons": (["shelf-abi"], "", "the index has no version of shelf-abi that will do", ""),
    "such wheels of the one in the lock": (
        ["shelf-abi"],
        "shelf-abi==1.0\n",
        "the index has no version of shelf-abi that will do",
        "",
    ),
    "a newer one": (["shelf-lib>=2"], "", "the index has no version of shelf-lib that will do", ""),
    "one between": (["shelf-lib>1,<1.1"], "", "the index has no version of shelf-lib that will do", ""),
    "the one of the lock": (
        ["shelf-app"],
        "shelf-lib==1.5\n",
        "the index has no version of shelf-lib that will do",
        "",
    ),
    "what is no requirement": (["one two"], "", "the dependencies cannot be resolved", ""),
}


@pytest.mark.parametrize(("wanted", "lock", "what", "sync"), LACKING.values(), ids=LACKING)
def test_what_the_index_lacks_is_named_with_the_command_that_mends_it(
    shelf: OwnIndex, wanted: list[str], lock: str, what: str, sync: str
) -> None:
    with pytest.raises(Refused) as caught:
        resolve(wanted, shelf, HERE, constraints=lock)
    assert caught.value.exit_code == 3
    assert caught.value.what == f"resolve: {what} ({shelf.url})"
    assert caught.value.cause
    assert caught.value.next_step == f"fab index.sync{sync}"


def test_what_has_only_an_sdist_is_refused_because_hosts_have_no_compiler(shelf: OwnIndex, tmp_path: Path) -> None:
    (tmp_path / "resolved_shop-2.0.tar.gz").write_bytes(b"")
    with pytest.raises(Refused, match="resolved-shop"):
        resolve(["resolved-shop"], shelf, HERE, links=tmp_path)


@pytest.mark.parametrize("code", [401, 403])
def test_an_index_that_wants_a_password_is_not_taken_for_one_that_lacks_something(code: int) -> None:
    with real.Web({"/simple/shop/": (code, "no")}) as web, pytest.raises(IndexFailed) as caught:
        resolve(["shop"], Index(url=f"{web.url}/simple/"), HERE)
    assert caught.value.what == f"resolve: the index {web.url}/simple/ lets nobody read without a password"
    assert f"{code} " in caught.value.cause
    assert "set [index] read_username" in caught.value.next_step


def test_an_index_that_fails_is_not_taken_for_one_that_lacks_something() -> None:
    with real.Web({"/simple/shop/": (400, "no")}) as web, pytest.raises(IndexFailed) as caught:
        resolve(["shop"], Index(url=f"{web.url}/simple/"), HERE)
    assert caught.value.exit_code == 7
    assert caught.value.what == f"resolve: the index {web.url}/simple/ does not answer"
    assert "400 Bad Request" in caught.value.cause
    assert caught.value.next_step == f"curl {web.url}/simple/"


def test_the_hosts_get_a_supervisor_that_knows_their_python() -> None:
    assert [Requirement(text).name for text in tools(App())] == ["supervisor"]


def test_for_hosts_like_this_machine_uv_is_not_told_a_platform(tmp_path: Path) -> None:
    index = Index(url="http://index/simple/")
    here = command(tmp_path, index, HERE, constraints=tmp_path, links=tmp_path)
    there = command(tmp_path, index, Target("3.12", "riscv64"), constraints=tmp_path, links=tmp_path)
    assert "--python-platform" not in here
    assert there[there.index("--python-platform") + 1] == "riscv64-unknown-linux-gnu"


PINS = {
    "with hashes": (
        "a==1.0 \\\n    --hash=sha256:aa\nb-c==2.0+x \\\n    --hash=sha256:bb\n",
        {"a": "1.0", "b-c": "2.0+x"},
    ),
    "comments": ("# a==1.0\nb==2.0\n", {"b": "2.0"}),
    "nothing": ("", {}),
}


@pytest.mark.parametrize(("text", "found"), PINS.values(), ids=PINS)
def test_pins_are_read_from_a_resolution(text: str, found: dict[str, str]) -> None:
    assert pins(text) == found


EXACT = {
    "a pin": ("a==1.0", "a===1.0"),
    "with hashes": ("a==1.0 \\\n    --hash=sha256:aa", "a===1.0 \\\n    --hash=sha256:aa"),
    "with a marker": ("a==1.0+x ; os_name == 'posix'", "a===1.0+x ; os_name == 'posix'"),
    "exact already": ("a===1.0", "a===1.0"),
    "no pin of one version": ("a==1.*\nb>=2\nc==1,!=1.0.1\nd", "a==1.*\nb>=2\nc==1,!=1.0.1\nd"),
}


@pytest.mark.parametrize(("text", "made"), EXACT.values(), ids=EXACT)
def test_a_pin_is_of_one_version_alone(text: str, made: str) -> None:
    assert exact(text) == made


def test_a_version_with_a_label_is_not_taken_for_the_one_without(shelf: Index, tmp_path: Path) -> None:
    """By PEP 440 ``==1.0`` is also 1.0+fixbug, and uv takes the higher one."""
    for version in ("1.0", "1.0+fixbug"):
        real.wheel(tmp_path, "labelled", version)
    assert pins(resolve(["labelled==1.0"], shelf, HERE, links=tmp_path)) == {"labelled": "1.0"}
    assert pins(resolve(["labelled"], shelf, HERE, constraints="labelled==1.0", links=tmp_path)) == {"labelled": "1.0"}
    assert pins(resolve(["labelled==1.0+fixbug"], shelf, HERE, links=tmp_path)) == {"labelled": "1.0+fixbug"}


PYTHONS = {"3.11.7": ("3.11", "3.11.7"), "3.12.3+": ("3.12", "3.12.3"), "3.14.0rc2": ("3.14", "3.14.0")}


@pytest.mark.parametrize(("python", "markers"), PYTHONS.items())
def test_wheels_are_for_the_very_python_of_the_hosts(python: str, markers: tuple[str, str]) -> None:
    """A package may need 3.11.5; for uv 3.11 is 3.11.0."""
    target = Target.of(AppSeen(python, "x86_64", {}))
    assert (target.markers["python_version"], target.markers["python_full_version"]) == markers


def test_of_several_hosts_the_oldest_python_counts() -> None:
    hosts = {
        Host(address=f"h{n}"): AppSeen(python, "x86_64", {}) for n, python in enumerate(("3.11.10", "3.11.9", "3.12.1"))
    }
    assert View(hosts, {}).any_app.python == "3.11.9"
