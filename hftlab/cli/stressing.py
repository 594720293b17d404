"""The command stress: runs the parts, saves what they found, prints tables and sentences or JSON."""

from __future__ import annotations

import argparse
import sys

from hftlab.cli.measuring import _give


def stress(arguments: argparse.Namespace) -> int:
    """Exit code 0 sound, 1 unsound, 130 interrupted (what was seen by then is printed first)."""
    if arguments.faults:
        return _faults(arguments)
    from hftlab.engine.engine import load
    from hftlab.loadtest import PARTS
    from hftlab.loadtest.table import tables
    from hftlab.loadtest.whole import whole

    found = whole(
        arguments.engines or None,
        arguments.parts or PARTS,
        feed=load(arguments.feed) if arguments.feed else None,
        quick=arguments.quick,
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        arrivals=arguments.arrivals,
        each=arguments.each,
        over=arguments.over,
        seed=arguments.seed,
    )
    if arguments.charts:
        for path in found.save_charts(arguments.charts):
            print(f"written: {path}", file=sys.stderr)
    _give(found, arguments, tables(found), found.lines())
    return 130 if found.interrupted else 1 if found.failures else 0


def _faults(arguments: argparse.Namespace) -> int:
    """Exit code 0 all survived, 1 not, 130 interrupted."""
    from hftlab.errors import ConfigError
    from hftlab.loadtest.faults import faults
    from hftlab.loadtest.table import faults_table

    if arguments.over:
        raise ConfigError(f"over {', '.join(arguments.over)} with faults; allowed over a transport is the sweep")
    found = faults(arguments.engines or None, arguments.parts or None, seed=arguments.seed)
    _give(found, arguments, [faults_table(found)], found.lines())
    return 130 if found.interrupted else 1 if found.failures else 0
