"""Measuring engines side by side: equality first, then interleaved rounds in random order, stamped and unstamped.

Every figure of a comparison is taken in one run. Whole passes that end after each stage give ns per message without any stamp;
stamped passes give distributions; a second copy of one contestant is the A/A control, which shows what the machine makes
of nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, cast

import numpy as np

from hftlab.adopt import adopt
from hftlab.axes import naive
from hftlab.backends import backends
from hftlab.bench.clock import ClockReport, clock_of
from hftlab.bench.gate import PREFIX, agree, head, release
from hftlab.bench.machine import fingerprint
from hftlab.bench.paired import quiet
from hftlab.bench.report import Measured, Report, Row
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.replay import Engine
from hftlab.settings import RECORDS, STAGES, Record

#: An engine slower than this runs the passes of the record modes on the head of the feed alone: they would take half the bench.
SLOW_NS = 1_000


@dataclass
class Contestant:
    """One engine in one variant, and what was seen of it."""

    label: str
    base: Engine
    clock: ClockReport
    passes: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    control: list[float] = field(default_factory=list)  # the A/A copy: ns per message of the whole path
    records: dict[str, list[float]] = field(default_factory=lambda: {mode: [] for mode in RECORDS})
    record_feed: Feed | None = None
    record_messages: int = 0
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
            found.append(_contestant("rust naive", Engine("rust").replace(**naive(info.variants))))
        if info.available:
            found.append(_contestant("rust best" if info.name == "rust" else info.name, Engine(info.name)))
    for given in map(adopt, engines):
        if given.label in (known := [one.label for one in found]):
            raise ConfigError(f"engine {given.label!r} is there twice; the others are {', '.join(known)}")
        found.append(_contestant(given.label, given))
    return found


def _contestant(label: str, engine: Engine) -> Contestant:
    return Contestant(label, engine, clock_of(release(engine)))


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
    agree([one.engine() for one in field_], feed)
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


def _round(one: Contestant, feed: Feed, *, warm_up: bool) -> None:
    with quiet():
        for until in STAGES:
            run = one.engine(until).run(feed, record="none")
            if not warm_up:
                one.passes[until].append(run.ns_per_message)
        one.live_orders, one.order_bytes = run.memory["live_orders"], run.memory["order_bytes"]
        if warm_up:
            one.record_feed = feed if run.ns_per_message < SLOW_NS else head(feed, PREFIX)
        elif one.record_feed:
            _record_passes(one, one.record_feed)
        for mode in ("stages", "total"):
            stamps = one.engine().run(feed, record="none", latency=mode).latency
            if stamps is None or warm_up:
                continue
            for name in STAGES if mode == "stages" else ("total",):
                one.samples.setdefault(name, []).append(stamps[name])


def _record_passes(one: Contestant, feed: Feed) -> None:
    """A whole pass with each record mode: what keeping the rows costs."""
    for mode in RECORDS:
        run = one.engine().run(feed, record=cast(Record, mode))
        one.records[mode].append(run.ns_per_message)
        one.record_messages = run.messages


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
        record_ns={mode: median(values) for mode, values in one.records.items()},
        record_messages=one.record_messages,
        live_orders=one.live_orders,
        order_bytes=one.order_bytes,
    )
