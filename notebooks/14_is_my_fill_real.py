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
# # 14 Is my fill real?
#
# **Would the exchange have filled my order, and was that good?** About 60 minutes, 35 of them for two exercises. Lesson 02 is
# needed before. Afterwards you can
#
# - follow an order through its queue, by the ids of the orders ahead of it;
# - name what backtests get wrong, and show how much each mistake adds;
# - say of a fill whether it was a good one, and why fills come when you want them least.
#
# A backtest that fills an order because "the price traded" is the commonest lie of the trade. An order at a price is one of many
# there, and the ones before it are served first.

# %% tags=["parameters"]
MESSAGES = 30_000  # larger: 300_000
EVERY = 15  # an order of ours at every so-manieth change of the touch
AFTER_MS = 500  # when a fill is judged
SEED = 3

# %%
# %load_ext hftlab
import numpy as np
import polars as pl
from course import check, claim, reveal, show

import hftlab
from hftlab import charts
from hftlab.fills.proofs.checks import CHECKS, run_checks
from hftlab.fills.proofs.oracle import leave_one_out, oracle
from hftlab.fills.requests import Reason, requests
from hftlab.fills.simulation import simulate

# %% [markdown]
# ## Orders of ours in a feed that does not know them
#
# We put orders at the best bid and the best ask of a generated day, one after another. `simulate` lets each stand behind the
# orders that are there when it comes, remembers these by id, and fills ours when somebody *behind* it is executed.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, SEED, symbols=1)
touch = hftlab.Engine("python", until="book").run(feed, record="top").columns
places = range(200, len(touch["ts_ns"]), EVERY)
sent = [
    {"time_ns": int(touch["ts_ns"][at]), "instrument": 1, "side": side, "price": int(touch[name][at]), "qty": 100, "tif": 2}
    for at in places
    for side, name in ((1, "bid_price"), (2, "ask_price"))
]
sent = [{**row, "order_id": number, "world": number} for number, row in enumerate(sent)]
run = simulate(feed, requests(sent), backend="python")
rows = [(row["ahead_orders"], row["ahead_qty"], row["filled"], row["through"], row["expired"]) for row in run.orders[:6]]
names = ["orders ahead", "shares ahead", "filled", "traded through", "left at the end"]
show(pl.DataFrame([tuple(map(int, row)) for row in rows], names, orient="row"))
print(f"{len(run.orders):,} orders, {len(run.fills):,} fills")

# %% [markdown]
# An order ends in one of four ways: filled from the queue; *traded through*, when the other side reaches its price and takes all
# that is there; canceled; or left when the feed ends. The four always add up to what was sent.
#
# ## Predict first
#
# The naive backtest fills an order as soon as anything is executed at its price. **Write your guess down:** how many orders does
# it fill from executions, for each one that the queue fills?

# %%
guess = 1.5  # naive fills per real one; yours

# %% [markdown]
# ## Measure: how a backtest lies
#
# Three simulators that are wrong in the way that real ones have been, on the same orders: one that ignores the queue, one that
# puts us at the front when anybody ahead cancels, one where an order that shrinks loses its place. Only queue fills are counted.

# %% tags=["nbval-check-output"]
from hftlab.fills.simulation import exchange_events, schedule
from hftlab.fills.simulator import Simulator


class NoQueue(Simulator):
    def _leave(self, key, kind, order_id, left, ts_ns):
        pass

    def _execute(self, key, maker, qty, ts_ns):
        for shadow in self._queue(key):
            shadow.ahead.clear()
        super()._execute(key, maker, qty, ts_ns)


class FrontAfterCancel(Simulator):
    def _leave(self, key, kind, order_id, left, ts_ns):
        for shadow in self._queue(key):
            if kind in (hftlab.Kind.CANCEL, hftlab.Kind.DELETE) and order_id in shadow.ahead:
                shadow.ahead.clear()
        super()._leave(key, kind, order_id, left, ts_ns)


class ShrinkLosesPlace(Simulator):
    def _leave(self, key, kind, order_id, left, ts_ns):
        super()._leave(key, hftlab.Kind.DELETE if kind == hftlab.Kind.CANCEL else kind, order_id, left, ts_ns)


events = hftlab.decode(feed)
at, ordered = schedule(events, exchange_events(feed, len(events)), requests(sent))


def queue_filled(kind):
    simulator = kind()
    simulator.run(events.tolist(), None, zip(at.tolist(), ordered.tolist(), strict=True))
    fills, _ = simulator.finish()
    return len(np.unique(fills["order_id"][fills["reason"] == Reason.QUEUE]))


filled = {kind.__name__: queue_filled(kind) for kind in (Simulator, ShrinkLosesPlace, FrontAfterCancel, NoQueue)}
show(pl.DataFrame([*filled.items()], ["simulator", "orders filled from the queue"], orient="row"))
ratio = filled["NoQueue"] / filled["Simulator"]
reveal("naive fills per real one", guess, ratio)
claim("orders filled, no queue / queue", ratio, above=1.05)

# %% [markdown]
# ## Exercise 14.1: Whose shares are these?
#
# *Medium, 20 minutes.* Write the heart of the simulator. `ahead` is a dict of the orders ahead of yours with their shares.
# `events` are `(what, order, shares)` at your price: `"execute"` and `"cancel"` take shares from an order, `"delete"` removes it,
# `"grow"` makes it larger (it then loses its place), `"add"` is a new order. Return how many shares your order of `qty` gets at
# each event. The start below is the naive one.


# %% tags=["nbval-check-output"]
def fills(ahead, events, qty):
    out = []
    for what, _, shares in events:
        got = min(qty, shares) if what == "execute" else 0
        qty -= got
        out.append(got)
    return out


check("14.1", fills)

# %% [markdown]
# <details><summary>Hint</summary>
#
# An execution of an order that is ahead of you is not yours. One of any other order would have hit you first. Keep `ahead` up to
# date: who shrinks stays, who is deleted or grows goes, and who comes later was never in it.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def by_queue(ahead, events, qty):
    ahead, out = dict(ahead), []
    for what, order, shares in events:
        got = min(qty, shares) if what == "execute" and order not in ahead else 0
        qty -= got
        out.append(got)
        if what in ("delete", "grow"):
            ahead.pop(order, None)
        elif what in ("execute", "cancel") and order in ahead:
            ahead[order] -= shares
            if not ahead[order]:
                del ahead[order]
    return out


assert check("14.1", by_queue)

# %% [markdown]
# ## Proof: ask the exchange
#
# The feed itself says which order each execution hit. First in, first out predicts it: the first of the queue. And an order that
# is really there can be left out and put back as one of ours: it must get its own fills again, at the same times.

# %% tags=["nbval-check-output"]
asked = oracle(feed)
print(asked.headline())
put_back = leave_one_out(feed.head(3_000), orders=25, backend="python")
print(put_back.headline())
assert put_back.equal == put_back.tested
claim("share of executions predicted", asked.front / asked.executions, above=0.999)
wrong = run_checks(lambda data, asked: simulate(data, asked, backend="python"))
print(len(CHECKS), "rules by name, broken:", len(wrong))

# %% [markdown]
# On real samples not every execution hits the first of the queue: an exchange passes over orders of the same owner (self-match
# prevention), and an iceberg's hidden part has no place. `oracle` names these exceptions and counts them.
#
# ## When do fills come?
#
# A fill is judged by its *markout*: the mid some time later against the price of the fill, in ticks, a purchase above zero if
# the mid went up. Here are the markouts of queue fills, and of orders that were traded through:

# %% tags=["nbval-check-output"]
both_sides = (touch["bid_qty"] > 0) & (touch["ask_qty"] > 0)
mid_ns = touch["ts_ns"][both_sides].astype(np.int64)
mid = ((touch["bid_price"] + touch["ask_price"])[both_sides]) / 2
got = run.fills[run.fills["ts_ns"].astype(np.int64) + AFTER_MS * 1_000_000 < mid_ns[-1]]


def by_horizon(chosen, after_ns):
    later = mid[np.searchsorted(mid_ns, chosen["ts_ns"].astype(np.int64) + after_ns, side="right") - 1]
    return np.where(chosen["side"] == 1, 1, -1) * (later - chosen["price"]) / 100


horizons = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, AFTER_MS * 1_000_000]
points = [
    (name, horizon / 1e3, float(by_horizon(got[got["reason"] == reason], horizon).mean()))
    for name, reason in (("filled from the queue", Reason.QUEUE), ("traded through", Reason.THROUGH))
    for horizon in horizons
]
frame = pl.DataFrame(points, ["series", "x", "y"], orient="row")
limits = "one lot, no impact, losers of races invisible, one venue, a generated day"
charts.line_chart(frame, "What a fill is worth afterwards", limits, x="µs after the fill", y="ticks", log_x=True, rule=0.0)

# %% tags=["nbval-check-output"]
means = {(name, x): y for name, x, y in points}
queue, through = (means[name, AFTER_MS * 1e3] for name in ("filled from the queue", "traded through"))
print(f"after {AFTER_MS} ms: filled from the queue {queue:+.2f} ticks, traded through {through:+.2f} ticks")
claim("ticks, queue fill less traded through", queue - through, above=0.1)

# %% [markdown]
# This is *adverse selection*: an order is surely filled when the price runs over it, and then the fill is a bad one. A late
# order, at the end of the queue, is filled mostly in that way. A backtest that counts fills without looking at what comes after
# shows the fills and not the price of them.
#
# ## Exercise 14.2: Was it a good fill?
#
# *Medium, 15 minutes.* Write the function for any fills: arrays `side` (1 bought, 2 sold), `price`, `filled_ns`, and the mids as
# `mid_ns` (ascending) and `mid`. Return the ticks that each fill has gained `after_ns` later. The mid at a time is the last one
# that is not later. The start below forgets who sold.


# %% tags=["nbval-check-output"]
def markouts(side, price, filled_ns, mid_ns, mid, after_ns, tick):
    later = mid[np.searchsorted(mid_ns, filled_ns + after_ns, side="right") - 1]
    return (later - price) / tick


check("14.2", markouts)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Who sold gains when the price falls.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def signed_markouts(side, price, filled_ns, mid_ns, mid, after_ns, tick):
    later = mid[np.searchsorted(mid_ns, filled_ns + after_ns, side="right") - 1]
    return np.where(side == 1, 1, -1) * (later - price) / tick


assert check("14.2", signed_markouts)

# %% [markdown]
# ## Takeaway
#
# - A fill needs a queue: without one a backtest fills orders that the exchange did not
#   ([three wrong simulators](#Measure:-how-a-backtest-lies)).
# - A simulator can be proved against the exchange's own executions ([oracle](#Proof:-ask-the-exchange)).
# - Fills come when the price runs over you, and these are the bad ones ([markouts](#When-do-fills-come?)).
#
# **What did not work.** In a feed of price levels (L2) nobody knows the place of an order: `simulate` refuses it, or guesses by a
# model that is named in every result. And an order of ours that is larger than the market's would move it: one lot, no impact,
# is assumed throughout. A positive markout on one day is no promise of profit.
#
# **Where it is in the code.** `hftlab/fills/simulator.py` is the reference, with one order in its queue,
# `rust_ext/src/fills/` its twin with identical fills, `hftlab/fills/proofs/` the proofs.
