"""Plain values: frozen dataclasses as JSON and back by their type hints, results stored in that way, rows as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from hftlab.errors import HftlabError
from hftlab.presentation.document import NOT_KNOWN, Table, table
from hftlab.presentation.result import Result, require_schema

Record = TypeVar("Record")


def to_plain(value: Any) -> Any:
    """A dataclass as a dict of its fields, tuples and arrays as lists, whatever is in them likewise."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


def from_plain(kind: type[Record], payload: Mapping[str, Any]) -> Record:
    """The dataclass that `to_plain` was given. What is in `payload` besides its fields is ignored.

    raises : HftlabError for a field that is missing or of another shape
    """
    try:
        record: Record = _record(kind, payload)
        return record
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, HftlabError):
            raise
        raise HftlabError(f"{kind.__name__} cannot be read: {type(error).__name__} {error}") from None


def _record(kind: Any, payload: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    return kind(**{field.name: _value(hints[field.name], payload[field.name]) for field in fields(kind) if field.init})


def _value(hint: Any, value: Any) -> Any:
    """A plain value as what the hint says; None for a float is NaN, which JSON has not."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return (
            None if value is None and NoneType in inner else _value(next(each for each in inner if each is not NoneType), value)
        )
    if is_dataclass(hint):
        return _record(hint, value)
    if origin is tuple:
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_value(one, part) for one, part in zip(each, value, strict=True))
    if origin is list:
        return [_value(inner[0], each) for each in value]
    if origin is dict:
        return {name: _value(inner[1], each) for name, each in value.items()}
    if hint is float and value is None:
        return float("nan")
    if hint in (float, int, str, bool) and not isinstance(value, (int, float) if hint is float else hint):
        raise TypeError(f"{value!r} where {hint.__name__} must be")
    return value


class PlainResult(Result):
    """A result that is a frozen dataclass of plain values, of others like it, and of tuples and dicts of them."""

    def derived(self) -> dict[str, Any]:
        """What `to_dict` has besides the fields, for readers of the JSON: verdicts, summaries."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        return {"schema": self.schema, **to_plain(self), **self.derived()}

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        require_schema(payload, cls.schema)
        return from_plain(cls, payload)


def rows_table(title: str, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, tuple[str, float]], **more: Any) -> Table:
    """Rows of plain values as a table.

    columns : key of a row -> the head of its column, and what numbers are divided by; 0: a share, as per cent
    more    : words, note, source, grouped; see `Table`
    """
    heads = [head for head, _ in columns.values()]
    return table(title, heads, [[_cell(row[key], scale) for key, (_, scale) in columns.items()] for row in rows], **more)


def _cell(value: Any, scale: float) -> str:
    """Whole numbers and those from 100 on without decimals, the others with two."""
    if isinstance(value, (str, bool)):
        return value if isinstance(value, str) else "yes" if value else "NO"
    if value is None or value != value:
        return NOT_KNOWN
    if not scale:
        return f"{value:.0%}"
    value = value / scale
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"
