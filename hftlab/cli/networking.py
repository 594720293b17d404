"""The commands of `hftlab net`; net_options.py has what they accept."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from hftlab.cli.measuring import print_json


def net(arguments: argparse.Namespace) -> int:
    """One command of the group."""
    return COMMANDS[arguments.net_command](arguments)


def _transports(arguments: argparse.Namespace) -> int:
    from hftlab.net.transports.transports import transports

    found = transports()
    if arguments.json:
        print_json(found.to_dict())
    else:
        print(found)
    return 0


def _exchange(arguments: argparse.Namespace) -> int:
    from hftlab.engine.engine import load, synthetic
    from hftlab.net.exchange.process import serve
    from hftlab.net.exchange.settings import ExchangeSettings

    feed = (
        load(arguments.file)
        if arguments.file
        else synthetic(arguments.regime, arguments.messages, arguments.seed, arguments.symbols)
    )
    serve(feed, _chosen(ExchangeSettings, arguments), arguments.accounts, resume=arguments.resume, json=arguments.json)
    return 0


def _trade(arguments: argparse.Namespace) -> int:
    from hftlab.net.trader.process import serve
    from hftlab.net.trader.settings import TraderSettings
    from hftlab.settings import OrderConfig, RiskConfig

    options = {"order": _chosen(OrderConfig, arguments), "risk": _chosen(RiskConfig, arguments)}
    settings = _chosen(TraderSettings, arguments)
    files = {"orders_file": arguments.out, "json": arguments.json}
    serve(settings, arguments.backend, arguments.accounts, **files, **options)
    return 0


def _chosen(kind: Any, arguments: argparse.Namespace) -> Any:
    """A dataclass of settings with what the options name. raises : ConfigError"""
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    return kind(**{one.name: given[one.name] for one in fields(kind) if one.name in given})


def _pingpong(arguments: argparse.Namespace) -> int:
    from hftlab.charts import check_file
    from hftlab.net.transports.pingpong import pingpong

    if arguments.chart:
        check_file(arguments.chart)
    names = ("rounds", "size", "messages", "netns", "processes", "bare", "seed")
    plan = {name: getattr(arguments, name) for name in names}
    cores = (arguments.cores[0], arguments.cores[1]) if arguments.cores else None
    found = pingpong(arguments.transports, cores=cores, fifo=arguments.real_time, **plan)
    return _told(found, arguments)


def _bench(arguments: argparse.Namespace) -> int:
    from hftlab.charts import check_file
    from hftlab.net.tick_to_trade.wire import wire

    if arguments.chart:
        check_file(arguments.chart)
    names = ("engine", "rounds", "messages", "seconds", "regime", "threshold", "cooldown", "netns", "bare", "stamps", "seed")
    plan = {name: getattr(arguments, name) for name in names}
    if arguments.paces:
        plan["paces"] = arguments.paces
    cores = (arguments.cores[0], arguments.cores[1]) if arguments.cores else None
    found = wire(arguments.paths, cores=cores, fifo=arguments.real_time, **plan)
    return _told(found, arguments)


def _told(found: Any, arguments: argparse.Namespace) -> int:
    """Write and print a result as the options ask."""
    from hftlab.charts import save

    if arguments.chart:
        save(found.plot(), arguments.chart)
    if arguments.out:
        found.save(arguments.out)
    if arguments.json:
        print_json(found.to_dict())
    else:
        print(found)
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "transports": _transports,
    "exchange": _exchange,
    "trade": _trade,
    "pingpong": _pingpong,
    "bench": _bench,
}
