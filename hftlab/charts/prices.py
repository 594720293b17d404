"""Prices and signals over a run, of one instrument.

Rows of a run are many; `thin` keeps of each stretch of them the lowest and the highest, so that no spike is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from hftlab.charts.base import PALETTE, QUIET, WIDTH, Chart, alt, data, empty_chart, head, rows_of
from hftlab.charts.market import ASK, BID
from hftlab.charts.scales import by_name, legend, line_legend, panel_name
from hftlab.errors import HftlabError, check_choice, check_range

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
