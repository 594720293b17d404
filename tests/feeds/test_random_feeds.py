"""Do all engines and variants agree, bit for bit, on feeds nobody would send: every fault, every refusal, any bytes?"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hftlab
from hftlab.errors import FaultError, FeedError
from hftlab.feeds.frames import Block
from hftlab.protocols.itch_messages import MESSAGES, build

WILD = {
    "signal_config": hftlab.SignalConfig(decay=0.9, k=10.0, weights=(0.5, 0.1, 0.2, 0.1, 0.1), levels=3),
    "order_config": hftlab.OrderConfig(threshold=0.1, lot=100, cooldown=3),
    "risk_config": hftlab.RiskConfig(max_notional=105, collar_bps=80, position_limit=300, max_orders_per_sec=2),
}
PRICES = [0, 1, 99, 10_000, 10_100, 10_150, 10_200, 3_000_000, 3_000_100, 250_000_000, -10_000, 2**62]

events = st.lists(
    st.tuples(
        st.integers(0, 3_000_000_000),
        st.integers(0, 12),
        st.integers(0, 12),
        st.sampled_from(PRICES),
        st.sampled_from([0, 1, 100, 250, 2**32 - 1]),
        st.integers(0, 3),
        st.sampled_from([1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0]),
        st.integers(0, 3),
    ),
    max_size=60,
)


def variants() -> list[dict[str, object]]:
    found = next(info.variants for info in hftlab.backends() if info.name == "rust")
    rows = product(*([(axis, name) for name in names] for axis, names in found.items()))
    return [{axis: name == "True" if axis == "pool" else name for axis, name in row} for row in rows]


def same(feed: hftlab.Feed, **more: object) -> None:
    for variant in variants():
        with suppress(FeedError, FaultError):  # both engines stopped at one place, with one sentence: verify has compared it
            assert hftlab.verify(hftlab.Engine("python", **more), hftlab.Engine("rust", **variant, **more), feed)


@pytest.mark.rust
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events, st.booleans())
def test_event_sequences(rows: list[tuple[int, ...]], strict: bool) -> None:
    feed = hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE), symbols=("", "AAA", "BBB"))
    same(feed, strict=strict, **WILD)


def seeded(n: int = 20_000) -> hftlab.EventFeed:
    """A dense market in a small space."""
    random = np.random.default_rng(5)
    rows = np.zeros(n, hftlab.EVENT_DTYPE)
    rows["ts_ns"] = np.cumsum(random.integers(0, 4_000_000, n))
    rows["order_id"], rows["new_order_id"] = random.integers(1, 80, n), random.integers(1, 80, n)
    rows["side"] = np.where(random.random(n) < 0.01, 0, random.integers(1, 3, n))
    rows["price"] = 10_000 + np.where(rows["side"] == 1, -1, 1) * random.integers(-1, 12, n) * 100
    rows["price"][random.random(n) < 0.02] = 0
    rows["qty"] = random.integers(0, 5, n) * 100
    rows["instrument"] = random.integers(1, 4, n)
    rows["kind"] = random.choice([1, 1, 1, 1, 2, 3, 4, 5, 6, 7], n)
    status = rows["kind"] == 7
    rows["qty"][status] = np.where(random.random(int(status.sum())) < 0.2, ord("H"), ord("T"))
    return hftlab.EventFeed(rows, symbols=("", "AAA", "BBB", "CCC"), name="seeded")


def test_the_seeded_market_meets_every_fault_and_every_limit() -> None:
    run = hftlab.Engine("python", **WILD).run(seeded())
    assert {fault.name.lower() for fault in hftlab.Fault if fault} == set(run.faults)
    assert {"max_notional", "price_collar", "position_limit", "order_rate"} <= set(run.rejects)
    assert len(run.orders) > 10
    assert len(run.order_stream) == 47 * len(run.orders)


@pytest.mark.rust
@pytest.mark.parametrize("until", ["book", "signal", "order"])
def test_the_seeded_market_on_every_variant(until: str) -> None:
    same(seeded(), until=until, **WILD)


@pytest.mark.rust
@pytest.mark.parametrize("tick", [1, 100, 250_000_000])
def test_a_price_that_walks_far_and_jumps(tick: int) -> None:
    random = np.random.default_rng(tick)
    n = 6000
    rows = np.zeros(n, hftlab.EVENT_DTYPE)
    walk = 20_000 + np.cumsum(random.integers(-9, 10, n))
    rows["order_id"] = np.arange(1, n + 1)
    rows["side"] = random.integers(1, 3, n)
    rows["price"] = (walk + np.where(rows["side"] == 1, -1, 1) * random.integers(1, 400, n)) * tick
    odd = random.random(n) < 0.05
    rows["price"][odd] += max(tick // 3, 1)
    rows["price"][random.random(n) < 0.01] *= 40
    rows["qty"], rows["instrument"], rows["kind"] = 100, 1, 1
    gone = random.random(n) < 0.45
    rows["order_id"][gone] = random.integers(1, n, int(gone.sum()))
    rows["kind"][gone] = 4
    same(hftlab.EventFeed(rows, symbols=("", "WALK"), price_scale=max(tick, 10_000)))


@pytest.mark.rust
def test_recorded_tops_are_the_rows_that_changed() -> None:
    feed = seeded()
    a, b = (hftlab.Engine(name, **WILD).run(feed, record="top").frame for name in ("python", "rust"))
    assert a.equals(b)
    assert 0 < a.height < 20_000


class Pieces(hftlab.Feed):
    """Wire bytes in blocks of any size."""

    wire, name, symbols = "itch", "pieces", ()

    def __init__(self, data: bytes, size: int) -> None:
        self.data, self.size = data, size

    def blocks(self) -> Iterator[Block]:
        return (self.data[at : at + self.size] for at in range(0, len(self.data), self.size))


@pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])
@pytest.mark.parametrize("size", [1, 7, 50, 4096])
def test_a_split_between_any_two_bytes_changes_nothing(backend: str, size: int) -> None:
    data = b"".join(bytes(block) for block in hftlab.synthetic("burst", 1500, 2).blocks())
    whole = hftlab.Engine(backend).run(hftlab.ItchFeed(data))
    pieces = hftlab.Engine(backend).run(Pieces(data, size))
    assert whole.frame.equals(pieces.frame)
    assert whole.order_stream == pieces.order_stream


@st.composite
def wire_bytes(draw: st.DrawFn) -> bytes:
    out = bytearray()
    for letter in draw(st.lists(st.sampled_from([*MESSAGES, *"AAAADDDEEUUXC"]), max_size=40)):
        message = bytearray(build(letter, locate=draw(st.integers(0, 2))))
        for at in range(11, len(message)):
            message[at] = draw(st.sampled_from([0, 0, 0, 1, 66, 83]))
        out += len(message).to_bytes(2, "big") + message
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3)):
        if at < len(out):
            out[at] = byte
    return bytes(out + draw(st.binary(max_size=20)))


@pytest.mark.rust
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(wire_bytes(), st.booleans())
def test_any_bytes(data: bytes, strict: bool) -> None:
    with suppress(FeedError, FaultError):
        assert hftlab.verify(hftlab.Engine("python", strict=strict), hftlab.Engine("rust", strict=strict), hftlab.ItchFeed(data))


@pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])
def test_the_end_of_session_mark_is_accepted_where_it_belongs(backend: str) -> None:
    data = b"".join(bytes(block) for block in hftlab.synthetic("calm", 200, 1).blocks())  # ends in S, event C
    assert hftlab.Engine(backend).run(hftlab.ItchFeed(data + b"\0\0")).messages == 200
    for wrong in (data + b"\0\0\0", data[:14] + b"\0\0", b"\0\0"):
        with pytest.raises(FeedError, match="length prefix 0"):
            hftlab.Engine(backend).run(hftlab.ItchFeed(wrong))
