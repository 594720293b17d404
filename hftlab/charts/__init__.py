"""Charts, Altair only. Nothing is measured here, and no chart sees raw samples: it draws what a report has summarised.

`enable()` switches on a renderer that shows offline in JupyterLab, in an untrusted clone and on code hosts: the Vega-Lite
specification for those that draw, a PNG for those that do not. `save(chart, path)` writes a file. All wear one theme.
"""

from hftlab.charts.amdahl import amdahl_chart as amdahl_chart
from hftlab.charts.base import PALETTE as PALETTE
from hftlab.charts.base import nothing as nothing
from hftlab.charts.base import theme as theme
from hftlab.charts.clocks import clock_chart as clock_chart
from hftlab.charts.curves import ffi_chart as ffi_chart
from hftlab.charts.curves import scaling_chart as scaling_chart
from hftlab.charts.distribution import ccdf_chart as ccdf_chart
from hftlab.charts.distribution import percentile_chart as percentile_chart
from hftlab.charts.distribution import ridge_chart as ridge_chart
from hftlab.charts.forest import comparison_chart as comparison_chart
from hftlab.charts.heat import heat_chart as heat_chart
from hftlab.charts.icicle import bar_chart as bar_chart
from hftlab.charts.icicle import dot_chart as dot_chart
from hftlab.charts.icicle import icicle_chart as icicle_chart
from hftlab.charts.icicle import panel_chart as panel_chart
from hftlab.charts.lines import line_chart as line_chart
from hftlab.charts.load import load_chart as load_chart
from hftlab.charts.market import depth_chart as depth_chart
from hftlab.charts.market import queue_chart as queue_chart
from hftlab.charts.prices import price_chart as price_chart
from hftlab.charts.prices import signal_chart as signal_chart
from hftlab.charts.prices import thin as thin
from hftlab.charts.rungs import round_trip_chart as round_trip_chart
from hftlab.charts.show import check_file as check_file
from hftlab.charts.show import enable as enable
from hftlab.charts.show import render as render
from hftlab.charts.show import save as save
from hftlab.charts.stages import budget_chart as budget_chart
from hftlab.charts.stages import stage_chart as stage_chart
from hftlab.charts.steps import ablation_chart as ablation_chart
from hftlab.charts.steps import forest_chart as forest_chart
from hftlab.charts.steps import waterfall_chart as waterfall_chart
from hftlab.charts.stress import burst_chart as burst_chart
from hftlab.charts.stress import overload_chart as overload_chart
from hftlab.charts.stress import soak_chart as soak_chart
from hftlab.charts.stress import storm_chart as storm_chart
from hftlab.charts.timeline import timeline_chart as timeline_chart
from hftlab.charts.wire import tick_to_trade_chart as tick_to_trade_chart
