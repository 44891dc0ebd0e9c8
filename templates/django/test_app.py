import os
import subprocess
import sys

import pytest
from django.test import Client

from {{ cookiecutter.package_name }}.about import PROJECT, about


@pytest.fixture
def client() -> Client:
    return Client(headers={"host": "localhost"})


def test_the_home_page_says_hello_with_the_version(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json() == {"message": f"Hello from {PROJECT}", "version": about()["version"]}


def test_the_health_check_tells_what_is_running(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == about()


def test_the_health_check_answers_by_whatever_name_the_host_is_asked(client: Client) -> None:
    assert client.get("/healthz", headers={"host": "10.0.0.7"}).status_code == 200


@pytest.mark.filterwarnings("ignore")
def test_a_host_name_that_is_not_allowed_is_refused(client: Client) -> None:
    assert client.get("/", headers={"host": "elsewhere.example.com"}).status_code == 400


def test_an_unknown_page_is_not_found(client: Client) -> None:
    assert client.get("/nowhere").status_code == 404


@pytest.mark.parametrize("missing", ["DJANGO_SECRET_KEY", "DJANGO_ALLOWED_HOSTS"])
def test_production_does_not_start_without(missing: str) -> None:
    settings = {"DJANGO_SECRET_KEY": "a key", "DJANGO_ALLOWED_HOSTS": "example.com"}
    settings.pop(missing)
    command = [sys.executable, "-c", "import {{ cookiecutter.package_name }}.settings"]
    environment = {"PATH": os.defpath, "RELEASE_PROFILE": "production", **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert missing in done.stderr
