"""The supervisord configuration of a slot: rendered here (pure), judged by supervisord there."""

from __future__ import annotations

import re
from typing import Any

import jinja2

from releaselib.errors import ConfigError

TEMPLATE = "release.d/supervisord.conf.j2"


def escaped(value: Any) -> Any:
    """A value as supervisord's configuration wants it: ``%`` doubled.

    Raises ConfigError for a newline, `` ;`` or `` #``, which would begin another line or a comment.
    """
    if not isinstance(value, str):
        return value
    if re.search(r"[\n\r]|\s[;#]", value):
        raise ConfigError(
            f"{TEMPLATE}: the value {value!r} has a newline, ' ;' or ' #' in it",
            next_step="change the value; supervisord would read it as something else",
        )
    return value.replace("%", "%%")


def render(template: str, values: dict[str, Any]) -> str:
    """The text of supervisord.conf. Pure. Raises ConfigError for a name that is not given."""
    try:
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, finalize=escaped, autoescape=False, keep_trailing_newline=True
        )
        return environment.from_string(template).render(values)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(
            f"{TEMPLATE}: {error}", next_step=f"names that can be used: {', '.join(sorted(values))}"
        ) from None
