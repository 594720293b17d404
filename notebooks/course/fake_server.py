"""A server whose service times are given: nothing is timed, so that a measurement of it can be compared with theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hftlab.errors import check_range
from hftlab.loadtest.schedule import Times
from hftlab.loadtest.target import Batches, Target, Timings


class FakeServer(Target):
    """A target of hftlab.loadtest: one call at a time, in order, each takes `service_ns`.

    stalls : call number (from 0) -> ns that this call takes instead
    raises : ConfigError for a time below 1 ns
    """

    def __init__(self, service_ns: float = 100_000, label: str = "fake", stalls: Mapping[int, float] | None = None) -> None:
        for ns in (service_ns, *(stalls or {}).values()):
            check_range("the time of a call", ns, 1, unit="ns")
        self.label, self.service_ns, self.stalls = label, service_ns, dict(stalls or {})

    def open(self) -> FakeSession:
        return FakeSession(self)

    def service_times(self, calls: int) -> np.ndarray[Any, Any]:
        """Of so many calls in a row, ns, (calls,)."""
        service = np.full(calls, float(self.service_ns))
        for call, ns in self.stalls.items():
            service[call : call + 1] = ns
        return service


class FakeSession:
    """One run."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def push(self, data: bytes) -> None:
        """Takes no time."""

    def drive(self, batches: Batches, due: Times) -> Timings:
        service = self.server.service_times(len(due))
        done = completion_times(due, service)
        return Timings(due, (done - service).astype(np.int64), done.astype(np.int64))


def completion_times(due: np.ndarray[Any, Any], service: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Completion of each call, ns, (n,): done_i = max(due_i, done_(i-1)) + service_i (Lindley 1952)."""
    spent = np.cumsum(service)
    done: np.ndarray[Any, Any] = spent + np.maximum.accumulate(due - (spent - service))
    return done
