"""The conformance suite: every check of the contract asked of one engine, then its speed. The report is the answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.conformance import cases, contract, entry_points, parity, wire
from hftlab.conformance.checks import CHECKS, Check, CheckResult, EngineUnderTest, Failed, raised
from hftlab.engine.engine import Engine, decode, synthetic
from hftlab.errors import HftlabError, UnknownName, check_whole
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.measurement.paired import MIN_ROUNDS, Paired, check_rounds, interleave
from hftlab.presentation.document import Table, table
from hftlab.presentation.progress import track
from hftlab.presentation.result import Result

if TYPE_CHECKING:
    import polars as pl

#: The modules that hold the checks; each puts its own on the list when it is imported.
PARTS = (contract, cases, entry_points, wire, parity)
OUTCOMES = ("passed", "failed", "skipped")
SPEED_MESSAGES = 10_000


@dataclass(frozen=True)
class Speed:
    """Whole passes in ns per message, one value per round. `again_ns` is a second copy of the engine: the A/A control."""

    feed: str
    messages: int
    reference_ns: tuple[float, ...]
    engine_ns: tuple[float, ...]
    again_ns: tuple[float, ...]

    @property
    def paired(self) -> Paired:
        """The reference against the engine, round by round."""
        return Paired.of(np.array(self.engine_ns), np.array(self.reference_ns), np.array(self.again_ns))

    def __str__(self) -> str:
        paired = self.paired
        return (
            f"speed: {median(self.engine_ns):,.1f} ns per message, {median(self.reference_ns):,.1f} of python, "
            f"{paired.ratio.inverse()} its messages per second; A/A control {paired.control} "
            f"({self.feed}, {len(self.engine_ns)} rounds)"
        )


@dataclass(frozen=True)
class ConformanceReport(Result):
    """The answers of the suite. True in a condition if nothing failed and something passed.

    engine   : what was tested
    results  : one per check, in the order in which they were asked
    speed    : beside the reference; None if it was not measured, `no_speed` says why
    """

    engine: str
    results: tuple[CheckResult, ...]
    speed: Speed | None = None
    no_speed: str = ""

    def __bool__(self) -> bool:
        return not self.count("failed") and bool(self.count("passed"))

    def count(self, outcome: str) -> int:
        """How many checks passed, failed or were skipped."""
        return sum(result.outcome == outcome for result in self.results)

    def __getitem__(self, name: str) -> CheckResult:
        """The result of one check. Raises UnknownName with the known ones."""
        for result in self.results:
            if result.name == name:
                return result
        raise UnknownName("check", name, [result.name for result in self.results])

    def headline(self) -> str:
        tally = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in OUTCOMES)
        return f"{self.engine} {'conforms' if self else 'DOES NOT CONFORM'}: {tally}"

    def tables(self) -> list[Table]:
        rows = [(result.outcome, result.name, result.question) for result in self.results]
        return [
            table("Checks", ("outcome", "check", "question"), rows, words=3),
            *(part for result in self.results if result.divergence for part in result.divergence.tables()),
        ]

    def notes(self) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for result in self.results:
            if result.outcome != "passed":
                where = f" {result.divergence.headline()}" if result.divergence else ""
                reasons.setdefault(f"{result.outcome}: {result.why}{where}", []).append(result.name)
        speed = str(self.speed) if self.speed else f"speed: not measured, {self.no_speed}"
        return [*(f"{', '.join(names)} {reason}" for reason, names in reasons.items()), speed]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "engine": self.engine,
            "conforms": bool(self),
            "checks": [result.to_dict() for result in self.results],
            "speed": self.speed and {**asdict(self.speed), "ratio": self.speed.paired.ratio.inverse().to_dict()},
            "no_speed": self.no_speed,
        }

    def frame(self) -> pl.DataFrame:
        """One row per check: name, question, outcome, why, what (the field that differs), index (of the message)."""
        import polars as pl

        rows = [
            (r.name, r.question, r.outcome, r.why, r.divergence and r.divergence.what, r.divergence and r.divergence.index)
            for r in self.results
        ]
        schema = dict.fromkeys(("name", "question", "outcome", "why", "what"), pl.String) | {"index": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")


def engine(given: Any, *, checks: Iterable[str] = (), rounds: int = 6) -> ConformanceReport:
    """Ask every check of an engine, then measure it beside the reference.

    given  : whatever `hftlab.as_engine` makes an engine of
    checks : names of the checks to ask; all by default
    rounds : interleaved rounds of the measurement, 3 to 1000, 0 for none. Its result is shown and decides nothing
    raises : HftlabError if it is no engine, UnknownName for a check. What the engine itself raises is a failed check
    """
    if check_whole("rounds", rounds, 0):
        check_rounds(rounds)
    chosen = select(checks)
    try:
        subject = EngineUnderTest.of(given)
    except (HftlabError, KeyboardInterrupt):
        raise
    except BaseException as error:
        why = str(error) if isinstance(error, Failed) else raised(error)
        opens = CheckResult("opens", "can a session be opened?", "failed", why)
        return ConformanceReport(str(given), (opens,), no_speed="it cannot be opened")
    results = tuple(each(subject) for each in track(chosen, "checks", len(chosen)))
    report = ConformanceReport(subject.base.label, results)
    if rounds and not report:
        return ConformanceReport(report.engine, results, no_speed="an engine that differs is not timed")
    speed, why = _speed(subject, rounds) if rounds else (None, f"no rounds were asked for (at least {MIN_ROUNDS})")
    return ConformanceReport(report.engine, results, speed, why)


def select(names: Iterable[str] = ()) -> list[Check]:
    """The checks of these names, in the suite's order; all of them for none. Raises UnknownName with the known ones."""
    wanted, known = set(names), [each.name for each in CHECKS]
    for name in sorted(wanted - set(known)):
        raise UnknownName("check", name, known)
    return [each for each in CHECKS if not wanted or each.name in wanted]


def _speed(subject: EngineUnderTest, rounds: int) -> tuple[Speed | None, str]:
    """The speed, or None and why it could not be measured."""
    feed: Feed = synthetic("calm", SPEED_MESSAGES, 1)
    if "push" in subject.absent:
        feed = EventFeed(decode(feed, "python"), symbols=feed.symbols, name=f"events of {feed.name}")
    engines = {"reference_ns": subject.reference(), "engine_ns": subject.engine(), "again_ns": subject.engine()}
    try:
        series = interleave({name: partial(_pass, each, feed) for name, each in engines.items()}, rounds, what="speed")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, raised(error)
    return Speed(feed.name, SPEED_MESSAGES, **{name: tuple(map(float, values)) for name, values in series.items()}), ""


def _pass(subject: Engine, feed: Feed) -> float:
    return subject.run(feed, record="none").ns_per_message
