"""Static files come from a slot to the proxies before visitors get that slot."""

from collections.abc import Mapping, Sequence

from releaselib.actions.run import Run
from releaselib.config.inventory import Host
from releaselib.decide.seen import Served
from releaselib.decide.static import portions
from releaselib.errors import Refused, ReleaseError
from releaselib.hosts import static
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.static import Source
from releaselib.progress import say


def serve(run: Run) -> None:
    """Have every proxy hold the static files of the release; nothing is switched. Raises HostsFailed."""
    holders = run.hosts or run.view.holders(run.plan.slot)
    sent = bring(run.at.fleet, run.plan.slot, holders[0], run.plan.proxy)
    say(f"static files: {sent} new")


def bring(fleet: Fleet, slot: str, holder: Host, proxies: Sequence[Host]) -> int:
    """Have proxies hold the static files of a slot, as one of its hosts has them; how many they lacked.

    Raises CommandFailed for that host, HostsFailed for a proxy.
    """
    wanted = fleet.stage.static
    assert wanted  # noqa: S101  only a stage with static files has this to do
    with static.opened(fleet.remote(holder), slot, wanted.folder) as source:
        lacking = _laid(fleet, slot, source, proxies, ())
        for portion in portions(source.files, lacking):
            _laid(fleet, slot, source, proxies, portion)
        return len(lacking)


def _laid(fleet: Fleet, slot: str, source: Source, proxies: Sequence[Host], portion: Sequence[str]) -> set[str]:
    contents = source.contents(portion)
    results = fleet.each(proxies, lambda remote: static.lay(remote, slot, source.files, contents))
    left = results.require("proxies failed: static files; visitors are served as before", next_step="fab status")
    return {digest for lacking in left.values() for digest in lacking}


def restore(fleet: Fleet, known: Mapping[str, Served], proxies: Sequence[Host]) -> None:
    """Have proxies that were made anew hold what the others do; what cannot be had is said."""
    if not fleet.stage.static or not proxies:
        return
    for slot, served in known.items():
        holders = [host for host in fleet.stage.app if host.name in served.hosts]
        try:
            if not holders:
                raise Refused(f"no host of stage {fleet.stage.name} has them any more")
            bring(fleet, slot, holders[0], proxies)
        except ReleaseError as error:
            say(f"the static files of slot {slot} are not on {', '.join(host.name for host in proxies)}: {error}")
