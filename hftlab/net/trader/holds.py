"""What holds orders back, the gravest first, and when there is nothing left to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hftlab.net.trader.gateway import REFUSED
from hftlab.net.trader.settings import MS_NS

if TYPE_CHECKING:
    from hftlab.net.trader.trader import Trader

_LAST_WORDS_NS = 300 * MS_NS  # after the end of the feed's session, for the end of the other one


def reason(trader: Trader, now_ns: int) -> str:
    """Why nothing may leave now; "" if nothing is against it."""
    if trader.stopping:
        return "stopping"
    if trader.killed:
        return f"killed: {trader.killed}"
    if trader.journal.failing:
        return "journal"
    if not trader.gateway.ready:
        return "order connection"
    if trader.feed.arbiter.finished:
        return "feed: over"
    said = feed(trader, now_ns)
    return "" if said == "fresh" else f"feed: {said}"


def feed(trader: Trader, now_ns: int) -> str:
    """The state of the feed, in the words of `feed_handler`; or unreadable: a message came that nobody can read."""
    said = trader.feed.state(now_ns)
    return "unreadable" if trader.live.corrupted and said != "session" else said


def over(trader: Trader, since_ns: int, now_ns: int) -> bool:
    """Whether it can go home: the login is refused, or the feed's session, over since then, has left nothing open.

    Also where messages are missing still, or the word that it has ended, when one of the two sessions is over and nobody is there
    any more who could send them.
    """
    if trader.gateway.state == REFUSED:
        return True
    if trader.settings.run_forever:
        return False
    if not since_ns:
        silent = now_ns - trader.feed.heard_ns > trader.settings.ns("silence")
        return (trader.feed.ending or trader.gateway.over) and silent and not trader.gateway.ready
    return not trader.gateway.ready or (not trader.books.open and now_ns - since_ns > _LAST_WORDS_NS)
