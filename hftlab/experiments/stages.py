"""hftlab.bench(feed): every engine side by side, stage by stage. Equality first, then interleaved rounds in random order.

Every figure of a comparison is taken in one run. A second copy of one engine runs in the same rounds: the A/A control, which is
the noise floor of every ratio.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.resolve import as_engine
from hftlab.engine.session import backends
from hftlab.engine.variants import naive
from hftlab.errors import ConfigError, check_range
from hftlab.experiments.stage_timing import StageTimer, StageTimings
from hftlab.feeds.feed import Feed
from hftlab.measurement.conditions import FeedResult, Market, require_parity
from hftlab.measurement.distribution import TITLES
from hftlab.measurement.paired import ENOUGH_ROUNDS, MAX_ROUNDS, MIN_ROUNDS, Interval, gc_paused, run_pieces
from hftlab.presentation.document import NOT_KNOWN, Table, number, table
from hftlab.presentation.progress import track
from hftlab.settings import RECORDS, STAGES

if TYPE_CHECKING:
    import polars as pl


#: Messages a round of the whole market, which fills its books once for all of them.
MARKET_PIECE = 10_000


@dataclass(frozen=True)
class Headline:
    """The whole path, unstamped, of every engine by its label: ns per message over the rounds. what : "one symbol", for people"""

    what: str
    feed: str
    market: Market
    ns: dict[str, Interval]


@dataclass(frozen=True, kw_only=True, repr=False)
class BenchReport(FeedResult):
    """Every engine on one feed, in one run, on one machine.

    headlines : on this feed, and on the whole market unless a feed was given
    missing   : engines that cannot be used here, and why
    """

    schema = "hftlab-bench/4"
    engines: tuple[StageTimings, ...]
    headlines: tuple[Headline, ...]
    missing: dict[str, str]

    def __getitem__(self, label: str) -> StageTimings:
        """One engine by its label. Raises KeyError."""
        return {engine.label: engine for engine in self.engines}[label]

    @property
    def fastest(self) -> StageTimings:
        """The engine with the shortest whole pass."""
        return min(self.engines, key=lambda engine: engine.whole_ns)

    def ratios(self) -> dict[str, Interval]:
        """How many times the messages per second of the first engine each other one makes, paired by round."""
        base = np.array(self.engines[0].rounds_ns)
        return {other.label: Interval.of(base / np.array(other.rounds_ns)) for other in self.engines[1:]}

    @property
    def control(self) -> Interval | None:
        """The ratio of the last engine to itself, taken in the same rounds."""
        ratios = self.engines[-1].control_ratios
        return Interval.of(np.array(ratios)) if ratios else None

    def records(self) -> list[dict[str, Any]]:
        """One per engine and stage: engine, stage, n, min, max, mean, p50 to p99.99 in ns; None where the sample is too small."""
        stages = ((engine.label, row) for engine in self.engines for row in engine.latency_ns)
        return [{"engine": label, "stage": TITLES[row.part], "n": row.n, **row.values()} for label, row in stages]

    def stages(self) -> pl.DataFrame:
        """One row per engine and stage: ns per message that the stage adds to an unstamped pass."""
        import polars as pl

        rows = [(engine.label, TITLES[stage], ns) for engine in self.engines for stage, ns in engine.stage_ns.items()]
        return pl.DataFrame(rows, schema=["engine", "stage", "ns_per_message"], orient="row")

    def intervals(self) -> pl.DataFrame:
        """One row per engine and stage, and end to end: ns per message of unstamped passes, low and high of the interval."""
        import polars as pl

        rows = [
            (engine.label, TITLES[part], interval.median, interval.low, interval.high)
            for engine in self.engines
            for part, interval in engine.intervals().items()
        ]
        return pl.DataFrame(rows, schema=["engine", "stage", "ns_per_message", "low", "high"], orient="row")

    def to_dict(self) -> dict[str, Any]:
        plain = super().to_dict()
        for each, engine in zip(plain["engines"], self.engines, strict=True):
            both = engine.agreement()
            each["agreement"] = {stage: {"agree": it.agree, "sentence": it.sentence()} for stage, it in both.items()}
            each |= {"until_ns_per_message": engine.until_ns, "stage_ns_per_message": engine.stage_ns}
            each["messages_per_s"] = engine.messages_per_s
        return plain

    def derived(self) -> dict[str, Any]:
        ratios = {label: asdict(ratio) for label, ratio in self.ratios().items()}
        control = self.control
        return {"ratios": ratios, "control": control and {"engine": self.engines[-1].label, **asdict(control)}}

    def plot(self) -> Any:
        """What each stage adds to an unstamped pass of every engine, a dot per engine, as an Altair chart.

        A stage that the noise hides (differences of passes can be at or below 0) is drawn at 1 ns.
        """
        from hftlab.charts import dot_chart

        rows = self.stages().iter_rows()
        dots = [{"label": stage, "group": engine, "value": max(1.0, ns)} for engine, stage, ns in rows]
        return dot_chart(dots, "Time by stage", self.subtitle(), "ns per message", why="no stage was timed")

    def headline(self) -> str:
        return self.subtitle()

    def tables(self) -> list[Table]:
        return [*(engine.table() for engine in self.engines), self._passes(), self._records(), self._headlines()]

    def _headlines(self) -> Table:
        """One symbol and the whole market: what an engine takes for a message depends on how much of a market there is."""
        labels = [engine.label for engine in self.engines]
        rows = [(line.what, *(_spread(line.ns[label]) for label in labels)) for line in self.headlines]
        note = "Median over the rounds, and its 95 % interval" + (" (range)" if self.rounds < ENOUGH_ROUNDS else "") + "."
        return table("The whole path, ns per message", ("feed", *labels), rows, note=note)

    def _passes(self) -> Table:
        """Unstamped whole passes: what each stage adds, the whole path, and the ratio to the first engine."""
        ratios, rows = self.ratios(), []
        for engine in self.engines:
            spread = engine.intervals()
            stages = [_added(ns, spread[stage]) for stage, ns in engine.stage_ns.items()]
            stages += [NOT_KNOWN] * (len(STAGES) - len(stages))
            ratio = str(ratios[engine.label]) if engine.label in ratios else "1.0"
            rows.append((engine.label, *stages, number(engine.whole_ns), number(engine.messages_per_s, 0), ratio))
        columns = ("engine", *STAGES, "end to end", "messages/s", f"x {self.engines[0].label}")
        note = "The loop of the engine alone: neither reading nor decompressing is in it."
        if any("<" in str(cell) for row in rows for cell in row):
            note += " A stage is the difference of two passes; < stands before its bound where the rounds do not show it."
        if self.control and self.control.side:
            note += " The A/A control excludes 1: a ratio no further from 1 than the control is no difference."
        return table("Unstamped whole passes, ns per message", columns, rows, note=note)

    def _records(self) -> Table:
        """What keeping rows costs: whole passes by record mode."""
        rows = [
            (engine.label, *(number(engine.record_ns[mode]) for mode in RECORDS), f"{engine.record_messages:,}")
            for engine in self.engines
        ]
        columns = ("engine", *(f"record {mode}" for mode in RECORDS), "messages")
        return table("Whole passes by record mode, ns per message", columns, rows)

    def notes(self) -> list[str]:
        out = [*super().notes(), *(f"{line.what}, {line.feed}: {line.market}" for line in self.headlines[1:])]
        out += [note for engine in self.engines for note in engine.notes()]
        if self.control:
            excludes = "; it EXCLUDES 1: the ratios are no better than that" if self.control.side else ""
            out.append(f"A/A control, {self.engines[-1].label} against itself in the same rounds: {self.control}{excludes}")
        for engine in self.engines:
            out += [f"{engine.label}, {agreement.sentence()}" for agreement in engine.agreement().values() if not agreement.agree]
            if engine.record_messages < self.messages:
                out.append(f"{engine.label} ran the record modes on the first {engine.record_messages:,} messages, being slow")
        return [*out, *(f"{name} is MISSING: {why}" for name, why in self.missing.items())]


def _added(ns: float, spread: Interval) -> str:
    """What a stage adds to a pass; its upper bound where the interval of the difference holds 0, "n/a" where it lies below."""
    if spread.low > 0:
        return number(ns)
    return f"< {number(spread.high)}" if spread.high > 0 else NOT_KNOWN


def bench(
    feed: Feed | None = None,
    *,
    rounds: int = 11,
    messages: int = 20_000,
    seed: int = 1,
    engines: Iterable[Any] = (),
) -> BenchReport:
    """Time every engine on one feed, stage by stage.

    feed     : default: one calm generated symbol, `messages` messages over a book that is filled; and, for the headline, a whole
               generated market
    rounds   : interleaved rounds, 1 to 1000; one more is run first, to warm up, and not counted
    seed     : of the order within a round, and of the generated feed
    engines  : more of them beside those that are installed; whatever `hftlab.as_engine` makes an engine of
    raises   : ConfigError; HftlabError if two engines differ on the first 20,000 messages, or if one is a debug build
    """
    check_range("rounds", rounds, 1, MAX_ROUNDS)
    given, feed = feed, synthetic("calm", messages, seed, warm=True) if feed is None else feed
    field = timers(engines)
    require_parity([timer.engine for timer in field], feed)
    order, control = random.Random(seed), field[-1]
    again: list[float] = []
    for timer in field:
        timer.warm_up(feed)
    for _ in track(range(rounds), "rounds"):
        for contender in order.sample([*field, None], len(field) + 1):
            if contender is None:
                with gc_paused():
                    again.append(control.plain(feed))
            else:
                contender.round(feed, order)
    ratios = tuple(a / b for a, b in zip(control.passes[control.engine.until], again, strict=True))
    timed = tuple(timer.timings(ratios if timer is control else ()) for timer in field)
    conditions = control.conditions(feed, rounds)
    one = Headline("one symbol", feed.name, conditions["market"], {each.label: each.intervals()["total"] for each in timed})
    return BenchReport(
        **conditions,
        engines=timed,
        headlines=(one, _whole_market(field, rounds, seed)) if given is None else (replace(one, what=feed.name),),
        missing={info.name: info.why for info in backends() if not info.available},
    )


def _whole_market(field: Iterable[StageTimer], rounds: int, seed: int) -> Headline:
    """The same engines on thousands of symbols with hundreds of thousands of live orders."""
    rounds = max(rounds, MIN_ROUNDS)
    feed = synthetic("whole_market", (rounds + 1) * MARKET_PIECE, seed, warm=True)
    engines = {timer.label: timer.engine for timer in field}
    require_parity(engines.values(), feed, MARKET_PIECE)
    series, _ = run_pieces(engines, feed, rounds, MARKET_PIECE, seed, "whole market")
    last = list(engines.values())[-1]
    market = Market.of(last, last.run(feed, record="none"), feed)
    return Headline("whole market", feed.name, market, {label: Interval.of(ns) for label, ns in series.items()})


def _spread(ns: Interval) -> str:
    return f"{ns.median:,.1f} [{ns.low:,.1f}, {ns.high:,.1f}]"


def timers(engines: Iterable[Any] = ()) -> list[StageTimer]:
    """Every available engine, the Rust engine twice, as the naive port and at its best; then the given ones.

    raises : ConfigError for two engines with one label; HftlabError for a debug build
    """
    out = []
    for info in backends():
        if info.available and info.name == "rust":
            out.append(StageTimer("rust naive", Engine("rust").replace(**naive(info.variants)), records=True))
        if info.available:
            label = "rust best" if info.name == "rust" else info.name
            out.append(StageTimer(label, Engine(info.name), records=True))
    for given in map(as_engine, engines):
        if given.label in (known := [timer.label for timer in out]):
            raise ConfigError(f"labels of engines must differ, got {given.label!r} twice; the others are {', '.join(known)}")
        out.append(StageTimer(given.label, given, records=True))
    return out
