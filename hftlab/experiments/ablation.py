"""What each optimisation of an engine is worth, in paired rounds.

Each is added alone to the naive engine, taken alone from the best, and one is switched after the other ("ladder": naive, then one
axis after the other to its best, until all are). The three answers differ wherever optimisations need or replace one another, and
that is what is to be learned. All must be equal before anything is timed.
Whatever something is compared with runs twice a round, as its A/A control.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.variants import Axes, VariantSet, best, naive, setting
from hftlab.errors import HftlabError
from hftlab.feeds.feed import Feed
from hftlab.measurement.conditions import FeedResult, conditions, require_parity, require_release_build
from hftlab.measurement.paired import Paired, Series, check_rounds, run_paired
from hftlab.presentation.document import Table, number, table
from hftlab.settings import Stage

Key = tuple[tuple[str, str | bool], ...]  # a variant set that can be looked up


class Kind(StrEnum):
    """What a row of an ablation compares."""

    SWITCH = "switch"
    WHOLE = "all"  # naive with best
    CONTROL = "A/A"  # a set with itself


@dataclass(frozen=True)
class Switch:
    """One axis switched from one name to another. `start` is "naive", "best" or "ladder": what the other axes stand at.

    axis : "" for the whole way from naive to best, and for a control
    """

    start: str
    kind: Kind
    axis: str
    before: VariantSet
    after: VariantSet

    @property
    def names(self) -> tuple[str, str]:
        """The names it switches from and to."""
        if self.kind is Kind.WHOLE:
            return "naive", "best"
        if self.kind is Kind.CONTROL:
            return " ".join(map(str, self.before.values())) if self.start == "ladder" else self.start, "itself"
        return str(self.before[self.axis]), str(self.after[self.axis])


@dataclass(frozen=True)
class AblationStep:
    """A switch, and what it did."""

    switch: Switch
    paired: Paired

    def record(self) -> dict[str, Any]:
        """A row of `Ablation.frame`; the verdict of a control is "control"."""
        switch, paired = self.switch, self.paired
        before, after = switch.names
        return {
            "start": switch.start,
            "axis": switch.axis or switch.kind.value,
            "from": before,
            "to": after,
            "from_ns_per_message": paired.base_ns,
            "to_ns_per_message": paired.ns,
            **paired.record(),
            **({"verdict": "control"} if switch.kind is Kind.CONTROL else {}),
        }

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        words = (self.switch.start, self.switch.axis or self.switch.kind.value, *self.switch.names)
        verdict = f"control: {self.paired.ratio}" if self.switch.kind is Kind.CONTROL else self.paired.judgement
        return (*words, number(self.paired.base_ns), number(self.paired.ns), verdict)


@dataclass(frozen=True, kw_only=True, repr=False)
class Ablation(FeedResult):
    """What every switch did, on one feed, in one run, on one machine. until: the last stage that ran."""

    schema = "hftlab-ablate/2"
    backend: str
    until: str
    steps: tuple[AblationStep, ...]

    @property
    def whole(self) -> Paired:
        """The whole way from naive to best."""
        return next(step.paired for step in self.steps if step.switch.kind is Kind.WHOLE)

    def records(self) -> list[dict[str, Any]]:
        """One per switch: start, axis, from, to, ns per message of both, ratio (above 1: faster), low, high, verdict."""
        return [step.record() for step in self.steps]

    def derived(self) -> dict[str, Any]:
        return {"rows": self.records()}

    def waterfall(self, python_ns: float | None = None) -> Any:
        """The ladder from naive to best as an Altair chart, ns per message. python_ns : of the Python engine, to begin with."""
        import polars as pl

        from hftlab.charts import waterfall_chart

        ladder = [row for row in self.records() if row["start"] == "ladder" and row["axis"] not in list(Kind)]
        rows = [] if python_ns is None else [("Python engine", python_ns, "start")]
        rows.append((f"{self.backend} naive", self.whole.base_ns, "step" if rows else "start"))
        rows += [(f"{row['axis']}: {row['from']} → {row['to']}", row["to_ns_per_message"], "step") for row in ladder]
        rows.append(("best", self.whole.ns, "end"))
        frame = pl.DataFrame(rows, schema=["label", "ns", "kind"], orient="row")
        return waterfall_chart(frame, "Optimisations from naive to best", self.subtitle())

    def forest(self) -> Any:
        """The ratio of every switch with its interval, beside the A/A control, as an Altair chart."""
        import polars as pl

        from hftlab.charts import ratio_chart

        title = "Speed-up of each switch, beside the A/A noise floor"
        names = pl.when(verdict="control").then(pl.lit("A/A control")).otherwise(pl.format("{}: {} → {}", "axis", "from", "to"))
        rows = self.frame().filter(pl.col("start") != "ladder").with_columns(label=names, group=pl.format("from {}", "start"))
        return ratio_chart(rows, title, self.subtitle(), "speed-up by the switch")

    def plot(self) -> Any:
        """Both charts, one above the other."""
        return (self.waterfall() & self.forest()).resolve_scale(color="independent")

    def subtitle(self) -> str:
        return f"{self.backend} until {self.until} on {super().subtitle()}"

    def headline(self) -> str:
        return f"{self.subtitle()}; all together: {self.whole.verdict}"

    def tables(self) -> list[Table]:
        columns = ("start", "axis", "from", "to", "before", "after", "verdict")
        title = "One optimisation at a time, ns per message, median ratio with its interval"
        note = (
            "From naive: one optimisation alone, added to an engine without any. From best: one taken away, all others at their "
            "best. Ladder: each is added to those above it; what a step is worth depends on what stands before it."
        )
        return [table(title, columns, [step.cells() for step in self.steps], words=4, note=note, grouped=True)]


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
    seed     : of the order within a round, and of the generated feed
    raises   : BackendMissing; HftlabError for an engine without variants, one that differs from the reference, or a debug build
    """
    check_rounds(rounds)
    axes = require_release_build(Engine(backend)).variants()
    if not axes:
        raise HftlabError(f"backend {backend!r} has no variants; ablation needs one that has")
    feed = synthetic("calm", messages, seed, warm=True) if feed is None else feed
    switches = list(plan(axes))
    sets = [variant for switch in switches for variant in (switch.before, switch.after)]
    engines = {_key(variant): Engine(backend, until=until, **variant) for variant in sets}  # type: ignore[arg-type]
    require_parity([Engine("python", until=until), *engines.values()], feed)
    bases = dict.fromkeys(_key(switch.before) for switch in switches)
    series = run_paired(engines, feed, rounds, seed, twice=bases, what="ablation")
    first = next(iter(engines.values()))
    return Ablation(
        **conditions(first, first.run(feed, record="none"), feed, rounds),
        backend=backend,
        until=until,
        steps=tuple(_steps(switches, series)),
    )


def plan(axes: Axes) -> Iterator[Switch]:
    """Every switch to be measured."""
    low, high = naive(axes), best(axes)
    for start, base in (("naive", low), ("best", high)):
        for axis, names in axes.items():
            others = [value for value in (setting(axis, name) for name in names) if value != base[axis]]
            yield from (Switch(start, Kind.SWITCH, axis, base, {**base, axis: value}) for value in others)
    rung = low
    for axis in axes:
        if rung[axis] != high[axis]:
            yield Switch("ladder", Kind.SWITCH, axis, rung, {**rung, axis: high[axis]})
            rung = {**rung, axis: high[axis]}
    yield Switch("ladder", Kind.WHOLE, "", low, high)


def _key(variant: VariantSet) -> Key:
    return tuple(variant.items())


def _steps(switches: list[Switch], series: dict[tuple[Key, int], Series]) -> Iterator[AblationStep]:
    controls: dict[Key, AblationStep] = {}
    for switch in switches:
        base = _key(switch.before)
        if base not in controls:
            itself = Switch(switch.start, Kind.CONTROL, "", switch.before, switch.before)
            controls[base] = AblationStep(itself, Paired.of(series[base, 0], series[base, 1], series[base, 1]))
        yield AblationStep(switch, Paired.of(series[base, 0], series[_key(switch.after), 0], series[base, 1]))
    yield from controls.values()
