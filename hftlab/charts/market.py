"""One order book: its depth on both sides, and the queue of one level."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from hftlab.charts.base import PALETTE, WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import by_name, legend, stacked, text_width

BID, ASK = PALETTE[0], PALETTE[5]


def depth_chart(
    book: pl.DataFrame, price_scale: int, levels: int = 10, title: str = "Order book depth", subtitle: str = ""
) -> Chart:
    """Both sides of a book: a row per price, the best in the middle; bids to the left, asks to the right, as long as their size.

    book        : `Run.book(symbol)`: side ("bid", "ask"), price (units), qty, orders; best first
    price_scale : units per 1.0 of currency; levels : a side, best first
    """
    rows = rows_of(book, "side", "orders", real=["price", "qty"], what="depth_chart")
    sides = {side: [row for row in rows if row["side"] == side][:levels] for side in ("bid", "ask")}
    rows = [row for side in sides.values() for row in side]
    if not rows:
        return empty_chart("the book is empty", title)
    rows = [_level(row, price_scale) for row in rows]
    prices = [price_text(price, price_scale) for price in sorted({row["price"] for row in rows}, reverse=True)]
    best = {side: level[0]["price"] for side, level in sides.items() if level}
    text = f"{len(sides['bid'])} bid and {len(sides['ask'])} ask levels; beside each its quantity and number of orders"
    if len(best) == 2:
        text += f"; spread {price_text(best['ask'] - best['bid'], price_scale)}"
    half = (WIDTH - 120) // 2
    reach = max(row["qty"] * half / (half - 12 - text_width(row["text"], 10.5)) for row in rows)  # px: room for the texts
    base = data(rows).encode(y=alt.Y("at:N", sort=prices).axis(title="price", domain=False, ticks=False, labelPadding=8))
    x = alt.X("reach:Q").scale(domain=[-reach, reach], nice=False)
    label = "format(abs(datum.value), ',~r')"
    x = x.axis(title="quantity at the price (shares or lots): bids left, asks right", labelExpr=label, tickCount=7, grid=False)
    bars = base.mark_bar(height=15).encode(
        x=x,
        color=by_name(alt.Color, "side", {"bid": BID, "ask": ASK}, legend(["bid", "ask"], symbolType="square")),
        tooltip=["side:N", alt.Tooltip("at:N", title="price"), alt.Tooltip("qty:Q", format=","), "orders:Q"],
    )
    texts = [_beside(base, "bid", "right", -5), _beside(base, "ask", "left", 5)]
    middle = data([{"zero": 0}]).mark_rule(color="#999999").encode(x="zero:Q")
    titled = head(title, [line for line in (subtitle, text) if line])
    return alt.layer(bars, *texts, middle).properties(width=2 * half, height=21 * len(prices), title=titled)


def _level(row: dict[str, Any], price_scale: int) -> dict[str, Any]:
    """A level as it is drawn: bids reach to the left."""
    words = {"text": f"{row['qty']:,} in {row['orders'] or 0:,}", "at": price_text(row["price"], price_scale)}
    return {**row, **words, "reach": -row["qty"] if row["side"] == "bid" else row["qty"]}


def _beside(base: Any, side: str, align: str, dx: int) -> Any:
    texts = base.transform_filter(f"datum.side == '{side}'").mark_text(align=align, dx=dx, fontSize=10.5, color="#444444")
    return texts.encode(x="reach:Q", text="text:N")


def price_text(price: float, price_scale: int) -> str:
    """A price in units as currency, with two digits, or as many as it has."""
    text = f"{price / price_scale:.{max(2, len(str(price_scale)) - 1)}f}"
    whole, _, digits = text.partition(".")
    return f"{whole}.{digits.rstrip('0').ljust(2, '0')}"


def queue_chart(
    queue: pl.DataFrame, ours: int | Iterable[int] = (), title: str = "Queue of one price level", subtitle: str = ""
) -> Chart:
    """The orders of one price level in their order, each a block as wide as its quantity, ours marked; the front is on the left.

    queue : `Run.queue(symbol, side, price)`: order_id, qty, the front first
    ours  : one order id, or several
    """
    mine = {ours} if isinstance(ours, int) else set(ours)
    rows = rows_of(queue, "order_id", positive=["qty"], what="queue_chart")
    if not rows:
        return empty_chart("no order at this price", title)
    blocks = _blocks(rows, mine)
    ahead, first = blocks[-1]["end"], next((place for place, block in enumerate(blocks) if block["who"] == "ours"), len(rows))
    width = WIDTH - 60
    texts = [subtitle, f"{len(rows):,} orders, {ahead:,} shares or lots; the front, which is filled first, is on the left"]
    if first < len(rows):
        texts.append(f"ahead of ours: {first:,} orders with {blocks[first]['start']:,}")
    kinds = {"ahead of us": PALETTE[4], "ours": PALETTE[5], "others": "#c8c8c8"}
    kinds = {kind: colour for kind, colour in kinds.items() if any(block["who"] == kind for block in blocks)}
    x = alt.X("start:Q").scale(domain=[0, ahead], nice=False)
    x = x.axis(title="quantity from the front (shares or lots)", format=",~r", tickCount=8, grid=False)
    color = by_name(alt.Color, "who", kinds, legend(list(kinds), symbolType="square", symbolStrokeWidth=0))
    tooltip = ["order:N", "place:Q", alt.Tooltip("qty:Q", format=","), alt.Tooltip("start:Q", title="ahead", format=",")]
    bars = data(blocks).mark_bar(height=44, stroke="white", strokeWidth=0.8 if len(rows) <= 150 else 0)
    bars = bars.encode(x=x, x2="end:Q", y=alt.value(30), color=color, tooltip=tooltip)
    wide = [block for block in blocks if block["qty"] / ahead * width > text_width(block["text"], 10.5) + 4]
    numbers = data(wide).mark_text(fontSize=10.5, color="black").encode(x="middle:Q", y=alt.value(30), text="text:N")
    marks = data([block for block in blocks if block["who"] == "ours"]).mark_point(
        shape="triangle-down", filled=True, size=70, opacity=1, color=PALETTE[5]
    )
    marks = marks.encode(x="middle:Q", y=alt.value(2))
    titled = head(title, [text for text in texts if text])
    return (bars + numbers + marks).properties(width=width, height=60, title=titled)


def _blocks(rows: list[dict[str, Any]], mine: set[int]) -> list[dict[str, Any]]:
    """The orders with their place, start and end in the queue, and whose they are."""
    first = next((place for place, row in enumerate(rows) if row["order_id"] in mine), len(rows))
    blocks = stacked(rows, "qty")
    for place, block in enumerate(blocks):
        who = "ours" if block["order_id"] in mine else "ahead of us" if place < first < len(rows) else "others"
        block |= {"order": str(block["order_id"]), "place": place + 1, "who": who, "text": f"{block['qty']:,}"}
    return blocks
