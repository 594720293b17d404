"""Do `convert` and `data info` say and write what is in a file, and what could not be read?"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import hftlab
from hftlab.batch.info import DataInfo
from hftlab.cli.main import main


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "day.itch"
    assert main(["generate", str(path), "--regime", "burst", "--messages", "4000"]) == 0
    return path


def test_info_says_what_is_in_a_file(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["data", "info", str(day), "--json"]) == 0
    found = DataInfo.from_dict(json.loads(capsys.readouterr().out))
    feed = hftlab.load(day)
    events = hftlab.decode(feed)
    assert (found.format, found.messages, found.bytes, found.epoch) == ("itch", 4_000, day.stat().st_size, "midnight")
    assert found.counts == {kind.name: n for kind in hftlab.Kind if (n := int((events["kind"] == kind).sum()))}
    assert (found.first_ns, found.last_ns) == (events["ts_ns"].min(), events["ts_ns"].max())
    assert (found.symbols, found.received, found.events, found.problem) == (list(feed.symbols[1:]), False, None, "")
    assert max(found.most.values()) == np.bincount(events["instrument"])[1:].max()
    assert "4,000 messages of itch" in str(found)


def test_info_says_what_could_not_be_read(day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut").write_bytes(day.read_bytes()[:-3])
    capsys.readouterr()
    assert main(["data", "info", str(tmp_path / "cut")]) == 2
    printed = capsys.readouterr()
    assert "3,999 messages of itch" in printed.out
    assert "reading stopped: cut: offset" in " ".join(printed.out.split())
    assert printed.err.startswith("hftlab: error: cut: offset ")
    assert main(["data"]) == 2
    assert "data info" in capsys.readouterr().out


@pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])
def test_tables_hold_what_the_engine_says(day: Path, tmp_path: Path, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["convert", str(day), str(tmp_path / "out"), "--backend", backend, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    tables = {path.stem: pl.read_parquet(path) for path in (tmp_path / "out").iterdir()}
    assert {name: table.height for name, table in tables.items()} == report["rows"]
    run = hftlab.Engine(backend, until="book").run(hftlab.load(day), "top")
    assert tables["bbo"].equals(run.frame.select(tables["bbo"].columns))
    assert (report["messages"], report["faults"], report["crossed"], report["live"]) == (4_000, {}, 0, run.memory["live_orders"])
    assert tables["depth"]["orders"].sum() == report["live"]
    events = hftlab.decode(hftlab.load(day))
    assert tables["trades"].height == np.isin(events["kind"], (2, 6)).sum()
    assert (tables["trades"]["price"] > 0).all()
    assert tables["orders"].height == np.isin(events["kind"], (1, 2, 3, 4, 5, 8)).sum()
    assert tables["symbols"]["stock"].to_list() == list(hftlab.load(day).symbols[1:])
    assert set(tables["halts"]["state"]) <= {"T", "H"}


def test_files_become_other_files(day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    symbol = hftlab.load(day).symbols[1]
    assert main(["convert", str(day), str(tmp_path / "one.itch.gz"), "--symbol", symbol]) == 0
    assert main(["convert", str(tmp_path / "one.itch.gz"), str(tmp_path / "one.parquet")]) == 0
    one = hftlab.decode(hftlab.load(day, [symbol]))
    rows = pl.read_parquet(tmp_path / "one.parquet")
    assert rows["order_id"].to_list() == one["order_id"].tolist()
    assert main(["convert", str(tmp_path / "one.itch.gz"), str(tmp_path / "one.npz")]) == 0
    book = hftlab.Engine("python").run(hftlab.load(tmp_path / "one.npz")).book("one")
    assert book["qty"].sum() == hftlab.Engine("python").run(hftlab.load(day, [symbol])).book(symbol)["qty"].sum()
    assert main(["convert", str(tmp_path / "one.npz"), str(tmp_path / "again.parquet")]) == 0
    assert {"recv_ns", "event_end"} <= set(pl.read_parquet(tmp_path / "again.parquet").columns)
    capsys.readouterr()
    for words, text in {
        (str(day), str(tmp_path / "all.npz")): "symbols must be one for all.npz, which holds one asset, got 8",
        (str(tmp_path / "one.npz"), str(tmp_path / "x.itch")): "target must be .parquet, .npz or a folder",
        (str(tmp_path / "one.npz"), str(tmp_path / "x"), "--tables", "noii"): "unknown table of hftbacktest 'noii'",
        (str(day), str(tmp_path / "x"), "--tables", "bbo,ticks"): "unknown table 'ticks'; known: bbo, trades",
        (str(day), str(day / "x")): "cannot be written",
    }.items():
        assert main(["convert", *words]) == 2
        assert text in capsys.readouterr().err


def test_rows_are_written_while_the_engine_runs_and_are_the_same(day: Path, tmp_path: Path, backend: str) -> None:
    for record in ("all", "top"):
        assert main(["run", str(day), "--backend", backend, "--record", record, "--out", str(tmp_path / "rows.parquet")]) == 0
        rows = pl.read_parquet(tmp_path / "rows.parquet")
        assert rows.equals(hftlab.Engine("python").run(hftlab.load(day), record).frame, null_equal=True)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_lobster_comes_back_with_the_same_book_after_every_message(day: Path, tmp_path: Path, backend: str) -> None:
    symbol = hftlab.load(day).symbols[1]
    name = f"{symbol}_2024-01-02_34200000_57600000_message_500.csv"
    assert main(["convert", str(day), str(tmp_path / name), "--symbol", symbol, "--backend", backend]) == 0
    back = hftlab.load(tmp_path / name)
    run = hftlab.Engine(backend).run(back, "top")
    before = hftlab.Engine(backend).run(hftlab.load(day, [symbol]), "top")
    assert (run.faults, back.symbols) == ({}, ("", symbol))
    assert run.book(symbol).rows() == before.book(symbol).rows()
    session, rows = hftlab.Engine(backend).open(), (tmp_path / name.replace("_message_", "_orderbook_")).read_text().split()
    for event, row in zip(hftlab.decode(back).tolist(), rows, strict=True):
        assert session.apply(*event) >= 0
        cells = list(map(int, row.split(",")))
        ours = [(price, qty) for side, price, qty, _ in session.depth(1) if side == 2]
        assert [(price, qty) for price, qty in zip(cells[::4], cells[1::4], strict=True) if qty] == ours[:500]
