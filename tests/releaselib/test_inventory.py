"""What release.toml says of hosts becomes hosts, one for one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from releaselib.config.inventory import Host, Hosts, addresses, select
from releaselib.errors import ConfigError

PATTERNS = {
    "one address": ("10.0.0.1", ["10.0.0.1"]),
    "a range": ("10.0.0.[1:3]", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    "a range of one": ("h[7:7]", ["h7"]),
    "leading zeros": ("web[08:11].x", ["web08.x", "web09.x", "web10.x", "web11.x"]),
    "two ranges": ("10.[1:2].0.[8:9]", ["10.1.0.8", "10.1.0.9", "10.2.0.8", "10.2.0.9"]),
    "a range without end": ("h[1:]", ["h[1:]"]),
    "a range that goes down": ("h[3:1]", []),
}


@pytest.mark.parametrize(("pattern", "found"), PATTERNS.values(), ids=PATTERNS)
def test_ranges_of_an_address_are_expanded(pattern: str, found: list[str]) -> None:
    assert addresses(pattern) == found


def expanded(entries: Any, root: Path = Path("/")) -> tuple[Host, ...]:
    return TypeAdapter(Hosts).validate_python(entries, context={"root": root})


def test_a_host_can_have_a_port_and_a_user_of_its_own() -> None:
    assert expanded(["h1", {"address": "h2", "port": 2222, "user": "root"}]) == (
        Host(address="h1"),
        Host(address="h2", port=2222, user="root"),
    )


WITH_PORTS = {
    "a name": ("h1:2222", "h1", 2222),
    "an address": ("10.0.0.1:22", "10.0.0.1", 22),
    "a range": ("h[7:7]:2222", "h7", 2222),
    "a range alone": ("10.0.0.[7:7]", "10.0.0.7", 22),
    "none: every colon of IPv6 is its own": ("fe80::1", "fe80::1", 22),
}


@pytest.mark.parametrize(("entry", "address", "port"), WITH_PORTS.values(), ids=WITH_PORTS)
def test_an_address_can_be_written_with_its_port(entry: str, address: str, port: int) -> None:
    assert expanded([entry]) == (Host(address=address, port=port),)


@pytest.mark.parametrize("entry", ["h1:ssh", "[::1]:2222", ":22", "h1:99999", {"address": "h1:2222"}], ids=str)
def test_what_is_no_address_with_a_port_is_refused(entry: Any) -> None:
    with pytest.raises(ValidationError):
        expanded([entry])


def test_a_table_can_hold_a_range_too() -> None:
    assert [host.name for host in expanded([{"address": "h[1:2]", "port": 2222}])] == ["h1:2222", "h2:2222"]


def test_a_range_of_nobody_is_refused() -> None:
    """Without its proxies a stage would be one of workers."""
    with pytest.raises(ValidationError, match=r"is no address and no range like .*: 10\.0\.2\.\[2:1\]"):
        expanded(["10.0.0.1", "10.0.2.[2:1]"])


ANSWERS = {"one a line": "h1\nh2\n\n", "a JSON list": json.dumps(["h1", {"address": "h2"}]), "ranges": "h[1:2]"}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_program_of_the_project_can_name_the_hosts(tmp_path: Path, answer: str) -> None:
    (tmp_path / "hosts.sh").write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    (tmp_path / "hosts.sh").chmod(0o755)
    assert [host.address for host in expanded({"command": "./hosts.sh"}, tmp_path)] == ["h1", "h2"]


FAILING = {
    "that fails": ("sh -c 'echo no route >&2; exit 3'", "no route"),
    "that is not there": ("./hosts.py", "[Errno 2] No such file or directory: './hosts.py'"),
    "that answers half a list": ("echo [1,", "Expecting value"),
    "with an open quote": ("echo 'h1", "No closing quotation"),
}


@pytest.mark.parametrize(("command", "words"), FAILING.values(), ids=FAILING)
def test_a_program_that_gives_no_hosts_is_refused_in_its_words(tmp_path: Path, command: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        expanded({"command": command}, tmp_path)
    (error,) = caught.value.errors()
    assert error["msg"].startswith(f"Value error, the command {command} failed: {words}")


def test_every_bad_entry_is_told() -> None:
    with pytest.raises(ValidationError) as caught:
        expanded(["h1", 3, "h 2", {"address": "h3", "port": 0}])
    assert [error["loc"] for error in caught.value.errors()] == [(1,), (2, "address"), (3, "port")]


VISITED = {
    "an address": ("10.0.0.1", "10.0.0.1"),
    "this machine": ("local", "127.0.0.1"),
    "IPv6": ("fd00::7", "[fd00::7]"),
}


@pytest.mark.parametrize(("address", "visited"), VISITED.values(), ids=VISITED)
def test_a_proxy_reaches_a_host_at_its_address(address: str, visited: str) -> None:
    assert Host(address=address).visitors == visited


HOSTS = (Host(address="10.0.0.1"), Host(address="10.0.0.2"), Host(address="db", port=2222))
SELECTED = {
    "nothing": ("", ["10.0.0.1", "10.0.0.2", "db:2222"]),
    "a name": ("10.0.0.2", ["10.0.0.2"]),
    "a glob": ("10.*", ["10.0.0.1", "10.0.0.2"]),
    "two with a space": ("db:2222, 10.0.0.1", ["10.0.0.1", "db:2222"]),
    "one that two globs mean": ("10.0.0.1,*.1", ["10.0.0.1"]),
}


@pytest.mark.parametrize(("names", "found"), SELECTED.values(), ids=SELECTED)
def test_hosts_are_selected_by_name_or_glob_in_the_order_of_the_stage(names: str, found: list[str]) -> None:
    assert [host.name for host in select(HOSTS, names)] == found


def test_a_name_that_no_host_has_is_refused_with_all_names() -> None:
    with pytest.raises(ConfigError) as caught:
        select(HOSTS, "10.0.0.1,web,app*")
    assert caught.value.exit_code == 2
    assert caught.value.what == "no such host in this stage: web, app*"
    assert caught.value.next_step == "use one of: 10.0.0.1, 10.0.0.2, db:2222"
