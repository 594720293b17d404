"""hftlab.scaling(): ns per message of each variant against the number of live orders, of instruments, or of price levels.

A population is built first and not counted; what is measured is traffic that keeps its size and touches it at random
(`hftlab.feeds.generate.steady`). At each size every contender has built its population before the first round; then each pushes
the next piece of the same traffic, in an order of its own per round. "best again" is the A/A control: what lies between it and
"best" is the machine's own doing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hftlab.engine.engine import Engine
from hftlab.engine.variants import VariantSet, best, parse
from hftlab.errors import ConfigError, HftlabError, check_choice, check_range
from hftlab.feeds.feed import Feed
from hftlab.feeds.generate.steady import CYCLE, steady
from hftlab.measurement.conditions import require_parity, require_release_build
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Interval, check_rounds, run_pieces
from hftlab.presentation.document import Table, number, table
from hftlab.presentation.result import StoredResult
from hftlab.settings import Stage

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
class ScalingPoint:
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

    def record(self) -> dict[str, Any]:
        """A row of `Scaling.frame`."""
        memory = {"live_orders": self.live_orders, "order_bytes": self.order_bytes, "level_bytes": self.level_bytes}
        ns = {**self.ns.columns("ns_per_message"), "min": self.min_ns}
        return {"variant": self.variant, "size": self.size, **ns, **memory}


@dataclass(frozen=True, repr=False)
class Scaling(StoredResult):
    """The curves of all contenders along one axis, measured in one run on one machine.

    fixed    : what stays as it is; messages: per round
    """

    schema = "hftlab-scaling/1"
    axis: str
    fixed: dict[str, int]
    backend: str
    until: str
    rounds: int
    messages: int
    machine: dict[str, Any]
    points: tuple[ScalingPoint, ...]

    def records(self) -> list[dict[str, Any]]:
        """One per variant and size: ns per message (median, low and high of its 95 % interval, min), live orders, bytes."""
        return [point.record() for point in self.points]

    def cache_sizes(self) -> dict[str, float]:
        """The size along the axis at which the book of the "best" contender outgrows each cache, by its reserved bytes."""
        book = [(point.size, point.order_bytes + point.level_bytes) for point in self.points if point.variant == "best"]
        if len(book) < 2 or book[-1][1] <= book[0][1]:
            return {}
        per_size = (book[-1][1] - book[0][1]) / (book[-1][0] - book[0][0])
        outgrown = {f"{name} {_bytes(size)}": size / per_size for name, size in self.machine["caches"].items()}
        return {name: at for name, at in outgrown.items() if book[0][0] < at < book[-1][0]}

    def derived(self) -> dict[str, Any]:
        return {"outgrows": self.cache_sizes(), "rows": self.records()}

    def plot(self, *, fastest: bool = False) -> Any:
        """The curves as an Altair chart, both axes logarithmic.

        fastest : the fastest round of each point instead of the median with its interval; steadier on a machine that is disturbed
        """
        from hftlab.charts import line_chart

        frame = self.frame().rename({"variant": "series", "size": "x", "ns_per_message": "y"})
        if fastest:
            frame = frame.with_columns(frame["min"].alias(name) for name in ("y", "low", "high"))
        title, outgrown = TITLES[self.axis], self.cache_sizes()
        words = [self._subtitle() + (", the fastest of each" if fastest else "")]
        words += ["dotted: the reserved bytes of the best variant's book outgrow a cache"] if outgrown else []
        axes: dict[str, Any] = {"x": title, "y": "ns per message", "log_x": True, "log_y": True}
        return line_chart(frame, f"ns per message by {title}", words, **axes, marks=outgrown or None, height=320)

    def _subtitle(self) -> str:
        fixed = ", ".join(f"{value:,} {name if value > 1 else name.rstrip('s')}" for name, value in self.fixed.items())
        return f"{self.backend} until {self.until}; {fixed}; {self.rounds} rounds of {self.messages:,} messages"

    def headline(self) -> str:
        return f"{TITLES[self.axis]}: {self._subtitle()}"

    def tables(self) -> list[Table]:
        names = list(dict.fromkeys(point.variant for point in self.points))
        cells = {(point.size, point.variant): number(point.ns.median) for point in self.points}
        sizes = dict.fromkeys(point.size for point in self.points)
        rows = [(f"{size:,}", *(cells[size, name] for name in names)) for size in sizes]
        return [table("ns per message, median over the rounds", (TITLES[self.axis], *names), rows, words=0)]

    def notes(self) -> list[str]:
        rules = [f"{name} at about {at:,.0f}" for name, at in self.cache_sizes().items()]
        outgrown = [f"the book of best, by the bytes it reserves, outgrows {', '.join(rules)}"] if rules else []
        return [*outgrown, describe(self.machine)]


def scaling(
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
) -> Scaling:
    """Measure ns per message along one axis.

    axis     : "orders" (100 to 1,000,000 live), "instruments" (1 to 10,000) or "depth" (1 to 10,000 price levels a side)
    sizes    : points on the axis; default a point per decade
    variants : "naive", "best", names that differ from best ("book=btree orders=std"), "python" for the reference engine;
               default naive, best, and each other name of the axes book and orders
    backend  : whose variants
    until    : last stage to run
    full     : three points per decade instead of one
    rounds   : 3 to 1000; one more is run first, to warm up, and not counted
    messages : per round, a multiple of 10. All contenders of a size are in memory at once
    seed     : of the traffic and of the order within a round, 0 or more
    raises   : UnknownName, ConfigError, BackendMissing; HftlabError for engines that differ, or a debug build
    """
    check_choice("axis", axis, FIXED)
    check_rounds(rounds)
    check_range("seed", seed, 0)
    check_range("messages", messages, CYCLE)
    if messages % CYCLE:
        raise ConfigError(f"messages must be a multiple of {CYCLE}, got {messages}")
    points = sorted(set(decades(axis, full) if sizes is None else sizes))
    engines = contenders(backend, variants, until)
    if not points or not engines:
        raise ConfigError(f"sizes and variants must be at least 1 each, got {len(points)} and {len(engines)}")
    require_parity([Engine("python", until=until), *engines.values()], _feed(axis, points[0], 2_000, seed))
    measured: list[ScalingPoint] = []
    for size in points:
        measured += _measure(engines, _feed(axis, size, (rounds + 1) * messages, seed), size, messages, rounds, seed)
    return Scaling(axis, FIXED[axis], backend, until, rounds, messages, fingerprint(), tuple(measured))


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

    chosen = {text: Engine(PYTHON, until=until) if text == PYTHON else engine(parse(text, axes)) for text in variants}
    return {**chosen, AGAIN: engine(best(axes))} if "best" in chosen else chosen


def _feed(axis: str, size: int, messages: int, seed: int) -> Feed:
    """The population as the warm-up, then the traffic."""
    shape = {**FIXED[axis], {"depth": "levels"}.get(axis, axis): size}
    return steady(**shape, messages=messages, seed=seed).feed().warmed(shape["orders"])


def _measure(engines: dict[str, Engine], feed: Feed, size: int, messages: int, rounds: int, seed: int) -> Iterator[ScalingPoint]:
    series, sessions = run_pieces(engines, feed, rounds, messages, seed, f"size {size:,}")
    for label, session in sessions.items():
        result = session.counters()
        if sum(result["faults"]):
            raise HftlabError(f"{label} refused {sum(result['faults'])} messages of a feed without faults")
        yield ScalingPoint(label, size, Interval.of(series[label]), float(series[label].min()), **result["memory"])
