"""latency_value(feed): what a microsecond is worth, in fills and in money, for one rule on one feed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine, decode
from hftlab.errors import ConfigError, HftlabError, check_choice, check_range, check_type, check_whole
from hftlab.events import Events
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.fills.accounts import SCHEDULES, FeeSchedule
from hftlab.fills.attempts import METRICS, Money, Touch, Trials, decide, trials
from hftlab.fills.delays import LADDER, Latency, as_latencies, marks_of
from hftlab.fills.simulation import Array, exchange_events, require_orders, resolved, simulate
from hftlab.fills.strategy import Path, play
from hftlab.fills.value_result import Compared, LatencyRow, LatencyValue
from hftlab.measurement.blocks import adjust, compare

STRATEGIES = ("join", "take")
CLOCKS = ("receive", "exchange")


@dataclass(frozen=True)
class _Play:
    """What is played, and how it is counted."""

    feed: Feed
    events: Events
    ends: Array | None
    latencies: list[Latency]
    horizon_ns: int
    markout_ns: int
    seed: int
    clock: str
    money: Money

    @classmethod
    def of(cls, feed: Feed, latencies: Any, horizon_s: float, markout_s: float, seed: int, clock: str, money: Money) -> _Play:
        """Everything checked; the feed decoded once."""
        given = as_latencies(latencies)
        if len(given) < 2:
            raise ConfigError(f"latencies must be at least 2, the first of them the base, got {len(given)}")
        check_choice("clock", clock, CLOCKS)
        horizon_ns = int(check_range("horizon_s", horizon_s, 0, 86_400) * 1e9)
        markout_ns = int(check_range("markout_s", markout_s, 0, 86_400) * 1e9)
        events = decode(feed)
        ends = exchange_events(feed, len(events))
        return cls(feed, events, ends, given, horizon_ns, markout_ns, check_whole("seed", seed, 0), clock, money)

    @property
    def same_feed(self) -> Feed:
        """The feed as it was decoded, so that it is not decoded again."""
        feed = self.feed
        if feed.wire == "events":
            return feed
        return EventFeed(self.events, symbols=feed.symbols, price_scale=feed.price_scale, name=feed.name)


def latency_value(
    feed: Feed,
    latencies: Any = LADDER,
    *,
    strategy: str | Callable[..., Any] = "join",
    lot: int = 1,
    horizon_s: float = 5.0,
    markout_s: float = 1.0,
    clock: str = "receive",
    fees: FeeSchedule | str = "none",
    multiplier: int = 1,
    tick: int | None = None,
    blocks: int = 60,
    seed: int = 1,
    backend: str = "auto",
    engine: Engine | None = None,
    marks: Any = (),
    queue_model: str | None = None,
) -> LatencyValue:
    """Ask what being later costs: the same decisions on the same events, sent with each latency, in one pass.

    feed      : order by order (L3)
    latencies : ns, `hftlab.fills.delays.Latency`, `.hgrm` files, results of `hftlab.latency` or the network, or a mapping from
                names to these; the first is what the others are compared with
    strategy  : "join" every better price; "take" the engine's own orders, immediate or cancel; or what makes one of yours
    lot       : quantity of an order of join; horizon_s: how long it may rest after the decision
    markout_s : after an execution its price is compared with the mid so much later
    clock     : "receive" decided when the feed was received, where it tells; "exchange" at the time of the exchange
    fees      : a schedule, or the name of one; none, us-maker-taker, cme-es
    multiplier : currency per 1.0 of price and lot
    tick      : price units; default: what all steps of the touch are multiples of
    blocks    : of time, for the bootstrap, 10 to 10,000; seed: of draws of latencies and of the bootstrap
    backend   : "auto", "python" or "rust"; engine: whose orders "take" sends, default the best there is
    marks     : ns by name, or measured results: p50 and p99.9 of engines and transports, to be marked on the chart
    raises    : ConfigError, UnknownName; HftlabError where nothing is decided, and for L2 data without a `queue_model`
    """
    require_orders(check_type("feed", feed, Feed), queue_model if isinstance(strategy, str) else None)
    check_whole("blocks", blocks, 10, 10_000)
    schedule = SCHEDULES[check_choice("fee schedule", fees, SCHEDULES)] if isinstance(fees, str) else fees
    money = Money(1, feed.price_scale, feed.qty_scale, check_whole("multiplier", multiplier, 1), schedule)
    game = _Play.of(feed, latencies, horizon_s, markout_s, seed, clock, money)
    if isinstance(strategy, str):
        check_choice("strategy", strategy, STRATEGIES)
        worlds, tick = _known(game, strategy, check_whole("lot", lot, 1, 2**32 - 1), tick, backend, engine, queue_model)
    else:
        worlds, tick = _own(game, strategy, tick)
    simulator = f"queue model {queue_model}, a guess, python" if queue_model else resolved(backend)
    simulator = simulator if isinstance(strategy, str) else "python"
    result = _result(game, strategy, worlds, blocks, lot, tick, simulator)
    return replace(result, marks=marks_of(marks))


def _result(
    game: _Play, strategy: str | Callable[..., Any], worlds: list[Trials], blocks: int, lot: int, tick: int, simulator: str
) -> LatencyValue:
    """What was played, in rows and comparisons."""
    feed = game.feed
    return LatencyValue(
        feed=feed.name,
        day=_day(game),
        messages=len(game.events),
        fees=game.money.fees.name,
        lot=lot,
        strategy=strategy if isinstance(strategy, str) else getattr(strategy, "__name__", type(strategy).__name__),
        simulator=simulator,
        horizon_ns=game.horizon_ns,
        markout_ns=game.markout_ns,
        clock="exchange" if feed.recv_ns is None else game.clock,
        tick=tick / feed.price_scale,
        spans=blocks,
        rows=tuple(_row(latency, trial) for latency, trial in zip(game.latencies, worlds, strict=True)),
        compared=_compared(game.latencies, worlds, blocks, game.seed),
        marks={},
    )


def _known(
    game: _Play, strategy: str, lot: int, tick: int | None, backend: str, engine: Engine | None, model: str | None
) -> tuple[list[Trials], int]:
    """Join and take: decided once, sent once per latency."""
    default = Engine(until="book" if strategy == "join" else "order")
    touch, attempts = decide(game.feed, game.events, game.ends, strategy, lot, game.clock, engine or default)
    # What is still open when the feed ends says nothing: the same attempts are left out for every latency.
    last = int(game.events["ts_ns"].max()) - game.horizon_ns - game.markout_ns
    attempts = attempts.where(attempts.seen_ns <= last)
    if not len(attempts):
        raise HftlabError(f"{game.feed.name}: must go on for horizon_s and markout_s after the first decision")
    sent = attempts.requests(game.latencies, game.horizon_ns, game.seed)
    run = simulate(game.same_feed, sent, backend=backend, queue_model=model)
    money = _with_tick(game.money, touch, tick)
    out = []
    for world in range(len(game.latencies)):
        orders, fills = run.orders[run.orders["world"] == world], run.fills[run.fills["world"] == world]
        n, times, qty = len(attempts), attempts.seen_ns, attempts.qty
        out.append(trials(orders, fills, n, times, qty, touch.mids2, game.markout_ns, money))
    return out, money.tick


def _own(game: _Play, strategy: Callable[..., Any], tick: int | None) -> tuple[list[Trials], int]:
    """A strategy of the user's: every order that it enters is an attempt."""
    paths = [Path(latency, latency, latency) for latency in game.latencies]
    fills, orders, sent, decided = play(game.feed, game.events, game.ends, strategy, paths, seed=game.seed, clock=game.clock)
    run = Engine("python", until="book").run(game.same_feed, record="top")
    touch = Touch.of(run.columns, game.ends, game.events)
    money = _with_tick(game.money, touch, tick)
    enters = sent["action"] != 2
    ids = np.where(sent["action"] == 3, sent["new_order_id"], sent["order_id"])
    out = []
    for world in range(len(paths)):
        own = enters & (sent["world"] == world)
        number = {int(order_id): at for at, order_id in enumerate(ids[own].tolist())}
        its, hits = orders[orders["world"] == world].copy(), fills[fills["world"] == world].copy()
        for rows in (its, hits):
            rows["order_id"] = [number[each] for each in rows["order_id"].tolist()]
        qty = sent["qty"][own].astype(np.int64)
        out.append(trials(its, hits, len(number), decided[own], qty, touch.mids2, game.markout_ns, money))
    return out, money.tick


def _with_tick(money: Money, touch: Touch, tick: int | None) -> Money:
    return replace(money, tick=touch.tick() if tick is None else check_whole("tick", tick, 1))


def _day(game: _Play) -> str:
    """Which day, as far as the feed says."""
    times = game.events["ts_ns"][game.events["ts_ns"] > 0]
    if game.feed.epoch != "unix" or not len(times):
        return "one day, which the feed does not name"
    first, last = (datetime.fromtimestamp(int(ns) / 1e9, UTC).date().isoformat() for ns in (times.min(), times.max()))
    return first if first == last else f"{first} to {last}"


def _row(latency: Latency, trial: Trials) -> LatencyRow:
    """The means of one latency."""

    def mean(values: Any) -> float | None:
        return float(np.mean(values)) if len(values) else None

    got = trial.executed > 0
    return LatencyRow(
        latency=latency.name,
        p50_ns=latency.quantile(0.5),
        p999_ns=latency.quantile(0.999),
        attempts=len(trial.time_ns),
        ahead=mean(trial.ahead[~np.isnan(trial.ahead)]),
        markout=float(trial.value[got].sum() / trial.executed[got].sum()) if got.any() else None,
        money=float(trial.money.sum()),
        **{name: mean(getattr(trial, name)) for name in ("front", "filled", "through", "canceled", "expired", "value")},
    )


def _compared(latencies: list[Latency], worlds: list[Trials], blocks: int, seed: int) -> tuple[Compared, ...]:
    """Every latency but the first against the first, in every metric, corrected together."""
    times = np.concatenate([world.time_ns for world in worlds])
    first, last = (int(times.min()), int(times.max())) if len(times) else (0, 0)
    tried = sum(world.by_block("value", first, last, blocks)[1] for world in worlds)
    busy = int(np.count_nonzero(tried))
    names: list[tuple[str, str]] = []
    found = []
    for metric in METRICS:
        pairs = [world.by_block(metric, first, last, blocks) for world in worlds]
        differences = compare(pairs[0], pairs[1:], seed, busy)
        scale = blocks if metric == "money" else 1
        names += [(latency.name, metric) for latency in latencies[1:]]
        found += [replace(each, value=each.value * scale, low=each.low * scale, high=each.high * scale) for each in differences]
    out = []
    for (name, metric), each in zip(names, adjust(found), strict=True):
        numbers = (each.low, each.high, each.p, each.adjusted)
        low, high, p, adjusted = (None if number != number else number for number in numbers)
        out.append(Compared(name, metric, each.value, low, high, p, adjusted, each.verdict.value))
    return tuple(out)
