"""Tick-to-trade: from the tick's bytes leaving the exchange to the order's bytes arriving there, both stamped by its own clock.

    exchange (a thread)  --tick: MoldUDP64 over X-->  trader (a thread): arbiter, engine as it is, SoupBinTCP
                         <--order: OUCH over Y------

    round 1:  shm closed   udp+tcp 8x   xdp closed   udp+tcp again ...      each path under each load profile, before it the
    round 2:  udp+tcp 8x   xdp closed   shm closed ...                      transports alone; in a new order each round

In the manner of STAC-T1. A closed loop sends the next tick when the order of the last is back; the other load profiles have
intended times, and their response counts from those. Every order is first checked against the same engine without a network, byte
for byte. It needs the Rust engine; the path in Python is not measured by it. Where a tap is allowed, paths through the kernel are
stamped by it as well, in a pass of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, nullcontext
from functools import partial
from typing import Any

import numpy as np

from hftlab.errors import ConfigError, check_range
from hftlab.feeds.feed import Feed
from hftlab.feeds.generate.synthetic import generate
from hftlab.measurement.clock import clock_of
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import Series, check_rounds, interleave
from hftlab.net.tick_to_trade.outside import OutsideTime, Tap, pair_stamps
from hftlab.net.tick_to_trade.result import TickToTradeReport
from hftlab.net.tick_to_trade.rounds import Pool, RoundSettings, check_orders, run_in_rust, run_round
from hftlab.net.tick_to_trade.scenario import (
    LOAD_PROFILES,
    WARMUP_SHARE,
    NetworkPath,
    Scenario,
    available_paths,
    base_of,
    eager_engine,
    make_scenario,
)
from hftlab.net.transports.netns import Veth, veth
from hftlab.net.transports.round_trip_report import AGAIN
from hftlab.net.transports.transports import ThreadPlacement, rust_transports

#: Messages of a feed that the trader's engine runs before; load profiles that are not a closed loop have as many at least.
WARM, GENERATED = 20_000, 100_000
#: Messages of a round in a closed loop; s of a round otherwise, and the longest that real-time scheduling may take.
MESSAGES, SECONDS, MAX_REALTIME_S = 20_000, 0.5, 0.6
_IN_KERNEL = ("udp", "multicast", "recvmmsg", "epoll", "uring", "tcp")  # transports whose frames a tap sees


def measure_tick_to_trade(
    paths: Iterable[str] = (),
    *,
    load_profiles: Iterable[str] = LOAD_PROFILES,
    engine: Any = "rust",
    rounds: int = 7,
    messages: int = MESSAGES,
    seconds: float = SECONDS,
    feed: Feed | None = None,
    regime: str = "market",
    threshold: float = 0.0,
    cooldown: int | None = None,
    cores: tuple[int, int] | None = None,
    realtime: bool = False,
    netns: bool = False,
    stamps: bool = True,
    seed: int = 1,
) -> TickToTradeReport:
    """Measure paths, in rounds (3 to 1000; one more is run first, to warm up, and not counted).

    paths         : "shm", "udp-spin+tcp-spin" (feed + orders), ...; default eight of them, as far as they work here
    load_profiles : "closed"; with intended times "bursts", "1x", "8x", ..., "50000/s"; the base runs twice under the first
    engine        : Rust's in any variant
    threshold     : it acts where |score| is above
    cooldown      : events of an instrument from one order to the next; default 1 in a closed loop, 4 otherwise
    messages      : of a round in a closed loop, 100 to 1,000,000; seconds: of one otherwise, 0.01 to 10, with realtime to 0.6
    feed          : instead of a generated one of a regime; its first 20,000 messages are not sent
    cores         : of exchange and trader, default the first two; realtime: SCHED_FIFO, with rests; stamps: of the trader, too
    netns         : over a veth pair between two namespaces, not the loopback interface
    raises        : BackendMissing; UnknownName; ConfigError; HftlabError for a path that does not work here, and a wrong order
    """
    _check(rounds, seconds, messages, realtime=realtime, seed=seed)
    settings = RoundSettings(ThreadPlacement.choose(cores, realtime), stamps)
    chosen, skipped = available_paths(paths, single_core=settings.placement.single_core)
    data = _data(feed, regime, WARM + max(messages, int(GENERATED * max(seconds / SECONDS, 1))), seed)
    names = list(dict.fromkeys(load_profiles))
    if not names:
        raise ConfigError(f"load_profiles must be one or more of {', '.join(LOAD_PROFILES)}, got none")
    engines = {name: eager_engine(engine, name, threshold, cooldown) for name in names}
    scenarios = [make_scenario(name, data, WARM, eager, messages=messages, seconds=seconds) for name, eager in engines.items()]
    with veth() if netns else nullcontext() as link:
        pools = _pools(chosen, scenarios, settings, link)
        series = interleave({place: pool.round for place, pool in enumerate(pools)}, rounds, seed, "tick-to-trade")
    outside, untapped = _outside(chosen, scenarios, settings) if stamps and not netns else ((), "")
    network = "veth between two namespaces" if netns else "loopback"
    name = feed.name if feed else regime
    more: dict[str, Any] = {"outside": outside, "untapped": untapped}
    more |= {"rounds": rounds, "feed": name, "network": network, "skipped": tuple(skipped), "seed": seed}
    return _report(str(base_of(chosen)), pools, series, scenarios, settings, more)


def _report(
    base: str,
    pools: list[Pool],
    series: dict[int, Series],
    scenarios: list[Scenario],
    settings: RoundSettings,
    more: dict[str, Any],
) -> TickToTradeReport:
    clock_ns = clock_of(rust_transports()).cost_p50_ns
    return TickToTradeReport(
        base=base,
        results=tuple(pool.result(series[place], clock_ns) for place, pool in enumerate(pools)),
        engine=scenarios[0].engine,
        strategy=_strategy(scenarios),
        placement=settings.placement,
        stamps=settings.stamps,
        clock_ns=clock_ns,
        lost_time=_lost_time(pools),
        refused=tuple(dict.fromkeys(text for pool in pools for sample in pool.samples for text in sample.refused)),
        machine=fingerprint(),
        **more,
    )


def _check(rounds: int, seconds: float, messages: int, *, realtime: bool, seed: int) -> None:
    """Raises ConfigError for a number out of range, before anything is prepared."""
    check_rounds(rounds)
    check_range("seconds", seconds, 0.01, MAX_REALTIME_S if realtime else 10.0, "with real-time scheduling" if realtime else "")
    check_range("messages", messages, 100, 1_000_000)
    check_range("seed", seed, 0)


def _outside(paths: list[NetworkPath], scenarios: list[Scenario], settings: RoundSettings) -> tuple[tuple[OutsideTime, ...], str]:
    """Paths through the kernel once more in a closed loop, under a tap; or why that cannot be."""
    closed = next((scenario for scenario in scenarios if scenario.closed), None)
    tapped = [path for path in paths if all(name.startswith(_IN_KERNEL) for name in path.names)]
    if closed is None or not tapped:
        return (), ""
    found = []
    for path in tapped:
        try:
            tap = Tap()
        except OSError as error:
            return (), f"a tap on the loopback interface needs CAP_NET_RAW ({error.strerror})"
        with closing(tap):
            raw = run_in_rust(str(path), path.ends(), closed, settings)
            check_orders(str(path), closed, raw, reliable=False)
            outside = pair_stamps(closed, tap.frames())[: len(raw["ready_ns"])]
        inside = (raw["ready_ns"] - raw["received_ns"])[: len(outside)]
        both = np.isfinite(outside) & np.isfinite(inside)
        both[: int(len(both) * WARMUP_SHARE)] = False
        if both.any():
            times = (float(np.median(outside[both])), float(np.median(inside[both])))
            found.append(OutsideTime(str(path), int(both.sum()), *times))
    return tuple(found), ""


def _pools(paths: list[NetworkPath], scenarios: list[Scenario], settings: RoundSettings, link: Veth | None) -> list[Pool]:
    """Every path under every scenario, and the base once more under the first."""
    base = base_of(paths)
    plan = [(str(path), path, scenario) for scenario in scenarios for path in paths] + [(str(base) + AGAIN, base, scenarios[0])]
    return [Pool(name, one, partial(run_round, name, path.ends(link), one, settings)) for name, path, one in plan]


def _data(feed: Feed | None, regime: str, messages: int, seed: int) -> bytes:
    if feed is None:
        return generate(regime, messages, seed)
    if feed.wire != "itch":
        raise ConfigError(f"feed must be of ITCH bytes, which is what goes over the network, got one of {feed.wire}")
    return b"".join(bytes(block) for block in feed.blocks())


def _strategy(scenarios: list[Scenario]) -> str:
    """When the engine acts, in words."""
    cooldowns = {one.load_profile: one.settings.order_config.cooldown for one in scenarios}
    every = ", ".join(f"{name}: every {'tick' if n == 1 else f'{n}. tick of an instrument'}" for name, n in cooldowns.items())
    threshold = scenarios[0].settings.order_config.threshold
    return f"the engine acts where |score| > {threshold:g} ({every}), fills assumed, risk limits out of reach"


def _lost_time(pools: list[Pool]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of either core the median share of lost time, and the longest gap."""
    seen = np.array([sample.lost for pool in pools for sample in pool.samples])  # (runs, 2 cores, 2)
    exchange, trader = ((float(np.median(seen[:, core, 0])), float(seen[:, core, 1].max())) for core in range(2))
    return exchange, trader
