"""Axes and legends that every chart has in common: nanoseconds on a logarithmic axis, series by colour and dash."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hftlab.charts.base import GREY, PALETTE, WIDTH, alt, data

#: Unit -> nanoseconds.
UNITS = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
#: The label of a tick that is a number of nanoseconds, with its unit; an expression of Vega.
_LABEL = (
    "datum.value >= 1e9 ? format(datum.value / 1e9, '~r') + ' s' : datum.value >= 1e6 ? format(datum.value / 1e6, '~r') + ' ms'"
    " : datum.value >= 1e3 ? format(datum.value / 1e3, '~r') + ' µs' : format(datum.value, '~r') + ' ns'"
)
_DASHES = ([1, 0], [7, 3], [2, 2])
_CONTROL_DASH = [4, 4]


def ticks_between(low: float, high: float, limit: int = 9) -> list[float]:
    """Round numbers from `low` to `high` (both > 0) for a logarithmic axis: as many as fit, on any span."""
    chosen: list[float] = []
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [float(f"{factor}e{power}") for power in powers for factor in factors]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) > limit:
            break
        chosen = ticks
    if len(chosen) >= 3 or high / low > 10:
        return chosen or [float(f"1e{power}") for power in powers][:: len(powers) // limit + 1]
    step = next(size for size in _steps(low) if (high - low) / size <= limit)
    return [round(step * place, 9) for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _steps(near: float) -> Iterable[float]:
    """1, 2, 5, 10, ... from far below a number upwards."""
    return (float(f"{factor}e{power}") for power in range(math.floor(math.log10(near)) - 5, 15) for factor in (1, 2, 5))


def log_axis(title: str, values: Iterable[float], *, margin: float = 1.12, limit: int = 9, **more: Any) -> dict[str, Any]:
    """`scale` and `axis` of a logarithmic axis around values (> 0), for alt.X or alt.Y.

    margin : factor left free below the least and above the greatest value; limit : ticks; more : of altair.Axis
    """
    shown = list(values) or [1.0]
    low, high = min(shown) / margin, max(shown) * margin
    scale = alt.Scale(type="log", domain=[low, high], nice=False, clamp=True)
    axis = {"title": f"{title} (log scale)", "values": ticks_between(low, high, limit), "format": ",~r", **more}
    return {"scale": scale, "axis": alt.Axis(**axis)}


def time_axis(what: str, values: Iterable[float], **more: Any) -> dict[str, Any]:
    """`log_axis` around values in ns; its title names the units that its ticks carry."""
    scaled = log_axis(what, values, format=alt.Undefined, labelExpr=_LABEL, **more)
    ticks = scaled["axis"].values
    units = [unit for unit in UNITS if any(UNITS[unit] <= max(tick, 1) < 1000 * UNITS[unit] for tick in ticks)] or ["ns"]
    span = units[0] if len(units) == 1 else f"{units[0]} to {units[-1]}"
    scaled["axis"].title = f"{what} ({span}, log scale)"
    return scaled


def is_control(name: str) -> bool:
    """Whether a series is the control, by its name: "control", "A/A control", "rust again"."""
    return bool({"control", "again"} & set(re.findall(r"\w+", name.lower())))


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """The colour of each series by its name; a control is grey, the ninth and later ones repeat colours."""
    others = [name for name in names if not is_control(name)]
    return {name: GREY if is_control(name) else PALETTE[others.index(name) % len(PALETTE)] for name in names}


def dashes_of(names: Sequence[str]) -> dict[str, list[int]]:
    """The dash of each series by its name: of a control, and of the ninth and later ones, whose colours come again."""
    others = [name for name in names if not is_control(name)]
    turns = {name: at // len(PALETTE) % len(_DASHES) for at, name in enumerate(others)}
    return {name: _DASHES[turns[name]] if name in turns else _CONTROL_DASH for name in names}


def legend(names: Sequence[str], **more: Any) -> Any:
    """A legend above the plot, in as many columns as fit. more : of altair.Legend"""
    widest = 44 + max((text_width(name) for name in names), default=0)
    columns = max(1, min(len(names), (WIDTH - 70) // widest))
    settings = {
        "orient": "top",
        "direction": "horizontal",
        "columns": columns,
        "labelLimit": WIDTH - 150,
        "title": None,
        "offset": 10,
    }
    return alt.Legend(**{**settings, **more})


def line_legend(names: Sequence[str], **more: Any) -> Any:
    """A legend of lines. more : of altair.Legend"""
    return legend(names, **{"symbolType": "stroke", "symbolStrokeWidth": 2.5, "symbolSize": 250, **more})


def by_series(names: Sequence[str], field: str = "series", **more: Any) -> dict[str, Any]:
    """Encodings that tell lines apart: colour, and dash beside it. more : of altair.Legend"""
    key = line_legend(names, **more)
    return {
        "color": by_name(alt.Color, field, colours_of(names), key),
        "strokeDash": by_name(alt.StrokeDash, field, dashes_of(names), key),
    }


def by_name(channel: Any, field: str, values: Mapping[str, Any], legend: Any = None) -> Any:
    """Colour, shape or dash by the names in a field. channel: alt.Color; values: name -> colour, in the order of the legend"""
    names = list(values)
    return channel(f"{field}:N", sort=names, legend=legend).scale(domain=names, range=list(values.values()))


def panel_name(text: str) -> Any:
    """The name of a panel above it; a title of its own would stand higher where a label of the axis juts out."""
    mark = data([{"text": text}]).mark_text(align="left", baseline="bottom", dy=-7, fontSize=12)
    return mark.encode(x=alt.value(0), y=alt.value(0), text="text:N")


def text_width(text: str, size: float = 11.5) -> int:
    """About how wide a text is, px; rather too much than too little."""
    return math.ceil(len(text) * size * 0.57)


def broken(name: str, width: int = 36) -> list[str]:
    """A long name beside an axis, in at most three lines: the difference between two names is often at their ends."""
    return textwrap.wrap(name, width, max_lines=3, placeholder=" …") or [""]


def names_in(rows: Sequence[dict[str, Any]], field: str = "series") -> list[str]:
    """The different names in a column, in the order in which they come."""
    return list(dict.fromkeys(str(row[field]) for row in rows))


def stacked(rows: Iterable[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Rows one after the other: start, end and middle of each, as long as a field is, or 0 where that is negative."""
    out: list[dict[str, Any]] = []
    for row in rows:
        start = out[-1]["end"] if out else 0
        end = start + max(0, row[field])
        out.append({**row, "start": start, "end": end, "middle": (start + end) / 2})
    return out


def number(value: float) -> str:
    """Three digits, without a power of ten where it can be read without one."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rows_in(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame, or of any iterable of mappings."""
    return [dict(row) for row in (frame.to_dicts() if hasattr(frame, "to_dicts") else frame)]
