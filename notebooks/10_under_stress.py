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
# **What happens when more comes than usual, and what should happen when more comes than can be worked off?**
#
# About 55 minutes, 45 of them for two exercises. Afterwards you will be able to
#
# - draw and read a *hockey stick*, and say why the same engine has two of them,
# - predict how long a queue gets in a burst, how long it lasts, and how large a ring of waiting messages must be,
# - decide what to drop when something must be dropped, and prove that the book is whole again afterwards.

# %% tags=["parameters"]
SEED = 1
MESSAGES = 20_000  # of a run; 200_000 for deeper percentiles
ROUNDS = 3  # of each load; 9 for calmer curves
SECONDS = 0.1  # a run at most; 0.5 for figures to be quoted
BURST_MS = 2.0
RING = 64  # datagrams that may wait
SOAK_S = 3.0  # 120 and more for a real one

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import numpy as np
import polars as pl
from course import check
from course.fake_server import FakeServer

import hftlab
from hftlab import charts
from hftlab.net.trader.ingress import Ingress
from hftlab.protocols.moldudp64 import encode

tables = pl.Config(tbl_hide_dataframe_shape=True, float_precision=1, thousands_separator=True, tbl_cols=20, tbl_rows=40)
tables.set_fmt_str_lengths(120).set_tbl_width_chars(170)
feed = hftlab.synthetic("calm", MESSAGES + 5_000, seed=SEED)

# %% [markdown]
# ## A server we know
#
# Before the real engines, one that cannot surprise: `Known` works on one call at a time, and each takes a tenth of a
# millisecond. Nothing is timed, all is computed, so it can do exactly ten thousand calls a second.
#
# We offer it a **load**: calls that are *due* at times fixed beforehand, at a share of what it can do, come what may. That is an
# **open loop**, and the market is one (lesson 01). *Response* counts from when a call was due; *service*, which is all that a
# closed loop sees, from when its work began.
#
# **Predict:** the calls come evenly, nine of ten that it can do. How many times its service time is the p99 of the response? And
# at eleven of ten?

# %%
guess_at_90, guess_at_110 = 1.0, 1.0  # times the service time

# %% tags=["nbval-check-output"]
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.1)
swept = {
    arrivals: hftlab.loadtest.sweep(
        [FakeServer(100_000)], feed, loads=LOADS, arrivals=arrivals, rounds=3, messages=MESSAGES, warm=0, seconds=1.0, seed=SEED
    )
    for arrivals in ("even", "poisson")
}
sticks = {
    name: one.frame()
    .filter(pl.col("percentile").is_in(["p50", "p99"]))
    .select("percentile", "time", "ns", series=pl.lit(f"{name} arrivals"), load=pl.col("offered_per_s") / 10_000)
    for name, one in swept.items()
}
share = "offered load (share of what it can do)"
charts.load_chart(sticks["even"], share, "A known server", "each call takes 100,000 ns")

# %% [markdown]
# On the right, nothing at all: a closed loop would call this server perfect at every load. On the left, a **hockey stick**: flat,
# and then the blade. Below its **capacity** the server is idle between two calls, and no call waits. Above it each call waits for
# all before it, and the longer the run, the higher the blade: its end is no property of the server but of how long you looked.
#
# Real calls do not come evenly. Now change one thing: they come at random, as from many senders who know nothing of each other
# (a **Poisson** process). The mean rate is the same, and so is the server.
#
# **Predict:** where does the blade begin now?

# %%
guess_knee = 0.95  # share of what it can do

# %% tags=["nbval-check-output"]
charts.load_chart(pl.concat(sticks.values()), share, "A known server", "each call takes 100,000 ns")

# %% tags=["nbval-check-output"]
p99 = {
    (name, time): dict(one.filter(percentile="p99", time=time).select(pl.col("load").round(3), "ns").iter_rows())
    for name, one in sticks.items()
    for time in ("response", "service")
}
claims = {
    "even arrivals, at 95 % load: nobody waits": p99["even", "response"][0.95] == 100_000,
    "random arrivals, at 50 % load: p99 is more than twice the service time": p99["poisson", "response"][0.5] > 200_000,
    "random arrivals, at 95 % load: p99 is more than 8 times the service time": p99["poisson", "response"][0.95] > 800_000,
    "a closed loop reports the same p99 at every load": set(p99["poisson", "service"].values()) == {100_000},
}
assert all(claims.values()), p99
for claim, holds in claims.items():
    print(f"{claim}: {holds}")
knee = swept["poisson"]["known"].knee / 10_000
print(f"the knee, where p99 is three times what it is at light load: {knee:.0%} of what it can do")

# %% [markdown]
# **Why?** At random means that calls also come in clusters, and whoever comes last in a cluster waits for the rest of it. The
# fuller the server, the less room is left to catch up in. So capacity is not the number to plan with: the **knee** is, from where
# on the tail leaves.
#
# ## The real engines
#
# The same for Python and Rust. Rates are now measured, the x axis is each one's *own* capacity, so two engines that differ by a
# large factor can stand in one picture.
#
# **Predict:** by how much does the capacity differ? And the shape?

# %%
guess_capacity = 20  # capacity of Rust / of Python

# %% tags=["nbval-ignore-output"]
sweep = hftlab.loadtest.sweep(
    None,
    feed,
    loads=(0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2),
    rounds=ROUNDS,
    messages=MESSAGES,
    warm=5_000,
    seconds=SECONDS,
    seed=SEED,
)
print("\n".join(line for line in sweep.lines() if line.split(":")[0] in ("python", "rust")))
sweep.plot(quietest=True)

# %% tags=["nbval-check-output"]
flat_out = {curve.target: curve.flat_out for curve in sweep.curves}
faster = "rust" not in flat_out or flat_out["rust"] > 5 * flat_out["python"]
assert faster, flat_out
print("the Rust engine, where it is installed, works off more than 5 times as many messages a second:", faster)
beyond = [(curve, point) for curve in sweep.curves for point in curve.points if not point.sustained]
hidden = all(
    point.median("response", curve.percentile) > 10 * point.median("service", curve.percentile) for curve, point in beyond
)
assert beyond, sweep
assert hidden, sweep
print("wherever an engine did not keep up, the tail is more than 10 times what a closed loop reports:", hidden)

# %% [markdown]
# (Each dot is the quietest of the rounds: whatever else the machine did can only have made one slower.)
#
# The sticks look alike. **What surprises** is the tail far below the knee: a real machine has other things to do. A pause of
# a millisecond is the same pause for both engines, but the quick one has thousands of messages waiting after it. To be fast is
# to have a deeper queue after the same stall, and to be rid of it sooner.
#
# ## A burst
#
# Markets are calm for seconds, then everybody reacts to the same news within a millisecond: a **microburst**. Let `C` be what
# the engine can do a second, `b` the calm load, and let `n` messages come at a rate `r` above `C`. While they come, the engine
# works off only the share `C / r` of them, so at their end `n (1 - C / r)` wait. After that it gains `C - b` a second.
#
# **Predict,** with that: the burst brings five times of what the engine can do and takes two milliseconds; the calm load is a
# twentieth. For how many milliseconds after it does the queue last?

# %%
guess_drain_ms = 2.0

# %% tags=["nbval-ignore-output"]
bursts = hftlab.loadtest.bursts(None, factors=(10, 30, 100), base=0.05, length_ms=BURST_MS, rounds=ROUNDS, warm=5_000, seed=SEED)
bursts.plot()

# %% tags=["nbval-ignore-output"]
print(f"you said {guess_drain_ms} ms")
columns = ["target", "factor", "load", "calls", "peak_queue", "peak_theory"]
ms = [(pl.col(name) / 1e6).alias(name.replace("_ns", " ms")) for name in ("drain_ns", "drain_theory_ns", "max")]
bursts.frame().select(*columns, *ms)

# %% tags=["nbval-check-output"]
great = [row for row in bursts.frame().to_dicts() if row["factor"] == 100]
longer = all(row["drain_ns"] > BURST_MS * 1e6 / 2 for row in great)
assert longer, bursts
print("half a burst after the greatest of them, the queue is still there:", longer)
deep = all(row["peak_queue"] > row["peak_theory"] / 2 for row in great)
assert deep, bursts
print("and it gets at least half as long as the theory says:", deep)

# %% [markdown]
# At ten times the calm load nothing happens: that is still half of what the engine can do. It is not the *factor* that hurts but
# where it ends, above or below capacity. And the theory needs no knowledge of the engine but one number.
#
# ## What is hard on a book
#
# Not only *how much* comes matters, but *what*. A **cancel storm** deletes nearly all that was added. A **deep** book has many
# orders on many levels, a **wide** market has many symbols. Each feed is worked off flat out. **Predict:** which is the worst?

# %%
guess_worst = "cancel_storm"

# %% tags=["nbval-ignore-output"]
storms = hftlab.loadtest.storms(None, ("calm", "cancel_storm", "deep", "wide"), quick=True, seed=SEED)
storms.plot()

# %% tags=["nbval-check-output"]
assert not storms.failures
print("every engine ended every storm as the reference did:", not storms.failures)
ns = {(row["storm"], row["target"]): row["ns_per_message"] for row in storms.frame().to_dicts()}
worse = "rust" not in flat_out or ns["wide", "rust"] > 1.2 * ns["calm", "rust"]
assert worse, ns
print("in Rust, many symbols take more than 1.2 times as long a message as one:", worse)

# %% [markdown]
# A cancel storm is less bad than its name: deletes are cheap, and the book gets small. What hurts is **memory**, as in lesson 06:
# no two messages in a row touch the same lines of the cache. The quick engine feels it more, as ever: it has less else to do.
# Here the feeds are small; `hftlab stress storms` has a million orders.
#
# ## More than can be worked off
#
# If a burst lasts, the ring of waiting messages fills up. Then something must be dropped, and the question is what. Many systems
# *conflate*: they keep the latest quote and forget the others. A book of orders cannot: every message changes it, and one that is
# missing makes it wrong. So the policy is in `hftlab/net/trader/ingress.py`. By hand, with a ring of three:

# %% tags=["nbval-check-output"]
ring = Ingress(3, resume=0.4)
for number in range(1, 7):
    let_in = ring.offer(0, encode(b"LESSON 10 ", number, [b"?"]), now_ns=number)
    print(f"message {number}: {'queued' if let_in else 'dropped'}, {len(ring)} wait, stale: {ring.stale}")
for _ in range(3):
    ring.take(now_ns=10)
print(f"worked off; {ring.counts['full']} was dropped for want of room, {ring.counts['shedding']} while the ring drained")
let_in = ring.offer(0, encode(b"LESSON 10 ", 7, [b"?"]), now_ns=11)
print(f"message 7: {'queued' if let_in else 'dropped'}, stale: {ring.stale}, may trade: {ring.may_trade(11)}")
whole = ring.recovered(expected=7, now_ns=12)
print(f"4 to 6 were asked for and are in the book: {whole}, stale: {ring.stale}, may trade: {ring.may_trade(12)}")

# %% [markdown]
# Three decisions stand in that. The **newest** are dropped, not the oldest: what waits stays an unbroken run, and what is missing
# is one range. Once it has begun, **everything** is dropped until the ring has drained: else the next minutes would leave
# hundreds of holes, each to be asked for. And from the first drop on **nothing is traded**, until the last hole is filled.
#
# **Predict:** three times of what the whole path can do, for thirty milliseconds, then calm again. For how long is the book
# stale? And will it be the same book afterwards, to the last bit?

# %%
guess_stale_ms = 20

# %% tags=["nbval-ignore-output"]
overload = hftlab.loadtest.overload(None, factor=3.0, length_ms=30.0, ring=RING, seed=SEED)
print("\n".join(overload.lines()[:-1]))
print(f"you said {guess_stale_ms} ms")
overload.plot()

# %% tags=["nbval-check-output"]
rows = overload.frame().to_dicts()
claims = {
    "every book is as it would be without the overload, bit for bit": all(row["equal"] for row in rows),
    "something was dropped, and all of it was asked for and came": all(
        row["dropped_full"] + row["dropped_shedding"] > 0 and row["recovered"] > 0 and row["lost"] == 0 for row in rows
    ),
    "the ring never held more than it may": all(row["peak_queue"] <= RING for row in rows),
}
after = [
    next(book for at_ns, _, book in one.seen.timeline if at_ns / 1e6 > one.overload_ms[1]) for one in overload.engines
]  # what each book is when something is worked off for the first time after the overload
claims["when the overload is over, the books are stale still"] = set(after) == {"stale"}
assert all(claims.values()), overload
for claim, holds in claims.items():
    print(f"{claim}: {holds}")

# %% [markdown]
# The overload ends, and the book is stale still: what was dropped comes again, and has to be worked off beside what is new. That
# is the price of the policy, and it is paid in time without trading, never in a wrong book.
#
# ## Faults, and what is left after them
#
# Load is not the only stress. Lines die, connections break in the middle of an order, processes fail and come back.
# `hftlab.loadtest.faults` sets up a real exchange and a real trader on loopback, breaks something, and looks afterwards. It
# accepts
# two ends: the book is the fault-free one, bit for bit; or it is *stale*, and nothing is traded any more. No order may go out
# twice, and none may be lost without a word.
#
# **Predict,** for each: is the book whole at the end? And is an order lost?

# %%
guess_whole = {"packet loss": True, "both lines dead": True, "lost for good": True, "TCP reset in an order": True}

# %% tags=["nbval-ignore-output"]
engine = ["rust" if "rust" in flat_out else "python"]
names = ["packet loss", "line A dead", "both lines dead", "lost for good", "TCP reset in an order", "exchange restart"]
faults = hftlab.loadtest.faults(engine, names, seed=SEED)
with pl.Config(fmt_str_lengths=80, tbl_width_chars=200):
    print(faults.frame().select("fault", "how", "recovered_ms", "verdict", "said"))

# %% tags=["nbval-check-output"]
ended = {row.fault: row.said.partition(";")[0] for row in faults.rows}
print("\n".join(f"{fault:<22} {said}" for fault, said in ended.items()))
assert not faults.failures
print("every fault was survived:", not faults.failures)

# %% [markdown]
# The one that ends stale is no failure. Messages that nobody can bring back leave a book that nobody should trade on, and to know
# that is what the machinery is for. And read the last column of the table: an order whose connection broke is *reported* as lost.
# The trader cannot know whether the exchange got it until it has logged in again and read what it missed.
#
# ## The soak
#
# Some faults need hours: memory that grows by a few bytes a message, a latency that creeps. A **soak** runs the same messages
# again and again and looks for a slope. A pass ends with an empty book, so whatever has grown is a leak. Ours is a short one, to
# see the form; the real one runs for as long as you like (`hftlab stress soak --seconds 3600`).

# %% tags=["nbval-ignore-output"]
soak = hftlab.loadtest.soak(engine[0], seconds=SOAK_S, seed=SEED)
print("\n".join(soak.lines()))

# %% tags=["nbval-check-output"]
print("faults:", soak.faults, "- orders left over in an empty book:", soak.left_over)
assert soak.faults == soak.left_over == 0

# %% [markdown]
# ## Exercise 10.1: a queue that says what it dropped
#
# *Medium, 25 minutes.* Write a bounded queue that follows the policy above, with one simplification: once it has dropped
# something, it lets nothing in until it is **empty**.
#
# - `offer(number, message)` returns whether the message was let in; numbers rise one by one
# - `take()` returns the oldest message, None if there is none
# - `dropped` is a list of ranges `(from, until)` that are missing; neighbours make one range
# - `stale` is True from the first drop until all that was dropped is in the book
# - `filled(upto)`: somebody says that everything before number `upto` is in the book now
#
# The start is what `collections.deque` offers. It is bounded, and it lies: it forgets the oldest, without a word.

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
# Keep `shedding`, a word on whether nothing is let in at present. It begins when there is no room, and ends in `take`, when the
# last one was taken. `filled(upto)` cuts ranges off: some go, one may become shorter.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class Honest(Start):
#     def __init__(self, size):
#         self.size, self.waiting = size, deque()
#         self.dropped, self.shedding = [], False
#
#     @property
#     def stale(self):
#         return bool(self.dropped)
#
#     def offer(self, number, message):
#         self.shedding = self.shedding or len(self.waiting) == self.size
#         if not self.shedding:
#             self.waiting.append(message)
#         elif self.dropped and self.dropped[-1][1] == number:
#             self.dropped[-1] = (self.dropped[-1][0], number + 1)
#         else:
#             self.dropped.append((number, number + 1))
#         return not self.shedding
#
#     def take(self):
#         message = self.waiting.popleft() if self.waiting else None
#         self.shedding = self.shedding and bool(self.waiting)
#         return message
#
#     def filled(self, upto):
#         self.dropped = [(max(first, upto), until) for first, until in self.dropped if until > upto]
# ```
#
# </details>


# %% tags=["solution", "nbval-ignore-output"]
class Honest(Start):
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


answer = check("10.1", Honest)
assert answer, answer
answer

# %% [markdown]
# ## Exercise 10.2: how large must the ring be?
#
# *Medium, 20 minutes.* Calls are due at `due` and take `service`, both in ns, shape (n,), whole numbers; one server works on them
# in order. Return the most calls that are **due and not done** at any one time: so large must the ring be. A call that is done
# in the moment in which the next one is due has made room for it.
#
# The start looks at the load on the average, as a first plan does.


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
# A call begins when it is due, or when the one before it is done, whichever is later (Lindley 1952):
# `done[i] = max(due[i], done[i - 1]) + service[i]`. The queue is longest just after somebody came. How many were done by then?
# Both lists rise, so `np.searchsorted(done, due, side="right")` counts them.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def ring_size(due, service):
#     done, free = [], 0
#     for at, ns in zip(due.tolist(), service.tolist()):
#         free = max(at, free) + ns
#         done.append(free)
#     came = np.searchsorted(due, due, side="right")
#     return int((came - np.searchsorted(done, due, side="right")).max(initial=0))
# ```
#
# </details>


# %% tags=["solution", "nbval-ignore-output"]
def ring_size(due, service):
    done, free = [], 0
    for at, ns in zip(due.tolist(), service.tolist(), strict=True):
        free = max(at, free) + ns
        done.append(free)
    came = np.searchsorted(due, due, side="right")
    return int((came - np.searchsorted(done, due, side="right")).max(initial=0))


answer = check("10.2", ring_size)
assert answer, answer
answer

# %% [markdown]
# ## Takeaway
#
# - A closed loop cannot see a queue. Offer a load that does not wait for the answer, and count from when it was due.
# - Plan with the knee, not with the capacity; and size the ring by the burst: one number of the engine and Lindley's line do it.
# - When something must be dropped, drop the newest, say which, stop trading, and fill the hole. A late book is a cost. A wrong
#   one is a loss.
#
# **What did not help:** a faster engine against a pause of the machine. It has more waiting after it; only the time to work it
# off gets shorter. And dropping old messages instead of new ones, which leaves more holes.
#
# **Where it is in the code.** `hftlab/loadtest/` (a module for each section), `hftlab/net/trader/ingress.py` (the policy),
# `notebooks/course/fake_server.py` (the server). `hftlab stress` runs all of it in one go; `--faults` prints the whole table.
#
# **Next:** 11 The result. What was each step worth, all together?
