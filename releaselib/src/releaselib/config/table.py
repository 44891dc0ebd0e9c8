"""What every table of release.toml is: frozen, strict, and with its checks beside its keys."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


def must(hold: Callable[[Any], object], words: str, kind: Any = AfterValidator) -> Any:
    """A check of a key: where it does not hold, the value is refused with these words."""

    def check(value: Any) -> Any:
        if not hold(value):
            raise ValueError(words.format(value))
        return value

    return kind(check)


class Table(BaseModel):
    """A table of release.toml: frozen, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Name = Annotated[
    str, must(lambda v: re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", v), "is no name of an environment variable: {}")
]
