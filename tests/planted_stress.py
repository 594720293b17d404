"""Targets and engines whose behaviour under load is planted: a server in computed time, a leak, a drift, a wrong book."""

import itertools
import json
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

import numpy as np
from course.fake_server import FakeServer, FakeSession
from known_latency import wait_until

from hftlab.engine.engine import Engine
from hftlab.stages.book import Book
from hftlab.stages.tick import Tick


class Server(FakeServer):
    """The course's server, with a book that is empty. service : batch numbers -> ns; on_drive : called before each run"""

    def __init__(self, service_ns: float = 100_000, label: str = "server", service: Any = None, on_drive: Any = None) -> None:
        super().__init__(service_ns, label)
        self.service, self.on_drive = service, on_drive

    def open(self) -> "ServerSession":
        return ServerSession(self)

    def service_times(self, calls: int) -> Any:
        if self.on_drive:
            self.on_drive()
        return self.service(np.arange(calls)) if self.service else super().service_times(calls)


class ServerSession(FakeSession):
    def counters(self) -> dict[str, Any]:
        return {"memory": {"live_orders": 0, "order_bytes": 1_000, "level_bytes": 500}, "faults": [0], "messages": 0}

    def finish(self) -> dict[str, Any]:
        return self.counters()

    def depth(self, instrument: int) -> list[tuple[int, int, int, int]]:
        return []


class LeakyBook(Book):
    """Keeps 600 bytes of every event for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[bytearray] = []

    def apply(self, *event: int) -> int:
        self.kept.append(bytearray(600))
        return super().apply(*event)


class ForgetfulBook(Book):
    """Ignores every hundredth delete: the order stays."""

    def __init__(self) -> None:
        super().__init__()
        self.deletes = itertools.count(1)

    def apply(self, kind: int, *rest: int) -> int:
        if kind == 4 and not next(self.deletes) % 100:
            return 0
        return super().apply(kind, *rest)


class SlowingTick(Tick):
    """Every message takes a little longer than the one before it."""

    def events(self, data: Any) -> Iterator[Any]:
        for event in super().events(data):
            self.seen = getattr(self, "seen", 0) + 1
            wait_until(perf_counter_ns() + 20_000 + 20 * self.seen)
            yield event


LEAKY = Engine(book=LeakyBook)
FORGETFUL = Engine(book=ForgetfulBook)
SLOWING = Engine(tick=SlowingTick)


def check_result(result: Any) -> None:
    """What every stored result must do: come back from its JSON as it was, draw tables and a chart, and print."""
    payload = json.loads(result.to_json())
    again = type(result).from_dict(payload)
    assert payload["schema"] == result.schema
    assert again.frame().equals(result.frame())
    assert again.tables() == result.tables()
    assert again == result
    assert all(table.rows for table in result.tables())
    assert result.notes()
    assert result.headline() in str(result)
    assert json.dumps(result.plot().to_dict())
