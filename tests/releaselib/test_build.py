"""A clean clone becomes sdist and wheel of exactly the version asked for."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.version import Version

import real
from releaselib import process
from releaselib.decide import files
from releaselib.errors import CommandFailed, Refused
from releaselib.output import as_json
from releaselib.wheels import build
from releaselib.wheels.source import clone

BACKEND = """
import io, os, sys, tarfile, zipfile

VERSION = os.environ.get("STAMP") or {version!r} or os.environ["SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_SHOP"]

def build_sdist(directory, settings=None):
    name = f"my_shop-{{VERSION}}"
    with tarfile.open(f"{{directory}}/{{name}}.tar.gz", "w:gz") as archive:
        archive.add("backend.py", f"{{name}}/backend.py")
        archive.add("pyproject.toml", f"{{name}}/pyproject.toml")
        info = tarfile.TarInfo(f"{{name}}/PKG-INFO")
        text = f"Metadata-Version: 2.1\\nName: my-shop\\nVersion: {{VERSION}}\\n".encode()
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    return f"{{name}}.tar.gz"

def build_wheel(directory, settings=None, metadata=None):
    {wheel}
    name = f"my_shop-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(f"{{directory}}/{{name}}", "w") as archive:
        info = f"my_shop-{{VERSION}}.dist-info"
        archive.writestr(f"{{info}}/METADATA", f"Name: my-shop\\nVersion: {{VERSION}}\\n")
        archive.writestr(f"{{info}}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        archive.writestr(f"{{info}}/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
SETUPTOOLS = """
[build-system]
requires = ["setuptools>=80", "setuptools-scm>=9"]
build-backend = "setuptools.build_meta"

[project]
name = "my-shop"
dynamic = ["version"]

[tool.setuptools_scm]
version_file = "my_shop/_version.py"
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


def project(folder: Path, *, version: str = "", wheel: str = "pass") -> Path:
    """A project that is built by a backend of its own, so that nothing has to be fetched."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND.format(version=version, wheel=wheel))
    return folder


def built(folder: Path, out: Path, version: str) -> build.Built:
    return build.build(folder, out, build.Stamp("my-shop", version, COMMIT, 1_700_000_000))


def names(made: build.Built) -> list[str]:
    return [Path(path).name for path in made.files]


def test_setuptools_scm_stamps_version_and_commit(repository: real.Repository, tmp_path: Path, out: Path) -> None:
    commit = repository.commit({"pyproject.toml": SETUPTOOLS, "my_shop/__init__.py": ""})
    folder = clone(repository.folder, commit, tmp_path / "clone")
    stamp = build.Stamp("my-shop", "2026.11.23.1+fix", commit, 1_700_000_000)
    made = build.build(folder, out, stamp)
    assert names(made) == ["my_shop-2026.11.23.1+fix-py3-none-any.whl", "my_shop-2026.11.23.1+fix.tar.gz"]
    with zipfile.ZipFile(made.wheel) as archive:
        written = archive.read("my_shop/_version.py").decode()
        assert {info.date_time[:3] for info in archive.infolist()} == {(2023, 11, 14)}
    assert "version = '2026.11.23.1+fix'" in written
    assert f"'g{commit[:9]}" in written


def test_it_builds_what_the_command_of_build_builds(repository: real.Repository, tmp_path: Path, out: Path) -> None:
    commit = repository.commit({"pyproject.toml": SETUPTOOLS, "my_shop/__init__.py": "", "my_shop/page.html": "<p>"})
    folder = clone(repository.folder, commit, tmp_path / "clone")
    stamp = build.Stamp("my-shop", "1.0", commit, 1_700_000_000)
    by_command = (sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(tmp_path / "dist"), str(folder))
    process.run(by_command, env=build.environment(stamp))
    made = build.build(clone(repository.folder, commit, tmp_path / "other"), out, stamp)
    assert (tmp_path / "dist" / made.wheel.name).read_bytes() == made.wheel.read_bytes()


def test_files_are_told_with_their_sha256_and_the_next_command_can_take_them(tmp_path: Path, out: Path) -> None:
    made = built(project(tmp_path / "project"), out, "1.0")
    assert made.files == {str(path): real.sha256(path) for path in sorted(out.iterdir())}
    assert len(made.files) == 2
    assert build.Built(**json.loads(as_json(made))) == made


def test_a_build_is_not_troubled_by_what_is_there_already(tmp_path: Path, out: Path) -> None:
    folder = project(tmp_path / "project")
    built(folder, out, "1.0")
    (out / "notes.gz").write_text("not of a build")
    assert names(built(folder, out, "2.0")) == ["my_shop-2.0-py3-none-any.whl", "my_shop-2.0.tar.gz"]
    assert len(list(out.iterdir())) == 5


def test_a_wheel_of_another_version_is_refused_and_not_left_behind(tmp_path: Path, out: Path) -> None:
    with pytest.raises(Refused) as caught:
        built(project(tmp_path / "project", version="1.4"), out, "2.0")
    assert caught.value.exit_code == 3
    assert caught.value.what == (
        "build: asked for version 2.0, but got my_shop-1.4-py3-none-any.whl, my_shop-1.4.tar.gz"
    )
    assert "setuptools-scm" in caught.value.next_step
    assert not list(out.iterdir())


def test_a_build_that_fails_shows_its_own_last_lines(tmp_path: Path, out: Path) -> None:
    folder = project(tmp_path / "project", wheel="raise RuntimeError('no such logo')")
    with pytest.raises(CommandFailed) as caught:
        built(folder, out, "1.0")
    assert caught.value.exit_code == 5
    assert caught.value.what == "build: my-shop 1.0 cannot be built"
    assert "RuntimeError: no such logo" in caught.value.cause
    assert caught.value.next_step == "mend the project; to see it alone: python -m build"
    assert not list(out.iterdir())


def test_what_builds_the_project_is_what_pyproject_pins_it_to(
    repository: real.Repository, tmp_path: Path, out: Path
) -> None:
    pinned = SETUPTOOLS + '\n[tool.uv]\nbuild-constraint-dependencies = ["setuptools<1"]\n'
    commit = repository.commit({"pyproject.toml": pinned, "my_shop/__init__.py": ""})
    folder = clone(repository.folder, commit, tmp_path / "clone")
    with pytest.raises(CommandFailed) as caught:
        build.build(folder, out, build.Stamp("my-shop", "1.0", commit, 1_700_000_000))
    assert "setuptools<1" in caught.value.cause


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/releaselib/build"


def test_what_a_build_leaves_in_its_environment_is_seen_by_no_other(tmp_path: Path, out: Path, cache: Path) -> None:
    look = "import pathlib; mark = pathlib.Path(sys.prefix, 'mark'); assert not mark.exists(); mark.touch()"
    folder = project(tmp_path / "project", wheel=look)
    for version in ("1.0", "1.1"):
        assert built(folder, out, version).version == version


def test_one_environment_is_kept_for_a_day(tmp_path: Path, out: Path, cache: Path) -> None:
    for name in ("2020-01-01-0123456789abcdef", "2020-01-01-killed"):
        (cache / name / "lib").mkdir(parents=True)
    folder = project(tmp_path / "project")
    with ThreadPoolExecutor() as pool:  # both find none
        list(pool.map(lambda version: built(folder, out, version), ("1.0", "1.1")))
    (kept,) = cache.iterdir()
    made = (kept / "pyvenv.cfg").stat()
    built(folder, out, "1.2")
    assert list(cache.iterdir()) == [kept]
    assert (kept / "pyvenv.cfg").stat().st_ino == made.st_ino


def test_other_requirements_have_another_environment(tmp_path: Path, out: Path, cache: Path) -> None:
    built(project(tmp_path / "project"), out, "1.0")
    pinned = project(tmp_path / "other")
    text = (pinned / "pyproject.toml").read_text()
    (pinned / "pyproject.toml").write_text(text + '\n[tool.uv]\nbuild-constraint-dependencies = ["setuptools<90"]\n')
    built(pinned, out, "1.1")
    assert len(list(cache.iterdir())) == 2


def test_what_another_index_gave_is_another_environment(
    tmp_path: Path, out: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path / "project")
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
        monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / place))
        built(folder, out, "1.0")
    assert len(list(cache.iterdir())) == 2


def test_a_build_sees_no_password(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASELIB_INDEX_PASSWORD", "s3cret")
    look = "import os; assert 'PATH' in os.environ and 'RELEASELIB_INDEX_PASSWORD' not in os.environ"
    assert built(project(tmp_path / "project", wheel=look), out, "1.0").version == "1.0"


CHECKED: dict[str, tuple[list[str], str]] = {
    "another version": (["my_shop-1.1-py3-none-any.whl", "my_shop-1.0.tar.gz"], "but got my_shop-1.1-py3"),
    "another sdist": (["my_shop-1.0-py3-none-any.whl", "my_shop-1.0.dev1.tar.gz"], "but got my_shop-1.0.dev1"),
    "another name for the commit": (["my_shop-1.0+g12ab-py3-none-any.whl"], "but got my_shop-1.0+g12ab"),
    "no wheel": (["my_shop-1.0.tar.gz"], "my-shop 1.0 gave no wheel"),
    "nothing": ([], "my-shop 1.0 gave no wheel"),
}


@pytest.mark.parametrize(("made", "words"), CHECKED.values(), ids=CHECKED)
def test_only_the_version_asked_for_will_do(made: list[str], words: str) -> None:
    with pytest.raises((Refused, CommandFailed), match=words.replace("+", r"\+")):
        build.check(made, "my-shop", "1.0")


def test_the_same_version_in_other_words_will_do() -> None:
    build.check(["my_shop-1.0rc1-py3-none-any.whl", "my_shop-1.0rc1.tar.gz"], "my-shop", "1.0-RC1")


VERSIONS = {
    "a wheel": ("my_shop-1.0-py3-none-any.whl", "1.0"),
    "a local version": ("my_shop-1.0+fix.1-py3-none-any.whl", "1.0+fix.1"),
    "an sdist": ("my_shop-2026.11.23.1.tar.gz", "2026.11.23.1"),
}


@pytest.mark.parametrize(("name", "version"), VERSIONS.values(), ids=VERSIONS)
def test_a_file_name_tells_its_version(name: str, version: str) -> None:
    assert files.version_of(name) == Version(version)


def test_what_stamps_a_build_is_named_after_the_project() -> None:
    assert build.environment(build.Stamp("My.Shop-x", "1.0", "abc", 7)) == {
        "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MY_SHOP_X": "1.0",
        "SETUPTOOLS_SCM_PRETEND_METADATA_FOR_MY_SHOP_X": '{node="gabc"}',
        "SOURCE_DATE_EPOCH": "7",
        "UV_NO_PROGRESS": "1",
    }


def archive(time: float, owner: str, **others: int) -> bytes:
    """An sdist as one machine makes it."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w", format=tarfile.PAX_FORMAT) as made:
        folder = tarfile.TarInfo("shop-1.0")
        folder.type, folder.mtime = tarfile.DIRTYPE, int(time)
        file = tarfile.TarInfo("shop-1.0/" + "long" * 40)
        file.size, file.mtime, file.uname, file.uid = 4, time, owner, len(owner)
        made.addfile(folder)
        made.addfile(file, io.BytesIO(b"text"))
    return gzip.compress(text.getvalue(), mtime=time)


def test_an_sdist_of_the_same_files_is_the_same_bytes() -> None:
    one, other = archive(1_700_000_001.25, "maria"), archive(1_700_000_777.5, "li")
    assert one != other
    assert build.steady(one, 1_600_000_000) == build.steady(other, 1_600_000_000)
    with tarfile.open(fileobj=io.BytesIO(build.steady(one, 1_600_000_000))) as made:
        folder, file = made.getmembers()
        read = made.extractfile(file)
        assert read is not None
        assert read.read() == b"text"
    assert (folder.isdir(), file.name, file.mtime) == (True, "shop-1.0/" + "long" * 40, 1_600_000_000)
