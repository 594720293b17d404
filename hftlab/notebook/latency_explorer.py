"""latency_explorer(): choose a feed, an engine and its variants, measure, and see the distribution beside earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.session import backends
from hftlab.engine.timing import PARTS
from hftlab.engine.variants import AXES, setting
from hftlab.errors import HftlabError
from hftlab.feeds.feed import Feed
from hftlab.feeds.generate.regimes import REGIMES
from hftlab.measurement.clock import clock_of
from hftlab.measurement.conditions import require_parity, require_release_build
from hftlab.measurement.distribution import TITLES, Distribution
from hftlab.measurement.paired import gc_paused
from hftlab.notebook.panel import Panel, column, picture, row
from hftlab.presentation import html
from hftlab.presentation.document import number, table, text

PASSES = 3  # summed up
MAX_CURVES = 6  # the oldest goes
COLUMNS = ("p50", "p99", "p99.9")


class LatencyExplorer(Panel):
    """Dropdowns for the feed, the engine and each axis; "measure" adds a curve to the percentile plot, "clear" removes all.

    feed, engine, part : what is run, and which part of the path is drawn: end to end, or one stage
    axes               : a dropdown per axis; disabled for an engine without variants
    measure, clear     : buttons; `measured` holds the distributions by name, oldest first
    message            : the table of the curves, or the reason why nothing was measured

    Each curve is of passes of its own, one after the other: it shows shapes. For a claim, interleave: `hftlab.compare`.
    """

    def __init__(self, feeds: Mapping[str, Feed], engines: Sequence[str]) -> None:
        self.feeds = dict(feeds)
        self.variants = {info.name: info.variants for info in backends() if info.available}
        self.measured: dict[str, dict[str, Distribution]] = {}
        self.feed = widgets.Dropdown(options=list(self.feeds), description="feed")
        self.engine = widgets.Dropdown(options=list(engines), value=engines[-1], description="engine")
        self.part = widgets.Dropdown(options=[(TITLES[part], part) for part in reversed(PARTS)], description="part")
        self.axes = {axis: widgets.Dropdown(description=axis, layout=widgets.Layout(width="220px")) for axis in AXES}
        self.measure = widgets.Button(description="measure", button_style="primary")
        self.clear = widgets.Button(description="clear")
        self.picture, self.message = widgets.HTML(), widgets.HTML()
        self.engine.observe(lambda _: self._offer_variants(), "value")
        self.part.observe(lambda _: self.draw(), "value")
        self.measure.on_click(lambda _: self.run())
        self.clear.on_click(lambda _: self._remove_all())
        parts = (row(self.feed, self.engine, self.part), row(*self.axes.values()), row(self.measure, self.clear))
        self.box = column(*parts, self.message, self.picture)
        self._offer_variants()
        self.draw()

    def chosen(self) -> Engine:
        """The engine that the dropdowns name."""
        variant = {axis: box.value for axis, box in self.axes.items() if not box.disabled}
        return Engine(self.engine.value, **variant)

    def run(self) -> None:
        """Measure the chosen engine and draw it. If it is wrong, or cannot be timed, the reason is shown instead."""
        try:
            engine = self.chosen()
            distributions = measure_parts(engine, self.feeds[self.feed.value])
        except HftlabError as error:
            self.message.value = html.fragment(str(error), [])
            return
        words: dict[tuple[str, Any], str] = {("pool", True): "pool", ("pool", False): "no pool"}
        variant = (words.get((axis, value), str(value)) for axis, value in engine.variant.items() if axis != "lookahead")
        name = " ".join([f"{self.feed.value}: {self.engine.value}", *variant])
        self.measured.pop(name, None)
        self.measured[name] = distributions
        for oldest in list(self.measured)[:-MAX_CURVES]:
            del self.measured[oldest]
        self.draw()

    def draw(self) -> None:
        """Draw all that was measured, and list it in a table."""
        if not self.measured:
            self.message.value, self.picture.value = html.fragment("", [text("choose, and press measure")]), ""
            return
        part = self.part.value
        rows = []
        for name, parts in self.measured.items():
            quantiles = parts[part].percentiles
            rows.append((name, *(number(quantiles[column]) for column in COLUMNS), f"{parts[part].n:,}"))
        columns = ("passes one after the other: for a claim, hftlab.compare", *(f"{name}, ns" for name in COLUMNS), "samples")
        self.message.value = html.fragment("", [table(TITLES[part], columns, rows)])
        self.picture.value = picture(self.chart())

    def chart(self) -> Any:
        """Percentile by percentile, a curve for each measurement."""
        import polars as pl

        from hftlab.charts import percentile_chart

        part = self.part.value
        rows = [
            {"series": name, **point}
            for name, parts in self.measured.items()
            for point in parts[part].spectrum(101)
            if point["ns"] > 0
        ]
        frame = pl.DataFrame(rows, schema={"series": pl.String, "percentile": pl.Float64, "ns": pl.Float64})
        return percentile_chart(frame, f"Latency by percentile: {TITLES[part]}")

    def __repr__(self) -> str:
        return f"<LatencyExplorer: {len(self.measured)} measured>"

    def _offer_variants(self) -> None:
        variants = self.variants[self.engine.value]
        for axis, box in self.axes.items():
            names = variants.get(axis, ())
            box.options = [(name, setting(axis, name)) for name in names] or ["no variants"]
            box.value, box.disabled = box.options[-1][1] if names else "no variants", not names

    def _remove_all(self) -> None:
        self.measured.clear()
        self.draw()


def measure_parts(engine: Engine, feed: Feed) -> dict[str, Distribution]:
    """Stamped distributions of every part of the path, of three passes together, after one that warms up.

    raises : HftlabError for a debug build, an engine that differs from the reference, or one without stamps
    """
    cost = clock_of(require_release_build(engine)).cost_p50_ns
    require_parity([engine.as_reference(), engine], feed)
    with gc_paused():
        runs = [engine.run(feed, record="none", latency=True, keep="histogram") for _ in range(PASSES + 1)][1:]
    if not all(run.histograms for run in runs):
        raise HftlabError(f"{engine.label} takes no stamps")
    out = {}
    for part in PARTS:
        first, *others = [(run.histograms or {})[part] for run in runs]
        for other in others:
            first.add(other)
        out[part] = Distribution(part, first, cost)
    return out


def latency_explorer(
    feeds: Mapping[str, Feed] | Sequence[str] | None = None, *, messages: int = 20_000, seed: int = 1
) -> LatencyExplorer:
    """A latency explorer as a widget.

    feeds    : feeds by name, or names of regimes; default: every regime
    messages : of a generated feed
    """
    named = feeds if isinstance(feeds, Mapping) else {name: synthetic(name, messages, seed) for name in feeds or REGIMES}
    return LatencyExplorer(named, [info.name for info in backends() if info.available])
