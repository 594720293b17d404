"""What the command line accepts: every option with its help."""

from __future__ import annotations

import argparse

from hftlab import __version__
from hftlab.cli.learning_options import add_course, add_lab
from hftlab.cli.net_options import add_net
from hftlab.cli.shared_options import engine_options, generator_options, placement_options, result_options, with_option
from hftlab.cli.stress_options import add_stress

_EPILOG = """\
examples:
  hftlab bench                                   the latency table of every engine on a generated feed
  hftlab latency rust book=btree                 one engine: warm and cold, stamps against whole passes
  hftlab bench --ablate                          what each optimisation of the Rust engine is worth, with intervals
  hftlab compare "rust naive" rust               two engines in paired rounds: the ratio, with intervals and a control
  hftlab scale --axis depth                      ns per message against orders, instruments or price levels
  hftlab border                                  what each way from Python into Rust costs
  hftlab report                                  all of it measured and put on one page, out/report.html
  hftlab stress                                  load swept to saturation, bursts, storms, overload, a soak
  hftlab profile --tool memory --backend rust    allocations of the engine; --tool line, calls, sample, ...
  hftlab generate day.itch --regime market --messages 1000000
  hftlab run day.itch --backend rust --record all --out run.parquet
  hftlab verify python rust day.itch             the first message on which two engines differ
  hftlab conform mine                            every check of the contract, asked of one engine
  hftlab bench --with my_book.py:MyBook          a class or object of one's own beside the others
  hftlab doctor                                  what this machine can do, and what is missing
  hftlab lab                                     JupyterLab on the course; `hftlab course` says what there is to learn
  hftlab net transports                          which ways from one process to another this machine has
  hftlab net exchange day.itch --pace 8x         a small exchange on loopback: the feed out, orders in

FILE is NASDAQ TotalView-ITCH 5.0 in BinaryFILE framing, plain or gzip. ENGINE is the name of a backend, alone or
with a variant ("rust naive", "rust book=btree"), or module:attribute or path.py:attribute of a backend, of the class of a
stage, or of an hftlab.Engine.
"""


def parser() -> argparse.ArgumentParser:
    """The parser; `command` of what it returns names the subcommand."""
    parser = argparse.ArgumentParser(
        prog="hftlab",
        description="A laboratory for the tick-to-trade path: decode, book, signal, order; in Python and in Rust.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hftlab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for add in (
        _add_bench,
        _add_latency,
        _add_compare,
        _add_scale,
        _add_profile,
        _add_border,
        _add_report,
        add_stress,
        _add_run,
        _add_verify,
        _add_conform,
        _add_generate,
        _add_variants,
        _add_doctor,
        add_course,
        add_lab,
        add_net,
    ):
        add(commands)
    return parser


def _add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bench = commands.add_parser("bench", help="time every engine, stage by stage, on one feed")
    bench.add_argument("--feed", metavar="FILE", help="measure on this file instead of a generated feed")
    generator_options(bench, messages=100_000)
    bench.add_argument("--ablate", action="store_true", help="switch one optimisation of the Rust engine at a time instead")
    bench.add_argument("--rounds", type=int, default=None, help="interleaved rounds (default 5; with --ablate 21)")
    with_option(bench)
    placement_options(bench)
    result_options(bench)


def _add_latency(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    latency = commands.add_parser("latency", help="time one engine: per stage and end to end, warm and cold")
    latency.add_argument("engine", metavar="ENGINE", nargs="*", help="and its variant: rust book=btree (default: auto)")
    latency.add_argument("--feed", metavar="FILE", help="measure on this file instead of a generated feed")
    generator_options(latency, messages=100_000)
    latency.add_argument("--rounds", type=int, default=5, help="every kind of pass once in each (default 5)")
    latency.add_argument("--rate", type=float, default=None, help="messages per second, to be sent in an open loop, too")
    latency.add_argument("--slowest", type=int, default=5, help="how many of the slowest messages are kept (default 5)")
    latency.add_argument("--trace", metavar="FILE", help="write the slowest messages as a trace that the Perfetto UI opens")
    latency.add_argument("--hgrm", metavar="FOLDER", help="write the percentile distributions for HdrHistogram's tools")
    placement_options(latency)
    result_options(latency)


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    compare = commands.add_parser("compare", help="compare two engines in paired rounds")
    compare.add_argument("a", metavar="A", help="an ENGINE")
    compare.add_argument("b", metavar="B", help="another")
    compare.add_argument("--until", default="order", help="last stage: tick, book, signal or order (default order)")
    compare.add_argument("--rounds", type=int, default=21, help="interleaved rounds of each kind (default 21)")
    compare.add_argument("--feed", metavar="FILE", help="measure on this file instead of a generated feed")
    generator_options(compare, messages=100_000)
    placement_options(compare)
    result_options(compare)


def _add_profile(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    profile = commands.add_parser("profile", help="find the line, the function, the cache miss or the allocation that costs")
    profile.add_argument("--tool", default="line", help="line, calls, sample, instructions, counters or memory (default line)")
    profile.add_argument("--feed", metavar="FILE", help="run the head of this file instead of a generated feed")
    engine_options(profile)
    generator_options(profile, messages=None)
    profile.set_defaults(backend="python")
    profile.add_argument("--chart", metavar="PATH", help="write the chart: .html, .png, .svg or .json")
    result_options(profile)


def _add_scale(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    scale = commands.add_parser("scale", help="time the Rust variants as the book grows")
    scale.add_argument("--axis", default="orders", help="orders, instruments or depth, price levels a side (default orders)")
    scale.add_argument(
        "--variant",
        action="append",
        metavar="NAMES",
        help="naive, best, python, or names that differ from best, e.g. 'book=btree orders=std'; may be repeated",
    )
    scale.add_argument("--until", default="book", help="last stage: tick, book, signal or order (default book)")
    scale.add_argument("--full", action="store_true", help="three points per decade instead of one")
    scale.add_argument("--rounds", type=int, default=11, help="interleaved rounds (default 11)")
    scale.add_argument("--messages", type=int, default=100_000, help="per round (default 100,000)")
    scale.add_argument("--seed", type=int, default=1, help="default 1")
    placement_options(scale)
    result_options(scale)


def _add_border(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    border = commands.add_parser("border", help="time each way across the Python/Rust border")
    border.add_argument("--rounds", type=int, default=11, help="interleaved rounds (default 11)")
    border.add_argument("--messages", type=int, default=20_000, help="default 20,000")
    border.add_argument("--seed", type=int, default=1, help="default 1")
    placement_options(border)
    result_options(border)


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = commands.add_parser("report", help="measure everything and write one page that needs no network")
    report.add_argument("--feed", metavar="FILE", help="default: a generated feed")
    generator_options(report, messages=None, said="default 100,000; with --quick 20,000")
    report.add_argument("--rounds", type=int, default=None, help="interleaved rounds (default 11; with --quick 5)")
    report.add_argument("--quick", action="store_true", help="less of everything: more percentiles are n/a, intervals are wider")
    with_option(report)
    report.add_argument(
        "--out", metavar="PATH", default="out/report.html", help="the page (default out/report.html); its facts: .json"
    )
    report.add_argument("--markdown", metavar="PATH", help="write Markdown, too, its pictures in a folder beside it")
    report.add_argument(
        "--from",
        dest="stored",
        metavar="FILE",
        action="append",
        default=[],
        help="build the page from a stored report, or from results of bench and bench --ablate; may be repeated",
    )
    placement_options(report)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run one engine over a file")
    run.add_argument("file", metavar="FILE")
    engine_options(run)
    run.add_argument("--record", default=None, help="all, top or none; default all with --out, else none")
    run.add_argument("--out", metavar="PATH", help="write the recorded rows as Parquet")
    run.add_argument("--order-stream", metavar="PATH", help="write the exact OUCH bytes sent")
    run.add_argument("--repeat", type=int, default=1, help="run so many times, report the median (default 1)")
    run.add_argument("--json", action="store_true", help="print one JSON object")


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = commands.add_parser("verify", help="compare two engines bit for bit")
    verify.add_argument("a", metavar="ENGINE", help="e.g. python")
    verify.add_argument("b", metavar="ENGINE", help="another, e.g. rust")
    verify.add_argument("file", metavar="FILE", nargs="?", help="default: a generated feed")
    generator_options(verify, messages=200_000)
    verify.add_argument("--json", action="store_true", help="print one JSON object")


def _add_conform(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    conform = commands.add_parser("conform", help="ask every check of the contract of one engine, then time it")
    conform.add_argument("engine", metavar="ENGINE", help="e.g. rust, or my_book.py:MyBook")
    conform.add_argument("--rounds", type=int, default=5, help="interleaved rounds of the timing, 0 for none (default 5)")
    conform.add_argument("--json", action="store_true", help="print one JSON object")


def _add_generate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    generate = commands.add_parser("generate", help="write a synthetic feed, the same bytes for the same arguments")
    generate.add_argument("file", metavar="FILE", help="compressed if it ends in .gz")
    generator_options(generate, messages=200_000)


def _add_variants(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    variants = commands.add_parser("variants", help="the names on every axis, and what each is good at")
    variants.add_argument("--json", action="store_true", help="print one JSON object")


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser("doctor", help="what this machine can do, and what is missing and why")
    doctor.add_argument("--quick", action="store_true", help="leave out the spin that measures the noise floor")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
