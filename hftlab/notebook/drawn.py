"""A moment of a tape as HTML with pictures in SVG, drawn in a millisecond, so that a replay can play.

The charts of `hftlab.charts` say the same with more care; they take a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hftlab.charts.base import PALETTE, QUIET
from hftlab.charts.market import ASK, BID, price_text
from hftlab.engine.history import Tape
from hftlab.engine.moment import Moment
from hftlab.presentation import html

WIDE, MIDDLE = 680, 370  # px: of a picture, and where bids meet asks
LEVELS = 8  # a side
_ROW = 17
_TEXT = "font-family='DejaVu Sans, Verdana, sans-serif' font-size='11'"
_OURS, _AHEAD, _OTHERS = PALETTE[5], PALETTE[4], "#c8c8c8"


def moment(now: Moment, scale: int, epoch: str, of: int, side: str, follow: int = 0) -> str:
    """Message, depth, queue, last trade, signals. `side` is "bid" or "ask", `follow` an order id, 0 for none."""
    parts = (_message(now, epoch, of), depth(now, scale), queue(now, scale, side, follow), _told(now, scale, follow))
    return f"<div style='width:{WIDE}px'>{''.join(parts)}</div>"


def clock(ts_ns: int, epoch: str) -> str:
    """A time of day to the nanosecond; of another epoch the nanoseconds."""
    if epoch != "midnight":
        return f"{ts_ns:,} ns"
    seconds, ns = divmod(ts_ns, 1_000_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ns:09}"


def _message(now: Moment, epoch: str, of: int) -> str:
    head = f"message {now.index:,} of {of:,} · {clock(now.ts_ns, epoch)} · {now.symbol}"
    wire = now.wire.hex(" ") if now.wire else "no wire bytes: this feed carries event records"
    code = f"<code style='font-size:11px;color:{QUIET}'>{escape(wire)}</code>"
    return f"<div><b>{escape(head)}</b><br>{escape(now.said)}<br>{code}</div>"


def depth(now: Moment, scale: int) -> str:
    """The best levels as bars: bids reach to the left, asks to the right."""
    asks, bids = now.levels("ask")[:LEVELS][::-1], now.levels("bid")[:LEVELS]
    most = max((qty for _, qty, _ in (*asks, *bids)), default=1)
    bars = []
    for place in range(2 * LEVELS):  # always as many rows, so that nothing jumps
        at, ask = place - (LEVELS - len(asks)), place < LEVELS
        level = (asks[at] if at >= 0 else None) if ask else (bids[place - LEVELS] if place - LEVELS < len(bids) else None)
        if level is not None:
            bars.append(_bar(level, ask, _ROW * place, most, scale))
    middle = f"<line x1='{MIDDLE}' x2='{MIDDLE}' y1='0' y2='{2 * LEVELS * _ROW}' stroke='#999999'/>"
    return _svg("".join(bars) + middle, 2 * LEVELS * _ROW)


def _bar(level: tuple[int, int, int], ask: bool, y: int, most: int, scale: int) -> str:
    price, qty, orders = level
    wide = max(1.0, qty / most * (WIDE - MIDDLE - 100))
    left, colour = (MIDDLE, ASK) if ask else (MIDDLE - wide, BID)
    x, anchor = (MIDDLE + wide + 5, "start") if ask else (MIDDLE - wide - 5, "end")
    return (
        f"<text x='60' y='{y + 12}' text-anchor='end'>{price_text(price, scale)}</text>"
        f"<rect x='{left:.1f}' y='{y + 1}' width='{wide:.1f}' height='{_ROW - 3}' fill='{colour}'/>"
        f"<text x='{x:.1f}' y='{y + 12}' text-anchor='{anchor}' fill='#444444'>{qty:,} in {orders:,}</text>"
    )


def queue(now: Moment, scale: int, side: str, follow: int = 0) -> str:
    """The best level of one side, or the level of the followed order: a block per order, the front on the left."""
    price = now.top[0 if side == "bid" else 2]
    held = now.place(follow) if follow else None
    if held:
        side, price = held
    orders = now.orders_at(side, price) if price else []
    total = sum(qty for _, qty in orders) or 1
    ours = next((rank for rank, (number, _) in enumerate(orders) if number == follow), len(orders))
    blocks, x = [], 0.0
    for rank, (number, qty) in enumerate(orders):
        wide = qty / total * WIDE
        colour = _OURS if rank == ours else _AHEAD if rank < ours < len(orders) else _OTHERS
        told = f"<title>order {number}: {qty:,}</title>"
        blocks.append(f"<rect x='{x:.1f}' y='16' width='{wide:.1f}' height='24' fill='{colour}' stroke='white'>{told}</rect>")
        if wide > 9 * len(f"{qty:,}"):
            blocks.append(f"<text x='{x + wide / 2:.1f}' y='32' text-anchor='middle'>{qty:,}</text>")
        x += wide
    shown = f"{side} queue at {price_text(price, scale)}: {len(orders):,} orders, the front on the left"
    said = shown if orders else f"no {side}"
    return _svg(f"<text x='0' y='11' fill='{QUIET}'>{said}</text>{''.join(blocks)}", 46)


def strip(tape: Tape, symbol: str, most: int = 600) -> str:
    """Best bid and ask over the whole tape, to be put under a cursor; made once. Message 0 is at x = 0, the last at the right."""
    from hftlab.charts import thin

    frame = tape.frame(symbol).select("index", "bid_price", "bid_qty", "ask_price", "ask_qty")
    frame = frame.filter((frame["bid_qty"] > 0) & (frame["ask_qty"] > 0))
    if frame.is_empty():
        return ""
    told = thin(frame, most, ("bid_price", "ask_price"))
    low, high = told["bid_price"].quantile(0.005) or 0.0, told["ask_price"].quantile(0.995) or 1.0
    return _line(told.select("index", "bid_price").rows(), BID, low, high, len(tape)) + _line(
        told.select("index", "ask_price").rows(), ASK, low, high, len(tape)
    )


def _line(points: Sequence[tuple[int, int]], colour: str, low: float, high: float, of: int) -> str:
    span = max(high - low, 1e-9)
    at = (f"{index / of * WIDE:.1f},{56 - min(max((price - low) / span, 0), 1) * 52:.1f}" for index, price in points)
    return f"<polyline points='{' '.join(at)}' fill='none' stroke='{colour}' stroke-width='1'/>"


def cursor(strip: str, index: int, of: int) -> str:
    """The strip with a line where the tape stands."""
    x = index / max(of, 1) * WIDE
    return _svg(f"{strip}<line x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='60' stroke='black'/>", 60)


def _told(now: Moment, scale: int, follow: int) -> str:
    trade = now.trade
    said = "none yet"
    if trade:
        hidden = ", against a hidden order" if trade.hidden else ""
        said = f"{trade.qty:,} at {price_text(trade.price, scale)} in message {trade.index:,}{hidden}"
    facts = {"last trade": said}
    if follow:
        place = now.position(follow)
        facts[f"order {follow}"] = "not live" if place is None else f"{place[0]:,} orders with {place[1]:,} before it"
    power = {"mid": scale, "microprice": scale, "spread": scale, "volatility": scale**2}
    values = [value / power.get(name, 1) for name, value in now.signals.items()]
    shown = ["n/a" if value != value else f"{value:.5g}" for value in values]
    signals = html.table(list(now.signals), [shown])
    return f"{html.facts(facts)}<div style='font-size:11px'>{signals}</div>"


def _svg(inside: str, high: int) -> str:
    return f"<svg width='{WIDE}' height='{high}' {_TEXT} style='display:block;margin:4px 0;background:white'>{inside}</svg>"
