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
# # 11 The result
#
# **What was each step worth, and what remains?**
#
# About 70 minutes, 40 of them for two exercises. Afterwards you can
#
# - read a waterfall, and explain why the same step is worth more in one order than in another;
# - compare every row of a latency table with its earlier value, with an interval, and decide which differences you may claim;
# - compare the engine with the limits of the machine, and name the costs in between.

# %% tags=["parameters"]
MESSAGES = 20_000  # 200_000 on a quiet machine
ROUNDS = 11  # of the table; 21 for narrow intervals
PAIRED = 11  # of comparisons; 41 for narrow intervals
SEED = 1

# %%
# %load_ext hftlab
import math

import polars as pl
from course import check, claim, reveal, show
from course.branches import branches, mispredicted_ns, remembered
from course.factorial import factorial
from course.legacy_method import legacy_method
from course.lower_bound import CLOCK, FRAMES, MEMORY, WHOLE, lower_bound
from course.rust_function import rustc
from course.waterfall import waterfall

import hftlab
import hftlab.net
from hftlab import charts

feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)

# %% [markdown]
# ## Predict first
#
# The course began with a pure Python engine, and ended with a Rust engine with a switch for every optimisation. The step from
# Python to a *naive* Rust engine changes only the language: an ordered map for the prices, a hash map for the orders, an
# allocation for each, every signal recomputed. Then the optimisations follow, each with a lesson of its own.
#
# **Guess two factors:** the gain of the language, and the gain of all optimisations together.

# %%
guess_language = 10
guess_optimisations = 10

# %% [markdown]
# ## The waterfall
#
# Every engine must give the same bits before the clock starts. Then all of them run interleaved, in a new random order each
# round. A grey or blue bar is a whole time per message; a bar in between extends from the time before a step to the time after
# it. The axis is logarithmic: equal lengths are equal *factors*.

# %% tags=["nbval-ignore-output", "timeout-300"]
every = factorial(feed, rounds=PAIRED, python=True)
charts.waterfall_chart(every.path(every.axes), "From the Python engine to the best one", every.subtitle())

# %% tags=["nbval-ignore-output"]
language = every.path(every.axes)["ns"][0] / every.ns()
reveal("the language", guess_language, language)
reveal("the optimisations", guess_optimisations, every.whole().median)
claim("Python / naive Rust", language, above=8)
claim("naive Rust / best", every.whole(), above=1, below=language)

# %% [markdown]
# Does that mean that the optimisations do not matter? Every engine in a compiled language has the first factor. The second one
# is the difference between two such engines.
#
# ## Change one thing: the order of the steps
#
# Here each optimisation is a switch. The order of switching on is the order of the steps: switch one off and on again, and it
# comes last. The widget measures nothing, since every combination was timed above.

# %% tags=["nbval-ignore-output"]
waterfall(every)

# %% [markdown]
# The table below the chart contains the gain of each step in this order, and its range over all orders. The ends never move.
# The steps in between do. **Why?** There are two reasons, with opposite effects.
#
# - *The rest shrinks.* If one step removes 60 ns of 120, and another 30 ns of 120, then the second gains a quarter if it comes
#   first and a half if it comes last. So later steps look better.
# - *They share the same memory.* A flat table of orders helps more if the orders are also close together; a slow ordered map
#   hides the gain of other steps. So a step may need another one, or replace it.
#
# Multiply the gains *from naive*, and compare with the whole:

# %% tags=["nbval-ignore-output"]
axes = set(every.axes)
from_naive = {axis: every.ratio(axis).median for axis in axes}
from_best = {axis: every.ratio(axis, axes - {axis}).median for axis in axes}
rows = [(axis, from_naive[axis], from_best[axis], share) for axis, share in every.shares().items()]
rows.append(("product", math.prod(from_naive.values()), math.prod(from_best.values()), math.prod(every.shares().values())))
print(f"the whole: {every.whole()}")
show(pl.DataFrame(rows, schema=["axis", "from naive", "from best", "Shapley share"], orient="row"), "Times as fast")

# %% [markdown]
# Neither product needs to equal the whole. The **Shapley share** is the mean logarithm of a step's gain over all possible
# orders. It depends on no particular order, and the shares always multiply to the whole:

# %% tags=["nbval-ignore-output"]
product = math.prod(every.shares().values())
whole = every.ns() / every.ns(every.axes)
assert math.isclose(product, whole)
print(f"the Shapley shares multiply to {product:.4f}, the whole is {whole:.4f}")

# %% [markdown]
# ## Which gains may you claim?
#
# You may claim a ratio only if it is outside the A/A noise floor. So one engine runs twice in each round: the **A/A control**.
# Its interval is the grey band, and the verdict within it is *no difference seen*. On a busy machine that band is wide.

# %% tags=["nbval-ignore-output"]
ablation = hftlab.ablate(feed, rounds=PAIRED)
ablation.forest()

# %% [markdown]
# ## Every row of the table, before and after
#
# The first table of this project had four rows: three stages, and an end to end that was the sum of the others. Lesson 01
# analyses its method; its workload had no book and no wire format, so its figures are history here, not a baseline. The
# baseline is our own Python engine, which does the whole work. The cost of a stage is the difference of two whole passes of one
# round, without stamps.

# %% tags=["nbval-ignore-output", "timeout-300"]
first = legacy_method(rounds=11)
report = hftlab.bench(messages=MESSAGES // 2, rounds=ROUNDS, seed=SEED)
was = first.frame().filter(pl.col("source").is_in(["published", "legacy method, here"]))
was = was.pivot("source", index="stage", values="p50").rename(
    {"published": "published, us", "legacy method, here": "legacy method here, us"}
)
figures = [pl.col(name).round(1) for name in ("ns_per_message", "low", "high")]
now = report.intervals().with_columns(figure=pl.format("{} [{}, {}]", *figures))
now = now.pivot("engine", index="stage", values="figure").rename(lambda name: name if name == "stage" else f"{name}, ns")
table = now.join(was, on="stage", how="left", maintain_order="left")
print("\n".join(line for line in report.notes() if "control" in line or "load" in line))
show(table)

# %% [markdown]
# The last two columns are medians of one call in microseconds, the others nanoseconds per message with an interval. If the
# interval of a stage contains 0, the noise of the machine hides the stage; the load is printed above. More rounds, or a quieter
# machine, would show it.
#
# Where do the nanoseconds of each engine go? Each bar has a scale of its own.

# %% tags=["nbval-ignore-output"]
charts.budget_chart(report.stages().rename({"ns_per_message": "ns"}), subtitle=f"{feed.name}, whole passes without stamps")

# %% tags=["nbval-ignore-output"]
claim("one symbol, Python / best", report.ratios()["rust best"], above=10)

# %% [markdown]
# That was one symbol with some hundred live orders, which stay in the nearest caches: the best case. The second headline of the
# bench is a whole market, run in the same way:

# %% tags=["nbval-ignore-output"]
best_ns = [line.ns["rust best"].median for line in report.headlines]
rows = [
    (line.what, line.market.instruments, line.market.live_orders, line.ns["python"].median, ns)
    for line, ns in zip(report.headlines, best_ns, strict=True)
]
names = ["feed", "symbols", "live orders", "python", "rust best"]
show(pl.DataFrame(rows, names, orient="row"), "Whole path, median of the rounds", **dict.fromkeys(names[3:], "ns per message"))

# %% tags=["nbval-ignore-output"]
claim("whole market, Python / best", report.headlines[1].ns["python"].median / best_ns[1], above=8)
claim("best engine, whole market / one symbol", best_ns[1] / best_ns[0], above=1)

# %% [markdown]
# ## What remains: instructions
#
# Time depends on the load of the machine. The number of *instructions* does not: valgrind's callgrind counts them (if it is
# missing, the cell prints the reason).

# %% tags=["nbval-ignore-output"]
counted = {
    name: hftlab.profile(engine, feed, "instructions", messages=2_000)
    for name, engine in (("naive", "rust naive"), ("best", "rust"))
}
counts = [
    one.frame()
    .filter(pl.col("event").is_in(["instructions", "first-level data misses"]))
    .select(pl.lit(name).alias("engine"), "stage", "event", "per_message")
    for name, one in counted.items()
    if one
]
print(counted["best"].missing)
show(pl.concat(counts).pivot("event", index=["engine", "stage"], values="per_message"), "Per message") if counts else None

# %% tags=["nbval-ignore-output"]
total = {
    name: sum(row["per_message"] for row in one.rows if row["event"] == "instructions") for name, one in counted.items() if one
}
parts = {row["stage"]: row["per_message"] for row in counted["best"].rows if row["event"] == "instructions"}
if total:
    claim("instructions, naive / best", total["naive"] / total["best"], above=1.5)
    claim("instructions of the best, signal / book", parts["signal"] / parts["book"], above=1)
    claim("order / signal", parts["order"] / parts["signal"], below=0.33)

# %% [markdown]
# The signals are float arithmetic in a fixed order, which the contract demands to the last bit: a sum must not be re-associated
# (lesson 08). That forbids adding *across* the lanes of a vector, not using them: several terms, or several instruments, may be
# computed side by side, each lane rounded like a scalar, with the same bits.
#
# ## The physical limit
#
# What would a message cost if the engine did only the unavoidable work? There are two lower bounds. Both are bounds of
# *throughput*, of a whole buffer; the latency of one message cannot be below the chain of loads that it waits for:
#
# - **its bytes**: they must be read from memory once, at the memory bandwidth of one core;
# - **frames and fields**: each message contains its length, which gives the start of the next one. So framing is a chain of
#   dependent loads; then the fields are extracted. That is the tick stage.
#
# **Predict:** how many times the frames and fields is the whole path?

# %%
guess_times = 3

# %% tags=["nbval-ignore-output"]
limit = lower_bound(feed, rounds=PAIRED)
reveal("the whole path / frames and fields", guess_times, limit.times())
print("\n".join(limit.notes()[:1]))
show(limit.frame())

# %% tags=["nbval-ignore-output"]
limit.plot()

# %% tags=["nbval-ignore-output"]
claim("reading the bytes / the whole path", limit.ns[MEMORY] / limit.ns[WHOLE], below=0.33)
claim("the whole path / frames and fields", limit.times(), above=2)

# %% [markdown]
# So neither memory bandwidth nor the wire format is the limit. The rest is the book and the signals: look-ups that wait for a
# cache, unpredictable branches (is the next message a delete or an add?), and float arithmetic in a fixed order.
#
# ## Branches that are guessed
#
# A processor does not wait to learn which way a branch goes. It guesses, by what the branch did before, and goes on; a wrong
# guess costs all the work begun on the wrong way. How much is that, and how much can it remember? A loop in Rust
# (`course/probes.rs`) has one branch, which takes a number of random turns, and then the same ones again and again.
#
# **Predict:** how many random turns does the processor remember, before the loop slows down?

# %%
guess_remembered = 16

# %% tags=["nbval-ignore-output"]
if rustc():
    turns = branches()
    wrong_ns = mispredicted_ns(turns)
    reveal("turns that are remembered", guess_remembered, remembered(turns))
    claim("a branch guessed wrong / one guessed right", (turns["y"][0] + wrong_ns) / turns["y"][0], above=2)
    print(f"a wrong guess: {wrong_ns:.1f} ns; the whole path: {limit.ns[WHOLE]:.1f} ns")
    mispredicted = [row["per_message"] for row in counted["best"].rows if row["event"] == "conditional branches mispredicted"]
    if mispredicted:
        print(f"a simulated processor guesses wrong {sum(mispredicted):.2f} times a message on this feed")
else:
    print("not measured: rustc is not installed")

# %% tags=["nbval-ignore-output"]
axes = {"x": "random turns until they repeat", "y": "ns", "log_x": True}
charts.line_chart(turns, "One branch", "in a loop of its own", **axes) if rustc() else None

# %% [markdown]
# A wrong guess per message is a good part of what the engine takes. And a market gives it every reason to guess wrong: whether
# the next message is an add or a delete, whether its level exists, whether the touch moves. So the engine computes both sides
# and selects where it can (lesson 08), and the profile by instructions counts the wrong guesses of a simulated
# processor, stage by stage. Two neighbours are missing here: a second thread on the same core (SMT; `hftlab doctor` says whether
# there is one), and memory at another socket (NUMA). Neither can be shown on a machine that does not have it.
#
# ## The engine and the network
#
# All of this was measured with the messages in memory. In a market they arrive one at a time over a network, and the order must
# travel back (lesson 09). Here are the network rows of the result: tick-to-trade, from the bytes of the tick leaving the
# exchange to those of the order arriving there, by paths that need no special rights.
#
# **Predict:** over spinning sockets, how many times the whole path of the engine is that?

# %%
guess_wire = 5

# %% tags=["nbval-ignore-output"]
there = hftlab.net.list_transports().working()
paths = [path for path in ("shm", "udp-spin+tcp-spin", "udp+tcp") if set(path.split("+")) <= set(there)]
wire = hftlab.net.measure_tick_to_trade(paths, load_profiles=["closed"], rounds=ROUNDS, messages=2_000, seed=SEED)
rows = wire.frame().filter(pl.col("path").is_in(paths))
best = report.engines[-1]
stamped = best.distribution("total").percentiles  # each message by itself, on the feed of the whole passes
at_a_time = pl.DataFrame(
    [("engine, message by message", stamped["p50"], stamped["p99"])], schema=["transport", "p50", "p99"], orient="row"
)
whole_way = rows.filter(measure="service").select(
    pl.format("tick to trade: {}", "path").alias("transport"), "p50", "p99", "p99.9"
)
in_memory = [("frames and fields, in memory", limit.ns[FRAMES]), ("engine, in memory", limit.ns[WHOLE])]
rows = [pl.DataFrame(in_memory, schema=["transport", "p50"], orient="row"), at_a_time, whole_way]
charts.round_trip_chart(
    pl.concat(rows, how="diagonal"),
    "tick to trade: from the bytes of the tick to those of the order",
    "The engine and the network",
    "time",
)

# %% tags=["nbval-ignore-output"]
p50 = dict(whole_way.select("transport", "p50").iter_rows())
sockets = min((ns for name, ns in p50.items() if "tcp" in name), default=math.inf)
reveal("tick to trade over sockets / the whole path of the engine", guess_wire, sockets / limit.ns[WHOLE])
claim("tick to trade over sockets / the whole path of the engine", sockets / limit.ns[WHOLE], above=10)
print(f"one feed, one strategy: message by message {stamped['p50']:.0f} ns (median), in a stream {limit.ns[WHOLE]:.0f} ns (mean)")
shown = wire.shares().filter(quantile="p50").filter(pl.col("path").is_in(paths))
show(shown.pivot("part", index="path", values="share"), "Shares of tick to trade")

# %% [markdown]
# With sockets, all optimisations of this course are a small part of the path. That is a reason to bypass the kernel, not to give
# up on the engine: through shared memory the engine matters again. (The engine of the network path has another feed, a market of
# many symbols, and sends an order for nearly every tick; so its share is not to be compared with the rows above.) On one feed, a
# message by itself takes longer than its share of a whole pass: in a stream neighbouring messages overlap inside the processor.
#
# ## The clock itself
#
# One limit is the clock. To stamp a stage you read a clock twice, and a reading takes time, too:

# %% tags=["nbval-ignore-output"]
print(
    f"a reading: {limit.ns[CLOCK]:.0f} ns; frames and fields: {limit.ns[FRAMES]:.1f} ns; the whole path: {limit.ns[WHOLE]:.1f} ns"
)
print("\n".join(agreement.sentence() for agreement in best.agreement().values()))
claim("a reading of the clock / frames and fields", limit.ns[CLOCK] / limit.ns[FRAMES], above=0.5)

# %% [markdown]
# That is why the table above uses whole passes: stamps would measure themselves. And it disqualifies the first table, whose
# clock had a resolution of a microsecond.
#
# ## A verdict, and its A/A control
#
# Compare the best engine with the naive one; then with itself, where the only right verdict is *no difference seen*.

# %% tags=["nbval-ignore-output"]
before_after = hftlab.compare("rust naive", "rust", feed, rounds=PAIRED)
control = hftlab.compare("rust", "rust", feed, rounds=PAIRED)
print("naive -> best:", before_after.verdict)
print("best -> best: ", control.verdict)

# %% tags=["nbval-ignore-output"]
claim("naive / best", before_after.metrics[0].paired, above=1.1)

# %% [markdown]
# ## Exercise 11.1: whose speed-up is it?
#
# *Medium, 20 minutes.* Naive takes 240 ns; with `a` it is 120, with `b` 160, with both 40. The whole is 6x. How much of it is
# due to `a`? "2x, from naive" leaves 3x for `b`; "4x, from best" leaves 1.5x. `shares(times)` gets ns per message by the
# (frozen) set of optimisations that are on; return a dict with a factor for each, so that the factors multiply to the whole and
# depend on no particular order.


# %% tags=["nbval-check-output"]
def shares(times):
    names = max(times, key=len)
    return {name: times[frozenset()] / times[frozenset(name)] for name in names}


check("11.1", shares)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Iterate over all orders (`itertools.permutations`). In each, record the gain of every step at its turn. Then take the mean:
# for factors the geometric one, the mean of logarithms.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
from itertools import permutations
from statistics import geometric_mean


def shares(times):
    names = sorted(max(times, key=len))
    factors = {name: [] for name in names}
    for order in permutations(names):
        for place, name in enumerate(order):
            factors[name].append(times[frozenset(order[:place])] / times[frozenset(order[: place + 1])])
    return {name: geometric_mean(ratios) for name, ratios in factors.items()}


passed = check("11.1", shares)
assert passed
passed

# %% [markdown]
# ## Exercise 11.2: may you claim this?
#
# *Hard, 20 minutes.* This is 01.3 once more, from memory and with one rule added: a ratio within half a percent of 1 is no
# difference either, since where code lies in memory moves as much. `may_claim(base, other, again)` gets three lists, ns per
# message by round; `again` is a second copy of the base. Return `"faster"`, `"slower"` (than the base) or `"no difference seen"`.
# The start is the method of most blog posts.

# %% tags=["nbval-check-output"]
from statistics import median


def may_claim(base, other, again):
    return "faster" if median(other) < median(base) else "slower"


check("11.2", may_claim)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Compare within a round: `base[i] / other[i]`. `hftlab.measurement.paired.Interval.of(ratios)` computes a median with its
# interval; its `.side` tells whether the interval is above 1, below, or contains it. Both copies of the base must agree. And a
# ratio within half a percent of 1, or within the interval of `base / again`, is no difference.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
import numpy as np

from hftlab.measurement.paired import Interval


def may_claim(base, other, again):
    base, other, again = map(np.array, (base, other, again))
    ratio, second, control = Interval.of(base / other), Interval.of(again / other), Interval.of(base / again)
    if not ratio.side or ratio.side != second.side or control.widened(0.995, 1.005).contains(ratio.median):
        return "no difference seen"
    return "faster" if ratio.side > 0 else "slower"


passed = check("11.2", may_claim)
assert passed
passed

# %% [markdown]
# ## Takeaway
#
# - The language was the largest single step; two compiled engines differ by the optimisations ([The waterfall](#The-waterfall)).
# - The gain of a step depends on the steps before it. A single number needs all orders, or the name of one
#   ([Change one thing: the order of the steps](#Change-one-thing:-the-order-of-the-steps)).
# - A figure holds for its feed: one symbol and a whole market are two rows
#   ([Every row of the table, before and after](#Every-row-of-the-table,-before-and-after)).
# - If a stage takes less than a reading of the clock, do not stamp it: use whole passes and counted instructions
#   ([The clock itself](#The-clock-itself)).
# - A branch that is guessed wrong costs a good part of a message ([Branches that are guessed](#Branches-that-are-guessed)).
# - Over sockets the network is most of the tick-to-trade time. The next factor is there, not in the engine
#   ([The engine and the network](#The-engine-and-the-network)).
#
# **What did not get faster.** Look at the forest plot: a switch that is green from naive may be grey from best. And the order
# stage hardly shows: it acts rarely.
#
# **Where it is in the code.** `hftlab/experiments/ablation.py` (steps),
# `notebooks/course/{factorial,lower_bound,branches,waterfall}.py` (every combination, limits, guesses, the switches),
# `hftlab/measurement/paired.py` (verdicts), the engine's hot loop `rust_ext/src/engine/mod.rs`.
#
# **Next:** 12, Bring your own: beat it.
