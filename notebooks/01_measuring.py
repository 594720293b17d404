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
# # 01 Measuring a microsecond
#
# **Why was the first table of this project wrong, and what does a table need that you can trust?**
#
# About 50 minutes, 39 of them for three exercises. Afterwards you will be able to
#
# - name the resolution of a clock, and the figures of a table that it does not support,
# - distinguish warm from cold and *service time* from *response time*, and find the stall that an average benchmark hides,
# - decide from two series of measurements whether B is faster than A, or whether the machine is only noisy.

# %% tags=["parameters"]
SEED = 1
ITERATIONS = 1_000  # of the legacy method, as in the first table
ROUNDS = 5  # 11 for a calmer picture
MESSAGES = 10_000  # of the feed; 200_000 for deeper percentiles
READINGS = 100_000  # of each clock; 1_000_000 for a p99.99
COMPARED = 3_000  # messages of the comparison at the end; 20_000 for narrower intervals

# %%
# %load_ext hftlab

# %%
import numpy as np
import polars as pl
from course import check
from course.legacy_method import findings, legacy_method

import hftlab
from hftlab import charts
from hftlab.experiments.open_loop import open_loop, response_ns
from hftlab.measurement.clock import clocks
from hftlab.measurement.distribution import MIN_TAIL_SAMPLES, PERCENTILES, Distribution, has_enough_samples

tables = pl.Config(tbl_hide_dataframe_shape=True, float_precision=2, thousands_separator=True, tbl_cols=20, fmt_str_lengths=70)

# %% [markdown]
# ## A table to distrust
#
# hftlab grew from a small engine whose page showed this table, in microseconds (us). *p95* is the 95th percentile: 95 of 100
# calls took at most this long. *End to end* is the whole path from the message to the order.

# %% tags=["nbval-ignore-output"]
first = legacy_method(ITERATIONS, SEED, rounds=31)

# %% tags=["nbval-check-output"]
published = first.frame().filter(pl.col("source") == "published").drop("source")
published

# %% [markdown]
# **Predict first.** Before you read on: which of these figures can *not* be the time of a stage? What kind of clock prints such
# numbers? How was "end to end" computed? Write it down; two minutes are enough.

# %%
guess = """
The figures I do not trust: ...
The clock: ...
End to end: ...
"""

# %% [markdown]
# ## What a clock can see
#
# Three properties that are often confused:
#
# - **resolution**, the smallest step of a clock: it cannot show what lies between two steps;
# - **cost**, the time of one reading: you pay it inside the measurement;
# - **monotonicity**: a monotonic clock never steps back. A *wall clock* may, when somebody sets the date.
#
# `clocks()` measures all of them on this machine: two readings back to back, many times. `step_ns` is the step of the clock. A
# cost is not a number but a distribution, like everything in this lesson.

# %% tags=["nbval-ignore-output"]
seen = clocks(READINGS)
seen.frame().select("clock", "reads", "step_ns", "min", "p50", "p99", "p99.9", "max", "backwards")

# %% tags=["nbval-ignore-output"]
seen.plot()

# %% [markdown]
# The lines are flat, then rise steeply: now and then something takes the processor away between two readings, an interrupt,
# another program or, on a virtual machine, the host. That is not the fault of a clock, and it happens in every benchmark.
#
# Now compare with the first table: its clock was `time.time_ns() // 1000`, the wall clock cut to whole microseconds.

# %% tags=["nbval-check-output"]
step_ns = 1_000  # of the legacy clock
ours = seen["perf_counter_ns"]
print("one step of the legacy clock is more than two readings of perf_counter_ns:", step_ns > 2 * ours.cost_p50_ns)
print("perf_counter_ns went backwards:", ours.backwards)
assert step_ns > 2 * ours.cost_p50_ns
assert ours.backwards == 0

# %% [markdown]
# ## How the step changes a figure
#
# The workload of that table is rebuilt in `notebooks/course/legacy_workload.py`. `legacy_method` measured it by the legacy
# method, and then properly. Here are *the same samples* twice: as read by the nanosecond clock, and with both readings cut to
# whole microseconds.

# %% tags=["nbval-ignore-output"]
effects = pl.DataFrame([vars(effect) for effect in first.effects])
effects.select("stage", "median", "floored_median", "mean", "floored_mean")

# %% [markdown]
# The median jumps to a whole number, up or down, and nothing shows the size of its error. The **mean** hardly changes. Why?
# Calls begin at any moment between two ticks of the coarse clock. A call of a quarter of a step includes a tick in a quarter of
# all cases: mostly 0, sometimes 1, and the average is right. A percentile is one of the samples, so it is wrong.

# %% tags=["nbval-check-output"]
whole = all(effect.floored_median == round(effect.floored_median) for effect in first.effects)
close = all(abs(effect.mean - effect.floored_mean) < 0.2 for effect in first.effects)
print("every floored median is a whole number of us:", whole)
print("every floored mean is within 0.2 us of the true one:", close)
assert whole
assert close

# %% [markdown]
# ## How many samples a percentile needs
#
# The second requirement is a large enough sample. A p99 of 1,000 calls rests on the ten slowest: run it again, and you get
# another number. The rule of hftlab: a percentile above the median prints **n/a** unless at least this many samples lie beyond
# it.

# %% tags=["nbval-check-output"]
print("samples that must lie beyond:", MIN_TAIL_SAMPLES)
pl.DataFrame(
    [
        {
            "percentile": name,
            "samples needed": round(MIN_TAIL_SAMPLES / (1 - q)),
            f"supported by {ITERATIONS:,}": has_enough_samples(ITERATIONS, q),
        }
        for name, q in PERCENTILES.items()
        if q > 0.5
    ]
)

# %% [markdown]
# ### Exercise 01.1: an honest table of a coarse clock
#
# *Medium, 12 minutes.* `stamps` contains readings of a perfect clock before and after each call, shape (n, 2), whole ns. Assume
# that the clock counts in steps of `step` ns, and return the table that you may print in that case: a dict with `p50`, `p95`,
# `p99` in ns. Write `None` for n/a:
#
# - if fewer than 100 samples lie beyond a percentile (the median needs none), and
# - if the figure is at most one step, which says nothing.
#
# The start below is the method of the first table.


# %% tags=["nbval-check-output"]
def my_table(stamps, step):
    ns = (stamps[:, 1] - stamps[:, 0]) // step * step
    return {"p50": np.quantile(ns, 0.5), "p95": np.quantile(ns, 0.95), "p99": np.quantile(ns, 0.99)}


check("01.1", my_table)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A clock is cut when it is read. Which two numbers does the program get, and when does it subtract? `has_enough_samples(n, q)`,
# imported above, tells whether n samples support the percentile q.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
def solved_table(stamps, step):
    readings = stamps // step * step
    ns = readings[:, 1] - readings[:, 0]
    table = {}
    for name in ("p50", "p95", "p99"):
        value = float(np.quantile(ns, PERCENTILES[name]))
        table[name] = value if has_enough_samples(len(ns), PERCENTILES[name]) and value > step else None
    return table


solved = check("01.1", solved_table)
assert solved
solved

# %% [markdown]
# ## Percentiles do not add
#
# The published "end to end" was never measured: the medians were added up, and so were p95 and p99. How wrong is that?
# **Predict:** is the sum of the p99 of the stages too large or too small?
#
# Here are two simulated engines of three stages each. In the first, each stage varies a little all the time. In the second,
# each stage is fast except for a rare outlier, rarer than one in a hundred.

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(SEED)
varying = rng.exponential(1.0, (100_000, 3))
outliers = np.where(rng.random((100_000, 3)) < 0.006, 100.0, 1.0)
for name, stages in (("always varying", varying), ("rare outliers", outliers)):
    added = np.quantile(stages, 0.99, axis=0).sum()
    measured = np.quantile(stages.sum(axis=1), 0.99)
    print(f"{name}: sum of the p99s {added:.1f}, p99 of the whole {measured:.1f}: {added / measured:.2f}x of it")
    assert (added > 1.2 * measured) if name == "always varying" else (added < 0.2 * measured)

# %% [markdown]
# The sum is too large *or* too small: it depends on whether the stages are slow at the same time, which the sum does not know.
# Therefore end to end has stamps of its own in every table of hftlab.
#
# Here is everything at once: the first table as published, the legacy method on this machine, and the same calls measured
# properly. The grey band is below the resolution of a clock of whole microseconds.

# %% tags=["nbval-ignore-output"]
first.plot()

# %% tags=["nbval-ignore-output"]
for sentence in findings(first):
    print("-", sentence)

# %% [markdown]
# Read the lines on end to end again: with a nanosecond clock, the sum may be close to the truth on this workload. A wrong
# method is not always wrong by much, but you cannot tell when it is. The last line matters most: the timed code had no book and
# no orders, so even a perfect clock would have measured the wrong thing.
#
# ## Warm, cold start, cold cache
#
# Now measure a real engine: decode, book, signals, order. A loop that runs the same code again and again has its code and data
# in the *caches* of the processor, small fast memories beside each core. After a quiet second in the market, an engine does
# not. So one number is not enough, and `hftlab.latency` gives three **phases**:
#
# - **warm**: message after message, without the first ones of each pass;
# - **cold start**: those first messages, on an empty book;
# - **cold cache**: before each message a large array is read, which evicts the engine from the caches.
#
# **Predict:** how many times as long does the median message take with cold caches?

# %%
guess_cold = 1.0  # times as long as warm

# %% tags=["nbval-ignore-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
engines = [info.name for info in hftlab.backends() if info.available and info.name in ("python", "rust")]
reports = {name: hftlab.latency(name, feed, rounds=ROUNDS) for name in engines}
ends = reports["python"].frame().filter(pl.col("stage") == "end to end")
ends.select("phase", "n", "min", "p50", "p90", "p99", "p99.9", "max")

# %% [markdown]
# The figures are nanoseconds; `null` is n/a: the sample was too small. Now change **one** thing, the engine, and draw its
# curves into the same chart (if the Rust engine is installed). The horizontal axis gives each further nine, 90 %, 99 %, 99.9 %,
# the same width, since the tail matters most. A curve ends where its sample ends. Stairs in a curve are the steps of the clock.

# %% tags=["nbval-ignore-output"]
curves = [one.spectrum().with_columns(pl.format(name + ", {}", "series").alias("series")) for name, one in reports.items()]
charts.percentile_chart(pl.concat(curves), "End to end, three phases", f"{feed.name}, clock cost subtracted")

# %% tags=["nbval-check-output"]
cold_is_slower = all(one.cold_cache.quantile(0.5) > 1.5 * one["total"].quantile(0.5) for one in reports.values())
print("with cold caches, a message takes more than 1.5 times as long in every engine here:", cold_is_slower)
assert cold_is_slower

# %% tags=["nbval-ignore-output"]
for name, one in reports.items():
    warm = one["total"].quantile(0.5)
    cold_start = one.timings.distribution("total", cold=True).quantile(0.5)
    print(
        f"{name}: {one.cold_cache.quantile(0.5) / warm:.1f} times as long as warm with cold caches (your guess: {guess_cold}),",
        end=" ",
    )
    print(f"{cold_start / warm:.2f} times at the cold start")

# %% [markdown]
# **Why.** Memory is slow: a load that misses every cache waits for the time of hundreds of instructions. The faster the engine,
# the larger the share of that wait, so a fast engine loses *more* of its lead when its caches are cold.
#
# **What may surprise you:** how little the first messages cost compared with those on cold caches. They follow each other
# without a pause, so the caches fill within a few messages, and an empty book is small. A cold start is not the same as a cold
# cache.
#
# A report also contains two measurements of each stage, side by side. Stamps around each message give a distribution. Whole
# passes without stamps, ended after each stage and subtracted, give only an average, but no clock disturbs them. If a stage is
# shorter than ten readings of the clock, trust the passes. If the two disagree on a long stage, the machine was disturbed
# during one of them: measure again before you explain it.

# %% tags=["nbval-ignore-output"]
for one in reports.values():
    for sentence in one.notes():
        print("-", sentence)

# %% [markdown]
# ## The stall that the loop did not measure
#
# A benchmark loop sends the next message when the last one is done. It is a *closed loop*: while the engine stalls, the loop
# waits and sends nothing. The market does not wait. Messages that are due during the stall queue up, and each of them is late.
# The loop never sent them, so it never measured them. Gil Tene named this **coordinated omission**.
#
# - **service time**: from the moment the engine gets the message until it is done;
# - **response time**: from the moment the message was *due* until it is done.
#
# **Predict:** messages are due at a fixed rate, and all but one take the same short time. One message takes a whole second.
# What are p99 of service and p99 of response?

# %% tags=["nbval-check-output"]
SECONDS, RATE = 10, 1_000  # messages per second
service = np.full(SECONDS * RATE, 10_000.0)  # ns
service[len(service) // 2] = 1e9  # the stall
response = response_ns(service, 1e9 / RATE)
both = {"service": service, "response": response}
pl.DataFrame(
    [
        {"us": name, **{key: np.quantile(ns, q) / 1e3 for key, q in PERCENTILES.items() if has_enough_samples(len(ns), q)}}
        for name, ns in both.items()
    ]
)

# %% tags=["nbval-check-output"]
points = [{"series": name, **point} for name, ns in both.items() for point in Distribution.of("total", ns).spectrum()]
charts.percentile_chart(pl.DataFrame(points), "One stall", f"{len(service):,} messages, one of them stalls")

# %% tags=["nbval-check-output"]
late = np.count_nonzero(response > 2 * service.min())
print(f"one message of {len(service):,} stalled, {late:,} were late because of it")
assert np.quantile(service, 0.99) == service.min()
assert np.quantile(response, 0.99) > 1_000 * np.quantile(service, 0.99)
assert np.quantile(response, 0.5) == np.quantile(service, 0.5)

# %% [markdown]
# The whole second is one sample of the service times, beyond every percentile that the sample supports. The response times show
# it. The *median* of both is the same: it does not warn you.
#
# ### Exercise 01.2: from service to response
#
# *Medium, 12 minutes.* Message i is due at `i * interval`. The engine processes them in order, one at a time; it starts a
# message when that is due and the one before is done. Return the response time of each message, ns, same length as `service`.
# The start below is the assumption of a closed loop.


# %% tags=["nbval-check-output"]
def my_response(service, interval):
    return service


check("01.2", my_response)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Use one variable, the moment at which the engine becomes free. A message begins at the later of two moments. (This recursion
# is Lindley's, 1952; it describes every queue with one server.)
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
def solved_response(service, interval):
    out, free = np.empty(len(service)), 0.0
    for i, spent in enumerate(service):
        due = i * interval
        free = max(due, free) + spent
        out[i] = free - due
    return out


solved = check("01.2", solved_response)
assert solved
solved

# %% [markdown]
# ### The same with the real engine
#
# `open_loop` is an *open loop*: the schedule is fixed first, each message is sent when it is due, and both times are recorded.
# First it uses a rate that no engine can sustain, which gives the capacity of ours; then shares of that. The left panel counts
# from the moment a message was due, the right one from the moment the engine got it.

# %% tags=["nbval-ignore-output"]
engine = hftlab.Engine("python")
capacity = 1e9 / open_loop(engine, feed, 1e7, MESSAGES).service.quantile(0.5)  # messages per second, about
loops = {load: open_loop(engine, feed, load * capacity, MESSAGES) for load in (0.3, 0.6, 0.9, 1.2, 1.5)}
rows = [
    {"load": load, "time": time, "percentile": name, "ns": times.quantile(q)}
    for load, loop in loops.items()
    for time, times in (("response", loop.response), ("service", loop.service))
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    if has_enough_samples(times.n, q)
]
charts.load_chart(pl.DataFrame(rows), title="The Python engine under load", subtitle="sent on schedule, one call each")

# %% tags=["nbval-check-output"]
shares = (0.5, 0.9, 0.99)
never = all(one.response.raw.quantile(q) >= one.service.raw.quantile(q) for one in loops.values() for q in shares)
overloaded = loops[1.5].response.raw.quantile(0.5) > 10 * loops[1.5].service.raw.quantile(0.5)
print("response is never shorter than service, at any percentile and load:", never)
print("above capacity the median response is more than ten times the median service:", overloaded)
assert never
assert overloaded

# %% [markdown]
# The right panel is the result of a closed loop: load hardly seems to matter, even beyond capacity. The left panel is the
# latency that the market experiences: beyond capacity the queue grows without end, and just below it every stall of the machine
# leaves a queue that takes long to drain. A single jump on the left at a *low* load is such a stall, too: one long service
# time, rarer than any percentile shown on the right, and every message behind it.
#
# ## The A/A noise floor
#
# You changed a line, and the benchmark says that it is faster. Is it? Measure the *same* code twice, one after the other, and
# look at the difference: that is the noise of your machine. The measurement is called an **A/A control**. `hftlab.compare`
# always runs one: each round runs A, B and A once more in random order, and the ratio is computed within each round, so that a
# slow spell affects all of them. The interval beside a ratio (square brackets in text, a bar in the chart) is a confidence
# interval of the true median. It is made of *order statistics*: sort the rounds; how often the median lies between the k-th
# smallest and the k-th largest is a matter of coin tosses, whatever their distribution. Fewer than 6 rounds give a range only.
#
# Here both sides are the Python engine. **Predict:** how far from 1 will the ratios be?

# %% tags=["nbval-ignore-output"]
noise = hftlab.compare("python", "python", hftlab.synthetic("calm", COMPARED, seed=SEED), rounds=11)
print(noise.verdict)
noise.plot()

# %% [markdown]
# How wide is your noise floor? You cannot claim a difference smaller than that. The verdict "faster" needs three things: the
# interval excludes 1, *so does that of the second copy of A*, and the median lies outside the interval of the control.
#
# ### Exercise 01.3: is B faster?
#
# *Hard, 15 minutes.* `a`, `b` and `again` are ns per message, one value per round; `again` is A once more. Return the verdict
# on B compared with A: `"faster"`, `"slower"` or `"no difference seen"`. The check simulates many machines, calm and noisy,
# with slow spells and spikes. More than one false alarm in fifty A/A comparisons fails; so do missed real differences. The
# start below is how most benchmarks on the internet decide.


# %% tags=["nbval-check-output"]
def my_verdict(a, b, again):
    return "faster" if b.mean() < a.mean() else "slower"


check("01.3", my_verdict)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `a / b` is a series of ratios, one per round: a slow spell cancels out. `Interval.of(series)` in `hftlab.measurement.paired`
# computes the interval; its `side` is 1 above 1, -1 below, 0 if it contains 1. One interval of 95 % is wrong one time
# in twenty at best. What could serve as a second, independent test?
# </details>

# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
from hftlab.measurement.paired import Interval


def solved_verdict(a, b, again):
    first, second, control = Interval.of(a / b), Interval.of(again / b), Interval.of(a / again)
    agreed = first.side == second.side != 0
    if not agreed or control.contains(first.median):
        return "no difference seen"
    return "faster" if first.side > 0 else "slower"


solved = check("01.3", solved_verdict)
assert solved
solved

# %% [markdown]
# ## Takeaway
#
# - State the clock: its step, its cost, and what you subtracted. Measure in whole passes what is shorter than ten readings.
# - A figure without enough samples beyond it is **n/a**, and percentiles are never added. End to end has stamps of its own.
# - Count latency from the moment a message was due; compare in paired rounds, beside a control; keep every sample.
#
# ### What did not work
#
# - Subtracting the cost of the clock does not make a coarse clock fine, and it can reduce a short stage to zero: the frame has
#   the raw median, too.
# - Running the legacy method again did not rescue any percentile. Only more samples and a finer clock help.
# - Nothing in this lesson made anything faster. That was not the question; but now you would notice an improvement.
#
# ### Where it is in the code
#
# Clocks `hftlab/measurement/clock.py`, percentiles and n/a `hftlab/measurement/distribution.py`, paired rounds
# `hftlab/measurement/paired.py`, phases `hftlab/experiments/latency.py`, open loop `hftlab/experiments/open_loop.py`, A/B with
# control `hftlab/experiments/compare.py`.
#
# The legacy method: `notebooks/course/legacy_method.py`. On the command line: `hftlab doctor`, `hftlab latency`, `hftlab
# compare`.
#
# **Next:** [02 Reading the market](02_reading_the_market.ipynb), the messages of an exchange. Then [03 Where the time
# goes](03_where_the_time_goes.ipynb).
