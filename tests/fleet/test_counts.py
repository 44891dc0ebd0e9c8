"""What a steady release costs a host, in counts that are the same on every machine; what makes it dearer is seen here.

Steady: everything is there but the new version, which is a new commit. All hosts are 50 ms away, behind relays:
so what the two sides say has an order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from pprint import pformat

import pytest

from releaselib import config
from releaselib.actions import release
from releaselib.hosts.ssh import Ssh
from rig import Host, accounts
from rig.accounts import Accounts
from rig.relay import Relay
from rig.world import Project, World, bake

pytestmark = pytest.mark.hosts

RECORDED: dict[str, dict[str, int]] = {
    "app": {
        "bytes of the index": 9000,
        "changes of direction": 16,
        "connections": 1,
        "program cat": 2,
        "program cmp": 1,
        "program crontab": 2,
        "program flock": 1,
        "program fork of sh": 4,
        "program mv": 2,
        "program python": 1,
        "program python3": 2,
        "program rm": 3,
        "program sh": 4,
        "program sync": 2,
        "program uv": 2,
        "requests to the index": 3,
        "script facts.sh": 1,
        "script slot_stage.sh": 1,
    },
    "proxy": {
        "changes of direction": 36,
        "connections": 1,
        "program cat": 4,
        "program cmp": 1,
        "program crontab": 2,
        "program flock": 3,
        "program fork of sh": 4,
        "program install": 2,
        "program ln": 1,
        "program mkdir": 2,
        "program mktemp": 1,
        "program mv": 1,
        "program python3": 6,
        "program readlink": 3,
        "program rm": 5,
        "program sh": 8,
        "script facts.sh": 1,
        "script lock.sh": 1,
        "script nginx_configure.sh": 1,
        "script nginx_open.sh": 1,
        "script nginx_switch.sh": 1,
        "script proof_sample.sh": 1,
    },
}
"""Of each host of a role. To record other numbers, also smaller ones, paste what the failing test prints."""
SLACK = {"changes of direction": 4, "bytes of the index": 2500, "program fork of sh": 2}
"""So much less these may be: two answers come in one piece or not, a wheel has texts in it, a wait looks again."""


def test_a_steady_release_costs_what_is_recorded(team: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = bake(team, tmp_path, project_name="Counted", flavour="tornado")
    for name, value in team.env.items():
        monkeypatch.setenv(name, value)
    hosts = [*team.fleet.add_many(2, "app"), *team.fleet.add_many(2, "proxy")]
    with Relay(hosts, team.fleet.known_hosts) as relay:
        project.configure(team.stage(relay.names[:2], relay.names[2:], processes=1))
        project.fab("index.sync", "--stage", "test")
        for _ in "ab":
            project.commit("Change something")
            project.fab("release", "--stage", "test")
        project.commit("Change something")
        relay.there_and_back = 0.05
        costs = steady(team, project, relay, monkeypatch)
    found = {role: worst([costs[host] for host in hosts if host.name.startswith(role)]) for role in RECORDED}
    recorded = RECORDED if not (reason := accounts.supported()) else without_programs(RECORDED)
    for role, known in recorded.items():
        for what in SLACK.keys() & known.keys() & found[role].keys():
            if 0 <= known[what] - found[role][what] <= SLACK[what]:
                found[role][what] = known[what]
    assert found == recorded, f"paste:\nRECORDED: dict[str, dict[str, int]] = {pformat(found)}"
    if reason:
        pytest.skip(f"all but the programs was compared: {reason}")


def without_programs(recorded: Mapping[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {
        role: {what: count for what, count in known.items() if not what.startswith("program ")}
        for role, known in recorded.items()
    }


def worst(costs: Sequence[Counter[str]]) -> dict[str, int]:
    """What each of the hosts of one role costs; they may differ only where there is slack."""
    whole = {what: max(cost[what] for cost in costs) for what in sorted(set().union(*costs))}
    assert not [what for what in whole if what not in SLACK and len({cost[what] for cost in costs}) > 1], costs
    return whole


def steady(team: World, project: Project, relay: Relay, patch: pytest.MonkeyPatch) -> Mapping[Host, Counter[str]]:
    """Release; what it costs each host."""
    named = {host.name: Counter[str]() for host in relay.hosts}
    addressed = {host.address: named[host.name] for host in relay.hosts}
    start = Ssh.start

    def counted(self: Ssh, argv: tuple[str, ...]) -> object:
        addressed[self.host.address][f"script {next(word for word in argv if word.endswith('.sh'))}"] += 1
        return start(self, argv)

    patch.setattr(Ssh, "start", counted)
    relay.taken()
    asked = len(team.requests())
    with Accounts(relay.hosts) if not accounts.supported() else nullcontext() as programs:
        release.release(config.load(project.folder), "test")
    for one in relay.taken():
        named[one.host].update({"connections": 1, "changes of direction": one.changes})
    for request in team.requests()[asked:]:
        if request.address in addressed:
            addressed[request.address].update({"requests to the index": 1, "bytes of the index": request.size})
    for host in relay.hosts:
        if programs is None:
            continue
        started = {name: used.started for name, used in programs.of(host).items() if "sshd" not in name}
        named[host.name].update({f"program {name}": count for name, count in started.items()})
    return {host: +named[host.name] for host in relay.hosts}
