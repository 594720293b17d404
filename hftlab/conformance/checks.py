"""What a check is: one question to an engine under test. How the engine is asked, and the list of all checks.

What an engine does not offer is found out once, at the beginning; what needs it is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hftlab.engine.engine import Engine
from hftlab.engine.resolve import as_engine
from hftlab.engine.run import Run
from hftlab.engine.session import Session
from hftlab.engine.verify import Divergence, compare
from hftlab.events import EVENT_DTYPE
from hftlab.feeds.feed import Feed
from hftlab.protocols.itch_messages import build
from hftlab.settings import STAGES

_SYSTEM = build("S", event="O")
#: Ability -> a probe that an engine which has it survives; it may be wrong in it, but not leave it out.
_PROBES: dict[str, Any] = {
    "push_events": lambda session, backend: session.push_events(np.zeros(1, EVENT_DTYPE)),
    "apply": lambda session, backend: session.apply(0, 0, 0, 0, 0, 0, 0, 0),
    "push": lambda session, backend: session.push(b"\0\x0c" + _SYSTEM),
    "message": lambda session, backend: session.message(_SYSTEM),
    "decode": lambda session, backend: backend.decode(b"\0\x0c" + _SYSTEM),
    "best": lambda session, backend: session.best(1),
    "depth": lambda session, backend: session.depth(1),
    "queue": lambda session, backend: session.queue(1, 1, 1),
    "locate": lambda session, backend: session.locate(1),
    "names": lambda session, backend: session.names(),
}

Outcome = Literal["passed", "failed", "skipped"]


class Failed(Exception):  # noqa: N818 - it is an outcome
    """The engine broke a rule. `divergence` where it parted from the reference at one place."""

    def __init__(self, text: str, divergence: Divergence | None = None) -> None:
        super().__init__(text)
        self.divergence = divergence


class Skipped(Exception):  # noqa: N818
    """The engine does not offer what the check is about."""


def expect(what: str, actual: object, wanted: object) -> None:
    """Raise Failed, in a sentence, unless the two are equal."""
    if actual != wanted:
        raise Failed(f"{what} must be {wanted!r}, got {actual!r}")


@dataclass(frozen=True)
class EngineUnderTest:
    """An engine beside the reference.

    base   : the engine, with its variant or its own stages
    until  : its last stage
    absent : abilities it lacks, with the reason
    """

    base: Engine
    until: str
    absent: dict[str, str]

    @classmethod
    def of(cls, given: Any) -> EngineUnderTest:
        """Open what is given and find out what it offers.

        raises : HftlabError if it is no engine; whatever it raises itself when it is opened
        """
        last: NotImplementedError | None = None
        for until in STAGES[:0:-1]:
            try:
                base = as_engine(given, until=until)
                base.open()
            except NotImplementedError as error:
                last = error
                continue
            reason = f"its last stage is {until}" + (f" ({last})" if last and str(last) else "")
            stages = {stage: reason for stage in STAGES if STAGES.index(stage) > STAGES.index(until)}
            return cls(base, until, stages | _absent(base))
        raise Failed(f"it has no book stage, which is the least that can be judged ({last})")

    def needs(self, *abilities: str) -> None:
        """Raise Skipped if it lacks one of these."""
        for ability in abilities:
            if ability in self.absent:
                raise Skipped(f"it does not offer {ability}: {self.absent[ability]}")

    def engine(self, **more: Any) -> Engine:
        """It, with these settings and otherwise the default ones."""
        plain = {"until": self.until, "strict": False, "signal_config": None, "order_config": None, "risk_config": None}
        return self.base.replace(**{**plain, **more})

    def reference(self, **more: Any) -> Engine:
        """The Python engine with the same settings."""
        return Engine("python", **{"until": self.until, **more})

    def session(self, feed: Feed, *, reference: bool = False, **more: Any) -> Session:
        """A session that records every row, opened for `feed`: its own, or one of the reference."""
        engine = self.reference(**more) if reference else self.engine(**more)
        return engine.open(engine.settings(feed, record="all"))

    def same(self, feed: Feed, **more: Any) -> None:
        """Raise Failed at the first place where it and the reference part on `feed`."""
        self.needs(*(("push", "decode") if feed.wire == "itch" else ("push_events",)))
        verdict, _ = compare(self.reference(**more), self.engine(**more), feed)
        if verdict.divergence:
            raise Failed(f"on {feed.name}, {verdict.messages:,} messages, python and {self.base.label}:", verdict.divergence)

    def run(self, feed: Feed, **more: Any) -> Run:
        """Run it over a feed that breaks nothing."""
        self.needs("push" if feed.wire == "itch" else "push_events")
        return self.engine(**more).run(feed)


def _absent(engine: Engine) -> dict[str, str]:
    """What the engine leaves out, or says with NotImplementedError. Any other error is for the checks to find."""
    absent: dict[str, str] = {}
    for ability, probe in _PROBES.items():
        owner = engine.implementation if ability == "decode" else (session := engine.open())
        if not hasattr(owner, ability):
            absent[ability] = "there is no such method"
            continue
        try:
            probe(session, engine.implementation)
        except NotImplementedError as error:
            absent[ability] = str(error) or "NotImplementedError"
        except KeyboardInterrupt:
            raise
        except BaseException:  # a panic of a Rust engine is no Exception
            continue
    return absent


@dataclass(frozen=True)
class CheckResult:
    """What came of one check. `why` is empty for one that passed; `divergence`: where the engine parted from the reference."""

    name: str
    question: str
    outcome: Outcome
    why: str = ""
    divergence: Divergence | None = None

    @property
    def reason(self) -> str:
        """Why it failed or was skipped, with the place where the engine parted from the reference."""
        return "\n".join(map(str, filter(None, (self.why, self.divergence))))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "divergence": self.divergence and self.divergence.to_dict()}


@dataclass(frozen=True)
class Check:
    """One question to an engine. `ask` returns if the answer is yes, and raises Failed or Skipped; `needs` are abilities."""

    name: str
    question: str
    ask: Callable[[EngineUnderTest], None]
    needs: tuple[str, ...] = ()

    def __call__(self, subject: EngineUnderTest) -> CheckResult:
        """Ask it. Whatever the engine raises is a failure with its text; nothing but an interrupt comes through."""
        try:
            subject.needs(*self.needs)
            self.ask(subject)
        except Skipped as reason:
            return CheckResult(self.name, self.question, "skipped", str(reason))
        except Failed as failure:
            return CheckResult(self.name, self.question, "failed", str(failure), failure.divergence)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of a Rust engine and a sys.exit are no Exceptions
            return CheckResult(self.name, self.question, "failed", raised(error))
        return CheckResult(self.name, self.question, "passed")


def raised(error: BaseException) -> str:
    """An exception in a sentence, with the place in the engine's code where it was raised."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"it raised {type(error).__name__}: {error} ({place})"


#: Every check, in the order in which they are asked.
CHECKS: list[Check] = []


def check(*needs: str) -> Callable[[Callable[[EngineUnderTest], None]], None]:
    """Put a function on the list; its name is the check's, its docstring the question. An engine without these is not asked."""
    return lambda ask: CHECKS.append(Check(ask.__name__, (ask.__doc__ or "").strip(), ask, needs))
