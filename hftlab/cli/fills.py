"""The command that asks what latency is worth: latency-value."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hftlab.cli.options import Action, Given, Options, feed_of, show
from hftlab.errors import ConfigError, FeedError

_UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s)?")


def latency_value(options: Options) -> Action:
    """Ask what being later costs an order, in fills and in money, on a feed of orders."""
    from hftlab.fills.value import latency_value

    options.feed(200_000, positional=True)
    options.add("--symbol", action="append", default=[], help="keep only this stock; may be repeated")
    options.add(
        "--latency",
        dest="latency",
        metavar="TIME|FILE",
        action="append",
        default=[],
        help="10us, 250ns, a .hgrm file, or a result of latency, net tick-to-trade or net round-trip; the first is the base; "
        "may be repeated (default 0 and six decades from 1us)",
    )
    marks = "mark p50 and p99.9 of this result on the chart; may be repeated"
    options.add("--measured", metavar="FILE", action="append", default=[], help=marks)
    options.add("--add", metavar="TIME", default=None, help="add this to each measured latency: what was not measured")
    options.of(latency_value, "strategy lot horizon_s markout_s clock fees multiplier tick blocks backend")
    options.result(chart=True)
    return _act


def _act(given: Given) -> int:
    from hftlab.fills.delays import Latency, as_latencies
    from hftlab.fills.value import latency_value

    arguments: dict[str, Any] = {"feed": feed_of(given)}
    if given.latency:
        latencies = as_latencies([_latency(text) for text in given.latency])
        add = round(_ns(given.add)) if given.add else 0
        arguments["latencies"] = [each if type(each) is Latency or not add else each.plus(add) for each in latencies]
    if given.measured:
        arguments["marks"] = [_latency(text) for text in given.measured]
    return show(given.call(latency_value, **arguments), given)


def _ns(text: str) -> float:
    """A time with its unit, in ns. Raises ConfigError for anything else."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ConfigError(f"time must be a number with ns, us, ms or s, got {text!r}")
    return float(found[1]) * _UNITS[found[2] or "ns"]


def _latency(text: str) -> Any:
    """What --latency names: ns, the path of a .hgrm file, or a measured result."""
    if _TIME.fullmatch(text):
        return _ns(text)
    return text if not text.endswith(".json") else _stored(Path(text))


def _stored(path: Path) -> Any:
    """A saved result with latencies in it. Raises FeedError for a file that holds none."""
    from hftlab.experiments.latency import LatencyReport

    kinds: dict[str, Any] = {LatencyReport.schema: LatencyReport}
    try:
        from hftlab.net.tick_to_trade.result import TickToTradeReport
        from hftlab.net.transports.round_trip_report import RoundTripReport

        kinds |= {kind.schema: kind for kind in (TickToTradeReport, RoundTripReport)}
    except ImportError:  # the network may be left out
        pass
    try:
        payload = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FeedError(f"{path}: cannot be read as a result: {error}") from None
    schema = payload.get("schema") if isinstance(payload, dict) else None
    if schema not in kinds:
        raise FeedError(f"{path}: schema must be one of {', '.join(kinds)}, got {schema!r}")
    return kinds[schema].from_dict(payload)
