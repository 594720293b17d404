"""The interactive widgets: book_replay(feed), the book message by message under a slider; latency_explorer(), to choose a feed,
an engine and its variants, measure, and see the distribution beside earlier ones.

Each is a box of controls and a picture. A notebook stores the live view and a PNG of a chart of the same state: a clone or a code
host, where no kernel answers the controls, shows the picture. Nothing is loaded from a network; every change runs in the kernel,
so that a test can set a control's `.value` and read the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from hftlab.charts import depth_chart, price_chart, queue_chart, thin
from hftlab.charts.base import THEME, alt, render
from hftlab.charts.market import price_text
from hftlab.engine.engine import Engine, synthetic
from hftlab.engine.history import BookHistory, BookSnapshot
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
from hftlab.presentation import html
from hftlab.presentation.document import Block, moment, number, table, text
from hftlab.presentation.html import svg


class Panel(ABC):
    """`box` is the widget, to be shown or put into another one; `chart()` is its present state as an Altair chart."""

    box: Any

    @abstractmethod
    def chart(self) -> Any:
        """The present state as a chart: it is stored beside the live view."""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        live = self.box._repr_mimebundle_()
        with alt.theme.enable(THEME):
            still, sizes = render(self.chart().to_dict())
        pictures = {kind: still[kind] for kind in ("image/png",) if kind in still}
        return {**live, **pictures, "text/plain": repr(self)}, sizes


def column(*parts: Any) -> Any:
    """Widgets one below the other, as wide as a chart."""
    return widgets.VBox(list(parts), layout=widgets.Layout(width="700px"))


def row(*parts: Any) -> Any:
    """Widgets side by side, wrapped into a second line where they do not fit."""
    return widgets.HBox(list(parts), layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def picture(chart: Any) -> str:
    """A chart as SVG, which any page shows."""
    with alt.theme.enable(THEME):
        return svg(chart.to_dict())


STEPS = (1, 10, 100, 1_000)  # messages per tick of the player
TICK_MS = 500
LEVELS = 8  # of the book, a side
STRIP_POINTS = 400


class BookReplay(Panel):
    """A slider over the messages of a feed; around it prices, the message, depth, a queue, the last trade, the signals.

    slider, play, step      : message shown; the player; messages per tick
    back, forward           : one message; next_trade, next_order: to the next trade, to the next order of the engine
    symbol, side, follow    : instrument; side whose best queue is shown; id of an order to follow in its queue, "" for none
    now                     : the snapshot that is shown
    """

    def __init__(self, history: BookHistory, symbol: str | None = None, index: int = 0, follow: int = 0) -> None:
        self.history = history
        last, wide = len(history) - 1, widgets.Layout(width="680px")
        self.slider = widgets.IntSlider(index, 0, last, description="message", layout=wide)
        self.play = widgets.Play(value=index, min=0, max=last, interval=TICK_MS)
        self.step = widgets.Dropdown(options=STEPS, value=1, description="per tick", layout=widgets.Layout(width="170px"))
        self.back, self.forward = _button("◀ 1", "one message back"), _button("1 ▶", "one message forward")
        self.next_trade = _button("next trade", "to the next trade of this symbol")
        self.next_order = _button("next order", "to the next order that the engine sends")
        symbols = history.symbols
        self.symbol = widgets.Dropdown(options=symbols, value=symbol or symbols[0], layout=widgets.Layout(width="120px"))
        self.side = widgets.ToggleButtons(options=["bid", "ask"], style={"button_width": "50px"})
        self.follow = widgets.Text(
            str(follow or ""), description="follow", placeholder="order id", layout=widgets.Layout(width="210px")
        )
        self.prices, self.picture, self.text = widgets.HTML(), widgets.HTML(), widgets.HTML()
        buttons = row(self.play, self.step, self.back, self.forward, self.next_trade, self.next_order)
        choices = row(self.symbol, self.side, self.follow)
        self.box = column(self.prices, self.slider, buttons, choices, self.text, self.picture)
        self._connect()
        self.draw_prices()
        self.draw()

    def _connect(self) -> None:
        widgets.link((self.play, "value"), (self.slider, "value"))
        widgets.link((self.step, "value"), (self.play, "step"))
        self.symbol.observe(lambda _: self.draw_prices(), "value")
        for control in (self.slider, self.symbol, self.side, self.follow):
            control.observe(lambda _: self.draw(), "value")
        self.back.on_click(lambda _: self._move(self.slider.value - 1))
        self.forward.on_click(lambda _: self._move(self.slider.value + 1))
        self.next_trade.on_click(lambda _: self._move(self._next([t.index for t in self.history.trades(self.symbol.value)])))
        self.next_order.on_click(lambda _: self._move(self._next(self.history.run.orders["index"].to_list())))

    @property
    def now(self) -> BookSnapshot:
        return self.history.at(self.slider.value, self.symbol.value)

    def draw(self) -> None:
        """Draw the snapshot of the message under the slider."""
        self.text.value = html.fragment(self._headline(), self._blocks())
        self.picture.value = picture(self.chart())

    def draw_prices(self) -> None:
        """Draw best bid and ask over the whole feed, above the slider."""
        symbol, scale = self.symbol.value, self.history.feed.price_scale
        frame = thin(self.history.frame(symbol), STRIP_POINTS, ("bid_price", "ask_price"))
        chart = price_chart(frame, scale, by="index", title=f"Best bid and ask of {symbol}")
        self.prices.value = picture(chart.properties(height=70))

    def chart(self) -> Any:
        """Depth and queue of the snapshot."""
        now, scale = self.now, self.history.feed.price_scale
        side, price = now.locate(self._followed) or (self.side.value, None)
        price = price or now.top[0 if side == "bid" else 2]
        depth = depth_chart(now.book(), scale, LEVELS, f"The book of {now.symbol}", self._headline())
        title = f"The {side} queue at {price_text(price, scale)}" if price else f"No {side}"
        queue = queue_chart(now.queue(side, price), self._followed or (), title)
        return alt.vconcat(depth, queue).resolve_scale(color="independent")

    def __repr__(self) -> str:
        return f"<BookReplay of {self.history.feed.name}: message {self.slider.value:,} of {len(self.history):,}>"

    def _headline(self) -> str:
        now = self.now
        time = moment(now.ts_ns, self.history.feed.epoch)
        return f"message {now.index:,} of {len(self.history):,}, {time}, {now.symbol}"

    def _blocks(self) -> list[Block]:
        """Message, last trade, followed order; the signals as a table."""
        now, scale = self.now, self.history.feed.price_scale
        lines = [now.description, now.wire.hex(" ") if now.wire else "no wire bytes: this feed carries event records"]
        trade = "none yet"
        if now.trade:
            hidden = ", against a hidden order" if now.trade.hidden else ""
            trade = f"{now.trade.qty:,} at {price_text(now.trade.price, scale)} in message {now.trade.index:,}{hidden}"
        lines.append(f"last trade: {trade}")
        if self._followed:
            place = now.queue_position(self._followed)
            ahead = "not live" if place is None else f"{place[0]:,} orders with {place[1]:,} ahead of it"
            lines.append(f"order {self._followed}: {ahead}")
        units = {"mid": scale, "microprice": scale, "spread": scale, "volatility": scale**2}
        values = [value / units.get(name, 1) for name, value in now.signals.items()]
        signals = tuple("n/a" if value != value else f"{value:.5g}" for value in values)
        return [text(*lines), table("Signals", tuple(now.signals), [signals], words=0)]

    @property
    def _followed(self) -> int:
        number = self.follow.value.strip().replace(",", "")
        return int(number) if number.isdecimal() else 0

    def _move(self, index: int | None) -> None:
        if index is not None:
            self.slider.value = min(max(index, 0), len(self.history) - 1)

    def _next(self, indices: list[int]) -> int | None:
        return next((index for index in indices if index > self.slider.value), None)


def _button(label: str, tooltip: str) -> Any:
    return widgets.Button(description=label, tooltip=tooltip, layout=widgets.Layout(width="auto"))


def book_replay(
    feed: Feed | BookHistory, engine: Engine | None = None, *, symbol: str | None = None, index: int = 0, follow: int = 0
) -> BookReplay:
    """A replay of the book as a widget.

    feed   : a feed, or its history
    engine : what runs it; default: the one that "auto" means
    symbol : instrument; default the busiest
    index  : message shown first; follow: id of an order to follow in its queue
    raises : as `hftlab.engine.history.BookHistory`
    """
    return BookReplay(feed if isinstance(feed, BookHistory) else BookHistory(feed, engine), symbol, index, follow)


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
