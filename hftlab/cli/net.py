"""The commands of the network path and of load: net exchange, trader, transports, round-trip, tick-to-trade; stress, faults."""

from __future__ import annotations

import json
from typing import Any

from hftlab.cli.options import Action, Given, Options, feed_of, show


def exchange(options: Options) -> Action:
    """Publish a feed and match orders against it: a small exchange, as a process of its own.

    A feed as MoldUDP64 on two multicast lines, requests for lost messages, and order entry by OUCH 5.0 over SoupBinTCP, matched
    against the replayed book. Accounts come from --accounts FILE (USERNAME PASSWORD a line) or from HFTLAB_ACCOUNTS
    (USERNAME:PASSWORD,...). The first lines printed are the addresses, the last ones the summary. SIGTERM and Ctrl-C end the
    session in order. Everything is on loopback unless other addresses are named.
    """
    from hftlab.net.exchange.process import serve
    from hftlab.net.exchange.settings import ExchangeSettings

    options.feed(200_000, positional=True)
    options.of(serve, but="settings")
    options.of(ExchangeSettings, title="the exchange", flags={"end_repeat_s": "--repeat-end"})

    def act(given: Given) -> int:
        settings = given.call(ExchangeSettings)
        given.call(serve, feed=feed_of(given), settings=settings)
        return 0

    return act


def trader(options: Options) -> Action:
    """Run an engine as a process of its own: feed in, orders out.

    The feed in on two lines, orders out, positions from execution reports. The password comes from --accounts FILE (USERNAME
    PASSWORD a line) or from HFTLAB_PASSWORD, never from the command line. SIGUSR1, or a file at --kill-file, is the kill switch:
    open orders are canceled, and no more are sent. SIGTERM and Ctrl-C cancel open orders and log out. It ends with the feed's
    session, unless it is to --run-forever. The exit code is 1 where something wants attention: reports that are missing or cannot
    be, orders that may still work, a feed that was not whole at the end.
    """
    from hftlab.net.trader.process import serve
    from hftlab.net.trader.settings import TraderSettings
    from hftlab.settings import OrderConfig, RiskConfig

    options.output("--out", dest="orders_file", help="write the orders as Parquet at the end")
    options.of(serve, but="settings options")
    options.of(TraderSettings, but="password", title="the trader", flags={"lines": "--line", "version": "--soup"})
    options.of(OrderConfig, title="when it acts")
    options.of(RiskConfig, but="kill", title="limits")

    def act(given: Given) -> int:
        constants = {"order_config": given.call(OrderConfig), "risk_config": given.call(RiskConfig)}
        return 0 if given.call(serve, settings=given.call(TraderSettings), **constants) else 1

    return act


def status(options: Options) -> Action:
    """Show how a running exchange or trader is, from the file that it writes with --status.

    The exit code is 1 where something wants attention, or where the process neither runs nor has ended in order.
    """
    from hftlab.net.exchange.process import Status

    options.add("path", metavar="FILE", help="what --status of the exchange or the trader names")
    options.json()

    def act(given: Given) -> int:
        found = Status.read(given.path)
        show(found, given)
        return 0 if found.sound else 1

    return act


def capture(options: Options) -> Action:
    """Write what comes on the lines into a capture that Wireshark reads, until the session ends. Ctrl-C ends it, too."""
    from hftlab.net.capture import capture_lines

    return _carry(options, capture_lines)


def replay(options: Options) -> Action:
    """Put the datagrams of a capture on the lines again, in their own time: for a trader, or any other client."""
    from hftlab.net.capture import replay_capture

    return _carry(options, replay_capture)


def _carry(options: Options, function: Any) -> Action:
    from hftlab.net.exchange.process import ended_by_signals

    options.of(function, flags={"path": "FILE", "lines": "--line"})
    options.json()

    def act(given: Given) -> int:
        with ended_by_signals() as asked:
            counts = dict(
                given.call(
                    function, path=given.path[0] if isinstance(given.path, list) else given.path, going=lambda: not asked.is_set()
                )
            )
        print(json.dumps(counts) if given.json else ", ".join(f"{name}: {n:,}" for name, n in counts.items()) or "nothing")
        return 0

    return act


def replay_journal(options: Options) -> Action:
    """Run a trader's day again, from its journal and the feed: are the same orders sent? The exit code is 1 if not.

    FEED is the file that the exchange published; without one it is the feed that the generator's options describe. Engine limits
    and thresholds are those of the journal.
    """
    from hftlab.net.trader.journal import replay_journal as again

    options.add("journal", metavar="JOURNAL", help="what --journal of the trader names; its latest day counts")
    options.add("--engine", metavar="ENGINE", default="auto", help="the trader's (default auto)")
    options.feed(200_000, positional=True)

    def act(given: Given) -> int:
        result = again(given.journal, feed_of(given), given.engine)
        place = result.first_difference
        if place is None:
            print(f"all {len(result.sent):,} orders again, the same in every field")
            return 0
        print(f"order {place + 1:,} differs: {len(result.noted):,} orders in the journal, {len(result.sent):,} again")
        return 1

    return act


def transports(options: Options) -> Action:
    """Try every transport: does it carry a message here, and if not why."""
    from hftlab.net.transports.transports import list_transports

    options.json()
    return lambda given: show(list_transports(), given)


def round_trip(options: Options) -> Action:
    """Time a message there and back, transport by transport."""
    from hftlab.net.transports.round_trip import measure_round_trip

    return _measured(options, measure_round_trip, transports="TRANSPORT")


def tick_to_trade(options: Options) -> Action:
    """Time from tick to order, path by path: the engine's share, the transports', the scheduler's.

    From a tick's bytes leaving the exchange to its order's bytes arriving there, both stamped by the exchange's own clock. A PATH
    is the name of a transport (see `hftlab net transports`) for both ways, or two of them, FEED+ORDERS: udp-spin+tcp-spin. Every
    order is first checked against the same engine without a network. Exchange and trader are two threads of the Rust engine;
    the path in Python is not measured.
    """
    from hftlab.net.tick_to_trade.measure import measure_tick_to_trade

    return _measured(options, measure_tick_to_trade, paths="PATH")


def _measured(options: Options, experiment: Any, **positional: str) -> Action:
    """An experiment of two threads: --cores and --realtime are theirs, not the process's."""
    options.of(experiment, flags=positional, but="feed")
    options.result(chart=True)
    return lambda given: show(given.call(experiment), given)


def stress(options: Options) -> Action:
    """Load an engine to saturation, in bursts, cancel storms and deep books, beyond what it can take, and for long.

    Open loop: every message has a time at which it is due, fixed before, and latency counts from then.

      sweep     load swept to saturation: capacity, knee, p50 to p99.9 against offered load; the closed loop's view beside it
      bursts    10 to 100 times the load for some milliseconds: the queue, and how long it takes to drain
      storms    cancel storms, deep books, thousands of instruments; every engine must end as the reference does
      overload  more than can be worked off: what is queued, dropped and recovered, and that the book is right afterwards
      soak      the same for minutes or days: memory, faults and latency drift watched; Ctrl-C gives the result so far

    With --transport an exchange and a trader run over that pair of transports, FEED+ORDERS or one for both, and the load is swept
    as for an engine in this process: response counts from when a tick was due until its order is back at the exchange. Each side
    wants a core to itself.

    The exit code is 1 where something is wrong (faults, ends that differ, memory that grows), never because something is slow.
    """
    from hftlab.feeds.reader import load
    from hftlab.loadtest.suite import stress

    flags = {"parts": "PART", "targets": "--engine", "over": "--transport"}
    options.of(stress, but="feed", flags=flags)
    options.add("--feed", metavar="FILE", help="for sweep, bursts and soak, instead of a generated feed")
    options.add("--charts", metavar="FOLDER", help="write every chart there as a PNG")
    options.placement()
    options.result()

    def act(given: Given) -> int:
        result = given.call(stress, feed=load(given.feed) if given.feed else None)
        if given.charts:
            result.save_charts(given.charts)
        return _shown(result, given)

    return act


def faults(options: Options) -> Action:
    """Inject faults into a real exchange and a real trader on a network in one process, and check that they survive.

    Loss, damage, dead lines, resets, restarts, full disks, bad clients; NAME is one of them, e.g. 'packet loss' (default: all).
    With --seeds, as many short days instead, in each of which other things go wrong, drawn by its seed; one that fails is cut
    down to the shortest that still does, and its seed gives the same day again: --seeds 1 --first SEED.
    The exit code is 1 where something was not survived.
    """
    from hftlab.loadtest.faults import inject_faults, run_seeds

    options.of(inject_faults, flags={"names": "NAME", "engines": "--engine"})
    options.add("--seeds", type=int, metavar="N", help="N short days, each with what its seed draws")
    options.of(run_seeds, but="seeds engines")
    options.placement()
    options.result()
    return lambda given: _shown(given.call(inject_faults if given.seeds is None else run_seeds), given)


def _shown(result: Any, given: Given) -> int:
    """Exit code 0 sound, 1 unsound, 130 interrupted (what there is by then is printed first)."""
    show(result, given)
    return 130 if result.interrupted else 1 if result.failures else 0
