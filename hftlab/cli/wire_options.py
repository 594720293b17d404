"""What `hftlab net bench` accepts."""

from __future__ import annotations

import argparse

from hftlab.cli.shared_options import result_options

_ABOUT = """\
Wire to wire: from a tick's bytes leaving the exchange to its order's bytes arriving there, both stamped by the exchange's own
clock. A path is the name of a transport (see `hftlab net transports`) for both ways, or two of them, FEED+ORDERS:
udp-spin+tcp-spin. Before anything is told every order is held against that of the same engine without a wire. This needs the
Rust engine, in which exchange and trader are two threads; the path in Python is not measured by it.
"""


def add_bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bench = commands.add_parser(
        "bench",
        help="wire to wire, path by path: what is the engine's, the transports', the scheduler's",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.add_argument("paths", metavar="PATH", nargs="*", help="default: those the goals are about, and their neighbours")
    said = "closed, bursts, 1x, 8x or any speed, 50000/s or any rate; may be repeated (default closed, 1x, 8x, bursts)"
    bench.add_argument("--pace", dest="paces", metavar="PACE", action="append", default=[], help=said)
    bench.add_argument("--engine", default="rust", help='rust in any variant: "rust naive", "rust pool=False" (default rust)')
    bench.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    bench.add_argument("--messages", type=int, default=20_000, help="of a round in a closed loop (default 20,000)")
    bench.add_argument("--seconds", type=float, default=0.5, help="of a round at another pace (default 0.5)")
    bench.add_argument("--regime", default="market", help="calm, burst, cancel_storm, deep or market (default market)")
    bench.add_argument("--threshold", type=float, default=0.0, help="|score| above which it acts (default 0)")
    said = "events of an instrument from one order to the next (default 1 in a closed loop, 4 otherwise)"
    bench.add_argument("--cooldown", type=int, default=None, help=said)
    bench.add_argument("--cores", type=int, nargs=2, metavar="CORE", default=None, help="of exchange and trader")
    # Of the two threads alone: what `placement_options` has would be of the whole process.
    bench.add_argument("--fifo", dest="real_time", action="store_true", help="real-time scheduling, with rests between")
    bench.add_argument("--netns", action="store_true", help="over a veth pair between two network namespaces; needs root")
    bench.add_argument("--bare", action="store_true", help="beside them, our ping-pong and the same in C, in the same rounds")
    said = "the trader does not stamp when an order is ready; then the engine's share is not told"
    bench.add_argument("--no-stamps", dest="stamps", action="store_false", help=said)
    bench.add_argument("--seed", type=int, default=1, help="of the feed and of the order of the rounds (default 1)")
    bench.add_argument("--chart", metavar="PATH", help="write the chart: .html, .png, .svg or .json")
    result_options(bench)
