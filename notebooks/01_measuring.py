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
# About 90 minutes, 39 of them for three exercises. Afterwards you will be able to
#
# - name the resolution of a clock, and the figures of a table that it does not support,
# - distinguish warm from cold and *service time* from *response time*, and find the stall that an average benchmark hides,
# - decide from two series of measurements whether B is faster than A, or whether the machine is only noisy.

# %% tags=["parameters"]
SEED = 1
ITERATIONS = 1_000  # of the legacy method, as in the first table
ROUNDS = 11  # fewer than 6 give no interval
MESSAGES = 10_000  # of the feed; 200_000 for deeper percentiles
READINGS = 100_000  # of each clock; 1_000_000 for a p99.99
COMPARED = 3_000  # messages of the comparison at the end; 20_000 for narrower intervals

# %%
# %load_ext hftlab

# %%
import numpy as np
import polars as pl
from course import check, claim, reveal, show
from course.legacy_method import findings, legacy_method

import hftlab
from hftlab import charts
from hftlab.experiments.open_loop import open_loop, response_ns
from hftlab.measurement.clock import clocks, every_source
from hftlab.measurement.distribution import MIN_TAIL_SAMPLES, PERCENTILES, Distribution, has_enough_samples

# %% [markdown]
# ## A table to distrust
#
# hftlab grew from a small engine whose page showed this table, in microseconds (us). *p95* is the 95th percentile: 95 of 100
# calls took at most this long. *End to end* is the whole path from the message to the order.

# %% tags=["nbval-ignore-output"]
first = legacy_method(ITERATIONS, SEED, rounds=31)

# %% tags=["nbval-check-output"]
published = first.frame().filter(pl.col("source") == "published").drop("source")
show(published, "The first table, in us")

# %% [markdown]
# **Predict first.** Before you read on: which of these figures can *not* be the time of a stage? What kind of clock prints such
# numbers? How was "end to end" computed? Write it down; two minutes are enough. The answers follow below.

# %%
guess_step_us = 0.001  # the step of that clock, us
guess_end_to_end = "measured, like the other rows"  # or how else?

# %% [markdown]
# ## What a clock can see
#
# Three properties that are often confused:
#
# - **resolution**, the smallest step of a clock: it cannot show what lies between two steps;
# - **cost**, the time of one reading: you pay it inside the measurement;
# - **monotonicity**: a monotonic clock never steps back. A *wall clock* may, when somebody sets the date.
#
# `clocks()` measures all of them on this machine: two readings back to back, many times. `tick` is what a clock counts in,
# `step` the smallest amount by which its readings really change, `min` the smallest cost: three different things. A cost is not
# a number but a distribution, like everything in this lesson.

# %% tags=["nbval-ignore-output"]
seen = clocks(READINGS)
columns = ["clock", "reads", "tick_ns", "step_ns", "min", "p50", "p99", "p99.9", "max", "backwards"]
show(seen.frame().select(columns).rename({"tick_ns": "tick", "step_ns": "step"}), "The clocks of this machine, ns")

# %% [markdown]
# A clock that counts in steps makes a **staircase**: sort the differences of many readings back to back, and they lie on a few
# treads, with nothing between them. The distance of two treads is the step. Here is the clock that stamps the engine, and the
# clock of the first table, `time.time_ns() // 1000`, as it would show the same moments:

# %% tags=["nbval-ignore-output"]
source = every_source()[0]
stamps_ns = source.stamps(20_000) * source.ns_per_tick
fine = np.sort(np.diff(stamps_ns))
fine = fine[fine <= np.quantile(fine, 0.95)]  # the tail is another story
coarse = np.sort(np.diff(stamps_ns // 1_000 * 1_000))[: len(fine)]
steps = [(name, 100 * place / len(ns), ns[place]) for name, ns in ((source.name, fine), ("whole us", coarse))
         for place in range(0, len(ns), len(ns) // 400)]  # fmt: skip
charts.line_chart(
    pl.DataFrame(steps, ["series", "x", "y"], orient="row"),
    "Differences of readings back to back, sorted",
    f"{source.name} counts in steps of {seen[0].step_ns:.3g} ns, {seen[0].step_ns / source.tick_ns:.3g} of its ticks",
    x="share of the readings (%)",
    y="difference (ns)",
    mark="step",
)

# %% [markdown]
# No stamped duration can be finer than a tread: whatever stage is shorter than one step, the tables of hftlab print as `< step`,
# never as 0 and never with more digits. The coarse clock has a single tread here, at 0: it sees nothing at all.
#
# Back to the costs above: p50 and p99 lie close together, p99.9 and the maximum far above. Now and then something takes the
# processor away between two readings, an interrupt, another program or, on a virtual machine, the host. That is not the fault of
# a clock, and it happens in every benchmark.
#
# Now compare with the first table: its clock was `time.time_ns() // 1000`, the wall clock cut to whole microseconds.

# %% tags=["nbval-ignore-output"]
step_ns = 1_000  # of the legacy clock
ours = seen["perf_counter_ns"]
reveal("step of the legacy clock, us", guess_step_us, step_ns / 1_000)
claim("one step of the legacy clock, in readings of perf_counter_ns", step_ns / ours.cost_p50_ns, above=2)
print(f"steps back of perf_counter_ns: {ours.backwards} in {ours.watched:,} readings on {ours.cores} cores")
assert ours.backwards == 0

# %% [markdown]
# ## How the step changes a figure
#
# The workload of that table is rebuilt in `notebooks/course/legacy_workload.py`. `legacy_method` measured it by the legacy
# method, and then properly. Here are *the same samples* twice: as read by the nanosecond clock, and with both readings cut to
# whole microseconds.

# %% tags=["nbval-ignore-output"]
effects = pl.DataFrame([vars(effect) for effect in first.effects])
show(effects.select("stage", "median", "floored_median", "mean", "floored_mean"), "The same samples, as read and floored, us")

# %% [markdown]
# The median jumps to a whole number, up or down, and nothing shows the size of its error. The **mean** hardly changes. Why?
# Calls begin at any moment between two ticks of the coarse clock. A call of a quarter of a step includes a tick in a quarter of
# all cases: mostly 0, sometimes 1, and the average is right. A percentile is one of the samples, so it is wrong.

# %% tags=["nbval-ignore-output"]
print("floored medians, us:", [effect.floored_median for effect in first.effects])
assert all(effect.floored_median == round(effect.floored_median) for effect in first.effects)
claim("largest error of a floored mean", max(abs(each.mean - each.floored_mean) for each in first.effects), below=0.2, unit=" us")

# %% [markdown]
# ## How many samples a percentile needs
#
# The second requirement is a large enough sample. A p99 of 1,000 calls rests on the ten slowest: run it again, and you get
# another number. The rule of hftlab: a percentile above the median prints **n/a** unless at least this many samples lie beyond
# it.

# %% tags=["nbval-check-output"]
print("samples that must lie beyond:", MIN_TAIL_SAMPLES)
show(
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

# %%
guess_sum = "too large"  # or "too small"

# %% [markdown]
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
    reveal("the sum", guess_sum, "too large" if added > measured else "too small")
reveal("the published end to end", guess_end_to_end, "the sum of the rows above it, percentile by percentile")

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
# ## In a stream, cold start, cold
#
# Now measure a real engine: decode, book, signals, order. A loop that runs the same code again and again has its code and data
# in the *caches* of the processor, small fast memories beside each core. After a quiet second in the market, an engine does
# not. So one number is not enough, and `hftlab.latency` tells apart how messages **arrive**:
#
# - **in a stream**: message after message, without the first ones of each pass;
# - **alone**: one at a time; before each an array as large as the second cache is read, as other work of the process would;
# - **cold**: before each message a larger array is read, which evicts the engine from all caches;
# - **cold start**: the first messages of the feed, on an empty book.
#
# **Predict:** how many times as long does the median message take with cold caches?

# %%
guess_cold = 1.0  # times as long as in a stream

# %% tags=["nbval-ignore-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
engines = [info.name for info in hftlab.backends() if info.available and info.name in ("python", "rust")]
reports = {name: hftlab.latency(name, feed, rounds=ROUNDS) for name in engines}
ends = reports["python"].frame().filter(pl.col("stage") == "end to end")
show(ends.select("phase", "n", "min", "p50", "p90", "p99", "p99.9", "max"), "End to end in the Python engine, ns")

# %% [markdown]
# `n/a`: the sample was too small. Now change **one** thing, the engine, and draw its
# curves into the same chart (if the Rust engine is installed). The horizontal axis gives each further nine, 90 %, 99 %, 99.9 %,
# the same width, since the tail matters most. A curve ends where its sample ends. Stairs in a curve are the steps of the clock.

# %% tags=["nbval-ignore-output"]
curves = [one.spectrum().with_columns(pl.format(name + ", {}", "series").alias("series")) for name, one in reports.items()]
charts.percentile_chart(pl.concat(curves), "End to end, by how the messages come", f"{feed.name}, clock cost subtracted")

# %% tags=["nbval-ignore-output"]
for name, one in reports.items():
    warm = one["total"].quantile(0.5)
    reveal(f"{name}, cold / in a stream", guess_cold, one["cold"].quantile(0.5) / warm)
    claim(f"{name}, cold / in a stream", one["cold"].quantile(0.5) / warm, above=1.5)
    print(f"{name}, cold start / in a stream: {one.timings.distribution('total', cold=True).quantile(0.5) / warm:.2f}")

# %% [markdown]
# **Why.** Reading the large array evicts everything the processor remembers: data and code from the caches, addresses from the
# TLB, the history of the branches. Memory is slow: a load that misses every cache waits for the time of hundreds of instructions.
# The faster the engine, the larger the share of that wait, so a fast engine loses *more* of its lead when its caches are cold.
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
# **Predict:** messages are due at a fixed rate, and all but one take the same short time, 10 us. One message takes a whole
# second. What are p99 of service and p99 of response, in us?

# %%
guess_service_us, guess_response_us = 10, 10

# %% tags=["nbval-check-output"]
SECONDS, RATE = 10, 1_000  # messages per second
service = np.full(SECONDS * RATE, 10_000.0)  # ns
service[len(service) // 2] = 1e9  # the stall
response = response_ns(service, 1e9 / RATE)
both = {"service": service, "response": response}
rows = [
    {"us": name, **{key: np.quantile(ns, q) / 1e3 for key, q in PERCENTILES.items() if has_enough_samples(len(ns), q)}}
    for name, ns in both.items()
]
reveal("p99 of service, us", guess_service_us, rows[0]["p99"])
reveal("p99 of response, us", guess_response_us, rows[1]["p99"])
show(pl.DataFrame(rows))

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
    return out  # response_ns, imported above, does the same without a loop


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

# %% tags=["nbval-ignore-output"]
ratios = {load: one.response.raw.quantile(0.5) / one.service.raw.quantile(0.5) for load, one in loops.items()}
print("median response / median service by load:", {load: round(ratio, 2) for load, ratio in ratios.items()})
claim("at every load", min(ratios.values()), above=0.999)
claim("at 1.5 times the capacity", ratios[1.5], above=10)

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

# %%
guess_width = 0.01  # half the width of the interval

# %% tags=["nbval-ignore-output"]
noise = hftlab.compare("python", "python", hftlab.synthetic("calm", COMPARED, seed=SEED), rounds=11)
print(noise.verdict)
ratio = noise.metrics[0].paired.ratio
reveal("half the width of the A/A interval", guess_width, (ratio.high - ratio.low) / 2)
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
    """The rule of hftlab/measurement/paired.py, where a table gives its error rate and that of simpler rules."""
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
# - State the clock: its step, its cost, and what you subtracted ([What a clock can see](#What-a-clock-can-see)). Measure in
#   whole passes what is shorter than ten readings.
# - A figure without enough samples beyond it is **n/a**
#   ([How many samples a percentile needs](#How-many-samples-a-percentile-needs)), and percentiles are never added
#   ([Percentiles do not add](#Percentiles-do-not-add)).
# - Count latency from the moment a message was due
#   ([The stall that the loop did not measure](#The-stall-that-the-loop-did-not-measure)).
# - Compare in paired rounds, beside a control ([The A/A noise floor](#The-A/A-noise-floor)).
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
