"""What `hftlab stress` accepts; options.py has the other commands."""

from __future__ import annotations

import argparse

from hftlab.cli.shared_options import placement_options, result_options

_DESCRIPTION = """\
Open loop: every message has a time at which it is due, fixed before, and latency counts from then.

  sweep     load swept to saturation: capacity, knee, p50 to p99.9 against offered load; the closed loop's view beside it
  bursts    10 to 100 times the load for some milliseconds: the queue, and how long it takes to drain
  storms    cancel storms, deep books, thousands of instruments; every engine must end as the reference does
  overload  more than can be worked off: what is queued, dropped and recovered, and that the book is right afterwards
  soak      the same for minutes or days: memory, faults and latency drift watched; Ctrl-C gives what was seen

With --over an exchange and a trader run over that pair of transports, FEED+ORDERS or one for both, and the load is swept as for
an engine in this process: response counts from when a tick was due until its order is back at the exchange. Both sides
want a core to themselves; what else runs there is in every figure, unless --fifo keeps it away.

With --faults instead: every fault of the wire, injected into a real exchange and a real trader on loopback, and survived: loss,
damage, dead lines, resets, restarts, full disks, bad clients. PART is then the name of a fault (default: all of them).

The exit code is 1 where something is wrong (faults, ends that differ, memory that grows), never because something is slow.
"""


def add_stress(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    stress = commands.add_parser(
        "stress",
        help="sweep the load to saturation, bursts, cancel storms, deep books, overload, a soak",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stress.add_argument("parts", metavar="PART", nargs="*", help="sweep, bursts, storms, overload, soak (default: all of them)")
    said = "an engine to put under load, may be repeated (default: every engine there is)"
    stress.add_argument("--engine", dest="engines", metavar="ENGINE", action="append", default=[], help=said)
    said = "sweep each Rust engine over a path, too: shm, udp-spin+tcp-spin, ... (see hftlab net transports); may be repeated"
    stress.add_argument("--over", metavar="PATH", action="append", default=[], help=said)
    said = "inject faults instead; PART names one of them, e.g. 'packet loss'"
    stress.add_argument("--faults", action="store_true", help=said)
    stress.add_argument("--quick", action="store_true", help="all of it in under 20 s")
    stress.add_argument("--seconds", type=float, default=None, help="of the soaks together (default 120; with --quick 3)")
    stress.add_argument("--feed", metavar="FILE", help="for sweep, bursts and soak, instead of a generated feed")
    stress.add_argument("--rounds", type=int, default=None, help="of the sweep and the bursts (default 3 and 5)")
    stress.add_argument("--arrivals", default="poisson", help="of the sweep: poisson or even (default poisson)")
    stress.add_argument("--each", type=int, default=1, help="of the sweep: messages that come at once (default 1)")
    stress.add_argument("--seed", type=int, default=1, help="default 1")
    stress.add_argument("--charts", metavar="FOLDER", help="write every chart there as a PNG")
    placement_options(stress)
    result_options(stress)
