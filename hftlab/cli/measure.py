"""The commands that measure: bench, latency, compare, ablate, scaling, ffi, profile, latency-value, and the report of them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.cli.options import Action, Given, Options, feed_of, show
from hftlab.errors import ConfigError, FeedError

if TYPE_CHECKING:
    from hftlab.feeds.feed import Feed

_ENGINE = "backend and variant, e.g. rust book=btree"


def bench(options: Options) -> Action:
    """Time every engine, stage by stage, on one feed."""
    from hftlab.experiments.ablation import ablate
    from hftlab.experiments.stages import bench as stages

    options.feed(20_000)
    options.add("--ablate", action="store_true", help="switch one optimisation of the Rust engine at a time instead")
    options.of(stages, "rounds seed", rounds=None)
    options.engines()
    options.placement(short=True)
    options.result()
    return lambda given: show(given.call(ablate if given.ablate else stages, feed=chosen_feed(given)), given)


def latency(options: Options) -> Action:
    """Time one engine: per stage and end to end, warm and cold."""
    from hftlab.experiments.latency import latency
    from hftlab.experiments.trace import write_trace
    from hftlab.presentation import output

    options.add("engine", metavar="ENGINE", nargs="*", help=f"{_ENGINE} (default: auto)")
    options.feed(50_000)
    options.of(latency, "rounds seed slowest rate arrival")
    options.output("--trace", metavar="FILE", help="write the slowest messages as a trace that the Perfetto UI opens")
    options.add("--hgrm", metavar="FOLDER", help="write the percentile distributions for HdrHistogram's tools")
    options.placement()
    options.result()

    def act(given: Given) -> int:
        report = given.call(latency, engine=engine_of(given, "auto"), feed=chosen_feed(given))
        for part, text in report.hgrm().items() if given.hgrm else ():
            output.write_text(Path(given.hgrm) / f"{part}.hgrm", text)
        if given.trace and report.slowest:
            write_trace(given.trace, report.slowest)
        return show(report, given)

    return act


def compare(options: Options) -> Action:
    """Compare two engines in paired rounds."""
    from hftlab.experiments.compare import compare

    options.add("a", metavar="A", help="an ENGINE")
    options.add("b", metavar="B", help="another")
    return measured(options, compare)


def ablate(options: Options) -> Action:
    """Switch one optimisation of the Rust engine at a time."""
    from hftlab.experiments.ablation import ablate

    return measured(options, ablate)


def scaling(options: Options) -> Action:
    """Time the Rust variants as the book grows."""
    from hftlab.experiments.scaling import scaling

    return measured(options, scaling, but="sizes backend", flags={"variants": "--variant"})


def ffi(options: Options) -> Action:
    """Time each way from Python into Rust."""
    from hftlab.experiments.ffi import ffi_overhead

    return measured(options, ffi_overhead)


def measured(options: Options, experiment: Callable[..., Any], but: str = "feed backend", **more: Any) -> Action:
    """An experiment with all the options that there are for it, on a feed if it takes one."""
    import inspect

    parameters = inspect.signature(experiment).parameters
    if "feed" in parameters:
        options.feed(parameters["messages"].default)
    options.of(experiment, but=but, **more)
    options.placement()
    options.result()
    return lambda given: show(given.call(experiment, **({"feed": chosen_feed(given)} if "feed" in parameters else {})), given)


def chosen_feed(given: Given) -> Feed | None:
    """The feed of the options, its book filled before the clock runs; None without any, for the default."""
    default = not given.feed and given.regime in (None, "calm") and given.symbols is None
    return None if default else feed_of(given, warm=True)


def engine_of(given: Given, default: str) -> str:
    """The words of ENGINE as one text."""
    text = " ".join(given.engine) if given.engine else default
    if not text.strip():
        raise ConfigError("ENGINE must be a backend with or without a variant, got ''")
    return text


def profile(options: Options) -> Action:
    """Find the line, the function, the cache miss or the allocation that costs."""
    from hftlab.engine.engine import Engine
    from hftlab.engine.resolve import as_engine
    from hftlab.profiling import default_messages, profile

    options.add("engine", metavar="ENGINE", nargs="*", help=f"{_ENGINE} (default: python)")
    options.of(profile, "tool")
    options.feed(None)
    options.of(Engine, "until")
    options.add("--symbol", action="append", default=[], help="keep only this stock; may be repeated")
    options.placement()
    options.result(chart=True)

    def act(given: Given) -> int:
        engine = as_engine(engine_of(given, "python"), until=given.until)
        given.messages = default_messages(given.tool, engine.backend) if given.messages is None else given.messages
        return show(profile(engine, feed_of(given), given.tool, messages=given.messages), given)

    return act


def report(options: Options) -> Action:
    """Measure everything and write one page that needs no network."""
    from hftlab.reporting import report

    options.feed(None)
    options.of(report, "rounds quick seed")
    options.engines()
    options.output("--out", default="out/report.html", help="the page (default out/report.html); its facts: .json")
    options.output("--markdown", help="write Markdown, too, its pictures in a folder beside it")
    options.add(
        "--from",
        "--results",
        dest="stored",
        metavar="FILE",
        action="append",
        default=[],
        help="build the page from a stored report, or from results of bench and bench --ablate; may be repeated",
    )
    options.placement(short=True)
    return _report


def _report(given: Given) -> int:
    from hftlab.presentation import terminal
    from hftlab.reporting import rebuild, report
    from hftlab.reporting.page import default_messages

    if given.stored:
        page = rebuild(given.stored, given.out, given.markdown)
    else:
        given.messages = default_messages(given.messages, given.quick)
        source = f"generated: {given.regime}, {given.messages:,} messages, seed {given.seed}"
        stored = str(Path(given.out).with_suffix(".json"))
        how = {
            "feed": f"file {given.feed}" if given.feed else source,
            "command": given.command,
            "again": shlex.join(["hftlab", "report", "--from", stored, "--out", given.out]),
        }
        page = given.call(report, feed=chosen_feed(given), how=how)
    terminal.show(page.headline(), page.blocks())
    print(*(f"wrote {path}" for path in (given.out, given.markdown) if path), sep="\n")
    return 0


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
    return _latency_value


def _latency_value(given: Given) -> int:
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
