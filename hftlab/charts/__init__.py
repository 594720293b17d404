"""Charts, Altair only. Nothing is measured here, and no chart takes raw samples: it draws frames of summaries.

`enable()` switches on a renderer that works offline in JupyterLab, in an untrusted clone and on code hosts: the Vega-Lite
specification for viewers that draw it, a PNG for those that do not. `save(chart, path)` writes a file. All share one theme.
"""

from hftlab.charts.base import PALETTE as PALETTE
from hftlab.charts.base import check_file as check_file
from hftlab.charts.base import empty_chart as empty_chart
from hftlab.charts.base import enable as enable
from hftlab.charts.base import render as render
from hftlab.charts.base import save as save
from hftlab.charts.base import theme as theme
from hftlab.charts.lines import ffi_chart as ffi_chart
from hftlab.charts.lines import line_chart as line_chart
from hftlab.charts.lines import load_chart as load_chart
from hftlab.charts.lines import percentile_chart as percentile_chart
from hftlab.charts.lines import ridge_chart as ridge_chart
from hftlab.charts.market import depth_chart as depth_chart
from hftlab.charts.market import price_chart as price_chart
from hftlab.charts.market import queue_chart as queue_chart
from hftlab.charts.market import signal_chart as signal_chart
from hftlab.charts.market import thin as thin
from hftlab.charts.steps import ratio_chart as ratio_chart
from hftlab.charts.steps import waterfall_chart as waterfall_chart
from hftlab.charts.values import bar_chart as bar_chart
from hftlab.charts.values import budget_chart as budget_chart
from hftlab.charts.values import dot_chart as dot_chart
from hftlab.charts.values import icicle_chart as icicle_chart
from hftlab.charts.values import round_trip_chart as round_trip_chart
from hftlab.charts.values import tick_to_trade_chart as tick_to_trade_chart
