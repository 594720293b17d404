"""Files that are written whole or not at all: beside their place first, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hftlab.errors import OutputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A path to write to; what was written takes the place of `path` when the block ends, and only if it ends well.

    A file that was there before stays untouched until then. Folders above are made. A device or pipe is written directly.

    raises : OutputError for whatever OSError the block or the rename raises
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            yield path
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.resolve()
        beside = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part{target.suffix}")
        beside.touch(exist_ok=False)
        try:
            if target.exists():
                beside.chmod(target.stat().st_mode & 0o777)
            yield beside
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all. Raises OutputError."""
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a binary file whole or not at all. Raises OutputError."""
    with atomic_path(path) as beside:
        beside.write_bytes(data)


def write_parquet(path: str | Path, frame: Any) -> None:
    """Write a Polars frame as Parquet, whole or not at all. Raises OutputError."""
    from polars.exceptions import PolarsError

    try:
        with atomic_path(path) as beside, beside.open("wb") as file:  # the name may be none that Polars could open
            frame.write_parquet(file)
    except PolarsError as error:
        raise OutputError(f"{path}: cannot be written: {error}") from None


def check_writable(path: str | Path) -> None:
    """Whether `path` can be written, found out before anything is measured; leaves nothing behind and changes nothing.

    raises : OutputError
    """
    import tempfile

    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"{path}: cannot be written: it is a folder")
        if path.exists():
            with path.open("ab"):
                return
        folder = next(folder for folder in (path.parent, *path.parent.absolute().parents) if folder.exists())
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None
