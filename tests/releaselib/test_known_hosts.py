"""Files of known host keys are understood line by line, or refused in words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from releaselib.errors import ConfigError
from releaselib.hosts.known_hosts import known


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A public key, as it stands in such a file."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    return " ".join((tmp_path / "key.pub").read_text().split()[:2])


def test_plain_hashed_and_bracketed_names_are_known_and_comments_passed_over(tmp_path: Path, key: str) -> None:
    file = tmp_path / "known"
    file.write_text(f"# ours\n\nsecret.example {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    with file.open("a") as end:
        end.write(f"one.example,10.0.0.1  {key}  a comment\n[two.example]:2222\t{key}\nfuture.example new-kind AAAA\n")
    found = known(str(file))
    for name in ("secret.example", "One.Example", "10.0.0.1", "[two.example]:2222"):
        assert [one.file for one in found.of(name)] == [file], name
    assert not found.of("two.example")
    assert not found.authorities


def test_trust_in_certificates_is_known_and_no_trust_in_a_key(tmp_path: Path, key: str) -> None:
    file = tmp_path / "known"
    file.write_text(f"@cert-authority *.example {key}\n")
    found = known(str(file))
    assert found.authorities
    assert not found.of("a.example")


BAD = {
    "too few words": b"one.example ssh-ed25519",
    "no base64": b"one.example ssh-ed25519 A",
    "no key": b"one.example ssh-ed25519 AAAA",
    "other bytes": b"\xff\xfe\x00 \x01 \x02",
    "a bad line with a marker": b"@revoked one.example",
    "a marker that there is not": b"@trusted one.example %(key)s",
    "a hash that is none": b"|1|AAAA|AAAA %(key)s",
    "a hash that is cut off": b"|1 %(key)s",
    "a certificate's key that is none": b"@cert-authority *.example ssh-ed25519 AAAA",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_a_line_that_makes_no_sense_is_told_with_its_number(tmp_path: Path, key: str, line: bytes) -> None:
    file = tmp_path / "known"
    file.write_bytes(f"good.example {key}\n".encode() + line.replace(b"%(key)s", key.encode()) + b"\n")
    with pytest.raises(ConfigError) as caught:
        known(str(file))
    assert f"{file}, line 2, is no host key" in caught.value.what
    assert caught.value.next_step == f"correct that line, or remove it: sed -i 2d {file}"


def test_a_file_that_has_changed_is_read_again(tmp_path: Path, key: str) -> None:
    file = tmp_path / "known"
    file.write_text("")
    assert not known(str(file)).of("one.example")
    file.write_text(f"one.example {key}\n")
    assert known(str(file)).of("one.example")


def test_a_file_of_the_first_moment_of_all_clocks_is_read(tmp_path: Path, key: str) -> None:
    file = tmp_path / "known"
    file.write_text(f"one.example {key}\n")
    os.utime(file, (0, 0))
    assert known(str(file)).of("one.example")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        known(str(tmp_path))
    assert caught.value.what == f"{tmp_path}: Is a directory"
