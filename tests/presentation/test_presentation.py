"""Is one table the same table in every format, does it fit where it is shown, and is what is written whole?"""

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hftlab.errors import HftlabError, OutputError
from hftlab.presentation import html, output, progress, terminal
from hftlab.presentation.document import Code, Document, Figure, Section, Table, Tiles, duration, number, table, text
from hftlab.presentation.html import script_json
from hftlab.presentation.markdown import escape, markdown
from hftlab.presentation.output import parquet_rows
from hftlab.presentation.result import StoredResult, to_json

HOSTILE = "<script>alert(1)</script>|`x`[a](b)&amp; *b* [red]"
TABLE = table(
    "What it costs, ns",
    ("stage", "engine", "p50", "p99"),
    [("book", "rust", "42.0", "1,204.5"), ("book", "python", "900.1", "n/a"), ("order", HOSTILE, "1.0", "2.0")],
    words=2,
    note="Read it so.",
    source="3 rounds",
    grouped=True,
)
BLOCKS = (TABLE, text("one", "", "two", kind="list"), Tiles((("42", "ns", "per message"),)), Code("make report"))


@dataclass(frozen=True)
class Cost(StoredResult):
    """The smallest result."""

    schema = "test-cost/1"
    ns: float

    def headline(self) -> str:
        return f"cost {self.ns}"

    def tables(self) -> list[Table]:
        return [TABLE]

    def notes(self) -> list[str]:
        return ["measured once"]


def test_a_table_on_a_terminal() -> None:
    lines = terminal.to_text("headline", BLOCKS, width=100).splitlines()
    assert lines[0] == "headline"
    rows = [line.split() for line in lines if "42.0" in line or "900.1" in line]
    assert rows == [["book", "rust", "42.0", "1,204.5"], ["python", "900.1", "n/a"]]  # a group is named once
    assert any(HOSTILE in line for line in lines)
    assert {"Read it so.", "3 rounds", "  one", "  two", "per message: 42 ns", "make report"} <= set(lines)


@pytest.mark.parametrize("width", [60, 100])
def test_a_table_fits_and_loses_nothing(width: int) -> None:
    columns = [f"p{i}" for i in range(30)]
    wide = table("wide", ("stage", *columns), [("tick processing", *(f"{i:,}.{i}" for i in range(1_000, 1_030)))])
    shown = terminal.to_text("", [wide], width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert {*columns, *wide.rows[0][1:]} <= set(shown.split())
    long = table("long", ("what", "value"), [("note", "word " * 60)], words=2)
    shown = terminal.to_text("", [long], width=width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.split().count("word") == 60


def test_a_table_in_a_notebook_is_escaped_and_cut() -> None:
    shown = html.fragment(HOSTILE, BLOCKS)
    assert "<script" not in shown
    assert shown.count("<tr>") == 1 + len(TABLE.rows) + 1  # with the head, and a tile
    assert "text-align:right" in shown.partition("42.0")[0].rpartition("<td")[2]
    long = html.fragment("", [table("", ("n",), [(str(i),) for i in range(100)])])
    assert "... and 40 more rows" in long


def test_a_table_in_markdown() -> None:
    lines = markdown(Document("T", "note", (Section("A/A & <b>", BLOCKS),)), "files").splitlines()
    assert "- [A/A & \\<b\\>](#aa--b)".replace("&", "\\&") in lines
    start = lines.index(f"**{TABLE.title}**") + 2
    assert lines[start : start + 3] == ["| stage | engine | p50 | p99 |", "|:--|:--|--:|--:|", "| book | rust | 42.0 | 1,204.5 |"]
    assert f"| order | {escape(HOSTILE)} | 1.0 | 2.0 |" in lines
    assert {"<sub>Read it so.</sub>", "- one", "```console"} <= set(lines)


def test_a_result_is_shown_and_stored_by_what_it_gives(tmp_path: Path) -> None:
    cost = Cost(1.5)
    assert str(cost).startswith("cost 1.5\n")
    assert "measured once" in str(cost)
    assert "measured once" in cost._repr_html_()
    cost.save(tmp_path / "deep" / "cost.json")
    stored = json.loads((tmp_path / "deep" / "cost.json").read_text())
    assert Cost.from_dict(stored) == cost
    with pytest.raises(HftlabError, match="schema must be 'test-cost/1', got 'other/2'"):
        Cost.from_dict({"schema": "other/2"})
    assert json.loads(to_json({"a": [float("nan"), float("inf"), 1.0]})) == {"a": [None, None, 1.0]}


def test_numbers_and_rows() -> None:
    shown = [number(None), number(float("nan")), number(1234.56), number(5_125, 2, 1e3)]
    assert shown == ["n/a", "n/a", "1,234.6", "5.12"]
    assert [duration(ns) for ns in (None, 43.14, 8_520, 1.2e6, 3e9)] == ["n/a", "43.1 ns", "8.52 µs", "1.20 ms", "3.00 s"]
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        table("t", ("a", "b"), [("1",)])
    assert "<" not in script_json({"a": "</script><!--"})
    assert Figure("f", "t", {}, "c").source == ""


WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: output.write_text(path, "new"),
    "bytes": lambda path: output.write_bytes(path, b"new"),
    "parquet": lambda path: output.write_parquet(path, pl.DataFrame({"a": [1]})),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_is_written_whole_or_not_at_all(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    write(path)
    assert path.stat().st_size > 0
    assert [each.name for each in path.parent.iterdir()] == ["file"]
    os.chmod(path, 0o640)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    below = path / "below a file"
    with pytest.raises(OutputError, match="cannot be written: "):
        write(below)
    with pytest.raises(OutputError, match="cannot be written: "):
        output.check_writable(below)
    if Path("/dev/full").exists():
        with pytest.raises(OutputError, match=r"cannot be written: .*No space left"):
            write(Path("/dev/full"))


def test_what_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with output.atomic_path(path) as beside:
            beside.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_asking_changes_nothing(tmp_path: Path) -> None:
    output.check_writable(tmp_path / "not there" / "file")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="it is a folder"):
        output.check_writable(tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("ci", "stream", "shown"), [("", Terminal, True), ("true", Terminal, False), ("", io.StringIO, False)])
def test_a_bar_for_a_terminal_alone(ci: str, stream: type, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(progress, "DELAY_S", 0)
    monkeypatch.setattr(sys, "stderr", shown_there := stream())
    assert list(progress.track(range(5), "rounds of a test")) == [0, 1, 2, 3, 4]
    assert ("rounds of a test" in shown_there.getvalue()) is shown


def test_what_is_over_at_once_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    monkeypatch.setattr(sys, "stderr", shown_there := Terminal())
    assert list(progress.track("ab", "letters")) == ["a", "b"]
    assert "letters" not in shown_there.getvalue()


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


def test_rows_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
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
