"""The conformance suite: every check of the contract asked of one engine, then its speed. The report is the answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hftlab.conformance import contract, entry_points, parity
from hftlab.conformance.checks import CHECKS, Check, CheckResult, EngineUnderTest, Failed, raised
from hftlab.engine.engine import decode, synthetic
from hftlab.errors import HftlabError, UnknownName, check_whole
from hftlab.feeds.feed import EventFeed, Feed
from hftlab.measurement.paired import MIN_ROUNDS, Paired, check_rounds, run_paired
from hftlab.presentation.document import Table, table
from hftlab.presentation.progress import track
from hftlab.presentation.result import Result

if TYPE_CHECKING:
    import polars as pl

#: The modules that hold the checks; each puts its own on the list when it is imported.
PARTS = (contract, entry_points, parity)
OUTCOMES = ("passed", "failed", "skipped")
SPEED_MESSAGES = 10_000


@dataclass(frozen=True)
class ConformanceReport(Result):
    """The answers of the suite. True in a condition if nothing failed and something passed.

    engine   : what was tested
    results  : one per check, in the order in which they were asked
    speed    : against the reference, its base; None if it was not measured, `no_speed` says why
    """

    engine: str
    results: tuple[CheckResult, ...]
    speed: Paired | None = None
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
        return [*(f"{', '.join(names)} {reason}" for reason, names in reasons.items()), f"speed: {self._speed()}"]

    def _speed(self) -> str:
        if not self.speed:
            return f"not measured, {self.no_speed}"
        ns, base, ratio, control = self.speed.ns, self.speed.base_ns, self.speed.ratio, self.speed.control
        of = f"{SPEED_MESSAGES:,} calm messages"
        return f"{ns:,.1f} ns per message, {base:,.1f} of python ({ratio}; A/A control {control}; {of})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "engine": self.engine,
            "conforms": bool(self),
            "checks": [result.to_dict() for result in self.results],
            "speed": self.speed and asdict(self.speed),
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


def _speed(subject: EngineUnderTest, rounds: int) -> tuple[Paired | None, str]:
    """The speed, or None and why it could not be measured."""
    feed: Feed = synthetic("calm", SPEED_MESSAGES, 1)
    if "push" in subject.absent:
        feed = EventFeed(decode(feed, "python"), symbols=feed.symbols, name=f"events of {feed.name}")
    engines = {"python": subject.reference(), "engine": subject.engine()}
    try:
        series = run_paired(engines, feed, rounds, twice=["python"], what="speed")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, raised(error)
    return Paired.of(series["python", 0], series["engine", 0], series["python", 1]), ""
