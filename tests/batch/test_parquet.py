"""Is a Parquet file of whole numbers what a reader that we did not write finds in it, whichever way it was written?"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import hftlab.batch.parquet
from hftlab.batch.parquet import parquet_columns
from hftlab.errors import OutputError

DTYPE = np.dtype([("a", "u1"), ("b", "<u2"), ("c", "<u4"), ("d", "<u8"), ("e", "<i8"), ("index", "<u8")])
KINDS = [pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int64, pl.UInt64]
WRITERS = [pytest.param("rust", marks=pytest.mark.rust), "polars"]


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who writes."""
    if request.param == "polars":
        monkeypatch.setattr(hftlab.batch.parquet, "rust", lambda: None)
    return str(request.param)


def drawn(size: int, seed: int) -> dict[str, Any]:
    """Columns of any bits, or of few values, or that climb."""
    rng = np.random.default_rng(seed)
    rows = np.frombuffer(rng.bytes(DTYPE.itemsize * size), DTYPE)
    columns = {name: rows[name].copy() for name in DTYPE.names or ()}
    for name in list(columns)[seed % 3 :: 3]:
        columns[name] = columns[name] % np.array(7, columns[name].dtype)
    return columns | {"index": np.arange(size, dtype="<u8") * 3}


@pytest.mark.parametrize("sizes", [[], [0], [1], [2, 0, 127], [128, 129, 31, 32, 33], [1_000, 300_000, 5]])
def test_polars_reads_what_was_written(writer: str, sizes: list[int], tmp_path: Path) -> None:
    path, parts = tmp_path / "rows.parquet", [drawn(size, seed) for seed, size in enumerate(sizes)]
    with parquet_columns(path, DTYPE) as put:
        for part in parts:
            put({**part, "left out": np.zeros(1)})
    frame = pl.read_parquet(path)
    assert frame.schema == dict(zip(DTYPE.names or (), KINDS, strict=True))
    for name in DTYPE.names or ():
        assert frame[name].to_numpy().tolist() == [value for part in parts for value in part[name].tolist()]
    if len(frame):  # least and greatest of each row group: a reader leaves out what cannot be there
        for name in ("d", "e", "index"):
            value = frame[name][len(frame) // 2]
            assert pl.scan_parquet(path).filter(pl.col(name) == value).collect().equals(frame.filter(pl.col(name) == value))


@pytest.mark.rust
def test_neighbouring_rows_take_few_bytes(tmp_path: Path) -> None:
    columns = drawn(100_000, 0) | {"d": 34_200 * 10**9 + np.arange(100_000, dtype="<u8") * 1_000}
    with parquet_columns(tmp_path / "rows.parquet", DTYPE[["d", "index"]]) as put:
        put(columns)
    assert (tmp_path / "rows.parquet").stat().st_size < 10_000


def test_a_file_is_written_whole_or_not_at_all(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"before")
    with pytest.raises(KeyError), parquet_columns(path, DTYPE) as put:
        put({"a": np.zeros(10, "u1")})
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with pytest.raises(OutputError, match="cannot be written"), parquet_columns(path / "below", DTYPE):
        pass


def test_a_full_disk_is_an_error_in_words(writer: str) -> None:
    with pytest.raises(OutputError, match="/dev/full: cannot be written"), parquet_columns("/dev/full", DTYPE) as put:
        put(drawn(100_000, 1))
