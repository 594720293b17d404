"""Names -> engines. Which engines exist, which one answers to "auto", and why another is missing. Never a silent fallback.

An engine is found through the entry-point group `hftlab.backends`; the entry point names a module or an object with the
methods of `Backend`. Ours is `rust = "hftlab_rust"`; anybody's own works the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol, TypedDict, cast

import numpy as np

from hftlab import __version__
from hftlab.engine.timing import Timings
from hftlab.errors import BackendMissing, ConfigError, LayoutError, check_choice
from hftlab.events import EVENT_FIELDS, Events
from hftlab.feeds.frames import Block
from hftlab.feeds.reader import Plugin
from hftlab.settings import Settings
from hftlab.stages.interfaces import Factory, label, lacking

GROUP = "hftlab.backends"
#: What every backend must have; see Backend.
REQUIRED = ("event_layout", "variants", "session")

#: Ours, loaded like any other; the first is always there.
PYTHON, RUST = Plugin("python", "hftlab.engine.python:PythonBackend"), Plugin("rust", "hftlab_rust")

Column = np.ndarray[Any, Any]


class Counters(TypedDict):
    """The totals of a session."""

    messages: int
    elapsed_ns: int  # in the engine's own loop
    counts: Sequence[int]  # messages by Kind
    faults: Sequence[int]  # refused events by Fault
    rejects: Sequence[int]  # refused orders by index into REJECTS
    memory: dict[str, int]  # live_orders; order_bytes, level_bytes


class SessionResult(Counters, Timings):
    """What a session gives when it is finished, whatever language it is written in: of n messages and k accepted orders."""

    unknown: Mapping[int, int]  # messages of unknown type, by type byte
    fault_index: Sequence[int]  # of the first 100 refusals: message number,
    fault_reason: Sequence[int]  # Fault,
    fault_events: Events  # and record
    columns: dict[str, Column]  # the fields of ROW_DTYPE, rows as Settings.record asks; until tick or book the signals may lack
    orders: dict[str, Column]  # the fields of ORDER_DTYPE, (k,) each
    order_stream: bytes  # 47 k bytes: the Enter Orders


class Session(Protocol):
    """One run of an engine: state that lives from the first message to the last.

    What an engine does not offer it leaves out or answers with NotImplementedError, and the conformance suite skips it: `push`
    and `message` where there is no wire format, `push_events`, `apply`, the questions `best`, `depth`, `queue`, `locate`, and
    `take_rows`, which gives the rows recorded since the last call, by column, so that a long run need not keep them.
    """

    messages: int  # run so far
    elapsed_ns: int  # in the engine's own loop so far

    def push(self, data: Block) -> tuple[int, Any]:
        """Run every whole framed ITCH message in `data`, whose memory may be used again afterwards.

        Returns (bytes used, None or the five fields of a Problem).
        """

    def push_events(self, events: Events) -> Any:
        """Run event records, EVENT_DTYPE. Returns None or the five fields of a Problem."""

    def apply(
        self, ts_ns: int, order_id: int, new_order_id: int, price: int, qty: int, instrument: int, kind: int, side: int
    ) -> int:
        """Run one event; returns the side acted on, 0 if the book was not concerned, or minus the Fault."""

    def message(self, message: bytes) -> int:
        """Run one raw ITCH message without a length prefix; returns like `apply`."""

    def counters(self) -> Counters:
        """The totals so far, as often as they are asked for."""

    def finish(self) -> SessionResult:
        """The end of the run, once: its arrays are handed over, not copied. Raises HftlabError when called again."""

    def best(self, instrument: int) -> tuple[int, int, int, int]:
        """Best bid price, its quantity, best ask price, its quantity; 0 for an empty side."""

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        """(side, price, quantity, order count), bids then asks, best first."""

    def queue(self, instrument: int, side: int, price: int) -> list[tuple[int, int]]:
        """(order id, quantity) of one level, the front first."""

    def locate(self, order_id: int) -> tuple[int, int, int, int] | None:
        """(instrument, side, price, quantity left) of a live order."""

    def names(self) -> Mapping[int, bytes]:
        """8-byte stock by instrument, as far as the feed has named them."""


class Backend(Protocol):
    """What an entry point of the group `hftlab.backends` must offer: a module, an object, or a class that needs no arguments.

    Optional: `decode`; `clock_cost(n)`, n back-to-back readings of the clock in ns; `clock_info()` and `clock_stamps(name, n)`,
    the clocks themselves (measurement/clock.py); `jitter(seconds, lost_ns, long_ns)`, a spin (measurement/noise.py);
    `THREADS`, true if it heeds `Settings.threads`: its sessions then have `threads()`, see engine/run.py;
    `with_stages(**factories)`, the same engine with stages of somebody else's (see stages/interfaces.py); `__version__`;
    `DEBUG_BUILD`, true if its times say nothing.
    """

    clock: str  # name of the clock that stamps its stages

    def event_layout(self) -> list[tuple[str, str, int]]:
        """The event record it was built with: (field, NumPy format, offset); compared with ours at load."""

    def variants(self) -> Mapping[str, tuple[str, ...]]:
        """Variant names by axis (book, orders, pool, signal, lookahead), naive to best; empty if it has none."""

    def session(self, settings: Settings) -> Session:
        """Open a run. Raises ValueError for a variant it does not know, NotImplementedError for a stage it does not have."""

    def decode(self, data: Block) -> tuple[Events, int, Any]:
        """Events of every whole framed message, the bytes used, None or a Problem."""


@dataclass(frozen=True)
class BackendInfo:
    """One engine: whether it can be used here, and if not, why."""

    name: str
    available: bool
    default: bool
    version: str
    why: str = ""
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    build: str = ""  # of a compiled engine: the processors it was built for

    def __repr__(self) -> str:
        state = "available" if self.available else f"missing: {self.why}"
        build = f" {self.build}" if self.build else ""
        return f"<{self.name} {self.version}{build} {state}{', default' if self.default else ''}>"


_chosen: ContextVar[str | None] = ContextVar("hftlab_backend", default=None)

_NOT_INSTALLED = "hftlab-rust is not installed (`make rust` builds it; it needs a Rust toolchain)"


def backends() -> list[BackendInfo]:
    """Every engine known here, the one that answers to "auto" marked, a missing one with the reason."""
    default = _default_name()
    infos = []
    for name in _names():
        try:
            backend = _load(name)
        except (BackendMissing, LayoutError, ConfigError) as error:
            infos.append(BackendInfo(name, False, name == default, "", str(error)))
            continue
        version = getattr(backend, "__version__", __version__)
        build = getattr(backend, "BUILD", "")
        infos.append(BackendInfo(name, True, name == default, version, "", dict(backend.variants()), build))
    return infos


def resolve(backend: str | Backend = "auto", stages: Mapping[str, Factory] | None = None) -> tuple[str, Backend]:
    """An engine and its name, from its name or from the object itself.

    "auto" is what use_backend() or HFTLAB_BACKEND chose, else Rust, else Python; with stages of one's own it is what was chosen,
    else Python, since only that one takes them.

    stages : factories by stage name, to replace those of the engine
    raises : UnknownName; BackendMissing, LayoutError with the reason. An engine that is installed but broken is an error even
             for "auto": only one that was never installed is passed over. ConfigError if the object lacks a method, or if the
             engine does not take stages.
    """
    if isinstance(backend, str):
        name = _default_name(staged=bool(stages)) if backend == "auto" else backend
        engine = _load(name)
    else:
        name = _name(backend)
        engine = cast(Backend, _check(name, backend))
    return name, _with_stages(name, engine, stages) if stages else engine


def _name(backend: object) -> str:
    """What an engine is called that came as an object: a module's or a class's own name."""
    named = backend if isinstance(backend, type | ModuleType) else type(backend)
    return str(getattr(backend, "name", "") or named.__name__.rpartition(".")[2])


def _with_stages(name: str, backend: Any, stages: Mapping[str, Factory]) -> Backend:
    if hasattr(backend, "with_stages"):
        return cast(Backend, backend.with_stages(**stages))
    stage, factory = next(iter(stages.items()))
    names = backend.variants().get(stage) or ("None",)
    raise ConfigError(
        f"backend {name!r} takes no {stage} stage from outside, got {label(factory)}; "
        f"use {stage}={' or '.join(names)}, or backend 'python'"
    )


@contextmanager
def use_backend(name: str) -> Iterator[Backend]:
    """Within the block, "auto" means `name`.

    raises : UnknownName, BackendMissing, LayoutError as `resolve` does, before the block is entered
    """
    _, backend = resolve(name)
    token = _chosen.set(name)
    try:
        yield backend
    finally:
        _chosen.reset(token)


def _default_name(*, staged: bool = False) -> str:
    chosen = _chosen.get() or os.environ.get("HFTLAB_BACKEND") or "auto"
    if chosen != "auto":
        return chosen
    required = os.environ.get("HFTLAB_REQUIRE_RUST") == "1"
    return "rust" if not staged and (required or _rust()) else "python"


def _names() -> list[str]:
    return ["python", "rust", *sorted(set(_entry_points()) - {"rust", "python"})]


@cache
def _rust() -> Plugin | None:
    return RUST if find_spec(RUST.value) else None


@cache
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _point(name: str) -> Any:
    """What loads an engine; None for Rust where it is not installed. Raises UnknownName."""
    if name in (PYTHON.name, RUST.name):
        return PYTHON if name == PYTHON.name else _rust()
    return _entry_points()[check_choice("backend", name, _names())]


@cache
def _load(name: str) -> Backend:
    if (point := _point(name)) is None:
        raise BackendMissing(f"backend {name!r} is missing: {_NOT_INSTALLED}")
    try:
        backend = point.load()
    except Exception as error:
        text = f"backend {name!r} is installed but cannot be loaded: {type(error).__name__}: {error}"
        raise BackendMissing(text) from error
    return cast(Backend, _check(name, backend))


def _check(name: str, backend: Any) -> Any:
    """The backend, made if it is a class. Two halves built from different sources would disagree in silence; here they speak."""
    if missing := lacking(backend, *REQUIRED):
        raise ConfigError(f"backend {name!r} lacks {', '.join(missing)}; it must have what hftlab.engine.session.Backend lists")
    if isinstance(backend, type):
        backend = backend()
    version = getattr(backend, "__version__", "unknown")
    if name == "rust" and version != __version__:
        raise LayoutError(f"hftlab {__version__} engine hftlab-rust {version}; the two must be of one version (`make rust`)")
    layout = [tuple(field) for field in backend.event_layout()]
    if layout != list(EVENT_FIELDS):
        raise LayoutError(f"backend {name!r} has event record {layout}; hftlab has {list(EVENT_FIELDS)}")
    return backend
