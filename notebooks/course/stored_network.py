"""Network figures that need root, measured once and kept with the machine they were measured on, for readers without root.

They are shown as what they are, stored, wherever they cannot be measured live. `python -m course.stored_network`, as root and in
notebooks/, measures them again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.errors import check_choice
from hftlab.measurement.machine import describe
from hftlab.presentation.document import Table, number, table
from hftlab.presentation.result import Result

if TYPE_CHECKING:
    import polars as pl

FILE = Path(__file__).resolve().parents[1] / "data" / "stored_network.json"
NAMES = ("round trip", "tick-to-trade")
_SHOWN = ("min", "p50", "p99", "p99.9", "max")


@dataclass(frozen=True)
class StoredResult(Result):
    """One result as it was saved: the rows of its frame, and how it was measured. name : of NAMES; payload : from the file"""

    name: str
    payload: dict[str, Any]

    def frame(self) -> pl.DataFrame:
        """As `RoundTripReport.frame` or `TickToTradeReport.frame`."""
        import polars as pl

        return pl.DataFrame(self.payload["rows"], infer_schema_length=None)

    def shares(self) -> pl.DataFrame:
        """What the response time is made of, for "tick-to-trade"; as `TickToTradeReport.shares`."""
        import polars as pl

        return pl.DataFrame(self.payload["shares"], infer_schema_length=None)

    @property
    def conditions(self) -> str:
        """How it was measured."""
        what, network, rounds = (self.payload[name] for name in ("what", "network", "rounds"))
        how = "real-time" if self.payload["placement"]["realtime"] else "default"
        return f"stored, not measured here: {what}, {network}, {how} scheduling, {rounds} interleaved rounds"

    def tables(self) -> list[Table]:
        names = [name for name in ("transport", "path", "measure") if name in self.payload["rows"][0]]
        rows = [
            (*(row[name] for name in names), *(number(row[name], 2, 1e3) for name in _SHOWN), f"{row['n']:,}")
            for row in self.payload["rows"]
        ]
        columns = (*names, *(f"{name} us" for name in _SHOWN), "n")
        return [table(self.name, columns, rows, words=len(names))]

    def notes(self) -> list[str]:
        machine = self.payload["machine"]
        return [self.conditions, *self.payload["notes"], f"{describe(machine)}, {machine['time'][:10]}"]

    def plot(self) -> Any:
        """The chart of the result, marked as stored."""
        from hftlab.charts import round_trip_chart, tick_to_trade_chart

        if self.name == "round trip":
            return round_trip_chart(self.frame(), self.conditions)
        response = self.frame().filter(measure="response", load_profile="closed")
        return tick_to_trade_chart(response, self.shares().filter(quantile="p50", load_profile="closed"), self.conditions)

    def to_dict(self) -> dict[str, Any]:
        return self.payload

    def __repr__(self) -> str:
        return f"<StoredResult {self.name}: {len(self.payload['rows'])} rows>"


def stored(name: str) -> StoredResult:
    """The stored result of that name, one of NAMES. raises : UnknownName"""
    return StoredResult(check_choice("stored result", name, NAMES), _payloads()[name])


@cache
def _payloads() -> dict[str, Any]:
    payloads: dict[str, Any] = json.loads(FILE.read_text())
    return payloads


def rounded(value: Any) -> Any:
    """Floats to five digits, whatever they are in."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def measure() -> dict[str, Any]:
    """Both results, measured now, as the file holds them. raises : HftlabError without the rights, or the Rust engine"""
    from hftlab.net import measure_round_trip, measure_tick_to_trade

    trips = measure_round_trip(rounds=11, netns=True, realtime=True)
    ticks = measure_tick_to_trade(load_profiles=["closed"], netns=True, realtime=True)
    rows = trips.frame().filter(measure="round trip").to_dicts()
    return {
        NAMES[0]: {**_head(trips, f"{trips.size} bytes"), "rows": rows, "shares": []},
        NAMES[1]: {**_head(ticks, ticks.engine), "rows": ticks.frame().to_dicts(), "shares": ticks.shares().to_dicts()},
    }


def _head(report: Any, what: str) -> dict[str, Any]:
    notes = [f"A/A control, {report.base} against itself: {report.control}"]
    placement = {"cores": report.placement.cores, "realtime": report.placement.realtime}
    common = {name: getattr(report, name) for name in ("base", "rounds", "network", "machine")}
    return {**common, "what": what, "placement": placement, "notes": notes}


if __name__ == "__main__":
    FILE.write_text(json.dumps(rounded(measure()), indent=1) + "\n")
