"""The one place that renders the project's templates (Jinja)."""

from collections.abc import Callable, Mapping
from typing import Any

from releaselib.errors import ConfigError


def render(template: str, values: Mapping[str, Any], name: str, finalize: Callable[[Any], Any] | None = None) -> str:
    """The text of a template, which is called ``name`` in errors. Pure.

    ``finalize`` changes each value before it is written. Raises ConfigError for a template that cannot be
    rendered, with the names that it can use.
    """
    import jinja2

    try:
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, finalize=finalize, autoescape=False, keep_trailing_newline=True
        )
        return environment.from_string(template).render(values)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(
            f"{name}: {error}", next_step=f"names that can be used: {', '.join(sorted(values))}"
        ) from None
