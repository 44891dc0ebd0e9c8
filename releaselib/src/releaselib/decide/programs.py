"""Which host has which of the programs that start with the switch only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.view import View


def processes(name: str, number: int) -> list[str]:
    """The names that supervisor knows the processes of a program by."""
    return [f"{name}-{n}" for n in range(number)]


def astray(stage: Stage, view: View) -> list[str]:
    """What runs in another slot than the live one, on more than its one host, or not where it belongs."""
    found = []
    for name, program in stage.waiting.items():
        wanted = set(processes(name, program.processes))
        runs = [
            (slot, host)
            for host, seen in view.app.items()
            for slot, one in seen.slots.items()
            if one.running and wanted & set(one.live)
        ]
        found += [
            f"{host.name}: {name} runs in slot {slot}, which is not live" for slot, host in runs if slot != view.live
        ]
        there = [host.name for slot, host in runs if slot == view.live]
        able = [host.name for host in view.running(view.live) if name in stage.programs_on(host)]
        if program.one_host and len(there) > 1:
            found.append(f"{name} runs on {', '.join(there)}, but may run on one host only")
        lacking = able[: not there] if program.one_host else [host for host in able if host not in there]
        if lacking and view.live:
            found.append(f"{name} does not run on {', '.join(lacking)}")
    return found


def down(view: View) -> list[tuple[str, str]]:
    """What does not run though it is to, as slot and words; what is the same on many hosts is said once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for host, seen in view.app.items():
        for slot, one in seen.slots.items():
            for process, told in one.down.items():
                found.setdefault((slot, process, told), []).append(host.name)
    return [
        (slot, f"{process} (slot {slot}) on {', '.join(hosts)}: {told}")
        for (slot, process, told), hosts in found.items()
    ]


@dataclass(frozen=True)
class Places:
    """What is to run where: host -> names of processes; ``unknown`` are the programs that may run elsewhere still."""

    on: dict[Host, list[str]]
    unknown: list[str]


def places(
    stage: Stage, hosts: Sequence[Host], ran: Mapping[Host, Sequence[str]], *, first: bool, to: str = ""
) -> Places:
    """Where the programs that wait for the switch run now, on hosts that are staged.

    ``ran`` tells what ran on each host that was asked. What one host has stays where it was, as long as that can have
    it, but for ``to``; where nobody knows who had it, and it is not the ``first`` release, it might run twice.
    """
    on: dict[Host, list[str]] = {host: [] for host in hosts}
    unknown = []
    for name, program in stage.waiting.items():
        names = processes(name, program.processes)
        able = [host for host in hosts if name in stage.programs_on(host)]
        if program.one_host:
            had = [host for host, told in ran.items() if set(names) & set(told)]
            if not had and not first and not to and len(ran) < len(stage.app):
                unknown.append(name)
                continue
            chosen = [host for host in able if host.name == to] or [host for host in able if host in had]
            able = (chosen or able)[:1]
        for host in able:
            on[host] += names
    return Places(on, unknown)
