"""Wire to wire: from the tick's bytes leaving the exchange to the order's bytes arriving there, both stamped by its own clock.

    exchange (a thread)  --tick: MoldUDP64 over X-->  trader (a thread): arbiter, engine as it is, SoupBinTCP
                         <--order: OUCH over Y------

    round 1:  shm closed   udp+tcp 8x   xdp closed   udp+tcp again ...      each path at each pace, before it the transports alone
    round 2:  udp+tcp 8x   xdp closed   shm closed ...                      in a new order

In the manner of STAC-T1. A closed loop sends the next tick when the order of the last is back; the other paces have intended
times, and their response counts from those. Every order is held against the one that the same engine makes of the same feed
without a wire, byte for byte, before anything is told. It needs the Rust engine; the path in Python is not measured by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from hftlab.bench.clock import clock_of
from hftlab.bench.machine import fingerprint
from hftlab.bench.paired import Series, check_rounds, interleave
from hftlab.callable_module import make_callable
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.feeds.synthetic import generate
from hftlab.histogram import Histogram
from hftlab.net.bare import NAMES as IN_C
from hftlab.net.bare import programs
from hftlab.net.netns import Veth, veth
from hftlab.net.pingpong import LIMIT, MESSAGES, SIZE, cores_of, timed
from hftlab.net.rungs import AGAIN, BARE
from hftlab.net.transports import engine as rust
from hftlab.net.wire_found import MEASURES, Leg, WireToWire, split
from hftlab.net.wire_path import BASE, Path, chosen
from hftlab.net.wire_round import Sample, Seats, run
from hftlab.net.wire_script import PACES, Script, acting, script

REGIME = "market"
#: Messages before the wire, over it in a round of a closed loop, and made for the other paces.
WARM, MESSAGES_CLOSED, MADE = 20_000, 20_000, 100_000
SECONDS = 0.5
#: Real-time scheduling may take no longer in one go.
LONGEST_FIFO = 0.6
LATE_NS = 10_000


def wire(
    paths: Iterable[str] = (),
    *,
    paces: Iterable[str] = PACES,
    engine: Any = "rust",
    rounds: int = 7,
    messages: int = MESSAGES_CLOSED,
    seconds: float = SECONDS,
    feed: Feed | None = None,
    regime: str = REGIME,
    warm: int = WARM,
    threshold: float = 0.0,
    cooldown: int | None = None,
    cores: tuple[int, int] | None = None,
    fifo: bool = False,
    netns: bool = False,
    bare: bool = False,
    stamps: bool = True,
    seed: int = 1,
) -> WireToWire:
    """Measure paths from wire to wire, interleaved.

    paths     : "shm", "udp-spin+tcp-spin" (feed + orders), ...; default wire_path.PATHS, as far as they work here
    paces     : "closed", "bursts", the feed's own time as "1x", "8x", ..., a rate as "50000/s"; the first runs twice for the base
    engine    : the Rust engine, in any variant; as `hftlab.adopt.adopt` takes it
    rounds    : 3 to 1000; one more is run first, to warm up, and not counted
    messages  : over the wire in a round of a closed loop, 100 to 1,000,000
    seconds   : of a round at another pace, by when messages are due; 0.01 to 10, with fifo to 0.6
    feed      : instead of a generated one of a regime; its first `warm` messages the engine runs before
    threshold, cooldown : when the engine acts; default on every tick in a closed loop, on every fourth at a pace
    cores     : of exchange and trader; default the first two that are allowed
    fifo      : real-time scheduling, with rests between
    netns     : over a veth pair between two namespaces instead of the loopback interface
    bare      : in the same rounds the ping-pong of the transports that are there in C, too, ours and that in C
    stamps    : whether the trader stamps when an order is ready, without which the engine's share is not told
    raises    : BackendMissing; UnknownName; ConfigError; HftlabError for a path asked for that does not work here, and for an
                order that did not come or is not the one it should be
    """
    check_rounds(rounds)
    longest = LONGEST_FIFO if fifo else 10.0
    if not 0.01 <= seconds <= longest:
        raise ConfigError(f"seconds is {seconds}; allowed is 0.01 to {longest:g}{' with real-time scheduling' * fifo}")
    if not 100 <= messages <= 1_000_000:
        raise ConfigError(f"messages is {messages}; allowed is 100 to 1,000,000")
    paces = tuple(dict.fromkeys(paces))
    if not paces:
        raise ConfigError("no pace was given; allowed is one or more of " + ", ".join(PACES))
    rust()
    engines = {pace: acting(engine, pace, threshold, cooldown) for pace in paces}
    seats = Seats(cores=cores_of(cores), fifo=fifo, stamps=stamps)
    ways, skipped = chosen(paths, alone=seats.cores == (None, None))
    need = warm + max(messages, int(MADE * max(seconds / SECONDS, 1)))
    data = generate(regime, need, seed) if feed is None else b"".join(bytes(block) for block in feed.blocks())
    scripts = {pace: script(pace, data, warm, engines[pace], messages=messages, seconds=seconds) for pace in paces}
    with veth() if netns else nullcontext() as over:
        pools = _pools(ways, scripts, seats, over)
        beside, why = _beside(ways, seats) if bare else ({}, [])
        contenders: dict[Any, Callable[[], float | Series]] = {**{key: pool.round for key, pool in pools.items()}, **beside}
        series = interleave(contenders, rounds, seed, "wire to wire")
    clock_ns = clock_of(rust()).cost_p50_ns
    return WireToWire(
        base=str(_base(ways)),
        legs=tuple(pool.leg(series[key], clock_ns) for key, pool in pools.items()),
        rounds=rounds,
        engine=next(iter(engines.values())).label,
        regime=regime if feed is None else feed.name,
        strategy=_strategy(engines, threshold),
        cores=seats.cores,
        fifo=fifo,
        wire="veth between two namespaces" if netns else "loopback",
        stamps=stamps,
        clock_ns=clock_ns,
        beside={name: series[name] for name in beside},
        quiet=_quiet(pools.values()),
        skipped=(*skipped, *why),
        refused=tuple(dict.fromkeys(text for pool in pools.values() for text in pool.refused)),
        machine=fingerprint(),
        seed=seed,
    )


def _base(ways: list[Path]) -> Path:
    return next((path for path in ways if str(path) == BASE), ways[0])


def _pools(ways: list[Path], scripts: dict[str, Script], seats: Seats, over: Veth | None) -> dict[tuple[str, str], _Pool]:
    """Every path at every pace; the base once more at the first."""
    pools = {}
    for pace, one in scripts.items():
        for path in ways:
            pools[str(path), pace] = _Pool(str(path), one, partial(run, str(path), path.ends(over), one, seats))
    base, first = _base(ways), next(iter(scripts))
    again = str(base) + AGAIN
    pools[again, first] = _Pool(again, scripts[first], partial(run, again, base.ends(over), scripts[first], seats))
    return pools


def _beside(ways: list[Path], seats: Seats) -> tuple[dict[str, Callable[[], float]], list[str]]:
    """Ping-pongs of the transports that are there in C, ours and that in C, and why there is none: medians of a round."""
    plan: dict[str, Any] = {"cores": seats.cores, "fifo": seats.fifo, "size": SIZE}
    ours = [name for name in dict.fromkeys(name for path in ways for name in path.names) if name in IN_C]
    found, why = programs(ours, plan)
    mine = {name: partial(timed, name, None, plan={"limit": LIMIT, **plan}) for name in ours if BARE + name in found}

    def median(one: Callable[[int], dict[str, Any]]) -> float:
        return float(np.median(one(MESSAGES["spins"])["round_trip_ns"]))

    return {name: partial(median, one) for name, one in {**mine, **found}.items()}, why


def _strategy(engines: dict[str, Any], threshold: float) -> str:
    every = {pace: made.settings().order.cooldown for pace, made in engines.items()}
    told = ", ".join(f"{pace}: every {'tick' if n == 1 else f'{n}. tick of an instrument'}" for pace, n in every.items())
    return f"the engine acts where |score| > {threshold:g} ({told}), fills assumed, risk limits out of reach"


def _quiet(pools: Iterable[_Pool]) -> Any:
    seen = np.array([sample for pool in pools for sample in pool.quiet])  # (runs, 2 cores, 2)
    return tuple((float(np.median(seen[:, core, 0])), float(seen[:, core, 1].max())) for core in range(2))


class _Pool:
    """All rounds of one leg. The first round warms up and is not counted."""

    def __init__(self, path: str, one: Script, run: Callable[[], Sample]) -> None:
        self.path, self.script, self.run = path, one, run
        self.samples: list[Sample] = []
        self.warm = True

    def round(self) -> Series:
        """Medians of one more round: service time, transports alone; ns."""
        sample = self.run()
        if not self.warm:
            self.samples.append(sample)
        self.warm = False
        return np.array([np.median(sample.service), np.median(sample.floor)])

    @property
    def refused(self) -> list[str]:
        return [text for sample in self.samples for text in sample.refused]

    @property
    def quiet(self) -> list[Any]:
        return [sample.quiet for sample in self.samples]

    def leg(self, medians: Series, clock_ns: float) -> Leg:
        def all_of(what: str) -> Series:
            return np.concatenate([getattr(sample, what) for sample in self.samples])

        kept = dict(zip(MEASURES, map(all_of, ("service", "response", "engine", "floor")), strict=True))
        parts = split(kept["response"], kept["engine"], float(np.median(kept["transport alone"])), clock_ns)
        counts: dict[str, int] = {}
        for sample in self.samples:
            counts = {name: counts.get(name, 0) + count for name, count in sample.counts.items()}
        return Leg(
            path=self.path,
            pace=self.script.pace,
            times={name: Histogram.of(ns) for name, ns in kept.items()},
            shares=tuple(parts),
            medians=medians[:, 0],
            alone=medians[:, 1],
            packets=sum(sample.sent for sample in self.samples),
            late=int(np.count_nonzero(all_of("late") > LATE_NS)),
            per_s=self.script.messages_per_s,
            counts=counts,
            clock_ns=clock_ns,
        )


make_callable(__name__)
