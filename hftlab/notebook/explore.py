"""explorer(): choose a feed, an engine and its variants, measure, and see the distribution beside those measured before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.session import backends
from hftlab.engine.timing import PARTS
from hftlab.errors import HftlabError
from hftlab.feeds.feed import Feed
from hftlab.feeds.generate.regimes import REGIMES
from hftlab.measurement.clock import clock_of
from hftlab.measurement.distribution import TITLES, Distribution
from hftlab.measurement.paired import gc_paused
from hftlab.measurement.preconditions import require_parity, require_release_build
from hftlab.notebook.panel import Panel, column, picture, row
from hftlab.presentation import html
from hftlab.settings import AXES

PASSES = 3  # counted together
MOST = 6  # curves; the oldest goes


class Explorer(Panel):
    """Dropdowns for the feed, the engine and each axis; "measure" adds a curve to the percentile plot, "clear" takes all away.

    feed, engine, part : what is run, and which part of the path is drawn: end to end, or one stage
    axes               : a dropdown per axis; an engine without variants has them switched off
    measure, clear     : buttons; `measured` holds the distributions by name, oldest first
    said               : what went wrong, and what is to be kept in mind

    Each curve is of passes of its own, one after the other: it shows shapes. For a claim, interleave: `hftlab.compare`.
    """

    def __init__(self, feeds: Mapping[str, Feed], engines: Sequence[str]) -> None:
        self.feeds = dict(feeds)
        self.variants = {info.name: info.variants for info in backends() if info.available}
        self.measured: dict[str, dict[str, Distribution]] = {}
        self.feed = widgets.Dropdown(options=list(self.feeds), description="feed")
        self.engine = widgets.Dropdown(options=list(engines), value=engines[-1], description="engine")
        self.part = widgets.Dropdown(options=[(TITLES[part], part) for part in reversed(PARTS)], description="shown")
        self.axes = {axis: widgets.Dropdown(description=axis, layout=widgets.Layout(width="220px")) for axis in AXES}
        self.measure = widgets.Button(description="measure", button_style="primary")
        self.clear = widgets.Button(description="clear")
        self.picture, self.said = widgets.HTML(), widgets.HTML()
        self.engine.observe(lambda _: self._offer(), "value")
        self.part.observe(lambda _: self.draw(), "value")
        self.measure.on_click(lambda _: self.run())
        self.clear.on_click(lambda _: self._empty())
        parts = (row(self.feed, self.engine, self.part), row(*self.axes.values()), row(self.measure, self.clear))
        self.box = column(*parts, self.said, self.picture)
        self._offer()
        self.draw()

    def chosen(self) -> Engine:
        """The engine that the dropdowns name."""
        variant = {axis: box.value for axis, box in self.axes.items() if not box.disabled}
        return Engine(self.engine.value, **variant)

    def run(self) -> None:
        """Measure what is chosen and draw it. An engine that is not right, or cannot be timed, is said, and nothing is drawn."""
        try:
            engine, feed = self.chosen(), self.feeds[self.feed.value]
            cost = clock_of(require_release_build(engine)).cost_p50_ns
            require_parity([engine.reference(), engine], feed)
            with gc_paused():
                runs = [engine.run(feed, record="none", latency=True, keep="histogram") for _ in range(PASSES + 1)][1:]
            if not all(run.histograms for run in runs):
                raise HftlabError(f"{engine.label} stamps nothing")
        except HftlabError as error:
            self.said.value = html.block(str(error), "")
            return
        found = {}
        for part in PARTS:
            first, *others = [(run.histograms or {})[part] for run in runs]
            for other in others:
                first.add(other)
            found[part] = Distribution(part, first, cost)
        words: dict[Any, str] = {True: "pool", False: "no pool"}
        name = " ".join(
            [f"{self.feed.value}: {self.engine.value}", *(words.get(one, str(one)) for one in engine.variant.values())]
        )
        self.measured.pop(name, None)
        self.measured[name] = found
        for old in list(self.measured)[:-MOST]:
            del self.measured[old]
        self.draw()

    def draw(self) -> None:
        """Draw what has been measured, and say it in a table."""
        part = self.part.value
        rows = []
        for name, found in self.measured.items():
            told = found[part].quantiles
            rows.append((name, found[part].n, told["p50"], told["p99"], told["p99.9"]))
        table = html.table(("ns, stamped", "n", "p50", "p99", "p99.9"), rows) if rows else ""
        hint = (
            "choose, and press measure"
            if not rows
            else "passes of their own each, one after the other: for a claim, hftlab.compare"
        )
        self.said.value = html.block("", table, [hint])
        self.picture.value = picture(self.chart()) if rows else ""

    def chart(self) -> Any:
        """Percentile by percentile, a curve for each that was measured."""
        import polars as pl

        from hftlab.charts import percentile_chart

        part = self.part.value
        rows = [
            {"series": name, **point}
            for name, found in self.measured.items()
            for point in found[part].spectrum(101)
            if point["ns"] > 0
        ]
        frame = pl.DataFrame(rows, schema={"series": pl.String, "percentile": pl.Float64, "ns": pl.Float64})
        return percentile_chart(frame, f"Latency by percentile: {TITLES[part]}")

    def __repr__(self) -> str:
        return f"<Explorer: {len(self.measured)} measured>"

    def _offer(self) -> None:
        """Offer the variants of the engine that was chosen."""
        variants = self.variants[self.engine.value]
        for axis, box in self.axes.items():
            names = variants.get(axis, ())
            box.options = [(name, name == "True" if axis == "pool" else name) for name in names] or ["one way"]
            box.value, box.disabled = box.options[-1][1] if names else "one way", not names

    def _empty(self) -> None:
        self.measured.clear()
        self.draw()


def explorer(feeds: Mapping[str, Feed] | Sequence[str] | None = None, *, messages: int = 20_000, seed: int = 1) -> Explorer:
    """A latency explorer, to be shown in a notebook.

    feeds    : feeds by name, or names of regimes; default: every regime
    messages : of a generated feed
    """
    named = feeds if isinstance(feeds, Mapping) else {name: synthetic(name, messages, seed) for name in feeds or REGIMES}
    return Explorer(named, [info.name for info in backends() if info.available])
