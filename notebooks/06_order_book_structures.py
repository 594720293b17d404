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
# # 06 Order-book structures
#
# **Which structure wins, where, and why?** About 70 minutes with the exercises. Afterwards you will be able to
#
# - name the two look-ups of an order book, and three structures for each,
# - read a scaling curve: where a structure is fast, where it becomes slow, and which cache it outgrows there,
# - choose a structure by its traffic, and state its cost in memory.

# %% tags=["parameters"]
MESSAGES = 10_000  # per round; 100_000 gives narrower intervals
ROUNDS = 11  # 21 for publishable figures
PAIRED = 31  # of the comparison of variants
SEED = 1
DEPTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000]  # price levels a side
ORDERS = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000]  # live orders
INSTRUMENTS = [1, 10, 100, 1_000, 10_000]
MARKET = 100_000  # messages of a market with many instruments

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import numpy as np
import polars as pl
from course import check, claim, reveal, show

import hftlab
from hftlab.experiments.stage_timing import without_lookahead
from hftlab.feeds.generate.steady import steady

# %% [markdown]
# ## Two look-ups
#
# An **order book** contains every resting order of an exchange. Each message that changes it needs two look-ups:
#
# 1. **Which order?** A delete contains "order 4711", nothing else. So there is a table from order id to order.
# 2. **Which price level?** All orders at one price form one queue, a **level**. An add contains "buy at 50.01": is there a
#    level at 50.01 already? And when the best level vanishes, which one is next? So there is an *ordered* table from price to
#    level.
#
# The Rust engine has these structures for each, the naive one first.

# %% tags=["nbval-check-output"]
names = hftlab.variants().frame().filter(pl.col("axis").is_in(["book", "orders"]))
print("\n".join(f"{axis:<7} {name:<7} {good_at}" for axis, name, good_at in names.select("axis", "name", "good_at").iter_rows()))

# %% [markdown]
# The three books of price levels, drawn for the asks (the best is the lowest price):
#
# ```text
# btree    [50.03 | 50.07]              a tree: walk from node to node, each somewhere else in memory
#         /       |       \
# [50.01 50.02] [50.05] [50.09 51.00]
#
# sorted   51.00 50.09 50.07 50.05 50.03 50.02 50.01     a vector, the best at its end: a new best is an append,
#                                          ^ best        a new price far from it moves all entries behind
#
# ladder   slot  0  1  2  3  4  5  6 ... 127             one slot a tick; the slot of a price is computed, not searched
#          bits  1  1  1  0  1  0  1 ...   0             the best is the lowest bit that is set: one instruction a word
# ```
#
# The ladder covers a window of ticks (a **tick** is the step of prices, here one cent). Prices outside the window are in a
# sorted list beside it: nothing is lost.
#
# ## Where is the traffic?
#
# Count before you time. How far from the best price of its side does a new order rest?
#
# **Predict first:** what share of the adds rests less than 8 ticks from the best price? What share less than 112 ticks, the
# reach of a freshly placed ladder of 128 slots?

# %%
guess_near = 0.50  # your guess: share of adds less than 8 ticks away
guess_window = 0.80  # your guess: less than 112 ticks away

# %% tags=["nbval-check-output"]
rows = []
for regime in ("calm", "market", "deep"):
    feed = hftlab.synthetic(regime, 20_000, SEED)
    events, run = hftlab.decode(feed), hftlab.Engine("rust", until="book").run(feed)
    prices = pl.DataFrame({name: events[name] for name in ("kind", "side", "price")}).hstack(run.frame)
    away = pl.when(pl.col("side") == hftlab.Side.BID)
    away = away.then(pl.col("bid_price") - pl.col("price")).otherwise(pl.col("price") - pl.col("ask_price")) // 100
    ticks = prices.filter(pl.col("kind") == hftlab.Kind.ADD).select(away=away)["away"]
    rows.append((regime, ticks.quantile(0.5), ticks.quantile(0.99), (ticks < 8).mean(), (ticks < 112).mean()))
reach = pl.DataFrame(rows, schema=["regime", "median", "p99", "share below 8 ticks", "share below 112"], orient="row")
reveal("share of adds less than 8 ticks away", guess_near, dict(reach.select("regime", "share below 8 ticks").iter_rows()))
reveal("less than 112 ticks away", guess_window, dict(reach.select("regime", "share below 112").iter_rows()))
claim("smallest share below 112 ticks", reach["share below 112"].min(), above=0.9)
show(reach, "Distance of an add from the best price of its side, ticks")

# %% [markdown]
# The activity is at the **touch**, the best price, in every regime; but each has a long tail. A structure for a book should be
# fast at the touch and must be right everywhere.
#
# ## Change one thing: depth
#
# `hftlab.scaling` first builds a population of orders, untimed. Then it times traffic that leaves the size of the population
# constant and **accesses it at random**: the opposite of the table above, and the worst case for a structure. All contenders
# run interleaved, and `best again` is a second copy of the best engine: the difference of the two is the noise of the machine.
#
# **Predict first:** at how many price levels a side does the sorted vector become slower than the tree?

# %%
guess_crossing = 100  # your guess: levels a side

# %% tags=["nbval-ignore-output"]
two = hftlab.scaling("depth", DEPTHS, ["book=btree", "book=sorted"], rounds=ROUNDS, messages=MESSAGES, seed=SEED)
two.plot()

# %% [markdown]
# (Each dot is the median of the rounds, the bar its interval. The sizes lie close together, since a cliff between two points a
# decade apart could be anywhere.)
#
# The two lines are close together, up to a depth at which the vector becomes slow. Why there? To insert at a random place, a
# vector of *n* levels moves *n*/2 of them; an entry takes 16 bytes (price and slot). The table shows the number of bytes.
# Moving a few hundred bytes takes nanoseconds: that is why the vector is competitive for so long. The tree never moves much,
# but each step down is a dependent load.

# %% tags=["nbval-check-output"]
moved = pl.DataFrame({"levels": DEPTHS, "moved by an insertion, on the average": [levels // 2 * 16 for levels in DEPTHS]})
show(moved.filter(pl.col("levels").is_in(INSTRUMENTS)), **{"moved by an insertion, on the average": "bytes"})

# %% [markdown]
# Now the same plot with one more curve: the ladder, which `best` uses.

# %% tags=["nbval-ignore-output", "timeout-300"]
three = hftlab.scaling("depth", DEPTHS, ["book=btree", "book=sorted", "best"], rounds=ROUNDS, messages=MESSAGES, seed=SEED)
three.plot()

# %% [markdown]
# Which claims hold? The figures of the plot, as a table:

# %% tags=["nbval-ignore-output"]
depth = three.frame().pivot("variant", index="size", values="min")
show(depth.rename({"size": "levels a side"}), "ns per message, the fastest of the rounds")


# %% tags=["nbval-ignore-output"]
def mean(variant, low, high):
    """ns per message over the sizes from low to high."""
    return depth.filter(pl.col("size").is_between(low, high))[variant].mean()


claim("20,000 levels: sorted / tree", mean("book=sorted", 20_000, 20_000) / mean("book=btree", 20_000, 20_000), above=1.1)
claim("up to 100 levels, in the window: tree / ladder", mean("book=btree", 5, 100) / mean("best", 5, 100), above=1.1)
claim("the ladder beyond its window / within", mean("best", 1_000, 20_000) / mean("best", 5, 100), above=1.1)

# %% [markdown]
# **What may surprise you** is the last line. The ladder is not faster as such; it is a bet that the next change is near the
# touch. Random traffic over thousands of levels loses the bet: most prices have no slot, and the list beside the window does
# the work. The table at the beginning shows why the bet is good on a market.
#
# ## The other look-up: orders by id
#
# All three are hash tables or close to it, so on paper each look-up takes the same time however many orders there are. `std` is
# Rust's standard hash map. Its hash (SipHash) resists attacks with chosen keys. `fast` is the same map with a cheap hash.
# `flat` exploits that an exchange numbers its orders upwards: neighbouring references share a **cache line**, the 64 bytes that
# a processor fetches at once.
#
# **Predict first:** by what factor is `std` slower than `flat` with a hundred live orders, and with a million?

# %%
guess_hundred, guess_million = 1.2, 1.2  # your guesses

# %% tags=["nbval-ignore-output", "timeout-300"]
orders = hftlab.scaling("orders", ORDERS, ["orders=std", "orders=fast", "best"], rounds=ROUNDS, messages=MESSAGES, seed=SEED)
orders.plot()

# %% tags=["nbval-ignore-output"]
live = orders.frame().pivot("variant", index="size", values="min")
factors = [(pl.col(f"orders={name}") / pl.col("best")).alias(f"{name} / flat") for name in ("std", "fast")]
show(live.with_columns(factors).rename({"size": "live orders"}), "ns per message, the fastest of the rounds")

# %% tags=["nbval-ignore-output"]
first, last = live.row(0, named=True), live.row(-1, named=True)
few, many = first["orders=std"] / first["best"], last["orders=std"] / last["best"]
reveal("std / flat with a hundred live orders", guess_hundred, few)
reveal("std / flat with a million", guess_million, many)
claim("few orders, all in the nearest cache, so that is the hash: std / flat", few, above=1.5)
claim("that factor with a million orders / with a hundred", many / few, above=1.3)
claim("flat with a million orders / at its fastest", last["best"] / live["best"].min(), above=1.5)

# %% [markdown]
# ## Caches in the curves
#
# On the left of the plot the difference is arithmetic: one hash costs more instructions than the other. On the right, all
# curves rise although the number of steps stays the same: each step **waits longer for memory**. The dotted rules mark where the
# bytes that the best book *reserves* outgrow a cache of this machine. What it *touches* is less, so a curve may bend later.
#
# Why does `flat` rise least? Count the cache lines of a look-up that were not used recently. A hash scatters neighbouring
# references over the whole table on purpose: every look-up needs another line. In `flat` the cell of a new order is in the line
# of the order before it, which was just used.
#
# One part of this curve is no structure at all. The engine has the whole buffer, so it can **look ahead**: fetch the lines of the
# *next* messages while it processes this one (`rust_ext/src/engine/ahead.rs`). That is throughput, not latency: on a live feed
# the next message has not arrived yet. So hftlab calls nothing a latency that looks ahead. How much of the factor is left
# message by message, stamped, without it?

# %% tags=["nbval-ignore-output"]
many_orders = steady(ORDERS[-3], messages=MESSAGES, seed=SEED).feed(f"{ORDERS[-3]:,} live orders")


def message_by_message(variant):
    """Median ns of a stamped message of the traffic, the clock included; the fastest of three passes."""
    engine = without_lookahead(hftlab.Engine("rust", until="book", orders=variant))
    runs = (engine.run(many_orders, record="none", latency="total") for _ in range(3))
    return min(float(np.median(run.latency["total"][-MESSAGES:])) for run in runs)


alone = {variant: message_by_message(variant) for variant in ("std", "flat")}
at_once = live.row(by_predicate=pl.col("size") == ORDERS[-3], named=True)
print(f"{ORDERS[-3]:,} live orders, std / flat: {at_once['orders=std'] / at_once['best']:.2f} in a buffer,", end=" ")
print(f"{alone['std'] / alone['flat']:.2f} message by message (medians, the cost of the clock included)")

# %% [markdown]
# So quote the curve for a replay, and the stamped ratio for a live engine.
#
# ## What the ladder costs
#
# The ladder needs a window per side of every instrument. **Predict first:** for 10,000 instruments with a few levels each, how
# many times the memory of the tree does it need?

# %%
guess_memory = 2.0  # your guess: level bytes of the ladder / of the tree

# %% tags=["nbval-ignore-output"]
wide = hftlab.scaling("instruments", INSTRUMENTS, ["book=btree", "best"], rounds=ROUNDS, messages=MESSAGES, seed=SEED)
wide.plot()

# %% tags=["nbval-ignore-output"]
bytes_ = wide.frame().pivot("variant", index="size", values="level_bytes").drop("best again")
most = bytes_.row(-1, named=True)
reveal("bytes of levels, ladder / tree, most instruments", guess_memory, most["best"] / most["book=btree"])
claim("bytes of levels, ladder / tree, most instruments", most["best"] / most["book=btree"], above=5)
show(bytes_.rename({"size": "instruments", "book=btree": "tree", "best": "ladder"}), "Bytes of levels")

# %% [markdown]
# Memory is counted, so this table is the same on every machine. Yet the ladder is still the faster one in the plot above, as
# the next cell asserts. A message touches a few lines of a window, whatever its size: *reserved bytes* and *touched bytes*
# differ, and only the second matter to a cache.

# %% tags=["nbval-ignore-output"]
cost = wide.frame().group_by("variant").agg(pl.col("min").sum())
total = dict(cost.iter_rows())
claim("summed over the sizes, tree / ladder", total["book=btree"] / min(total["best"], total["best again"]), above=1.05)

# %% [markdown]
#
# ## What is it worth on a market?
#
# So far the traffic was the worst case of each structure. `hftlab.ablate` switches one axis at a time of the whole engine, on a
# generated market of many symbols, in which orders are deleted as often as on a real day: from the naive engine (what does each
# better structure gain?) and from the best one (what does each naive one lose?). The grey band is the A/A control: an engine
# against itself.

# %% tags=["nbval-ignore-output", "timeout-300"]
market = hftlab.synthetic("market", MARKET, seed=SEED)
ablation = hftlab.ablate(market, rounds=PAIRED, seed=SEED)
kinds = ablation.market.kinds
claim("share of deletes and replaces", (kinds["DELETE"] + kinds["REPLACE"]) / MARKET, above=0.3)
ablation.forest()

# %% tags=["nbval-ignore-output"]
steps = ablation.frame().filter(start="best")
ratio = {
    (axis, to): value
    for axis, to, value in steps.filter(pl.col("verdict") != "control").select("axis", "to", "ratio").iter_rows()
}
claim("the whole path with std / with flat", 1 / ratio["orders", "std"], above=1)

# %% [markdown]
# ## What did not get faster
#
# Take the first messages of that market alone: it is so early in the day that most symbols have just got their first order.
# **Predict first:** is the ladder faster there than the tree, and by what factor? And on the whole of it?

# %%
guess_young = 1.2  # your guess: time of the tree / time of the ladder

# %% tags=["nbval-ignore-output"]
young = market.head(MESSAGES)
ages = {f"first {MESSAGES:,} messages": young, f"first {MARKET:,}": market}
trees = {}
for name, one in ages.items():
    trees[name] = hftlab.compare("rust book=btree", "rust", one, until="book", rounds=ROUNDS, seed=SEED)
    symbols = len(set(hftlab.decode(one)["instrument"].tolist()) - {0})
    print(f"{name}, {symbols:,} symbols: tree / ladder {trees[name].metrics[0].paired.ratio}")

# %% tags=["nbval-ignore-output"]
first_messages, longer = (found.metrics[0].paired for found in trees.values())
reveal("young market, tree / ladder", guess_young, first_messages.ratio.median)
claim("young market, tree / ladder", first_messages, below=0.85)
claim("the same later / young", longer.ratio.median / first_messages.ratio.median, above=1)

# %% [markdown]
# The tree wins clearly in a young market. Each side of each symbol creates its window with its first order: memory to allocate,
# to clear, and to load for the first time. The tree starts with a small node. The longer the day, the smaller that advantage; the
# last line shows how far it went here. And near the touch **all three structures are fast**. One curve alone is an advertisement.
# Your feed decides: its distances, its instruments, and its length.
#
# ## Exercise 06.1: a toy ladder
#
# *Medium, 20 minutes.* Write a ladder for the asks in Python: a window of `slots` ticks starting at `base`.
#
# - `put(price)` marks a level and returns True; it returns False, and changes nothing, for a price that has no slot
# - `drop(price)` unmarks it
# - `best()` is the lowest price that is marked, None if there is none, **and takes the same time for 2 levels and for 2,048**
#
# The start below is right, but it searches.


# %%
class Start:
    def __init__(self, base, tick, slots):
        self.base, self.tick, self.slots = base, tick, slots
        self.prices = set()

    def put(self, price):
        slot, rest = divmod(price - self.base, self.tick)
        if rest or not 0 <= slot < self.slots:
            return False
        self.prices.add(price)
        return True

    def drop(self, price):
        self.prices.discard(price)

    def best(self):
        return min(self.prices, default=None)


# %% tags=["nbval-ignore-output"]
answer = check("06.1", Start)
assert not answer
answer

# %% [markdown]
# <details><summary>Hint</summary>
#
# A Python integer is a bitmap of any width. `bits & -bits` leaves only the lowest bit that is set. `(8).bit_length()` is 4.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
class Ladder(Start):
    """rust_ext/src/book/levels/ladder.rs does the same with four words of 64 bits and one instruction."""

    def __init__(self, base, tick, slots):
        self.base, self.tick, self.slots = base, tick, slots
        self.bits = 0

    def put(self, price):
        slot, rest = divmod(price - self.base, self.tick)
        if rest or not 0 <= slot < self.slots:
            return False
        self.bits |= 1 << slot
        return True

    def drop(self, price):
        self.bits &= ~(1 << (price - self.base) // self.tick)

    def best(self):
        if not self.bits:
            return None
        return self.base + self.tick * ((self.bits & -self.bits).bit_length() - 1)


answer = check("06.1", Ladder)
assert answer, answer
answer

# %% [markdown]
# ## Exercise 06.2: where do they cross?
#
# *Easy, 15 minutes.* "The vector loses from about a thousand levels on", says a colleague with a plot. Write `crossing(frame,
# a, b)`: the size from which on `b` is **significantly** slower than `a`, at that size and at every larger one; None if there
# is none. `frame` is that of `hftlab.scaling`: variant, size, ns_per_message, low, high. Two intervals that overlap show no
# difference.
#
# The start compares medians and returns the first size.


# %%
def start(frame, a, b):
    one = frame.filter(variant=a).sort("size")
    other = frame.filter(variant=b).sort("size")
    slower = (other["ns_per_message"] > one["ns_per_message"]).to_list()
    return next((size for size, is_slower in zip(one["size"], slower, strict=True) if is_slower), None)


# %% tags=["nbval-check-output"]
answer = check("06.2", start)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# `b` is significantly slower where its `low` is above the `high` of `a`. `all(slower[at:])` tests the rest of the curve.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
def crossing(frame, a, b):
    one = frame.filter(variant=a).sort("size")
    other = frame.filter(variant=b).sort("size")
    slower = (other["low"] > one["high"]).to_list()
    return next((size for at, size in enumerate(one["size"]) if all(slower[at:])), None)


answer = check("06.2", crossing)
assert answer, answer
print(answer)

# %% tags=["nbval-ignore-output"]
reveal("levels a side from which on sorted is slower", guess_crossing, crossing(three.frame(), "book=btree", "book=sorted"))
print("sizes measured:", DEPTHS)

# %% [markdown]
# ## Takeaway
#
# - A book has two look-ups, and a structure for one of them says nothing about the other. Switch one at a time
#   ([What is it worth on a market?](#What-is-it-worth-on-a-market?)).
# - The number of steps is equal; the number of **cache lines touched** is not. Curves rise where the data outgrows a cache, not
#   only where the algorithm gets worse ([The other look-up: orders by id](#The-other-look-up:-orders-by-id)).
# - A batch may look ahead, a live engine may not: say which of the two a figure is ([Caches in the
#   curves](#Caches-in-the-curves)).
# - Count the places of your traffic before you choose ([Where is the traffic?](#Where-is-the-traffic?)). The ladder is a bet on
#   the touch; the flat table is a bet on increasing references.
#
# **What did not get faster:** the ladder under traffic at random depth, and in a young market; see the claims above.
#
# **Where it is in the code:** `rust_ext/src/book/levels/` (btree, sorted, ladder, a file each), `rust_ext/src/book/orders/`
# (std, fast, flat), `rust_ext/src/engine/ahead.rs` (looking ahead), `hftlab/experiments/scaling.py` and
# `hftlab/feeds/generate/steady.py` (the curves), `hftlab/stages/book.py` (the reference, a sorted list with the best at its
# end). Try `hftlab scaling --axis depth --full` on a machine of your own.
#
# **Next:** 07 Memory: where are the orders themselves stored, and what do allocations do to the tail?
