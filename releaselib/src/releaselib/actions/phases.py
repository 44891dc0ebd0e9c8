"""The act of each phase, by the name that it has in a plan."""

from collections.abc import Callable
from dataclasses import replace

from releaselib import index
from releaselib.actions import wheels
from releaselib.actions.run import Run
from releaselib.actions.session import unbroken
from releaselib.decide.budget import Budget
from releaselib.decide.files import uv_wheel
from releaselib.decide.journal import Staged, Switched, Switching
from releaselib.decide.samples import doubts
from releaselib.errors import CommandFailed, HostsFailed
from releaselib.hosts import health, nginx, proof, slot
from releaselib.hosts.connection import Remote
from releaselib.progress import say
from releaselib.wheels import resolve


def build(run: Run) -> None:
    """Build in a clean clone and resolve: what the index lacks is found before anything is published."""
    assert run.source  # noqa: S101  a plan that builds was made from a commit
    version = run.plan.release.version
    run.built = wheels.clean_build(run.at.project, run.source, version, run.folder)
    constraints = wheels.lock_at(run.at.project, run.source.commit)
    run.pins = wheels.pinned(run.at.stage, run.view.any_app, run.built, constraints)


def publish(run: Run) -> None:
    """Upload, read back, tag."""
    assert run.built  # noqa: S101  the phase before
    _, tagged = wheels.upload(run.at.project, run.at.stage.index, run.built)
    say(tagged)


def stage(run: Run) -> None:
    """Install, start and check the release in the idle slot of every app host at once.

    Raises HostsFailed beyond the failure budget.
    """
    at, plan = run.at, run.plan
    if any(seen.draining for seen in run.view.proxy.values()):
        _drain(run)  # requests from before the last switch may still be in the idle slot
    pins = run.pins or wheels.pins_of(at, run.view, plan.release)
    uv = uv_wheel(index.of(at.stage.index).files("uv"), run.view.any_app.machine)
    release = replace(plan.release, wheels=resolve.pins(pins.release))
    asked = health.at_start(at.stage, plan.slot, release.version)
    content = slot.files(release, plan.files["supervisord.conf"], (pins.release, pins.tools), asked)
    results = at.fleet.each(plan.app, lambda remote: slot.stage_release(remote, plan.slot, content, uv))
    run.hosts = list(results.within(_budget(run)))
    run.journal.write(Staged(plan.slot, [host.name for host in run.hosts], release))
    say(f"{release.version} is healthy in slot {plan.slot} on {len(run.hosts)} of {len(plan.app)} hosts")


def _budget(run: Run) -> Budget:
    return Budget(run.at.stage.max_failures, len(run.plan.app))


def healthy(run: Run) -> None:
    """Ask the slot on every host for its health, started where it does not run.

    A host that does not hold the release counts as failed. Raises HostsFailed beyond the failure budget.
    """
    plan, view = run.plan, run.view
    warm, holders = view.running(plan.slot), view.holders(plan.slot)

    def ask(remote: Remote) -> None:
        if remote.host not in warm:
            slot.act(remote, "start", plan.slot)
        timeout = 0 if remote.host in warm else run.at.stage.health_timeout
        health.check(remote, plan.slot, plan.release.version, timeout)

    results = run.at.fleet.each(holders, ask)
    lacks = f"slot {plan.slot} does not hold {plan.release.version} there, or it never became healthy"
    without = {
        host: view.lost[host].words if host in view.lost else f"{host.name}: {lacks}"
        for host in plan.app
        if host not in holders
    }
    for line in _budget(run).require({**without, **results.failures}):
        say(line)
    run.hosts = list(results.succeeded)


def switch(run: Run) -> None:
    """All proxies or none: prepare and test on all, then replace and reload on all.

    A stage of workers has none: its old processes stop, and the new ones go on alone.
    """
    if not run.plan.proxy:
        _hand_over(run)
        return
    _prepare(run)
    if run.plan.live:
        _sample(run)
    with unbroken():
        run.journal.write(Switching(run.plan.slot, run.plan.live))
        _all_or_none(run)
        run.journal.write(Switched(run.plan.slot, run.plan.live))


def _prepare(run: Run) -> None:
    """Have every proxy set up, and the new upstream there, tested, with all behind it seen healthy."""
    plan, stage, each = run.plan, run.at.stage, run.at.fleet.each
    new = [host for host, seen in run.view.proxy.items() if not seen.site]
    each(new, lambda remote: nginx.setup(remote, plan.files["site.conf"])).require(
        "proxies failed: the site could not be set up; no proxy was switched", next_step=MEND
    )
    servers = nginx.servers(stage, run.hosts, plan.slot)
    text = nginx.upstream(stage.project, servers, _serves(run))
    behind = [host.visitors for host in run.hosts]
    asked = health.question(stage, plan.slot, plan.release.version, hosts=behind, timeout=5)
    each(plan.proxy, lambda remote: nginx.prepare(remote, text, asked)).require(
        "proxies failed: no proxy was switched; visitors are served as before", next_step=MEND
    )


MEND = "mend them, then run it again; fab status"


def _serves(run: Run) -> str:
    return f"{run.plan.slot} {run.plan.release.version}"


def _sample(run: Run) -> None:
    results = run.at.fleet.each(run.plan.proxy, proof.begin)
    run.samplers = results.succeeded
    results.require("proxies failed: sampling does not start", next_step=MEND)


def _all_or_none(run: Run) -> None:
    """Switch every proxy; if one cannot be, those that were are switched back."""
    proxies, each = run.plan.proxy, run.at.fleet.each
    failures = each(proxies, lambda remote: nginx.switch(remote, _serves(run))).failures
    if not failures:
        return
    before = {host: seen.serves for host, seen in run.view.proxy.items()}
    back = each(proxies, lambda remote: nginx.switch(remote, before[remote.host], back=True)).failures
    stuck = [f"cannot be switched back: {error}" for error in back.values()]
    raise HostsFailed(
        "the switch failed; "
        + (f"{len(stuck)} proxies are in doubt" if stuck else "all proxies serve the old release again"),
        cause="\n".join([*map(str, failures.values()), *stuck]),
        next_step="fab status",
    )


def _hand_over(run: Run) -> None:
    """Stop the old workers of every host on which the new ones work."""
    plan = run.plan
    run.journal.write(Switching(plan.slot, plan.live))
    if plan.live and plan.live != plan.slot:
        results = run.at.fleet.each(run.hosts, lambda remote: slot.act(remote, "shutdown", plan.live))
        results.require(
            f"hosts failed: there the old workers run (slot {plan.live}) beside the new ones",
            next_step=f"mend them, then fab switch --slot {plan.slot}",
        )
    run.journal.write(Switched(plan.slot, plan.live))


def prove(run: Run) -> None:
    """Sample every proxy on until all visitors get the new release, and wait for old workers of nginx.

    Raises CommandFailed with every doubt that is left.
    """
    plan, each = run.plan, run.at.fleet.each
    if not run.samplers:
        _sample(run)
    each(plan.proxy, lambda remote: proof.switched(run.samplers[remote.host]))  # one that is lost, end tells
    _drain(run)
    results = each(plan.proxy, lambda remote: proof.end(run.samplers[remote.host]))
    run.samples = results.succeeded
    doubted = [f"{host.name}: no samples: {error}" for host, error in results.failures.items()]
    doubted += [
        f"{host.name}: {words}"
        for host, samples in run.samples.items()
        for words in doubts(samples, plan.release.version)
    ]
    if doubted:
        raise CommandFailed(
            f"nginx sends visitors to slot {plan.slot} ({plan.release.version}), but it is "
            "not proved that they noticed nothing",
            cause="\n".join(doubted),
            next_step="fab status; fab rollback goes back to the old slot",
        )


def _drain(run: Run) -> None:
    """Wait until nginx has finished the requests that were in flight at the last switch."""
    left = run.at.fleet.each(run.plan.proxy, nginx.drain).succeeded
    if busy := {host.name: number for host, number in left.items() if number}:
        say(f"still finishing old requests after {run.at.stage.drain_timeout} s: {busy}")


def stop(run: Run) -> None:
    """Stop the old slot after a switch where it is not kept warm; it can be started again."""
    live = run.plan.live
    for error in run.at.fleet.each(
        run.plan.app, lambda remote: slot.act(remote, "shutdown", live)
    ).failures.values():
        say(f"still running beside the new release: {error}")


ACTS: dict[str, Callable[[Run], None]] = {
    "build": build,
    "publish": publish,
    "stage": stage,
    "health": healthy,
    "switch": switch,
    "prove": prove,
    "stop": stop,
}
