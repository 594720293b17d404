"""Does the documented example of somebody's reader work, as it stands in examples/?"""

import json
from pathlib import Path

import coinbase_reader
import pytest

import hftlab
from hftlab.conformance import reader
from hftlab.errors import FeedError


def sample(path: Path) -> Path:
    def line(n: int, kind: str, order: str, **more: str) -> str:
        time = f"2024-08-08T20:54:14.{n:06d}+00:00"
        key = "maker_order_id" if kind == "match" else "order_id"
        message = {"type": kind, "product_id": "ETH-USD", "sequence": n, key: order, "time": time, **more}
        return f"{1_723_150_454_000_000_000 + n} {json.dumps(message)}\n"

    lines = [
        line(1, "open", "a-1", side="buy", price="2683.80", remaining_size="1.5"),
        line(2, "open", "b-2", side="sell", price="2683.81", remaining_size="2"),
        line(3, "received", "c-3", side="buy", size="1"),
        line(4, "match", "b-2", size="0.5", price="2683.81", side="sell"),
        line(5, "change", "b-2", new_size="1", old_size="1.5", side="sell"),
        line(6, "match", "b-2", size="1", price="2683.81", side="sell"),
        line(7, "done", "b-2", reason="filled", side="sell"),
        line(8, "open", "d-4", side="sell", price="2684", remaining_size="0.000001"),
        line(9, "done", "a-1", reason="canceled", side="buy"),
    ]
    path.write_text("".join(lines))
    return path


def test_the_example_keeps_the_contract(tmp_path: Path, backend: str) -> None:
    path = sample(tmp_path / "eth.jsonl")
    report = reader(coinbase_reader.Coinbase, path)
    assert report, str(report)
    feed = coinbase_reader.Coinbase.open(path)
    run = hftlab.Engine(backend).run(feed)
    assert (run.faults, run.book("ETH-USD").rows()) == ({}, [("ask", 268_400_000_000, 1, 1)])
    path.write_text(path.read_text().replace("0.000001", "0.0000001"))
    with pytest.raises(FeedError, match=r"eth.jsonl: offset \d+: .*0.0000001 does not fit 1/1000000"):
        hftlab.decode(coinbase_reader.Coinbase.open(path))
