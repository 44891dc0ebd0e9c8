"""Files of known host keys are understood line by line, or refused in words."""

from __future__ import annotations

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
    found = known(str(file))[-1]
    for name in ("secret.example", "one.example", "10.0.0.1", "[two.example]:2222"):
        assert found.keys.lookup(name), name
    assert not found.keys.lookup("two.example")
    assert (found.revoked, found.authorities) == (set(), False)


def test_what_is_revoked_and_trust_in_certificates_is_known(tmp_path: Path, key: str) -> None:
    file = tmp_path / "known"
    file.write_text(f"@revoked * {key}\n@cert-authority *.example {key}\n")
    found = known(str(file))[-1]
    assert len(found.revoked) == 1
    assert found.authorities
    assert not found.keys.lookup("a.example")


BAD = {
    "too few words": b"one.example ssh-ed25519",
    "no base64": b"one.example ssh-ed25519 A",
    "no key": b"one.example ssh-ed25519 AAAA",
    "other bytes": b"\xff\xfe\x00 \x01 \x02",
    "a bad line with a marker": b"@revoked one.example",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_a_line_that_makes_no_sense_is_told_with_its_number(tmp_path: Path, key: str, line: bytes) -> None:
    file = tmp_path / "known"
    file.write_bytes(f"good.example {key}\n".encode() + line + b"\n")
    with pytest.raises(ConfigError) as caught:
        known(str(file))
    assert f"{file}, line 2, is no host key" in caught.value.what
    assert caught.value.next_step == f"correct that line, or remove it: sed -i 2d {file}"


def test_a_file_that_has_changed_is_read_again(tmp_path: Path, key: str) -> None:
    file = tmp_path / "known"
    file.write_text("")
    assert not known(str(file))[-1].keys.lookup("one.example")
    file.write_text(f"one.example {key}\n")
    assert known(str(file))[-1].keys.lookup("one.example")
