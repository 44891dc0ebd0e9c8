"""The FastAPI app."""

from fastapi import FastAPI

from .about import PROJECT, about


def create_app() -> FastAPI:
    """Make the app; uvicorn calls this once in each process."""
    app = FastAPI(title=PROJECT, version=about()["version"])

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"message": f"Hello from {PROJECT}", "version": about()["version"]}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return about()

    return app
