"""What outlives a run: results as plain values and back, the user's folder, and a lock for the files in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import numpy as np

from hftlab.errors import HftlabError, OutputError
from hftlab.presentation.result import Result, require_schema

if TYPE_CHECKING:
    import polars as pl


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
        return {"schema": self.schema, **msgspec.to_builtins(self, enc_hook=_to_plain), **self.derived()}

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        require_schema(payload, cls.schema)
        try:
            return msgspec.convert(payload, cls, dec_hook=_from_plain)
        except msgspec.ValidationError as error:
            raise HftlabError(f"{cls.schema}: {error}") from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline()}>"


def _to_plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value.to_dict()


def _from_plain(kind: Any, payload: Any) -> Any:
    return kind.from_dict(payload)


def user_folder() -> Path:
    """$HFTLAB_HOME, or ~/.hftlab. It need not exist."""
    return Path(os.environ.get("HFTLAB_HOME") or "~/.hftlab").expanduser()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """One process at a time within, by a lock file beside `path`. Where the system has no flock there is no lock.

    raises : OutputError if the lock file cannot be made
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(path.with_name(f".{path.name}.lock"), "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise OutputError(f"{path}: cannot be locked: {error.strerror or error}") from None
    with handle:
        try:
            import fcntl
        except ImportError:
            pass
        else:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
