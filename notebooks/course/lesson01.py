"""Exercises of lesson 01: an honest table of a coarse clock, response times, and whether B is faster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from course.exercise import Step, exercise
from hftlab.errors import ConfigError
from hftlab.experiments.open_loop import response_ns
from hftlab.measurement.distribution import has_enough_samples
from hftlab.measurement.paired import Paired

Array = np.ndarray[Any, Any]
Table = dict[str, float | None]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
#: Of exercise 3: number of A/A series, of series with a real difference of each kind, and rounds in each.
SAME, REAL, ROUNDS = 100, 20, 21


def readings(n: int, ns: float, spread: float = 0.25, seed: int = 1) -> Array:
    """n readings of a perfect clock before and after a call of about `ns`, (n, 2) int64 ns: generated, log-normal around it.

    The calls begin at any moment, so that a coarse clock cuts each of them elsewhere.
    """
    rng = np.random.default_rng(seed)
    start = np.cumsum(rng.integers(5_000, 50_000, n))
    return np.stack([start, start + np.maximum(rng.lognormal(np.log(ns), spread, n), 1).astype(np.int64)], axis=1)


def honest(stamps: Array, step: int) -> Table:
    """The solution of exercise 1: the table of a clock that counts in steps, None (n/a) where clock or sample is too coarse."""
    cut = stamps // step * step
    ns = cut[:, 1] - cut[:, 0]
    out: Table = {}
    for name, q in QUANTILES.items():
        value = float(np.quantile(ns, q))
        out[name] = value if has_enough_samples(len(ns), q) and value > step else None
    return out


def _table(answer: Any, stamps: Array, step: int) -> Table:
    """The table an answer gives, as plain numbers."""
    table = answer(stamps.copy(), step)
    if not isinstance(table, dict) or set(table) != set(QUANTILES):
        raise ConfigError(f"the answer must return a dict with {', '.join(QUANTILES)}, got {table!r}")
    return {name: None if table[name] is None else float(table[name]) for name in QUANTILES}


@exercise("01.1", "An honest table of a coarse clock", minutes=12)
def coarse(answer: Callable[[Array, int], Table]) -> Iterator[Step]:
    """answer(stamps, step) -> {"p50", "p95", "p99"} in ns, None for n/a."""
    short = np.tile(np.array([[1_999, 2_001]]), (20_000, 1))
    what = "readings of 1,999 and 2,001 ns on a clock of 100 ns become 1,900 and 2,000: one step, which says nothing; p50"
    yield Step.expect("one step", _table(answer, short, 100)["p50"], None, what)
    late = np.tile(np.array([[1_950, 2_240]]), (20_000, 1))
    yield Step.expect("cut", _table(answer, late, 100)["p50"], 300.0, "readings of 1,950 and 2,240 ns, each cut to 100 ns; p50")
    few = _table(answer, readings(1_000, 50_000, seed=2), 1_000)
    yield Step.claim(
        "samples",
        few["p50"] is not None and few["p95"] is None and few["p99"] is None,
        f"1,000 samples support p50, but neither p95 (50 beyond it) nor p99 (10): {few}",
    )
    for n, ns, seed in ((20_000, 850, 3), (20_000, 3_000, 4), (3_000, 9_000, 5), (20_000, 400, 6)):
        stamps = readings(n, ns, seed=seed)
        expected, got = honest(stamps, 1_000), _table(answer, stamps, 1_000)
        yield Step.expect("hidden", got, expected, f"{n:,} calls of about {ns:,} ns on a clock of 1,000 ns")


@exercise("01.2", "From service to response", minutes=12)
def lindley(answer: Callable[[Array, float], Array]) -> Iterator[Step]:
    """answer(service_ns, interval_ns) -> response times in ns, (n,)."""

    def of(service: list[float], interval: float) -> list[float]:
        return np.asarray(answer(np.array(service, np.float64), interval), np.float64).round(6).tolist()  # type: ignore[no-any-return]

    yield Step.expect("idle", of([3, 3, 3], 10), [3.0, 3.0, 3.0], "service 3, a message every 10: nobody waits; response")
    yield Step.expect("busy", of([3, 3, 3], 2), [3.0, 4.0, 5.0], "service 3, a message every 2: the queue grows; response")
    what = "service 2, 25, 2, 2, 2, a message every 10: after the stall two messages wait, then the queue is empty; response"
    yield Step.expect("stall", of([2, 25, 2, 2, 2], 10), [2.0, 25.0, 17.0, 9.0, 2.0], what)
    rng = np.random.default_rng(7)
    for load in (0.2, 0.7, 1.3):
        service = rng.exponential(1_000 * load, 3_000)
        got = np.asarray(answer(service.copy(), 1_000.0), np.float64)
        same = got.shape == service.shape and np.allclose(got, response_ns(service, 1_000.0), rtol=1e-9, atol=1e-3)
        yield Step.claim(
            "hidden", same, f"3,000 messages at {load:.0%} of the capacity of the server" + ("" if same else ": not equal")
        )
    hidden = np.full(10_000, 10_000.0)
    hidden[4_321] = 1e9
    tail = float(np.quantile(np.asarray(answer(hidden, 1e6)), 0.99) / np.quantile(hidden, 0.99))
    yield Step.claim(
        "tail", tail > 1_000, f"one stall among 10,000 messages: p99 of response is {tail:,.0f} times p99 of service"
    )


def series(kind: str, seed: int) -> tuple[Array, Array, Array]:
    """A made-up comparison, ns per message by round: a, b, and a once more; kind "same", "faster" or "slower".

    The machine has slow spells that last some rounds, and spikes that hit one contender alone. Some machines
    are calm, some rough.
    """
    rng = np.random.default_rng(seed)
    rough = rng.uniform(0.01, 0.15)
    level = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.12, ROUNDS)))
    truth = {"same": 1.0, "faster": 1 / 1.3, "slower": 1.3}[kind]
    out = []
    for factor in (1.0, truth, 1.0):
        noise = np.exp(rng.normal(0, rough, ROUNDS)) * np.where(rng.random(ROUNDS) < 0.08, rng.uniform(2, 6, ROUNDS), 1.0)
        out.append(level * factor * noise)
    return out[0], out[1], out[2]


@exercise("01.3", "Is B faster?", minutes=15)
def faster(answer: Callable[[Array, Array, Array], str]) -> Iterator[Step]:
    """answer(a, b, again) -> "faster", "slower" or "no difference seen": b compared with a."""
    words = ("faster", "slower", "no difference seen")
    calm = np.array([100.0, 101, 99, 100, 102, 98, 100])
    for factor, word in ((0.5, "faster"), (2.0, "slower"), (1.0, "no difference seen")):
        again = np.roll(calm, 1)
        yield Step.expect(
            "clear", answer(calm.copy(), calm[::-1] * factor, again), word, f"b takes {factor:g} times what a takes"
        )
    kinds = {"same": SAME, "faster": REAL, "slower": REAL}
    verdicts = {kind: [answer(*series(kind, seed)) for seed in range(n)] for kind, n in kinds.items()}
    wrong = [word for each in verdicts.values() for word in each if word not in words]
    yield Step.claim("words", not wrong, f"a verdict is one of {', '.join(words)}" + (f", got {wrong[0]!r}" if wrong else ""))
    false = sum(word != "no difference seen" for word in verdicts["same"])
    why = "" if false <= SAME // 50 else ": what does `again` tell you about this machine?"
    message = f"{false} of {SAME} A/A comparisons were called a difference; at most {SAME // 50} may be{why}"
    yield Step.claim("false alarms", not why, message)
    detected = {kind: sum(word == kind for word in verdicts[kind]) for kind in ("faster", "slower")}
    why = "" if min(detected.values()) >= REAL * 9 // 10 else ": compare round by round, the slow spells hit a and b alike"
    message = f"a real difference of 1.3x was detected {detected['faster']} and {detected['slower']} times of {REAL}"
    yield Step.claim("power", not why, f"{message}; it must be at least {REAL * 9 // 10}{why}")


def verdict(a: Array, b: Array, again: Array) -> str:
    """The verdict of hftlab itself on such series."""
    return Paired.of(a, b, again).outcome.value
