"""Charts, Altair only. Nothing is measured here, and no chart sees raw samples: it draws what a report has summarised.

`enable()` switches on a renderer that shows offline in JupyterLab, in an untrusted clone and on code hosts: the Vega-Lite
specification for those that draw, a PNG for those that do not.
"""

from hftlab.charts.base import PALETTE as PALETTE
from hftlab.charts.base import enable as enable
from hftlab.charts.base import render as render
from hftlab.charts.curves import border_chart as border_chart
from hftlab.charts.curves import scale_chart as scale_chart
from hftlab.charts.icicle import bars_chart as bars_chart
from hftlab.charts.icicle import dots_chart as dots_chart
from hftlab.charts.icicle import icicle_chart as icicle_chart
from hftlab.charts.icicle import panels_chart as panels_chart
from hftlab.charts.icicle import sentence_chart as sentence_chart
from hftlab.charts.stages import stage_chart as stage_chart
from hftlab.charts.steps import forest_chart as forest_chart
from hftlab.charts.steps import waterfall_chart as waterfall_chart
