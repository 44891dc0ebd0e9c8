"""What would stop a release is found before there is one; here the only host is this machine, and nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import real
from releaselib import config
from releaselib.actions.machines import control_nginx
from releaselib.actions.rehearse import doctor
from releaselib.config.file import Project
from releaselib.errors import ConfigError, Refused
from releaselib.index.simple import PASSWORD

SITE = 'include "{{ http_conf }}";\nserver { include "{{ server_conf }}"; }\n'
STOPPING: dict[str, tuple[dict[str, Any], str, str]] = {
    "a secret that nobody has": ({"secrets": ["TOKEN"]}, "[supervisord]\n", "stage test has no value for TOKEN"),
    "a template with a name that is none": ({}, "command={{ venv }}\n", "supervisord.conf.j2: 'venv' is undefined"),
}


def project(repository: real.Repository, url: str, supervisord: str, **keys: Any) -> Project:
    files = {"release.d/supervisord.conf.j2": supervisord, "release.d/nginx.conf.j2": SITE, ".gitignore": "/run\n"}
    repository.commit(files)
    root, port = repository.folder, real.free_port(100)
    index = {"url": f"{url}/simple/", "upload_url": url, "username": "releaser"}
    table = {"app": ["local"], "proxy": ["local"], "nginx": "own", "prefix": "run", "port_base": port, **keys}
    return config.parse({"index": index, "stages": {"test": table}}, root=root, name=real.PROJECT)


@pytest.mark.parametrize(("keys", "supervisord", "words"), STOPPING.values(), ids=STOPPING)
def test_doctor_finds_what_stops_a_release_before_its_build(
    short: Path, identity: None, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], supervisord: str, words: str
) -> None:
    repository = real.Repository(short / "r")
    monkeypatch.setenv(PASSWORD, "secret")
    with real.Web({}) as web:
        with pytest.raises(ConfigError) as caught:
            doctor(project(repository, web.url, supervisord, **keys), "test", "")
        assert words in caught.value.what
        whole = project(repository, web.url, "[supervisord]\n")
        assert doctor(whole, "test", "").startswith("nothing stands against a release to test")
    assert not Path(whole.stage("test").prefix, "slots").exists()


def test_doctor_tells_all_that_it_finds_at_once(short: Path, identity: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    with real.Web({}) as web, pytest.raises(Refused, match="2 things stand against it") as caught:
        doctor(project(real.Repository(short / "r"), web.url, "[supervisord]\n", secrets=["TOKEN"]), "test", "")
    assert "stage test has no value for TOKEN" in caught.value.cause
    assert "no password for http:" in caught.value.cause


def test_a_site_that_cannot_be_rendered_is_no_failure_of_a_proxy(short: Path, identity: None) -> None:
    found = project(real.Repository(short / "r"), "http://127.0.0.1:9", "[supervisord]\n")
    (found.root / "release.d/nginx.conf.j2").write_text(SITE + "{{ colour }}")
    with pytest.raises(ConfigError, match="'colour' is undefined"):
        control_nginx(found, "test", "setup")
