"""What was built is on the index, byte for byte, or publishing fails."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

import real
from releaselib import config, index
from releaselib.actions import wheels
from releaselib.config.tables import Index, OwnIndex
from releaselib.decide.files import File, missing
from releaselib.errors import IndexFailed, Refused
from releaselib.index.own import Own
from releaselib.index.publish import compare, publish
from releaselib.index.simple import PASSWORD, Simple
from releaselib.wheels.build import Built

WHEEL, SDIST = "my_shop-1.0-py3-none-any.whl", "my_shop-1.0.tar.gz"
BUILT = {f"/out/{WHEEL}": "aa", f"/out/{SDIST}": "bb"}


def held(**files_: str) -> list[File]:
    names = {"wheel": WHEEL, "sdist": SDIST, "other": "my_shop-0.9-py3-none-any.whl"}
    return [File(names[key], "1.0", "", digest) for key, digest in files_.items()]


MISSING = {
    "all on an empty index": (held(), [WHEEL, SDIST]),
    "the second after half an upload": (held(wheel="aa"), [SDIST]),
    "nothing when it is run again": (held(wheel="aa", sdist="bb"), []),
    "all beside other versions": (held(other="cc"), [WHEEL, SDIST]),
}


@pytest.mark.parametrize(("there", "names"), MISSING.values(), ids=MISSING)
def test_only_what_is_missing_is_uploaded(there: list[File], names: list[str]) -> None:
    assert [Path(path).name for path in missing(BUILT, there)] == names


def test_a_version_that_the_index_has_with_other_bytes_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        missing(BUILT, held(wheel="aa", sdist="other"))
    assert caught.value.exit_code == 3
    assert caught.value.what == f"publish: the index has other bytes as {SDIST}"
    assert caught.value.next_step == "release another version; a published file never changes"


def test_nothing_is_uploaded_of_a_version_whose_tag_is_on_another_commit(repository: real.Repository) -> None:
    """The index is asked for nothing: it is down here."""
    repository.git("tag", "1.0")
    later = repository.commit({"a.txt": "2"})
    table = {"index": {"url": "http://127.0.0.1:9/simple/"}}
    project = config.parse(table, root=repository.folder, name=real.PROJECT)
    with pytest.raises(Refused, match=r"tag 1\.0 is on another commit"):
        wheels.publish(project, Built("1.0", later, BUILT))


def test_a_file_is_uploaded_once_and_never_changed(shelf: Index, tmp_path: Path) -> None:
    one = real.wheel(tmp_path, "published", "1.0")
    for uploaded in ([one.name], []):
        assert publish(index.of(shelf), "published", {str(one): real.sha256(one)}) == uploaded
    (found,) = index.of(shelf).files("published")
    assert found.sha256 == real.sha256(one)
    other = tmp_path / "other"
    other.mkdir()
    changed = real.wheel(other, "published", "1.0", files={"published/new.py": "x = 1"})
    with pytest.raises(Refused, match="other bytes"):
        publish(index.of(shelf), "published", {str(changed): real.sha256(changed)})
    assert index.of(shelf).files("published") == [found]


class Overtaken(Own):
    """An index on which somebody publishes the same just after it was looked at."""

    meanwhile: Path

    def files(self, project: str) -> list[File]:
        before = super().files(project)
        if self.meanwhile.exists():
            super().upload([self.meanwhile])
            self.meanwhile.unlink()
        return before


@pytest.mark.parametrize(("name", "changed"), [("faster", True), ("as-fast", False)])
def test_whoever_was_overtaken_is_told_what_is_there(shelf: OwnIndex, tmp_path: Path, name: str, changed: bool) -> None:
    mine = real.wheel(tmp_path, name, "1.0")
    there = Overtaken(shelf)
    (tmp_path / "theirs").mkdir()
    there.meanwhile = real.wheel(tmp_path / "theirs", name, "1.0", files={"new.py": "x = 1"} if changed else None)
    if changed:
        with pytest.raises(Refused, match="the index has other bytes as"):
            publish(there, name, {str(mine): real.sha256(mine)})
    else:
        publish(there, name, {str(mine): real.sha256(mine)})
    assert len(index.of(shelf).files(name)) == 1


class Halving:
    """An index whose disk is full: it keeps half of what is uploaded, and lists that with its sha256.

    While an upload is on its way it looks for the password on the command lines of this machine.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.told = False
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                for part in message_from_bytes(head + body).walk():
                    if name := part.get_filename():
                        content = part.get_payload(decode=True)
                        assert isinstance(content, bytes)
                        index.files[name] = content[: len(content) // 2]
                index.told |= any("sesame-for-the-halving-one" in words for words in real.command_lines())
                self.answer(b"")

            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                if name in index.files:
                    self.answer(index.files[name])
                else:
                    links = (
                        f'<a href="/{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>'
                        for name, content in index.files.items()
                    )
                    self.answer("".join(links).encode())

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/zip" if self.path.endswith(".whl") else "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.index = Index(url=f"{url}simple/", upload_url=url, username="releaser")
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def halving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Halving]:
    monkeypatch.setenv(PASSWORD, "sesame-for-the-halving-one")
    made = Halving()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_truncated_upload_is_found_by_reading_back(halving: Halving, tmp_path: Path) -> None:
    wheel = real.wheel(tmp_path, "my-shop", "1.0")
    with pytest.raises(IndexFailed) as caught:
        publish(index.of(halving.index), "my-shop", {str(wheel): real.sha256(wheel)})
    digest = hashlib.sha256(halving.files[WHEEL]).hexdigest()
    assert caught.value.exit_code == 7
    assert caught.value.what == (
        f"publish: {WHEEL} came back from the index as {digest}, sent was {real.sha256(wheel)}"
    )
    assert caught.value.next_step == ("look at the index's disk, remove that file there, publish again")
    assert not halving.told, "the password stood on a command line"


def test_it_is_the_bytes_that_count_and_not_what_the_index_says_of_them(tmp_path: Path) -> None:
    with real.Web({"/shop.whl": (200, "half")}) as web:
        file = File("shop.whl", "1.0", f"{web.url}/shop.whl", hashlib.sha256(b"whole").hexdigest())
        with pytest.raises(IndexFailed, match="came back from the index as"):
            compare(Simple(Index()), file, "shop.whl", hashlib.sha256(b"whole").hexdigest())
        compare(Simple(Index()), file, "shop.whl", hashlib.sha256(b"half").hexdigest())


BACK = {"not listed": (None, "as nothing, sent was aa"), "listed and gone": ("/gone.whl", r"as no answer \(404")}


@pytest.mark.parametrize(("path", "words"), BACK.values(), ids=BACK)
def test_a_file_that_does_not_come_back_is_told(path: str | None, words: str) -> None:
    with real.Web({}) as web, pytest.raises(IndexFailed) as caught:
        compare(Simple(Index()), File("gone.whl", "1.0", web.url + path, "aa") if path else None, "gone.whl", "aa")
    assert re.search(words, caught.value.what)
