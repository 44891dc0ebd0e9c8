import pytest
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.about import PROJECT, about
from {{ cookiecutter.package_name }}.app import create_app


@pytest.fixture
def client() -> TestClient:
    return TestClient(create_app())


def test_the_home_page_says_hello_with_the_version(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.json() == {"message": f"Hello from {PROJECT}", "version": about()["version"]}


def test_the_health_check_tells_what_is_running(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == about()


def test_an_unknown_page_is_not_found(client: TestClient) -> None:
    assert client.get("/nowhere").status_code == 404
