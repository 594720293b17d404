"""Options that several commands have in common."""

from __future__ import annotations

import argparse


def result_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="PATH", help="write the result as JSON, too")
    parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")


def with_option(parser: argparse.ArgumentParser) -> None:
    said = "time this one, too; may be repeated"
    parser.add_argument("--with", dest="engines", metavar="ENGINE", action="append", default=[], help=said)


def placement_options(parser: argparse.ArgumentParser) -> None:
    """What `hftlab.cli.measuring.placement` puts in force around the command."""
    place = parser.add_argument_group("placement", "undone afterwards; what the system refuses is said, and the command goes on")
    place.add_argument("--pin", type=int, metavar="CORE", help="stay on this core")
    place.add_argument("--fifo", action="store_true", help="real-time scheduling, SCHED_FIFO with priority 50")


def generator_options(parser: argparse.ArgumentParser, messages: int | None, said: str = "") -> None:
    default = said or ("default: as many as the way can bear" if messages is None else f"default {messages:,}")
    parser.add_argument("--regime", default="calm", help="calm, burst, cancel_storm, deep or market (default calm)")
    parser.add_argument("--messages", type=int, default=messages, help=default)
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    parser.add_argument("--symbols", type=int, default=None, help="default: the regime's own number")


def engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", default="auto", help="auto, python, rust or an installed one (default %(default)s)")
    parser.add_argument("--book", default="ladder", help="price levels: btree, sorted or ladder (rust)")
    parser.add_argument("--orders", default="flat", help="order index: std, fast or flat (rust)")
    parser.add_argument("--pool", action=argparse.BooleanOptionalAction, default=True, help="orders in a slab (rust)")
    parser.add_argument("--signal", default="incremental", help="recompute or incremental (rust)")
    parser.add_argument("--until", default="order", help="last stage: tick, book, signal or order (default order)")
    parser.add_argument("--strict", action="store_true", help="stop at the first fault or unknown message type")
    parser.add_argument("--symbol", action="append", default=[], help="keep only this stock; may be repeated")
