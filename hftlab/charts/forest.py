"""What of the distribution changed: the ratio of every metric with its interval, the A/A control right below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import PALETTE, altair, log_ticks

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

CONTROL = "A/A control"
#: First words of a verdict -> colour and shape.
_MARKS = {
    "faster": (PALETTE[2], "circle"),
    "slower": (PALETTE[5], "square"),
    "no difference seen": ("#555555", "diamond"),
    CONTROL: ("#999999", "triangle-up"),
}


def comparison_chart(metrics: pl.DataFrame, title: str, subtitle: str | list[str] = "") -> alt.LayerChart:
    """Every metric that has an interval, with its control, on a log scale.

    metrics : `Comparison.frame()`: metric, a, b, ratio, low, high, control, control_low, control_high, verdict; rows without an
              interval are left out
    """
    alt = altair()
    rows = list(_points(metrics))
    names = list(dict.fromkeys(row["metric"] for row in rows))
    words = [word for word in _MARKS if any(row["word"] == word for row in rows)]
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    ticks = _ticks(min(low, 1.0), max(high, 1.0))
    color = alt.Color("word:N", title=None).scale(domain=words, range=[_MARKS[word][0] for word in words])
    shape = alt.Shape("word:N", title=None).scale(domain=words, range=[_MARKS[word][1] for word in words])
    axis = alt.Axis(values=ticks, format=".3~f", title="a / b: above 1, b takes less time (log scale)")
    x = alt.X("low:Q").scale(type="log", domain=[ticks[0], ticks[-1]], nice=False).axis(axis)
    offset = alt.YOffset("control:N", sort=["false", "true"])
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("metric:N", sort=names).axis(title=None, labelLimit=260, grid=True),
        yOffset=offset,
        color=color,
    )
    spans = base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q")
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x="ratio:Q", shape=shape, tooltip=["metric:N", "word:N", "ratio:Q", "low:Q", "high:Q", "a:Q", "b:Q"]
    )
    text = (
        alt.Chart(alt.Data(values=[row for row in rows if row["word"] != CONTROL]))
        .mark_text(dy=-12, fontSize=11, color="#333333")
        .encode(y=alt.Y("metric:N", sort=names), yOffset=offset, x="ratio:Q", text="text:N")
    )
    one = alt.Chart(alt.Data(values=[{"one": 1}])).mark_rule(color="#999999", strokeDash=[4, 3]).encode(x="one:Q")
    head = alt.Title(title, subtitle=subtitle, anchor="start", limit=660)
    return alt.layer(one, spans, dots, text).properties(width=440, height=56 * len(names), title=head)  # type: ignore[no-any-return]


def _points(metrics: pl.DataFrame) -> Any:
    for row in metrics.to_dicts():
        if row["low"] is None:
            continue
        word = next(word for word in _MARKS if row["verdict"].startswith(word))
        times = " → ".join(f"{ns:,.0f}" if ns >= 1_000 else f"{ns:.4g}" for ns in (row["a"], row["b"])) + " ns"
        keys = {name: row[name] for name in ("metric", "a", "b")}
        yield {**keys, "word": word, "control": "false", "text": times} | {name: row[name] for name in ("ratio", "low", "high")}
        if row["control"] is not None:
            control = {"ratio": row["control"], "low": row["control_low"], "high": row["control_high"]}
            yield {**keys, "word": CONTROL, "control": "true", "text": "", **control}


def _ticks(low: float, high: float) -> list[float]:
    """Round ratios around what is drawn, closer ones where little is drawn; room for half a text at either end."""
    span = high / low
    low, high = low / span**0.1, high * span**0.1
    if span > 3:
        return log_ticks(low, high)
    step = next(step for step in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / step <= 8)
    first, last = int((low * 0.9999) // step), int(-(-high * 1.0001 // step))
    return [round(number * step, 4) for number in range(first, last + 1)]
