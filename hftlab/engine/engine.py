"""The door: Engine(...).run(feed) -> Run, the same for every backend. It moves blocks; the backend does the work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from hftlab.engine.run import Run
from hftlab.engine.session import Backend, Session, resolve
from hftlab.errors import FaultError, FeedError, UnknownName
from hftlab.events import EVENT_DTYPE, Events, describe
from hftlab.feeds.feed import Feed
from hftlab.feeds.itch import ItchFeed, Joiner, Problem
from hftlab.settings import AXES, Keep, OrderConfig, Record, RiskConfig, Settings, SignalConfig, Stage
from hftlab.stages.protocols import PROTOCOLS, Factory, label


class Engine:
    """An engine, chosen by name, and how it shall run.

    backend              : "auto", "python", "rust", any engine installed under the entry-point group hftlab.engine.session, or an
                           object with the methods of `hftlab.engine.session.Backend`
    book, orders, pool,
    signal               : variant per axis, see `backends()`; an engine without that axis has one way only
    tick, book, signal,
    entry                : a stage of one's own, as a class or factory with the methods that hftlab.stages.protocols lists
                           (`entry` is the order stage). Only the Python engine takes them: with one, "auto" is Python, unless
                           HFTLAB_BACKEND or use_backend() names another, which is then an error
    until                : last stage to run: "tick", "book", "signal" or "order"; whole passes are differenced with it
    strict               : stop at the first fault or unknown message type with an error, instead of counting it
    signals, order, risk : constants of the last two stages
    raises               : UnknownName, BackendMissing, LayoutError, ConfigError, before anything runs
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
        entry: Factory | None = None,
        until: Stage = "order",
        strict: bool = False,
        signals: SignalConfig | None = None,
        order: OrderConfig | None = None,
        risk: RiskConfig | None = None,
    ) -> None:
        stages = {"tick": tick, "book": book, "signal": signal, "entry": entry}
        self.stages: dict[str, Factory] = {axis: made for axis, made in stages.items() if callable(made)}
        self._arguments: dict[str, Any] = {
            **stages,
            "orders": orders,
            "pool": pool,
            "until": until,
            "strict": strict,
            "signals": signals,
            "order": order,
            "risk": risk,
        }
        self.implementation: Backend
        self.backend, self.implementation = resolve(backend, self.stages)
        self._arguments["backend"] = self.backend if isinstance(backend, str) else backend
        self.variant = self._variant()
        self.open()

    def _variant(self) -> dict[str, str | bool]:
        """Its variant by axis, a stage of one's own by the name of its class; empty for an engine without variants."""
        variants = self.implementation.variants()
        given = {axis: self._arguments[axis] for axis in PROTOCOLS | AXES if axis not in self.stages}
        for axis in given:
            known = variants.get(axis, AXES.get(axis, ("None",)))
            if str(given[axis]) not in known:
                raise UnknownName(axis, given[axis], (*known, *(["a class that makes one"] if axis in PROTOCOLS else [])))
        own = {axis: label(made) for axis, made in self.stages.items()}
        return {**{axis: given[axis] for axis in variants if axis in given}, **own}

    @property
    def until(self) -> Stage:
        """The last stage that runs."""
        return self._arguments["until"]  # type: ignore[no-any-return]

    @property
    def label(self) -> str:
        """What it is called in tables: its backend and its variant."""
        return " ".join([self.backend, *(f"{axis}={value}" for axis, value in self.variant.items())])

    def __repr__(self) -> str:
        return f"<Engine {self.label} until={self.until}>"

    def replace(self, **changes: Any) -> Engine:
        """The same engine with some of its arguments changed: `engine.replace(until="book")`."""
        return Engine(**{**self._arguments, **changes})

    def reference(self) -> Engine:
        """The reference engine, told the same: what this one must equal."""
        return self.replace(backend="python", tick=None, book="ladder", signal="incremental", entry=None)

    def __reduce__(self) -> tuple[Any, ...]:
        # A backend may be a module, which cannot be pickled; its name can.
        return _engine, (self._arguments,)

    def settings(self, feed: Feed | None = None, **more: Any) -> Settings:
        """The settings a run over `feed` is opened with."""
        if feed is not None:
            more["price_scale"] = feed.price_scale
            if feed.wire == "events":
                more["symbols"] = tuple(feed.symbols)
        given = {name: self._arguments[name] for name in ("orders", "pool", "until", "strict")}
        for axis in ("book", "signal"):
            given[axis] = label(self.stages[axis]) if axis in self.stages else self._arguments[axis]
        constants = {"signals": SignalConfig, "order": OrderConfig, "risk": RiskConfig}
        given.update({name: self._arguments[name] or default() for name, default in constants.items()})
        return Settings(**{**given, **more})

    def open(self, settings: Settings | None = None) -> Session:
        """A session of one's own, to be fed message by message: .apply(...), .message(...), .push(...)."""
        return self.implementation.session(settings or self.settings(record="none"))

    def run(
        self, feed: Feed, record: Record = "all", latency: bool | str = False, *, keep: Keep = "samples", slowest: int = 0
    ) -> Run:
        """Run the whole feed.

        record  : "all" one row per message, "top" rows where the best bid or ask changed, "none"
        latency : True or "stages" stamps every stage of every message, "total" only its beginning and end
        keep    : of the stamps: "samples", counts ("histogram", for a feed of any length), or "both"
        slowest : keep so many of the slowest messages with those around them
        raises  : FeedError where the feed breaks off, FaultError under strict; .run of the error holds what was good before it
        """
        mode = str(latency) if isinstance(latency, str) else "stages" if latency else "off"
        settings = self.settings(feed, record=record, latency=mode, keep=keep, slowest=slowest)
        session = self.open(settings)
        stopped: FeedError | Stop | None
        try:
            stopped = _drive_bytes(feed, session) if feed.wire == "itch" else _drive_events(feed, session)
        except FeedError as error:
            stopped = error
        run = Run(feed, self.backend, settings, session, self.variant)
        if stopped is None:
            return run
        error_ = stopped if isinstance(stopped, FeedError) else _error(*stopped, feed, run)
        error_.run = run
        raise error_


def _engine(arguments: dict[str, Any]) -> Engine:
    return Engine(**arguments)


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


def decode(feed: Feed, backend: str | Engine = "auto") -> Events:
    """Every message of a feed as one (n,) EVENT_DTYPE array, by the tick stage of a backend or an engine.

    raises : FeedError where the feed breaks off; .events of the error holds what was good before it
    """
    if feed.wire == "events":
        return np.concatenate([np.empty(0, EVENT_DTYPE), *feed.event_blocks()])
    engine = resolve(backend)[1] if isinstance(backend, str) else backend.implementation
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
    from hftlab.feeds.generate.synthetic import generate

    name = f"{regime}-{messages}-{seed}" + (f"-{symbols}" if symbols else "")
    return ItchFeed(generate(regime, messages, seed, symbols), name=name)
