"""Any strategy: it sees the market at the end of each exchange event, sends requests, and hears late what became of them.

A strategy is an object with `update`, as the order stage has it, and if it likes `on_report`; each returns the requests it sends:
mappings of REQUEST_DTYPE's fields without `time_ns`, `after` and `world`, which are ours to know. It is made once per latency, by
what `latency_value` is given. All of them see the same feed, in one pass of the reference simulator.
"""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from hftlab.errors import ConfigError
from hftlab.events import Events
from hftlab.feeds.feed import Feed
from hftlab.fills.delays import BURST_NS, Latency
from hftlab.fills.requests import Requests, requests
from hftlab.fills.simulation import Array
from hftlab.fills.simulator import Fill, Request, Simulator
from hftlab.settings import SignalConfig
from hftlab.stages.book import EMPTY_TOP, Top
from hftlab.stages.signal import Signal
from hftlab.stages.tick import Event

Asked = Iterable[Mapping[str, Any]] | None


class Strategy(Protocol):
    """What a strategy may do."""

    def update(self, index: int, ts_ns: int, instrument: int, top: Top, score: float) -> Asked:
        """An exchange event has changed the book of an instrument. index: of its last message; score: the ninth signal."""

    def on_report(self, ts_ns: int, fill: Fill) -> Asked:
        """A fill of ours, in the fields of FILL_DTYPE, heard at `ts_ns`. A strategy may do without this method."""


@dataclass(frozen=True)
class Path:
    """Latencies of one of ours: of new orders, of cancels and replaces, of the answers that come back."""

    entry: Latency
    cancel: Latency
    answer: Latency

    @property
    def name(self) -> str:
        return self.entry.name


def made(strategy: Callable[..., Any]) -> Any:
    """A strategy of its own from a class or factory without arguments, or from a function that is `update` itself.

    raises : ConfigError where what is made has no `update`
    """
    try:
        inspect.signature(strategy).bind()
    except TypeError:
        return SimpleNamespace(update=strategy)
    except ValueError:  # a builtin that does not say what it takes
        pass
    built = strategy()
    if not callable(getattr(built, "update", None)):
        raise ConfigError(f"a strategy must have update(index, ts_ns, instrument, top, score), got {type(built).__name__}")
    return built


class _World:
    """One strategy with its latencies: what it has sent is under way, and so are the answers."""

    def __init__(self, number: int, strategy: Any, path: Path, seed: int) -> None:
        self.number, self.strategy, self.path, self.seed = number, strategy, path, seed

    def delay(self, kind: str, now_ns: int) -> int:
        """A latency of this kind, ns; within one burst always the same."""
        latency: Latency = getattr(self.path, kind)
        seed = (self.seed, self.number, ("entry", "cancel", "answer").index(kind), now_ns // BURST_NS)
        return int(latency.draw(np.array([now_ns]), seed)[0])


class Player:
    """Plays strategies against a feed; see `play`."""

    def __init__(self, worlds: Sequence[_World], config: SignalConfig) -> None:
        self.simulator, self.worlds = Simulator(), worlds
        self.signal = Signal(config)
        self.sent: list[dict[str, Any]] = []
        self._under_way: list[tuple[int, int, _World, Request | Fill, bool]] = []  # time, number, whose, what, an answer?
        self._numbers = count()
        self._heard = 0

    def advance(self, until_ns: int | None) -> None:
        """Everything that arrives before a message of this time; None: everything."""
        while self._under_way and (until_ns is None or self._under_way[0][0] < until_ns):
            time_ns, _, world, what, answer = heapq.heappop(self._under_way)
            if answer:
                self.send(world, time_ns, world.strategy.on_report(time_ns, what))
            else:
                self.simulator.request(what)  # type: ignore[arg-type]
                self.answers()

    def answers(self) -> None:
        """Send word of new fills."""
        for fill in self.simulator.fills[self._heard :]:
            world = self.worlds[fill[6]]
            if hasattr(world.strategy, "on_report"):
                at = fill[1] + world.delay("answer", fill[1])
                heapq.heappush(self._under_way, (at, next(self._numbers), world, fill, True))
        self._heard = len(self.simulator.fills)

    def send(self, world: _World, now_ns: int, asked: Asked) -> None:
        """Put what a strategy asks for on its way."""
        for row in asked or ():
            (request,) = requests([{**row, "world": world.number}])
            kind = "entry" if request["action"] == 1 else "cancel"
            request["time_ns"] = now_ns + world.delay(kind, now_ns)
            self.sent.append({"world": world.number, "decided_ns": now_ns, "request": request.copy()})
            heapq.heappush(self._under_way, (int(request["time_ns"]), next(self._numbers), world, request.item(), False))


def play(
    feed: Feed,
    events: Events,
    ends: Array | None,
    strategy: Callable[..., Any],
    paths: Sequence[Path],
    *,
    seed: int = 1,
    clock: str = "receive",
    config: SignalConfig | None = None,
) -> tuple[Array, Array, Requests, Array]:
    """One strategy per path, in one pass: the fills, the outcomes, everything that was sent, and when each was decided, ns.

    raises : ConfigError for a strategy or a request that cannot be
    """
    worlds = [_World(number, made(strategy), path, seed) for number, path in enumerate(paths)]
    player = Player(worlds, config or SignalConfig())
    received = feed.recv_ns if clock == "receive" else None
    tops: dict[int, Top] = {}
    started = True  # whether the next message begins an exchange event
    for number, event in enumerate(events.tolist()):
        if started:
            player.advance(event[0])
        changed = player.simulator.apply(event)
        score = _signal(player, tops, event, changed) if changed > 0 else 0.0
        player.answers()
        started = ends is None or bool(ends[number])
        if started:
            player.simulator.settle()
            player.answers()
            if changed > 0:
                now_ns = event[0] if received is None else max(event[0], int(received[number]))
                for world in worlds:
                    player.send(world, now_ns, world.strategy.update(number, now_ns, event[5], tops[event[5]], score))
    player.advance(None)
    sent = [row["request"] for row in player.sent]
    decided = np.array([row["decided_ns"] for row in player.sent], np.int64)
    return *player.simulator.finish(), np.array(sent, dtype=sent[0].dtype) if sent else requests([]), decided


def _signal(player: Player, tops: dict[int, Top], event: Event, applied: int) -> float:
    """Advance the signals of an instrument by an event that was applied; its score."""
    instrument, kind, qty = event[5], event[6], event[4]
    before = tops.get(instrument, EMPTY_TOP)
    after = tops[instrument] = player.simulator.book.best(instrument)
    return player.signal.update(player.simulator.book, instrument, kind, qty, applied, before, after)[8]
