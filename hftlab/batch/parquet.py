"""Parquet files of whole numbers, written while their rows arrive.

Ours is written by the extension, a third of the work of a general writer for such columns: what engines say of books and orders
differs little from row to row, so that differences are as short as what zstd leaves. Without the extension Polars writes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftlab.feeds.source import rust
from hftlab.presentation.output import atomic_path, parquet_rows

#: (n,) values by column.
Columns = Mapping[str, NDArray[Any]]
_WAITING = 4  # blocks of rows that wait to be written


@contextmanager
def parquet_columns(path: str | Path, dtype: np.dtype[Any]) -> Iterator[Callable[[Columns], None]]:
    """A Parquet file: give columns of one length each to what this yields, as often as there are some. Whole or not at all.

    A thread of its own encodes and writes them; what waits for it is bounded.

    dtype  : names and types of the columns: u1 u2 u4 u8 i8 in NumPy's words; what else columns hold is left out
    raises : OutputError
    """
    extension = rust()
    if extension is None:
        with _by_polars(path, dtype) as put:
            yield put
        return
    kinds = [(name, dtype[name].str[1:]) for name in dtype.names or ()]
    writer, waiting = extension.ParquetWriter(kinds), deque[Future[object]]()
    with atomic_path(path) as beside, beside.open("wb") as file, ThreadPoolExecutor(1, "hftlab-parquet") as thread:

        def put(columns: Columns) -> None:
            if len(waiting) == _WAITING:
                waiting.popleft().result()
            whole = [np.ascontiguousarray(columns[name]) for name, _ in kinds]
            waiting.append(thread.submit(lambda: file.write(writer.rows(whole))))

        yield put
        for step in waiting:
            step.result()
        file.write(writer.finish())


@contextmanager
def _by_polars(path: str | Path, dtype: np.dtype[Any]) -> Iterator[Callable[[Columns], None]]:
    import polars as pl

    kinds = {name: pl.Series(np.zeros(1, dtype)[name]).dtype for name in dtype.names or ()}
    with parquet_rows(path, kinds) as put:
        yield lambda columns: put(pl.DataFrame({name: np.ascontiguousarray(columns[name]) for name in kinds}))
