"""What every result of the bench can do: become plain values for JSON, and be saved."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from hftlab.errors import FeedError
from hftlab.presentation import html
from hftlab.presentation.document import table, text


class Result(ABC):
    """Base of the frozen results; each says what it is as plain values."""

    def _repr_html_(self) -> str:
        """Its frame as a table, and what a table cannot say: for a notebook."""
        frame, lines = getattr(self, "frame", None), getattr(self, "lines", None)
        rows = frame() if frame else None
        shown = [table("", rows.columns, [list(map(str, row)) for row in rows.rows()])] if rows is not None else []
        return html.fragment(repr(self).strip("<>"), [*shown, text(*(lines() if lines else ()), kind="list")])

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """For JSON; "schema" names what it is."""

    def save(self, path: str | Path) -> None:
        """Write the result as JSON. Raises FeedError if that cannot be done."""
        write(path, json.dumps(self.to_dict(), indent=1) + "\n")


def write(path: str | Path, text: str) -> None:
    """Write a file and the folders above it. Raises FeedError in one sentence if that cannot be done."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    except OSError as error:
        raise FeedError(f"{path}: cannot be written: {error.strerror}") from None
