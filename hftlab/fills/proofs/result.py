"""prove(feed): every proof of the simulator that a machine can repeat in seconds, a row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hftlab.engine.engine import Engine, decode
from hftlab.engine.session import backends
from hftlab.errors import HftlabError, check_whole
from hftlab.feeds.feed import Feed
from hftlab.fills.accounts import SCHEDULES
from hftlab.fills.attempts import decide
from hftlab.fills.delays import constant
from hftlab.fills.proofs.brownian import exact, simulated
from hftlab.fills.proofs.checks import CHECKS, run_checks
from hftlab.fills.proofs.leave_one_out import leave_one_out
from hftlab.fills.proofs.oracle import oracle
from hftlab.fills.proofs.planted import planted_value, same_against_same
from hftlab.fills.simulation import exchange_events, simulate
from hftlab.measurement.storage import StoredResult
from hftlab.presentation.document import Table, table

#: Messages of the feed that the slower proofs look at.
HEAD = 3_000


@dataclass(frozen=True)
class Proof:
    """One question. found: what came out; bar: what must; holds: whether it does."""

    name: str
    found: str
    bar: str
    holds: bool


@dataclass(frozen=True, repr=False)
class Proofs(StoredResult):
    """The proofs of the simulator on one feed, and on generated markets."""

    schema = "hftlab-proofs/1"
    feed: str
    rows: tuple[Proof, ...]

    def records(self) -> list[dict[str, Any]]:
        """One per proof: name, found, bar, holds."""
        return [{name: getattr(row, name) for name in ("name", "found", "bar", "holds")} for row in self.rows]

    def headline(self) -> str:
        return f"{sum(row.holds for row in self.rows)} of {len(self.rows)} proofs of the simulator hold"

    def tables(self) -> list[Table]:
        rows = [(row.name, row.found, row.bar, "yes" if row.holds else "NO") for row in self.rows]
        return [table("Why the fills may be believed", ("proof", "found", "must be", "holds"), rows, words=4)]


def prove(feed: Feed, *, seeds: int = 4, backend: str = "auto") -> Proofs:
    """Repeat the proofs: named rules, the exchange as oracle, orders left out, both simulators, planted values, the known limit.

    seeds : of the planted markets, 1 to 1000
    """
    check_whole("seeds", seeds, 1, 1_000)
    asked: tuple[Callable[[], Iterator[Proof]], ...] = (
        lambda: _rules(backend),
        lambda: _oracle(feed),
        lambda: _left_out(feed, backend),
        lambda: _twins(feed),
        lambda: _planted(seeds, backend),
        lambda: _limit(backend),
    )
    return Proofs(feed.name, tuple(proof for ask in asked for proof in ask()))


def _rules(backend: str) -> Iterator[Proof]:
    wrong = run_checks(lambda feed, sent: simulate(feed, sent, backend=backend))
    broken = ", ".join(wrong) or "none"
    yield Proof(f"{len(CHECKS) + 1} rules of the queue and of money, by name", f"broken: {broken}", "broken: none", not wrong)


def _oracle(feed: Feed) -> Iterator[Proof]:
    result = oracle(feed)
    named = sum(n for name, n in result.exceptions.items() if name != "stayed")
    exceptions = "".join(f"; {name} {n:,}" for name, n in result.exceptions.items())
    found = f"{result.front:,} of {result.executions:,}{exceptions}"
    holds = result.front + named >= 0.995 * result.executions
    yield Proof("executions hit the order predicted", found, "all but classified ones", holds)


def _left_out(feed: Feed, backend: str) -> Iterator[Proof]:
    result = leave_one_out(feed.head(HEAD), orders=20, backend=backend)
    found = f"{result.equal:,} of {result.tested:,}, {result.fills:,} executions"
    yield Proof("orders left out and put back get their own fills", found, "all", result.equal == result.tested)


def _twins(feed: Feed) -> Iterator[Proof]:
    """Both simulators, and an account that reconciles."""
    events = decode(feed)
    try:
        _, attempts = decide(feed, events, exchange_events(feed, len(events)), "join", 100, "exchange", Engine(until="book"))
    except HftlabError:
        return
    sent = attempts.requests([constant(0), constant(100_000)], 5_000_000_000, 1)
    python = simulate(feed, sent, backend="python")
    account = python.account(fees=SCHEDULES["us-maker-taker"])
    account.reconcile(python.fills[python.fills["world"] == 0])
    n = len(python.fills)
    yield Proof("position, cash and fees reconcile to the unit", f"{n:,} fills", "to the unit", True)
    if any(info.name == "rust" and info.available for info in backends()):
        rust = simulate(feed, sent, backend="rust")
        same = python.fills.tobytes() == rust.fills.tobytes() and python.orders.tobytes() == rust.orders.tobytes()
        yield Proof("the Python and the Rust simulator", f"{n:,} fills {'identical' if same else 'DIFFER'}", "identical", same)


def _planted(seeds: int, backend: str) -> Iterator[Proof]:
    result = planted_value(seeds, backend=backend)
    n = len(result.rows) * seeds
    found = f"within {result.worst_error:.1%}; {result.coverage:.1%} of {n:,} intervals hold it"
    yield Proof("a planted value is recovered", found, "within 2 % and 93 to 97 % at 100 seeds", result.coverage >= 0.8)
    same = same_against_same(seeds, backend=backend)
    yield Proof("one latency against itself", f"no difference in {same} of {seeds}", "95 of 100", same >= 0.75 * seeds)


def _limit(backend: str) -> Iterator[Proof]:
    ratios = [simulated(0.006, 0.01, dt, 20_000, backend=backend) / exact(0.006, 0.01, dt) for dt in (1e-6, 1e-5, 1e-4, 1e-3)]
    found = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    holds = all(abs(ratio - 1) < 0.05 for ratio in ratios)
    yield Proof("cost of latency on Brownian prices, 1 µs to 1 ms", f"{found} of Moallemi and Saglam's", "within 5 %", holds)
