"""What a message costs now, and what it would cost if nothing but the unavoidable were done.

    memory    its bytes, once through the processor at the speed at which memory can be read
    frames    finding each frame by the length of the one before, and cutting out the fields: the tick stage alone
    whole     the whole path
    clock     one reading of the engine's clock: what is shorter cannot be stamped

The fastest round of each is taken, since a bound is what is left when nothing else happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.variants import naive
from hftlab.errors import HftlabError
from hftlab.feeds.feed import Feed
from hftlab.measurement.clock import clock_of
from hftlab.measurement.conditions import FeedResult, Market, require_parity, require_release_build
from hftlab.measurement.machine import fingerprint
from hftlab.measurement.paired import check_rounds, interleave
from hftlab.presentation.document import Table, number, table

if TYPE_CHECKING:
    import polars as pl

BUFFER = 64 << 20  # bytes read to see how fast memory is; more than the last cache of most machines
MEMORY, FRAMES, CLOCK = "its bytes from memory", "frames and fields", "a clock reading"
WHOLE, NAIVE = "the whole path", "the naive path"


@dataclass(frozen=True, kw_only=True)
class LowerBound(FeedResult):
    """What a message costs and could cost, ns by part; of the fastest round each.

    bytes_per_message : on the wire, with the length; bytes_per_ns: read from memory by one core
    ghz               : of the processor as it names itself, None where it does not
    """

    schema = "hftlab-lower-bound/1"
    backend: str
    bytes_per_message: float
    bytes_per_ns: float
    ghz: float | None
    ns: dict[str, float]

    def times(self, part: str = WHOLE) -> float:
        """How many times the frames-and-fields pass it takes."""
        return self.ns[part] / self.ns[FRAMES]

    def frame(self) -> pl.DataFrame:
        """One row per part: part, ns (per message), cycles (null where no frequency is known), times the frames and fields."""
        import polars as pl

        rows = [(part, ns, ns * self.ghz if self.ghz else None, self.times(part)) for part, ns in self.ns.items()]
        return pl.DataFrame(
            rows, schema={"part": pl.String, "ns": pl.Float64, "cycles": pl.Float64, "times": pl.Float64}, orient="row"
        )

    def plot(self) -> Any:
        """From the naive path down to the bytes alone, as an Altair chart."""
        import polars as pl

        from hftlab.charts import waterfall_chart

        way = [
            (NAIVE, NAIVE, "start"),
            *((part, part, "step") for part in (WHOLE, FRAMES, MEMORY)),
            ("bytes alone", MEMORY, "end"),
        ]
        rows = [(label, self.ns[part], kind) for label, part, kind in way]
        frame = pl.DataFrame(rows, schema=["label", "ns", "kind"], orient="row")
        return waterfall_chart(frame, "How far down it goes", self.headline(), log=True)

    def headline(self) -> str:
        return f"{self.backend} on {self.feed}, {self.messages:,} messages, the fastest of {self.rounds} rounds"

    def tables(self) -> list[Table]:
        rows = [(part, number(ns, 2), number(cycles), number(times, 2)) for part, ns, cycles, times in self.frame().rows()]
        return [table("What a message costs and could cost", ("part", "ns", "cycles", "times frames and fields"), rows)]

    def notes(self) -> list[str]:
        size = f"a message has {self.bytes_per_message:.1f} bytes on the wire"
        return [f"one core reads {self.bytes_per_ns:.1f} GB/s from memory; {size}", *super().notes()]

    def __repr__(self) -> str:
        return f"<LowerBound of {self.backend} on {self.feed}: {self.times():.1f} times frames and fields>"


def lower_bound(
    feed: Feed | None = None, *, backend: str = "rust", rounds: int = 11, messages: int = 100_000, seed: int = 1
) -> LowerBound:
    """Measure what a message costs, and the bounds below it.

    feed   : of wire bytes; default: a calm generated feed of `messages` messages
    rounds : interleaved rounds, 3 to 1000; one more is run first, to warm up, and not counted
    seed   : of the order within a round, and of the generated feed
    raises : BackendMissing; HftlabError for a feed of event records, an engine that differs from the reference, or a debug build
    """
    check_rounds(rounds)
    feed = synthetic("calm", messages, seed) if feed is None else feed
    if feed.wire != "itch":
        raise HftlabError(f"{feed.name} carries event records; a lower bound is measured with wire bytes")
    whole = Engine(backend)
    engines = {FRAMES: Engine(backend, until="tick"), WHOLE: whole}
    engines[NAIVE] = whole.replace(**naive(require_release_build(whole).variants()))
    require_parity([Engine("python"), whole, engines[NAIVE]], feed)
    run = whole.run(feed, record="none")
    size = sum(len(block) for block in feed.blocks()) / run.messages
    buffer = np.ones(BUFFER // 8)

    def read() -> float:
        start = perf_counter_ns()
        buffer.sum()
        return (perf_counter_ns() - start) / BUFFER

    work = {part: (lambda engine=engine: engine.run(feed, record="none").ns_per_message) for part, engine in engines.items()}
    series = interleave({**work, MEMORY: read}, rounds, seed, "lower bound")
    ns = {part: float(series[part].min()) for part in (NAIVE, WHOLE, FRAMES, MEMORY)}
    ns[MEMORY], per_ns = ns[MEMORY] * size, 1 / ns[MEMORY]
    ns[CLOCK] = clock_of(whole.implementation).cost_p50_ns
    machine = fingerprint()
    return LowerBound(
        feed=feed.name,
        messages=run.messages,
        market=Market.of(whole, run, feed),
        rounds=rounds,
        machine=machine,
        backend=backend,
        bytes_per_message=size,
        bytes_per_ns=per_ns,
        ghz=_ghz(machine["mhz"]),
        ns=ns,
    )


def _ghz(mhz: str) -> float | None:
    try:
        return float(mhz) / 1_000
    except ValueError:
        return None
