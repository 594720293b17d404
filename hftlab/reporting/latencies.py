"""How long a message takes: the tables of every engine, distributions, over time, warm and cold, under load, the slowest."""

from __future__ import annotations

from collections.abc import Iterator

from hftlab.measurement.distribution import STATISTICS, TITLES, Distribution
from hftlab.presentation.document import NOT_KNOWN, Figure, Section, duration, number, table, text
from hftlab.reporting import figures
from hftlab.reporting.comparisons import tail_of
from hftlab.reporting.conditions import source, sourced
from hftlab.reporting.measurements import Measurements

US = 1e3


def absent(title: str, why: str) -> Section:
    """A chapter about what was not measured."""
    return Section(title, (text(f"Not measured here: {why}."),))


def tables(found: Measurements) -> Section:
    """Every table of the bench."""
    title = "Latency per message"
    if not found.bench:
        return absent(title, found.why_not("bench"))
    note = (
        "Each row is a distribution with stamps of its own: end to end is stamped at the beginning and the end of a message, "
        "it is not the sum of the stages. A percentile with fewer than 100 samples beyond it is n/a. The median cost of a "
        "reading of the clock is subtracted."
    )
    return Section(title, tuple(sourced(found, "bench", "stamps and whole passes", each, note) for each in found.bench.tables()))


def stage_budget(found: Measurements) -> Section:
    """What of a message each stage takes."""
    shown = tuple(figures.budget(found))
    return Section("Where the time goes", shown) if shown else absent("Where the time goes", found.why_not("bench"))


def distributions(found: Measurements) -> Section:
    """The charts, and in words how long the tails are."""
    shown = tuple(figures.distributions(found))
    if not shown:
        return absent("Distributions", found.why_not("bench"))
    return Section("Distributions", (text(*_tails(found), kind="list"), *shown))


def _tails(found: Measurements) -> Iterator[str]:
    for engine in found.bench.engines if found.bench else ():
        row = engine.distribution("total")
        tail, p50 = tail_of(row), row.percentiles["p50"] if row else None
        if row is None or tail is None or not p50:
            yield f"{engine.label}: too few stamps of end to end to speak of a tail."
        else:
            times = f"{tail[1] / p50:,.1f} times the median"
            slowest = f"the slowest of {row.n:,} took {duration(row.max)}"
            yield f"{engine.label}: median {duration(p50)}, {tail[0]} {duration(tail[1])}, {times}; {slowest}."


def over_time(found: Measurements) -> Section:
    """The heat map."""
    shown, alone = tuple(figures.heat(found)), found.latency
    if not alone or not shown:
        return absent("Over time", f"{alone.label} has no stamps" if alone else found.why_not("latency"))
    return Section("Over time", (text(f"{alone.label} was {alone.warm_up}."), *shown))


def phases(found: Measurements) -> Section:
    """Warm, cold start and cold caches."""
    title = "Warm, cold start and cold caches"
    if not found.bench:
        return absent(title, found.why_not("bench"))
    rows = []
    for engine in found.bench.engines:
        warm, cold_start = engine.distribution("total"), engine.distribution("total", cold=True)
        named = (("warm", warm), ("cold start", cold_start), ("cold caches", found.cold_cache.get(engine.label)))
        rows += [(engine.label, name, *_cells(row), _times(row, warm)) for name, row in named]
    note = (
        "Warm: in the middle of a stream, code and book in the caches. Cold start: the first 1,000 messages of each pass (of a "
        "short feed a tenth), which meet an empty book. Cold caches: each message alone, after a buffer larger than the last "
        "cache has been read through, which is what a quiet market does to an engine."
    )
    columns = ("engine", "messages", *STATISTICS, "n", "p50 / warm")
    shown = table("End to end in microseconds, by what came before", columns, rows, words=2, note=note, grouped=True)
    return Section(title, (sourced(found, "bench", "stamps of every message", shown),))


def _cells(row: Distribution | None) -> list[str]:
    return row.cells() if row else [*[NOT_KNOWN] * len(STATISTICS), "0"]


def _times(row: Distribution | None, warm: Distribution | None) -> str:
    own, usual = (each.percentiles["p50"] if each else None for each in (row, warm))
    return number(own / usual if own is not None and usual else None, 2)


def agreement(found: Measurements) -> Section:
    """Stamps against whole passes."""
    title = "Stamps against whole passes"
    engines = found.bench.engines if found.bench else ()
    known = [(engine.label, one) for engine in engines for one in engine.agreement().values()]
    if not known:
        return absent(title, "no engine here has stamps of its own" if engines else found.why_not("bench"))
    rows = [
        (label, TITLES[one.stage], number(one.stamps_ns), number(one.passes_ns), "yes" if one.agree else "no")
        for label, one in known
    ]
    overheads = ", ".join(f"{engine.label} {engine.overhead:.2f} times" for engine in engines if engine.overhead is not None)
    lead = (
        f"The mean of its stamps and the difference of whole passes agree for {sum(one.agree for _, one in known)} of {len(rows)}"
    )
    columns = ("engine", "stage", "stamps, mean, ns", "whole passes, ns", "agree")
    note = "They agree within 25 % of the greater, or within one reading of the clock."
    shown = table("Two ways to the cost of a stage", columns, rows, words=2, note=note, grouped=True)
    sentences = text(*(f"{label}, {one.sentence()}." for label, one in known), kind="list")
    texts = text(f"{lead} stages.", f"Stamping every stage makes a pass longer: {overheads}.")
    return Section(title, (texts, sourced(found, "bench", "stamps and passes", shown), sentences))


def open_loop(found: Measurements) -> Section:
    """Service against response time."""
    if not found.open_loop:
        return absent("Under load", found.why_not("open_loop"))
    capacity = found.how.get("capacity_per_s")
    names = [(name, time) for name in ("p50", "p99", "p99.9") for time in ("service", "response")]
    columns = ("share of capacity", "messages/s", *(f"{time} {name}, µs" for name, time in names), "late", "n")
    rows = [
        (
            f"{load.rate_per_s / capacity:.0%}" if capacity else NOT_KNOWN,
            number(load.rate_per_s, 0),
            *(number(getattr(load, time).percentiles[name], 3, US) for name, time in names),
            f"{load.late:,}",
            f"{load.service.n:,}",
        )
        for load in found.open_loop
    ]
    lead = (
        "Messages were sent one by one at fixed times, whatever the engine did. Sent without a pause, one call per message, "
        f"the engine serves {number(capacity, 0)} a second, which is the capacity meant here: a call from Python for each "
        "message costs more than the message, and two readings of the clock are in it. The clock is not subtracted here."
    )
    note = (
        "Service: from when the engine got the message. Response: from when the message was due. Late: messages that were due "
        "before the engine was free. A closed loop, which waits for the engine before it sends the next, would show the "
        "service column alone."
    )
    origin = source(found, "latency", "open loop") if found.latency else ""
    shown = table("Service and response", columns, rows, note=note, source=origin)
    return Section("Under load", (text(lead), *figures.load(found), shown))


def slowest(found: Measurements) -> Section:
    """The slowest messages and what stood around them."""
    title, alone = "The slowest messages", found.latency
    if not alone or not alone.slowest:
        return absent(title, f"{alone.label} keeps no stamps" if alone else found.why_not("latency"))
    rows = alone.slowest.slow
    waited = sum(row.waited for row in rows)
    lead = (
        f"The {len(rows)} slowest messages of {alone.label} in one stamped pass. Before {waited} of them more time passed "
        "between messages, where the engine does nothing, than in the message itself. One whose time went into a stage that is "
        "usually short has met the machine (an interrupt, a page, a sibling core) or a long path through that stage."
    )
    shown = [sourced(found, "latency", "one stamped pass", each) for each in alone.slowest.tables()]
    charts: tuple[Figure, ...] = tuple(figures.slowest(found))
    return Section(title, (text(lead), *shown, *charts))
