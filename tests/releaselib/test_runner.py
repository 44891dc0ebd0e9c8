"""One runner carries out any plan: phase by phase, with its hooks, its journal, its failure."""

from __future__ import annotations

import functools
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from test_lock import kill_lock

import real
from releaselib import config, hooks
from releaselib.actions import phases, release, repository, runner, switching
from releaselib.actions.run import Run
from releaselib.actions.session import Interrupted, Session
from releaselib.decide.journal import Began, Failed, Report
from releaselib.decide.plan import Phase, Plan
from releaselib.decide.settings import Setting
from releaselib.errors import CommandFailed, ConfigError, HookFailed, Refused
from releaselib.hosts import proof
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.held import Lock
from releaselib.hosts.lock import hold, read_journal


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in order: hooks by their names, phases in brackets."""
    happened: list[str] = []

    def told_by(name: str) -> Callable[..., None]:
        return lambda plan, *error: happened.append(" ".join([name, *map(str, error)]))

    names = ("pre_build", "pre_deploy", "validate", "post_deploy", "post_switch", "on_failure")
    monkeypatch.setattr(hooks, "_hooks", {name: [told_by(name)] for name in names})
    for name in ("build", "stage", "switch"):
        monkeypatch.setitem(phases.ACTS, name, functools.partial(told_by(f"[{name}]")))
    return happened


def run_of(fleet: Fleet, lock: Lock, *phases: str) -> Run:
    stage = fleet.stage
    at = Session(config.Project(root=Path("/shop"), name=real.PROJECT), stage, fleet)
    release = real.release("2.0", 2)
    steps = tuple(Phase(name, (), "") for name in phases)
    plan = Plan("release", stage.name, release, "b", "a", "1.0", stage.app, stage.proxy, steps)
    return Run(at, plan, real.seen({"a": None}), lock, Path("/tmp"))


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(run: Run) -> None:
        raise error

    monkeypatch.setitem(phases.ACTS, "switch", fail)


def test_the_phases_of_a_plan_are_done_in_order_with_their_hooks(here: Fleet, told: list[str]) -> None:
    with hold(here) as journal:
        report = runner.do(run_of(here, journal, "build", "stage", "switch"))
    assert told == [
        "pre_build",
        "[build]",
        "pre_deploy",
        "[stage]",
        "validate",
        "post_deploy",
        "[switch]",
        "post_switch",
    ]
    assert list(report.seconds) == ["build", "stage", "switch"]
    began, done = read_journal(here, 9).events
    assert isinstance(began, Began)
    assert (began.what, began.slot, began.live, began.who.count("@")) == ("release 2.0", "b", "a", 1)
    assert done == report


def test_no_secret_of_the_stage_is_in_an_error_or_in_the_journal(
    here: Fleet, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app may tell its settings in its last words."""
    failing(monkeypatch, CommandFailed("no Zq81-secret", cause="KeyError: Zq81-secret\nat open"))
    settings = [Setting("KEY", "Zq81-secret", "the environment"), Setting("A", "open", "release.toml")]
    with hold(here) as journal:
        run = run_of(here, journal, "switch")
        run.at.__dict__["settings"] = settings
        with pytest.raises(CommandFailed) as caught:
            runner.do(run)
    assert (caught.value.what, caught.value.cause) == ("no ***", "KeyError: ***\nat open")
    assert told == ["on_failure no ***\n    KeyError: ***\n    at open"]
    assert read_journal(here, 1).events == (Failed("release", "no ***"),)
    assert stat.S_IMODE(Path(here.stage.paths.journal).stat().st_mode) == 0o600


def test_a_hook_for_the_build_does_not_run_when_nothing_is_built(here: Fleet, told: list[str]) -> None:
    with hold(here) as journal:
        runner.do(run_of(here, journal, "stage"))
    assert told == ["pre_deploy", "[stage]", "validate", "post_deploy"]


@pytest.mark.parametrize("error", [Refused("no more disk"), KeyboardInterrupt()], ids=["failure", "ctrl-c"])
def test_the_journal_and_the_hooks_are_told_how_it_failed(
    here: Fleet, told: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    failing(monkeypatch, error)
    with hold(here) as journal, pytest.raises(type(error)):
        runner.do(run_of(here, journal, "stage", "switch", "build"))
    assert told[4:] == [f"on_failure {error}"]
    assert read_journal(here, 1).events == (Failed("release", str(error) or "KeyboardInterrupt"),)


SECOND = {
    "raises": (ZeroDivisionError("division by zero"), "failed: ZeroDivisionError: division by zero"),
    "exits": (SystemExit(0), "failed: SystemExit: 0"),
    "is interrupted": (Interrupted(15), "SIGTERM"),
}


@pytest.mark.parametrize(("second", "words"), SECOND.values(), ids=SECOND)
def test_a_hook_that_fails_too_does_not_hide_the_failure(
    here: Fleet,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    second: BaseException,
    words: str,
) -> None:
    def announce(plan: Plan, error: BaseException) -> None:
        raise second

    failing(monkeypatch, Refused("no more disk"))
    monkeypatch.setitem(hooks._hooks, "on_failure", [announce])
    with hold(here) as journal, pytest.raises(Refused, match="no more disk"):
        runner.do(run_of(here, journal, "switch"))
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("error", [Refused("no more disk"), KeyboardInterrupt()], ids=["failure", "ctrl-c"])
def test_nobody_samples_or_watches_any_more_when_a_switch_has_failed(
    short: Path, told: list[str], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    fleet = Fleet(real.stage(short, auto_rollback=True))
    (host,), nginx = fleet.stage.proxy, Path(fleet.stage.prefix) / "nginx"
    nginx.mkdir(parents=True)
    page = {fleet.stage.health: real.healthy("1.0")}
    with real.Web(page, port=fleet.stage.probe_port), hold(fleet) as journal:

        def switch(run: Run) -> None:
            switching.traffic(run, "", "start")
            run.samplers[host] = proof.begin(fleet.remote(host))
            proof.await_first(fleet.remote(host), run.samplers[host])
            assert (nginx / "watching").exists()
            raise error

        monkeypatch.setitem(phases.ACTS, "switch", switch)
        run = run_of(fleet, journal, "switch")
        with pytest.raises(type(error)):
            runner.do(run)
        with pytest.raises(ValueError, match="closed file"):
            run.samplers[host].receive()
    assert not (nginx / "watching").exists()


@pytest.mark.parametrize(("hook", "gets"), [("pre_deploy", "1.0"), ("post_switch", "2.0")])
def test_a_hook_that_fails_is_named_with_what_visitors_get(
    here: Fleet, told: list[str], monkeypatch: pytest.MonkeyPatch, hook: str, gets: str
) -> None:
    def announce(plan: Plan) -> None:
        raise KeyError("webhook")

    monkeypatch.setitem(hooks._hooks, hook, [announce])
    monkeypatch.setitem(phases.ACTS, "switch", lambda run: setattr(run, "switched", True))
    with hold(here) as journal, pytest.raises(HookFailed) as caught:
        runner.do(run_of(here, journal, "stage", "switch"))
    assert caught.value.what == f"the hook announce ({hook}) failed: KeyError: 'webhook'; visitors get {gets}"
    assert 'raise KeyError("webhook")' in caught.value.cause
    assert caught.value.exit_code == 8


def test_a_hook_without_a_name_of_its_own_is_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    def announce(channel: str, plan: Plan) -> None:
        raise KeyError(channel)

    monkeypatch.setattr(hooks, "_hooks", {"pre_deploy": [functools.partial(announce, "team")]})
    with pytest.raises(HookFailed, match=r"the hook functools\.partial\(.*announce.* failed: KeyError: 'team'"):
        hooks.run("pre_deploy", None)


def test_the_failure_itself_is_told_also_when_the_journal_is_lost_with_it(
    here: Fleet, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run) -> None:
        kill_lock(here)
        raise Refused("no more disk")

    monkeypatch.setitem(phases.ACTS, "switch", fail)
    with hold(here) as journal, pytest.raises(Refused, match="no more disk"):
        runner.do(run_of(here, journal, "switch"))


def test_a_report_tells_what_was_done(here: Fleet, told: list[str]) -> None:
    with hold(here) as journal:
        run = run_of(here, journal)
        run.hosts = list(here.stage.app)
        report = runner.do(run)
    assert (report.action, report.version, report.slot, report.before) == ("release", "2.0", "b", "a 1.0")
    assert (report.hosts, report.url) == (["local"], here.stage.address)
    assert isinstance(report, Report)


PAGES = {
    "a release": ("release", "production", True, ["2.0"]),
    "a canary alone, which is not live": ("canary", "production", True, []),
    "a forge whose pages are not wanted": ("release", "production", False, []),
    "this machine": ("release", "local", True, []),
}


def test_a_page_on_the_forge_is_of_a_version() -> None:
    project = config.parse({"forge": {"kind": "gitlab", "namespace": "team"}}, root=Path("/shop"), name=real.PROJECT)
    with pytest.raises(ConfigError, match="no version was given"):
        repository.make_release(project, "")


@pytest.mark.parametrize(("action", "stage", "wanted", "made"), PAGES.values(), ids=PAGES)
def test_a_forge_gets_a_page_of_what_is_live_elsewhere(
    monkeypatch: pytest.MonkeyPatch, action: str, stage: str, wanted: bool, made: list[str]
) -> None:
    tables = {"production": {"app": ["h1"], "proxy": ["p1"]}, "local": {"app": ["local"]}}
    forge = {"kind": "gitlab", "namespace": "team", "release": wanted}
    project = config.parse({"stages": tables, "forge": forge}, root=Path("/shop"), name=real.PROJECT)
    asked: list[str] = []
    monkeypatch.setattr(release, "carry_out", lambda *_: Report(action, stage, "2.0"))

    def make_release(_: config.Project, version: str) -> str:
        asked.append(version)
        return "https://forge.example/page"

    monkeypatch.setattr(repository, "make_release", make_release)
    release.release(project, stage)
    assert asked == made
