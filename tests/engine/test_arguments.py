"""Is every wrong argument of the public API answered with an HftlabError, the same in every engine, and NumPy's numbers taken?"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hftlab
from hftlab.conformance.feeds import framed
from hftlab.errors import ConfigError, FaultError, FeedError, HftlabError, UnknownName
from hftlab.feeds.feed import cut, messages
from hftlab.protocols.itch_messages import build
from hftlab.settings import Settings

EVENTS = np.zeros(3, hftlab.EVENT_DTYPE)


class Blocks(hftlab.Feed):
    """A feed of whatever blocks it is given."""

    symbols = ("",)

    def __init__(self, wire: str, *blocks: Any) -> None:
        self.wire, self.given, self.name = wire, blocks, "whatever"

    def blocks(self) -> Iterator[Any]:
        return iter(self.given)

    event_blocks = blocks


WRONG: dict[str, Callable[[], object]] = {
    "decay above 1": lambda: hftlab.SignalConfig(decay=1.5),
    "decay beyond floats": lambda: hftlab.SignalConfig(decay=10**400),
    "decay of text": lambda: hftlab.SignalConfig(decay="0.5"),  # type: ignore[arg-type]
    "k of 0": lambda: hftlab.SignalConfig(k=0),
    "two weights": lambda: hftlab.SignalConfig(weights=(1, 2)),  # type: ignore[arg-type]
    "weights of text": lambda: hftlab.SignalConfig(weights=("a",) * 5),  # type: ignore[arg-type]
    "no levels": lambda: hftlab.SignalConfig(levels=0),
    "lot of 0": lambda: hftlab.OrderConfig(lot=0),
    "lot beyond OUCH": lambda: hftlab.OrderConfig(lot=1_000_000),
    "lot of a half": lambda: hftlab.OrderConfig(lot=0.5),  # type: ignore[arg-type]
    "lot of a bool": lambda: hftlab.OrderConfig(lot=True),
    "threshold of NaN": lambda: hftlab.OrderConfig(threshold=math.nan),
    "cooldown of 0": lambda: hftlab.OrderConfig(cooldown=0),
    "negative limit": lambda: hftlab.RiskConfig(position_limit=-1),
    "rate of 0": lambda: hftlab.RiskConfig(max_orders_per_sec=0),
    "kill of 1": lambda: hftlab.RiskConfig(kill=1),  # type: ignore[arg-type]
    "config of a dict": lambda: hftlab.Engine("python", signal_config={"k": 1.0}),  # type: ignore[arg-type]
    "config of another kind": lambda: hftlab.Engine("python", order_config=hftlab.RiskConfig()),  # type: ignore[arg-type]
    "no backend": lambda: hftlab.Engine(None),  # type: ignore[arg-type]
    "unknown stage": lambda: hftlab.Engine("python", until=3),  # type: ignore[arg-type]
    "feed of bytes": lambda: hftlab.Engine("python").run(b"\0\1S"),  # type: ignore[arg-type]
    "feed of an array": lambda: hftlab.Engine("python").run(EVENTS),  # type: ignore[arg-type]
    "feed of a name": lambda: hftlab.verify("python", "python", "calm"),  # type: ignore[arg-type]
    "decode of bytes": lambda: hftlab.decode(b"\0\1S", "python"),  # type: ignore[arg-type]
    "no symbols": lambda: hftlab.EventFeed(EVENTS, symbols=None),  # type: ignore[arg-type]
    "symbols of numbers": lambda: hftlab.EventFeed(EVENTS, symbols=[1, 2]),  # type: ignore[list-item]
    "price scale of 0": lambda: hftlab.EventFeed(EVENTS, price_scale=0),
    "unknown epoch": lambda: hftlab.EventFeed(EVENTS, epoch="tai"),
    "path with a NUL": lambda: hftlab.load("a\0b"),
    "path of a number": lambda: hftlab.load(3),  # type: ignore[arg-type]
    "no file": lambda: hftlab.load("/no/such/file"),
    "unknown regime": lambda: hftlab.synthetic("sunny"),
    "messages of text": lambda: hftlab.synthetic("calm", "many"),  # type: ignore[arg-type]
    "negative order id": lambda: hftlab.Engine("python").run(hftlab.EventFeed(EVENTS)).queue_position(-1),
    "half an engine": lambda: hftlab.as_engine(type("Half", (), {"apply": None})),
    "unknown way to keep stamps": lambda: Settings(keep="all"),  # type: ignore[arg-type]
    "fewer than no captures": lambda: Settings(slowest=-1),
    "unknown axis": lambda: hftlab.as_engine("python book=btree"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_an_hftlab_error(what: str) -> None:
    with pytest.raises(HftlabError, match=r"\w"):
        WRONG[what]()


@pytest.mark.parametrize(
    "feed",
    [
        Blocks("itch", "text"),
        Blocks("itch", 5),
        Blocks("itch", memoryview(bytes(40))[::2]),
        Blocks("itch", np.zeros(20, np.uint16)),
        Blocks("events", np.zeros(3)),
        Blocks("events", np.zeros(6, hftlab.EVENT_DTYPE)[::2]),
        Blocks("events", [1, 2]),
    ],
)
def test_wrong_blocks_of_a_feed_are_a_feed_error_in_every_engine(backend: str, feed: hftlab.Feed) -> None:
    with pytest.raises(FeedError, match="must "):
        hftlab.Engine(backend).run(feed)


def test_any_contiguous_bytes_are_a_block(backend: str) -> None:
    data = b"".join(map(bytes, hftlab.synthetic("calm", 200).blocks()))
    for block in (bytearray(data), memoryview(data), np.frombuffer(data, np.uint8), np.frombuffer(data, np.int8)):
        run = hftlab.Engine(backend).run(Blocks("itch", block[:1_000], block[1_000:]))
        assert run.messages == 200
    assert hftlab.Engine(backend).run(hftlab.ItchFeed(bytearray(data))).messages == 200


def test_numbers_of_numpy_are_those_of_python(backend: str) -> None:
    def configs(real: Any, whole: Any) -> dict[str, Any]:
        return {
            "signal_config": hftlab.SignalConfig(decay=real(0.5), k=whole(100), levels=whole(3)),
            "order_config": hftlab.OrderConfig(threshold=real(0.25), lot=whole(10), cooldown=whole(2)),
            "risk_config": hftlab.RiskConfig(position_limit=whole(300)),
        }

    feed = hftlab.synthetic("burst", 1_000)
    runs = [hftlab.Engine(backend, **configs(*kinds)).run(feed) for kinds in ((float, int), (np.float32, np.int64))]
    assert runs[0].frame.equals(runs[1].frame)
    assert runs[0].order_stream == runs[1].order_stream


def test_queries_of_a_run_refuse_what_no_field_holds(backend: str) -> None:
    run = hftlab.Engine(backend).run(hftlab.synthetic("calm", 200))
    symbol = next(filter(None, map(run.name, range(9))))
    for wrong in (lambda: run.queue(symbol, "bid", 2**70), lambda: run.queue_position(2**64), lambda: run.queue_position(0.5)):
        with pytest.raises(ConfigError, match="must be a whole number between"):
            wrong()


def test_an_event_that_the_record_cannot_hold_is_refused() -> None:
    session = hftlab.Engine("python").open()
    for place, wrong in ((4, -1), (5, 70_000), (3, 1.5)):
        event: list[Any] = [0, 1, 0, 100, 10, 1, 1, 1]
        event[place] = wrong
        with pytest.raises(FeedError, match="must be a whole number"):
            session.apply(*event)
    assert session.messages == 0


@pytest.mark.parametrize("first", ["A", "R"])
def test_a_stock_name_of_eight_nul_bytes_is_no_name(backend: str, first: str) -> None:
    def add(ref: int, side: str, shares: int, price: int, stock: str) -> bytes:
        return build("A", locate=1, ref=ref, side=side, shares=shares, price=price, stock=stock)

    nul, rows = "\0" * 8, []
    rows += [build("R", locate=1, stock="OLD"), build("R", locate=1, stock=nul)] if first == "R" else []
    rows += [add(1, "B", 900, 10_000, nul), add(2, "S", 100, 10_200, nul)]
    eager = hftlab.OrderConfig(threshold=0.1, cooldown=1)
    for later, wanted in ((nul, b" " * 8), ("LATER", b"LATER   ")):
        feed = hftlab.ItchFeed(b"".join(map(framed, [*rows, add(3, "B", 900, 10_000, later), build("S", event="C")])))
        run = hftlab.Engine(backend, order_config=eager).run(feed)
        assert run.order_stream[-47:][10:18] == wanted
        assert run.orders["symbol"][-1] == wanted.decode().strip()
        assert feed.symbols == (("", "LATER") if later != nul else ("",))
    feed = hftlab.EventFeed(hftlab.decode(feed, "python"), symbols=["", nul])
    assert hftlab.Engine(backend, order_config=eager).run(feed).order_stream[10:18] == b" " * 8


def test_a_torn_message_of_unknown_type_is_cut_off_before_it_is_unknown(backend: str) -> None:
    engine = hftlab.Engine(backend, strict=True)
    with pytest.raises(FeedError, match=r"offset 0, message 0: cut off; it needs 34 bytes, 8 are left"):
        engine.run(hftlab.ItchFeed(b"\x00\x20\xc5" + bytes(5)))
    with pytest.raises(FeedError, match="offset 0, message 0: unknown message type '0xc5'"):
        engine.run(hftlab.ItchFeed(b"\x00\x20\xc5" + bytes(31)))


def test_a_file_that_shrinks_while_it_is_read_is_a_feed_error(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "day.itch"
    path.write_bytes(b"".join(map(bytes, hftlab.synthetic("calm", 60_000).blocks())))

    class Shrinks(Blocks):
        def blocks(self) -> Iterator[Any]:
            for block in hftlab.load(path).blocks():
                yield block
                os.truncate(path, 1_500_000)

    with pytest.raises(FeedError, match=r"offset 1500000: .* it was cut meanwhile") as caught:
        hftlab.Engine(backend).run(Shrinks("itch"))
    assert caught.value.offset == 1_500_000
    assert caught.value.run.messages > 30_000


def _unknown(_: int) -> None:
    hftlab.Engine("nosuch")


def _fault(_: int) -> None:
    row = np.array([(0, 7, 0, 0, 0, 1, hftlab.Kind.DELETE, 0)], hftlab.EVENT_DTYPE)
    hftlab.Engine("python", strict=True).run(hftlab.EventFeed(row))


def test_errors_come_back_from_another_process() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(UnknownName, match="nosuch") as unknown:
            pool.map_async(_unknown, [0]).get(60)
        assert "python" in unknown.value.known
        with pytest.raises(FaultError, match="unknown_order") as fault:
            pool.map_async(_fault, [0]).get(60)
        assert (fault.value.index, fault.value.reason) == (0, "unknown_order")


@pytest.mark.parametrize("wire", ["itch", "events"])
@pytest.mark.parametrize("every", [1, 7, 299, 300, 1_000])
def test_a_feed_is_cut_into_pieces_of_so_many_messages(wire: str, every: int) -> None:
    data = b"".join(map(bytes, hftlab.synthetic("calm", 300).blocks()))
    events = hftlab.decode(hftlab.ItchFeed(data), "python")
    feed = Blocks("itch", data[:100], data[100:101], data[101:5_000], data[5_000:])
    feed = feed if wire == "itch" else Blocks("events", events[:10], events[10:250], events[250:])
    pieces = list(cut(feed, every=every))
    assert b"".join(bytes(piece) for piece in pieces) == (data if wire == "itch" else events.tobytes())
    counts = [hftlab.Engine("python").run(Blocks(wire, piece)).messages for piece in pieces]
    assert counts[:-1] == [every] * (len(pieces) - 1)
    assert sum(counts) == 300
    head = feed.head(every)
    assert hftlab.verify("python", "python", head).messages == min(every, 300)
    if wire == "itch":
        assert [bytes(block[at : at + size]) for block, at, size in messages(feed)] == [
            bytes(piece)[2:] for piece in cut(feed, every=1)
        ]
