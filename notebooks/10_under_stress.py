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
# # 10 Under stress
#
# **What happens when more messages arrive than usual, and what should happen when more arrive than the engine can process?**
#
# About 85 minutes, 45 of them for two exercises. Afterwards you will be able to
#
# - draw and read a *hockey stick*, and explain why the same engine has two of them,
# - predict the length and duration of a queue in a burst, and the necessary size of a ring of waiting messages,
# - decide what to drop when messages must be dropped, and prove that the book is complete again afterwards.

# %% tags=["parameters"]
SEED = 1
MESSAGES = 20_000  # of a run; 200_000 for deeper percentiles
ROUNDS = 3  # of each load; 9 for calmer curves
SECONDS = 0.1  # a run at most; 0.5 for publishable figures
BURST_MS = 2.0
RING = 64  # capacity, datagrams
SOAK_S = 3.0  # at least 120 for a real one

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import numpy as np
import polars as pl
from course import check, claim, reveal, show
from course.fake_server import FakeServer

import hftlab
from hftlab import charts
from hftlab.loadtest.ingress import Ingress
from hftlab.presentation.terminal import to_text
from hftlab.protocols.moldudp64 import encode

feed = hftlab.synthetic("calm", MESSAGES + 5_000, seed=SEED)

# %% [markdown]
# ## A server of known capacity
#
# Before the real engines, take a simple server: `FakeServer` processes one call at a time, and each takes a tenth of a
# millisecond. Nothing is timed, all is computed, so its capacity is exactly ten thousand calls a second.
#
# We offer it a **load**: calls that are *due* at times fixed beforehand, at a share of its capacity. That is an **open loop**,
# like the market (lesson 01). *Response* counts from the moment a call was due; *service*, all that a closed loop measures,
# from the moment its processing began.
#
# **Predict:** the calls arrive evenly, at 90 % of capacity. How many times its service time is the p99 of the response? And at
# 110 %?

# %%
guess_at_90, guess_at_110 = 1.0, 1.0  # times the service time

# %% tags=["nbval-check-output"]
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.1)
sweeps = {
    arrivals: hftlab.loadtest.load_sweep(
        [FakeServer(100_000)], feed, loads=LOADS, arrivals=arrivals, rounds=3, messages=MESSAGES, warm=0, seconds=1.0, seed=SEED
    )
    for arrivals in ("even", "poisson")
}
sticks = {
    name: one.frame()
    .filter(pl.col("percentile").is_in(["p50", "p99"]))
    .select("percentile", "time", "ns", series=pl.lit(f"{name} arrivals"), load=pl.col("offered_per_s") / 10_000)
    for name, one in sweeps.items()
}
share = "offered load (share of what it can do)"
charts.load_chart(sticks["even"], share, "A known server", "each call takes 100,000 ns")

# %% [markdown]
# The right panel is flat: in a closed loop this server looks perfect at every load. The left panel is a **hockey stick**: flat,
# and then the blade. Below its **capacity** the server is idle between two calls, and no call waits. Above it each call waits
# for all before it, and the longer the run, the higher the blade: its end depends on the length of the run, not on the server.
#
# Real calls do not arrive evenly. Now change one thing: they arrive at random, as from many independent senders (a **Poisson**
# process). The mean rate is the same, and so is the server.
#
# **Predict:** where does the blade begin now?

# %%
guess_knee = 0.95  # share of its capacity

# %% tags=["nbval-check-output"]
charts.load_chart(pl.concat(sticks.values()), share, "A known server", "each call takes 100,000 ns")

# %% tags=["nbval-check-output"]
p99 = {
    (name, time): dict(one.filter(percentile="p99", time=time).select(pl.col("load").round(3), "ns").iter_rows())
    for name, one in sticks.items()
    for time in ("response", "service")
}
waits = {key: {load: ns / 100_000 for load, ns in each.items()} for key, each in p99.items()}  # in service times
reveal("even arrivals, p99 at 90 % load, in service times", guess_at_90, waits["even", "response"][0.9])
reveal("at 110 %", guess_at_110, waits["even", "response"][1.1])
claim("even arrivals, p99 at 95 %: nobody waits", waits["even", "response"][0.95], below=1.001)
claim("random arrivals, p99 at 50 %", waits["poisson", "response"][0.5], above=2)
claim("random arrivals, p99 at 95 %", waits["poisson", "response"][0.95], above=8)
print("p99 of a closed loop, by load:", waits["poisson", "service"])
assert set(waits["poisson", "service"].values()) == {1}
reveal("the knee, where p99 is three times that at light load", guess_knee, sweeps["poisson"]["fake"].knee / 10_000)

# %% [markdown]
# **Why?** Random arrivals form clusters, and the last call of a cluster waits for the rest of it. The higher the load, the less
# time is left to catch up. So do not plan with the capacity, but with the **knee**, from which on the tail grows.
#
# ## The real engines
#
# Now the same for Python and Rust. Rates are measured, and the x axis is the share of each engine's *own* capacity, so two
# engines that differ by a large factor fit into one chart.
#
# **Predict:** by how much do the capacities differ? And the shapes?

# %%
guess_capacity = 20  # capacity of Rust / of Python

# %% tags=["nbval-ignore-output"]
sweep = hftlab.loadtest.load_sweep(
    None,
    feed,
    loads=(0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2),
    rounds=ROUNDS,
    messages=MESSAGES,
    warm=5_000,
    seconds=SECONDS,
    seed=SEED,
)
print(to_text("", sweep.tables()[:1]))
sweep.plot(quietest=True)

# %% tags=["nbval-ignore-output"]
flat_out = {curve.target: curve.flat_out for curve in sweep.curves}
if "rust" in flat_out:
    reveal("capacity of Rust / of Python", guess_capacity, flat_out["rust"] / flat_out["python"])
    claim("capacity of Rust / of Python", flat_out["rust"] / flat_out["python"], above=5)
beyond = [(curve, point) for curve in sweep.curves for point in curve.points if not point.sustained]
assert beyond, sweep
hidden = [point.median("response", curve.percentile) / point.median("service", curve.percentile) for curve, point in beyond]
claim("beyond capacity, the tail / that of a closed loop, at least", min(hidden), above=10)

# %% [markdown]
# (Each dot is the best of the rounds: other load on the machine only makes a round slower.)
#
# The curves look alike. **What may surprise you** is the tail far below the knee: a real machine runs other programs, too. A
# pause of a millisecond is the same for both engines, but thousands of messages wait for the fast one after it. A fast engine
# has a deeper queue after the same stall, and drains it sooner.
#
# ## A burst
#
# Markets are calm for seconds, then everybody reacts to the same news within a millisecond: a **microburst**. Let `C` be the
# capacity of the engine, `b` the calm load, and let `n` messages arrive at a rate `r` above `C`. Meanwhile the engine processes
# only the share `C / r` of them, so at the end of the burst `n (1 - C / r)` wait. After that the queue shrinks by `C - b` a
# second.
#
# **Predict,** with that formula: the burst is five times the capacity and lasts two milliseconds; the calm load is a twentieth
# of capacity. For how many milliseconds after it does the queue last?

# %%
guess_drain_ms = 2.0

# %% tags=["nbval-ignore-output"]
burst_plan = {"factors": (10, 30, 100), "base": 0.05, "length_ms": BURST_MS, "rounds": ROUNDS, "warm": 5_000}
bursts = hftlab.loadtest.microbursts(None, **burst_plan, seed=SEED)
bursts.plot()

# %% tags=["nbval-ignore-output"]
columns = ["target", "factor", "load", "batches", "peak_queue", "peak_theory"]
ms = [(pl.col(name) / 1e6).alias(name.replace("_ns", "")) for name in ("drain_ns", "drain_theory_ns", "max")]
show(bursts.frame().select(*columns, *ms), drain="ms", drain_theory="ms", max="ms")

# %% tags=["nbval-ignore-output"]
great = [row for row in bursts.frame().to_dicts() if row["factor"] == 100]
reveal("ms for which the queue lasts", guess_drain_ms, {row["target"]: row["drain_ns"] / 1e6 for row in great} | {})
for row in great:
    claim(f"{row['target']}: drain / length of the burst", row["drain_ns"] / (BURST_MS * 1e6), above=0.5)
    claim(f"{row['target']}: longest queue / in theory", row["peak_queue"] / row["peak_theory"], above=0.5)

# %% [markdown]
# At ten times the calm load nothing happens: that is still half of capacity. The *factor* does not matter, but whether the rate
# exceeds capacity. And the theory needs only one number of the engine.
#
# ## Traffic that is expensive for a book
#
# Not only the *rate* of messages matters, but also their *mix*. A **cancel storm** deletes nearly all orders that were added. A
# **deep** book has many orders on many levels, a **wide** market has many symbols. The engine processes each feed at full
# speed. **Predict:** which is the most expensive?

# %%
guess_worst = "cancel_storm"

# %% tags=["nbval-ignore-output"]
storms = hftlab.loadtest.order_storms(None, ("calm", "cancel_storm", "deep", "wide"), quick=True, seed=SEED)
storms.plot()

# %% tags=["nbval-ignore-output"]
assert not storms.failures
print(f"{len(storms.frame())} storms, each ended in the state of the reference")
ns = {(row["storm"], row["target"]): row["ns_per_message"] for row in storms.frame().to_dicts()}
for target in dict.fromkeys(name for _, name in ns):
    reveal(
        f"most expensive in {target}", guess_worst, max((cost, storm) for (storm, name), cost in ns.items() if name == target)[1]
    )
if "rust" in flat_out:
    claim("in Rust, ns per message, many symbols / one", ns["wide", "rust"] / ns["calm", "rust"], above=1)

# %% [markdown]
# A cancel storm is less expensive than its name suggests: deletes are cheap, and the book becomes small. The expensive part is
# **memory**, as in lesson 06: no two consecutive messages touch the same cache lines. It affects the fast engine more, since it
# does less other work. Here the feeds are small; `hftlab stress storms` uses a million orders.
#
# ## Beyond capacity
#
# If a burst lasts, the ring of waiting messages fills up. Then some messages must be dropped. Which? Many systems *conflate*:
# they keep the latest quote and drop the others. A book of orders cannot: every message changes it, and one missing message
# makes it wrong. The policy is in `hftlab/loadtest/ingress.py`. By hand, with a ring of three:

# %% tags=["nbval-check-output"]
ring = Ingress(3, resume=0.4)


def state(now_ns):
    """What the ring knows of its book."""
    return f"{'stale' if ring.stale else 'complete'}, {'may' if ring.may_trade(now_ns) else 'must not'} trade"


for number in range(1, 7):
    accepted = ring.offer(0, encode(b"LESSON 10 ", number, [b"?"]), now_ns=number)
    print(f"message {number}: {'queued' if accepted else 'dropped'}, {len(ring)} wait; the book: {state(number)}")
for _ in range(3):
    ring.take(now_ns=10)
print(f"processed; {ring.counts['full']} was dropped because the ring was full, {ring.counts['shedding']} while the ring drained")
accepted = ring.offer(0, encode(b"LESSON 10 ", 7, [b"?"]), now_ns=11)
print(f"message 7: {'queued' if accepted else 'dropped'}; the book: {state(11)}")
assert ring.recovered(expected=7, now_ns=12)
print(f"4 to 6 were requested and are in the book: {state(12)}")

# %% [markdown]
# The policy has three decisions. It drops the **newest** messages, not the oldest: the queue stays contiguous, and the missing
# messages form one range. Once it has begun, it drops **everything** until the ring has drained: otherwise the next minutes
# would leave hundreds of gaps, each to be requested. And from the first drop on the trader **does not trade**, until the last
# gap is filled.
#
# **Predict:** three times the capacity of the whole path for thirty milliseconds, then calm again. For how long is the book
# stale? And is it the same book afterwards, to the last bit?

# %%
guess_stale_ms = 20

# %% tags=["nbval-ignore-output"]
overload = hftlab.loadtest.overload_test(None, factor=3.0, length_ms=30.0, ring=RING, seed=SEED)
print(to_text("", overload.tables()))
overload.plot()

# %% tags=["nbval-ignore-output"]
rows = overload.frame().to_dicts()
for row in rows:
    dropped = row["dropped_full"] + row["dropped_shedding"]
    reveal(f"{row['target']}: ms for which the book was stale", guess_stale_ms, row["stale_ms"])
    print(f"  {dropped:,} datagrams dropped, {row['recovered']:,} messages retransmitted, {row['lost']} lost;", end=" ")
    print(f"longest queue {row['peak_queue']} of {RING}; the book afterwards: the same bits")
    assert row["equal"]
    assert dropped > 0
    assert row["recovered"] > 0
    assert row["lost"] == 0
    assert row["peak_queue"] <= RING
after = [
    next(book for at_ms, _, book in one.timeline if at_ms > one.overload_ms[1]) for one in overload.results
]  # state of each book at the first message processed after the overload
print("right after the overload the books are", *sorted(set(after)))
assert set(after) == {"stale"}

# %% [markdown]
# After the overload the book is still stale: the dropped messages are retransmitted, and must be processed beside the new ones.
# That is the price of the policy: time without trading, but never a wrong book.
#
# **What may surprise you:** the faster engine's book is not stale for a shorter time, and may be stale longer. The capacity here
# is that of the whole path, and the part that puts retransmitted datagrams in order, the arbiter, is the same Python code before
# either engine. Offered three times the capacity of *its* path, the faster one drops more messages, and all of them must be
# retransmitted through the same arbiter: compare the counts above.
#
# ## Faults and recovery
#
# Load is not the only stress. Lines fail, connections break in the middle of an order, processes crash and restart.
# `hftlab.loadtest.inject_faults` runs the real exchange and the real trader on a network in one process, with a clock of its own,
# injects a fault, and checks the result. It
# accepts two outcomes: the book equals the fault-free one, bit for bit; or it is *stale*, and the trader does not trade any
# more. No order may be sent twice, and none may be lost silently.
#
# **Predict,** for each: is the book complete at the end? And is an order lost?

# %%
WHOLE, STALE = "book as without the fault", "stale to the end"
guess_ends = {"packet loss": WHOLE, "both lines dead": WHOLE, "lost for good": WHOLE}  # yours

# %% tags=["nbval-ignore-output"]
engine = ["rust" if "rust" in flat_out else "python"]
names = ["packet loss", "line A dead", "both lines dead", "lost for good", "TCP reset in an order", "exchange restart"]
faults = hftlab.loadtest.inject_faults(engine, names, seed=SEED)
show(faults.frame().select("fault", "verdict", "outcome", "recovered_ms").rename({"recovered_ms": "recovered"}), recovered="ms")

# %% tags=["nbval-check-output"]
ended = {row.fault: row.outcome.partition(";")[0] for row in faults.results}
print("\n".join(f"{fault:<22} {outcome}" for fault, outcome in ended.items()))
assert not faults.failures
reveal("the book", guess_ends, {fault: outcome for fault, outcome in ended.items() if fault in guess_ends})

# %% [markdown]
# The fault that ends stale is not a failure. If messages cannot be recovered, the trader must not trade on the book, and it
# must know that. And read the last column of the table: an order whose connection broke is *reported* as lost. The trader
# cannot know whether the exchange got it until it has logged in again and read the messages it missed.
#
# ## The soak
#
# Some faults need hours to show: memory that grows by a few bytes a message, latency that creeps up. A **soak test** runs the
# same messages again and again and fits a slope. A pass ends with an empty book, so any growth is a leak. Ours is short; a real
# one runs as long as you like (`hftlab stress soak --seconds 3600`).

# %% tags=["nbval-ignore-output"]
soak = hftlab.loadtest.soak_test(engine[0], seconds=SOAK_S, seed=SEED)
print(soak)

# %% tags=["nbval-check-output"]
print("faults:", soak.faults, "- orders left in an empty book:", soak.leftover_orders)
assert soak.faults == soak.leftover_orders == 0

# %% [markdown]
# ## Exercise 10.1: a queue that reports what it dropped
#
# *Medium, 25 minutes.* Write a bounded queue with the policy above and one simplification: once it has dropped a message, it
# accepts nothing until it is **empty**.
#
# - `offer(number, message)` returns whether the message was accepted; numbers increase one by one
# - `take()` returns the oldest message, None if there is none
# - `dropped` is a list of the missing ranges `(from, until)`; adjacent ones form one range
# - `stale` is True from the first drop until every dropped message is in the book
# - `filled(upto)`: everything before number `upto` is in the book now
#
# The start is a `collections.deque`. It is bounded, and it drops the oldest message silently.

# %% tags=["nbval-check-output"]
from collections import deque


class Start:
    def __init__(self, size):
        self.waiting = deque(maxlen=size)
        self.dropped, self.stale = [], False

    def offer(self, number, message):
        self.waiting.append(message)
        return True

    def take(self):
        return self.waiting.popleft() if self.waiting else None

    def filled(self, upto):
        pass


answer = check("10.1", Start)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Use a flag `shedding`, which is true while nothing is accepted. It becomes true when there is no room, and false in `take`,
# when the last message was taken. `filled(upto)` cuts ranges off: some vanish, one may become shorter.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
class Bounded(Start):
    def __init__(self, size):
        self.size, self.waiting = size, deque()
        self.dropped, self.shedding = [], False

    @property
    def stale(self):
        return bool(self.dropped)

    def offer(self, number, message):
        self.shedding = self.shedding or len(self.waiting) == self.size
        if not self.shedding:
            self.waiting.append(message)
        elif self.dropped and self.dropped[-1][1] == number:
            self.dropped[-1] = (self.dropped[-1][0], number + 1)
        else:
            self.dropped.append((number, number + 1))
        return not self.shedding

    def take(self):
        message = self.waiting.popleft() if self.waiting else None
        self.shedding = self.shedding and bool(self.waiting)
        return message

    def filled(self, upto):
        self.dropped = [(max(first, upto), until) for first, until in self.dropped if until > upto]


answer = check("10.1", Bounded)
assert answer, answer
answer

# %% [markdown]
# ## Exercise 10.2: how large must the ring be?
#
# *Medium, 20 minutes.* Calls are due at `due` and take `service`, both in ns, shape (n,), whole numbers; one server processes
# them in order. Return the largest number of calls that are **due and not done** at any one time: the necessary size of the
# ring. A call that is done at the moment at which the next one is due has made room for it.
#
# The start uses the average load.


# %% tags=["nbval-check-output"]
def on_the_average(due, service):
    load = service.sum() / (due[-1] - due[0] + service[-1])
    return 1 if load <= 1 else len(due)


answer = check("10.2", on_the_average)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A call begins when it is due, or when the one before it is done, whichever is later (Lindley 1952): `done[i] = max(due[i],
# done[i - 1]) + service[i]`. The queue is longest just after an arrival. How many calls were done by then? Both lists are
# sorted, so `np.searchsorted(done, due, side="right")` counts them.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
def ring_size(due, service):
    done, free = [], 0
    for at, ns in zip(due.tolist(), service.tolist(), strict=True):
        free = max(at, free) + ns
        done.append(free)
    arrived = np.searchsorted(due, due, side="right")
    return int((arrived - np.searchsorted(done, due, side="right")).max(initial=0))


answer = check("10.2", ring_size)
assert answer, answer
answer

# %% [markdown]
# ## Takeaway
#
# - A closed loop cannot measure a queue. Offer a load that does not wait for the response, and count from the due time
#   ([A server of known capacity](#A-server-of-known-capacity)).
# - Plan with the knee, not with the capacity ([The real engines](#The-real-engines)); and size the ring by the burst, with one
#   number of the engine ([A burst](#A-burst)) and Lindley's recursion
#   ([Exercise 10.2: how large must the ring be?](#Exercise-10.2:-how-large-must-the-ring-be?)).
# - When messages must be dropped, drop the newest, record which, stop trading, and fill the gap
#   ([Beyond capacity](#Beyond-capacity)). A late book is a cost. A wrong one is a loss.
#
# **What did not help:** a faster engine against a pause of the machine. Its queue is longer afterwards; only the time to drain
# it is shorter.
#
# **Where it is in the code.** `hftlab/loadtest/` (a module for each section), `hftlab/loadtest/ingress.py` (the policy),
# `notebooks/course/fake_server.py` (the server). `hftlab stress` runs all of it; `hftlab faults` prints the table of faults.
#
# **Next:** 11 The result. What was each step worth, all together?
