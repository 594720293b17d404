"""Result: what every result of hftlab can do. It gives blocks and plain values; nothing but this package draws."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from hftlab.errors import HftlabError
from hftlab.presentation import output
from hftlab.presentation.document import Block, Table, Text


class Result:
    """Base of the results: frozen dataclasses that override what they have.

    schema : "name/version" of `to_dict`, "" for a result that is not stored
    """

    schema: ClassVar[str] = ""

    def headline(self) -> str:
        """One line: what this is, or its verdict."""
        return repr(self).strip("<>")

    def tables(self) -> list[Table]:
        """What was found, as tables of text with units in the head of each column."""
        return []

    def notes(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        return []

    def blocks(self) -> list[Block]:
        """Tables, then notes."""
        return [*self.tables(), *([Text(tuple(self.notes()), "list")] if self.notes() else [])]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, "schema" first; `from_dict` gives the result back."""
        raise NotImplementedError(f"{type(self).__name__} is not stored")

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The result that `to_dict` gave. Raises HftlabError where something is missing or of another kind."""
        raise NotImplementedError(f"{cls.__name__} is not stored")

    def to_json(self) -> str:
        """`to_dict` as JSON text; a number that is none (NaN) becomes null."""
        return to_json(self.to_dict())

    def save(self, path: str | Path) -> None:
        """Write the result as JSON, whole or not at all. Raises OutputError."""
        output.write_text(path, self.to_json() + "\n")

    def __str__(self) -> str:
        from hftlab.presentation import terminal  # rich, which few programs need

        return terminal.to_text(self.headline(), self.blocks())

    def _repr_html_(self) -> str:
        from hftlab.presentation import html

        return html.fragment(self.headline(), self.blocks())


def to_json(value: Any) -> str:
    """Plain values as JSON text, NaN and infinities as null, since JSON has neither."""
    return json.dumps(_finite(value), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_finite(each) for each in value]
    return value


def require_schema(payload: dict[str, Any], schema: str) -> None:
    """Raises HftlabError unless `payload` is what `schema` names."""
    if (found := payload.get("schema")) != schema:
        raise HftlabError(f"schema must be {schema!r}, got {found!r}")
