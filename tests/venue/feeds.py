"""Feeds to publish: ITCH messages by hand, and generated days."""

from __future__ import annotations

from functools import cache

import hftlab
from hftlab.protocols import moldudp64
from hftlab.protocols.itch_messages import build


def framed(letter: str, **values: int | str) -> bytes:
    """One ITCH message behind its u16 length."""
    return moldudp64.frame(build(letter, **values))


#: One stock, ABC, with 300 shares bid at 99.00 and 100, then 200 offered at 101.00 and 102.00.
SMALL = b"".join(
    [
        framed("S", ts=1_000, event="O"),
        framed("R", locate=1, ts=2_000, stock="ABC"),
        framed("A", locate=1, ts=3_000, ref=1, side="B", shares=300, stock="ABC", price=99_0000),
        framed("A", locate=1, ts=4_000, ref=2, side="S", shares=100, stock="ABC", price=101_0000),
        framed("A", locate=1, ts=5_000, ref=3, side="S", shares=200, stock="ABC", price=102_0000),
    ]
)


@cache
def day(messages: int = 3_000, seed: int = 3) -> list[bytes]:
    """The messages of a generated day, without their lengths."""
    feed = hftlab.synthetic("burst", messages, seed=seed)
    return moldudp64.split(b"".join(bytes(block) for block in feed.blocks()))
