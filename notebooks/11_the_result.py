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
# 40 minutes. After it you can
#
# - read a waterfall, and say why the same step is worth more on one way than on another;
# - put every row of a table of latencies beside what it was before, with an interval, and say which of them may be claimed;
# - say how far the engine still is from what the machine allows, and what stands in between.

# %% tags=["parameters"]
MESSAGES = 20_000  # 200_000 on a quiet machine
ROUNDS = 3  # of the table; 21 for narrow intervals
PAIRED = 7  # of comparisons; 41 for narrow intervals
SEED = 1

# %%
# %load_ext hftlab
import math

import polars as pl
from course import check
from course.legacy_method import legacy_method

import hftlab
import hftlab.net
from hftlab import charts
from hftlab.experiments.floor import CLOCK, FRAMES, MEMORY, WHOLE, floor
from hftlab.experiments.lattice import lattice
from hftlab.notebook.waterfall import waterfall

feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)

# %% [markdown]
# ## Predict first
#
# The project began with a pure Python engine, and ended with a Rust engine of which every optimisation can be switched off. The
# step from Python to a *naive* Rust engine changes the language and nothing else: an ordered map for the prices, a hash map for
# the orders, an allocation for each, every signal computed anew. Then four optimisations follow, each a lesson of its own.
#
# **Guess two factors:** what the language was worth, and what the four optimisations together were worth.

# %%
guess_language = 10
guess_optimisations = 10

# %% [markdown]
# ## The waterfall
#
# Every engine has been shown to give the same bits before a clock starts. Then all of them run interleaved, in a new random
# order each round. A grey or blue bar is a whole time per message; a bar in between reaches from before a step to after it. The
# axis is logarithmic: equal lengths are equal *factors*.

# %% tags=["nbval-ignore-output"]
every = lattice(feed, rounds=PAIRED, python=True)
charts.waterfall_chart(every.path(every.axes), "From the Python engine to the best one", every.subtitle())

# %% tags=["nbval-ignore-output"]
language = every.path(every.axes)["ns"][0] / every.ns()
print(f"the language: {language:.0f}x, you said {guess_language}x")
print(f"the optimisations: {every.whole()}, you said {guess_optimisations}x")

# %% tags=["nbval-check-output"]
assert language > 8
print("the naive port alone is more than 8 times as fast as Python:", language > 8)
assert language > every.whole().median
print("the language was worth more than all optimisations together:", language > every.whole().median)

# %% [markdown]
# Does that mean that the optimisations do not matter? The first factor comes once, and everybody who writes in a compiled
# language has it. The second one is what tells two such engines apart.
#
# ## Change one thing: the order of the steps
#
# Here each optimisation is a switch. The order in which you switch them on is the order of the steps: take one out, put it
# back, and it comes last. Nothing is measured while you play, since every combination was timed above.

# %% tags=["nbval-ignore-output"]
waterfall(every)

# %% [markdown]
# Beneath the picture stands what each step was worth on this way, and at least and at most on any way. The ends never move. The
# steps in between do. **Why?** Two reasons, and they pull in opposite directions.
#
# - *The rest shrinks.* If one step takes away 60 ns of 120, and another 30 ns of 120, then the second is worth a quarter when
#   it comes first and a half when it comes last. So steps look better the later they come.
# - *They meet in the same memory.* A flat table of orders helps more when orders also lie close together; an ordered map that
#   is slow hides whatever comes after it. So a step may need another one, or replace it.
#
# Multiply what each is worth *from naive*, and compare with the whole:

# %% tags=["nbval-ignore-output"]
axes = set(every.axes)
from_naive = {axis: every.ratio(axis).median for axis in axes}
from_best = {axis: every.ratio(axis, axes - {axis}).median for axis in axes}
rows = [(axis, from_naive[axis], from_best[axis], share) for axis, share in every.shares().items()]
rows.append(("product", math.prod(from_naive.values()), math.prod(from_best.values()), math.prod(every.shares().values())))
print(f"the whole: {every.whole()}")
pl.DataFrame(rows, schema=["axis", "from naive", "from best", "fair share"], orient="row")

# %% [markdown]
# Neither product needs to be the whole. The **fair share** is the mean of a step's logarithm over all orders in which the steps
# could have been made. Nobody chose that order, and the shares multiply to the whole, always:

# %% tags=["nbval-check-output"]
product = math.prod(every.shares().values())
whole = every.ns() / every.ns(every.axes)
assert math.isclose(product, whole)
print("the fair shares multiply to the whole:", math.isclose(product, whole))

# %% [markdown]
# ## Which of them may be claimed?
#
# A ratio is a claim only if it lies outside of what the machine makes of *nothing*. So an engine runs twice in each round: the
# **A/A control**. Its interval is the grey band, and what lies within is called *no difference seen*. On a busy machine that
# band is wide.

# %% tags=["nbval-ignore-output"]
ablation = hftlab.ablate(feed, rounds=PAIRED)
ablation.forest()

# %% [markdown]
# ## Every row of the table, before and after
#
# The table this project grew from had four rows: three stages, and an end to end that was the sum of the others. Its method is
# taken apart in lesson 01; its workload had no book and no wire, so its figures stand here as history, not as a baseline. The
# baseline is our own Python engine, which does the whole work. What a stage costs is the difference of two whole passes of one
# round, without stamps.

# %% tags=["nbval-ignore-output"]
first = legacy_method(rounds=11)
report = hftlab.bench(feed, rounds=ROUNDS)
was = first.frame().filter(pl.col("source").is_in(["published", "legacy method, here"]))
was = was.pivot("source", index="stage", values="p50").rename(
    {"published": "published, us", "legacy method, here": "legacy method here, us"}
)
figures = [pl.col(name).round(1) for name in ("ns_per_message", "low", "high")]
now = report.intervals().with_columns(said=pl.format("{} [{}, {}]", *figures))
now = now.pivot("engine", index="stage", values="said").rename(lambda name: name if name == "stage" else f"{name}, ns")
table = now.join(was, on="stage", how="left", maintain_order="left")
with pl.Config(tbl_width_chars=170, fmt_str_lengths=40):
    print(table)
print("\n".join(line for line in report.lines() if "x [" in line or "load" in line))

# %% [markdown]
# The last two columns are medians of one call in microseconds, the others nanoseconds per message with a 95 % interval. A stage
# whose interval holds 0 drowned in the noise of the machine, whose load is printed above. More rounds, or a quieter machine,
# would tell.
#
# Where do the nanoseconds of each engine go? Each bar has a scale of its own.

# %% tags=["nbval-ignore-output"]
charts.budget_chart(report.stages().rename({"ns_per_message": "ns"}), subtitle=f"{feed.name}, whole passes without stamps")

# %% tags=["nbval-check-output"]
ratios = report.ratios()
assert ratios["rust best"].low > 10
print("end to end, the best engine makes more than 10 times the messages per second of Python:", ratios["rust best"].low > 10)

# %% [markdown]
# ## What remains: instructions
#
# Time depends on who else is on the machine. What the processor is *asked to do* does not: instructions per message can be
# counted (by valgrind's callgrind; where it is missing, a sentence says so).

# %% tags=["nbval-ignore-output"]
counted = {
    name: hftlab.profile(engine, feed, "instructions", messages=2_000)
    for name, engine in (("naive", "rust naive"), ("best", "rust"))
}
told = [
    one.frame()
    .filter(pl.col("event").is_in(["instructions", "first-level data misses"]))
    .select(pl.lit(name).alias("engine"), "stage", "event", "per_message")
    for name, one in counted.items()
    if one
]
print(counted["best"].missing)
pl.concat(told).pivot("event", index=["engine", "stage"], values="per_message") if told else None

# %% tags=["nbval-check-output"]
total = {
    name: sum(row["per_message"] for row in one.rows if row["event"] == "instructions") for name, one in counted.items() if one
}
fewer = not total or total["naive"] > 1.5 * total["best"]
assert fewer
print("where it can be counted, the best engine is asked for fewer than two thirds of the instructions of the naive one:", fewer)
parts = {row["stage"]: row["per_message"] for row in counted["best"].rows if row["event"] == "instructions"}
assert not parts or (max(parts, key=parts.get) == "signal" and parts["order"] < parts["signal"] / 5)
print("most of what is left are signals:", not parts or max(parts, key=parts.get) == "signal")

# %% [markdown]
# The signals are float arithmetic in a fixed order, which the contract demands to the last bit: they may not be re-associated,
# and so they cannot be spread over the lanes of the processor (lesson 08).
#
# ## The physical limit
#
# What would a message cost if only the unavoidable were done? Two floors:
#
# - **its bytes**: they must come from memory once, at the speed at which one core can read it;
# - **frames and fields**: each message says its length, and only then does one know where the next one begins. To hop from
#   frame to frame is a chain in which every link waits for the one before; then the fields are cut out. That is the tick stage.
#
# **Predict:** how many times the frames and fields is the whole path?

# %%
guess_times = 3

# %% tags=["nbval-ignore-output"]
limit = floor(feed, rounds=PAIRED)
print(f"the whole path is {limit.times():.1f} times the frames and fields; you said {guess_times}")
print("\n".join(limit.lines()[:2]))
limit.frame()

# %% tags=["nbval-ignore-output"]
limit.plot()

# %% tags=["nbval-check-output"]
assert limit.ns[MEMORY] < limit.ns[WHOLE] / 3
print("reading the bytes is less than a third of the whole path:", limit.ns[MEMORY] < limit.ns[WHOLE] / 3)
assert limit.times() > 2
print("the whole path is more than twice the frames and fields:", limit.times() > 2)

# %% [markdown]
# So memory bandwidth does not hold us back, and neither does the wire format. What lies between is the book and the signals:
# look-ups that wait for a cache, branches that nobody can predict (will the next message delete, or add?), and float arithmetic
# in order.
#
# ## The engine beside the wire
#
# All of this was measured with the messages at hand. In a market they come one at a time over a network, and the order has to
# travel back (lesson 09). Here are the network's rows of the result: from the tick's bytes leaving the exchange to the order's
# bytes arriving there, by paths that need no special rights.
#
# **Predict:** over sockets that spin, how many times the whole path of the engine is that?

# %%
guess_wire = 5

# %% tags=["nbval-ignore-output"]
there = hftlab.net.list_transports().working()
paths = [path for path in ("shm", "udp-spin+tcp-spin", "udp+tcp") if set(path.split("+")) <= set(there)]
wire = hftlab.net.measure_tick_to_trade(paths, paces=["closed"], rounds=ROUNDS, messages=2_000, seed=SEED)
told = wire.frame().filter(pl.col("path").is_in(paths))
at_a_time = told.filter(measure="engine", path=paths[0]).select(pl.lit("engine, one at a time").alias("transport"), "p50")
whole_way = told.filter(measure="service").select(pl.format("wire: {}", "path").alias("transport"), "p50", "p99", "p99.9")
at_hand = [("frames and fields, at hand", limit.ns[FRAMES]), ("engine, at hand", limit.ns[WHOLE])]
rows = [pl.DataFrame(at_hand, schema=["transport", "p50"], orient="row"), at_a_time, whole_way]
charts.round_trip_chart(
    pl.concat(rows, how="diagonal"), "a message; wire: from the tick's bytes to the order's", "The engine beside the wire", "time"
)

# %% tags=["nbval-check-output"]
p50 = dict(whole_way.select("transport", "p50").iter_rows())
sockets = min((ns for name, ns in p50.items() if "tcp" in name), default=math.inf)
assert sockets > 10 * limit.ns[WHOLE]
print("over sockets, wire to wire is more than 10 times the whole path of the engine:", sockets > 10 * limit.ns[WHOLE])
alone = at_a_time["p50"][0]
assert alone > 1.5 * limit.ns[WHOLE]
print("one message at a time, the same engine takes more than 1.5 times as long:", alone > 1.5 * limit.ns[WHOLE])

# %% tags=["nbval-ignore-output"]
print(f"{sockets / limit.ns[WHOLE]:.0f} times, you said {guess_wire}")
wire.shares().filter(quantile="p50").filter(pl.col("path").is_in(paths)).pivot("part", index="path", values="share")

# %% [markdown]
# With sockets, all that this course did to the engine is a thin slice of the way. That is no reason to give up on the engine but
# one to bypass the kernel: through shared memory the engine counts again. And a message that comes alone finds no next one to be
# fetched ahead, so it takes longer than its share of a whole pass.
#
# ## The clock itself
#
# One limit is not the engine's. To stamp a stage is to read a clock twice, and a reading takes time, too:

# %% tags=["nbval-ignore-output"]
print(
    f"a reading: {limit.ns[CLOCK]:.0f} ns; frames and fields: {limit.ns[FRAMES]:.1f} ns; the whole path: {limit.ns[WHOLE]:.1f} ns"
)
best = report.measured[-1]
print("\n".join(said for _, said in best.agreement().values()))

# %% tags=["nbval-check-output"]
assert limit.ns[CLOCK] > limit.ns[FRAMES] / 2
print("a reading of the clock is no longer small beside the shortest stage:", limit.ns[CLOCK] > limit.ns[FRAMES] / 2)

# %% [markdown]
# That is why the table above is made of whole passes: stamps would measure the stamps. And it is a verdict on the first table
# of all, whose clock could not tell anything below a microsecond.
#
# ## A verdict, and the same question asked of nothing
#
# The best engine against the naive one; then against itself, where the only right answer is *no difference seen*.

# %% tags=["nbval-ignore-output"]
before_after = hftlab.compare("rust naive", "rust", feed, rounds=PAIRED)
nothing = hftlab.compare("rust", "rust", feed, rounds=PAIRED)
print("naive -> best:", before_after.verdict)
print("best -> best: ", nothing.verdict)
before_after.plot()

# %% tags=["nbval-check-output"]
assert before_after.metrics[0].found.ratio.median > 1.1
print("the best engine takes less time per message than the naive one:", before_after.metrics[0].found.ratio.median > 1.1)

# %% [markdown]
# ## Exercise 11.1: whose speed-up is it?
#
# *Medium, 20 minutes.* Naive takes 240 ns; with `a` it is 120, with `b` 160, with both 40. The whole is 6x. How much of it is
# due to `a`? "2x, from naive" leaves 3x for `b`; "4x, from best" leaves 1.5x. `shares(times)` is given ns per message by the
# (frozen) set of optimisations that are on; return a dict with a factor for each, so that they multiply to the whole, and
# nobody's order decides.


# %% tags=["nbval-check-output"]
def shares(times):
    names = max(times, key=len)
    return {name: times[frozenset()] / times[frozenset(name)] for name in names}


check("11.1", shares)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Go through all orders (`itertools.permutations`). In each, note what every step was worth when its turn came. Then take the
# mean: of factors that is the geometric one, the mean of logarithms.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# from itertools import permutations
# from statistics import geometric_mean
#
#
# def shares(times):
#     names = sorted(max(times, key=len))
#     worth = {name: [] for name in names}
#     for way in permutations(names):
#         for place, name in enumerate(way):
#             worth[name].append(times[frozenset(way[:place])] / times[frozenset(way[: place + 1])])
#     return {name: geometric_mean(ratios) for name, ratios in worth.items()}
# ```
#
# </details>

# %% tags=["solution", "nbval-check-output"]
from itertools import permutations
from statistics import geometric_mean


def shares(times):
    names = sorted(max(times, key=len))
    worth = {name: [] for name in names}
    for way in permutations(names):
        for place, name in enumerate(way):
            worth[name].append(times[frozenset(way[:place])] / times[frozenset(way[: place + 1])])
    return {name: geometric_mean(ratios) for name, ratios in worth.items()}


assert check("11.1", shares)
print("passed:", bool(check("11.1", shares)))

# %% [markdown]
# ## Exercise 11.2: may this be claimed?
#
# *Hard, 20 minutes.* `claim(base, other, again)` is given three lists, ns per message by round; `again` is a second copy of the
# base. Return `"faster"`, `"slower"` (than the base) or `"no difference seen"`. The start does what most blog posts do.

# %% tags=["nbval-check-output"]
from statistics import median


def claim(base, other, again):
    return "faster" if median(other) < median(base) else "slower"


check("11.2", claim)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Compare within a round: `base[i] / other[i]`. `hftlab.measurement.paired.Interval.of(ratios)` gives a median with its 95 %
# interval;
# its `.side` says whether it lies above 1, below, or holds it. Both copies of the base must say the same. And whatever is
# within half a percent of 1, or within the interval of `base / again`, is nothing.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# import numpy as np
# from hftlab.measurement.paired import Interval
#
#
# def claim(base, other, again):
#     base, other, again = map(np.array, (base, other, again))
#     ratio, second, control = Interval.of(base / other), Interval.of(again / other), Interval.of(base / again)
#     if not ratio.side or ratio.side != second.side or control.widened(0.995, 1.005).contains(ratio.median):
#         return "no difference seen"
#     return "faster" if ratio.side > 0 else "slower"
# ```
#
# </details>

# %% tags=["solution", "nbval-check-output"]
import numpy as np

from hftlab.measurement.paired import Interval


def claim(base, other, again):
    base, other, again = map(np.array, (base, other, again))
    ratio, second, control = Interval.of(base / other), Interval.of(again / other), Interval.of(base / again)
    if not ratio.side or ratio.side != second.side or control.widened(0.995, 1.005).contains(ratio.median):
        return "no difference seen"
    return "faster" if ratio.side > 0 else "slower"


assert check("11.2", claim)
print("passed:", bool(check("11.2", claim)))

# %% [markdown]
# ## Takeaway
#
# - The language was the largest single step; the optimisations are what two compiled engines differ by.
# - What a step is worth depends on what was done before. A single number for it needs all orders, or a word on which one.
# - Where a stage takes less than a reading of the clock, whole passes and counted instructions go on: stamps end there.
# - Over sockets the wire is most of the way. The next factor is there, not in the engine.
#
# **What did not get faster.** Look at the forest: a switch that is green from naive may be grey from best. And the order stage,
# which everybody talks about, hardly shows: it acts rarely.
#
# **Where it is in the code.** `hftlab/experiments/ablate.py` and `lattice.py` (steps), `paired.py` (verdicts), `floor.py`
# (limits),
# `hftlab/notebook/waterfall.py` (the switches), the engine's hot loop `rust_ext/src/engine.rs`.
#
# **Next:** 12, Bring your own: beat it.
