"""The phases that work on hosts: stage, switch, prove."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from releaselib import check, health, hooks, index, nginx, resolve, slot
from releaselib.errors import CommandFailed, HostsFailed
from releaselib.fleet import Remote, Result, Running
from releaselib.health import Samples
from releaselib.hosts import Host
from releaselib.lock import Journal
from releaselib.output import say
from releaselib.plan import Plan, stops
from releaselib.resolve import Pinned
from releaselib.view import UNSET
from releaselib.work import Work, budget, refuse, sift, unbroken


def stage(work: Work, plan: Plan, pins: Pinned, journal: Journal) -> list[Host]:
    """Install, start and check the release in the idle slot of every app host at once.

    Returns the hosts on which it is healthy; raises HostsFailed beyond the failure budget.
    """
    hooks.run("pre_deploy", plan)
    work.clock.phase("stage")
    if any(seen.draining for seen in work.view.proxy.values()):
        drain(work, plan)  # requests from before the last switch may still be in the idle slot
    uv = index.uv_wheel(index.files(work.stage.index, "uv"), work.view.any_app.machine)
    release = dataclasses.replace(plan.release, wheels=resolve.pins(pins.release))
    content = slot.files(
        work.stage,
        release,
        plan.slot,
        supervisord=plan.files["supervisord.conf"],
        requirements=pins.release,
        tools=pins.tools,
    )
    results = work.fleet.each(plan.app, lambda r: slot.stage_release(r, work.stage, plan.slot, content, uv))
    good = sift(work, results)
    journal.write("staged", slot=plan.slot, hosts=[h.name for h in good], release=dataclasses.asdict(release))
    say(f"{release.version} is healthy in slot {plan.slot} on {len(good)} of {len(plan.app)} hosts")
    hooks.run("post_deploy", plan)
    return good


def probe(work: Work, plan: Plan) -> list[Host]:
    """The hosts whose slot is healthy now, started where it did not run.

    A host that does not hold the release counts as failed. Raises HostsFailed beyond the failure budget.
    """
    work.clock.phase("health")
    warm, holders = work.view.running(plan.slot), work.view.holders(plan.slot)

    def ask(remote: Remote) -> None:
        if remote.host not in warm:
            slot.act(remote, work.stage, "start", plan.slot)
        timeout = 0 if remote.host in warm else work.stage.settings.health_timeout
        slot.check_health(remote, work.stage, plan.slot, plan.release.version, timeout)

    results = work.fleet.each(holders, ask)
    lacks = f"slot {plan.slot} does not hold {plan.release.version} there, or it never became healthy"
    without = {h: work.view.lost.get(h, f"{h.name}: {lacks}") for h in plan.app if h not in holders}
    budget(work.stage, {**without, **{r.host: str(r.error) for r in results if r.error}})
    return [r.host for r in results if not r.error]


def switch(work: Work, plan: Plan, hosts: Sequence[Host], journal: Journal) -> dict[Host, Samples]:
    """All proxies or none: prepare and test on all, then replace and reload on all, then prove it."""
    if not plan.proxy:
        return {}
    work.clock.phase("switch")
    version, serves = plan.release.version, f"{plan.slot} {plan.release.version}"
    _set_up_missing(work, plan)
    text = nginx.upstream(work.project.name, nginx.servers(work.stage, hosts, plan.slot), serves)
    seen_by_visitors = tuple(host.visitors for host in hosts)
    health_ = slot.health(work.stage, plan.slot, version, hosts=seen_by_visitors, timeout=5)
    refuse(
        work.fleet.each(plan.proxy, lambda r: nginx.prepare(r, work.stage, text, health_)),
        "no proxy was switched; visitors are served as before",
    )
    samplers = _sample(work, plan) if plan.live else {}
    with unbroken():
        journal.write("switching", slot=plan.slot, live=plan.live)
        _all_or_none(work, plan, serves)
        journal.write("switched", slot=plan.slot, live=plan.live)
    hooks.run("post_switch", plan)
    work.clock.phase("prove")
    samplers = samplers or _sample(work, plan)
    work.fleet.each(plan.proxy, lambda r: health.switched(samplers[r.host]))  # one that is lost, end tells
    drain(work, plan)
    return _proved(plan, work.fleet.each(plan.proxy, lambda r: health.end(samplers[r.host])))


def _set_up_missing(work: Work, plan: Plan) -> None:
    new = [host for host, seen in work.view.proxy.items() if not seen.set_up]
    path = check.site(work.stage, work.project.name)
    refuse(
        work.fleet.each(
            new, lambda r: nginx.setup(r, work.stage, work.project.name, plan.files["site.conf"], path)
        ),
        "the site could not be set up; no proxy was switched",
    )


def _sample(work: Work, plan: Plan) -> dict[Host, Running]:
    header, path = check.host_header(work.stage), work.stage.settings.health
    results = work.fleet.each(
        plan.proxy, lambda r: health.begin(r, work.stage.python, work.url, header, path)
    )
    refuse(results, "sampling does not start")
    return {r.host: r.get() for r in results}


def _all_or_none(work: Work, plan: Plan, serves: str) -> None:
    """Switch every proxy; if one cannot be, those that were are switched back."""
    header = check.host_header(work.stage)
    results = work.fleet.each(plan.proxy, lambda r: nginx.switch(r, work.stage, serves, work.url, header))
    if not any(r.error for r in results):
        return
    before = {host: f"{seen.slot} {seen.version}".strip() or UNSET for host, seen in work.view.proxy.items()}
    back = work.fleet.each(
        plan.proxy, lambda r: nginx.switch(r, work.stage, before[r.host], work.url, header, back=True)
    )
    stuck = [f"cannot be switched back: {r.error}" for r in back if r.error]
    raise HostsFailed(
        "the switch failed; "
        + (f"{len(stuck)} proxies are in doubt" if stuck else "all proxies serve the old release again"),
        cause="\n".join([str(r.error) for r in results if r.error] + stuck),
        next_step="fab status",
    )


def drain(work: Work, plan: Plan) -> None:
    """Wait until nginx has finished the requests that were in flight at the last switch."""
    left = work.fleet.each(plan.proxy, lambda r: nginx.drain(r, work.stage))
    busy = {r.host.name: r.get() for r in left if not r.error and r.get()}
    if busy:
        say(f"still finishing old requests after {work.stage.drain_timeout} s: {busy}")


def stop(work: Work, plan: Plan) -> None:
    """Stop the old slot after a switch where it is not kept warm; it can be started again."""
    if not stops(work.stage, plan.live, plan.slot):
        return
    work.clock.phase("stop")
    results = work.fleet.each(plan.app, lambda r: slot.act(r, work.stage, "shutdown", plan.live))
    for result in results:
        if result.error:
            say(f"still running beside the new release: {result.error}")


def _proved(plan: Plan, results: Sequence[Result[Samples]]) -> dict[Host, Samples]:
    samples = {r.host: r.value for r in results if r.value}
    doubts = [f"{r.host.name}: no samples: {r.error}" for r in results if r.error]
    doubts += [
        f"{host.name}: {words}"
        for host, s in samples.items()
        for words in health.doubts(s, plan.release.version)
    ]
    if doubts:
        raise CommandFailed(
            f"nginx sends visitors to slot {plan.slot} ({plan.release.version}), but it is "
            "not proved that they noticed nothing",
            cause="\n".join(doubts),
            next_step="fab status; fab rollback goes back to the old slot",
        )
    return samples
