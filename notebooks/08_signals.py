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
# # 08 Signals
#
# **How can an engine compute less and give the same bits?** About 65 minutes, 30 of them for two exercises. Afterwards you can
#
# - determine the cost of a signal by counting its reads, before you time it;
# - maintain a sum instead of recomputing it, and prove that the result is the same;
# - distinguish a harmless rewrite of a formula from one that changes its last bit, and show the cost of that bit.
#
# A *signal* is a number computed after each message from the book: here nine of them, of which the last, `score`, decides
# whether an order is sent. `hftlab/stages/signal.py` defines them; every engine must compute the same 64 bits.

# %% tags=["parameters"]
MESSAGES = 6_000  # larger: 100_000
COUNTED = 2_000  # messages under valgrind; larger: 20_000
DEPTHS = (1, 2, 5, 10, 20, 40)  # levels a side that are summed
SEED = 1

# %%
# %load_ext hftlab
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import polars as pl
from course import check, claim, reveal, show
from course.level_counter import walk

import hftlab
from hftlab import OrderConfig, RiskConfig, SignalConfig, charts
from hftlab.stages.signal import NAMES, Signal, order_flow_imbalance

# %% [markdown]
# ## Nine numbers after one message
#
# `bid` and `ask` are the best prices, each with its shares. `mid` is their average. `microprice`, the *weighted mid* of the
# literature, is closer to the side with fewer shares, since that side is likely to vanish first. `depth_imbalance` compares the
# shares of the best levels of both sides, five a side by default. `ofi` (order-flow imbalance) and `flow` have a memory: each
# event adds to them, and older events decay.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, SEED, symbols=1)
run = hftlab.Engine("python").run(feed)
last = run.frame.filter(pl.col("instrument") > 0).row(-1, named=True)  # the very last message has no instrument
print("bid", last["bid_price"], "x", last["bid_qty"], "   ask", last["ask_price"], "x", last["ask_qty"])
for name in NAMES:
    print(f"{name:16} {last[name]!r}")

# Two of them by hand: integers become floating-point numbers as late as possible.
bid, bid_qty, ask, ask_qty = (last[name] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty"))
by_hand = (float(bid) * ask_qty + float(ask) * bid_qty) / (float(bid_qty) + ask_qty)
assert by_hand == last["microprice"]
assert float(bid_qty - ask_qty) / float(bid_qty + ask_qty) == last["imbalance"]
print("the same bits by hand:", by_hand.hex())

# %% [markdown]
# ## What does it cost? Predict first
#
# Eight of the nine need only the best bid and ask. `depth_imbalance` needs sums over several levels: there the work can grow.
# The obvious way is to *recompute*: after each event, walk the best levels of both sides and add them up.
#
# **Write your guess down:** with five levels a side, what is the smallest number of levels that must be read per event?

# %%
guess = 5.0  # levels read per event; yours

# %% [markdown]
# ## Measure: count the levels
#
# A clock on a shared machine is noisy, a count is not. `walk` runs the feed through the reference book, passes each change to
# an object, and counts the levels that the object reads. This is the obvious way:


# %% tags=["nbval-check-output"]
class Recompute:
    """Walk both sides after each event."""

    def __init__(self, levels):
        self.levels = levels

    def changed(self, sides, change):
        return [sum(qty for _, qty in side.best(self.levels)) for side in sides]


def grows(rows):
    frame = pl.DataFrame(rows, schema=["series", "x", "y"], orient="row")
    title = "Levels read per event, by number of summed levels"
    return charts.line_chart(frame, title, feed.name, x="levels a side", y="levels read per event")


counted = [("recompute: walk both sides", depth, walk(feed, Recompute, depth).per_event) for depth in DEPTHS]
print({depth: round(read, 2) for _, depth, read in counted})
assert counted[2][2] > 1.9 * DEPTHS[2]

# %% tags=["nbval-check-output"]
grows(counted)

# %% [markdown]
# The line is straight, until the book has no more levels.
#
# ## Change one thing
#
# An event changes one side. The sum of the other side stays valid. `change.side` is the changed side. First check equality,
# then the count:


# %% tags=["nbval-check-output"]
class ChangedSide:
    """Walk the side that changed; reuse the other sum."""

    def __init__(self, levels):
        self.levels, self.sums = levels, [0, 0]

    def changed(self, sides, change):
        self.sums[change.side] = sum(qty for _, qty in sides[change.side].best(self.levels))
        return self.sums


counted += [("walk the side that changed", depth, walk(feed, ChangedSide, depth).per_event) for depth in DEPTHS]
both, one = walk(feed, Recompute, 5), walk(feed, ChangedSide, 5)
assert [tuple(sums) for sums in both.sums] == one.sums
print("the same sums after each of", one.events, "events; levels read:", both.levels_read, "->", one.levels_read)
claim("levels read, one side / both", one.levels_read / both.levels_read, below=0.6)

# %% [markdown]
# The Python engine does this (`Signal.update` in `hftlab/stages/signal.py`). Half of the work is gone, but the line is as
# straight as before. The next step is yours.
#
# ## Exercise 08.1: Walk less
#
# *Medium, 15 minutes.* Write a class that reads fewer levels and gives the same sums. `change` has the fields
#
# - `side`: 0 for bids, 1 for asks;
# - `key`: of the best level that changed. Keys are prices with a sign: the larger, the better, on both sides;
# - `gained`: the shares that this level gained (negative: lost);
# - `reshaped`: a level appeared or vanished, or more than one changed. Then `gained` is meaningless.
#
# `sides[i].best(n)` returns `(key, shares)` of the best n levels, best first, and counts them. The start below adds up the
# gains. It reads no level at all. What does it miss?


# %% tags=["nbval-check-output"]
class Sums:
    def __init__(self, levels):
        self.levels, self.sums = levels, [0, 0]

    def changed(self, sides, change):
        self.sums[change.side] += change.gained
        return self.sums


check("08.1", Sums)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two questions per event: did it change one of the best levels at all? For that, store the key of the last summed level. And if
# so, did a level appear or vanish? Only then must you walk. While the side has fewer levels than you sum, every change is among
# the best.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
class RunningSum:
    def __init__(self, levels):
        self.levels, self.sums, self.ends = levels, [0, 0], [None, None]

    def changed(self, sides, change):
        i = change.side
        if self.ends[i] is None or change.key >= self.ends[i]:
            if change.reshaped:
                best = sides[i].best(self.levels)
                self.sums[i] = sum(qty for _, qty in best)
                self.ends[i] = best[-1][0] if len(best) == self.levels else None
            else:
                self.sums[i] += change.gained
        return self.sums


assert check("08.1", RunningSum)
counted += [("keep the sum", depth, walk(feed, RunningSum, depth).per_event) for depth in DEPTHS]

# %% [markdown]
# The same chart with both further curves:

# %% tags=["nbval-check-output"]
grows(counted)

# %% tags=["nbval-check-output"]
running = walk(feed, RunningSum, 5)
assert running.sums == one.sums
print("levels read per event:", round(both.per_event, 2), "->", round(one.per_event, 2), "->", round(running.per_event, 2))
reveal("levels that must be read per event", guess, running.per_event)
claim("levels read, running sum / recompute", running.levels_read / both.levels_read, below=0.1)

# %% [markdown]
# ## Why is a running sum allowed?
#
# Because shares are integers, and integer sums are exact: add 7, subtract 7, and the sum is what it was. A sum of
# floating-point numbers is not. Here the same ten thousand numbers are added and then subtracted, as both types:

# %% tags=["nbval-check-output"]
lots = np.random.default_rng(SEED).integers(1, 1_000, 10_000).tolist()
in_floats, in_integers = 0.0, 0
for lot in lots:
    in_floats += lot / 10
    in_integers += lot
for lot in lots:
    in_floats -= lot / 10
    in_integers -= lot
print("after adding and subtracting all: integers", in_integers, "| floats", in_floats)
assert in_integers == 0
assert in_floats != 0.0

# %% [markdown]
# ## The same step in Rust
#
# `signal=recompute` and `signal=incremental` are two small files, `rust_ext/src/signal/recompute.rs` and `incremental.rs`. The
# second also maintains the sums and the values of the best bid and ask. Equality first:

# %% tags=["nbval-check-output"]
for depth in (5, 40):
    deep = SignalConfig(levels=depth)
    for variant in ("recompute", "incremental"):
        rust = hftlab.Engine("rust", signal=variant, signal_config=deep)
        verdict = hftlab.verify(hftlab.Engine("python", signal_config=deep), rust, feed)
        assert verdict
        print(f"{variant:12} with {depth:2} levels a side: the same bits on {verdict.messages:,} messages")

# %% [markdown]
# Then the cost, in instructions of the processor. Valgrind's callgrind runs the engine and counts them; it is slow, but its
# count does not depend on the load of the machine. So two may run at the same time. The table shows the signal stage alone.

# %%
# %%capture
asked = [(variant, depth) for variant in ("recompute", "incremental") for depth in (5, 40)]
engines = [hftlab.Engine("rust", signal=variant, signal_config=SignalConfig(levels=depth)) for variant, depth in asked]
with ThreadPoolExecutor(2) as pool:
    profiles = list(pool.map(lambda engine: hftlab.profile(engine, feed, "instructions", messages=COUNTED), engines))

# %% tags=["nbval-ignore-output"]
cost = {
    asked[place]: row["per_message"]
    for place, profile in enumerate(profiles)
    for row in profile.rows
    if row["stage"] == "signal" and row["event"] == "instructions"
}
rows = [(variant, depth, round(per_message)) for (variant, depth), per_message in cost.items()]
names = ["variant", "levels a side", "instructions per message"]
show(pl.DataFrame(rows, names, orient="row")) if cost else profiles[0].missing

# %% tags=["nbval-ignore-output"]
if len(cost) == len(asked):  # without valgrind there is no claim
    grown = {variant: cost[variant, 40] - cost[variant, 5] for variant in ("recompute", "incremental")}
    fewer, levels = cost["recompute", 5] / cost["incremental", 5], both.levels_read / running.levels_read
    claim("instructions, recompute / incremental, 5 levels", fewer, above=1.2, below=levels)
    claim("growth from 5 to 40 levels, incremental / recompute", grown["incremental"] / grown["recompute"], below=0.5)

# %% [markdown]
# The instructions decrease less than the levels read. Why? The divisions, the score and the decaying sums are computed after
# every event in either case. A running sum removes the part that grows, not the fixed part.
#
# ## The same bits: which rewrites are allowed?
#
# A float64 has 53 significant bits. Each operation rounds its exact result to them. In mathematics you may rewrite a formula;
# in floating point that moves the roundings. **Predict first:** which of these give the same bits on every row of our run?
#
# 1. `mid`: halve the sum of bid and ask, or multiply it by 0.5
# 2. `imbalance`: subtract the shares as integers, or as floats
# 3. `microprice`: as in the contract, or as a weighted mean, each price times its share of the quantity
# 4. `score`: add its five terms from left to right, or from right to left

# %%
guess_bits = {"mid": "same", "imbalance": "same", "microprice": "same", "score": "same"}  # or "other"

# %% tags=["nbval-check-output"]
c = {name: column for name, column in run.columns.items() if name != "index"}
rows_with_both = np.flatnonzero((c["bid_qty"] > 0) & (c["ask_qty"] > 0) & (c["spread"] > 0))
c = {name: column[rows_with_both] for name, column in c.items()}
bid, ask, bid_qty, ask_qty = (c[name].astype(float) for name in ("bid_price", "ask_price", "bid_qty", "ask_qty"))
config = SignalConfig()
w0, w1, w2, w3, w4 = config.weights
terms = [
    w0 * c["imbalance"],
    w1 * c["depth_imbalance"],
    (w2 * (c["microprice"] - c["mid"])) / c["spread"],
    (w3 * c["ofi"]) / (abs(c["ofi"]) + config.k),
    (w4 * c["flow"]) / (abs(c["flow"]) + config.k),
]
rewritten = {
    "mid": (bid + ask) * 0.5,
    "imbalance": (bid_qty - ask_qty) / (bid_qty + ask_qty),
    "microprice": bid * (ask_qty / (bid_qty + ask_qty)) + ask * (bid_qty / (bid_qty + ask_qty)),
    "score": terms[0] + (terms[1] + (terms[2] + (terms[3] + terms[4]))),
}
differ = {name: int((values != c[name]).sum()) for name, values in rewritten.items()}
for name, n in differ.items():
    print(f"{name:11} other bits on {n:5,} of {len(bid):,} rows")
reveal("bits", guess_bits, {name: "other" if n else "same" for name, n in differ.items()})
assert differ["mid"] == differ["imbalance"] == 0
assert differ["microprice"] > 0
assert differ["score"] > 0
assert ((((terms[0] + terms[1]) + terms[2]) + terms[3]) + terms[4] == c["score"]).all()

# %% [markdown]
# Halving is exact: it changes the exponent alone. Differences of whole numbers below 2^53 are exact. The other two round in
# other places. A compiler that may "optimise" floating point (`-ffast-math`) does such rewrites silently, and a sum *across* the
# lanes of a vector has an order of its own. Vector instructions as such change nothing: each lane is rounded like a scalar, so
# several terms, or several instruments, may be computed side by side with the same bits (exercise 08.2 does). Rust and Python
# re-associate nothing by default.
#
# ## What a fused multiply-add would break
#
# Many processors can compute `a * b + c` in one instruction, with one rounding instead of two (*fused multiply-add*, FMA). It
# is faster, and it is more exact. It also gives another number. `Fraction` is exact, and converting one to a float rounds once,
# so this is the result of the instruction:


# %%
def fused(a, b, c):
    """a * b + c, rounded once."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


# %% [markdown]
# `ofi` is a candidate: after each event it becomes `ofi * decay + e`, with e a whole number of shares. Here is the first
# message of our run on which the two disagree:

# %% tags=["nbval-check-output"]
decay = config.decay
top = run.frame.select("bid_price", "bid_qty", "ask_price", "ask_qty").rows()
ofi = run.columns["ofi"].tolist()
steps = [(i, ofi[i - 1], order_flow_imbalance(top[i - 1], top[i])) for i in range(1, len(top))]
applied = [
    step for step in steps if step[1] * decay + step[2] == ofi[step[0]]
]  # a message that changes no book does not change it
i, before, e = next(step for step in applied if fused(step[1], decay, step[2]) != ofi[step[0]])
exact = Fraction(before) * Fraction(decay) + e
print(f"message {i}: {before!r} * {decay} + {e}")
print("two roundings", (before * decay + e).hex(), " error", f"{float(abs(Fraction(before * decay + e) - exact)):.2e}")
print("one rounding ", fused(before, decay, e).hex(), " error", f"{float(abs(Fraction(fused(before, decay, e)) - exact)):.2e}")
assert abs(Fraction(fused(before, decay, e)) - exact) < abs(Fraction(before * decay + e) - exact)

# %% [markdown]
# The two differ in the last bits, and the fused one is the better number: its error is the smaller one. Why care? Because `ofi`
# has a memory. Put a fused `ofi` into the engine. A custom signal stage needs two methods; this one calls ours and changes
# `ofi` and, with it, `score`.


# %%
class FusedSignal(Signal):
    """Ours, but ofi is computed as a processor with FMA would."""

    def update(self, book, instrument, kind, qty, side, before, after):
        state = self.states.get(instrument)
        ofi = fused(state.ofi if state else 0.0, self.decay, order_flow_imbalance(before, after))
        values = dict(zip(NAMES, super().update(book, instrument, kind, qty, side, before, after), strict=True))
        score, flow = 0.0, values["flow"]
        if values["spread"] > 0:
            w0, w1, w2, w3, w4 = self.weights
            score = w0 * values["imbalance"] + w1 * values["depth_imbalance"]
            score += (w2 * (values["microprice"] - values["mid"])) / values["spread"]
            score += (w3 * ofi) / (abs(ofi) + self.k)
            score += (w4 * flow) / (abs(flow) + self.k)
        state = self.states[instrument]
        state.ofi = ofi
        state.values = tuple({**values, "ofi": ofi, "score": score}.values())
        return state.values


# %% tags=["nbval-check-output"]
verdict = hftlab.verify("python", hftlab.Engine("python", signal=FusedSignal), feed)
assert not verdict
print(verdict)

# %% tags=["nbval-check-output"]
other = hftlab.Engine("python", signal=FusedSignal).run(feed)
parted = {name: int((run.columns[name] != other.columns[name]).sum()) for name in ("ofi", "score")}
same = [name for name in NAMES if np.array_equal(run.columns[name], other.columns[name], equal_nan=True)]
print("rows with other bits:", parted, "of", run.messages)
print("untouched:", ", ".join(same))
assert parted["ofi"] > 0.5 * run.messages

# %% [markdown]
# Most rows of `ofi` differ; of `score` fewer, since a small error is often rounded away when it is added to a larger number.
# Would FMA change `microprice`, too? Prices and shares are whole numbers, so the products are exact, and then rounding once or
# twice is the same:

# %% tags=["nbval-check-output"]
whole = zip(bid.tolist(), ask_qty.tolist(), ask.tolist(), bid_qty.tolist(), strict=True)
unlike = sum(fused(b, qa, a * qb) != b * qa + a * qb for b, qa, a, qb in whole)
print("rows on which a fused microprice would differ:", unlike)
assert unlike == 0

# %% [markdown]
# ## Why bit-identical matters: the order stream
#
# A score is compared with a threshold. An error in the last bit matters only if a score is right at the threshold; then it
# decides whether an order is sent. We construct such a case: the threshold is a score that occurred and that the fused engine
# computes one bit higher. Is that rare? A day has hundreds of millions of messages.

# %% tags=["nbval-check-output"]
plain, bits = np.abs(run.columns["score"]), np.abs(other.columns["score"])
i = int(np.flatnonzero((plain < bits) & (plain > 0.4))[0])
act = OrderConfig(threshold=float(plain[i]), cooldown=1)
loose = RiskConfig(position_limit=10**9, max_orders_per_sec=1_000_000)  # so that only the score decides
ours = hftlab.Engine("python", order_config=act, risk_config=loose).run(feed)
theirs = hftlab.Engine("python", order_config=act, risk_config=loose, signal=FusedSignal).run(feed)
print(f"message {i}: score {float(plain[i])!r} in ours, which is the threshold, and {float(bits[i])!r} in the fused engine")
print("orders sent by ours", ours.orders.height, "| by the fused engine", theirs.orders.height)
parted = next(n for n, (a, b) in enumerate(zip(ours.order_stream, theirs.order_stream, strict=False)) if a != b)
print(f"the order streams part at byte {parted:,} of {len(ours.order_stream):,}")
assert i not in ours.orders["index"]
assert i in theirs.orders["index"]
assert ours.order_stream != theirs.order_stream

# %% [markdown]
# One bit makes one order more. From then on the two disagree about the position, the number of each later order and the
# remaining risk limits. Which of them has the bug? Nobody can tell, and no test that compares "to nine digits" detects it. Bit
# identity is the simpler contract: two engines either agree, or hftlab shows the first message where they differ. That is why
# the contract fixes the order of every operation, and why no engine here uses FMA, although it is faster and more exact.
#
# ## Exercise 08.2: The score of a whole day, to the last bit
#
# *Medium, 15 minutes.* For research you want the scores of a whole day at once, with NumPy, from the columns of a run. Write a
# function `scores(columns, config)` that returns the bits of the engine, and is faster than a loop over the rows. The start
# below is the usual solution: five terms times five weights is a matrix product. The check uses weights of its own.


# %% tags=["nbval-ignore-output"]
def scores(c, config):
    terms = [
        c["imbalance"],
        c["depth_imbalance"],
        (c["microprice"] - c["mid"]) / c["spread"],
        c["ofi"] / (abs(c["ofi"]) + config.k),
        c["flow"] / (abs(c["flow"]) + config.k),
    ]
    total = np.stack(terms, axis=1) @ np.array(config.weights)
    return np.where(np.isnan(total), 0.0, total)


wrong = check("08.2", scores)
assert not wrong
wrong

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two things go wrong. The matrix product may add in any order, and may use FMA. And each weight must be where the contract has
# it: `(w2 * d) / spread` is not `w2 * (d / spread)`, unless the weight is a power of two, as our default weights are.
# Elementwise operations of NumPy are plain float64 operations, in the order in which you write them.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def by_columns(c, config):
    w0, w1, w2, w3, w4 = config.weights
    total = w0 * c["imbalance"] + w1 * c["depth_imbalance"]
    total = total + (w2 * (c["microprice"] - c["mid"])) / c["spread"]
    total = total + (w3 * c["ofi"]) / (abs(c["ofi"]) + config.k)
    total = total + (w4 * c["flow"]) / (abs(c["flow"]) + config.k)
    return np.where(np.isnan(total) | ~(c["spread"] > 0), 0.0, total)


assert check("08.2", by_columns)

# %% [markdown]
# ## Takeaway
#
# - Count before you time. The number of levels read showed which sum to maintain, without a clock
#   ([Measure: count the levels](#Measure:-count-the-levels)).
# - Running sums of integers are exact, in any order. Running sums of floats are not, if the bits must stay the same
#   ([Why is a running sum allowed?](#Why-is-a-running-sum-allowed?)).
# - Bit identity is practical: it turns "nearly the same" into the number of a message
#   ([Why bit-identical matters: the order stream](#Why-bit-identical-matters:-the-order-stream)).
#
# **What did not help.** In Rust, running sums save far less than the levels read suggest: the fixed work of each event stays.
# And FMA, which the processor offers for free, is not worth an engine that cannot be compared.
#
# **Where it is in the code.** `hftlab/stages/signal.py` (the contract in code),
# `rust_ext/src/signal/{recompute,incremental}.rs`, `hftlab/conformance/` (the comparison), `notebooks/course/level_counter.py`
# (the counting).
#
# **Next:** 09 The network. How does a message get to the engine, and what does that cost?
