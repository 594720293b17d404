"""What every chart shares: Altair, brought in when it is needed; the colours; the renderer for notebooks."""

from __future__ import annotations

from typing import Any

from hftlab.errors import HftlabError

#: Told apart by people of every colour vision (Okabe and Ito).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
GREY = "#888888"
_V5 = "https://vega.github.io/schema/vega-lite/v5.json"  # what JupyterLab has built in


def altair() -> Any:
    """The module, or one clear sentence."""
    try:
        import altair
    except ImportError:
        raise HftlabError("charts need altair, which is not installed: pip install altair") from None
    return altair


def render(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The bundle a notebook stores for a chart: live, as a picture, as text."""
    bundle: dict[str, Any] = {"application/vnd.vegalite.v5+json": {**spec, "$schema": _V5}, "text/plain": "<chart>"}
    try:
        import vl_convert
    except ImportError:
        return bundle
    bundle["image/png"] = vl_convert.vegalite_to_png(spec, ppi=110)
    return bundle


def enable() -> None:
    """Use this renderer for every chart of the session. Raises HftlabError without altair."""
    alt = altair()
    alt.renderers.register("hftlab", render)
    alt.renderers.enable("hftlab")


def log_ticks(low: float, high: float, factors: tuple[float, ...] = (1, 2, 5)) -> list[float]:
    """Round numbers from below `low` to above `high`, for the axis of a logarithmic scale."""
    ticks = [float(f"{factor}e{power}") for power in range(-3, 13) for factor in factors]
    inside = [tick for tick in ticks if low < tick < high]
    below, above = [tick for tick in ticks if tick <= low], [tick for tick in ticks if tick >= high]
    return [*below[-1:], *inside, *above[:1]]
