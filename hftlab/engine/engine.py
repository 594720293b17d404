"""The door: Engine(...).run(feed) -> Run, the same for every backend. It moves blocks; the backend does the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter_ns
from typing import Any

import numpy as np

from hftlab.engine.recording import with_signals
from hftlab.engine.run import Run
from hftlab.engine.session import Backend, Session, resolve
from hftlab.engine.variants import AXES, setting
from hftlab.errors import ConfigError, FaultError, FeedError, UnknownName, check_choice, check_type, check_whole
from hftlab.events import EVENT_DTYPE, Events, as_events, describe
from hftlab.feeds.feed import Feed
from hftlab.feeds.frames import Block, Joiner, Problem
from hftlab.feeds.itch import ItchFeed
from hftlab.settings import Keep, OrderConfig, Record, RiskConfig, Settings, SignalConfig, Stage
from hftlab.stages.interfaces import INTERFACES, Factory, label


class Engine:
    """An engine, chosen by name, and how it shall run.

    backend               : "auto", "python", "rust", any engine installed under the entry-point group hftlab.backends, or an
                            object with the methods of `hftlab.engine.session.Backend`
    book, orders, pool,
    signal, lookahead     : variant per axis, see `hftlab.variants()`; an engine without that axis has one way only
    tick, book, signal,
    order                 : a stage of one's own, as a class or factory with the methods that hftlab.stages.interfaces lists.
                            Only the Python engine takes them: with one, "auto" is Python, unless HFTLAB_BACKEND or
                            use_backend() names another, which is then an error
    until                 : last stage to run: "tick", "book", "signal" or "order"; whole passes are differenced with it
    strict                : stop at the first fault or unknown message type with an error, instead of counting it
    threads               : threads that share the instruments of a feed, 1 to 64; the results are the same bits. For engines
                            that can; neither with stamps nor live
    signal_config,
    order_config,
    risk_config           : constants of the last two stages
    raises                : UnknownName, BackendMissing, LayoutError, ConfigError, before anything runs
    """

    def __init__(
        self,
        backend: str | Backend = "auto",
        *,
        tick: Factory | None = None,
        book: str | Factory = "ladder",
        orders: str = "flat",
        pool: bool = True,
        signal: str | Factory = "incremental",
        lookahead: bool | str = "auto",
        order: Factory | None = None,
        until: Stage = "order",
        strict: bool = False,
        threads: int = 1,
        signal_config: SignalConfig | None = None,
        order_config: OrderConfig | None = None,
        risk_config: RiskConfig | None = None,
    ) -> None:
        stages = {"tick": tick, "book": book, "signal": signal, "order": order}
        self.stages: dict[str, Factory] = {axis: factory for axis, factory in stages.items() if callable(factory)}
        self._arguments: dict[str, Any] = {
            **stages,
            "orders": orders,
            "pool": pool,
            "lookahead": setting("lookahead", str(lookahead)) if str(lookahead) in AXES["lookahead"] else lookahead,
            "until": until,
            "strict": strict,
            "threads": check_whole("threads", threads, 1, 64),
            "signal_config": signal_config,
            "order_config": order_config,
            "risk_config": risk_config,
        }
        self.implementation: Backend
        self.backend, self.implementation = resolve(backend, self.stages)
        self._arguments["backend"] = self.backend if isinstance(backend, str) else backend
        if self.threads > 1 and not getattr(self.implementation, "THREADS", False):
            raise ConfigError(f"backend {self.backend!r} runs on one thread, got threads={threads}; use threads=1, or 'rust'")
        self.variant = self._variant()
        settings = self.settings(record="none")
        if self.stages:
            self.open(settings)  # whether a stage of one's own has every method is seen when it is made

    def _variant(self) -> dict[str, str | bool]:
        """Its variant by axis, a stage of one's own by the name of its class; empty for an engine without variants."""
        variants = self.implementation.variants()
        given = {axis: self._arguments[axis] for axis in INTERFACES | AXES if axis not in self.stages}
        for axis in given:
            known = variants.get(axis, AXES.get(axis, ("None",)))
            if str(given[axis]) not in known:
                raise UnknownName(axis, given[axis], (*known, *(["a class that makes one"] if axis in INTERFACES else [])))
        own = {axis: label(factory) for axis, factory in self.stages.items()}
        return {**{axis: given[axis] for axis in variants if axis in given}, **own}

    @property
    def until(self) -> Stage:
        """The last stage that runs."""
        return self._arguments["until"]  # type: ignore[no-any-return]

    @property
    def threads(self) -> int:
        """How many threads share the instruments of a feed."""
        return self._arguments["threads"]  # type: ignore[no-any-return]

    @property
    def label(self) -> str:
        """What it is called in tables: its backend, its variant, and its threads if there are several."""
        parts = {**self.variant, **({"threads": self.threads} if self.threads > 1 else {})}
        return " ".join([self.backend, *(f"{axis}={value}" for axis, value in parts.items())])

    def __repr__(self) -> str:
        return f"<Engine {self.label} until={self.until}>"

    def replace(self, **changes: Any) -> Engine:
        """The same engine with some of its arguments changed: `engine.replace(until="book")`."""
        return Engine(**{**self._arguments, **changes})

    def as_reference(self) -> Engine:
        """The reference engine with the same settings: what this one must equal."""
        return self.replace(backend="python", tick=None, book="ladder", signal="incremental", order=None, threads=1)

    def __reduce__(self) -> tuple[Any, ...]:
        # A backend may be a module, which cannot be pickled; its name can.
        return partial(Engine, **self._arguments), ()

    def settings(self, feed: Feed | None = None, **more: Any) -> Settings:
        """The settings a run over `feed` is opened with."""
        if feed is not None:
            more["price_scale"] = feed.price_scale
            if feed.wire == "events":
                more["symbols"] = tuple(feed.symbols)
        given = {name: self._arguments[name] for name in ("orders", "pool", "lookahead", "until", "strict", "threads")}
        for axis in ("book", "signal"):
            given[axis] = label(self.stages[axis]) if axis in self.stages else self._arguments[axis]
        for name in ("signal_config", "order_config", "risk_config"):
            if self._arguments[name] is not None:
                given[name] = self._arguments[name]
        return Settings(**{**given, **more})

    def open(self, settings: Settings | None = None) -> Session:
        """A session of one's own, to be fed message by message: .apply(...), .message(...), .push(...)."""
        return self.implementation.session(settings or self.settings(record="none"))

    def run(
        self,
        feed: Feed,
        record: Record = "all",
        latency: bool | str = False,
        *,
        keep: Keep = "samples",
        slowest: int = 0,
        rows: Callable[[Columns], object] | None = None,
    ) -> Run:
        """Run the whole feed.

        record  : "all" one row per message, "top" rows where the best bid or ask changed, "none"
        latency : True or "stages" stamps every stage of every message, "total" only its beginning and end
        keep    : of the stamps: "samples", counts ("histogram", for a feed of any length), or "both"
        slowest : how many of the slowest messages are kept, with those around them
        rows    : is given the recorded rows block by block, by column, while the engine runs; `Run.frame` has none of them
        raises  : FeedError where the feed breaks off, FaultError under strict; .run of the error holds what was good before it
        """
        check_type("feed", feed, Feed, hint=" (hftlab.load, hftlab.synthetic or hftlab.EventFeed give one)")
        mode = str(latency) if isinstance(latency, str) else "stages" if latency else "off"
        settings = self.settings(feed, record=record, latency=mode, keep=keep, slowest=slowest, warm_up=feed.warm_up)
        start, before = perf_counter_ns(), feed.spent_ns
        session, filled = self.open(settings), None
        stopped: FeedError | Stop | None = None
        given = 0
        try:
            for step in _drive_bytes(feed, session, self.threads > 1) if feed.wire == "itch" else _drive_events(feed, session):
                stopped = step
                if feed.warm_up and session.messages == feed.warm_up:
                    filled = session.counters()
                if session.messages - given >= _HANDED_OVER:
                    given = session.messages
                    _hand_over(session, rows)
        except FeedError as error:
            stopped = error
        _hand_over(session, rows)
        run = Run(feed, self.backend, settings, session, self.variant, filled)
        run.wall_ns = perf_counter_ns() - start
        run.costs |= {name: ns - before[name] for name, ns in feed.spent_ns.items()}
        if stopped is None:
            return run
        failure = stopped if isinstance(stopped, FeedError) else _error(*stopped, feed, run)
        failure.run = run
        raise failure


#: Bytes that several threads are given at once: about 200,000 messages.
_LARGE = 1 << 23
#: Messages whose rows are handed over together: enough for what that costs to be nothing beside them, and some megabytes at most.
_HANDED_OVER = 1 << 17
#: Recorded rows by column, as `Run.columns`.
Columns = dict[str, np.ndarray[Any, Any]]

#: Why an engine stopped early, and the stream offset of the block it was given.
Stop = tuple[Problem, int]


def _large(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same bytes in blocks of some size, so that a thread's start is nothing beside its work.

    raises : FeedError where the source breaks off, after what was good before it
    """
    parts: list[Block] = []
    size = 0
    try:
        for block in blocks:
            parts.append(block)
            size += len(block)
            if size >= _LARGE:
                yield block if len(parts) == 1 else b"".join(parts)
                parts, size = [], 0
    except FeedError:
        if parts:
            yield b"".join(parts)
        raise
    if parts:
        yield b"".join(parts)


def _drive_bytes(feed: Feed, session: Session, several: bool) -> Iterator[Stop | None]:
    """Push a feed block by block; after each: why the engine stopped, which ends it, or None."""
    joiner = Joiner(feed.name)
    for data in joiner.pieces(_large(feed.blocks()) if several else feed.passing_blocks()):
        used, problem = session.push(data)
        if problem:
            yield Problem(*problem), joiner.base
            return
        joiner.used(data, used)
        yield None
    joiner.finish(session.messages)


def _drive_events(feed: Feed, session: Session) -> Iterator[Stop | None]:
    """The same with event records."""
    for events in feed.event_blocks():
        problem = session.push_events(as_events(events))
        yield (Problem(*problem), 0) if problem else None
        if problem:
            return


def _hand_over(session: Session, rows: Callable[[Columns], object] | None) -> None:
    """Give away the rows so far, if somebody takes them; an engine that cannot part with them keeps them to the end."""
    if rows is not None and hasattr(session, "take_rows"):
        rows(with_signals(session.take_rows()))


def _error(problem: Problem, base: int, feed: Feed, run: Run) -> FeedError | FaultError:
    if problem.code != "fault":
        return problem.error(base, feed.name)
    fault = run.first_faults.row(0, named=True)
    text = f"{feed.name}: message {problem.message}: {fault['reason']}: {describe(fault)}"
    return FaultError(text, index=problem.message, reason=fault["reason"])


def decode(feed: Feed, backend: str | Engine = "auto") -> Events:
    """Every message of a feed as one (n,) EVENT_DTYPE array, by the tick stage of a backend or an engine.

    raises : FeedError where the feed breaks off; .events of the error holds what was good before it
    """
    parts: list[Events] = [np.empty(0, EVENT_DTYPE)]
    try:
        parts.extend(decoded(feed, backend))
    except FeedError as error:
        error.events = np.concatenate(parts)
        raise
    return np.concatenate(parts)


def decoded(feed: Feed, backend: str | Engine = "auto") -> Iterator[Events]:
    """The same block by block, for a feed of any length. raises : FeedError, after the events before it"""
    check_type("feed", feed, Feed)
    if feed.wire == "events":
        yield from map(as_events, feed.event_blocks())
        return
    engine = backend.implementation if isinstance(backend, Engine) else resolve(backend)[1]
    joiner, index = Joiner(feed.name), 0
    for data in joiner.pieces(feed.passing_blocks()):
        events, used, problem = engine.decode(data)
        yield events
        index += len(events)
        if problem:
            raise Problem(*problem)._replace(message=index).error(joiner.base, feed.name)
        joiner.used(data, used)
    joiner.finish(index)


def synthetic(
    regime: str = "calm", messages: int = 200_000, seed: int = 1, symbols: int | None = None, *, warm: bool = False
) -> Feed:
    """A generated feed in memory; the same arguments give the same bytes on every machine.

    warm : before the `messages` come as many as it takes until the books are as full as they stay: the warm-up of the feed,
           which an engine runs before the clock. A feed to measure with

    raises : UnknownName for a regime, ConfigError for a number out of range
    """
    name = f"{regime}-{messages}-{seed}" + (f"-{symbols}" if symbols else "")
    # the whole generator, which a run over a file does not need
    from hftlab.feeds.generate.regimes import REGIMES
    from hftlab.feeds.generate.synthetic import generate

    check_choice("regime", regime, REGIMES)
    filling = REGIMES[regime].warm_up(symbols or REGIMES[regime].symbols) if warm else 0
    feed = ItchFeed(generate(regime, check_whole("messages", messages) + filling, seed, symbols), name=name)
    return feed.warmed(filling) if warm else feed
