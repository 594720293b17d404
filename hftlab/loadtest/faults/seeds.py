"""Days by the thousand: a seed makes a plan, the plan a day, and one that goes wrong is cut down to what it needs for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from hftlab.engine.engine import Engine
from hftlab.loadtest.faults.day import SHORT_EXCHANGE, SHORT_TRADER, Day, Plan
from hftlab.loadtest.faults.steps import Step

_BEGIN_US = 19_500  # soon the feed begins: the exchange has looked whether somebody is logged in
_LINES, _WAYS = ("A", "B"), ("up", "down")
#: What is drawn: kind, on what, how often beside the others.
_DRAWN: tuple[tuple[str, tuple[str, ...], int], ...] = (
    *((kind, ("A", "B", "AB", "AB", "answers"), 5) for kind in ("lose", "delay")),
    ("repeat", (*_LINES, "answers"), 2),
    *((kind, (*_LINES, "answers"), 1) for kind in ("flip", "shorten", "lengthen")),
    ("lose", ("requests",), 1),
    ("garble", ("AB",), 1),
    ("cut", _WAYS, 4),
    ("break", ("",), 3),
    ("stall", _WAYS, 4),
    ("swallow", ("",), 1),
    ("forget", ("",), 3),
    ("pause", ("exchange", "trader", "exchange and trader"), 4),
    ("crash", ("exchange", "trader"), 3),
    ("change", ("exchange",), 1),
    ("end", ("exchange",), 2),
    ("full", ("exchange", "trader"), 1),
    ("clock", ("exchange", "trader"), 1),
)
_AGAIN = ("crash", "change", "end")  # after these a process comes back
_WEIGHTS = [weight for _, _, weight in _DRAWN]


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(seed)
    messages, rate = random.choice((20, 24, 30, 40)), random.choice((4_000, 8_000))
    length_us = 1_000_000 * messages // rate + 2_000
    steps = sorted(_step(random, length_us) for _ in range(1 + min(int(random.expovariate(1 / 3)), 9)))
    steps = _apart(steps)
    trader = {**SHORT_TRADER, **random.choice(({}, {}, {"window": 4}, {"requests": ""}, {"version": "4.10"}))}
    exchange = {
        **SHORT_EXCHANGE,
        "batch": bool(random.randrange(4)),
        **random.choice(({}, {}, {"cancel_on_disconnect": False}, {"retransmit_window": 8})),
    }
    if any(step.kind in ("end", "change") for step in steps):
        trader["run_forever"] = True
    settle_us = random.choice((0, 0, 500, 20_000))
    # Of a session before the one that it meets when it comes back, only its journal tells a trader.
    journal = not random.randrange(4) or {"trader", "exchange"} <= {step.on for step in steps if step.kind in _AGAIN}
    return Plan(seed, 1 + seed % 8, "calm", messages, rate, settle_us, tuple(steps), exchange, trader, journal)


def _apart(steps: list[Step]) -> list[Step]:
    """Without what makes a day in which nobody can know the truth: an exchange that fails, or another session, while somebody
    could not write down what has happened."""
    if any(step.kind in _AGAIN and step.on == "exchange" for step in steps):
        return [step for step in steps if step.kind != "full"]
    return steps


def _step(random: Random, length_us: int) -> Step:
    kind, places, _ = random.choices(_DRAWN, _WEIGHTS)[0]
    for_us = int(random.choice((300, 3_000, 30_000, 120_000)) * random.uniform(0.3, 1.0))
    return Step(_BEGIN_US + random.randrange(length_us), kind, random.choice(places), for_us, random.choice((0.1, 0.3, 1.0)))


def shortest(plan: Plan, engine: Engine, fails: Callable[[Day], bool] | None = None) -> Plan:
    """The plan without every step that the failure does not need (Zeller and Hildebrandt, Simplifying and isolating
    failure-inducing input, IEEE TSE 28 (2002): ddmin), and with as few messages.

    fails : whether a day fails in the way that is looked into; by default, as the whole plan does
    """
    if fails is None:
        kind = alike(Day(plan, engine).run().failures)

        def fails(day: Day) -> bool:
            return alike(day.failures) == kind

    def still(steps: Sequence[Step]) -> bool:
        return fails(Day(replace(plan, steps=tuple(steps)), engine).run())

    plan = replace(plan, steps=tuple(_ddmin(list(plan.steps), still)))
    for messages in (10, 20, 30):
        if messages < plan.messages and fails(Day(shorter := replace(plan, messages=messages), engine).run()):
            return shorter
    return plan


def alike(failures: Sequence[str]) -> str:
    """What failures have in common that differ only in numbers."""
    return "".join(letter for letter in failures[0] if not letter.isdigit()) if failures else ""


def _ddmin(steps: list[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    if fails([]):
        return []
    parts = 2
    while len(steps) >= 2:
        size = -(-len(steps) // parts)
        for start in range(0, len(steps), size):
            rest = steps[:start] + steps[start + size :]
            if fails(rest):
                steps, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts >= len(steps):
                break
            parts = min(2 * parts, len(steps))
    return steps
