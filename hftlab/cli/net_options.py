"""What the commands of `hftlab net` accept. A new one is a line in `_ADD` here and a line in `hftlab.cli.networking.COMMANDS`."""

from __future__ import annotations

import argparse

from hftlab.cli.exchange_options import add_exchange
from hftlab.cli.shared_options import result_options
from hftlab.cli.trade_options import add_trade
from hftlab.cli.wire_options import add_bench


def add_net(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    net = commands.add_parser("net", help="the wire: transports, what they cost, and what this machine has of them")
    inner = net.add_subparsers(required=True, metavar="COMMAND", dest="net_command")
    for add in _ADD:
        add(inner)


def _add_transports(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    transports = commands.add_parser("transports", help="try every transport: does it carry a message here, and if not why")
    transports.add_argument("--json", action="store_true", help="print one JSON object")


def _add_pingpong(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pingpong = commands.add_parser("pingpong", help="time a message there and back, transport by transport")
    pingpong.add_argument("transports", metavar="TRANSPORT", nargs="*", help="default: all that work here")
    pingpong.add_argument("--rounds", type=int, default=11, help="interleaved rounds (default 11)")
    pingpong.add_argument("--size", type=int, default=58, help="bytes of a message (default 58)")
    pingpong.add_argument("--messages", type=int, default=None, help="of each transport and round (default: by how it waits)")
    pingpong.add_argument("--cores", type=int, nargs=2, metavar="CORE", default=None, help="of the two ends")
    # Of the two threads that send and receive alone: what `placement_options` has would be of the whole process.
    pingpong.add_argument("--fifo", dest="real_time", action="store_true", help="real-time scheduling, in bursts of 0.4 s")
    pingpong.add_argument("--netns", action="store_true", help="over a veth pair between two network namespaces; needs root")
    pingpong.add_argument("--processes", action="store_true", help="two processes instead of two threads")
    pingpong.add_argument("--bare", action="store_true", help="beside the same in C, in the same rounds")
    pingpong.add_argument("--seed", type=int, default=1, help="of the order of the rounds (default 1)")
    pingpong.add_argument("--chart", metavar="PATH", help="write the chart: .html, .png, .svg or .json")
    result_options(pingpong)


_ADD = (_add_transports, _add_pingpong, add_bench, add_exchange, add_trade)
