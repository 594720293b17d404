"""Do all variants agree, bit for bit, on feeds nobody would send? The conformance suite asks one engine with the same."""

from contextlib import suppress
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hftlab
from hftlab.conformance.feeds import WILD, dense, framed, walk
from hftlab.errors import FaultError, FeedError
from hftlab.protocols.itch_messages import MESSAGES, build

PRICES = [0, 1, 99, 10_000, 10_100, 10_150, 10_200, 3_000_000, 3_000_100, 250_000_000, -10_000, 2**62]
SIZES = st.sampled_from([0, 1, 100, 250, 2**32 - 1])
KINDS = st.sampled_from([1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0])
IDS = st.integers(0, 12)
ROWS = st.tuples(
    st.integers(0, 3_000_000_000), IDS, IDS, st.sampled_from(PRICES), SIZES, st.integers(0, 3), KINDS, st.integers(0, 3)
)


def variants() -> list[dict[str, object]]:
    axes = next(info.variants for info in hftlab.backends() if info.name == "rust")
    rows = product(*([(axis, name) for name in names] for axis, names in axes.items()))
    return [{axis: name == "True" if axis == "pool" else name for axis, name in row} for row in rows]


def same(feed: hftlab.Feed, **more: object) -> None:
    """The first variant gives the bits of Python, which is slow and runs once, and every other one those of the first."""
    first, *others = (hftlab.Engine("rust", **variant, **more) for variant in variants())
    for a, b in [(hftlab.Engine("python", **more), first), *((first, other) for other in others)]:
        with suppress(FeedError, FaultError):  # both engines stopped at one place, with one sentence: verify has compared it
            assert hftlab.verify(a, b, feed)


@pytest.mark.rust
@settings(max_examples=40)
@given(st.lists(ROWS, max_size=60), st.booleans())
def test_event_sequences(rows: list[tuple[int, ...]], strict: bool) -> None:
    feed = hftlab.EventFeed(np.array(rows, hftlab.EVENT_DTYPE), symbols=("", "AAA", "BBB"))
    same(feed, strict=strict, **WILD)


def test_the_dense_market_meets_every_fault_and_every_limit() -> None:
    run = hftlab.Engine("python", **WILD).run(dense(20_000, 5))
    assert {fault.name.lower() for fault in hftlab.Fault if fault} == set(run.faults)
    assert {"max_notional", "price_collar", "position_limit", "order_rate"} <= set(run.rejects)
    assert len(run.orders) > 10
    assert len(run.order_stream) == 47 * len(run.orders)


@pytest.mark.rust
@pytest.mark.parametrize("until", ["book", "signal", "order"])
def test_the_dense_market_on_every_variant(until: str) -> None:
    same(dense(20_000, 5), until=until, **WILD)


@pytest.mark.rust
@pytest.mark.parametrize("step", [1, 100, 250_000_000])
def test_a_price_that_walks_far_on_every_variant(step: int) -> None:
    same(walk(20_000, step, step))


@st.composite
def wire_bytes(draw: st.DrawFn) -> bytes:
    out = bytearray()
    for letter in draw(st.lists(st.sampled_from([*MESSAGES, *"AAAADDDEEUUXC"]), max_size=40)):
        message = bytearray(build(letter, locate=draw(st.integers(0, 2))))
        for at in range(11, len(message)):
            message[at] = draw(st.sampled_from([0, 0, 0, 1, 66, 83]))
        out += framed(bytes(message))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3)):
        if at < len(out):
            out[at] = byte
    return bytes(out + draw(st.binary(max_size=20)))


@pytest.mark.rust
@settings(max_examples=40)
@given(wire_bytes(), st.booleans())
def test_any_bytes(data: bytes, strict: bool) -> None:
    with suppress(FeedError, FaultError):
        assert hftlab.verify(hftlab.Engine("python", strict=strict), hftlab.Engine("rust", strict=strict), hftlab.ItchFeed(data))


def test_the_end_of_session_mark_is_accepted_where_it_belongs(backend: str) -> None:
    data = b"".join(hftlab.synthetic("calm", 200, 1).blocks())  # ends in S, event C
    assert hftlab.Engine(backend).run(hftlab.ItchFeed(data + b"\0\0")).messages == 200
    for wrong in (data + b"\0\0\0", data[:14] + b"\0\0", b"\0\0"):
        with pytest.raises(FeedError, match="length prefix 0"):
            hftlab.Engine(backend).run(hftlab.ItchFeed(wrong))
