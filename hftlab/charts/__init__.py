"""Charts, Altair only. Nothing is measured here, and no chart sees raw samples: it draws what a report has summarised.

`enable()` switches on a renderer that shows offline in JupyterLab, in an untrusted clone and on code hosts: the Vega-Lite
specification for those that draw, a PNG for those that do not. `save(chart, path)` writes a file. All wear one theme.
"""

from hftlab.charts.base import PALETTE as PALETTE
from hftlab.charts.base import nothing as nothing
from hftlab.charts.base import theme as theme
from hftlab.charts.curves import border_chart as border_chart
from hftlab.charts.curves import scale_chart as scale_chart
from hftlab.charts.show import enable as enable
from hftlab.charts.show import render as render
from hftlab.charts.show import save as save
from hftlab.charts.stages import stage_chart as stage_chart
from hftlab.charts.steps import forest_chart as forest_chart
from hftlab.charts.steps import waterfall_chart as waterfall_chart
