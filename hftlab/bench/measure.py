"""Measuring engines side by side: equality first, then interleaved rounds in random order, stamped and unstamped.

Every figure of a comparison is taken in one run. Whole passes that end after each stage give ns per message without any stamp;
stamped passes give distributions; a second copy of one contestant is the A/A control, which shows what the machine makes
of nothing.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from hftlab.adopt import adopt
from hftlab.backends import backends
from hftlab.bench.clock import ClockReport, clock_of
from hftlab.bench.machine import fingerprint
from hftlab.bench.report import Measured, Report, Row
from hftlab.errors import ConfigError, HftlabError
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.feeds.itch import Frames, ItchFeed
from hftlab.replay import Engine
from hftlab.settings import STAGES
from hftlab.verify import verify

#: Messages on which engines must agree before a clock starts.
PREFIX = 20_000
NAIVE: dict[str, Any] = {"book": "btree", "orders": "std", "pool": False, "signal": "recompute"}


@dataclass
class Contestant:
    """One engine in one variant, and what was seen of it."""

    label: str
    base: Engine
    clock: ClockReport
    passes: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    control: list[float] = field(default_factory=list)  # the A/A copy: ns per message of the whole path
    samples: dict[str, list[np.ndarray[Any, Any]]] = field(default_factory=dict)
    live_orders: int = 0
    order_bytes: int = 0

    def engine(self, until: str = "order") -> Engine:
        return self.base.replace(until=until)


def contestants(engines: Iterable[Any] = ()) -> list[Contestant]:
    """Every available engine, the Rust engine twice, as the naive port and at its best; then the given ones."""
    found = []
    for info in backends():
        if info.available and info.name == "rust":
            found.append(_contestant("rust naive", Engine("rust", **NAIVE)))
        if info.available:
            found.append(_contestant("rust best" if info.name == "rust" else info.name, Engine(info.name)))
    for given in map(adopt, engines):
        if given.label in (known := [one.label for one in found]):
            raise ConfigError(f"engine {given.label!r} is there twice; the others are {', '.join(known)}")
        found.append(_contestant(given.label, given))
    return found


def _contestant(label: str, engine: Engine) -> Contestant:
    if getattr(engine.implementation, "DEBUG_BUILD", False):
        raise HftlabError(f"backend {engine.backend!r} is a debug build; its times say nothing (`make rust`)")
    return Contestant(label, engine, clock_of(engine.implementation))


def measure(feed: Feed, *, rounds: int = 5, seed: int = 1, engines: Iterable[Any] = ()) -> Report:
    """Run every engine over the feed and report.

    rounds  : interleaved rounds, 1 to 1000; one more is run first, to warm up, and not counted
    seed    : of the order within a round
    engines : more of them beside those that are installed; whatever `hftlab.adopt.adopt` makes an engine of
    raises  : HftlabError if two engines do not agree on the first 20,000 messages, or if one is a debug build
    """
    if not 1 <= rounds <= 1000:
        raise ConfigError(f"rounds is {rounds}; allowed is 1 to 1000")
    field_ = contestants(engines)
    _agree(field_, feed)
    order = random.Random(seed)
    for number in range(rounds + 1):
        for one in order.sample(field_, len(field_)):
            _round(one, feed, warm_up=number == 0)
    _control(field_[-1], feed, rounds, order)
    messages = field_[0].engine("tick").run(feed, record="none").messages
    return Report(
        feed=feed.name,
        messages=messages,
        rounds=rounds,
        machine=fingerprint(),
        measured=tuple(_measured(one) for one in field_),
        missing={info.name: info.why for info in backends() if not info.available},
    )


def _agree(field_: list[Contestant], feed: Feed) -> None:
    prefix = head(feed, PREFIX)
    for other in field_[1:]:
        verdict = verify(field_[0].engine(), other.engine(), prefix)
        if not verdict:
            raise HftlabError(f"no clock before equality: {verdict}")


def head(feed: Feed, messages: int) -> Feed:
    """The first messages of a feed."""
    if feed.wire == "events":
        events = next(iter(feed.event_blocks()))[:messages]
        return EventFeed(events, symbols=feed.symbols, price_scale=feed.price_scale, name=f"head of {feed.name}")
    parts, left, rest = bytearray(), messages, b""
    for block in feed.blocks():
        data = rest + block if rest else block
        frames = Frames(data)
        for _, _ in frames:
            left -= 1
            if not left:
                break
        used = frames.used if left else frames.used + 2 + (data[frames.used] << 8 | data[frames.used + 1])
        parts += data[:used]
        rest = bytes(data[used:]) if left else b""
        if not left or frames.problem:
            break
    return ItchFeed(bytes(parts), name=f"head of {feed.name}")


def _round(one: Contestant, feed: Feed, *, warm_up: bool) -> None:
    gc.collect()
    gc.disable()  # a collection of the bench's own garbage would be booked on an engine
    try:
        for until in STAGES:
            run = one.engine(until).run(feed, record="none")
            if not warm_up:
                one.passes[until].append(run.ns_per_message)
        one.live_orders, one.order_bytes = run.memory["live_orders"], run.memory["order_bytes"]
        for mode in ("stages", "total"):
            stamps = one.engine().run(feed, record="none", latency=mode).latency
            if stamps is None or warm_up:
                continue
            for name in STAGES if mode == "stages" else ("total",):
                one.samples.setdefault(name, []).append(stamps[name])
    finally:
        gc.enable()


def _control(one: Contestant, feed: Feed, rounds: int, order: random.Random) -> None:
    """The last contestant against itself, in pairs of random order."""
    for _ in range(rounds):
        pair = [one.engine().run(feed, record="none").ns_per_message for _ in range(2)]
        order.shuffle(pair)
        one.control.append(pair[0] / pair[1])


def _measured(one: Contestant) -> Measured:
    rows = tuple(Row.of(name, np.concatenate(parts), one.clock.cost_p50_ns) for name, parts in one.samples.items())
    return Measured(
        label=one.label,
        backend=one.base.backend,
        variant=one.base.variant,
        clock=one.clock,
        rows=rows,
        until_ns={stage: median(values) for stage, values in one.passes.items()},
        rounds_ns=tuple(one.passes["order"]),
        control=tuple(one.control),
        live_orders=one.live_orders,
        order_bytes=one.order_bytes,
    )
