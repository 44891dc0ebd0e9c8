"""What is done on the proxies: made ready, switched all or none, proved, watched, and taken back."""

import time
from collections.abc import Sequence, Sized
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from releaselib.actions import static
from releaselib.actions.run import Run
from releaselib.actions.session import unbroken
from releaselib.config.inventory import Host
from releaselib.decide.journal import Switched, Switching
from releaselib.decide.plan import Plan
from releaselib.decide.release import Release
from releaselib.decide.samples import doubts
from releaselib.decide.seen import Served
from releaselib.decide.watch import Traffic, failing, together
from releaselib.errors import CommandFailed, HostsFailed
from releaselib.hosts import boot, health, nginx, proof, site
from releaselib.hosts.connection import Remote
from releaselib.progress import say

NO_SAMPLES = "proxies failed: sampling does not start"
NOT_SWITCHED = "no proxy was switched; visitors get the release that they got before"
MEND = "mend what it says, then run it again; fab status"


def switch(run: Run) -> None:
    """All proxies or none: have all ready, then rename the link on all."""
    sampled = run.plan.live not in ("", run.plan.slot)
    if sampled and all(one.answer for one in run.view.proxy.values()):
        _sample(run)  # one that does not serve yet is made ready first: else that would look like failing visitors
    if not run.hosts and not run.serves:
        _take_warm(run)
    elif not run.serves:
        prepare(run)
    if sampled and not run.samplers:
        _sample(run)
    _await_first(run)
    if run.may_go_back:
        run.before = traffic(run, run.plan.live, "read")
        traffic(run, "", "start")
    run.record(Switching(run.plan.slot, run.plan.live))  # what waits for a lock host can be interrupted
    with unbroken():
        _all_or_none(run)
        run.switched = True
        _tell_samplers(run)
        run.record(Switched(run.plan.slot, run.plan.live))


def _take_warm(run: Run) -> None:
    """Let the slot be served as the proxies know it, and saw it healthy; but not from hosts that are excluded.

    nginx would wait for each of those that is off, so it is to know the slot without them.
    """
    stage, plan = run.at.stage, run.plan
    known = run.view.known[plan.slot]
    run.hosts = [host for host in plan.app if host.name in known.hosts]
    if len(run.hosts) < len(stage.app):
        some = f"{len(run.hosts)} of {len(stage.app)} hosts"
        say(f"slot {plan.slot} is served from {some}; fab deploy --missing --stage {stage.name} adds the others")
    knows = [one.slots.get(plan.slot) for one in run.view.proxy.values()]  # nothing where a proxy was made anew
    same = all(one and one.servers == known.servers for one in knows)
    if same and run.hosts == [host for host in stage.app if host.name in known.hosts]:
        run.serves = site.line(stage, plan.slot, known)
    else:
        left = known.among(plan.app)
        _configure(run, left, NOT_SWITCHED, health.of_warm(stage, left))


def prepare(run: Run) -> None:
    """Have every proxy ready for the switch: the slot in its configuration, all behind it seen healthy."""
    plan = run.plan
    release = replace(plan.release, wheels=run.wheels or plan.release.wheels)
    _configure(run, served_by(run, plan.slot, release, run.hosts), NOT_SWITCHED)


def served_by(run: Run, slot_: str, release: Release, hosts: Sequence[Host]) -> Served:
    servers = site.servers(run.at.stage, hosts, slot_)
    return Served(release, tuple(host.name for host in hosts), tuple(servers))


def _configure(run: Run, new: Served, state: str, asked: dict[str, Any] | None = None) -> None:
    """Have every proxy know the plan's slot as that, once it has seen all behind it healthy, or what is ``asked``."""
    plan, stage, view = run.plan, run.at.stage, run.view
    if not new.servers:
        raise HostsFailed(f"slot {plan.slot} would be served from no host: {state}", next_step="fab status")
    known = {name: _pruned(run, one) for name, one in view.known.items() if name in (*stage.slots, view.live)}
    known[plan.slot] = new
    template = run.at.project.template(site.TEMPLATE)
    conf = site.configuration(template, stage, known)
    asked = asked or health.question(stage, new.servers, new.release.version, timeout=5)

    static.restore(run.at.fleet, known, [host for host in plan.proxy if view.live and not view.proxy[host].slot])

    def ready(remote: Remote) -> None:
        adopt = view.proxy[remote.host].slot or view.live  # one that was made anew serves what the others do
        nginx.configure(remote, conf, known, adopt=adopt, boot=boot.files(stage), health=asked)

    run.at.fleet.each(plan.proxy, ready).require(f"proxies failed: {state}", next_step=MEND)
    run.serves = site.line(stage, plan.slot, new)


def _pruned(run: Run, served: Served) -> Served:
    """What is known of a slot, without the hosts that are not of the stage any more, as long as one is left."""
    left = served.among(run.at.stage.app)
    return left if left.servers else served


def join(run: Run) -> None:
    """Have the proxies send visitors of the live slot to the hosts that were staged now, too."""
    stage, slot_ = run.at.stage, run.plan.slot
    rest = run.view.known[slot_].among([host for host in stage.app if host not in run.hosts])
    new = [host for host in stage.app if host in run.hosts]
    hosts = [host for host in stage.app if host.name in rest.hosts or host in new]
    servers = tuple(site.servers(stage, new, slot_, rest.servers))
    joined = replace(rest, hosts=tuple(host.name for host in hosts), servers=servers)
    _configure(run, joined, "visitors are served from the same hosts as before")
    run.hosts = hosts


def _sample(run: Run, *, before: bool = True) -> None:
    results = run.at.fleet.each(run.plan.proxy, partial(proof.begin, before=before))
    run.samplers = results.succeeded
    results.require(NO_SAMPLES, next_step=MEND)


def _await_first(run: Run) -> None:
    """Have every sampler know how the old release answers, before that is gone."""
    each = run.at.fleet.each
    results = each(tuple(run.samplers), lambda remote: proof.await_first(remote, run.samplers[remote.host]))
    results.require(NO_SAMPLES, next_step=MEND)


def _tell_samplers(run: Run) -> None:
    each = run.at.fleet.each
    each(tuple(run.samplers), lambda remote: proof.switched(run.samplers[remote.host]))  # one that is lost, end tells


def traffic(run: Run, slot_: str, action: str, *, canary: bool = False) -> Traffic:
    """What the proxies saw of a slot since they were told to watch (start)."""
    name = site.identifier(run.at.stage.project) + ("_canary_" if canary else "_") + slot_
    results = run.at.fleet.each(run.plan.proxy, lambda remote: nginx.watch(remote, action))
    seen = results.require("proxies failed: what visitors get cannot be watched", next_step=MEND)
    return together(one.get(name, Traffic()) for one in seen.values())


def stop_watching(run: Run) -> None:
    """Have the proxies write down no more how requests go; one that cannot be told goes on."""
    run.at.fleet.each(run.plan.proxy if run.at.stage.watched else (), lambda remote: nginx.watch(remote, "stop"))


def watch(run: Run) -> None:
    """Watch what visitors get from the new release for a while; when it is worse, go back."""
    plan, stage = run.plan, run.at.stage
    bad: list[str] = []
    end = time.monotonic() + stage.watch_seconds
    try:
        while not bad and time.monotonic() < end:
            time.sleep(min(1.0, stage.watch_seconds))
            new = traffic(run, plan.slot, "read")
            bad = failing(new, run.before, stage.max_errors)
    except HostsFailed as error:
        raise CommandFailed(
            f"nginx sends visitors to slot {plan.slot} ({plan.release.version}), but what they get could not be "
            "watched to the end",
            cause=str(error),
            next_step="fab status; fab rollback goes back to the old slot",
        ) from error
    stop_watching(run)
    numbers = f"new release: {new}\nold release: {run.before}"
    if bad:
        go_back(run, [*bad, numbers])
    say(numbers)


def go_back(run: Run, why: list[str], what: str = "went wrong for visitors") -> NoReturn:
    """Have all visitors get the old release again. Raises CommandFailed with what went wrong, and why."""
    plan = run.plan
    with unbroken():
        run.record(Switching(plan.live, plan.slot))
        stuck = _back(run)
        run.switched = False
        if not stuck:
            run.record(Switched(plan.live, plan.slot))
    state = now_get(plan, stuck, f"all visitors get {plan.live_version} again")
    raise CommandFailed(
        f"{plan.release.version} {what}; {state}",
        cause="\n".join([*why, *stuck]),
        next_step=f"fab host.logs --stage {plan.stage} --slot {plan.slot}",
    )


def _back(run: Run) -> list[str]:
    """Have every proxy serve again what was served before; what could not be done, in words.

    When a switch that was cut off goes on, some of them served the new release already: that is not what was before.
    """
    known, seen = run.view.known, run.view.proxy

    def back(remote: Remote) -> None:
        slot_ = seen[remote.host].slot and (run.plan.live or seen[remote.host].slot)
        nginx.switch(remote, slot_, site.line(run.at.stage, slot_, known[slot_]) if slot_ in known else "")

    failures = run.at.fleet.each(run.plan.proxy, back).failures
    return [f"cannot be switched back: {error}" for error in failures.values()]


def now_get(plan: Plan, stuck: Sized, all_back: str) -> str:
    """What visitors get after going back, in words."""
    return f"in doubt: {len(stuck)} of {len(plan.proxy)} proxies" if stuck else all_back


def _all_or_none(run: Run) -> None:
    """Switch every proxy; if one cannot be, those that were are switched back."""
    plan = run.plan
    failures = run.at.fleet.each(plan.proxy, lambda remote: nginx.switch(remote, plan.slot, run.serves)).failures
    if not failures:
        return
    stuck = _back(run)
    raise (CommandFailed if stuck else HostsFailed)(
        f"the switch failed; {now_get(plan, stuck, 'all proxies serve the old release again')}",
        cause="\n".join([*map(str, failures.values()), *stuck]),
        next_step=f"fab status --stage {plan.stage}",
    )


def prove(run: Run) -> None:
    """Sample every proxy on until all visitors get the new release.

    Raises CommandFailed with every doubt that is left.
    """
    plan, each = run.plan, run.at.fleet.each
    if only_new := not run.samplers:
        _sample(run, before=False)
        _await_first(run)
        _tell_samplers(run)
    results = each(plan.proxy, lambda remote: proof.end(run.samplers[remote.host]))
    run.samples = {host: one.all_new if only_new else one for host, one in results.succeeded.items()}
    doubted = [f"{host.name}: no samples: {error}" for host, error in results.failures.items()]
    doubted += [
        f"{host.name}: {words}"
        for host, samples in run.samples.items()
        for words in doubts(samples, plan.release.version)
    ]
    for host, samples in run.samples.items():
        if samples.ailing:
            say(f"{host.name}: the old release failed {len(samples.ailing)} requests, until the switch")
    if doubted and run.may_go_back:
        go_back(run, doubted)
    if doubted:
        raise CommandFailed(
            f"nginx sends visitors to slot {plan.slot} ({plan.release.version}), but it is "
            "not proved that they noticed nothing",
            cause="\n".join(doubted),
            next_step="fab status; fab rollback goes back to the old slot",
        )
