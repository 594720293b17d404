"""What `hftlab net exchange` accepts."""

from __future__ import annotations

import argparse

from hftlab.cli.shared_options import generator_options
from hftlab.net.exchange.settings import LINE_A, LINE_B, ORDERS, REQUESTS

_ABOUT = """\
A feed as MoldUDP64 on two multicast lines, requests for lost messages, and order entry by OUCH 5.0 over SoupBinTCP, matched
against the replayed book. Accounts come from --accounts FILE (USERNAME PASSWORD a line) or from HFTLAB_ACCOUNTS
(USERNAME:PASSWORD,...). The first lines printed are the addresses, the last ones what has happened. SIGTERM and Ctrl-C end the
session in order. Everything is on loopback unless other addresses are named.
"""


def add_exchange(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    exchange = commands.add_parser(
        "exchange",
        help="a small exchange: publish a feed, match orders against it",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    exchange.add_argument("file", metavar="FILE", nargs="?", help="ITCH 5.0 in BinaryFILE framing (default: a generated feed)")
    generator_options(exchange, messages=200_000)
    exchange.add_argument("--json", action="store_true", help="one JSON object a line: the addresses first, the summary last")
    _feed(exchange.add_argument_group("feed"))
    _lines(exchange.add_argument_group("lines"))
    _orders(exchange.add_argument_group("orders"))


def _feed(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--pace", default="1x", help="1x, 8x, 0.5x: the feed's own time; 50000/s: a rate; max (default 1x)")
    group.add_argument("--batch", action="store_true", help="messages due together share a datagram, up to 1400 bytes")
    group.add_argument(
        "--max-idle-gap", dest="max_idle_gap_s", type=float, default=1.0, metavar="S", help="cut longer (default 1)"
    )
    group.add_argument(
        "--publish-burst", type=int, default=16, metavar="N", help="datagrams sent between looks at orders (default 16)"
    )
    group.add_argument("--wait", type=int, default=0, metavar="N", help="start when so many accounts are logged in (default 0)")
    group.add_argument("--delay", dest="delay_s", type=float, default=0.0, metavar="S", help="start not before this (default 0)")
    group.add_argument(
        "--heartbeat-after-end",
        dest="heartbeat_after_end_s",
        type=float,
        default=0.0,
        metavar="S",
        help="heartbeats after the feed (default 0)",
    )
    group.add_argument(
        "--end-repeat", dest="end_repeat_s", type=float, default=3.0, metavar="S", help="then repeat the end (default 3)"
    )
    group.add_argument("--session", default="", help="up to 10 letters and digits (default: made of the time)")
    group.add_argument("--resume", action="store_true", help="take up the latest session in the --audit log again")
    group.add_argument("--spin", action="store_true", help="never sleep")


def _lines(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--line-a", default=LINE_A, metavar="HOST:PORT", help=f"multicast or unicast (default {LINE_A})")
    group.add_argument("--line-b", default=LINE_B, metavar="HOST:PORT", help=f"default {LINE_B}")
    group.add_argument("--interface", default="127.0.0.1", metavar="HOST", help="multicast leaves by it (default 127.0.0.1)")
    group.add_argument("--requests", default=REQUESTS, metavar="HOST:PORT", help=f"for lost messages (default {REQUESTS})")
    group.add_argument("--heartbeat", dest="heartbeat_s", type=float, default=1.0, metavar="S", help="when idle (default 1)")
    for name in ("loss", "duplicate", "reorder"):
        said = "a probability per datagram, for both lines, or as P,P for A and B (default 0)"
        group.add_argument(f"--{name}", default="0", metavar="P", help=said)
    group.add_argument("--line-seed", type=int, default=1, metavar="N", help="of what the lines do to datagrams (default 1)")
    group.add_argument(
        "--retransmit-window", type=int, default=1 << 20, metavar="N", help="messages that can be asked for (default 2^20)"
    )
    group.add_argument("--retransmit-rate", type=float, default=10_000, metavar="N", help="answers per second (default 10,000)")


def _orders(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--orders", default=ORDERS, metavar="HOST:PORT", help=f"where orders come in (default {ORDERS})")
    group.add_argument("--accounts", metavar="FILE", help="USERNAME PASSWORD a line (default: from HFTLAB_ACCOUNTS)")
    group.add_argument("--audit", metavar="FILE", help="append everything that happens to this file, one JSON object a line")
    group.add_argument("--max-connections", type=int, default=64, metavar="N", help="at once (default 64)")
    group.add_argument(
        "--inbound-rate", type=float, default=10_000, metavar="N", help="messages per second and connection (default 10,000)"
    )
    group.add_argument("--inbound-burst", type=int, default=2_000, metavar="N", help="at once (default 2,000)")
    group.add_argument("--login-timeout", dest="login_timeout_s", type=float, default=10.0, metavar="S", help="default 10")
    group.add_argument(
        "--idle-timeout", dest="idle_timeout_s", type=float, default=15.0, metavar="S", help="of a silent client (default 15)"
    )
    group.add_argument(
        "--backlog", type=int, default=65_536, metavar="N", help="messages kept for a slow reader (default 65,536)"
    )
    group.add_argument(
        "--max-open-orders", type=int, default=10_000, metavar="N", help="live orders of an account (default 10,000)"
    )
    group.add_argument(
        "--max-messages-per-account", type=int, default=1 << 20, metavar="N", help="messages to an account (default 2^20)"
    )
    group.add_argument(
        "--keep-orders",
        dest="cancel_on_disconnect",
        action="store_false",
        help="of a connection that is lost (default: they are canceled)",
    )
