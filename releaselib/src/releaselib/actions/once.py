"""Commands of the project that run once for a release: migrations, and whatever else must not run on every host."""

import shlex
from functools import partial

from releaselib.actions.run import Run
from releaselib.decide.journal import Ran
from releaselib.hosts import slot


def run(run: Run, when: str) -> None:
    """Run the commands of that moment in the new slot, one after another, as far as they have not run for the release.

    Raises HostsFailed at the first one that fails; a release that goes on runs only what is missing.
    """
    plan, stage = run.plan, run.at.stage
    known = run.view.known.get(plan.slot)
    # Of a slot that is warm only the proxies' word is known.
    holders = run.hosts or [host for host in plan.app if known and host.name in known.hosts]
    for name, once in stage.run.items():
        if once.when != when:
            continue
        ran = set() if once.always else run.history.ran(name, plan.release)
        hosts = [host for host in holders if host.name not in ran] if once.on == "all" else holders[: not ran]
        act = partial(slot.command, slot=plan.slot, line=once.command, timeout=once.timeout, name=name)
        results = run.at.fleet.each(hosts, act)
        if results.succeeded:  # also of those that did when another one failed: it does not run there again
            run.record(Ran(name, [host.name for host in results.succeeded], plan.release))
        words = f"hosts failed: {name}; visitors get {run.visitors_get}"
        results.require(words, next_step=f"mend it, then {plan.command}")


def require_programs(run: Run) -> None:
    """See that what is to run after the switch is there, while nothing is switched yet. Raises HostsFailed."""
    lines = [once.command for once in run.at.stage.run.values() if once.when == "after_switch"]
    words = [shlex.quote(word) for line in lines if "=" not in (word := shlex.split(line)[0])]
    if not words or run.plan.action in ("rollback", "join"):  # after which nothing of it runs
        return
    look = 'command -v "$one" >/dev/null || { echo "$one is not there"; exit 127; }'
    line = f"for one in {' '.join(words)}; do {look}; done"
    act = partial(slot.command, slot=run.plan.slot, line=line, timeout=60, name="after-switch")
    run.at.fleet.each(run.hosts[:1], act).require(
        f"hosts failed: what is to run after the switch; visitors get {run.visitors_get}",
        next_step=f"mend [app.run] of release.toml, then {run.plan.command}",
    )
