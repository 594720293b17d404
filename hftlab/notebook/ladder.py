"""waterfall(lattice): the way from the Python engine to the best one, a switch for each optimisation, in any order."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from hftlab.experiments.lattice import Lattice
from hftlab.experiments.lattice import lattice as measured
from hftlab.feeds.feed import Feed
from hftlab.notebook.panel import Panel, column, picture, row
from hftlab.presentation import html


class Waterfall(Panel):
    """A switch per axis. The order in which they are switched on is the order of the steps: take one out and put it back, and it
    comes last. Nothing is measured while one plays: every combination has been timed before.

    switches : a toggle button by axis; order: the axes that are on, as they were switched on
    python   : whether the way begins with the Python engine
    """

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.order: list[str] = list(lattice.axes)
        self.switches = {axis: widgets.ToggleButton(True, description=axis, icon="check") for axis in lattice.axes}
        there = bool(len(lattice.python_ns))
        self.python = widgets.Checkbox(False, description="from the Python engine", disabled=not there, indent=False)
        self.picture, self.said = widgets.HTML(), widgets.HTML()
        for axis, switch in self.switches.items():
            switch.observe(lambda change, axis=axis: self._switch(axis, change["new"]), "value")
        self.python.observe(lambda _: self.draw(), "value")
        self.box = column(row(*self.switches.values(), self.python), self.picture, self.said)
        self.draw()

    def chart(self) -> Any:
        """The way as it stands."""
        from hftlab.charts import waterfall_chart

        way = self.lattice.path(self.order, python=self.python.value)
        return waterfall_chart(way, "One optimisation after the other", self.lattice.subtitle())

    def draw(self) -> None:
        """Draw the way; beneath it what each step was worth here, on any way at least and at most, and its fair share."""
        shares, found = self.lattice.shares(), self.lattice.frame()
        rows = []
        for axis in self.lattice.axes:
            ratios = found.filter(found["axis"] == axis)["ratio"]
            here = self.lattice.ratio(axis, self.order[: self.order.index(axis)]).median if axis in self.order else None
            rows.append((axis, here, float(ratios.min()), float(ratios.max()), shares[axis]))  # type: ignore[arg-type]
        self.picture.value = picture(self.chart())
        columns = ("times as fast", "on this way", "at least", "at most", "fair share")
        self.said.value = html.table(columns, rows) + html.block("", "", self.lattice.lines()[1:])

    def __repr__(self) -> str:
        return f"<Waterfall of {self.lattice.backend}: {' → '.join(self.order) or 'nothing switched on'}>"

    def _switch(self, axis: str, on: bool) -> None:
        self.order = [one for one in self.order if one != axis] + ([axis] if on else [])
        self.switches[axis].icon = "check" if on else ""
        self.draw()


def waterfall(
    lattice: Lattice | Feed | None = None, *, rounds: int = 7, messages: int = 50_000, python: bool = True
) -> Waterfall:
    """A waterfall with switches, to be shown in a notebook.

    lattice : what was measured, or a feed on which to measure it; default a calm generated feed of `messages` messages
    rounds, messages, python : as for `hftlab.experiments.lattice.lattice`
    """
    if not isinstance(lattice, Lattice):
        lattice = measured(lattice, rounds=rounds, messages=messages, python=python)
    return Waterfall(lattice)
