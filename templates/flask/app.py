"""The Flask app."""

from flask import Flask

from .about import PROJECT, about


def create_app() -> Flask:
    """Make the app; gunicorn calls this once in each process."""
    app = Flask(__name__)

    @app.get("/")
    def hello() -> dict[str, str]:
        return {"message": f"Hello from {PROJECT}", "version": about()["version"]}

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return about()

    return app
