"""A/B: is one engine faster than another, by how much, and what of the distribution changed?

    unstamped rounds   whole passes, ns per message; of short ones the fastest of three: the headline
    stamped rounds     only the beginning and the end of each message stamped: p50, p99, p99.9 of each pass

Either kind has rounds of its own, in which a, b and a second copy of a run in random order; `measurement/paired.py` says what is
made of them. Of two builds of the Rust engine (`measurement/builds.py`) a verdict below 3 % is taken again in other layouts of
their code, which alone can make as much: it holds if four of five agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.resolve import as_engine
from hftlab.errors import check_range
from hftlab.experiments.stage_timing import without_lookahead
from hftlab.feeds.feed import Feed
from hftlab.measurement.builds import build_engine, is_build
from hftlab.measurement.clock import ClockReport, clock_of
from hftlab.measurement.conditions import FeedResult, conditions, require_parity, require_release_build
from hftlab.measurement.distribution import MIN_TAIL_SAMPLES, PERCENTILES, has_enough_samples, stamped
from hftlab.measurement.paired import ENOUGH_ROUNDS, Outcome, Paired, Series, check_rounds, interleave, run_paired
from hftlab.presentation.document import NOT_KNOWN, Table, duration, table
from hftlab.settings import Stage

HEADLINE = "ns/message"
ROUNDS, BUILD_ROUNDS = 21, 201
#: A difference below this may be one of code layout; it holds if such a share of the layouts agrees.
SMALL, AGREE = 0.03, 0.8
#: Percentiles of a stamped pass that are compared.
COMPARED = {name: PERCENTILES[name] for name in ("p50", "p99", "p99.9")}


@dataclass(frozen=True)
class Metric:
    """One figure of both engines. `paired` is None, and `why` says why, where it could not be had. step_ns: of their clocks"""

    name: str
    paired: Paired | None
    why: str = ""
    step_ns: float = 0.0

    @property
    def verdict(self) -> str:
        """Of b against a, or why there is none."""
        return self.paired.verdict if self.paired else f"n/a: {self.why}"

    def record(self) -> dict[str, Any]:
        """A row of `Comparison.frame`."""
        names = ("a", "b", "ratio", "low", "high", "control", "control_low", "control_high")
        values: tuple[float | None, ...] = (None,) * len(names)
        if pair := self.paired:
            ratios = (ratio for each in (pair.ratio, pair.control) for ratio in (each.median, each.low, each.high))
            values = (pair.base_ns, pair.ns, *ratios)
        unit = "ns per message" if self.name == HEADLINE else "ns"
        return {"metric": self.name, "unit": unit, **dict(zip(names, values, strict=True)), "verdict": self.verdict}

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        if self.paired is None:
            return self.name, NOT_KNOWN, NOT_KNOWN, self.verdict, ""
        times = (stamped(self.paired.base_ns, self.step_ns), stamped(self.paired.ns, self.step_ns))
        return (self.name, *times, self.paired.judgement, str(self.paired.control))


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(FeedResult):
    """What b is against a, on one feed, in one run, on one machine. Ratios are a / b: above 1, b is the faster one.

    until   : last stage that ran
    metrics : ns/message first, then the percentiles of stamped passes
    clocks  : what stamped each engine; the median cost of a reading is subtracted from each stamp
    layouts : ns/message in other layouts of the same code; empty unless builds were compared, and lie within 3 %
    """

    schema = "hftlab-compare/3"
    a: str
    b: str
    until: str
    clocks: tuple[ClockReport, ClockReport]
    metrics: tuple[Metric, ...]
    layouts: tuple[Paired, ...] = ()

    @property
    def verdict(self) -> str:
        """Of b against a, in ns per message: "faster 2.31x [2.24, 2.38]", "slower 1.30x [...]" or "no difference seen"."""
        return self.outcome.value if self.outcome is Outcome.SAME else self.metrics[0].verdict

    @property
    def outcome(self) -> Outcome:
        """Of b against a, in ns per message; no difference where the layouts of the code do not agree on one."""
        paired = self.metrics[0].paired
        agree, all_ = self.agreement
        return paired.outcome if paired and agree >= AGREE * all_ else Outcome.SAME

    @property
    def agreement(self) -> tuple[int, int]:
        """How many layouts of the code have the outcome of the first one, itself among them, and how many there are."""
        outcomes = [paired.outcome for paired in (self.metrics[0].paired, *self.layouts) if paired]
        return sum(outcome is outcomes[0] for outcome in outcomes), len(outcomes)

    @property
    def faster(self) -> bool:
        """Whether b was seen to take less time per message than a."""
        return self.outcome is Outcome.FASTER

    def records(self) -> list[dict[str, Any]]:
        """One per metric: metric, unit, a, b, ratio (a / b; above 1: b is faster), low, high, control (the ratio of a to itself),
        control_low, control_high, verdict. None where a figure could not be had; the verdict then says why."""
        return [metric.record() for metric in self.metrics]

    def derived(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "outcome": self.outcome.value, "rows": self.records()}

    def plot(self) -> Any:
        """Every ratio with its interval, the A/A control beside it, as an Altair chart."""
        import polars as pl

        from hftlab.charts import ratio_chart

        rows = []
        for metric in self.metrics:
            if pair := metric.paired:
                times = f"{duration(pair.base_ns)} → {duration(pair.ns)}"
                rows.append((metric.name, *pair.ratio.columns("").values(), metric.verdict, times))
                rows.append((f"{metric.name}, A/A control", *pair.control.columns("").values(), "control", ""))
        frame = pl.DataFrame(rows, schema=["label", "ratio", "low", "high", "verdict", "text"], orient="row")
        words = [f"a: {self.a}", f"b: {self.b}", self.subtitle()]
        what = "a / b: above 1, b takes less time"
        return ratio_chart(frame.with_columns(group=pl.lit("")), "What of the distribution changed", words, what)

    def subtitle(self) -> str:
        return f"{super().subtitle()}, until {self.until}"

    def headline(self) -> str:
        return f"{self.b} against {self.a}: {self.verdict}"

    def tables(self) -> list[Table]:
        columns = ("metric", "a, ns", "b, ns", "b against a", "A/A control")
        note = f"a: {self.a}. b: {self.b}. Medians; ratios are a / b, with a 95 % interval."
        return [table(self.subtitle(), columns, [metric.cells() for metric in self.metrics], note=note)]

    def notes(self) -> list[str]:
        out = super().notes()
        out += [f"{label}: stamped by {clock}" for label, clock in zip((self.a, self.b), self.clocks, strict=True)]
        if self.layouts:
            ratios = [paired.ratio.median for paired in (self.metrics[0].paired, *self.layouts) if paired]
            agree, all_ = self.agreement
            out.append(
                f"code layout: {agree} of {all_} layouts agree; their ratios lie from {min(ratios):.3f} to {max(ratios):.3f}"
            )
        if self.rounds < ENOUGH_ROUNDS:
            out.append(f"{self.rounds} rounds are too few for an interval: what stands beside a ratio is its range")
        return out


def compare(
    a: Any,
    b: Any,
    feed: Feed | None = None,
    *,
    rounds: int | None = None,
    until: Stage = "order",
    messages: int = 100_000,
    seed: int = 1,
    layouts: int = 5,
) -> Comparison:
    """Run a and b interleaved, a twice, and say what b is against a.

    a, b     : whatever `hftlab.as_engine` makes an engine of; or builds of the Rust engine: "rust@old.so", "rust@a_wheel.whl",
               "rust@git:REV", which builds that commit
    feed     : default: a calm generated feed of `messages` messages
    rounds   : of each kind, 3 to 1000, default 21, of builds 201; one more is run first, to warm up, and not counted
    until    : last stage to run, of both
    seed     : of the order within a round, and of the generated feed
    layouts  : of the code of builds, in which a verdict below 3 % must hold, 1 to 100
    raises   : ConfigError; HftlabError if the two differ on the first 20,000 messages, or if one is a debug build
    """
    rounds = (BUILD_ROUNDS if is_build(a) or is_build(b) else ROUNDS) if rounds is None else rounds
    check_rounds(rounds)
    check_range("layouts", layouts, 1, 100)
    engines = _engines(a, b, until)
    clocks = _clocks(*engines)
    feed = synthetic("calm", messages, seed, warm=True) if feed is None else feed
    require_parity(engines, feed)
    runs = [engine.run(feed, record="none", latency="total") for engine in engines]
    whole = _headline(engines, feed, rounds, seed)
    metrics, others = [Metric(HEADLINE, whole)], tuple[Paired, ...]()
    if is_build(a) and is_build(b) and whole.outcome is not Outcome.SAME and abs(whole.ratio.median - 1) < SMALL:
        others = tuple(_headline(_engines(a, b, until, layout), feed, rounds, seed) for layout in range(1, layouts))
    if any(run.latency is None for run in runs):
        metrics += [Metric(name, None, "one of the engines stamps nothing") for name in COMPARED]
    else:
        metrics += _tails(_percentile_rounds(engines, clocks, feed, rounds, seed), clocks)
    return Comparison(
        **conditions(engines[1], runs[1], feed, rounds),
        a=engines[0].label,
        b=engines[1].label + (" (again)" if engines[0].label == engines[1].label else ""),
        until=until,
        clocks=clocks,
        metrics=tuple(metrics),
        layouts=others,
    )


def _engines(a: Any, b: Any, until: Stage, layout: int = 0) -> list[Engine]:
    """Both, builds in one layout of their code."""
    return [build_engine(each, layout, until=until) if is_build(each) else as_engine(each, until=until) for each in (a, b)]


def _headline(engines: list[Engine], feed: Feed, rounds: int, seed: int) -> Paired:
    """Whole unstamped passes, ns per message."""
    passes = run_paired(dict(zip("ab", engines, strict=True)), feed, rounds, seed, twice="a", what="comparing, unstamped")
    return Paired.of(passes["a", 0], passes["b", 0], passes["a", 1])


def _clocks(a: Engine, b: Engine) -> tuple[ClockReport, ClockReport]:
    """The clock of each, measured once if it is the same: two readings of one cost would differ, and look like a difference."""
    first = clock_of(require_release_build(a))
    return first, first if require_release_build(b).clock == first.name else clock_of(b.implementation)


def pass_percentiles(engine: Engine, clock: ClockReport, feed: Feed) -> Series:
    """p50, p99, p99.9 of one stamped pass in ns, (3,); NaN where too few samples lie beyond."""
    stamps = engine.run(feed, record="none", latency="total").latency
    assert stamps is not None  # asked before the rounds
    ns = np.maximum(stamps["total"] - clock.cost_p50_ns, 0.0)
    return np.array([np.quantile(ns, q) if has_enough_samples(ns.size, q) else np.nan for q in COMPARED.values()])


def blurred(paired: Paired, base_half: float, half: float) -> Paired:
    """The interval widened by half a step of the clock in either median: all rounds read the same step, and would seem exact."""
    a, b, ratio = base_half / paired.base_ns, half / paired.ns, paired.ratio
    return replace(paired, ratio=ratio.widened(ratio.low * (1 - a) / (1 + b), ratio.high * (1 + a) / (1 - b)))


def _percentile_rounds(
    engines: list[Engine], clocks: tuple[ClockReport, ClockReport], feed: Feed, rounds: int, seed: int
) -> dict[str, Series]:
    """p50, p99 and p99.9 of stamped passes of a, b and a again, (rounds, 3) each; without look-ahead, which is no latency."""
    live = [without_lookahead(engine) for engine in engines]
    a_pass, b_pass = (partial(pass_percentiles, *each, feed) for each in zip(live, clocks, strict=True))
    return interleave({"a": a_pass, "b": b_pass, "a again": a_pass}, rounds, seed, "comparing, stamped")


def _tails(passes: dict[str, Series], clocks: tuple[ClockReport, ClockReport]) -> Iterator[Metric]:
    """The percentiles of stamped passes; half a step of each clock, and the rounding to whole ns, are its blur."""
    half_ns = [clock.step_ns / 2 + 0.5 for clock in clocks]
    for place, name in enumerate(COMPARED):
        a, b, again = (passes[contender][:, place] for contender in ("a", "b", "a again"))
        smallest = min(float(values.min()) for values in (a, b, again))
        if np.isnan(smallest):
            yield Metric(name, None, f"fewer than {MIN_TAIL_SAMPLES} samples of a pass lie beyond it")
        elif smallest <= max(half_ns):
            yield Metric(name, None, "below one step of the clock")
        else:
            yield Metric(name, blurred(Paired.of(a, b, again), *half_ns), step_ns=max(clock.step_ns for clock in clocks))
