"""The commands of `hftlab net`; net_options.py has what they accept."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from hftlab.measuring import print_json


def net(arguments: argparse.Namespace) -> int:
    """One command of the group."""
    return COMMANDS[arguments.net_command](arguments)


def _transports(arguments: argparse.Namespace) -> int:
    from hftlab.net.transports import transports

    found = transports()
    if arguments.json:
        print_json(found.to_dict())
    else:
        print(found)
    return 0


def _exchange(arguments: argparse.Namespace) -> int:
    from hftlab.net.exchange_process import exchange

    return exchange(arguments)


def _trade(arguments: argparse.Namespace) -> int:
    from hftlab.net.trader_process import trade

    return trade(arguments)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "transports": _transports,
    "exchange": _exchange,
    "trade": _trade,
}
