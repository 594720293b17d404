"""The conditions of a measurement: what must hold before it (a release build, engines that agree), and what stands beside every
figure of it (what the feed is like, how many rounds, which machine)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.run import Run
from hftlab.engine.session import Backend
from hftlab.engine.verify import verify
from hftlab.errors import HftlabError
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import describe, fingerprint
from hftlab.presentation.result import StoredResult

#: A feed begins in a steady state if its first tenth leaves so large a share of the live orders that its end has.
STEADY_SHARE = 0.8
#: Messages on which engines must agree.
PREFIX = 20_000


def require_release_build(engine: Engine) -> Backend:
    """The backend of an engine. Raises HftlabError for a debug build."""
    if getattr(engine.implementation, "DEBUG_BUILD", False):
        raise HftlabError(f"backend {engine.backend!r} is a debug build; refusing to benchmark it (build it with `make rust`)")
    return engine.implementation


def require_parity(engines: Iterable[Engine], feed: Feed, messages: int = PREFIX) -> None:
    """Compare the engines bit for bit on the head of the feed: the second with the first, the others with the second, since the
    first is the reference, and slow. Raises HftlabError with the first divergence."""
    first, *others = engines
    prefix = feed.head(messages)
    for number, other in enumerate(others):
        verdict = verify(others[0] if number else first, other, prefix)
        if not verdict:
            raise HftlabError(f"engines disagree; refusing to benchmark: {verdict}")


@dataclass(frozen=True)
class Market:
    """What a feed asks of an engine.

    kinds       : messages by kind, the warm-up left out
    instruments : with a name
    live_orders : at the end of the feed
    levels      : price levels then
    warm_up     : messages that filled the book before the clock ran
    steady      : whether the book was filled from the start, or filled while it was measured
    """

    kinds: dict[str, int]
    instruments: int
    live_orders: int
    levels: int
    warm_up: int
    steady: bool

    @classmethod
    def of(cls, engine: Engine, run: Run, feed: Feed) -> Market:
        """Of a run of the whole feed. How full a book was that has no warm-up says its first tenth, which runs again, untimed."""
        live, before = run.memory["live_orders"], dict.fromkeys(run.counts, 0)
        if run.filled:
            before = dict(zip(run.counts, run.filled["counts"], strict=True))
            start = run.filled["memory"]["live_orders"]
        else:
            tenth = engine.run(feed.head(max(run.messages // 10, 1)), record="none") if run.messages else run
            start = tenth.memory["live_orders"]
        kinds = {kind: n - before[kind] for kind, n in run.counts.items() if n > before[kind]}
        named = sum(map(bool, feed.symbols))
        return cls(kinds, named, live, run.levels, run.warm_up, start >= STEADY_SHARE * live)

    def __str__(self) -> str:
        messages = max(sum(self.kinds.values()), 1)
        mix = ", ".join(f"{kind} {n / messages:.0%}" for kind, n in sorted(self.kinds.items(), key=lambda each: -each[1]))
        begin = "in a steady state" if self.steady else "with a book that was still filling"
        begin += f", after {self.warm_up:,} messages before the clock" if self.warm_up else ""
        plural = "" if self.instruments == 1 else "s"
        book = f"{self.live_orders:,} live orders on {self.levels:,} levels at its end"
        return f"{mix}; {self.instruments:,} instrument{plural}, {book}; it begins {begin}"


def conditions(engine: Engine, run: Run, feed: Feed, rounds: int) -> dict[str, Any]:
    """The fields of a `FeedResult`, after a run of the whole feed."""
    market = Market.of(engine, run, feed)
    return {
        "feed": feed.name,
        "messages": run.messages - run.warm_up,
        "market": market,
        "rounds": rounds,
        "machine": fingerprint(),
    }


@dataclass(frozen=True, kw_only=True, repr=False)
class FeedResult(StoredResult):
    """Base of what is measured on one feed.

    feed     : its name
    messages : of the feed, in one pass
    market   : what the feed asks of an engine; None where no engine ran all of it
    rounds   : that were counted
    machine  : the fingerprint; see `hftlab.measurement.machine.fingerprint`
    """

    feed: str
    messages: int
    market: Market | None = None
    rounds: int
    machine: dict[str, Any]

    def subtitle(self) -> str:
        """Feed, messages and rounds, for a chart."""
        return f"{self.feed}, {self.messages:,} messages, {self.rounds} interleaved rounds"

    def notes(self) -> list[str]:
        market = f" ({self.market})" if self.market else ""
        return [f"feed {self.feed}: {self.messages:,} messages{market}", describe(self.machine)]
