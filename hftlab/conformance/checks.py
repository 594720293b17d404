"""What a check is, what comes of it, and the list of all of them, filled by the modules that hold them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hftlab.conformance.candidate import Candidate, Failed, Skipped
from hftlab.engine.divergence import Divergence

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One question to a candidate. `ask` returns if the answer is yes, and raises Failed or Skipped."""

    name: str
    question: str
    ask: Callable[[Candidate], None]

    def __call__(self, candidate: Candidate) -> Result:
        """Ask it. Whatever the candidate raises is a failure with its text; nothing but an interrupt comes through."""
        try:
            self.ask(candidate)
        except Skipped as reason:
            return Result(self.name, self.question, "skipped", str(reason))
        except Failed as failure:
            return Result(self.name, self.question, "failed", str(failure), failure.divergence)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of a Rust engine and a sys.exit are no Exceptions
            return Result(self.name, self.question, "failed", raised(error))
        return Result(self.name, self.question, "passed")


@dataclass(frozen=True)
class Result:
    """What came of one check. `why` is empty for one that passed."""

    name: str
    question: str
    outcome: Outcome
    why: str = ""
    divergence: Divergence | None = None

    def __str__(self) -> str:
        head = f"{self.outcome:<7} {self.name}: {self.question}"
        return "\n".join([head, *(f"        {line}" for line in self.reason.splitlines())])

    @property
    def reason(self) -> str:
        """Why it failed or was skipped, with the place where the candidate parted from the reference."""
        return "\n".join(map(str, filter(None, (self.why, self.divergence))))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "divergence": self.divergence and self.divergence.to_dict()}


def raised(error: BaseException) -> str:
    """An exception in a sentence, with the place in the candidate's code where it was raised."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"it raised {type(error).__name__}: {error} ({place})"


#: Every check, in the order in which they are asked.
CHECKS: list[Check] = []


def check(ask: Callable[[Candidate], None]) -> Callable[[Candidate], None]:
    """Put a function on the list; its name is the check's, its docstring the question."""
    CHECKS.append(Check(ask.__name__, (ask.__doc__ or "").strip(), ask))
    return ask
