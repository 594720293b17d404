"""A/B: is one engine faster than another, by how much, and what of the distribution changed?

    unstamped rounds   whole passes, ns per message; of short ones the fastest of three: the headline
    stamped rounds     only the beginning and the end of each message stamped: p50, p99, p99.9 of each pass

Either kind has rounds of its own, in which a, b and a second copy of a run in random order; paired.py says what is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.resolve import as_engine
from hftlab.feeds.feed import Feed
from hftlab.measurement.clock import ClockReport, clock_of
from hftlab.measurement.distribution import MIN_TAIL_SAMPLES
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.paired import Paired, Series, check_rounds, interleave
from hftlab.measurement.percentiles import SHOWN, blurred, half_step, percentiles
from hftlab.measurement.preconditions import require_parity, require_release_build
from hftlab.measurement.result import Result
from hftlab.settings import Stage

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-compare/1"
HEADLINE = "ns/message"
#: Of fewer rounds a bootstrapped median holds less than the 95 % it says, and the control is wrong with it more often.
ENOUGH_ROUNDS = 7
#: A pass shorter than this is run three times a round, and the fastest counts: where something else takes the core now and then,
#: it hits a whole short pass or none of it. Both engines and the control are treated alike.
SHORT_NS = 50_000_000
_UNITS = {HEADLINE: "ns per message"}


@dataclass(frozen=True)
class Metric:
    """One figure of both engines. `found` is None, and `why` says why, where it could not be had."""

    name: str
    found: Paired | None
    why: str = ""

    @property
    def verdict(self) -> str:
        return self.found.verdict if self.found else f"n/a: {self.why}"

    def row(self) -> dict[str, Any]:
        """One row of `Comparison.frame`."""
        found = self.found
        return {
            "metric": self.name,
            "a": found and found.base_ns,
            "b": found and found.ns,
            "unit": _UNITS.get(self.name, "ns"),
            "ratio": found and found.ratio.median,
            "low": found and found.ratio.low,
            "high": found and found.ratio.high,
            "control": found and found.control.median,
            "control_low": found and found.control.low,
            "control_high": found and found.control.high,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Comparison(Result):
    """What b is against a, on one feed, in one run, on one machine. Ratios are a / b: above 1, b is the faster one.

    passes  : of each engine in an unstamped round, of which the fastest counts
    metrics : ns/message first, then the percentiles of stamped passes
    clocks  : what stamped each engine; the median cost of a reading is subtracted from each stamp
    """

    a: str
    b: str
    feed: str
    messages: int
    rounds: int
    passes: int
    until: str
    machine: dict[str, Any]
    clocks: tuple[ClockReport, ClockReport]
    metrics: tuple[Metric, ...]

    @property
    def verdict(self) -> str:
        """Of b against a, in ns per message: "faster 2.31x [2.24, 2.38]", "slower 1.30x [...]" or "no difference seen"."""
        return self.metrics[0].verdict

    @property
    def faster(self) -> bool:
        """Whether b was seen to take less time per message than a."""
        return self.verdict.startswith("faster")

    def frame(self) -> pl.DataFrame:
        """One row per metric: metric, a, b, unit, ratio (a / b; above 1: b is faster), low, high, control (the ratio of a to
        itself), control_low, control_high, verdict. Null where a figure could not be had; the verdict then says why."""
        import polars as pl

        rows = [metric.row() for metric in self.metrics]
        numbers = {name: pl.Float64 for name, value in rows[0].items() if not isinstance(value, str)}
        return pl.DataFrame(rows, schema_overrides=numbers)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "a": self.a,
            "b": self.b,
            "feed": self.feed,
            "messages": self.messages,
            "rounds": self.rounds,
            "passes": self.passes,
            "until": self.until,
            "verdict": self.verdict,
            "machine": self.machine,
            "clocks": [clock.to_dict() for clock in self.clocks],
            "metrics": [metric.row() for metric in self.metrics],
        }

    def plot(self) -> Any:
        """Every ratio with its interval, the A/A control beside it, as an Altair chart."""
        from hftlab.charts import comparison_chart

        return comparison_chart(
            self.frame(), "What of the distribution changed", [f"a: {self.a}", f"b: {self.b}", self._subtitle()]
        )

    def _subtitle(self) -> str:
        of = f" of {self.passes} passes" if self.passes > 1 else ""
        return f"{self.feed}, {self.messages:,} messages until {self.until}, {self.rounds} paired rounds{of}"

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        out = [describe(self.machine)]
        out += [
            f"{name}: {label}; stamped by {clock.name}, a reading costs {clock.cost_p50_ns:.0f} ns (median, subtracted)"
            for name, label, clock in zip("ab", (self.a, self.b), self.clocks, strict=True)
        ]
        out.append(f"b against a: {self.verdict} ({self._subtitle()})")
        if self.rounds < ENOUGH_ROUNDS:
            out.append(
                f"{self.rounds} rounds are few: an interval of fewer than {ENOUGH_ROUNDS} holds less than the 95 % it says"
            )
        return out

    def __str__(self) -> str:
        rows = []
        for one in self.metrics:
            if one.found is None:
                rows.append(f"{one.name:<11} {one.verdict}")
                continue
            times = f"{one.found.base_ns:,.1f} -> {one.found.ns:,.1f} ns"
            rows.append(f"{one.name:<11} {times:<30} {one.verdict:<32} A/A control {one.found.control}")
        return "\n".join([*self.lines(), *rows])

    def __repr__(self) -> str:
        return f"<Comparison of {self.b} against {self.a}: {self.verdict}>"


def compare(
    a: Any,
    b: Any,
    feed: Feed | None = None,
    *,
    rounds: int = 21,
    until: Stage = "order",
    messages: int = 100_000,
    seed: int = 1,
) -> Comparison:
    """Run a and b interleaved, a twice, and say what b is against a.

    a, b     : whatever `hftlab.as_engine` makes an engine of
    feed     : default: a calm generated feed of `messages` messages
    rounds   : of each kind, 3 to 1000; one more is run first, to warm up, and not counted
    until    : last stage to run, of both
    seed     : of the order within a round, of the bootstrap, and of the generated feed
    raises   : ConfigError; HftlabError if the two differ on the first 20,000 messages, or if one is a debug build
    """
    check_rounds(rounds)
    engines = [as_engine(given, until=until) for given in (a, b)]
    clocks = _clocks(*engines)
    feed = synthetic("calm", messages, seed) if feed is None else feed
    require_parity(engines, feed)
    ran = [one.run(feed, record="none", latency="total") for one in engines]
    passes = 3 if max(run.elapsed_ns for run in ran) < SHORT_NS else 1
    series = interleave(_each(engines, lambda one, _: _unstamped(one, feed, passes)), rounds, seed, "comparing, unstamped")
    metrics = [Metric(HEADLINE, _paired(series, seed))]
    if any(run.latency is None for run in ran):
        metrics += [Metric(name, None, "one of the engines stamps nothing") for name in SHOWN]
    else:
        work = _each(engines, lambda one, place: percentiles(one, feed, clocks[place].cost_p50_ns))
        stamped = interleave(work, rounds, seed, "comparing, stamped")
        a_half, b_half = (half_step(run.latency["total"]) for run in ran if run.latency)
        metrics += _tails(stamped, (a_half, b_half), seed)
    labels = _labels(*engines)
    return Comparison(*labels, feed.name, ran[0].messages, rounds, passes, until, fingerprint(), clocks, tuple(metrics))


def _clocks(a: Engine, b: Engine) -> tuple[ClockReport, ClockReport]:
    """The clock of each, measured once if it is the same: two readings of one cost would differ, and look like a difference."""
    first = clock_of(require_release_build(a))
    return first, first if require_release_build(b).clock == first.name else clock_of(b.implementation)


def _labels(a: Engine, b: Engine) -> tuple[str, str]:
    return (a.label, b.label) if a.label != b.label else (a.label, f"{b.label} (again)")


def _each(engines: list[Engine], work: Callable[[Engine, int], float | Series]) -> dict[str, Callable[[], float | Series]]:
    """The contenders: a, b, and a once more as the control."""
    a, b = engines
    return {"a": lambda: work(a, 0), "b": lambda: work(b, 1), "a again": lambda: work(a, 0)}


def _unstamped(engine: Engine, feed: Feed, passes: int) -> float:
    return min(engine.run(feed, record="none").ns_per_message for _ in range(passes))


def _paired(series: dict[str, Series], seed: int) -> Paired:
    return Paired.of(series["a"], series["b"], series["a again"], seed)


def _tails(stamped: dict[str, Series], half_ns: tuple[float, float], seed: int) -> Iterator[Metric]:
    for place, name in enumerate(SHOWN):
        series = {contender: values[:, place] for contender, values in stamped.items()}
        smallest = min(float(values.min()) for values in series.values())
        if np.isnan(smallest):
            yield Metric(name, None, f"fewer than {MIN_TAIL_SAMPLES} samples of a pass lie beyond it")
        elif smallest <= max(half_ns):
            yield Metric(name, None, "no longer than the clock can tell from nothing")
        else:
            yield Metric(name, blurred(_paired(series, seed), *half_ns))
