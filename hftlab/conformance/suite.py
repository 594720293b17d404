"""The conformance suite: every check of the contract asked of one engine, then its speed. The report is the answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hftlab.conformance import cases, contract, parity, ways, wire
from hftlab.conformance.candidate import Candidate, Failed
from hftlab.conformance.checks import CHECKS, Check, Result, raised
from hftlab.conformance.speed import Speed, measure_speed
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.presentation.progress import track

if TYPE_CHECKING:
    import polars as pl

#: The modules that hold the checks; each puts its own on the list when it is imported.
PARTS = (contract, cases, ways, wire, parity)


@dataclass(frozen=True)
class Report:
    """What the suite found. True in a condition if nothing failed and something passed.

    candidate : what was judged
    results   : one per check, in the order in which they were asked
    speed     : beside the reference; None if it was not measured, `no_speed` says why
    """

    candidate: str
    results: tuple[Result, ...]
    speed: Speed | None = None
    no_speed: str = ""

    def __bool__(self) -> bool:
        return not self.count("failed") and bool(self.count("passed"))

    def count(self, outcome: str) -> int:
        """How many checks passed, failed or were skipped."""
        return sum(result.outcome == outcome for result in self.results)

    def __getitem__(self, name: str) -> Result:
        """The result of one check. Raises UnknownName with the known ones."""
        for result in self.results:
            if result.name == name:
                return result
        raise UnknownName("check", name, [result.name for result in self.results])

    def __str__(self) -> str:
        lines = list(map(str, self.results))
        tally = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in ("passed", "failed", "skipped"))
        lines.append(f"{self.candidate} {'conforms' if self else 'DOES NOT CONFORM'}: {tally}")
        lines.append(str(self.speed) if self.speed else f"speed: not measured, {self.no_speed}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "candidate": self.candidate,
            "conforms": bool(self),
            "checks": [result.to_dict() for result in self.results],
            "speed": self.speed and self.speed.to_dict(),
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


def conformance(candidate: Any, *, checks: Iterable[str] = (), rounds: int = 5) -> Report:
    """Ask every check of an engine, then measure it beside the reference.

    candidate : name of a backend, "module:attribute", "path.py:attribute", a backend object, the class of one stage, or an Engine
    checks    : names of the checks to ask; all by default
    rounds    : interleaved rounds of the measurement, 0 for none. Its result is shown and decides nothing
    raises    : HftlabError if the candidate is no engine, UnknownName for a check. What the candidate raises is a failed check
    """
    if not 0 <= rounds <= 1000:
        raise ConfigError(f"rounds is {rounds}; allowed is 0 to 1000")
    chosen = select(checks)
    try:
        judged = Candidate.of(candidate)
    except (HftlabError, KeyboardInterrupt):
        raise
    except BaseException as error:
        why = str(error) if isinstance(error, Failed) else raised(error)
        opens = Result("opens", "can a session be opened?", "failed", why)
        return Report(str(candidate), (opens,), no_speed="it cannot be opened")
    results = tuple(one(judged) for one in track(chosen, "checks", len(chosen)))
    report = Report(judged.base.label, results)
    if rounds and not report:
        return Report(report.candidate, results, no_speed="there is no clock before equality")
    speed, why = measure_speed(judged, rounds) if rounds else (None, "0 rounds were asked for")
    return Report(report.candidate, results, speed, why)


def select(names: Iterable[str] = ()) -> list[Check]:
    """The checks of these names, in the suite's order; all of them for none. Raises UnknownName with the known ones."""
    wanted, known = set(names), [one.name for one in CHECKS]
    for name in sorted(wanted - set(known)):
        raise UnknownName("check", name, known)
    return [one for one in CHECKS if not wanted or one.name in wanted]
