"""waterfall(factorial): from the naive engine to the best one, a switch for each optimisation, in any order."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from course.factorial import Factorial, factorial
from hftlab.feeds.feed import Feed
from hftlab.notebook.widgets import Panel, column, picture, row
from hftlab.presentation import html
from hftlab.presentation.document import NOT_KNOWN, table


class Waterfall(Panel):
    """A switch per axis. The order of switching on is the order of the steps: an axis switched off and on again comes last.
    Nothing is measured meanwhile: every combination was timed before.

    switches : a toggle button by axis; order: the axes that are on, in the order in which they were switched on
    python   : whether the steps begin with the Python engine
    """

    def __init__(self, measured: Factorial) -> None:
        self.factorial = measured
        self.order: list[str] = list(measured.axes)
        self.switches = {axis: widgets.ToggleButton(True, description=axis, icon="check") for axis in measured.axes}
        timed = bool(len(measured.python_ns))
        self.python = widgets.Checkbox(False, description="from the Python engine", disabled=not timed, indent=False)
        self.picture, self.table = widgets.HTML(), widgets.HTML()
        for axis, switch in self.switches.items():
            switch.observe(lambda change, axis=axis: self._switch(axis, change["new"]), "value")
        self.python.observe(lambda _: self.draw(), "value")
        self.box = column(row(*self.switches.values(), self.python), self.picture, self.table)
        self.draw()

    def chart(self) -> Any:
        """The steps in their present order."""
        from hftlab.charts import waterfall_chart

        path = self.factorial.path(self.order, python=self.python.value)
        return waterfall_chart(path, "One optimisation after the other", self.factorial.subtitle())

    def draw(self) -> None:
        """Draw the steps; below them the speed-up of each in this order, in any order (range), and its Shapley share."""
        shares, frame = self.factorial.shares(), self.factorial.frame()
        rows = []
        for axis in self.factorial.axes:
            ratios = frame.filter(frame["axis"] == axis)["ratio"].to_list()
            here = NOT_KNOWN
            if axis in self.order:
                here = f"{self.factorial.ratio(axis, self.order[: self.order.index(axis)]).median:.2f}"
            rows.append((axis, here, f"{min(ratios):.2f}", f"{max(ratios):.2f}", f"{shares[axis]:.2f}"))
        columns = ("times as fast", "in this order", "min of any order", "max of any order", "Shapley share")
        note = f"A/A control, the best set against itself: {self.factorial.control}"
        self.picture.value = picture(self.chart())
        self.table.value = html.fragment("", [table("Speed-up by optimisation", columns, rows, note=note)])

    def __repr__(self) -> str:
        return f"<Waterfall of {self.factorial.backend}: {' → '.join(self.order) or 'nothing switched on'}>"

    def _switch(self, axis: str, on: bool) -> None:
        self.order = [each for each in self.order if each != axis] + ([axis] if on else [])
        self.switches[axis].icon = "check" if on else ""
        self.draw()


def waterfall(
    measured: Factorial | Feed | None = None, *, rounds: int = 7, messages: int = 50_000, python: bool = True
) -> Waterfall:
    """A waterfall with switches as a widget.

    measured : the measured combinations, or a feed on which to measure them; default a calm feed of `messages` messages
    rounds, messages, python : as for `course.factorial.factorial`
    """
    if not isinstance(measured, Factorial):
        measured = factorial(measured, rounds=rounds, messages=messages, python=python)
    return Waterfall(measured)
