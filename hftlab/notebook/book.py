"""replay(feed): the book, message by message, under a slider."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from hftlab.engine.engine import Engine
from hftlab.engine.history import Tape
from hftlab.engine.moment import Moment
from hftlab.feeds.feed import Feed
from hftlab.notebook import drawn
from hftlab.notebook.panel import Panel, column, row

STEPS = (1, 10, 100, 1_000)  # messages per tick of the player
TICK_MS = 200


class Replay(Panel):
    """A slider over the messages of a feed; beneath it the message, depth, a queue, the last trade, the signals.

    slider, play, step        : where the tape stands; the player; messages per tick
    back, ahead               : one message; next_trade, next_order: to the next trade, to the next order of one's own
    symbol, side, follow      : whose book; which side's best queue; an order id to be followed, "" for none
    now                       : the moment that is shown
    """

    def __init__(self, tape: Tape, symbol: str | None = None, index: int = 0, follow: int = 0) -> None:
        self.tape = tape
        self._strips: dict[str, str] = {}
        last = len(tape) - 1
        wide = widgets.Layout(width="680px")
        self.slider = widgets.IntSlider(index, 0, last, description="message", layout=wide)
        self.play = widgets.Play(value=index, min=0, max=last, interval=TICK_MS)
        self.step = widgets.Dropdown(options=STEPS, value=1, description="a tick", layout=widgets.Layout(width="170px"))
        self.back, self.ahead = _button("◀ 1", "one message back"), _button("1 ▶", "one message ahead")
        self.next_trade = _button("next trade", "to the next trade of this symbol")
        self.next_order = _button("next order", "to the next order that the engine sends")
        symbols = tape.symbols
        self.symbol = widgets.Dropdown(options=symbols, value=symbol or symbols[0], layout=widgets.Layout(width="120px"))
        self.side = widgets.ToggleButtons(options=["bid", "ask"], style={"button_width": "50px"})
        self.follow = widgets.Text(
            str(follow or ""), description="follow", placeholder="order id", layout=widgets.Layout(width="210px")
        )
        self.picture = widgets.HTML()
        widgets.link((self.play, "value"), (self.slider, "value"))
        widgets.link((self.step, "value"), (self.play, "step"))
        for control in (self.slider, self.symbol, self.side, self.follow):
            control.observe(lambda _: self.draw(), "value")
        self.back.on_click(lambda _: self._to(self.slider.value - 1))
        self.ahead.on_click(lambda _: self._to(self.slider.value + 1))
        self.next_trade.on_click(lambda _: self._to(self._after([one.index for one in tape.trades(self.symbol.value)])))
        self.next_order.on_click(lambda _: self._to(self._after(tape.run.orders["index"].to_list())))
        buttons = row(self.play, self.step, self.back, self.ahead, self.next_trade, self.next_order)
        self.box = column(self.slider, buttons, row(self.symbol, self.side, self.follow), self.picture)
        self.draw()

    @property
    def now(self) -> Moment:
        return self.tape.at(self.slider.value, self.symbol.value)

    def draw(self) -> None:
        """Draw the moment at which the slider stands."""
        symbol, feed, of = self.symbol.value, self.tape.feed, len(self.tape)
        if symbol not in self._strips:
            self._strips[symbol] = drawn.strip(self.tape, symbol)
        told = drawn.moment(self.now, feed.price_scale, feed.epoch, of, self.side.value, self._followed)
        self.picture.value = drawn.cursor(self._strips[symbol], self.slider.value, of) + told

    def chart(self) -> Any:
        """Depth and queue of the moment, as charts."""
        from hftlab.charts import depth_chart, queue_chart
        from hftlab.charts.base import altair

        now, scale = self.now, self.tape.feed.price_scale
        side, price = now.place(self._followed) or (self.side.value, None)
        said = f"after message {now.index:,} of {len(self.tape):,}, {drawn.clock(now.ts_ns, self.tape.feed.epoch)}"
        book = depth_chart(now.book(), scale, drawn.LEVELS, f"The book of {now.symbol}", said)
        queue = queue_chart(now.queue(side, price), self._followed or (), f"The {side} queue")
        return altair().vconcat(book, queue).resolve_scale(color="independent")

    def __repr__(self) -> str:
        return f"<Replay of {self.tape.feed.name}: message {self.slider.value:,} of {len(self.tape):,}>"

    @property
    def _followed(self) -> int:
        text = self.follow.value.strip().replace(",", "")
        return int(text) if text.isdecimal() else 0

    def _to(self, index: int | None) -> None:
        if index is not None:
            self.slider.value = min(max(index, 0), len(self.tape) - 1)

    def _after(self, places: list[int]) -> int | None:
        return next((place for place in places if place > self.slider.value), None)


def _button(text: str, tooltip: str) -> Any:
    return widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto"))


def replay(
    feed: Feed | Tape, engine: Engine | None = None, *, symbol: str | None = None, index: int = 0, follow: int = 0
) -> Replay:
    """A replay of the book, to be shown in a notebook.

    feed   : a feed, or a tape of one
    engine : what runs it; default: the one that "auto" means
    symbol : whose book; default the busiest
    index  : message at which it begins; follow: an order to be followed in its queue
    raises : as `hftlab.engine.history.Tape`
    """
    return Replay(feed if isinstance(feed, Tape) else Tape(feed, engine), symbol, index, follow)
