"""Every combination of optimisations, and what each is worth on each way from none of them to all.

`hftlab.ablate` asks for one way and for single switches; here all 2^n sets are timed, interleaved, so that every order in which n
optimisations could have been made can be told. What one of them is worth differs from way to way. The mean of its logarithm over
all ways is its share (Shapley 1953): the shares multiply to the whole, and that of one without effect is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import exp, fsum, log
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.variants import best, naive
from hftlab.errors import HftlabError, UnknownName
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Interval, Series, check_rounds, interleave
from hftlab.measurement.preconditions import require_parity, require_release_build
from hftlab.measurement.result import Result
from hftlab.settings import Stage

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-lattice/1"
# Of a pass of the Python engine. A long one is always hit by what else runs on the machine, a short one of Rust seldom.
PYTHON_MESSAGES = 4_000
PASSES = 3  # a round, of each set; the fastest counts
_PYTHON, _AGAIN = "python", "A/A"

On = frozenset[str]  # the axes that stand at their best; the others are naive


@dataclass(frozen=True)
class Lattice(Result):
    """Every set of optimisations on one feed, in one run, on one machine.

    rounds_ns : ns per message by set of axes that are at their best, (rounds,) each
    again_ns  : a second copy of the set of all: the A/A control
    python_ns : the Python engine in the same rounds, on the head of the feed; empty where it was not asked for
    """

    feed: str
    messages: int
    rounds: int
    backend: str
    machine: dict[str, Any]
    names: dict[str, tuple[str, str]]
    rounds_ns: dict[On, Series]
    again_ns: Series
    python_ns: Series

    @property
    def axes(self) -> tuple[str, ...]:
        return tuple(self.names)

    @property
    def control(self) -> Interval:
        """The best set against itself."""
        return Interval.of(self.rounds_ns[frozenset(self.axes)] / self.again_ns)

    def ns(self, on: Iterable[str] = ()) -> float:
        """ns per message with these axes at their best, median over the rounds. Raises UnknownName for another axis."""
        return float(np.median(self.rounds_ns[self._known(on)]))

    def ratio(self, axis: str, on: Iterable[str] = ()) -> Interval:
        """How many times as fast it gets by switching `axis` on, while those of `on` are on. Raises UnknownName."""
        before = self._known(on) - self._known([axis])
        return Interval.of(self.rounds_ns[before] / self.rounds_ns[before | {axis}])

    def whole(self) -> Interval:
        """From none to all."""
        return Interval.of(self.rounds_ns[frozenset()] / self.rounds_ns[frozenset(self.axes)])

    def shares(self) -> dict[str, float]:
        """By axis, the factor that is its fair part of the whole: the mean of its log ratio over all orders of switching on."""
        ways = list(permutations(self.axes))
        logs: dict[str, list[float]] = {axis: [] for axis in self.axes}
        for way in ways:
            for place, axis in enumerate(way):
                logs[axis].append(log(self.ns(way[:place]) / self.ns(way[: place + 1])))
        return {axis: exp(fsum(values) / len(ways)) for axis, values in logs.items()}

    def path(self, order: Sequence[str], *, python: bool = True) -> pl.DataFrame:
        """The way that switches on the axes in this order, for `hftlab.charts.waterfall_chart`: label, ns, kind.

        python : begin with the Python engine, if it was timed
        raises : UnknownName
        """
        import polars as pl

        self._known(order)
        rows = [("python", float(np.median(self.python_ns)), "start")] if python and len(self.python_ns) else []
        rows.append((f"{self.backend} naive", self.ns(), "step" if rows else "start"))
        for place, axis in enumerate(order):
            before, after = self.names[axis]
            rows.append((f"{axis}: {before} → {after}", self.ns(order[: place + 1]), "step"))
        rows.append(("best" if set(order) == set(self.axes) else "so far", rows[-1][1], "end"))
        return pl.DataFrame(rows, schema=["label", "ns", "kind"], orient="row")

    def frame(self) -> pl.DataFrame:
        """One row per set and axis that is off in it: on (axes, joined), axis, ns before, ns after, ratio, low, high."""
        import polars as pl

        rows = []
        for on in self.rounds_ns:
            for axis in (axis for axis in self.axes if axis not in on):
                found = self.ratio(axis, on)
                told = (" ".join(one for one in self.axes if one in on), axis, self.ns(on), self.ns(on | {axis}))
                rows.append((*told, found.median, found.low, found.high))
        schema = ["on", "axis", "before_ns", "after_ns", "ratio", "low", "high"]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        shares = ", ".join(f"{axis} {share:.2f}x" for axis, share in self.shares().items())
        whole = f"{self.subtitle()}: from none to all {self.whole()}; shares: {shares}"
        return [whole, f"A/A control, all against itself: {self.control}", describe(self.machine)]

    def subtitle(self) -> str:
        """Engine, feed and rounds."""
        return f"{self.backend} on {self.feed}, {self.messages:,} messages, {self.rounds} interleaved rounds"

    def to_dict(self) -> dict[str, Any]:
        sets = [{"on": sorted(on), "ns_per_message": series.tolist()} for on, series in self.rounds_ns.items()]
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "messages": self.messages,
            "rounds": self.rounds,
            "backend": self.backend,
            "machine": self.machine,
            "axes": {axis: list(names) for axis, names in self.names.items()},
            "sets": sets,
            "python_ns_per_message": self.python_ns.tolist(),
            "shares": self.shares(),
            "control": self.control.to_dict(),
        }

    def __repr__(self) -> str:
        return f"<Lattice of {self.backend} on {self.feed}: {len(self.rounds_ns)} sets of {len(self.axes)} optimisations>"

    def _known(self, axes: Iterable[str]) -> On:
        for axis in (axes := tuple(axes)):
            if axis not in self.names:
                raise UnknownName("axis", axis, self.axes)
        return frozenset(axes)


def lattice(
    feed: Feed | None = None,
    *,
    backend: str = "rust",
    until: Stage = "order",
    rounds: int = 11,
    messages: int = 100_000,
    seed: int = 1,
    python: bool = False,
) -> Lattice:
    """Time every set of optimisations of an engine, interleaved: of each axis the first name or the last.

    feed   : default: a calm generated feed of `messages` messages
    rounds : 3 to 1000, of three passes each, of which the fastest counts; one more is run first, and not counted
    python : time the Python engine in the same rounds, on the first 4,000 messages
    raises : BackendMissing; HftlabError for an engine without variants, one that differs from the reference, or a debug build
    """
    check_rounds(rounds)
    axes = require_release_build(Engine(backend)).variants()
    if not axes:
        raise HftlabError(f"backend {backend!r} has one way only; a lattice needs one with variants")
    feed = synthetic("calm", messages, seed) if feed is None else feed
    low, high = naive(axes), best(axes)
    sets = [frozenset(on) for size in range(len(axes) + 1) for on in combinations(axes, size)]
    engines = {
        on: Engine(backend, until=until, **{axis: (high if axis in on else low)[axis] for axis in axes})  # type: ignore[arg-type]
        for on in sets
    }
    reference = Engine("python", until=until)
    require_parity([reference, *engines.values()], feed)
    work: dict[On | str, Callable[[], float]] = {on: _pass(engine, feed) for on, engine in engines.items()}
    work[_AGAIN] = _pass(engines[frozenset(axes)], feed)
    if python:
        work[_PYTHON] = _pass(reference, feed.head(PYTHON_MESSAGES))
    series = interleave(work, rounds, seed, "every combination")
    return Lattice(
        feed=feed.name,
        messages=engines[frozenset()].run(feed, record="none").messages,
        rounds=rounds,
        backend=backend,
        machine=fingerprint(),
        names={axis: (names[0], names[-1]) for axis, names in axes.items()},
        rounds_ns={on: series[on] for on in sets},
        again_ns=series[_AGAIN],
        python_ns=series.get(_PYTHON, np.empty(0)),
    )


def _pass(engine: Engine, feed: Feed) -> Callable[[], float]:
    """The fastest of three passes: what else takes the core now and then hits a whole short pass or none of it."""
    return lambda: min(engine.run(feed, record="none").ns_per_message for _ in range(PASSES))
