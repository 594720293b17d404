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
# # 13 What is a microsecond worth?
#
# **What does an order lose that comes later?** About 55 minutes, 30 of them for two exercises. Lesson 02 is all you need
# before. Afterwards you can
#
# - say what latency buys: a place in a queue, and with it a probability of a fill;
# - compare latencies on the same events, in pairs, and read an interval that is corrected for how many you compared;
# - tell when the honest answer is "no difference seen".
#
# The other lessons make an engine faster. This one asks what for. An exchange serves the orders at one price *first in, first
# out*. Whoever comes first is filled first. When a better price appears, several traders want to join it, and it is a race.

# %% tags=["parameters"]
BIRTHS = 400  # better prices that appear; larger: 5_000
REACTION_US = 100.0  # mean reaction of the rival
DRAWS = 20  # repeated A/A comparisons; larger: 100
SEED = 1

# %%
# %load_ext hftlab
import numpy as np
import polars as pl
from course import check, claim, reveal, show

import hftlab
from hftlab.fills.proofs.planted import exponential, planted_market, true_value

# %% [markdown]
# ## A market in which the answer is known
#
# The market of this lesson is generated, and the value of latency is planted in it. Every four seconds a better bid appears: a
# *birth*. A rival joins it after a reaction time that is exponentially distributed. One second later two orders at that price
# are executed: the one that made the price, and the next in the queue. If you came before the rival, the second one is yours.
# Half a second later the price moves, sometimes for the buyer, sometimes against: one tick is gained on average. Here is
# one birth, message by message:

# %% tags=["nbval-check-output"]
market = planted_market(BIRTHS, REACTION_US * 1e3, SEED)
cycle = hftlab.decode(market)[2:12]
born = int(cycle["ts_ns"][5])
rows = [
    (
        hftlab.Kind(int(row["kind"])).name,
        hftlab.Side(int(row["side"])).name,
        int(row["order_id"]),
        (int(row["ts_ns"]) - born) / 1e3,
    )
    for row in cycle
]
show(pl.DataFrame(rows, ["kind", "side", "order", "µs after the birth"], orient="row"))

# %% [markdown]
# ## Predict first
#
# You join each birth one mean reaction time late: with the default parameters, as late as the rival comes on average. **Write
# your guess down:** what share of your orders is filled?

# %%
guess = 0.5  # share of the orders that are filled; yours

# %% [markdown]
# ## Measure: the same births, several latencies
#
# `hftlab.latency_value` puts an order of yours into the queue, a *shadow order*: behind every order that is really there, by its
# id, without changing the feed. It is filled when an order behind it is executed. All latencies answer the same births.

# %% tags=["nbval-check-output"]
times = {"horizon_s": 1.2, "markout_s": 1.0, "tick": 100, "backend": "python"}
ladder = [0, 10_000, 30_000, 100_000, 300_000, 1_000_000]
result = hftlab.latency_value(market, ladder, **times)
shares = ("ahead", "filled", "through", "canceled", "value")
rows = [(row.latency, *(round(getattr(row, name), 3) for name in shares)) for row in result.rows]
show(pl.DataFrame(rows, ["latency", *shares], orient="row"))
late = result.rows[3]
reveal("share that is filled, one mean reaction late", guess, late.filled)
claim("filled without latency", result.rows[0].filled, above=0.99)
claim("filled, one mean reaction late", late.filled, above=0.25, below=0.5)

# %% [markdown]
# Nobody is average. The rival is often quicker than its mean and now and then much slower, so being as late as the mean is not
# a coin toss. An order that comes `L` late is first if the rival reacts later than `L`: the probability is the exponential of
# minus `L` over the mean reaction.
#
# ## Against latency zero
#
# The probability has an interval, and so has the value. Each attempt with one latency is *paired* with the same attempt without:
# what made that minute good or bad is in both, and cancels. The shaded band shows how long most races last where exchanges let
# researchers look (Aquilina, Budish and O'Neill 2022).

# %% tags=["nbval-check-output"]
result.plot()

# %% tags=["nbval-check-output"]
rows = [(each.latency, each.metric, str(each), each.verdict) for each in result.compared if each.metric in ("filled", "value")]
show(pl.DataFrame(rows, ["latency", "metric", "difference [95 %]", "verdict"], orient="row"))
truth = [true_value(latency, REACTION_US * 1e3) - 1 for latency in hftlab.fills.delays.as_latencies(ladder[1:])]
found = [result.difference(row.latency, "filled").difference for row in result.rows[1:]]
claim("largest error of P(fill)", float(np.abs(np.array(found) - truth).max()), below=0.08)

# %% [markdown]
# Two columns, two answers. The loss of fills is seen early. The loss of *ticks* needs more data, since what a fill is worth
# varies more than whether there is one. Where the verdict is "no difference seen", that is the result: not that there is none.
#
# ## Exercise 13.1: The value of a distribution
#
# *Easy, 10 minutes.* An engine has no latency, it has a distribution: quick at the median, slow in the tail. Write a function of
# measured latencies (an array, ns) and the rival's mean reaction (ns) that returns the probability of coming first. The start
# below takes the mean latency.


# %% tags=["nbval-check-output"]
def first(ns, reaction_ns):
    return np.exp(-np.mean(ns) / reaction_ns)


check("13.1", first)

# %% [markdown]
# <details><summary>Hint</summary>
#
# The rule holds for each order by itself. What is the average over orders of a function of their latency? Is it the function of
# their average?
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def first_of_each(ns, reaction_ns):
    return np.exp(-np.asarray(ns) / reaction_ns).mean()


assert check("13.1", first_of_each)

# %% [markdown]
# ## Two engines with the same mean
#
# A constant and an exponential latency with one mean. `hftlab.latency_value` takes distributions as they were measured: the
# report of `hftlab.latency`, of the network path, or any `.hgrm` file; a burst of slow messages is drawn as a burst.

# %% tags=["nbval-check-output"]
mean = REACTION_US * 1e3 / 2
pair = {"constant": mean, "exponential": exponential("exponential", mean)}
both = hftlab.latency_value(market, pair, **times)
for row in both.rows:
    print(f"{row.latency:12} p50 {row.p50_ns / 1e3:6.1f} µs   p99.9 {row.p999_ns / 1e3:6.1f} µs   P(fill) {row.filled:.3f}")
known = true_value(pair["exponential"], REACTION_US * 1e3) - np.exp(-0.5)
claim("known difference of P(fill), exponential less constant", known, above=0.03)

# %% [markdown]
# Of the same mean the distribution with a tail is filled *more* often here: half of its orders are quicker than its mean, and the
# tail loses races that were lost anyway. What a tail costs depends on what happens while it lasts.
#
# ## The same against the same
#
# Two draws of one latency are two columns of different numbers. An honest comparison says so rarely. This one is corrected for
# the number of comparisons in the table:

# %% tags=["nbval-check-output"]
same = 0
for seed in range(DRAWS):
    pair = {name: exponential(name, 50_000.0) for name in ("one draw", "another")}
    again = hftlab.latency_value(planted_market(120, REACTION_US * 1e3, 100 + seed), pair, seed=seed, **times)
    same += all(each.verdict == "no difference seen" for each in again.compared)
claim(f"A/A comparisons of {DRAWS} without a difference", same, above=0.8 * DRAWS)

# %% [markdown]
# ## Exercise 13.2: An interval that holds
#
# *Medium, 20 minutes.* `early` and `late` are what each attempt got with two latencies, `minute` the minute of each. Write a
# function that returns a 95 % interval of the mean of `late - early`. It is tried on simulated days on which the difference is
# known: it must hold the difference often enough, and not be wider than needed. The start below forgets the pairs.


# %% tags=["nbval-check-output"]
def interval(early, late, minute):
    error = np.sqrt(early.var() / len(early) + late.var() / len(late))
    apart = late.mean() - early.mean()
    return apart - 1.96 * error, apart + 1.96 * error


check("13.2", interval)

# %% [markdown]
# <details><summary>Hint</summary>
#
# First the difference of each pair. Then the attempts of one minute are alike: they are not that many independent looks at the
# market. Draw whole minutes, with repetition, as many as there are, some thousand times, and take the quantiles of the means.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def by_minutes(early, late, minute):
    means = np.bincount(minute, late - early) / np.bincount(minute)
    drawn = np.random.default_rng(1).choice(means, (2_000, len(means))).mean(1)
    return tuple(np.quantile(drawn, [0.025, 0.975]))


assert check("13.2", by_minutes)

# %% [markdown]
# ## Takeaway
#
# - Latency is a place in a queue: being later costs fills from the first microsecond on
#   ([table](#Measure:-the-same-births,-several-latencies)).
# - Fills are seen to differ before money is, and "no difference seen" is a result ([verdicts](#Against-latency-zero)).
# - A mean latency is nobody's latency ([two engines](#Two-engines-with-the-same-mean)).
# - Compare in pairs, in blocks of time, and count your comparisons ([A/A](#The-same-against-the-same)).
#
# **What this does not say.** One lot, no impact: the market does not react to you. Who lost a race is invisible in public data.
# One venue, one day. The numbers are those of a planted market; on a file of real orders the command is
# `hftlab latency-value FILE`, and it prints these words, too. It tells the value of latency for a rule on data. It does not
# promise a profit, and being first into a bad trade is no gain.
#
# **Where it is in the code.** `hftlab/fills/simulator.py` fills, `hftlab/fills/value.py` compares,
# `hftlab/measurement/blocks.py` has the intervals, `hftlab/fills/proofs/planted.py` this market.
#
# Next: [14 Is my fill real?](14_is_my_fill_real.ipynb)
