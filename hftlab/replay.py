"""The door: Engine(...).run(feed) -> Run, the same for every backend. It moves blocks; the backend does the work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from hftlab.backends import Backend, Session, resolve
from hftlab.errors import FaultError, FeedError, UnknownName
from hftlab.events import EVENT_DTYPE, Events, describe
from hftlab.feeds.feed import Feed
from hftlab.feeds.itch import ItchFeed, Joiner, Problem
from hftlab.run import Run
from hftlab.settings import AXES, OrderConfig, Record, RiskConfig, Settings, SignalConfig, Stage


class Engine:
    """An engine, chosen by name, and how it shall run.

    backend              : "auto", "python", "rust", or any engine installed under the entry-point group hftlab.backends
    book, orders, pool,
    signal               : variant per axis, see `backends()`; an engine without that axis has one way only
    until                : last stage to run: "tick", "book", "signal" or "order"; whole passes are differenced with it
    strict               : stop at the first fault or unknown message type with an error, instead of counting it
    signals, order, risk : constants of the last two stages
    raises               : UnknownName, BackendMissing, LayoutError, ConfigError, before anything runs
    """

    def __init__(
        self,
        backend: str = "auto",
        *,
        book: str = "ladder",
        orders: str = "flat",
        pool: bool = True,
        signal: str = "incremental",
        until: Stage = "order",
        strict: bool = False,
        signals: SignalConfig | None = None,
        order: OrderConfig | None = None,
        risk: RiskConfig | None = None,
    ) -> None:
        self._backend: Backend
        self.backend, self._backend = resolve(backend)
        self._given: dict[str, Any] = {
            "book": book,
            "orders": orders,
            "pool": pool,
            "signal": signal,
            "until": until,
            "strict": strict,
            "signals": signals or SignalConfig(),
            "order": order or OrderConfig(),
            "risk": risk or RiskConfig(),
        }
        variants = self._backend.variants()
        self.axes = tuple(variants)
        for axis, names in AXES.items():
            if str(self._given[axis]) not in (known := variants.get(axis, names)):
                raise UnknownName(axis, self._given[axis], known)
        self.open(Settings(**self._given, record="none"))

    @property
    def variant(self) -> dict[str, str | bool]:
        """Its variant by axis; empty for an engine without variants."""
        return {axis: self._given[axis] for axis in self.axes}

    def __repr__(self) -> str:
        words = [self.backend, *(f"{axis}={value}" for axis, value in self.variant.items())]
        return f"<Engine {' '.join(words)} until={self._given['until']}>"

    def settings(self, feed: Feed | None = None, **more: Any) -> Settings:
        """The settings a run over `feed` is opened with."""
        if feed is not None:
            more["price_scale"] = feed.price_scale
            if feed.wire == "events":
                more["symbols"] = tuple(feed.symbols)
        return Settings(**{**self._given, **more})

    def open(self, settings: Settings | None = None) -> Session:
        """A session of one's own, to be fed message by message: .apply(...), .message(...), .push(...)."""
        return self._backend.session(settings or self.settings(record="none"))

    def run(self, feed: Feed, record: Record = "all", latency: bool | str = False) -> Run:
        """Run the whole feed.

        record  : "all" one row per message, "top" rows where the best bid or ask changed, "none"
        latency : True or "stages" stamps every stage of every message, "total" only its beginning and end
        raises  : FeedError where the feed breaks off, FaultError under strict; .run of the error holds what was good before it
        """
        mode = str(latency) if isinstance(latency, str) else "stages" if latency else "off"
        settings = self.settings(feed, record=record, latency=mode)
        session = self.open(settings)
        stopped: FeedError | Stop | None
        try:
            stopped = _drive_bytes(feed, session) if feed.wire == "itch" else _drive_events(feed, session)
        except FeedError as error:
            stopped = error
        run = Run(feed, self.backend, settings, session, self.axes)
        if stopped is None:
            return run
        error_ = stopped if isinstance(stopped, FeedError) else _error(*stopped, feed, run)
        error_.run = run
        raise error_


#: Why an engine stopped early, and the stream offset of the block it was given.
Stop = tuple[Problem, int]


def _drive_bytes(feed: Feed, session: Session) -> Stop | None:
    joiner = Joiner(feed.name)
    for block in feed.blocks():
        data = joiner.join(block)
        used, problem = session.push(data)
        if problem:
            return Problem(*problem), joiner.base
        joiner.used(data, used)
    joiner.finish(session.messages)
    return None


def _drive_events(feed: Feed, session: Session) -> Stop | None:
    for events in feed.event_blocks():
        if problem := session.push_events(events):
            return Problem(*problem), 0
    return None


def _error(problem: Problem, base: int, feed: Feed, run: Run) -> FeedError | FaultError:
    if problem.code != "fault":
        return problem.error(base, feed.name)
    fault = run.first_faults.row(0, named=True)
    text = f"{feed.name}: message {problem.message}: {fault['reason']}: {describe(fault)}"
    return FaultError(text, index=problem.message, reason=fault["reason"])


def decode(feed: Feed, backend: str = "auto") -> Events:
    """Every message of a feed as one (n,) EVENT_DTYPE array, by the tick stage of a backend.

    raises : FeedError where the feed breaks off; .events of the error holds what was good before it
    """
    if feed.wire == "events":
        return np.concatenate([np.empty(0, EVENT_DTYPE), *feed.event_blocks()])
    _, engine = resolve(backend)
    joiner, parts, index = Joiner(feed.name), [np.empty(0, EVENT_DTYPE)], 0
    try:
        for block in feed.blocks():
            data = joiner.join(block)
            events, used, problem = engine.decode(data)
            parts.append(events)
            index += len(events)
            if problem:
                raise Problem(*problem)._replace(message=index).error(joiner.base, feed.name)
            joiner.used(data, used)
        joiner.finish(index)
    except FeedError as error:
        error.events = np.concatenate(parts)
        raise
    return np.concatenate(parts)


def load(path: str | os.PathLike[str], symbols: Iterable[str] = ()) -> ItchFeed:
    """A file of NASDAQ TotalView-ITCH 5.0 (BinaryFILE framing, plain or gzip) as a feed.

    symbols : keep only messages of these stocks, and those about none
    raises  : FeedError if it cannot be opened; UnknownName for a symbol it does not announce
    """
    return ItchFeed(path, symbols=symbols)


def synthetic(regime: str = "calm", messages: int = 200_000, seed: int = 1, symbols: int | None = None) -> ItchFeed:
    """A generated feed in memory; the same arguments give the same bytes on every machine.

    raises : UnknownName for a regime, ConfigError for a number out of range
    """
    from hftlab.feeds.synthetic import generate

    name = f"{regime}-{messages}-{seed}" + (f"-{symbols}" if symbols else "")
    return ItchFeed(generate(regime, messages, seed, symbols), name=name)
