"""book_replay(feed): the book, message by message, under a slider."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from hftlab.charts import depth_chart, price_chart, queue_chart, thin
from hftlab.charts.base import alt
from hftlab.charts.market import price_text
from hftlab.engine.engine import Engine
from hftlab.engine.history import BookHistory, BookSnapshot
from hftlab.feeds.feed import Feed
from hftlab.notebook.panel import Panel, column, picture, row
from hftlab.presentation import html
from hftlab.presentation.document import Block, table, text

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
        time = clock_time(now.ts_ns, self.history.feed.epoch)
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


def clock_time(ts_ns: int, epoch: str) -> str:
    """Time of day to the nanosecond; for an epoch other than midnight the nanoseconds."""
    if epoch != "midnight":
        return f"{ts_ns:,} ns"
    seconds, ns = divmod(ts_ns, 1_000_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ns:09}"


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
