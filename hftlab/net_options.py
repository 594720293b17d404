"""What the commands of `hftlab net` accept. A new one is a line in `_ADD` here and a line in `hftlab.networking.COMMANDS`."""

from __future__ import annotations

import argparse

from hftlab.exchange_options import add_exchange
from hftlab.trade_options import add_trade


def add_net(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    net = commands.add_parser("net", help="the wire: transports, what they cost, and what this machine has of them")
    inner = net.add_subparsers(required=True, metavar="COMMAND", dest="net_command")
    for add in _ADD:
        add(inner)


def _add_transports(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    transports = commands.add_parser("transports", help="try every transport: does it carry a message here, and if not why")
    transports.add_argument("--json", action="store_true", help="print one JSON object")


_ADD = (_add_transports, add_exchange, add_trade)
