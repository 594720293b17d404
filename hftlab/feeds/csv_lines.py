"""Lines of text in columns, block by block: whole lines, typed columns by Polars, and the place of the first that is wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hftlab.errors import FeedError
from hftlab.feeds.source import Source

if TYPE_CHECKING:
    import polars as pl

LONGEST_LINE = 1 << 16  # bytes; what is longer is no line of market data


class Lines(NamedTuple):
    """Whole lines, the offset of the first in the inflated stream, and how many were before them."""

    data: bytes
    offset: int
    row: int


def whole_lines(source: Source) -> Iterator[Lines]:
    """The lines of a file in blocks; the last may lack its end. raises : FeedError for a line without an end in sight"""
    rest, offset, row = b"", 0, 0
    for block in source.blocks():
        data = rest + block
        end = data.rfind(b"\n") + 1
        if end:
            yield Lines(data[:end], offset, row)
            row += data.count(b"\n", 0, end)
        rest, offset = data[end:], offset + end
        if len(rest) > LONGEST_LINE:
            text = f"{source.name}: offset {offset}, row {row}: a line must be at most {LONGEST_LINE:,} bytes, got {len(rest):,}"
            raise FeedError(text, offset=offset, index=row)
    if rest:
        yield Lines(rest, offset, row)


def columns(lines: Lines, types: Mapping[str, Any], name: str) -> pl.DataFrame:
    """Lines without a header as a frame of these columns.

    raises : FeedError for the first line that has other columns, or whose values are of another type
    """
    import polars as pl

    try:
        frame = _parsed(lines.data, types)
    except pl.exceptions.PolarsError:
        frame = None
    if frame is not None and not sum(frame.null_count().row(0)):
        return frame
    at = lines.offset
    for row, line in enumerate(lines.data.splitlines(keepends=True), start=lines.row):
        try:
            good = sum(_parsed(line, types).null_count().row(0)) == 0
        except pl.exceptions.PolarsError:
            good = False
        if not good:
            wanted = ", ".join(f"{column} {kind}" for column, kind in types.items())
            text = f"{name}: offset {at}, row {row}: must be {wanted}; got {line[:80]!r}"
            raise FeedError(text, offset=at, index=row)
        at += len(line)
    raise FeedError(f"{name}: offset {lines.offset}: lines that cannot be read as columns", offset=lines.offset, index=lines.row)


def _parsed(data: bytes, types: Mapping[str, Any]) -> pl.DataFrame:
    import polars as pl

    return pl.read_csv(io.BytesIO(data), has_header=False, schema=dict(types))


def scaled(texts: pl.Series, digits: int) -> NDArray[np.int64]:
    """Decimal texts as whole numbers of 10^-digits, exactly. raises : ValueError with the first that has more, or is no number"""
    import polars as pl

    parts = texts.str.extract_groups(r"^(-?)(\d+)(?:\.(\d*?)0*)?$").struct
    sign, whole, part = (parts[index] for index in range(3))
    part = part.fill_null("")
    wrong = whole.is_null() | (part.str.len_bytes() > digits) | (whole.str.len_bytes() > 18 - digits)
    if wrong.any():
        raise ValueError(texts.filter(wrong)[0])
    value = (whole + part.str.pad_end(digits, "0")).cast(pl.Int64)
    out: NDArray[np.int64] = np.where(sign == "-", -1, 1) * value.to_numpy()
    return out
