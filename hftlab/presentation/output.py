"""Files that are written whole or not at all: beside their place first, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from hftlab.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    #: A frame, or (n,) values by column.
    Rows = pl.DataFrame | Mapping[str, NDArray[Any]]

_WAITING = 4  # frames that wait to be written
_ROW_GROUP = 1 << 16  # rows; no more than about what may wait, so that who gives rows seldom waits for one to be compressed
_PATIENCE_S = 0.1  # how soon it is noticed that nothing is written any more


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


@contextmanager
def parquet_rows(path: str | Path, schema: Mapping[str, Any] | np.dtype[Any]) -> Iterator[Callable[[Rows], None]]:
    """A Parquet file that is written while its rows come: give frames or columns to what this yields, of any size.

    A thread of its own compresses row groups and writes them; what waits for it is bounded. Whole or not at all.

    schema : Polars type by column, or the NumPy type of a row; what else columns hold is left out
    raises : OutputError
    """
    import numpy as np
    import polars as pl
    from polars.io.plugins import register_io_source

    kinds = schema if isinstance(schema, Mapping) else pl.DataFrame(np.empty(0, schema)).schema
    waiting: Queue[Any] = Queue(_WAITING)
    failure: list[BaseException] = []

    def frames(*_: Any) -> Iterator[Any]:
        while (frame := waiting.get()) is not None:
            yield frame

    def work(target: Path) -> None:
        try:
            rows = register_io_source(frames, schema=pl.Schema(kinds))
            with target.open("wb") as file:  # the name may be none that Polars could open
                rows.sink_parquet(file, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP, maintain_order=True)
        except BaseException as error:
            failure.append(error)

    def put(rows: Rows | None) -> None:
        frame = _frame(rows, kinds) if isinstance(rows, Mapping) else rows
        while thread.is_alive():
            with suppress(Full):
                waiting.put(frame, timeout=_PATIENCE_S)
                return

    with atomic_path(path) as beside:
        thread = Thread(target=work, args=(beside,), name="hftlab-parquet", daemon=True)
        thread.start()
        try:
            yield put
        finally:
            put(None)
            thread.join()
        if failure:
            raise OutputError(f"{path}: cannot be written: {failure[0]}") from failure[0]


def _frame(columns: Mapping[str, NDArray[Any]], names: Iterable[str]) -> pl.DataFrame:
    import numpy as np
    import polars as pl

    return pl.DataFrame({name: np.ascontiguousarray(columns[name]) for name in names})


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
