"""Every combination of optimisations, and what each is worth on each way from none of them to all.

`hftlab.ablate` asks for one way and for single switches; here all 2^n sets are timed, interleaved, so that every order in which n
optimisations could have been made can be compared. What one of them is worth differs from way to way. The mean of its logarithm
over all ways is its share (Shapley 1953): the shares multiply to the whole, and that of one without effect is 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import exp, fsum, log
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.variants import best, naive
from hftlab.errors import HftlabError, check_choice
from hftlab.feeds.feed import Feed
from hftlab.measurement.conditions import FeedResult, Market, require_parity, require_release_build
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import Interval, check_rounds, run_paired
from hftlab.presentation.document import Table, number, table
from hftlab.settings import Stage

if TYPE_CHECKING:
    import polars as pl

# Of a pass of the Python engine. A long one is always hit by what else runs on the machine, a short one of Rust seldom.
PYTHON_MESSAGES = 4_000


@dataclass(frozen=True)
class TimedSet:
    """ns per message of each round with the axes `on` at their best and the others naive."""

    on: tuple[str, ...]
    rounds_ns: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Factorial(FeedResult):
    """Every set of optimisations on one feed, in one run, on one machine.

    names     : by axis, its naive name and its best
    sets      : every set of axes that are at their best
    again_ns  : a second copy of the set of all, ns per message of each round: the A/A control
    python_ns : the Python engine in the same rounds, on the head of the feed; empty where it was not asked for
    """

    schema = "hftlab-factorial/1"
    backend: str
    names: dict[str, tuple[str, str]]
    sets: tuple[TimedSet, ...]
    again_ns: tuple[float, ...]
    python_ns: tuple[float, ...] = ()

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the optimisations."""
        return tuple(self.names)

    def _rounds(self, on: Iterable[str]) -> np.ndarray[Any, Any]:
        wanted = frozenset(check_choice("axis", axis, self.axes) for axis in on)
        return np.array(next(each.rounds_ns for each in self.sets if frozenset(each.on) == wanted))

    @property
    def control(self) -> Interval:
        """The best set against itself."""
        return Interval.of(self._rounds(self.axes) / np.array(self.again_ns))

    def ns(self, on: Iterable[str] = ()) -> float:
        """ns per message with these axes at their best, median over the rounds. Raises UnknownName for another axis."""
        return float(np.median(self._rounds(on)))

    def ratio(self, axis: str, on: Iterable[str] = ()) -> Interval:
        """How many times as fast it gets by switching `axis` on, while those of `on` are on. Raises UnknownName."""
        before = set(on) - {axis}
        return Interval.of(self._rounds(before) / self._rounds(before | {axis}))

    def whole(self) -> Interval:
        """From none to all."""
        return Interval.of(self._rounds(()) / self._rounds(self.axes))

    def shares(self) -> dict[str, float]:
        """By axis, the factor that is its fair part of the whole: the mean of its log ratio over all orders of switching on."""
        ways = list(permutations(self.axes))
        ns = {frozenset(each.on): median(each.rounds_ns) for each in self.sets}
        logs: dict[str, list[float]] = {axis: [] for axis in self.axes}
        for way in ways:
            for place, axis in enumerate(way):
                logs[axis].append(log(ns[frozenset(way[:place])] / ns[frozenset(way[: place + 1])]))
        return {axis: exp(fsum(values) / len(ways)) for axis, values in logs.items()}

    def path(self, order: Sequence[str], *, python: bool = True) -> pl.DataFrame:
        """The way that switches on the axes in this order, for `hftlab.charts.waterfall_chart`: label, ns, kind.

        python : begin with the Python engine, if it was timed
        raises : UnknownName
        """
        import polars as pl

        rows = [("python", median(self.python_ns), "start")] if python and self.python_ns else []
        rows.append((f"{self.backend} naive", self.ns(), "step" if rows else "start"))
        for place, axis in enumerate(order):
            ns = self.ns(order[: place + 1])
            before, after = self.names[axis]
            rows.append((f"{axis}: {before} → {after}", ns, "step"))
        rows.append(("best" if set(order) == set(self.axes) else "so far", rows[-1][1], "end"))
        return pl.DataFrame(rows, schema=["label", "ns", "kind"], orient="row")

    def frame(self) -> pl.DataFrame:
        """One row per set and axis that is off in it: on (axes, joined), axis, ns before, ns after, ratio, low, high."""
        import polars as pl

        rows = []
        for on in (each.on for each in self.sets):
            for axis in (axis for axis in self.axes if axis not in on):
                ratio = self.ratio(axis, on)
                values = (self.ns(on), self.ns((*on, axis)), ratio.median, ratio.low, ratio.high)
                rows.append((" ".join(sorted(on)), axis, *values))
        schema = ["on", "axis", "before_ns", "after_ns", "ratio", "low", "high"]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def plot(self) -> Any:
        """The way that takes the axes in their order, as an Altair chart."""
        from hftlab.charts import waterfall_chart

        return waterfall_chart(self.path(self.axes), "From naive to best", self.subtitle())

    def headline(self) -> str:
        return f"{self.subtitle()}: from none to all {self.whole()}"

    def tables(self) -> list[Table]:
        alone = [self.ratio(axis) for axis in self.axes]
        last = [self.ratio(axis, self.axes) for axis in self.axes]
        rows = [
            (axis, *self.names[axis], number(share, 2), str(first), str(final))
            for (axis, share), first, final in zip(self.shares().items(), alone, last, strict=True)
        ]
        columns = ("axis", "naive", "best", "share, times", "added first", "added last")
        note = "Share: the mean of its logarithm over all orders (Shapley value); the shares multiply to the whole."
        return [table("What each optimisation is worth", columns, rows, words=3, note=note)]

    def notes(self) -> list[str]:
        return [f"A/A control, all against itself: {self.control}", *super().notes()]

    def subtitle(self) -> str:
        """Engine, feed and rounds."""
        return f"{self.backend} on {self.feed}, {self.messages:,} messages, {self.rounds} interleaved rounds"

    def derived(self) -> dict[str, Any]:
        return {"shares": self.shares()}

    def __repr__(self) -> str:
        return f"<Factorial of {self.backend} on {self.feed}: {len(self.sets)} sets of {len(self.axes)} optimisations>"


def factorial(
    feed: Feed | None = None,
    *,
    backend: str = "rust",
    until: Stage = "order",
    rounds: int = 11,
    messages: int = 100_000,
    seed: int = 1,
    python: bool = False,
) -> Factorial:
    """Time every set of optimisations of an engine, interleaved: of each axis the first name or the last.

    feed   : default: a calm generated feed of `messages` messages
    until  : last stage to run
    rounds : 3 to 1000, of short passes the fastest of three; one more is run first, and not counted
    seed   : of the order within a round, and of the generated feed
    python : time the Python engine in the same rounds, on the first 4,000 messages
    raises : BackendMissing; HftlabError for an engine without variants, one that differs from the reference, or a debug build
    """
    check_rounds(rounds)
    axes = require_release_build(Engine(backend)).variants()
    if not axes:
        raise HftlabError(f"backend {backend!r} has no variants; a factorial needs one that has")
    feed = synthetic("calm", messages, seed) if feed is None else feed
    low, high = naive(axes), best(axes)
    sets = [frozenset(on) for size in range(len(axes) + 1) for on in combinations(axes, size)]
    engines = {
        on: Engine(backend, until=until, **{axis: (high if axis in on else low)[axis] for axis in axes})  # type: ignore[arg-type]
        for on in sets
    }
    reference, whole = Engine("python", until=until), engines[frozenset(axes)]
    require_parity([reference, *engines.values()], feed)
    beside = {"python": (reference, feed.head(PYTHON_MESSAGES))} if python else {}
    series = run_paired(engines, feed, rounds, seed, twice=[frozenset(axes)], what="every combination", beside=beside)
    run = whole.run(feed, record="none")
    return Factorial(
        feed=feed.name,
        messages=run.messages,
        market=Market.of(whole, run, feed),
        rounds=rounds,
        machine=fingerprint(),
        backend=backend,
        names={axis: (names[0], names[-1]) for axis, names in axes.items()},
        sets=tuple(TimedSet(tuple(sorted(on)), tuple(series[on, 0].tolist())) for on in sets),
        again_ns=tuple(series[frozenset(axes), 1].tolist()),
        python_ns=tuple(series["python", 0].tolist()) if python else (),
    )
