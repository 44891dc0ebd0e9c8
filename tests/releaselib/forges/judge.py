"""Judges recorded requests by the forges' own OpenAPI descriptions."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from forges.standin import Recorded, StandIn

REPOSITORY = Path(__file__).resolve().parents[3]


def folder() -> Path:
    """Where the descriptions lie: FORGE_SPECS, or ../shared/forge-specs beside the checkout."""
    return Path(os.environ.get("FORGE_SPECS") or REPOSITORY.parent / "shared" / "forge-specs")


def missing() -> str:
    """Why no judgement is possible; empty when it is."""
    absent = [name for name in ("gitlab", "github") if not (folder() / f"{name}.strict.json").is_file()]
    return f"no {', '.join(absent)} description in {folder()} (FORGE_SPECS)" if absent else ""


@functools.cache
def _description(kind: str, api: str) -> Any:
    from openapi_core import OpenAPI

    spec = json.loads((folder() / f"{kind}.strict.json").read_text("utf-8"))
    # GitLab's paths hold /api/v4 themselves; on a server of one's own GitHub's are below /api/v3
    spec["servers"] = [{"url": "http://forge" + (api if kind == "github" else "")}]
    return OpenAPI.from_dict(spec)


def complaints(forge: StandIn, requests: list[Recorded] | None = None) -> list[str]:
    """What the forge's description has against the requests that came in."""
    from openapi_core.testing import MockRequest

    kind = type(forge).__name__.lower()
    openapi = _description(kind, forge.api)
    found = []
    for call in forge.requests if requests is None else requests:
        url = urlsplit(call.path)
        request = MockRequest(
            "http://forge",
            call.method.lower(),
            url.path,
            args=parse_qs(url.query),
            headers=call.headers,
            data=call.body or None,
            content_type=call.headers.get("Content-Type", "application/json"),
        )
        errors = [repr(error.__cause__ or error) for error in openapi.iter_request_errors(request)]
        found += [f"{call.method} {unquote(call.path)}: {error}" for error in errors]
    return found
