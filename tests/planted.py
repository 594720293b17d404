"""An engine whose times are planted: the Python engine's results, and a cost per message that depends on the variant alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from hftlab.engine import session as registry
from hftlab.engine.python import PythonBackend, PythonSession
from hftlab.settings import Settings

AXES = {
    "book": ("btree", "sorted", "ladder"),
    "orders": ("std", "flat"),
    "pool": ("False", "True"),
    "signal": ("recompute", "incremental"),
}
#: ns per message that a name takes away from 100.
SAVES = {"sorted": 10, "ladder": 20, "flat": 30, True: 0, "incremental": -10}
BUILD_UP_NS = 1_000_000


class PlantedSession(PythonSession):
    """Says that each message took what its variant costs; the first push of a session costs a fortune."""

    def __init__(self, settings: Settings, wrong: bool) -> None:
        super().__init__(settings)
        names = (settings.book, settings.orders, settings.pool, settings.signal)
        self.ns, self.wrong, self.pushes = 100 - sum(SAVES.get(name, 0) for name in names), wrong, 0

    def push(self, data: Any) -> Any:
        before, ran = self.elapsed_ns, self.messages
        given = super().push(data)
        self.elapsed_ns = before + (self.messages - ran) * (self.ns if self.pushes else BUILD_UP_NS)
        self.pushes += 1
        return given

    def counters(self) -> dict[str, Any]:
        given = super().counters()
        counts = [n + self.wrong for n in given["counts"]]
        return {**given, "counts": counts, "elapsed_ns": self.ns * self.messages}


class PlantedBackend(PythonBackend):
    """`wrong` names a variant whose results differ."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong = wrong

    def variants(self) -> Mapping[str, tuple[str, ...]]:
        return AXES

    def session(self, settings: Settings) -> PythonSession:
        return PlantedSession(settings, self.wrong == settings.book)


class Point:
    """An entry point that gives what it was made with."""

    def __init__(self, give: object) -> None:
        self.give = give

    def load(self) -> object:
        if isinstance(self.give, Exception):
            raise self.give
        return self.give


def installed(monkeypatch: Any, **engines: object) -> Iterator[dict[str, Point]]:
    """Only these engines beside Python, for as long as the fixture lives; the entry points, to be changed by a test."""
    points = {name: Point(engine) for name, engine in engines.items()}
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    monkeypatch.setattr(registry, "_rust", lambda: points.get("rust"))
    monkeypatch.delenv("HFTLAB_BACKEND", raising=False)
    monkeypatch.delenv("HFTLAB_REQUIRE_RUST", raising=False)
    registry._load.cache_clear()
    yield points
    registry._load.cache_clear()
