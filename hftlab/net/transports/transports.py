"""The transports by name, and which of them carry a message here. They are in the Rust engine (rust_ext/src/net/transport/).

`works` is not a guess: a pair of endpoints was made and a message was sent over it and came out as it went in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hftlab.callable_module import make_callable
from hftlab.engine.session import resolve
from hftlab.errors import BackendMissing
from hftlab.measurement.machine import describe, fingerprint
from hftlab.measurement.result import Result

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "hftlab-transports/1"


@dataclass(frozen=True)
class Probe:
    """One transport, tried.

    errno : of the step that failed; 0 if it works, or if no call of the system was to blame
    why   : the step and what the system said, "" if it works
    needs : rights it needs, "" for none
    sleeps: whether it sleeps in the kernel while it waits; otherwise it keeps a core busy
    """

    name: str
    what: str
    works: bool
    errno: int
    why: str
    needs: str
    sleeps: bool


@dataclass(frozen=True)
class Transports(Result):
    """Every transport, in the order in which they are registered."""

    probes: tuple[Probe, ...]
    machine: dict[str, Any]

    def __getitem__(self, name: str) -> Probe:
        """By name. Raises KeyError."""
        return {probe.name: probe for probe in self.probes}[name]

    def working(self) -> tuple[str, ...]:
        """Names of those that work here."""
        return tuple(probe.name for probe in self.probes if probe.works)

    def frame(self) -> pl.DataFrame:
        """One row per transport: name, works, errno, why, needs, sleeps, what."""
        import polars as pl

        names = {"name": pl.String, "works": pl.Boolean, "errno": pl.Int64, "why": pl.String, "needs": pl.String}
        schema = {**names, "sleeps": pl.Boolean, "what": pl.String}
        return pl.DataFrame([{name: getattr(probe, name) for name in schema} for probe in self.probes], schema=schema)

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "transports": [asdict(probe) for probe in self.probes], "machine": self.machine}

    def lines(self) -> list[str]:
        """What a table cannot say, a sentence each."""
        return [describe(self.machine)]

    def __str__(self) -> str:
        width = max(len(probe.name) for probe in self.probes)
        rows = []
        for one in self.probes:
            told = one.what if one.works else f"{one.why}{f' (needs {one.needs})' if one.needs else ''}"
            rows.append(f"{'works' if one.works else '--':<5} {one.name:<{width}}  {told}")
        return "\n".join([*rows, *self.lines()])

    def __repr__(self) -> str:
        return f"<Transports: {len(self.working())} of {len(self.probes)} work here>"


def engine() -> Any:
    """The Rust engine, which has the transports. Raises BackendMissing where it is not there, or is older than they are."""
    module: Any = resolve("rust")[1]
    if not hasattr(module, "transports"):
        raise BackendMissing("the Rust engine that is installed has no transports; build it anew: make rust")
    return module


def transports() -> Transports:
    """Try every transport: make a pair, carry a message. Raises BackendMissing without the Rust engine."""
    module = engine()
    rows = module.transports()
    probes = []
    for name, what, needs, sleeps in rows:
        works, errno, why = module.transport_probe(name)
        probes.append(Probe(name, what, works, errno, why, needs, sleeps))
    return Transports(tuple(probes), fingerprint())


make_callable(__name__)
