"""Charts, Altair only. Nothing is measured here, and no chart sees raw samples: it draws what a report has summarised.

`enable()` switches on a renderer that shows offline in JupyterLab, in an untrusted clone and on code hosts: the Vega-Lite
specification for those that draw, a PNG for those that do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.errors import HftlabError

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: Told apart by people of every colour vision (Okabe and Ito).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_V5 = "https://vega.github.io/schema/vega-lite/v5.json"  # what JupyterLab has built in


def _altair() -> Any:
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
    alt = _altair()
    alt.renderers.register("hftlab", render)
    alt.renderers.enable("hftlab")


def stage_chart(stages: pl.DataFrame, subtitle: str = "") -> alt.LayerChart:
    """What each stage adds to an unstamped pass, ns per message, one dot per engine on a log scale.

    stages : one row per engine and stage, columns engine, stage, ns_per_message

    A stage whose share drowned in the noise (differenced passes can come out at or below 0) is drawn at 1 ns.
    """
    import polars as pl

    alt = _altair()
    frame = stages.with_columns(pl.col("ns_per_message").clip(lower_bound=1.0).alias("ns"))
    names = frame["stage"].unique(maintain_order=True).to_list()
    engines = frame["engine"].unique(maintain_order=True).to_list()
    base = alt.Chart(alt.Data(values=frame.to_dicts())).encode(
        y=alt.Y("stage:N", sort=names, title=None),
        x=alt.X("ns:Q").scale(type="log").axis(format="~s", title="ns per message (log scale)"),
    )
    lines = base.mark_line(color="#bbb").encode(detail="stage:N")
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        color=alt.Color("engine:N", sort=engines, title=None).scale(domain=engines, range=list(PALETTE[: len(engines)])),
        shape=alt.Shape("engine:N", sort=engines, title=None).scale(domain=engines),
        tooltip=["engine:N", "stage:N", "ns_per_message:Q"],
    )
    title = alt.Title("Where the nanoseconds go", subtitle=subtitle)
    return (lines + dots).properties(width=520, height=200, title=title)  # type: ignore[no-any-return]
