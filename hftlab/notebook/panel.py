"""Base of the interactive widgets: a box of controls and a picture, and a chart of the same state for readers without a kernel.

A notebook stores the live view and a PNG of the chart: a clone or a code host, where no kernel answers the controls, shows the
picture. Nothing is loaded from a network; every change runs in the kernel, so that a test can set a control's `.value` and read
the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import ipywidgets as widgets

from hftlab.charts.base import THEME, alt
from hftlab.charts.show import render
from hftlab.presentation.html import svg


class Panel(ABC):
    """`box` is the widget, to be shown or put into another one; `chart()` is its present state as an Altair chart."""

    box: Any

    @abstractmethod
    def chart(self) -> Any:
        """The present state as a chart: it is stored beside the live view."""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        live = self.box._repr_mimebundle_()
        with alt.theme.enable(THEME):
            still, sizes = render(self.chart().to_dict())
        pictures = {kind: still[kind] for kind in ("image/png",) if kind in still}
        return {**live, **pictures, "text/plain": repr(self)}, sizes


def column(*parts: Any) -> Any:
    """Widgets one below the other, as wide as a chart."""
    return widgets.VBox(list(parts), layout=widgets.Layout(width="700px"))


def row(*parts: Any) -> Any:
    """Widgets side by side, wrapped into a second line where they do not fit."""
    return widgets.HBox(list(parts), layout=widgets.Layout(flex_flow="row wrap", align_items="center"))


def picture(chart: Any) -> str:
    """A chart as SVG, which any page shows."""
    with alt.theme.enable(THEME):
        return svg(chart.to_dict())
