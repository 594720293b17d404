"""Scale curves: ns per message of each variant against the number of live orders, of instruments, or of price levels.

A population is built first and not counted; what is measured is traffic that keeps its size and touches it at random
(`hftlab.feeds.generate.steady`). At each size every contender has built its population before the first round; then each pushes
the next piece of the same traffic, in an order of its own per round. "best again" is the A/A control: what lies between it and
"best" is the machine's own doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine
from hftlab.engine.session import Session
from hftlab.engine.variants import VariantSet, best, parse
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.feeds.generate.steady import CYCLE, Steady, steady
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Interval, check_rounds, interleave
from hftlab.measurement.preconditions import require_parity, require_release_build
from hftlab.measurement.result import Result
from hftlab.settings import Stage

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-scale/1"
AGAIN = "best again"
PYTHON = "python"

#: What stays fixed while one axis grows, and the title of that axis.
FIXED = {
    "orders": {"instruments": 1, "levels": 50},
    "instruments": {"orders": 100_000, "levels": 5},
    "depth": {"orders": 40_000, "instruments": 1},
}
TITLES = {"orders": "live orders", "instruments": "instruments", "depth": "price levels a side"}
_LARGEST = {"orders": 1_000_000, "instruments": 10_000, "depth": 10_000}
_SMALLEST = {"orders": 100, "instruments": 1, "depth": 1}


@dataclass(frozen=True)
class Point:
    """One contender at one size: ns per message, median over the rounds with its interval, and the bytes of its book.

    min_ns : of the fastest round: what else the machine did hits a round, or spares it
    """

    variant: str
    size: int
    ns: Interval
    min_ns: float
    live_orders: int
    order_bytes: int
    level_bytes: int

    def row(self) -> dict[str, Any]:
        """One row of `Scale.frame`."""
        return {
            "variant": self.variant,
            "size": self.size,
            "ns_per_message": self.ns.median,
            "low": self.ns.low,
            "high": self.ns.high,
            "min": self.min_ns,
            "live_orders": self.live_orders,
            "order_bytes": self.order_bytes,
            "level_bytes": self.level_bytes,
        }


@dataclass(frozen=True)
class Scale(Result):
    """The curves of all contenders along one axis, measured in one run on one machine."""

    axis: str
    fixed: dict[str, int]
    backend: str
    until: str
    rounds: int
    messages: int
    machine: dict[str, Any]
    points: tuple[Point, ...]

    def frame(self) -> pl.DataFrame:
        """One row per variant and size: ns per message (median, low and high of its 95 % interval, min), live orders, bytes."""
        import polars as pl

        return pl.DataFrame([point.row() for point in self.points])

    def cache_sizes(self) -> dict[str, float]:
        """The size along the axis at which the book of the "best" contender outgrows each cache, by its reserved bytes."""
        book = [(one.size, one.order_bytes + one.level_bytes) for one in self.points if one.variant == "best"]
        if len(book) < 2 or book[-1][1] <= book[0][1]:
            return {}
        per_size = (book[-1][1] - book[0][1]) / (book[-1][0] - book[0][0])
        found = {f"{name} {_bytes(size)}": size / per_size for name, size in self.machine["caches"].items()}
        return {name: at for name, at in found.items() if book[0][0] < at < book[-1][0]}

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "axis": self.axis,
            "fixed": self.fixed,
            "backend": self.backend,
            "until": self.until,
            "rounds": self.rounds,
            "messages_per_round": self.messages,
            "machine": self.machine,
            "outgrows": self.cache_sizes(),
            "points": [point.row() for point in self.points],
        }

    def plot(self, *, fastest: bool = False) -> Any:
        """The curves as an Altair chart, both axes logarithmic.

        fastest : the fastest round of each point instead of the median with its interval; steadier on a machine that is disturbed
        """
        from hftlab.charts import scaling_chart

        frame, said = self.frame(), self._subtitle()
        if fastest:
            frame = frame.with_columns(frame["min"].alias(name) for name in ("ns_per_message", "low", "high"))
            said += ", the fastest of each"
        return scaling_chart(frame, TITLES[self.axis], self.cache_sizes(), said)

    def _subtitle(self) -> str:
        fixed = ", ".join(f"{value:,} {name if value > 1 else name.rstrip('s')}" for name, value in self.fixed.items())
        return f"{self.backend} until {self.until}; {fixed}; {self.rounds} rounds of {self.messages:,} messages"

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        out = [f"{TITLES[self.axis]}: {self._subtitle()}", describe(self.machine)]
        rules = [f"{name} at about {at:,.0f}" for name, at in self.cache_sizes().items()]
        return out + ([f"the book of best, by the bytes it reserves, outgrows {', '.join(rules)}"] if rules else [])

    def __str__(self) -> str:
        rows = [f"{p.variant:<24} {p.size:>10,}  {p.ns.median:10.1f} [{p.ns.low:.1f}, {p.ns.high:.1f}] ns" for p in self.points]
        return "\n".join([*self.lines(), *rows])

    def __repr__(self) -> str:
        return f"<Scale of {self.backend} against {TITLES[self.axis]}: {len(self.points)} points>"


def scale(
    axis: str = "orders",
    sizes: Iterable[int] | None = None,
    variants: Iterable[str] | None = None,
    *,
    backend: str = "rust",
    until: Stage = "book",
    full: bool = False,
    rounds: int = 11,
    messages: int = 100_000,
    seed: int = 1,
) -> Scale:
    """Measure ns per message along one axis.

    axis     : "orders" (100 to 1,000,000 live), "instruments" (1 to 10,000) or "depth" (1 to 10,000 price levels a side)
    sizes    : points on the axis; default a point per decade
    full     : three points per decade
    variants : "naive", "best", names that differ from best ("book=btree orders=std"), "python" for the reference engine;
               default naive, best, and each other name of the axes book and orders
    messages : per round, a multiple of 10; rounds : 3 to 1000. All contenders of a size are in memory at once
    raises   : UnknownName, ConfigError, BackendMissing; HftlabError for engines that differ, or a debug build
    """
    if axis not in FIXED:
        raise UnknownName("scale axis", axis, FIXED)
    if messages % CYCLE or messages < CYCLE:
        raise ConfigError(f"messages is {messages}; allowed is a multiple of {CYCLE} from {CYCLE}")
    check_rounds(rounds)
    points = sorted(set(decades(axis, full) if sizes is None else sizes))
    engines = contenders(backend, variants, until)
    if not points or not engines:
        raise ConfigError(f"{len(points)} sizes and {len(engines)} variants; allowed is 1 or more of each")
    require_parity([Engine("python", until=until), *engines.values()], _feed(axis, points[0], 2_000, seed).feed())
    found: list[Point] = []
    for size in points:
        found += _measure(engines, _feed(axis, size, (rounds + 1) * messages, seed), size, messages, rounds, seed)
    return Scale(axis, FIXED[axis], backend, until, rounds, messages, fingerprint(), tuple(found))


def _bytes(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def decades(axis: str, full: bool) -> list[int]:
    """1, 10, 100, ... within the range of an axis; with `full` 1, 2, 5, 10, 20, ..."""
    steps = (factor * 10**power for power in range(7) for factor in ((1, 2, 5) if full else (1,)))
    return [size for size in steps if _SMALLEST[axis] <= size <= _LARGEST[axis]]


def contenders(backend: str, variants: Iterable[str] | None, until: Stage = "book") -> dict[str, Engine]:
    """Engines by label; a second "best" as the control wherever there is a first."""
    axes = require_release_build(Engine(backend)).variants()
    if variants is None:
        others = [f"{axis}={name}" for axis in ("book", "orders") for name in axes.get(axis, ())[:-1]]
        variants = ["naive", *others, "best"] if axes else ["best"]

    def engine(variant: VariantSet) -> Engine:
        return Engine(backend, until=until, **variant)  # type: ignore[arg-type]

    made = {text: Engine(PYTHON, until=until) if text == PYTHON else engine(parse(text, axes)) for text in variants}
    return {**made, AGAIN: engine(best(axes))} if "best" in made else made


def _feed(axis: str, size: int, messages: int, seed: int) -> Steady:
    return steady(**{**FIXED[axis], {"depth": "levels"}.get(axis, axis): size}, messages=messages, seed=seed)


def _measure(engines: dict[str, Engine], feed: Steady, size: int, messages: int, rounds: int, seed: int) -> Iterator[Point]:
    sessions = {label: engine.open() for label, engine in engines.items()}
    for label, session in sessions.items():
        if not hasattr(session, "elapsed_ns"):
            raise HftlabError(
                f"{label}: its session has no elapsed_ns, without which the build-up cannot be told from the traffic"
            )
        session.push(feed.build)
    runs = {label: _pieces(session, feed, messages) for label, session in sessions.items()}
    series = interleave(runs, rounds, seed)
    for label, session in sessions.items():
        result = session.counters()
        if sum(result["faults"]):
            raise HftlabError(f"{label} refused {sum(result['faults'])} messages of a feed without faults")
        yield Point(label, size, Interval.of(series[label], seed), float(series[label].min()), **result["memory"])


def _pieces(session: Session, feed: Steady, messages: int) -> Callable[[], float]:
    """Each call pushes the next piece of the traffic; returns ns per message in the engine's own loop."""
    numbers = iter(range(feed.messages // messages))

    def run() -> float:
        before = session.elapsed_ns
        session.push(feed.chunk(next(numbers), messages))
        return (session.elapsed_ns - before) / messages

    return run
