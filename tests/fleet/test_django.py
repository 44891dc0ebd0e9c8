"""The template's Django as it is, with database, queue and https: released, migrated, rolled back under load."""

from __future__ import annotations

import collections
import http.client
import json
import re
import secrets
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from real import certificate, command_lines
from rig import Host, RigError, wait_for
from rig.services import Database, postgresql, redis
from rig.visitors import KINDS, PATIENCE, Visitors
from rig.world import Project, World, bake, world

pytestmark = pytest.mark.hosts
NAME = "shop.example"
FOLDER = "srv/my-shop"
JOBS = 1000
ADDS = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("my_shop", "0001_initial")]
    operations = [
        migrations.AddField("greeting", "kind", models.CharField(max_length=9, db_default="plain"))
    ]
"""
FAILS = """from django.db import migrations


def fail(apps, editor):
    raise RuntimeError("no room in this table")


class Migration(migrations.Migration):
    dependencies = [("my_shop", "0002_kind")]
    operations = [migrations.RunPython(fail)]
"""
HELD = '    while Greeting.objects.filter(text="hold").exists():\n        time.sleep(0.05)\n'
MODEL = '    kind = models.CharField(max_length=9, db_default="plain")\n'


class Shopper:
    """A visitor by https who gets a page and then its style sheet, from whichever proxy the name leads to."""

    trusted: ssl.SSLContext
    addresses: tuple[str, ...]

    def __call__(self, address: str, path: str, port: int) -> str:
        """The version on the page; raises OSError for anything but good answers."""
        page = self.get(address, path, port)
        (sheet,) = re.findall(r'href="(/static/site\.[0-9a-f]{12}\.css)"', page)
        for proxy in self.addresses:
            assert "font-family" in self.get(proxy, sheet, port)
        (version,) = re.findall("<footer>(.*)</footer>", page)
        return str(version)

    def get(self, address: str, path: str, port: int) -> str:
        """What is answered to a name that leads to that address."""
        connection = http.client.HTTPSConnection(NAME, port, timeout=PATIENCE, context=self.trusted)
        connection.sock = self.trusted.wrap_socket(
            socket.create_connection((address, port), PATIENCE), server_hostname=NAME
        )
        with connection.sock:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        if answer.status != 200:
            raise OSError(f"{path}: HTTP {answer.status}: {body[:100]!r}")
        return body


@dataclass(repr=False)
class Django:
    """The project, its hosts and what it needs beside them."""

    world: World
    project: Project
    app: list[Host]
    proxy: list[Host]
    database: Database
    secrets: dict[str, str]
    said: list[str] = field(default_factory=list)
    """What `fab` has printed, to everybody who looks over a shoulder."""

    def fab(self, *words: str, code: int = 0, **env: str) -> str:
        """Run `fab` on the stage; what it prints, errors included."""
        done = self.project.fab(*words, "--stage", "test", check=False, **env)
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def release(self, *words: str) -> dict[str, object]:
        """Release what is here now, committed; the report."""
        self.project.commit("Work")
        return dict(json.loads(self.fab("release", *words, "--json")))

    def write(self, name: str, text: str) -> None:
        """A file of the package."""
        (self.project.folder / "src/my_shop" / name).write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        """Change what stands once in a file of the package."""
        before = (self.project.folder / "src/my_shop" / name).read_text()
        assert before.count(old) == 1
        self.write(name, before.replace(old, new))

    def queue(self, first: int, count: int) -> None:
        """Ask for numbered jobs."""
        code = f"from my_shop.tasks import greet; [greet.delay(f'job {{n}}') for n in range({first}, {first + count})]"
        self.fab("run", f'python -m my_shop shell -c "{code}"')

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """For the length of the block no job comes to its end before the old workers take no more, with jobs at work.

        A job that a child of Celery takes while its worker takes leave of the broker is done twice: AsynPool.flush
        forgets what it has not heard of yet, and the broker hands that out again.
        """
        logs = [*(log for host in self.app for log in (host.root / FOLDER).glob("slots/*/log/worker-0.log"))]
        before = {log: log.stat().st_size for log in logs}

        def left() -> bool:
            ends = [log.read_bytes()[size:] for log, size in before.items()]
            return sum(b"Worker: Stopping Pool" in end for end in ends) == len(self.app)

        def let_go() -> None:
            with suppress(RigError):  # then none of them handed over, and the test tells more
                wait_for(lambda: left() or over.is_set(), "the old workers to take no more", 300)
            done.extend(self.jobs().elements())
            self.database.ask("delete from my_shop_greeting where text = 'hold'")

        already, done, over = len(self.jobs()), list[str](), threading.Event()
        self.database.ask("insert into my_shop_greeting (text, created) values ('hold', now())")
        thread = threading.Thread(target=let_go)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert len(done) == already, "all jobs were still waiting when the worker handed over"

    def jobs(self) -> collections.Counter[str]:
        """How often each job was done."""
        return collections.Counter(self.database.ask("select text from my_shop_greeting where text like 'job %'"))


def configuration(team: World, app: list[Host], proxy: list[Host]) -> str:
    """The stage, with https, secrets and a cron job."""
    stage = team.stage(
        app, proxy, processes=1, server_name=NAME, profile="production", secrets=list(SECRETS), health_timeout=30
    )
    return stage + (
        '\n[stages.test.tls]\ncertificate = "/srv/tls/cert.pem"\nkey = "/srv/tls/key.pem"\n'
        f'\n[stages.test.env]\nDJANGO_ALLOWED_HOSTS = "{NAME}"\n'
    )


SECRETS = ("DATABASE_URL", "DJANGO_SECRET_KEY", "CELERY_BROKER_URL")
CRON = """
[app.programs.clearsessions]
command = "python -m my_shop clearsessions"
schedule = "* * * * *"
one_host = true

[app.static]"""


@pytest.fixture(scope="module")
def django(tmp_path_factory: pytest.TempPathFactory, packages: Path, can_make_hosts: None) -> Iterator[Django]:
    """The baked project on two app hosts and two proxies, with PostgreSQL and Redis, not released yet."""
    folder = tmp_path_factory.mktemp("django")
    with ExitStack() as stack:
        team = stack.enter_context(world(folder / "fleet", packages))
        gateway = team.fleet.gateway_address
        database = stack.enter_context(postgresql(gateway, 5544))
        broker = stack.enter_context(redis(gateway, 6399))
        app, proxy = team.fleet.add_many(2, "app"), team.fleet.add_many(2, "proxy")
        project = bake(team, folder, project_name="My Shop", flavour="django", celery="true")
        toml = project.folder / "release.toml"
        told = toml.read_text().replace("--loglevel INFO", "--loglevel DEBUG")
        toml.write_text(told.replace("\n[app.static]", CRON))
        for host in proxy:
            files = certificate(folder / "tls", NAME)
            (host.root / "srv/tls").mkdir()
            for path in files.values():
                (host.root / "srv/tls" / Path(path).name).write_bytes(Path(path).read_bytes())
        Shopper.trusted = ssl.create_default_context()
        for host in proxy:
            Shopper.trusted.load_verify_locations(host.root / "srv/tls/cert.pem")
        Shopper.addresses = tuple(host.address for host in proxy)
        values = dict(zip(SECRETS, (database.url, secrets.token_urlsafe(50), broker), strict=True))
        dotenv = project.folder / ".env.test"
        dotenv.touch(0o600)
        dotenv.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        project.configure(configuration(team, app, proxy))
        made = Django(team, project, app, proxy, database, values)
        made.fab("index.sync")
        yield made


@contextmanager
def counted(*words: str, of: str = f"/{FOLDER}/") -> Iterator[dict[str, list[int]]]:
    """How many processes have each of these words in their command line, sampled for the length of the block."""
    seen: dict[str, list[int]] = {word: [] for word in words}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            lines = [line for line in command_lines() if of in line]
            for word, counts in seen.items():
                counts.append(sum(word in line for line in lines))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_three_releases_a_failed_migration_and_a_rollback_lose_no_request_and_no_job(
    django: Django, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "shopper", Shopper)
    django.change("tasks.py", "    Greeting.objects.create", HELD + "    Greeting.objects.create")
    django.change("tasks.py", "from datetime", "import time\nfrom datetime")
    first = django.release()["version"]
    addresses = [host.address for host in django.proxy]
    with counted("beat\0", "schedule.py\0") as at_work, Visitors(addresses, "/", ("shopper",), pause=0.1) as visitors:
        django.write("migrations/0002_kind.py", ADDS)
        django.change("models.py", "    created =", MODEL + "    created =")
        django.change("static/site.css", "gray", "green")
        with django.held_up():
            django.queue(0, JOBS // 2)
            second = django.release()["version"]

        django.write("migrations/0003_fails.py", FAILS)
        django.project.commit("A migration that fails")
        words = django.fab("release", code=6)
        assert f"before_switch: 1 of 1 hosts failed: migrate; visitors get {second}" in words
        assert "no room in this table" in words

        with django.held_up():
            django.queue(JOBS // 2, JOBS // 2)
            back = json.loads(django.fab("rollback", "--json"))
        assert back["version"] == first
        end = time.monotonic()
        wait_for(lambda: sum(visitors.since(end).values()) >= 20, "visitors to come after the way back", 60)
        (django.project.folder / "src/my_shop/migrations/0003_fails.py").unlink()
        third = django.release()["version"]
        wait_for(lambda: sum(django.jobs().values()) >= JOBS, "all jobs to be done", 120)
    assert visitors.failed == []
    assert [version for version in (first, second, third) if version not in {v for *_, v in visitors.answers}] == []
    assert django.jobs() == collections.Counter(f"job {n}" for n in range(JOBS)), "each once"
    assert {word: max(counts) for word, counts in at_work.items()} == {"beat\0": 1, "schedule.py\0": 1}
    assert [counts[-1] for counts in at_work.values()] == [1, 1]
    assert django.database.ask("select name from django_migrations where app = 'my_shop' order by id") == [
        "0001_initial",
        "0002_kind",
    ]
    logs = [host.name for host in django.app if list((host.root / FOLDER).glob("slots/*/log/run-migrate.log"))]
    assert len(logs) == 1, "on one host"
    assert "no issues" in django.fab("run", "python -m my_shop check --deploy --fail-level WARNING 2>&1")


MIGRATE, HEALTH = '"python -m my_shop migrate --no-input"', 'health = "/healthz"'
LEAK = "python -c 'import os; raise ValueError(os.environ[\"DATABASE_URL\"])'"
BROKEN = {
    "a migration that prints its environment": (MIGRATE, '"env; exit 3"\nalways = true', 6, "failed: migrate"),
    "a migration that cannot log in": (
        MIGRATE,
        '"DATABASE_URL=${DATABASE_URL}x python -m my_shop migrate"\nalways = true',
        6,
        "migrate",
    ),
    "a traceback with the address": (MIGRATE, json.dumps(LEAK) + "\nalways = true", 6, "ValueError: ***"),
    "no page for the health": (HEALTH, 'health = "/nowhere"', 6, "404"),
    "an app that does not start": (f'HOSTS = "{NAME}"', 'HOSTS = ""', 6, "needs DJANGO_ALLOWED_HOSTS"),
    "no such worker": ("my_shop worker", "nothing worker", 5, "not every process became healthy"),
    "no such command before the start": ("my_shop collectstatic", "my_shop nothing", 6, "Unknown command"),
    "no such folder of static files": ("[app.static]", '[app.static]\nfolder = "nowhere"', 5, "no folder nowhere"),
    "a secret that has no value": ("\nsecrets = [", '\nsecrets = ["MISSING", ', 2, "no value for MISSING"),
    "a certificate for another name": (f'server_name = "{NAME}"', 'server_name = "other.example"', 3, "not for other"),
    "a login at the index that is wrong": (
        "[app.static]",
        "[app.static]",
        7,
        "RELEASELIB_INDEX_PASSWORD, then run it again",
    ),
}


def holding(folder: Path, values: list[bytes]) -> dict[str, str]:
    """The files below a folder that hold one of these, and the mode of each."""
    holders = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                if any(value in content for value in values):
                    holders[str(path.relative_to(folder))] = oct(stat.S_IMODE(path.stat().st_mode))
    return holders


def test_no_secret_is_anywhere_but_in_the_file_of_a_slot_however_a_release_fails(django: Django) -> None:
    values = list(django.secrets.values())
    values += [found[1] for value in values if (found := re.search(":([^:@/]+)@", value))]
    assert len(values) == 5, "the passwords in the addresses, too"
    toml = django.project.folder / "release.toml"
    version = str(django.release()["version"])
    right = toml.read_text()
    with counted(*values, of="") as shown:
        for what, (old, new, code, words) in BROKEN.items():
            assert right.count(old) == 1, what
            wait = "health_timeout = 5" if "health" in new else "health_timeout = 30"
            toml.write_text(right.replace("health_timeout = 30", wait).replace(old, new))
            given, env = ["--ref", version, "--version", version, "--hosts", django.app[0].address], {}
            if code == 7:
                django.project.commit("A version that cannot be uploaded")
                given, env = [], {"RELEASELIB_INDEX_PASSWORD": "nobody-knows-this"}
            said = django.fab("release", *given, "--json", code=code, **env)
            assert words in said, f"{what}: {said}"
            toml.write_text(right)
        for look in ("plan --json", "history", "status --json", "env.show", "doctor", "host.logs"):
            django.fab(*look.split())
        assert "DATABASE_URL: same, from .env.test" in django.fab("env.show")
    assert {value: max(counts) for value, counts in shown.items() if max(counts)} == {}, "on a command line"
    assert [text for text in django.said for value in (*values, "nobody-knows-this") if value in text] == []
    held = holding(django.world.fleet.folder / "hosts", [value.encode() for value in values])
    assert held
    assert {re.sub("app[12]/.*/[ab]/", "", path) for path in held} == {"environment"}, held
    assert set(held.values()) == {"0o600"}
    assert set(holding(django.project.folder, [value.encode() for value in values])) == {".env.test"}
