"""Charts, Altair only. Nothing is measured here, and no chart takes raw samples: it draws frames of summaries.

`enable()` switches on a renderer that works offline in JupyterLab, in an untrusted clone and on code hosts: the Vega-Lite
specification for viewers that draw it, a PNG for those that do not. `save(chart, path)` writes a file. All share one theme.
"""

from hftlab.charts.bars import bar_chart as bar_chart
from hftlab.charts.bars import budget_chart as budget_chart
from hftlab.charts.bars import icicle_chart as icicle_chart
from hftlab.charts.bars import panel_chart as panel_chart
from hftlab.charts.base import PALETTE as PALETTE
from hftlab.charts.base import empty_chart as empty_chart
from hftlab.charts.base import theme as theme
from hftlab.charts.distribution import ccdf_chart as ccdf_chart
from hftlab.charts.distribution import clock_chart as clock_chart
from hftlab.charts.distribution import heat_chart as heat_chart
from hftlab.charts.distribution import percentile_chart as percentile_chart
from hftlab.charts.distribution import ridge_chart as ridge_chart
from hftlab.charts.dots import dot_chart as dot_chart
from hftlab.charts.dots import round_trip_chart as round_trip_chart
from hftlab.charts.dots import stage_chart as stage_chart
from hftlab.charts.dots import storm_chart as storm_chart
from hftlab.charts.dots import tick_to_trade_chart as tick_to_trade_chart
from hftlab.charts.lines import ffi_chart as ffi_chart
from hftlab.charts.lines import line_chart as line_chart
from hftlab.charts.lines import scaling_chart as scaling_chart
from hftlab.charts.load import burst_chart as burst_chart
from hftlab.charts.load import load_chart as load_chart
from hftlab.charts.load import overload_chart as overload_chart
from hftlab.charts.load import soak_chart as soak_chart
from hftlab.charts.market import depth_chart as depth_chart
from hftlab.charts.market import queue_chart as queue_chart
from hftlab.charts.prices import price_chart as price_chart
from hftlab.charts.prices import signal_chart as signal_chart
from hftlab.charts.prices import thin as thin
from hftlab.charts.show import check_file as check_file
from hftlab.charts.show import enable as enable
from hftlab.charts.show import render as render
from hftlab.charts.show import save as save
from hftlab.charts.steps import comparison_chart as comparison_chart
from hftlab.charts.steps import forest_chart as forest_chart
from hftlab.charts.steps import waterfall_chart as waterfall_chart
from hftlab.charts.timeline import timeline_chart as timeline_chart
