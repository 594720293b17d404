"""A server that is known to the nanosecond: nothing is timed, so what is measured of it can be held against theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hftlab.errors import ConfigError
from hftlab.loadtest.schedule import Times
from hftlab.loadtest.target import Calls, Driven


class Known:
    """A target for hftlab.loadtest: one call at a time, in order, each takes `service_ns`.

    stalls : call number (from 0) -> ns that this call takes instead
    raises : ConfigError for a time that is not above 0
    """

    def __init__(self, service_ns: float = 100_000, label: str = "known", stalls: Mapping[int, float] | None = None) -> None:
        if not min([service_ns, *(stalls or {}).values()]) > 0:
            raise ConfigError(f"a server of {service_ns} ns a call; allowed are times above 0")
        self.label, self.service_ns, self.stalls = label, service_ns, dict(stalls or {})

    def open(self) -> KnownLine:
        return KnownLine(self)


class KnownLine:
    """One run."""

    def __init__(self, server: Known) -> None:
        self.server = server

    def push(self, data: bytes) -> None:
        """Takes no time."""

    def drive(self, calls: Calls, due: Times) -> Driven:
        service = np.full(len(due), float(self.server.service_ns))
        for call, ns in self.server.stalls.items():
            service[call : call + 1] = ns
        done = served(due, service)
        return Driven(due, (done - service).astype(np.int64), done.astype(np.int64))

    def finish(self) -> dict[str, Any]:
        return {}

    def counters(self) -> dict[str, Any]:
        return {}

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        return []


def served(due: np.ndarray[Any, Any], service: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """When each call is done, ns, (n,): done_i = max(due_i, done_(i-1)) + service_i (Lindley 1952)."""
    spent = np.cumsum(service)
    done: np.ndarray[Any, Any] = spent + np.maximum.accumulate(due - (spent - service))
    return done
