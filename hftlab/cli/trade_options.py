"""What `hftlab net trade` accepts."""

from __future__ import annotations

import argparse

from hftlab.net.exchange.settings import LINE_A, LINE_B, ORDERS, REQUESTS

_ABOUT = """\
The engine as a process: the feed in on two lines, orders out, positions from what the exchange reports. The password comes
from --accounts FILE (USERNAME PASSWORD a line) or from HFTLAB_PASSWORD, never from the command line. SIGUSR1, or a file at
--kill-file, is the kill switch: what is open is canceled, and nothing is sent any more. SIGTERM and Ctrl-C cancel what is open
and log out. It ends by itself with the feed's session, unless told to --run-forever.
"""


def add_trade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    trade = commands.add_parser(
        "trade",
        help="the engine as a process: feed in, orders out",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trade.add_argument("--backend", default="auto", help="auto, python, rust or an installed one (default auto)")
    trade.add_argument("--json", action="store_true", help="one JSON object a line: the addresses first, the summary last")
    trade.add_argument("--out", metavar="FILE", help="write the orders as Parquet at the end")
    trade.add_argument("--journal", metavar="FILE", help="append everything that happens to this file, one JSON object a line")
    trade.add_argument("--run-forever", action="store_true", help="wait for another session when this one is over")
    trade.add_argument("--spin", action="store_true", help="never sleep")
    _feed(trade.add_argument_group("feed"))
    _orders(trade.add_argument_group("orders"))
    _limits(trade.add_argument_group("limits"))


def _feed(group: argparse._ArgumentGroup) -> None:
    said = f"multicast group, or unicast address of ours; twice for two lines (default {LINE_A} and {LINE_B})"
    group.add_argument("--line", dest="lines", action="append", metavar="HOST:PORT", help=said)
    group.add_argument("--interface", default="127.0.0.1", metavar="HOST", help="groups are joined on it (default 127.0.0.1)")
    group.add_argument(
        "--requests", default=REQUESTS, metavar="HOST:PORT", help=f"for lost messages, '' for nowhere (default {REQUESTS})"
    )
    group.add_argument("--window", type=int, default=1024, metavar="N", help="messages that may wait for others (default 1024)")
    group.add_argument(
        "--silence", dest="silence_ms", type=float, default=3_000.0, metavar="MS", help="then stale (default 3000)"
    )
    group.add_argument(
        "--max-session-restarts", type=int, default=3, metavar="N", help="of the session after losses for good (default 3)"
    )


def _orders(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--orders", default=ORDERS, metavar="HOST:PORT", help=f"where orders go to (default {ORDERS})")
    group.add_argument("--username", default="TRADER", metavar="NAME", help="default TRADER")
    group.add_argument("--accounts", metavar="FILE", help="USERNAME PASSWORD a line (default: HFTLAB_PASSWORD)")
    group.add_argument("--soup", dest="version", default="4.00", metavar="VERSION", help="3.00, 4.00 or 4.10 (default 4.00)")
    group.add_argument("--threshold", type=float, default=0.6, metavar="X", help="|score| above which it acts (default 0.6)")
    group.add_argument("--lot", type=int, default=100, metavar="N", help="shares per order (default 100)")
    group.add_argument("--cooldown", type=int, default=100, metavar="N", help="events between two attempts (default 100)")


def _limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--kill-file", metavar="FILE", help="while it exists nothing is sent")
    group.add_argument("--max-loss", type=float, default=None, metavar="X", help="in currency; then the kill switch falls")
    for name, default, said in (
        ("max-order-qty", 10_000, "shares per order"),
        ("max-notional", 1_000_000, "currency per order"),
        ("collar-bps", 200, "basis points from the mid"),
        ("position-limit", 1_000, "shares per instrument, all that works filled"),
        ("max-orders-per-sec", 100, "in a second of the feed's time"),
    ):
        group.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{said} (default {default:,})")
