"""What this machine can do, line by line: state, why it matters, how to improve it. Never fails because something is missing.

hftlab.doctor()               everything, a second and a half
hftlab.doctor(quick=True)     without the spin that measures the noise floor
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hftlab.diagnostics import clocks, engines, network, processor, rights, tools
from hftlab.diagnostics.finding import SCHEMA as SCHEMA
from hftlab.diagnostics.finding import Diagnosis as Diagnosis
from hftlab.diagnostics.finding import Finding as Finding
from hftlab.measurement.machine import fingerprint

#: Area -> who looks at it; each takes the fingerprint and whether to be quick.
AREAS: dict[str, Callable[..., list[Finding]]] = {
    "engines": engines.look,
    "processor": processor.look,
    "system": processor.look_at_system,
    "network": network.look,
    "clocks": clocks.look,
    "rights": rights.look,
    "tools": tools.look,
}


def doctor(quick: bool = False) -> Diagnosis:
    """Look at everything. quick: no spin, so no noise floor."""
    machine = fingerprint()
    found = [replace(finding, area=area) for area, look in AREAS.items() for finding in look(machine, quick)]
    return Diagnosis(machine, tuple(found))


def examine(quick: bool = False) -> list[Finding]:
    """The lines of `doctor`."""
    return list(doctor(quick))
