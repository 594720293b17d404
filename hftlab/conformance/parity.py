"""Parity with the reference on many messages: seeded markets with every fault, every generated regime, any bytes."""

from __future__ import annotations

from hftlab.conformance.checks import CHECKS, Check, EngineUnderTest, check, expect
from hftlab.conformance.feeds import WILD, dense, edges, walk, wire
from hftlab.engine.engine import synthetic
from hftlab.engine.verify import first_difference
from hftlab.feeds.generate.regimes import REGIMES
from hftlab.feeds.itch import ItchFeed
from hftlab.settings import STAGES


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
