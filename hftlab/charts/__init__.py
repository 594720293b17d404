"""Charts, Altair only. Nothing is measured here, and no chart sees raw samples: it draws what a report has summarised.

`enable()` switches on a renderer that shows offline in JupyterLab, in an untrusted clone and on code hosts: the Vega-Lite
specification for those that draw, a PNG for those that do not.
"""

from hftlab.charts.base import PALETTE as PALETTE
from hftlab.charts.base import enable as enable
from hftlab.charts.base import render as render
from hftlab.charts.clocks import clock_chart as clock_chart
from hftlab.charts.curves import border_chart as border_chart
from hftlab.charts.curves import scale_chart as scale_chart
from hftlab.charts.forest import comparison_chart as comparison_chart
from hftlab.charts.history import history_chart as history_chart
from hftlab.charts.seed import seed_chart as seed_chart
from hftlab.charts.stages import stage_chart as stage_chart
from hftlab.charts.steps import forest_chart as forest_chart
from hftlab.charts.steps import waterfall_chart as waterfall_chart
from hftlab.charts.timeline import timeline_chart as timeline_chart
