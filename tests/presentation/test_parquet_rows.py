"""Does a Parquet file that is written while its rows come hold them all, or is it not there?"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hftlab.errors import OutputError
from hftlab.presentation.output import parquet_rows

DTYPE = np.dtype([("a", "u1"), ("b", "<u2"), ("c", "<u4"), ("d", "<u8"), ("e", "<i8"), ("f", "?"), ("index", "<u8")])
KINDS = [pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Int64, pl.Boolean, pl.UInt64]
SCHEMA = dict(zip(DTYPE.names or (), KINDS, strict=True))


def drawn(size: int, seed: int) -> dict[str, Any]:
    """Columns of any bits, not one after the other in memory; one that climbs."""
    rng = np.random.default_rng(seed)
    rows = np.frombuffer(rng.bytes(DTYPE.itemsize * size), DTYPE)
    return {name: rows[name] for name in SCHEMA} | {"f": rows["a"] > 7, "index": np.arange(size, dtype="<u8") * 3}


def write(path: str | Path, schema: Any, parts: list[Any]) -> None:
    with parquet_rows(path, schema) as put:
        for part in parts:
            put(part)


@pytest.mark.parametrize("sizes", [[], [0], [1], [2, 0, 127], [1_000, 300_000, 5]])
@pytest.mark.parametrize("as_frames", [False, True], ids=["columns", "frames"])
def test_what_was_put_is_read(as_frames: bool, sizes: list[int], tmp_path: Path) -> None:
    path, parts = tmp_path / "rows.parquet", [drawn(size, seed) for seed, size in enumerate(sizes)]
    frames = [pl.DataFrame(part) for part in parts]
    if as_frames:
        write(path, SCHEMA, frames)
    else:
        write(path, DTYPE, [{**part, "left out": np.zeros(1)} for part in parts])
    assert pl.read_parquet(path).equals(pl.concat([pl.DataFrame(schema=SCHEMA), *frames]))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"before")
    with pytest.raises(KeyError):
        write(path, DTYPE, [drawn(10, 0), {"a": np.zeros(10, "u1")}])
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with pytest.raises(OutputError, match="cannot be written"):
        write(path / "below", DTYPE, [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_an_error_in_words() -> None:
    with pytest.raises(OutputError, match=r"/dev/full: cannot be written: .*No space left"):
        write("/dev/full", DTYPE, [drawn(100_000, seed) for seed in range(8)])
