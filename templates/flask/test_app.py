import pytest
from flask.testing import FlaskClient

from {{ cookiecutter.package_name }}.about import PROJECT, about
from {{ cookiecutter.package_name }}.app import create_app


@pytest.fixture
def client() -> FlaskClient:
    return create_app().test_client()


def test_the_home_page_says_hello_with_the_version(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "message": f"Hello from {PROJECT}",
        "version": about()["version"],
    }


def test_the_health_check_tells_what_is_running(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.get_json() == about()


def test_an_unknown_page_is_not_found(client: FlaskClient) -> None:
    assert client.get("/nowhere").status_code == 404
