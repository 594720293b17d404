"""Result: what every result of hftlab can do. It gives blocks and plain values; nothing but this package draws."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hftlab.errors import HftlabError
from hftlab.presentation import output
from hftlab.presentation.document import Block, Table, Text

if TYPE_CHECKING:
    import polars as pl


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


class StoredResult(Result):
    """A result that is stored by its fields: numbers, text, records of them, and whatever has `to_dict` and `from_dict`."""

    def headline(self) -> str:
        """The class, unless the result says more."""
        return type(self).__name__

    def records(self) -> list[dict[str, Any]]:
        """The rows of `frame`, plain values by column."""
        return []

    def frame(self) -> pl.DataFrame:
        """`records` as a frame; a column without any value is one of numbers."""
        import polars as pl

        return pl.DataFrame(self.records(), infer_schema_length=None).cast({pl.Null: pl.Float64})

    def derived(self) -> dict[str, Any]:
        """What follows from the fields, for readers of the JSON; `from_dict` does not need it."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        import msgspec

        return {"schema": self.schema, **msgspec.to_builtins(self, enc_hook=_to_plain), **self.derived()}

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        import msgspec

        if (found := payload.get("schema")) != cls.schema:
            raise HftlabError(f"schema must be {cls.schema!r}, got {found!r}")
        try:
            return msgspec.convert(payload, cls, dec_hook=lambda kind, plain: kind.from_dict(plain))
        except msgspec.ValidationError as error:
            raise HftlabError(f"{cls.schema}: {error}") from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline()}>"


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


def _to_plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value.to_dict()
