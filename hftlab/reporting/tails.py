"""How latency is distributed: percentiles, the feed from end to end, messages that come when they are due, and the slowest "
"ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hftlab.presentation.document import NOT_KNOWN, Section, duration, number, table, text
from hftlab.reporting import figures
from hftlab.reporting.conditions import source
from hftlab.reporting.facts import Facts
from hftlab.reporting.latencies import US, row_of
from hftlab.reporting.verdict import tail_of


def stage_budget(facts: Facts) -> Section:
    """What of a message each stage takes."""
    found = tuple(figures.budget(facts))
    return Section("Where the time goes", found or (text(f"Not measured here: {facts.missing('bench')}."),))


def distributions(facts: Facts) -> Section:
    """The charts, and in words how long the tails are."""
    found = tuple(figures.distributions(facts))
    if not found:
        return Section("Distributions", (text(f"Not measured here: {facts.missing('spectrum')}."),))
    return Section("Distributions", (text(*_tails(facts), kind="list"), *found))


def _tails(facts: Facts) -> Iterator[str]:
    for one in facts.engines:
        row = row_of(one, "total")
        tail = tail_of(row) if row else None
        if row is None or tail is None or not row["p50"]:
            yield f"{one['label']}: too few stamps of end to end to speak of a tail."
        else:
            yield (
                f"{one['label']}: median {duration(row['p50'])}, {tail[0]} {duration(tail[1])}, "
                f"{tail[1] / row['p50']:,.1f} times the median; the slowest of {row['n']:,} took {duration(row['max'])}."
            )


def over_time(facts: Facts) -> Section:
    """The heat map."""
    found = tuple(figures.heat(facts))
    best = facts.part("best")
    if not found or not best:
        why = facts.missing("best") if not best else f"{best['label']} has no stamps"
        return Section("Over time", (text(f"Not measured here: {why}."),))
    return Section("Over time", (text(f"{best['label']} was {best['warm_up']}."), *found))


def open_loop(facts: Facts) -> Section:
    """Service against response time."""
    found = facts.part("open_loop")
    if not found:
        return Section("Under load", (text(f"Not measured here: {facts.missing('open_loop')}."),))
    columns = (
        "share of capacity",
        "messages/s",
        *(f"{time} {name}, µs" for name in ("p50", "p99", "p99.9") for time in ("service", "response")),
    )
    columns += ("late", "n")
    rows = [
        (
            f"{one['share']:.0%}",
            f"{one['rate_per_s']:,.0f}",
            *(number(one[time][name], 3, US) for name in ("p50", "p99", "p99.9") for time in ("service", "response")),
            f"{one['late']:,}",
            f"{one['service']['n']:,}",
        )
        for one in found["rates"]
    ]
    lead = (
        f"Messages were sent one by one at fixed times, whatever the engine did. Sent without a pause, one call per message, "
        f"the engine serves {found['capacity_per_s']:,.0f} a second, which is the capacity meant here: a call from Python for "
        f"each message costs more than the message, and two readings of the clock are in it. The clock is not subtracted here."
    )
    note = (
        "Service: from when the engine got the message. Response: from when the message was due. Late: messages that were due "
        "before the engine was free. A closed loop, which waits for the engine before it sends the next, would show the "
        "service column alone."
    )
    told = source(facts, "best", "open loop")
    return Section(
        "Under load", (text(lead), *figures.load(facts), table("Service and response", columns, rows, note=note, source=told))
    )


def slowest(facts: Facts) -> Section:
    """What the flight recorder kept."""
    flight = facts.part("flight")
    if not flight:
        why = f"{facts.told['best']['label']} keeps no stamps" if facts.part("best") else facts.missing("flight")
        return Section("The slowest messages", (text(f"Not recorded here: {why}."),))
    columns = ["rank", "kind", "symbol", "longest stage", "where", "message", "end to end, µs", "usual there, µs", "times"]
    columns += ["before it, µs", "in that stage, µs"]
    rows = flight["rows"]
    waited = sum(row["waited"] for row in rows)
    lead = (
        f"What the flight recorder kept of {flight['engine']} in one stamped pass: its {len(rows)} slowest messages. Before "
        f"{waited} of "
        "them more time passed between messages, where the engine does nothing, than in the message itself."
    )
    told = source(facts, "best", f"one stamped pass over {facts.told['best']['messages']:,} messages")
    shown = table("Slowest messages", columns, map(_slow, rows), words=5, note=_SLOW, source=told)
    return Section("The slowest messages", (text(lead), shown, *figures.flight(facts)))


_SLOW = (
    "Usual there: the median of the messages around it. Before it: from the end of the message before to its beginning. A "
    "message whose time went into a stage that is usually short has met the machine (an interrupt, a page, a sibling core) or "
    "a long path through that stage; what it was says which is more likely. The clock is not subtracted here."
)


def _slow(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(one["rank"]),
        one["kind"],
        one["symbol"] or NOT_KNOWN,
        one["stage"],
        one["where"],
        f"{one['index']:,}",
        number(one["total_ns"], 2, US),
        number(one["usual_ns"], 2, US),
        number(one["times"], 1),
        number(one["gap_ns"], 2, US),
        number(one["stage_ns"], 2, US),
    )
