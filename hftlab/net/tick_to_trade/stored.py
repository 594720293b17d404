"""Figures that need rights which not everybody has (root): measured once, kept with the machine they were measured on.

They are shown as what they are, stored, wherever they cannot be had live. A file is what `save` of a result has written, fewer
digits apart: `python -m hftlab.net.tick_to_trade.stored` measures it anew, as root.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.errors import UnknownName
from hftlab.measurement.machine import describe
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

FILE = Path(__file__).with_name("stored.json")


@dataclass(frozen=True)
class Stored(Result):
    """One result as it was saved. name : what was measured; told : its `to_dict`"""

    name: str
    told: dict[str, Any]

    def frame(self) -> pl.DataFrame:
        """The rows of the frame of the result: see `rungs.Ladder`, `wire_found.WireToWire`."""
        import polars as pl

        return pl.DataFrame(self.told["rows"], infer_schema_length=None)

    def shares(self) -> pl.DataFrame:
        """Whose time it is, of "wire"; see `WireToWire.shares`."""
        import polars as pl

        return pl.DataFrame(self.told["shares"], infer_schema_length=None)

    @property
    def conditions(self) -> str:
        """How it was measured."""
        told = self.told
        how = "real-time scheduling" if told["fifo"] else "default scheduling"
        what = f"{told['size']} bytes" if "size" in told else told["engine"]
        return f"stored, not measured here: {what}, {told['wire']}, {how}, {told['rounds']} interleaved rounds"

    def plot(self) -> Any:
        """The chart of the result, marked as stored."""
        from hftlab.charts import round_trip_chart, tick_to_trade_chart

        if self.name == "pingpong":
            return round_trip_chart(self.frame(), self.conditions)
        response = self.frame().filter(measure="response", pace="closed")
        return tick_to_trade_chart(response, self.shares().filter(quantile="p50", pace="closed"), self.conditions)

    def to_dict(self) -> dict[str, Any]:
        return self.told

    def lines(self) -> list[str]:
        """How, when, and on which machine it was measured."""
        machine = self.told["machine"]
        return [self.conditions, *self.told["words"], f"{describe(machine)}, {machine['time'][:10]}"]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<Stored {self.name}: {len(self.told['rows'])} rows>"


def stored(name: str) -> Stored:
    """What is kept under that name, one of `names()`. raises : UnknownName"""
    if name not in _kept():
        raise UnknownName("stored result", name, _kept())
    return Stored(name, _kept()[name])


def names() -> tuple[str, ...]:
    """Of what is kept."""
    return tuple(_kept())


@cache
def _kept() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(FILE.read_text())
    return kept


def rounded(value: Any) -> Any:
    """Floats to five digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(one) for one in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _pingpong() -> dict[str, Any]:
    from hftlab.net.transports.pingpong import pingpong

    told = pingpong(rounds=11, netns=True, fifo=True).to_dict()
    del told["medians_ns"]
    return {**told, "rows": [row for row in told["rows"] if row["measure"] == "round trip"]}


def _wire() -> dict[str, Any]:
    from hftlab.net.tick_to_trade.wire import wire

    told = wire(paces=["closed"], netns=True, fifo=True).to_dict()
    del told["medians_ns"], told["beside_ns"]
    return told


#: Name -> what measures it, as root.
MEASURES: dict[str, Callable[[], dict[str, Any]]] = {"pingpong": _pingpong, "wire": _wire}


def main() -> None:
    """Measure everything anew. raises : HftlabError without the rights"""
    FILE.write_text(json.dumps({name: rounded(measure()) for name, measure in MEASURES.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
