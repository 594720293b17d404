# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # hftlab
#
# A laboratory for the tick-to-trade path: exchange messages come in as bytes, and orders go out as bytes. The engine in between
# is written twice, in Python to be read and in Rust to be fast. In this course you measure it, analyse it, and make it faster.
#
# **You only need Python.** No lesson needs a network, a data file or knowledge of markets: each term is explained at its first
# use. Run a cell with `Shift+Enter`.

# %% tags=["nbval-check-output"]
from course import course
from course.latency_map import latency_map

import hftlab
from hftlab import charts

charts.enable()
course()

# %% [markdown]
# The links open the lessons. *Minutes* is what a lesson takes with its exercises, *cells run* what the machine takes that made
# the stored outputs. A dot is an exercise; it is filled once `check(...)` has passed your answer. The solutions of the lessons do
# not count. Run the cell above again to see your progress.
#
# Four ways through:
#
# - **12 minutes:** [00 Quickstart](00_quickstart.ipynb).
# - **An evening, to settle an argument about latency:** [01](01_measuring.ipynb), then
#   [11 The result](11_the_result.ipynb), then your own code in [12](12_bring_your_own.ipynb).
# - **An hour, to see what speed is for:** [02 Reading the market](02_reading_the_market.ipynb), then
#   [13 What is a microsecond worth?](13_a_microsecond.ipynb)
# - **The course:** from 00 to the end. Each lesson predicts, measures, and changes one thing; the later ones use words of the
#   earlier ones.
#
# ## What things cost
#
# From a load out of the first cache to a network and back, on one axis, in powers of ten. The engines, the memory and the system
# are measured now, on this machine; round trips through the network need root, and are stored; three figures are published ones.
# Where does a message spend its time, and which of these costs can be left out? The number beside a dot is the lesson about it.

# %% tags=["nbval-ignore-output"]
costs = latency_map()
costs.plot()

# %% [markdown]
# `print(costs)` shows it as a table.
#
# ## The path of a message
#
# The four stages have the same names everywhere: in folders, in Python, in Rust, in every chart.
#
# ```text
# wire bytes -> TICK (decode) -> BOOK (apply) -> SIGNAL (update) -> ORDER (decide, risk check, encode) -> wire bytes
# ```
#
# `hftlab/stages/` holds them in Python, `rust_ext/src/` in Rust: the same messages in, the same bytes out.

# %% [markdown]
# ## Two commands
#
# In a terminal (`File > New > Terminal`), in the folder of the project:
#
# ```text
# make bench      time every engine and variant on this machine
# make test       prove that they compute the same
# ```
#
# The engines on this machine:

# %% tags=["nbval-ignore-output"]
hftlab.backends()

# %% [markdown]
# ## When you are stuck
#
# - Every exercise has a folded hint. Its solution is the cell after the hint, hidden: click the bar at its left to see it. The
#   check of a wrong answer describes the mistake.
# - `check?` or `%latency?` in a cell shows help; so does `hftlab COMMAND --help` in a terminal.
# - `hftlab doctor` reports what this machine can measure, its noise, and what is missing.
# - To restore a lesson that you changed: `git checkout notebooks/03*`. This removes your answers in it.
