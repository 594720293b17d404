"""Ablation: what each optimisation is worth, added alone to the naive engine, taken alone from the best, and one after the other.

    from naive:  one axis at a time to each of its other names
    from best:   the same
    ladder:      naive, then one axis after the other to its best, until all are

The three answers differ wherever optimisations need or replace one another, and that is what is to be learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.variants import Axes, VariantSet, best, naive, setting
from hftlab.errors import HftlabError
from hftlab.experiments.compare import SHORT_NS
from hftlab.feeds.feed import Feed
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Paired, Series, check_rounds, interleave
from hftlab.measurement.preconditions import require_parity, require_release_build
from hftlab.measurement.result import Result
from hftlab.settings import Stage

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-ablate/1"
CONTROL = "A/A"

Key = tuple[tuple[str, str | bool], ...]  # a variant set that can be looked up


@dataclass(frozen=True)
class Switch:
    """One axis switched from one name to another. `start` is "naive", "best" or "ladder": what the other axes stand at.

    The whole way from naive to best has axis "all"; the A/A control has axis "A/A".
    """

    start: str
    axis: str
    before: VariantSet
    after: VariantSet

    @property
    def names(self) -> tuple[str, str]:
        """The names it switches from and to."""
        if self.axis == "all":
            return "naive", "best"
        if self.axis == CONTROL:
            return " ".join(map(str, self.before.values())) if self.start == "ladder" else self.start, "itself"
        return str(self.before[self.axis]), str(self.after[self.axis])


@dataclass(frozen=True)
class Step:
    """A switch, and what it did."""

    switch: Switch
    comparison: Paired

    def row(self) -> dict[str, Any]:
        """One row of `Ablation.frame`."""
        before, after = self.switch.names
        found = self.comparison
        return {
            "start": self.switch.start,
            "axis": self.switch.axis,
            "from": before,
            "to": after,
            "from_ns_per_message": found.base_ns,
            "to_ns_per_message": found.ns,
            "ratio": found.ratio.median,
            "low": found.ratio.low,
            "high": found.ratio.high,
            "verdict": "control" if self.switch.axis == CONTROL else found.verdict,
        }

    def __str__(self) -> str:
        row = self.row()
        if self.switch.axis == CONTROL:
            return f"from {row['start']:<6}  A/A control, {row['from']} against itself: {self.comparison.ratio}"
        change = f"{row['axis']}: {row['from']} -> {row['to']}"
        times = f"{row['from_ns_per_message']:.1f} -> {row['to_ns_per_message']:.1f} ns/message"
        return f"from {row['start']:<6}  {change:<36} {times:<32} {row['verdict']}"


@dataclass(frozen=True)
class Ablation(Result):
    """What every switch did, on one feed, in one run, on one machine."""

    feed: str
    messages: int
    rounds: int
    backend: str
    until: str
    machine: dict[str, Any]
    steps: tuple[Step, ...]

    def frame(self) -> pl.DataFrame:
        """One row per switch: start, axis, from, to, ns per message of both, ratio (above 1: faster), low, high, verdict."""
        import polars as pl

        return pl.DataFrame([step.row() for step in self.steps])

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "feed": self.feed,
            "messages": self.messages,
            "rounds": self.rounds,
            "backend": self.backend,
            "until": self.until,
            "machine": self.machine,
            "steps": [{**step.row(), "before": step.switch.before, "after": step.switch.after} for step in self.steps],
        }

    def waterfall(self) -> Any:
        """The ladder from naive to best as an Altair chart, ns per message."""
        from hftlab.charts import ablation_chart

        return ablation_chart(self.frame(), self._subtitle())

    def forest(self) -> Any:
        """The ratio of every switch with its interval, beside the A/A control, as an Altair chart."""
        from hftlab.charts import forest_chart

        return forest_chart(self.frame(), self._subtitle())

    def plot(self) -> Any:
        """Both charts, one above the other."""
        return (self.waterfall() & self.forest()).resolve_scale(color="independent")

    def _subtitle(self) -> str:
        return f"{self.backend} on {self.feed}, {self.messages:,} messages, {self.rounds} paired rounds"

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        return [f"{self._subtitle()}, until {self.until}", describe(self.machine)]

    def __str__(self) -> str:
        return "\n".join([*self.lines(), *map(str, self.steps)])

    def __repr__(self) -> str:
        return f"<Ablation of {self.backend} on {self.feed}: {len(self.steps)} comparisons>"


def ablate(
    feed: Feed | None = None,
    *,
    backend: str = "rust",
    until: Stage = "order",
    rounds: int = 21,
    messages: int = 100_000,
    seed: int = 1,
) -> Ablation:
    """Switch one axis at a time of an engine, from its naive and from its best set, and all of them one after the other.

    feed     : default: a calm generated feed of `messages` messages
    until    : last stage to run
    rounds   : paired, interleaved rounds, 3 to 1000, of short passes the fastest of three; one more is run first, to warm up, and
               not counted
    seed     : of the order within a round, of the bootstrap, and of the generated feed
    raises   : BackendMissing; HftlabError for an engine without variants, one that differs from the reference, or a debug build
    """
    check_rounds(rounds)
    axes = require_release_build(Engine(backend)).variants()
    if not axes:
        raise HftlabError(f"backend {backend!r} has one way only; ablation needs one with variants")
    feed = synthetic("calm", messages, seed) if feed is None else feed
    switches = list(plan(axes))
    engines = {_key(one): Engine(backend, until=until, **one) for switch in switches for one in (switch.before, switch.after)}  # type: ignore[arg-type]
    require_parity([Engine("python", until=until), *engines.values()], feed)
    ran = next(iter(engines.values())).run(feed, record="none")
    bases = dict.fromkeys(_key(switch.before) for switch in switches)
    series = _measure(engines, bases, feed, rounds, seed, 3 if ran.elapsed_ns < SHORT_NS else 1)
    steps = tuple(_steps(switches, series, seed))
    return Ablation(feed.name, ran.messages, rounds, backend, until, fingerprint(), steps)


def plan(axes: Axes) -> Iterator[Switch]:
    """Every switch to be measured."""
    low, high = naive(axes), best(axes)
    for start, base in (("naive", low), ("best", high)):
        for axis, names in axes.items():
            others = [value for value in (setting(axis, name) for name in names) if value != base[axis]]
            yield from (Switch(start, axis, base, {**base, axis: value}) for value in others)
    rung = low
    for axis in axes:
        if rung[axis] != high[axis]:
            yield Switch("ladder", axis, rung, {**rung, axis: high[axis]})
            rung = {**rung, axis: high[axis]}
    yield Switch("ladder", "all", low, high)


def _key(variant: VariantSet) -> Key:
    return tuple(variant.items())


def _measure(
    engines: dict[Key, Engine], bases: Iterable[Key], feed: Feed, rounds: int, seed: int, passes: int
) -> dict[tuple[Key, int], Series]:
    """ns per message by (variant set, copy), the fastest of `passes` a round; whatever something is compared with has a second
    copy, its A/A control."""

    def run(engine: Engine) -> Callable[[], float]:
        return lambda: min(engine.run(feed, record="none").ns_per_message for _ in range(passes))

    contenders = {(key, 0): run(engine) for key, engine in engines.items()}
    contenders |= {(key, 1): run(engines[key]) for key in bases}
    return interleave(contenders, rounds, seed)


def _steps(switches: list[Switch], series: dict[tuple[Key, int], Series], seed: int) -> Iterator[Step]:
    controls: dict[Key, Step] = {}
    for switch in switches:
        base = _key(switch.before)
        if base not in controls:
            itself = Switch(switch.start, CONTROL, switch.before, switch.before)
            controls[base] = Step(itself, Paired.of(series[base, 0], series[base, 1], series[base, 1], seed))
        yield Step(switch, Paired.of(series[base, 0], series[_key(switch.after), 0], series[base, 1], seed))
    yield from controls.values()
