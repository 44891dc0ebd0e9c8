"""The one place that renders the project's templates (Jinja)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from releaselib.errors import ConfigError

if TYPE_CHECKING:
    import jinja2

Finalize = Callable[[Any], Any]


def render(template: str, values: Mapping[str, Any], name: str, finalize: Finalize | None = None) -> str:
    """The text of a template, which is called ``name`` in errors. Pure.

    ``finalize`` changes each value before it is written. Raises ConfigError for a template that cannot be
    rendered, with the names that it can use.
    """
    import jinja2

    try:
        return _compiled(template, finalize).render(values)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(
            f"{name}: {error}", next_step=f"names that can be used: {', '.join(sorted(values))}"
        ) from None


@functools.cache
def _compiled(template: str, finalize: Finalize | None) -> jinja2.Template:
    """A template as Jinja has it: to make it takes much longer than to render it, and each host has its own text."""
    import jinja2

    return jinja2.Environment(
        undefined=jinja2.StrictUndefined, finalize=finalize, autoescape=False, keep_trailing_newline=True
    ).from_string(template)
