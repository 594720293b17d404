"""A feed in memory, cut into pieces of as many messages each: what is warm must be told from what is cold."""

from __future__ import annotations

from itertools import pairwise

from hftlab.events import Events
from hftlab.feeds.feed import Block, Feed
from hftlab.feeds.itch import Frames

Piece = Block | Events


def whole(feed: Feed) -> Piece:
    """The one block of a feed that is the head of another."""
    return next(iter(feed.blocks() if feed.wire == "itch" else feed.event_blocks()))


def count(feed: Feed) -> int:
    """Its messages."""
    data = whole(feed)
    return sum(1 for _ in Frames(data)) if isinstance(data, bytes | memoryview) else len(data)


def cut(feed: Feed, pieces: int) -> list[Piece]:
    """Its messages in so many pieces; the last ones are one message shorter where it does not divide."""
    data = whole(feed)
    if isinstance(data, bytes | memoryview):
        ends = [at - 2 for at, _ in Frames(data)] + [len(data)]
    else:
        ends = list(range(len(data) + 1))
    messages = len(ends) - 1
    at = [ends[-(-number * messages // pieces)] for number in range(pieces + 1)]
    return [data[start:end] for start, end in pairwise(at)]
