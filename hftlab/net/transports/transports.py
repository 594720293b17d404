"""The transports by name, and which of them carry a message here. They are in the Rust engine (rust_ext/src/net/transport/).

`works` is not a guess: a pair of endpoints was made and a message was sent over it and came out as it went in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hftlab.engine.session import resolve
from hftlab.errors import BackendMissing, ConfigError, HftlabError, check_choice
from hftlab.measurement import system
from hftlab.measurement.machine import describe, fingerprint
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import StoredResult

if TYPE_CHECKING:
    import polars as pl


Way = TypeVar("Way")


@dataclass(frozen=True)
class ThreadPlacement:
    """Where the two threads of a measurement run.

    cores    : one each; None: not pinned
    realtime : SCHED_FIFO for both, in bursts with rests between them
    """

    cores: tuple[int | None, int | None] = (None, None)
    realtime: bool = False

    @classmethod
    def choose(cls, cores: tuple[int, int] | None = None, realtime: bool = False) -> ThreadPlacement:
        """The cores asked for, else the first two that are allowed, else none. Raises ConfigError for cores it cannot have."""
        allowed = system.affinity()
        if cores is None:
            return cls((allowed[0], allowed[1]) if len(allowed) > 1 else (None, None), realtime)
        for core in cores:
            if allowed and core not in allowed:
                raise ConfigError(f"cores must be of {', '.join(map(str, allowed))}, got {core}")
        if cores[0] == cores[1]:
            raise ConfigError(f"cores must be two different ones, got {cores[0]} twice: the two ends would wait for each other")
        return cls(cores, realtime)

    @property
    def single_core(self) -> bool:
        """Whether both threads share the only core there is."""
        return self.cores[0] is None

    def describe(self, refused: tuple[str, ...] = ()) -> str:
        """In words. refused : what the system did not allow of it"""
        where = "not pinned" if self.single_core else f"cores {self.cores[0]} and {self.cores[1]}"
        return f"{where}, {'real-time' if self.realtime and not refused else 'default'} scheduling"


@dataclass(frozen=True)
class Probe:
    """One transport, tried.

    errno : of the step that failed; 0 if it works, or if no system call was to blame
    why   : the step and what the system answered, "" if it works
    needs : rights it needs, "" for none
    sleeps: whether it sleeps in the kernel while it waits; otherwise it keeps a core busy
    """

    name: str
    works: bool
    errno: int
    why: str
    needs: str
    sleeps: bool
    what: str

    def reason(self, single_core: bool) -> str:
        """Why it cannot be measured, "" if it can. single_core : both ends have the same core"""
        if not self.works:
            return self.why + (f" (errno {self.errno})" if self.errno else "")
        return "it spins, and there is one core for both ends" if single_core and not self.sleeps else ""


@dataclass(frozen=True)
class TransportList(StoredResult):
    """Every transport, in the order in which they are registered."""

    schema = "hftlab-transports/2"

    probes: tuple[Probe, ...]
    machine: dict[str, Any]

    def __getitem__(self, name: str) -> Probe:
        """By name. Raises UnknownName."""
        known = {probe.name: probe for probe in self.probes}
        return known[check_choice("transport", name, known)]

    def working(self) -> tuple[str, ...]:
        """Names of those that work here."""
        return tuple(probe.name for probe in self.probes if probe.works)

    def frame(self) -> pl.DataFrame:
        """One row per transport: name, works, errno, why, needs, sleeps, what."""
        import polars as pl

        return pl.DataFrame([asdict(probe) for probe in self.probes])

    def tables(self) -> list[Table]:
        rows = [
            (probe.name, "yes" if probe.works else "no", probe.what if probe.works else f"{probe.reason(False)}", probe.needs)
            for probe in self.probes
        ]
        return [table("transports", ("transport", "works", "what it is, or why not", "needs"), rows, words=4)]

    def notes(self) -> list[str]:
        return [describe(self.machine)]

    def __repr__(self) -> str:
        return f"<TransportList: {len(self.working())} of {len(self.probes)} work here>"


def rust_transports() -> Any:
    """The Rust engine, which has the transports. Raises BackendMissing where it is not there, or is older than they are."""
    module: Any = resolve("rust")[1]
    if not hasattr(module, "transports"):
        raise BackendMissing("the Rust engine that is installed has no transports; build it anew: make rust")
    return module


def probe(name: str) -> Probe:
    """One transport, tried: make a pair, carry a message. Raises BackendMissing, UnknownName."""
    module = rust_transports()
    known = {row[0]: row for row in module.transports()}
    _, what, needs, sleeps = known[check_choice("transport", name, known)]
    works, errno, why = module.transport_probe(name)
    return Probe(name, works, errno, why, needs, sleeps, what)


def transport_names() -> tuple[str, ...]:
    """Every transport, whether it works here or not. Raises BackendMissing."""
    return tuple(row[0] for row in rust_transports().transports())


def choose_working(asked: Iterable[Way], every: Iterable[Way], reason: Callable[[Way], str]) -> tuple[list[Way], list[str]]:
    """What is to be measured, and why the rest is not, a sentence each.

    asked  : ways asked for, which must work here; none: those of `every` that do
    reason : why a way cannot be measured, "" if it can
    raises : HftlabError for one asked for that does not work here, or where none does
    """
    wanted = list(dict.fromkeys(asked))
    reasons = {way: reason(way) for way in wanted or every}
    chosen = [way for way, why in reasons.items() if not why]
    skipped = [f"{way}: {why}" for way, why in reasons.items() if why]
    if not chosen or (wanted and skipped):
        raise HftlabError(f"not available here: {'; '.join(skipped)}")
    return chosen, skipped


def list_transports() -> TransportList:
    """Try every transport. Raises BackendMissing without the Rust engine."""
    return TransportList(tuple(map(probe, transport_names())), fingerprint())
