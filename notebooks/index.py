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
# A laboratory for the tick-to-trade path: exchange messages come in as bytes, and orders go out as bytes. What happens in
# between is written twice, in Python to be read and in Rust to be fast. Here you measure it, take it apart, and make it faster.
#
# **You can start with no more than Python.** No lesson needs a network, a data file or knowledge of markets: each word is
# explained when it comes up. Run a cell with `Shift+Enter`.

# %% tags=["nbval-check-output"]
from course import course

import hftlab
from hftlab import charts

charts.enable()
course()

# %% [markdown]
# The links open the lessons. Begin with the Quickstart; the others build on each other, and any of them can be read alone. A dot
# is an exercise; it fills when `check(...)` has passed your answer. What the lessons solve themselves does not count. Run
# the cell above again to see how far you have come.
#
# ## The map
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
# make test       prove that they agree
# ```
#
# The engines that this machine has:

# %% tags=["nbval-ignore-output"]
hftlab.backends()

# %% [markdown]
# ## When you are stuck
#
# - Every exercise has a folded hint and a folded solution. A wrong answer is told what is wrong with it.
# - `hftlab.check?` or `%latency?` in a cell shows help; so does `hftlab COMMAND --help` in a terminal.
# - `hftlab doctor` says what this machine can measure, how noisy it is, and what is missing.
# - A lesson that you have changed and want back as it was: `git checkout notebooks/03*`, which takes your answers in it away.
