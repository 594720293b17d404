"""doctor(): what this machine can do, line by line: state, why it matters, how to improve it. Never fails because something is
missing."""

from __future__ import annotations

from hftlab.diagnostics.probes import probes
from hftlab.diagnostics.result import Diagnosis as Diagnosis
from hftlab.diagnostics.result import Finding as Finding
from hftlab.measurement.machine import fingerprint


def doctor(quick: bool = False) -> Diagnosis:
    """Probe engines, processor, system, network, clocks, rights and tools, in about 1.5 seconds.

    quick : without the spin of 0.7 seconds that measures the noise floor
    """
    machine = fingerprint()
    return Diagnosis(machine, tuple(probe.finding(machine) for probe in probes(quick)))
