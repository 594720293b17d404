"""What latency_value found: a row per latency, a row per comparison, and the chart of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hftlab.fills.attempts import METRICS
from hftlab.fills.simulation import ASSUMED
from hftlab.measurement.blocks import Verdict
from hftlab.presentation.document import Table, duration, number, table
from hftlab.presentation.result import StoredResult

if TYPE_CHECKING:
    import polars as pl

#: Races last so long, ns: the modal ones of the London Stock Exchange in Aquilina, Budish and O'Neill, QJE 137(1), 2022.
RACES_NS = (5_000.0, 10_000.0)
RACES = "shaded: most races last 5 to 10 µs (Aquilina, Budish, O'Neill 2022); dotted: as measured"
#: Metric -> its name in tables.
METRIC_TITLES = {"filled": "P(fill)", "executed": "P(execution)", "value": "ticks per attempt", "money": "money"}
#: Where a latency of 0 stands on a logarithmic axis, ns.
LEAST_NS = 100.0


@dataclass(frozen=True)
class LatencyRow:
    """What one latency came to.

    p50_ns, p999_ns                      : of the latency, with its constant
    ahead                                : orders before ours when it came, mean
    front, filled, through, canceled,
    expired                              : shares of what was attempted; the last four sum to 1
    markout                              : ticks per executed share
    value                                : ticks per share attempted; money: currency over the feed
    """

    latency: str
    p50_ns: float
    p999_ns: float
    attempts: int
    ahead: float | None
    front: float | None
    filled: float | None
    through: float | None
    canceled: float | None
    expired: float | None
    markout: float | None
    value: float | None
    money: float


@dataclass(frozen=True)
class Compared:
    """A latency less the base, in one metric of METRICS. low, high: 95 % of this alone; adjusted: p for all comparisons."""

    latency: str
    metric: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    adjusted: float | None
    verdict: str

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.difference:+,.4f} ({self.verdict})"
        return f"{self.difference:+,.4f} [{self.low:+,.4f}, {self.high:+,.4f}]"


@dataclass(frozen=True, kw_only=True, repr=False)
class LatencyValue(StoredResult):
    """What being later costs a rule on a feed; the first row is the base.

    day        : of the feed; simulator: "python" or "rust"
    tick       : in currency
    clock      : "receive" or "exchange": when a decision is made
    spans      : blocks of time of the bootstrap
    marks      : ns by name, as measured elsewhere
    """

    schema = "hftlab-latency-value/1"
    feed: str
    day: str
    strategy: str
    simulator: str
    messages: int
    lot: int
    horizon_ns: int
    markout_ns: int
    clock: str
    tick: float
    fees: str
    spans: int
    rows: tuple[LatencyRow, ...]
    compared: tuple[Compared, ...]
    marks: dict[str, float]

    def __getitem__(self, latency: str) -> LatencyRow:
        """The row of a latency. Raises KeyError with the known ones."""
        rows = {row.latency: row for row in self.rows}
        if latency not in rows:
            raise KeyError(f"no latency {latency!r}; known: {', '.join(rows)}")
        return rows[latency]

    def difference(self, latency: str, metric: str = "value") -> Compared:
        """A latency against the base. Raises KeyError with the known ones."""
        known = {(each.latency, each.metric): each for each in self.compared}
        if (latency, metric) not in known:
            raise KeyError(f"no difference {(latency, metric)!r}; known: {', '.join(map(str, known))}")
        return known[latency, metric]

    def records(self) -> list[dict[str, Any]]:
        """One per latency: its row, and per metric the difference to the base, low, high and verdict (empty for the base)."""
        out = []
        for row in self.rows:
            record: dict[str, Any] = {name: getattr(row, name) for name in row.__dataclass_fields__}
            for metric in METRICS:
                own = [each for each in self.compared if (each.latency, each.metric) == (row.latency, metric)]
                each = own[0] if own else None
                record |= {f"{metric}_difference": each.difference if each else None}
                record |= {f"{metric}_low": each.low if each else None, f"{metric}_high": each.high if each else None}
                record |= {f"{metric}_verdict": each.verdict if each else ""}
            out.append(record)
        return out

    def headline(self) -> str:
        seen = [each.latency for each in self.compared if each.metric == "value" and each.verdict in _APART]
        which = f"a difference in value at {', '.join(seen)}" if seen else "no difference in value seen"
        return f"what a microsecond is worth to {self.strategy} on {self.feed}: {which}"

    def tables(self) -> list[Table]:
        note = f"{self.feed}, {self.day}; {ASSUMED}"
        shares = ("front", "filled", "through", "canceled", "expired")
        fills = [(row.latency, number(row.ahead, 2), *(number(getattr(row, name), 3) for name in shares)) for row in self.rows]
        worth = [
            (row.latency, number(row.markout, 3), number(row.value, 3), f"{row.money:+,.2f}", f"{row.attempts:,}")
            for row in self.rows
        ]
        apart = [
            (each.latency, METRIC_TITLES[each.metric], str(each), number(each.adjusted, 3), each.verdict)
            for each in self.compared
        ]
        money = ("latency", f"markout {duration(self.markout_ns)}, ticks", "ticks per attempt", "money", "attempts")
        versus = ("latency", "metric", "difference [95 %]", "p adjusted", "verdict")
        measured = [row for row in self.rows if row.p50_ns != row.p999_ns]
        spread = [(row.latency, duration(row.p50_ns), duration(row.p999_ns)) for row in measured]
        return [
            *([table("Latencies", ("latency", "p50", "p99.9"), spread)] if measured else []),
            table("Fills", ("latency", "ahead", *(f"P({name})" for name in shares)), fills, note=note),
            table("Value", money, worth, note=note),
            table(f"Against {self.rows[0].latency}", versus, apart, words=2, note=note),
        ]

    def notes(self) -> list[str]:
        seen = {"receive": "when the feed was received", "exchange": "at the time of the exchange"}[self.clock]
        return [
            f"{self.strategy}: decided {seen}, {self.lot:,} per order, ended {duration(self.horizon_ns)} after the decision; "
            f"{self.simulator} simulator, {self.messages:,} messages, tick {self.tick:g}, {self.fees}",
            f"paired over the same events, block bootstrap over {self.spans} spans of time, p adjusted for "
            f"{len(self.compared)} comparisons (Holm)",
            *(f"{METRIC_TITLES[metric]}: {what}" for metric, what in METRICS.items()),
            f"assumed: {ASSUMED}; this feed: {self.feed}, {self.day}. A method, not a promise of profit",
        ]

    def plot(self) -> Any:
        """P(fill) and value against latency, both less those of the base; marked: `marks`, published races."""
        from hftlab.charts import line_chart

        axis: dict[str, Any] = {"x": "latency, µs", "log_x": True, "rule": 0.0, "height": 200}
        axis["spans"] = {"": (RACES_NS[0] / 1e3, RACES_NS[1] / 1e3)}
        marks = {name: max(ns, LEAST_NS) / 1e3 for name, ns in self.marks.items()}
        assumptions = [f"{self.strategy} on {self.feed}, {self.day}", ASSUMED, RACES]
        title = f"What latency is worth, against {self.rows[0].latency}"
        filled = line_chart(self._curve("filled"), title, assumptions, y="P(fill), difference", marks=marks, **axis)
        return filled & line_chart(self._curve("value"), "", y="ticks per attempt, difference", **axis)

    def _curve(self, metric: str) -> pl.DataFrame:
        """series, x, y, low, high of one metric, for the chart."""
        import polars as pl

        def point(row: LatencyRow, y: float, low: float | None, high: float | None) -> dict[str, Any]:
            ends = {"low": y if low is None else low, "high": y if high is None else high}
            return {"series": self.strategy, "x": max(row.p50_ns, LEAST_NS) / 1e3, "y": y, **ends}

        base, *others = self.rows
        apart = [(row, self.difference(row.latency, metric)) for row in others]
        rows = [point(row, each.difference, each.low, each.high) for row, each in apart]
        return pl.DataFrame([point(base, 0.0, 0.0, 0.0), *rows]).sort("x")


_APART = (Verdict.HIGHER.value, Verdict.LOWER.value)
