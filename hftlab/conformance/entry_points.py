"""Entry points and queries: one message at a time or all at once, the same session asked in between, run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hftlab.conformance.checks import EngineUnderTest, Failed, check, expect
from hftlab.conformance.contract import BID, add, feed, row
from hftlab.conformance.feeds import WILD, dense, edges, wire
from hftlab.engine.engine import decode
from hftlab.engine.recording import ORDER_DTYPE, ROW_DTYPE
from hftlab.engine.session import Session
from hftlab.errors import HftlabError
from hftlab.events import EVENT_DTYPE, Events, Fault, Kind, Side
from hftlab.feeds.feed import EventFeed, Feed, cut
from hftlab.feeds.itch import ItchFeed
from hftlab.settings import REJECTS, STAGES


def _events(feed: EventFeed) -> Events:
    return next(feed.event_blocks())  # read-only, in one block


def _outcome(session: Session) -> dict[str, Any]:
    """What a session gave, as far as it does not depend on the clock or on memory."""
    result: dict[str, Any] = {**session.finish()}
    plain = ("messages", "counts", "unknown", "faults", "fault_index", "fault_reason", "order_stream", "rejects")
    out = {name: _values(result[name]) for name in plain}
    out["fault_events"] = np.asarray(result["fault_events"]).tobytes()
    for table in ("columns", "orders"):
        out |= {f"{table}.{name}": np.ascontiguousarray(column).tobytes() for name, column in result[table].items()}
    return out


def _values(value: Any) -> Any:
    if isinstance(value, dict):
        return {int(key): int(number) for key, number in value.items()}
    return bytes(value) if isinstance(value, bytes | bytearray) else np.asarray(value).tolist()


def _same(what: str, actual: dict[str, Any], wanted: dict[str, Any]) -> None:
    wrong = [name for name in wanted if actual.get(name) != wanted[name]]
    if wrong:
        raise Failed(f"{what}: {', '.join(wrong)} differ{'s' * (len(wrong) == 1)}")


@check("push_events")
def result_fields(subject: EngineUnderTest) -> None:
    """does finish() give every field, in its type and length, and refuse a second call?"""
    feed = dense(300, 4)
    session = subject.session(feed, **WILD)
    session.push_events(_events(feed))
    expect("the attribute messages", session.messages, 300)
    result: dict[str, Any] = {**session.finish()}
    for table, layout, length in (("columns", ROW_DTYPE, 300), ("orders", ORDER_DTYPE, None)):
        for name in layout.names or ():
            column = result[table][name]
            expect(f"the dtype of {table}.{name}", np.asarray(column).dtype, layout[name])
            expect(f"the length of {table}.{name}", len(column), len(column) if length is None else length)
    lengths = {name: len(result[name]) for name in ("counts", "faults", "rejects")}
    expect("the length of counts, faults, rejects", lengths, {"counts": len(Kind), "faults": len(Fault), "rejects": len(REJECTS)})
    expect("the dtype of fault_events", result["fault_events"].dtype, EVENT_DTYPE)
    if "depth" not in subject.absent:
        live = sum(orders for instrument in range(4) for _, _, _, orders in session.depth(instrument))
        expect("memory['live_orders'] and the orders of the books", result["memory"]["live_orders"], live)
    for name in ("order_bytes", "level_bytes"):
        expect(f"memory[{name!r}] being there", name in result["memory"], True)
    expect("elapsed_ns being above 0", result["elapsed_ns"] > 0, True)
    expect("what counters() gives", _values(session.counters()["counts"]), _values(result["counts"]))
    try:
        session.finish()
    except HftlabError:
        return
    raise Failed("finish() was called twice and did not raise HftlabError")


@check("push_events")
def nothing_at_all(subject: EngineUnderTest) -> None:
    """does a run over no message give empty results?"""
    subject.same(EventFeed(np.empty(0, EVENT_DTYPE), name="no message"))


@check("push_events")
def arrays_in_pieces(subject: EngineUnderTest) -> None:
    """does push_events give the same for one array and for many, in memory that may not be written?"""
    feed = dense(500, 8)
    _pieces(subject, feed, lambda session, piece: session.push_events(piece), 37)


@check("push_events", "apply")
def one_event_at_a_time(subject: EngineUnderTest) -> None:
    """does apply return what the book answers, and give the same as push_events?"""
    for given in (dense(500, 9), edges(300, 3)):
        _pieces(subject, given, _applied_beside(subject.session(given, reference=True, **WILD)), 1)


def _applied_beside(reference: Session) -> Callable[[Session, Events], None]:
    def run(session: Session, piece: Events) -> None:
        values = piece[0].tolist()
        expect(f"apply{values}", session.apply(*values), reference.apply(*values))

    return run


def _pieces(subject: EngineUnderTest, feed: EventFeed, run: Callable[[Session, Events], object], size: int) -> None:
    whole, session = subject.session(feed, **WILD), subject.session(feed, **WILD)
    whole.push_events(_events(feed))
    for piece in cut(feed, every=size):
        run(session, piece)
    _same(f"{feed.name} in pieces of {size} against one array", _outcome(session), _outcome(whole))


@check("push", "message")
def one_message_at_a_time(subject: EngineUnderTest) -> None:
    """does message return what the book answers, and give the same as push?"""
    data = wire(300, 5)
    feed = ItchFeed(data)
    whole, session, reference = subject.session(feed), subject.session(feed), subject.session(feed, reference=True)
    whole.push(data)
    for piece in cut(feed, every=1):
        message = bytes(piece)[2:]
        expect(f"message({message.hex()})", session.message(message), reference.message(message))
    _same("message by message against push", _outcome(session), _outcome(whole))


@check("message")
def wrong_messages(subject: EngineUnderTest) -> None:
    """does message refuse one that has not the length of its type, with a ValueError, and count nothing?"""
    session = subject.session(ItchFeed(b"\0\x0cS" + bytes(11)))
    for wrong in (b"", b"A", b"A" + bytes(36), b"S" + bytes(10), b"~" * 256):
        try:
            session.message(wrong)
        except ValueError:
            continue
        raise Failed(f"message() took {len(wrong)} bytes of type {wrong[:1]!r}; it must refuse them with a ValueError")
    expect("messages after refusals alone", session.messages, 0)


@check("push", "decode", "push_events")
def bytes_and_events(subject: EngineUnderTest) -> None:
    """do wire bytes, and the events decoded from them, give the same rows and orders?"""
    feed: Feed = ItchFeed(wire(400, 6))
    symbols = tuple(feed.symbols)
    events = EventFeed(decode(feed, subject.engine()), symbols=symbols)
    a, b = subject.run(feed, **WILD), subject.run(events, **WILD)
    expect("agreement of the rows", a.frame.equals(b.frame), True)
    expect("agreement of the order bytes", a.order_stream == b.order_stream, True)


@check("push_events", "best", "depth", "queue", "locate")
def queries(subject: EngineUnderTest) -> None:
    """do best, depth, queue and locate answer like the reference, at any time and for what does not exist?"""
    feed = dense(400, 10)
    theirs, ours = subject.session(feed, **WILD), subject.session(feed, reference=True, **WILD)
    for piece in cut(feed, every=50):
        theirs.push_events(piece)
        ours.push_events(piece)
        _ask_all(theirs, ours)


def _ask_all(theirs: Session, ours: Session) -> None:
    for instrument in (0, 1, 2, 3, 9, 65_535):
        levels = ours.depth(instrument)
        expect(f"best({instrument})", tuple(theirs.best(instrument)), ours.best(instrument))
        expect(f"depth({instrument})", [tuple(level) for level in theirs.depth(instrument)], levels)
        for side, price, _, _ in [*levels, (Side.BID, 1, 0, 0), (Side.ASK, -(2**62), 0, 0), (3, 10_000, 0, 0)]:
            place = (instrument, int(side), price)
            expect(f"queue{place}", [tuple(order) for order in theirs.queue(*place)], ours.queue(*place))
    for order_id in (*range(81), 2**64 - 1):
        order = theirs.locate(order_id)
        expect(f"locate({order_id})", order if order is None else tuple(order), ours.locate(order_id))


@check("push_events", "queue", "locate")
def queue_position(subject: EngineUnderTest) -> None:
    """does a replace go to the end of its queue, and a reduction keep its place?"""
    rows = [add(i, 100, 10, BID) for i in (1, 2, 3, 4, 5)]  # 5 is left alone: an order that falls back, falls behind it
    rows += [row(Kind.CANCEL, 2, qty=4), row(Kind.EXECUTE, 3, qty=1), row(Kind.REPLACE, 1, 100, 20, new_order_id=1)]
    run = subject.run(feed([*rows, row(Kind.DELETE, 4), add(4, 100, 5, BID)], "one queue"))
    expect("the queue", run.queue("ABC", "bid", 100).rows(), [(2, 6), (3, 9), (5, 10), (1, 20), (4, 5)])
    expect("the positions of 2, 3, 5, 1, 4, 9", [run.queue_position(i) for i in (2, 3, 5, 1, 4, 9)], [0, 1, 2, 3, 4, None])


@check("push_events")
def run_again(subject: EngineUnderTest) -> None:
    """does it give the same when it is run twice, and when two sessions take turns?"""
    feed = dense(600, 11)
    alone = subject.session(feed, **WILD)
    alone.push_events(_events(feed))
    wanted = _outcome(alone)
    a, b = subject.session(feed, **WILD), subject.session(feed, **WILD)
    for piece in cut(feed, every=100):
        a.push_events(piece)
        b.push_events(piece)
    _same("the first of two sessions in turn against one alone", _outcome(a), wanted)
    _same("the second of two sessions in turn against one alone", _outcome(b), wanted)


@check("push_events")
def stamps(subject: EngineUnderTest) -> None:
    """do stamps change nothing, and is there one per stage and message, or none at all?"""
    feed = dense(300, 12)
    plain = subject.run(feed, **WILD)
    for mode in ("stages", "total"):
        run = subject.engine(**WILD).run(feed, latency=mode)
        expect(f"agreement of the rows with latency={mode!r}", run.frame.equals(plain.frame), True)
        if run.latency is not None:
            expect("the stages that are stamped", set(run.latency), {*STAGES, "total"})
            expect("the stamps per stage", {len(ns) for ns in run.latency.values()}, {300})
            expect("the earliest stamp being at least 0", all((ns >= 0).all() for ns in run.latency.values()), True)
