"""What every result of the bench can do: become plain values for JSON, and be saved."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from hftlab.errors import FeedError


class Result(ABC):
    """Base of the frozen results; each says what it is as plain values."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """For JSON; "schema" names what it is."""

    def save(self, path: str | Path) -> None:
        """Write the result as JSON. Raises FeedError if that cannot be done."""
        write(path, self.to_dict(), indent=1)


def write(path: str | Path, value: Any, indent: int | None = None) -> None:
    """Write plain values as JSON. Raises FeedError if that cannot be done."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(value, indent=indent) + "\n")
    except OSError as error:
        raise FeedError(f"{path}: cannot be written: {error.strerror}") from None
