"""Parity with the reference on many messages: wire bytes, split anywhere, broken anyhow, in every message type there is; seeded
markets with every fault, every generated regime."""

from __future__ import annotations

from hftlab.conformance.checks import CHECKS, Check, EngineUnderTest, Failed, check, expect
from hftlab.conformance.feeds import WILD, dense, edges, framed, pieces, walk, wire
from hftlab.engine.engine import synthetic
from hftlab.engine.run import Run
from hftlab.engine.verify import first_difference
from hftlab.errors import FeedError
from hftlab.feeds.feed import Feed
from hftlab.feeds.generate.regimes import REGIMES
from hftlab.feeds.itch import ItchFeed
from hftlab.protocols.itch_messages import MESSAGES, build
from hftlab.settings import STAGES, OrderConfig


def day(messages: int = 120) -> bytes:
    """A short generated day as bytes."""
    return b"".join(map(bytes, synthetic("burst", messages, 2, symbols=2).blocks()))


@check()
def every_message_type(subject: EngineUnderTest) -> None:
    """is every message type decoded, with sides, crosses of any size and trading states?"""
    messages = [build(letter, locate=1, ts=2**48 - 1) for letter in MESSAGES]
    messages += [
        build("A", locate=1, ref=2**64 - 1, side=side, shares=2**32 - 1, stock="ABC", price=2**32 - 1) for side in "BSXb "
    ]
    messages += [build("Q", locate=1, shares=shares, price=7) for shares in (2**32 - 2, 2**32 - 1, 2**32, 2**64 - 1)]
    messages += [build("H", locate=1, stock="ABC", state=state) for state in "HPQT"]
    messages += [build("C", locate=1, ref=2**64 - 1, shares=5, printable="N", price=9), b"~", b"~" * 10, b"~" * 11, b"z" * 255]
    subject.same(ItchFeed(b"".join(map(framed, messages)), name="every message type"))


def _bid(locate: int, ref: int, stock: str, letter: str = "A") -> bytes:
    return build(letter, locate=locate, ref=ref, side="B", shares=900, stock=stock, price=10_000)


def _ask(locate: int, ref: int, stock: str) -> bytes:
    return build("A", locate=locate, ref=ref, side="S", shares=100, stock=stock, price=10_200)


@check("push", "names")
def names_of_instruments(subject: EngineUnderTest) -> None:
    """are stocks named by the directory, else by their first add (A or F), never by NUL bytes, and do orders carry the names?"""
    nameless = "\0" * 8
    messages = [_bid(3, 1, "FIRST", "F"), build("R", locate=4, stock="DIR"), _ask(3, 2, "OTHER")]
    messages += [_bid(4, 3, "ADD"), build("R", locate=5, stock="NÄME"), _ask(4, 4, "ADD"), build("R", locate=4, stock="LATER")]
    messages += [
        build("R", locate=6, stock="GONE"),
        build("R", locate=6, stock=nameless),
        _bid(6, 5, nameless),
        _ask(6, 6, nameless),
    ]
    messages += [_bid(7, 7, nameless), _bid(7, 8, "NAMED"), _ask(7, 9, "OTHER")]
    feed = ItchFeed(b"".join(map(framed, messages)), name="names")
    subject.same(feed, order_config=OrderConfig(threshold=0.1, cooldown=1))
    session = subject.session(feed)
    for block in feed.blocks():
        session.push(block)
    names = {number: bytes(name) for number, name in session.names().items()}
    wanted = {3: b"FIRST   ", 4: b"LATER   ", 5: "NÄME    ".encode("latin-1"), 7: b"NAMED   "}
    expect("names()", names, wanted)


@check("push")
def split_bytes(subject: EngineUnderTest) -> None:
    """does a block that ends between any two bytes change nothing?"""
    data = day()
    whole = subject.run(ItchFeed(data))
    short = wire(8, 3)
    short_whole = subject.run(ItchFeed(short))
    for end in range(1, len(short)):
        _alike(short_whole, subject.run(pieces(short, [end], f"two blocks, the first of {end} bytes")))
    for size in (1, 7, 50):
        _alike(whole, subject.run(pieces(data, range(size, len(data), size), f"blocks of {size} bytes")))


def _alike(whole: Run, cut: Run) -> None:
    expect(f"the number of messages in {cut.feed}", cut.messages, whole.messages)
    same = whole.frame.equals(cut.frame) and whole.order_stream == cut.order_stream
    expect(f"agreement of {cut.feed} with one block", same, True)


@check("push")
def broken_bytes(subject: EngineUnderTest) -> None:
    """is a defect named with its offset and message, by the same sentence, and is what was good before it kept?"""
    data, second = day(30), 14  # the second message starts behind 2 + 12 bytes
    broken = {
        "a length of 0": data[:second] + b"\0\0" + data[second:],
        "a wrong length": data[:second] + b"\0\x28R" + data[second + 3 :],
        "an unknown type that is too long": data[:second] + b"\x01\0~" + data[second:],
        "an end inside a message": data[:-3],
        "an end inside a length": data + b"\0",
        "a first byte missing": data[1:],
        "text": b"34200.01,1,5,18,5859400,1\n" * 3,
        "nothing": b"",
    }
    for name, content in broken.items():
        for ends in ([], [second + 1], list(range(1, len(content), 5))):
            _stops(subject, pieces(content, ends, name))
    unknown = framed(b"~" * 20)
    for name, content in {
        "an unknown type": data[:second] + unknown + data[second:],
        "a torn unknown type": data + unknown[:9],
    }.items():
        _stops(subject, ItchFeed(content, name=name), strict=True)


def _stops(subject: EngineUnderTest, feed: Feed, **more: object) -> None:
    """Both stop, with one sentence, offset and index, and the same rows before."""
    stops: list[tuple[str, int | None, int | None, int]] = []
    for engine in (subject.reference(**more), subject.engine(**more)):
        try:
            engine.run(feed)
        except FeedError as error:
            stops.append((str(error), error.offset, error.index, len(error.run.columns["index"])))
        else:
            raise Failed(f"{feed.name}: {engine.label} did not stop")
    expect(f"{feed.name}: the sentence, the offset, the message and the rows before", stops[1], stops[0])


@check("push")
def end_of_session(subject: EngineUnderTest) -> None:
    """is the end-of-session mark, a length of 0 behind the last message, no defect?"""
    expect("the number of messages", subject.run(ItchFeed(day(30) + b"\0\0")).messages, 30)


@check()
def random_markets(subject: EngineUnderTest) -> None:
    """does it agree on seeded markets with every fault and every limit?"""
    for seed in (1, 2):
        subject.same(dense(3_000, seed), **WILD)


@check()
def random_markets_strict(subject: EngineUnderTest) -> None:
    """does it stop at the first fault, with the same sentence, and keep what was before?"""
    for seed in range(3, 9):
        subject.same(dense(40, seed), strict=True, **WILD)


@check()
def edges_of_the_types(subject: EngineUnderTest) -> None:
    """does it agree on any price, order id, quantity and time that the record can hold?"""
    for seed in (1, 2):
        subject.same(edges(1_500, seed), **WILD)


@check()
def walking_prices(subject: EngineUnderTest) -> None:
    """does it keep every level of a price that walks far and jumps?"""
    for step in (1, 100, 250_000_000):
        subject.same(walk(1_200, step, step))


def _regime(name: str) -> Check:
    def ask(subject: EngineUnderTest) -> None:
        subject.same(synthetic(name, 1_500, 7, symbols=min(REGIMES[name].symbols, 40)))

    return Check(f"regime_{name}", f"does it agree on a generated day of the regime {name!r}?", ask)


CHECKS.extend(map(_regime, REGIMES))


@check()
def random_messages(subject: EngineUnderTest) -> None:
    """does it agree on messages of every type with random fields?"""
    for seed in (1, 2):
        subject.same(ItchFeed(wire(800, seed), name=f"random messages, seed {seed}"), **WILD)


@check()
def random_bytes(subject: EngineUnderTest) -> None:
    """does it agree on where bytes stop being messages, and on everything before?"""
    for seed in range(20):
        data = wire(40, seed, defects=2)
        subject.same(ItchFeed(data, name=f"bytes with defects, seed {seed}"), strict=seed % 2 == 1)


@check()
def last_stages(subject: EngineUnderTest) -> None:
    """does it agree when it stops after each of its stages?"""
    for until in STAGES[: STAGES.index(subject.until) + 1]:
        subject.same(dense(400, 5), **{**WILD, "until": until})


@check("push_events")
def recorded_tops(subject: EngineUnderTest) -> None:
    """are the rows of record="top" those whose best bid or ask changed, and are there none with "none"?"""
    feed = dense(600, 6)
    ours, theirs = (engine.run(feed, record="top").columns for engine in (subject.reference(**WILD), subject.engine(**WILD)))
    for name, column in ours.items():
        expect(f"the first differing row of {name}", first_difference(column, theirs[name]), None)
    empty = subject.engine(**WILD).run(feed, record="none")
    expect('the number of rows with record="none"', len(empty.columns["index"]), 0)
    expect("the number of messages", empty.messages, 600)
