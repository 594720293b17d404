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
from typing import Any

import numpy as np

from hftlab.callable_module import make_callable
from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.feeds.generate.synthetic import generate
from hftlab.measurement.clock import clock_of
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import Series, check_rounds, interleave
from hftlab.net.tick_to_trade.wire_found import WireToWire
from hftlab.net.tick_to_trade.wire_path import chosen
from hftlab.net.tick_to_trade.wire_pool import Pool, base_of, beside_of, pools_of
from hftlab.net.tick_to_trade.wire_round import Seats
from hftlab.net.tick_to_trade.wire_script import PACES, Script, acting, script
from hftlab.net.transports.netns import veth
from hftlab.net.transports.pingpong import cores_of
from hftlab.net.transports.transports import engine as rust

#: Messages of a feed that the trader's engine runs before, and made for paces that are not a closed loop.
WARM, MADE = 20_000, 100_000
#: Messages of a round in a closed loop; s of a round at another pace, and the longest that real-time scheduling may take.
MESSAGES, SECONDS, LONGEST_FIFO = 20_000, 0.5, 0.6


def wire(
    paths: Iterable[str] = (),
    *,
    paces: Iterable[str] = PACES,
    engine: Any = "rust",
    rounds: int = 7,
    messages: int = MESSAGES,
    seconds: float = SECONDS,
    feed: Feed | None = None,
    regime: str = "market",
    threshold: float = 0.0,
    cooldown: int | None = None,
    cores: tuple[int, int] | None = None,
    fifo: bool = False,
    netns: bool = False,
    bare: bool = False,
    stamps: bool = True,
    seed: int = 1,
) -> WireToWire:
    """Measure paths from wire to wire, in rounds (3 to 1000; one more is run first, to warm up, and not counted).

    paths    : "shm", "udp-spin+tcp-spin" (feed + orders), ...; default wire_path.PATHS, as far as they work here
    paces    : "closed"; with intended times "bursts", "1x", "8x", ..., "50000/s"; the base runs twice at the first of them
    engine   : Rust's in any variant, as `hftlab.as_engine` takes it; threshold, cooldown: when it acts, see wire_script
    messages : of a round in a closed loop, 100 to 1,000,000; seconds: of one at another pace, 0.01 to 10, with fifo to 0.6
    feed     : instead of a generated one of a regime; its first 20,000 messages are not sent
    cores    : of exchange and trader, default the first two; fifo: real-time scheduling, with rests; stamps: of the trader, too
    netns    : over a veth pair between two namespaces, not the loopback interface; bare: beside ping-pongs, ours and in C
    raises   : BackendMissing; UnknownName; ConfigError; HftlabError for a path that does not work here, and for a wrong order
    """
    check_rounds(rounds)
    _check(messages, seconds, fifo)
    seats = Seats(cores=cores_of(cores), fifo=fifo, stamps=stamps)
    ways, skipped = chosen(paths, alone=seats.cores == (None, None))
    data = _data(feed, regime, WARM + max(messages, int(MADE * max(seconds / SECONDS, 1))), seed)
    scripts = _scripts(paces, data, {"messages": messages, "seconds": seconds}, engine, threshold, cooldown)
    with veth() if netns else nullcontext() as over:
        pools = pools_of(ways, scripts, seats, over)
        beside, why = beside_of(ways, seats) if bare else ({}, [])
        runs: dict[Any, Callable[[], float | Series]] = {**{key: pool.round for key, pool in pools.items()}, **beside}
        series = interleave(runs, rounds, seed, "wire to wire")
    how = {"base": str(base_of(ways)), "rounds": rounds, "skipped": (*skipped, *why), "seed": seed}
    where = {"wire": "veth between two namespaces" if netns else "loopback", "regime": feed.name if feed else regime}
    return _found(pools, series, seats, scripts, {**how, **where, "beside": {name: series[name] for name in beside}})


def _check(messages: int, seconds: float, fifo: bool) -> None:
    longest = LONGEST_FIFO if fifo else 10.0
    if not 0.01 <= seconds <= longest:
        raise ConfigError(f"seconds is {seconds}; allowed is 0.01 to {longest:g}{' with real-time scheduling' * fifo}")
    if not 100 <= messages <= 1_000_000:
        raise ConfigError(f"messages is {messages}; allowed is 100 to 1,000,000")


def _data(feed: Feed | None, regime: str, messages: int, seed: int) -> bytes:
    if feed is None:
        return generate(regime, messages, seed)
    if feed.wire != "itch":
        raise ConfigError(f"the feed is of {feed.wire}; allowed is one of ITCH, which is what goes over the wire")
    return b"".join(bytes(block) for block in feed.blocks())


def _scripts(
    paces: Iterable[str], data: bytes, size: dict[str, Any], engine: Any, threshold: float, cooldown: int | None
) -> dict[str, Script]:
    names = list(dict.fromkeys(paces))
    if not names:
        raise ConfigError("no pace was given; allowed is one or more of " + ", ".join(PACES))
    rust()  # says so if it is not there
    return {pace: script(pace, data, WARM, acting(engine, pace, threshold, cooldown), **size) for pace in names}


def _found(
    pools: dict[tuple[str, str], Pool], series: dict[Any, Series], seats: Seats, scripts: dict[str, Script], more: dict[str, Any]
) -> WireToWire:
    clock_ns = clock_of(rust()).cost_p50_ns
    return WireToWire(
        legs=tuple(pool.leg(series[key], clock_ns) for key, pool in pools.items()),
        engine=next(iter(scripts.values())).engine,
        strategy=_strategy(scripts),
        cores=seats.cores,
        fifo=seats.fifo,
        stamps=seats.stamps,
        clock_ns=clock_ns,
        quiet=_quiet(pools.values()),
        refused=tuple(dict.fromkeys(text for pool in pools.values() for text in pool.refused)),
        machine=fingerprint(),
        **more,
    )


def _strategy(scripts: dict[str, Script]) -> str:
    every = {pace: one.settings.order_config.cooldown for pace, one in scripts.items()}
    told = ", ".join(f"{pace}: every {'tick' if n == 1 else f'{n}. tick of an instrument'}" for pace, n in every.items())
    threshold = next(iter(scripts.values())).settings.order_config.threshold
    return f"the engine acts where |score| > {threshold:g} ({told}), fills assumed, risk limits out of reach"


def _quiet(pools: Iterable[Pool]) -> Any:
    """Of either core the median share of lost time, and the longest gap."""
    seen = np.array([sample for pool in pools for sample in pool.quiet])  # (runs, 2 cores, 2)
    return tuple((float(np.median(seen[:, core, 0])), float(seen[:, core, 1].max())) for core in range(2))


make_callable(__name__)
