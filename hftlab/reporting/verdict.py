"""The verdict, three sentences, and the figures that are to be seen first. All of it computed from the facts."""

from __future__ import annotations

from typing import Any

import numpy as np

from hftlab.measurement.distribution import TITLES
from hftlab.measurement.paired import Interval
from hftlab.presentation.document import NOT_KNOWN, Section, Tiles, duration, text
from hftlab.reporting.facts import Facts, whole_ns
from hftlab.reporting.latencies import row_of

_TAILS = ("p99.99", "p99.9", "p99", "p95", "p90")


def verdict(facts: Facts) -> Section:
    """What came out, where the time goes, and how far to trust it."""
    return Section("The verdict", (text(_outcome(facts), _where(facts), _trust(facts), kind="lead"), _tiles(facts)))


def times(interval: dict[str, Any]) -> str:
    """A ratio with its interval: "2.31 times [2.24, 2.38]"."""
    low, high, median = interval["low"], interval["high"], interval["median"] if "median" in interval else interval["ratio"]
    digits = 1 if median >= 100 else 2 if abs(median - 1) > 0.1 else 3
    return f"{median:,.{digits}f} times [{low:,.{digits}f}, {high:,.{digits}f}]"


def whole_way(facts: Facts) -> dict[str, Any] | None:
    """The step of the ablation from naive to best, or None."""
    found = facts.part("ablation")
    return next((step for step in found["rows"] if step["axis"] == "all"), None) if found else None


def tail_of(row: dict[str, Any]) -> tuple[str, float] | None:
    """The furthest percentile that the sample bears."""
    return next(((name, row[name]) for name in _TAILS if row[name] is not None), None)


def _outcome(facts: Facts) -> str:
    fastest = facts.fastest
    if fastest is None:
        step = whole_way(facts)
        if step is None:
            return "Nothing was measured that a verdict could be drawn from."
        before, after = duration(step["from_ns_per_message"]), duration(step["to_ns_per_message"])
        return f"With every optimisation a message takes {after} instead of {before}: {times(step)} as fast."
    whole = duration(whole_ns(fastest))
    first = facts.engines[0]
    if fastest is first:
        others = [one for one in facts.engines if one is not fastest]
        than = f"; no other engine of {len(others)} was faster" if others else "; no other engine was measured"
        return f"{fastest['label'].capitalize()} takes {whole} per message from wire bytes to order{than}."
    ratio = facts.part("bench")["ratios"][fastest["label"]]
    return (
        f"The fastest engine, {fastest['label']}, takes {whole} per message from wire bytes to order, {first['label']} takes "
        f"{duration(whole_ns(first))}: the one makes {times(ratio)} the messages per second of the other{_not_apart(facts)}."
    )


def _not_apart(facts: Facts) -> str:
    """Which engines the fastest was not seen to differ from, round by round."""
    fastest = facts.fastest
    if fastest is None:
        return ""
    own = np.array(list(fastest["passes_ns"].values())[-1])
    others = [one for one in facts.engines if one is not fastest]
    close = [one["label"] for one in others if Interval.of(np.array(list(one["passes_ns"].values())[-1]) / own).low <= 1]
    return f"; round by round it was not seen to differ from {' and '.join(close)}, so who is fastest is open" if close else ""


def _where(facts: Facts) -> str:
    fastest, out = facts.fastest, []
    if fastest:
        shares = {part: max(ns, 0.0) for part, ns in fastest["stage_ns_per_message"].items()}
        part = max(shares, key=lambda name: shares[name])
        out.append(
            f"of a message in {fastest['label']} the greatest part, {shares[part] / (sum(shares.values()) or 1):.0%}, goes "
            f"into the stage {TITLES[part]}"
        )
    step = whole_way(facts)
    if step:
        told = "no optimisation alone was seen to make the naive Rust engine faster"
        alone = [one for one in facts.part("ablation")["rows"] if one["start"] == "naive" and one["verdict"].startswith("faster")]
        if alone:
            top = max(alone, key=lambda one: one["ratio"])
            told = f"{top['axis']} from {top['from']} to {top['to']} is worth most alone, {times(top)}"
        word = "faster" if step["verdict"].startswith("faster") else step["verdict"]
        out.append(f"all optimisations together make the naive Rust engine {times(step)} as fast ({word}); {told}")
    sentence = "; ".join(out) or f"which optimisation pays was not measured: {facts.missing('ablation')}"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _trust(facts: Facts) -> str:
    fastest, out = facts.fastest, []
    total = row_of(fastest, "total") if fastest else None
    tail = tail_of(total) if total else None
    if fastest and total and total["p50"] is not None and tail:
        out.append(
            f"end to end, {fastest['label']} has a median of {duration(total['p50'])} and a {tail[0]} of {duration(tail[1])}"
        )
    control = (facts.part("bench") or {}).get("control")
    if control:
        out.append(
            f"measured against itself in the same rounds, {control['engine']} came out {times(control)} as fast, which is what "
            f"this machine makes of nothing"
        )
    told = [one["agree"] for engine in facts.engines for one in engine["agreement"].values()]
    if told:
        out.append(f"stamps and whole passes agree for {sum(told)} of {len(told)} stages")
    sentence = "; ".join(out) or "there is no control in what was measured"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _tiles(facts: Facts) -> Tiles:
    fastest, tiles = facts.fastest, []
    if fastest:
        tiles.append((*_split(duration(whole_ns(fastest))), f"per message, {fastest['label']}"))
        tiles.append((f"{fastest['messages_per_s'] / 1e6:,.2f}", "M/s", f"messages, {fastest['label']}"))
        ratio = facts.part("bench")["ratios"].get(fastest["label"])
        if ratio:
            tiles.append((f"{ratio['median']:,.0f}", "times", f"the messages of {facts.engines[0]['label']}"))
        total = row_of(fastest, "total")
        tail = tail_of(total) if total else None
        if tail:
            tiles.append((*_split(duration(tail[1])), f"end to end, {tail[0]}"))
    step = whole_way(facts)
    if step:
        tiles.append((f"{step['ratio']:,.2f}", "times", "naive Rust to best"))
    return Tiles(tuple(tiles))


def _split(told: str) -> tuple[str, str]:
    number, _, unit = told.partition(" ")
    return number or NOT_KNOWN, unit
