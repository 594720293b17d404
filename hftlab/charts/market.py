"""One instrument: the depth of its book, the queue of one level, prices and signals over a run.

Rows of a run are many; `thin` keeps of each stretch of them the lowest and the highest, so that no spike is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from hftlab.charts.base import PALETTE, QUIET, WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.scales import by_name, legend, line_legend, panel_name, stacked, text_width
from hftlab.errors import HftlabError, check_choice, check_range

BID, ASK = PALETTE[0], PALETTE[5]
#: Signal -> what stands above its panel, and the format of its ticks.
SIGNALS = {
    "mid": ("mid (currency)", ".4~f"),
    "spread": ("spread (currency)", ".4~f"),
    "microprice": ("microprice (currency)", ".4~f"),
    "imbalance": ("imbalance (−1 to 1)", ".1~f"),
    "depth_imbalance": ("depth imbalance (−1 to 1)", ".1~f"),
    "ofi": ("ofi, order-flow imbalance (shares or lots)", "~s"),
    "flow": ("flow, signed executions (shares or lots)", "~s"),
    "volatility": ("volatility (currency²)", ".1~e"),
    "score": ("score (without unit)", ".1~f"),
}
#: Signal -> power of the price unit in it.
_PRICES = {"mid": 1, "spread": 1, "microprice": 1, "volatility": 2}


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


def thin(frame: pl.DataFrame, limit: int = 2_000, columns: Iterable[str] | None = None) -> pl.DataFrame:
    """At most `limit` rows of a frame, in their order: the first, the last, and of each stretch of rows those where a column has
    its lowest and its highest value. A frame that is small enough comes back as it is.

    limit   : rows, at least 2 + 2 per column
    columns : numeric columns whose extremes are kept; default all but index, ts_ns and instrument
    raises  : ConfigError if `limit` leaves no room for one stretch
    """
    if len(frame) <= limit:
        return frame
    numeric = [name for name in frame.columns if frame[name].dtype.is_numeric() and name not in ("index", "ts_ns", "instrument")]
    chosen = numeric if columns is None else list(columns)
    check_range(f"limit of {len(chosen)} columns", limit, 2 + 2 * max(1, len(chosen)))
    place = pl.int_range(pl.len())
    stretch = place // -(-len(frame) // ((limit - 2) // max(1, 2 * len(chosen))))
    values = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in chosen]
    extremes = [(place == end).over(stretch) for value in values for end in (value.arg_min(), value.arg_max())]
    return frame.filter(pl.any_horizontal(place == 0, place == pl.len() - 1, *extremes))


def price_chart(
    frame: pl.DataFrame,
    price_scale: int,
    orders: pl.DataFrame | None = None,
    *,
    by: str = "time",
    title: str = "Best bid and ask",
    subtitle: str = "",
) -> Chart:
    """Best bid and ask as steps with the spread shaded between them, the microprice, and own orders as triangles.

    frame       : rows of `Run.frame` of one instrument: ts_ns or index, bid_price, bid_qty, ask_price, ask_qty, microprice;
                  any number of them, they are thinned here
    price_scale : units per 1.0 of currency
    orders      : rows of `Run.orders` of the same instrument: ts_ns or index, side ("B", "S"), price, qty
    by          : "time" or "index", what x is
    raises      : HftlabError for rows of several instruments
    """
    frame, along, title_x = _along(frame, by, "price_chart")
    rows_of(frame.clear(), "bid_price", "bid_qty", "ask_price", "ask_qty", "microprice", what="price_chart")
    sides = [
        pl.when(pl.col(f"{side}_qty") > 0).then(pl.col(f"{side}_price") / price_scale).alias(side) for side in ("bid", "ask")
    ]
    thinned = thin(
        frame.select("x", *sides, micro=pl.col("microprice").fill_nan(None) / price_scale), 1_500, ("bid", "ask", "micro")
    )
    rows = rows_of(thinned, "bid", "ask", "micro", real=["x"], what="price_chart")
    if all(row["bid"] is None and row["ask"] is None for row in rows):
        return empty_chart("no row with a bid or an ask", title)
    names = {"best bid": BID, "best ask": ASK, "microprice": "#777777"}
    x = alt.X("x:Q").scale(domain=[rows[0]["x"], max(rows[-1]["x"], rows[0]["x"] + 1e-9)], nice=False)
    x = x.axis(title=title_x, format=",~r", tickCount=6, grid=False)
    domain, cut = _prices_shown(thinned)
    scale = alt.Scale(domain=domain, nice=False, zero=False, clamp=False)
    base = alt.Chart().encode(x=x)  # the data stands once, with the layers
    color = by_name(alt.Color, "name", names, line_legend(list(names)))
    y = {side: alt.Y(f"{side}:Q", scale=scale, title="price (currency)") for side in ("bid", "ask", "micro")}
    band = base.mark_area(interpolate="step-after", opacity=0.12, color=QUIET, clip=True).encode(y=y["bid"], y2="ask:Q")
    lines = [
        base.transform_calculate(name=f"'{name}'")
        .mark_line(interpolate="step-after", strokeWidth=width, clip=True)
        .encode(y=y[side], color=color)
        for side, name, width in (("micro", "microprice", 0.8), ("bid", "best bid", 1.4), ("ask", "best ask", 1.4))
    ]
    marks, drawn = _orders(orders, along, price_scale, x, scale)
    titled = head(title, [text for text in (subtitle, cut, drawn) if text])
    return alt.layer(band, *lines, *marks, data=alt.Data(values=rows)).properties(width=WIDTH - 100, height=300, title=titled)


def _along(frame: pl.DataFrame, by: str, what: str) -> tuple[pl.DataFrame, pl.Expr, str]:
    """The frame from its first quote on with a column x; x as an expression, and the title of its axis."""
    check_choice("x axis", by, ("time", "index"))
    if "instrument" in frame.columns and frame["instrument"].n_unique() > 1:
        raise HftlabError(f"{what} draws one instrument; the frame has rows of {frame['instrument'].n_unique()}: filter it first")
    column = "index" if by == "index" else "ts_ns"
    rows_of(frame.clear(), column, what=what)
    if {"bid_qty", "ask_qty"} <= set(frame.columns):  # there is no price before the first quote
        quoted = frame.select((pl.col("bid_qty") > 0) | (pl.col("ask_qty") > 0)).to_series()
        frame = frame[int(quoted.arg_max() or 0) :]
    if by == "index" or frame.is_empty():
        return frame.with_columns(x=pl.col(column).cast(pl.Float64)), pl.col(column).cast(pl.Float64), "message index"
    start, span = int(frame[column].min()), int(frame[column].max()) - int(frame[column].min())  # type: ignore[arg-type]
    unit, ns = next((unit, ns) for unit, ns in (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)) if span >= 2 * ns or ns == 1.0)
    x = (pl.col(column).cast(pl.Int64) - start) / ns
    return frame.with_columns(x=x), x, f"time since the first quote ({unit})"


def _prices_shown(thinned: pl.DataFrame) -> tuple[list[float], str]:
    """The range of prices drawn: all, unless a few lie so far off that the others would be one line."""
    prices = pl.concat([thinned["bid"], thinned["ask"]]).drop_nulls()
    low, high = float(prices.min()), float(prices.max())  # type: ignore[arg-type]
    near = float(prices.quantile(0.02) or low), float(prices.quantile(0.98) or high)
    text = ""
    if high - low > 20 * (near[1] - near[0]) > 0:
        low, high = max(low, 2 * near[0] - near[1]), min(high, 2 * near[1] - near[0])
        text = "a few prices far from the others are cut off"
    free = 0.04 * (high - low) or 0.01 * abs(high) or 1.0
    return [low - free, high + free], text


def _orders(orders: pl.DataFrame | None, along: pl.Expr, price_scale: int, x: Any, scale: Any) -> tuple[list[Any], str]:
    """Own orders as triangles, and how many of them are drawn."""
    if orders is None or orders.is_empty():
        return [], ""
    drawn = thin(orders.select("side", "price", "qty", x=along), 600, ("price",))
    rows = rows_of(drawn, "side", "qty", real=["x", "price"], what="the orders of price_chart")
    names = {"buy": PALETTE[2], "sell": PALETTE[3]}
    rows = [{**row, "price": row["price"] / price_scale, "order": "buy" if row["side"] == "B" else "sell"} for row in rows]
    key = legend(list(names), symbolOpacity=1, symbolSize=170, symbolStrokeWidth=0.6)
    triangles = data(rows).mark_point(size=52, opacity=1, stroke="black", strokeWidth=0.6, clip=True)
    triangles = triangles.encode(
        x=x,
        y=alt.Y("price:Q", scale=scale),
        fill=alt.Fill("order:N", legend=key).scale(domain=list(names), range=list(names.values())),
        shape=by_name(alt.Shape, "order", dict(zip(names, ("triangle-up", "triangle-down"), strict=True)), key),
        tooltip=["order:N", alt.Tooltip("price:Q", format=",.4~f"), alt.Tooltip("qty:Q", format=",")],
    )
    text = f"{len(rows):,} of {len(orders):,} own orders drawn" if len(rows) < len(orders) else f"{len(orders):,} own orders"
    return [triangles], text


def signal_chart(
    frame: pl.DataFrame,
    price_scale: int,
    signals: Sequence[str] = ("microprice", "imbalance", "ofi", "score"),
) -> Chart:
    """Chosen signals over a run, a small panel for each, one above the other on the same x.

    frame   : rows of `Run.frame` of one instrument: ts_ns, and the signals; any number of them, they are thinned here
    signals : names of columns, at most 9
    raises  : UnknownName for another signal, HftlabError for rows of several instruments
    """
    for name in signals:
        check_choice("signal", name, SIGNALS)
    frame, _, title_x = _along(frame, "time", "signal_chart")
    rows_of(frame.clear(), *signals, what="signal_chart")
    if frame.is_empty() or not signals:
        return empty_chart("no row, or no signal chosen", "Signals")
    x = alt.X("x:Q").scale(domain=[frame["x"][0], max(frame["x"][-1], frame["x"][0] + 1e-9)], nice=False)
    panels = []
    for place, name in enumerate(signals):
        above, form = SIGNALS[name]
        label = f"datum.value == 0 ? '0' : format(datum.value, '{form}')"
        value = pl.col(name).fill_nan(None) / price_scale ** _PRICES.get(name, 0)
        thinned = thin(frame.select("x", value.alias("value")), min(700, 4_000 // len(signals)), ("value",))
        last = place == len(signals) - 1
        axis = alt.Axis(title=title_x if last else None, labels=last, ticks=last, format=",~r", tickCount=6, grid=False)
        y = alt.Y("value:Q").scale(zero=False, nice=True).axis(title=None, tickCount=3, labelExpr=label, minExtent=44)
        line = data(rows_of(thinned, "value", real=["x"]))
        line = line.mark_line(interpolate="step-after", strokeWidth=1.1, color=PALETTE[0]).encode(x=x.axis(axis), y=y)
        layers = [line, panel_name(above)]
        if _PRICES.get(name, 0) == 0:
            layers.insert(0, data([{"zero": 0}]).mark_rule(color="#bbbbbb").encode(y="zero:Q"))
        panels.append(alt.layer(*layers).properties(width=WIDTH - 90, height=64))
    return alt.vconcat(*panels, spacing=12).properties(title=head("Signals"))
