"""The act of each phase, by the name that it has in a plan."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from releaselib import index
from releaselib.actions import canary, once, programs, static, switching, wheels, workers
from releaselib.actions.run import Run
from releaselib.config.inventory import Host
from releaselib.decide import settings
from releaselib.decide.budget import Budget
from releaselib.decide.files import uv_wheel
from releaselib.decide.journal import Staged
from releaselib.errors import HostsFailed
from releaselib.hosts import boot, health, nginx, slot, supervisor
from releaselib.hosts.connection import Remote
from releaselib.progress import say
from releaselib.wheels import resolve
from releaselib.wheels.build import Built


def build(run: Run) -> None:
    """Build in a clean clone and resolve: what the index lacks is found before anything is published."""
    assert run.source  # noqa: S101  a plan that builds was made from a commit
    version = run.plan.release.version
    early = run.early.of(run.source, version) if run.early else None
    run.built = early or wheels.clean_build(run.at.project, run.source, version, run.folder)
    lock = wheels.lock_at(run.at.project, run.source.commit)
    run.pins = wheels.pinned(run.at.stage, run.view.any_app, run.built, lock)


def publish(run: Run) -> None:
    """Upload, read back, tag; what is published already may still lack its tag on origin."""
    release, project = run.plan.release, run.at.project
    built = run.built or Built(release.version, release.commit, {})
    _, tagged = wheels.upload(project, run.at.stage.index, built)
    say(tagged)


def stage(run: Run) -> None:
    """Install, start and check the release in the idle slot of every app host at once.

    Raises HostsFailed beyond the failure budget.
    """
    at, plan = run.at, run.plan
    pins = run.pins or wheels.pins_of(at, run.view, plan.release)  # first: what the index lacks changes nothing
    uv = uv_wheel(index.of(at.stage.index).files("uv"), run.view.any_app.machine)
    if plan.slot != plan.live:
        _retire(run)
    if run.may_go_back:
        switching.traffic(run, "", "start")  # the old release, to compare the new one with
    run.wheels = resolve.pins(pins.release)
    release = replace(plan.release, wheels=run.wheels)
    later = any(phase.name == "before_start" for phase in plan.phases)
    starts = run.beside and not later
    booted = boot.files(at.stage)

    def put(remote: Remote) -> str:
        host = remote.host
        asked = health.at_start(at.stage, plan.slot, release.version, host)
        conf = plan.files["supervisord.conf"]
        if at.stage.programs:  # a host has its own
            template = at.project.template(supervisor.TEMPLATE)
            conf = supervisor.configuration(template, at.stage, release, plan.slot, host)
        folder = at.stage.paths.slot(plan.slot)
        content = slot.files(release, conf, (pins.release, pins.tools), asked)
        content |= booted | {settings.FILE: settings.as_file(settings.on_host(at.settings, host.env, folder))}
        for name, one in at.stage.files.items():
            content[f"files/{name}"] = {"text": plan.files[f"files/{name}"], "mode": one.mode}
        outcome = slot.stage_release(remote, plan.slot, content, uv, start=starts)
        if starts:
            slot.well(remote, plan.slot)
        return outcome

    results = at.fleet.each(plan.app, put)
    done = results.within(_budget(run))
    run.hosts = list(done)
    if kept := [host.name for host, outcome in done.items() if outcome == "kept"]:
        say(f"{len(kept)} of {len(plan.app)} hosts hold it already")
    run.record(Staged(plan.slot, [host.name for host in run.hosts], release))
    state = "healthy" if starts else "installed"
    say(f"{release.version} is {state} in slot {plan.slot} on {len(run.hosts)} of {len(plan.app)} hosts")
    once.require_programs(run)


def _retire(run: Run) -> None:
    """Have the proxies forget the idle slot, once no request from before the last switch is open to it."""
    slot_, limit = run.plan.slot, run.at.stage.drain_timeout
    results = run.at.fleet.each(run.plan.proxy, lambda remote: nginx.retire(remote, slot_))
    left = results.require(
        "proxies failed: nothing was staged; visitors are served as before", next_step=switching.MEND
    )
    for host, number in left.items():
        if number:
            say(f"{host.name}: {number} requests to slot {slot_} are still open after {limit} s; they are cut off")


def _budget(run: Run) -> Budget:
    return Budget(run.at.stage.max_failures, len(run.plan.app))


def healthy(run: Run) -> None:
    """Ask the slot on every host for its health, started where it does not run.

    A host that does not hold the release counts as failed. Raises HostsFailed beyond the failure budget.
    """
    plan, view = run.plan, run.view
    warm, holders = view.running(plan.slot), view.holders(plan.slot)

    def ask(remote: Remote) -> None:
        if not run.beside:  # they start when the old ones have stopped
            return
        if remote.host in warm:
            health.check(remote, plan.slot)
        else:
            run.start(remote)

    results = run.at.fleet.each(holders, ask)
    _require_holders(run, results.failures)
    run.hosts = list(results.succeeded)


def _require_holders(run: Run, failures: Mapping[Host, object]) -> None:
    """Raise HostsFailed when too many hosts failed or do not hold the release; tell which, when they are few."""
    plan, view = run.plan, run.view
    lacks = f"slot {plan.slot} does not hold {plan.release.version} there, or it never became healthy"
    without = {
        host: view.lost[host].words if host in view.lost else f"{host.name}: {lacks}"
        for host in plan.app
        if host not in view.holders(plan.slot)
    }
    for line in _budget(run).require({**without, **failures}):
        say(line)


def before_start(run: Run) -> None:
    """Run what belongs before the start, then start the slot on every host. Raises HostsFailed.

    In a switch it runs where the slot does not run yet, and what asks for its health starts it.
    """
    if run.plan.action == "switch":
        _require_holders(run, {})
        running = run.view.running(run.plan.slot)
        run.hosts = [host for host in run.view.holders(run.plan.slot) if host not in running]
        once.run(run, "before_start")
        return
    once.run(run, "before_start")
    if run.beside:
        run.hosts = list(run.at.fleet.each(run.hosts, run.start).within(_budget(run)))


def stop(run: Run) -> None:
    """Stop the old slot after a switch where it is not kept warm, once no request is open to it."""
    plan, each, limit = run.plan, run.at.fleet.each, run.at.stage.drain_timeout
    for host, number in each(plan.proxy, lambda remote: nginx.open_requests(remote, plan.live)).succeeded.items():
        if number:
            say(f"{host.name}: {number} requests to slot {plan.live} are still open after {limit} s; they are cut off")
    for error in each(plan.app, lambda remote: slot.act(remote, "shutdown", plan.live)).failures.values():
        say(f"still running beside the new release: {error}")


def switch(run: Run) -> None:
    """Let visitors get the release, or workers of it take over, everywhere or nowhere."""
    (switching.switch if run.plan.proxy else workers.hand_over)(run)


def join(run: Run) -> None:
    """Let the release serve visitors, or work alone, also on the hosts on which it was staged now."""
    (switching.join if run.plan.proxy else workers.join)(run)


def take_over(run: Run) -> None:
    """Have what runs in the live slot only run there. What a release cannot have run is taken back with it."""
    try:
        programs.take_over(run)
    except HostsFailed as error:
        if run.plan.action != "release" or not run.plan.proxy or not run.plan.live:
            error.what += f"; visitors get {run.plan.release.version}" * bool(run.plan.proxy)
            raise
        programs.hand_back(run)
        switching.go_back(run, [str(error)], f"was taken back: {error.what}")


ACTS: dict[str, Callable[[Run], None]] = {
    "build": build,
    "publish": publish,
    "stage": stage,
    "before_start": before_start,
    "before_switch": lambda run: once.run(run, "before_switch"),
    "after_switch": lambda run: once.run(run, "after_switch"),
    "static": static.serve,
    "health": healthy,
    "switch": switch,
    "prove": switching.prove,
    "join": join,
    "canary": canary.canary,
    "watch": switching.watch,
    "take_over": take_over,
    "stop": stop,
}
