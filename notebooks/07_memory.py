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
# # 07 Memory: pre-allocation and pooling
#
# **What do allocations do to the tail?** 50 minutes. Afterwards you can
#
# - count what each message asks of the allocator, stage by stage, and say why;
# - find the one message in a hundred thousand that waits while a table is rebuilt, and prove that it is no accident;
# - build a pool, whose every call is short, not only the mean one.
#
# Three words first. To *allocate* is to ask for memory while running. The *allocator* (`malloc` and its relatives) finds a
# free piece and remembers that it is taken. The *tail* of a latency distribution is its slow end: the few messages that take
# much longer than the rest. An engine that trades is judged by its tail, since the slow messages come when everybody is busy.

# %% tags=["parameters"]
MESSAGES = 40_000  # of a calm market; larger: 1_000_000
ADDS = 300_000  # orders that come and stay; larger: 2_000_000
ROUNDS = 5
SEED = 1

# %%
# %load_ext hftlab
import mmap
import resource
from itertools import pairwise
from time import perf_counter_ns

import numpy as np
import polars as pl
from course import check
from course.lesson07 import Cells

import hftlab
from hftlab import charts
from hftlab.feeds.generate.steady import steady

# %% [markdown]
# ## Who asks for memory?
#
# An order book lives on orders that come and go. The naive Rust engine gives each order a heap allocation of its own
# (`pool=False`), keeps its price levels in a tree of nodes (`book=btree`), and finds orders in a hash table (`orders=std`).
#
# **Predict first:** how many allocations does a message cause, once everything has warmed up?

# %%
guess = 1.0  # allocations per message; yours

# %% [markdown]
# ## Measure
#
# The Rust engine's allocator counts (`rust_ext/src/py/allocations.rs`). A count is the same on a busy machine and on a quiet
# one. *Steady state* is what every message asks for; *growth*, what tables ask for now and then while they become larger.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, SEED)
variants = {
    "naive": "rust book=btree pool=False orders=std",
    "+ pool": "rust book=btree pool=True orders=std",
    "+ ladder": "rust book=ladder pool=True orders=std",
    "+ flat: best": "rust book=ladder pool=True orders=flat",
}


def asked(name):
    """Allocations per message in the steady state, and growing."""
    rows = hftlab.profile(variants[name], feed, "memory", messages=MESSAGES).rows
    return [sum(row["allocations_per_message"] for row in rows if row["kind"] == kind) for kind in ("stage", "growth")]


def drawn(seen):
    bars = [{"label": name, "value": steady_, "group": "book"} for name, (steady_, _) in seen.items()]
    return charts.bar_chart(bars, "What a message asks of the allocator", feed.name, "allocations per message, steady state")


seen = {"naive": asked("naive")}
adds = hftlab.Engine("python").run(feed, record="none").counts
per_message = (adds["ADD"] + adds["REPLACE"]) / MESSAGES
print(f"naive: {seen['naive'][0]:.2f} allocations per message; orders that come, per message: {per_message:.2f}")
assert abs(seen["naive"][0] - per_message) < 0.1 * per_message

# %% [markdown]
# One allocation for each order that comes: an ADD, or the new half of a REPLACE. By stage, all of it belongs to the book.
# Tick, signal and order ask for nothing, even in the naive engine: they write into memory that has been there from the start.
#
# ## Change one thing: a pool
#
# A *pool* (here a *slab*) is one array of orders. A freed slot goes on a *free list* and is the next to be used
# (`rust_ext/src/pool/slab.rs`). One switch, and the same picture with more bars; then the other two switches.

# %% tags=["nbval-ignore-output"]
for name in list(variants)[1:]:
    assert hftlab.verify("python", variants[name], feed)
    seen[name] = asked(name)
for name, (steady_, growing) in seen.items():
    print(f"{name:13} {steady_:.4f} allocations per message in the steady state, {growing:.4f} growing")
assert seen["+ pool"][0] < 0.02 * seen["naive"][0]
assert seen["+ flat: best"][0] == 0

# %% tags=["nbval-ignore-output"]
drawn(seen)

# %% [markdown]
# The pool takes nearly all of it; what is left are nodes of the tree, and the ladder does without those. In the steady state
# the best engine asks the allocator for nothing. That is held by a test, not by hope: `rust_ext/tests/allocations.rs`.
#
# ## The tail, not the median
#
# So the allocator is quiet. Is the tail? Let us have a market in which orders come and stay. Each message is stamped before
# and after. We run it several times and keep, for each message, the *least* of its times: what happens in each round is the
# engine's doing, what happens in one is the machine's.
#
# **Predict first:** the hash table of `orders=std` must hold more and more orders. What does its slowest add take, against a
# median one?

# %%
guess_times = 10  # so many times the median; yours

# %% tags=["nbval-ignore-output"]
growing = steady(ADDS, messages=10, seed=SEED).feed("orders that stay")
tables = {"orders=std": "rust orders=std", "orders=fast": "rust orders=fast", "orders=flat": "rust orders=flat"}
WINDOWS = 150


def stamps(name):
    """Least ns of each add over the rounds."""
    engine = hftlab.Engine("rust", orders=name.partition("=")[2])
    rounds = [engine.run(growing, record="none", latency="total").latency["total"][:ADDS] for _ in range(ROUNDS)]
    return np.maximum(np.min(rounds, axis=0), 1.0)


def timeline(times):
    """The slowest add of each window."""
    edges = np.linspace(0, ADDS, WINDOWS + 1).astype(int)
    rows = [(name, int(a), float(ns[a:b].max())) for name, ns in times.items() for a, b in pairwise(edges)]
    frame = pl.DataFrame(rows, ["series", "x", "y"], orient="row")
    title = f"The slowest of {ADDS // WINDOWS:,} adds, while orders come and stay"
    told = f"ns, the least of {ROUNDS} rounds for each add"
    return charts.line_chart(frame, title, told, x="live orders", y="ns of the slowest add", log_y=True)


times = {"orders=std": stamps("orders=std")}
timeline(times)

# %% [markdown]
# Peaks, each about twice as high and twice as far along as the one before. (Where there are others, all of one height and at
# equal distances: they are something else, and we come to them.) When the table is full, a table of twice the size is
# allocated, and *every* order moves into it. The message that happens to come then waits for all of them. No percentile tells
# you:


# %% tags=["nbval-ignore-output"]
def table(times):
    rows = [(name, *(float(np.quantile(ns, q)) for q in (0.5, 0.99, 0.999)), float(ns.max())) for name, ns in times.items()]
    return pl.DataFrame(rows, ["variant", "median", "p99", "p99.9", "worst"], orient="row").with_columns(
        pl.col(pl.Float64).round(0)
    )


table(times)

# %% [markdown]
# Is it really the table? Its makers fill it to seven eighths, and its size is a power of two. So the last rebuild must be at
# the largest such number below the number of adds:

# %% tags=["nbval-check-output"]
last = max(7 << power for power in range(30) if 7 << power < ADDS)
worst = int(times["orders=std"].argmax())
print("the slowest add came with", worst, "orders live; the last rebuild is due at", last)
assert worst == last

# %% [markdown]
# ## Change one thing: the hash, then the table
#
# `orders=fast` is the same table with a cheaper hash. `orders=flat` grows otherwise: whenever it is half full it splits *one*
# cell in two (linear hashing, Litwin 1980; see the head of `rust_ext/src/orders/flat.rs`). No add ever waits for the whole.

# %% tags=["nbval-ignore-output"]
times["orders=fast"] = stamps("orders=fast")
times["orders=flat"] = stamps("orders=flat")
timeline(times)

# %% tags=["nbval-ignore-output"]
table(times)

# %% tags=["nbval-check-output"]
medians, worsts = ({name: float(of(ns)) for name, ns in times.items()} for of in (np.median, np.max))
claims = {
    "the medians lie within a factor of three": max(medians.values()) < 3 * min(medians.values()),
    "the fast hash waits for the same rebuild": int(times["orders=fast"].argmax()) == last,
    "the worst add of std takes four times as long as that of flat": worsts["orders=std"] > 4 * worsts["orders=flat"],
}
for claim, holds in claims.items():
    print(f"{claim}: {holds}")
assert all(claims.values()), (medians, worsts)

# %% [markdown]
# A faster hash makes the peaks lower. It does not take them away: to do a bad thing faster is not to stop doing it. And look
# at the median: whoever measures only that sees next to nothing of all this.
#
# ## Exercise 07.1: When does a table rebuild?
#
# *Easy, 10 minutes.* Write a function that lists, for a table of Rust's `HashMap`, with how many live orders the next add
# makes it rebuild. Your answer is compared with the allocator: orders are added one by one, and it tells when a new table was
# asked for. The start below is the rule of a growing array. What is different?


# %% tags=["nbval-check-output"]
def rebuilds(most):
    """Numbers of live orders, below `most`, at which the next add rebuilds the table; smallest first."""
    return [2**power for power in range(40) if 2**power < most]


check("07.1", rebuilds)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Buckets are powers of two. A table of 8 or more is filled to 7/8; the smallest has 4 buckets, of which one must stay free.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def sevens(most):
#     return [full for full in (3, *(7 << power for power in range(40))) if full < most]
# ```
# </details>


# %% tags=["solution"]
def sevens(most):
    return [full for full in (3, *(7 << power for power in range(40))) if full < most]


assert check("07.1", sevens)

# %% [markdown]
# ## Page faults: memory that is not there yet
#
# Lower peaks remain in the curve of `flat`, at equal distances; the other two have them as well. They are not the allocator's.
# The system hands out *addresses* at once, but memory only when an address is first touched: a *page* of 4,096 bytes at a
# time, filled with zeros. That moment is a *page fault*: the processor stops, the kernel finds a page, clears it, and goes
# back. Python can show it: 8 MiB, touched twice.

# %% tags=["nbval-ignore-output"]
PAGE, PAGES = 4096, 2048


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


memory = mmap.mmap(-1, PAGE * PAGES)
passes = []
for touch in ("first", "second"):
    before, start = faults(), perf_counter_ns()
    for at in range(0, PAGE * PAGES, PAGE):
        memory[at] = 1
    passes.append((touch, faults() - before, (perf_counter_ns() - start) / PAGES))
pl.DataFrame(passes, ["touch", "page faults", "ns per page"], orient="row")

# %% tags=["nbval-check-output"]
(_, first_faults, first_ns), (_, second_faults, second_ns) = passes
print("the first touch faults more often:", first_faults > 3 * second_faults)
print("and takes more than twice the time:", first_ns > 2 * second_ns)
assert first_faults > 3 * second_faults
assert first_ns > 2 * second_ns

# %% [markdown]
# The cure is *pre-touch*: touch the memory before the first message. The slab does so for its first orders, `Pages::touch` in
# `rust_ext/src/pages.rs`. How many? Its constant `READY` says 65,536. If that is right, the adds before it are free of faults,
# and the first one after it is not.
#
# How large is a fault? That depends on *huge pages*: 2 MiB handed out at once, so that there are fewer faults, and fewer
# misses in the table that translates addresses. The engine asks for them; the doctor says whether this system listens.

# %% tags=["nbval-ignore-output"]
READY = 65_536
flat = times["orders=flat"]
before, after = float(flat[1_000 : READY - 1].max()), float(flat[READY - 1 : READY + 1_000].max())
print("transparent huge pages:", hftlab.doctor(quick=True)["transparent huge pages"].state)
print(f"slowest add among the pre-touched: {before:,.0f} ns; just behind them: {after:,.0f} ns")
peaks = np.flatnonzero(flat > 10 * before)
print("adds more than ten times as slow as the slowest of the pre-touched, by live orders:", peaks[:12].tolist())

# %% [markdown]
# An order takes 32 bytes, so a huge page holds 65,536 of them. Where this system gives huge pages, the peaks above stand that
# far apart. Each is one fault that clears 2 MiB. With small pages there are more and shorter ones. Here is the trade in one
# sentence: huge pages make faults rare and long. Who cannot bear a long one must touch everything beforehand, and pay with
# start-up time.

# %% tags=["nbval-check-output"]
huge = hftlab.doctor(quick=True)["transparent huge pages"].state in ("always", "madvise")
holds = after > 5 * before if huge else True  # small pages are short faults, which noise may hide
print("with huge pages, an add just behind the pre-touched ones takes more than five times as long as any of them:", holds)
assert holds

# %% [markdown]
# ## Exercise 07.2: A pool whose every call is short
#
# *Medium, 15 minutes.* Write the pool. You are given `cells`, memory of a fixed size that counts how often it is touched, each
# cell `None` at first. `put(value)` stores a value and returns its slot; `take(slot)` gives the value back and frees the slot.
# There is always room when `put` is called. The check looks at the values, then at the mean, then at the worst call: the tail.
# What you do in `__init__` is not counted. The start below looks for a free cell.


# %% tags=["nbval-check-output"]
class Pool:
    def __init__(self, cells):
        self.cells = cells

    def put(self, value):
        slot = next(slot for slot in range(len(self.cells)) if self.cells[slot] is None)
        self.cells[slot] = value
        return slot

    def take(self, slot):
        value, self.cells[slot] = self.cells[slot], None
        return value


check("07.2", Pool)

# %% [markdown]
# It is right, and it gets slower the fuller it is. An obvious mend is to look for *all* free cells whenever one knows of none.
# That passes the mean. Try it, and see what the last step says.
#
# <details><summary>Hint</summary>
#
# A free cell holds no value. So it has room for something else: the number of the next free cell.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class FreeList:
#     def __init__(self, cells):
#         self.cells, self.free = cells, 0
#         for slot in range(len(cells)):  # each free cell names the next one
#             cells[slot] = slot + 1
#
#     def put(self, value):
#         slot = self.free
#         self.free, self.cells[slot] = self.cells[slot], value
#         return slot
#
#     def take(self, slot):
#         value, self.cells[slot] = self.cells[slot], self.free
#         self.free = slot
#         return value
# ```
# </details>


# %% tags=["solution"]
class FreeList:
    def __init__(self, cells):
        self.cells, self.free = cells, 0
        for slot in range(len(cells)):  # each free cell names the next one
            cells[slot] = slot + 1

    def put(self, value):
        slot = self.free
        self.free, self.cells[slot] = self.cells[slot], value
        return slot

    def take(self, slot):
        value, self.cells[slot] = self.cells[slot], self.free
        self.free = slot
        return value


assert check("07.2", FreeList)

# %% [markdown]
# The same list as in `slab.rs`, and with the same side effect: the slot that was freed last is used first, while it is still
# in cache.

# %% tags=["nbval-check-output"]
pool = FreeList(Cells(4))
slots = [pool.put(name) for name in "abc"]
pool.take(slots[1])
print("slots of a, b, c:", slots, "| b goes, d comes into slot", pool.put("d"))

# %% [markdown]
# ## Takeaway
#
# - Count allocations. In the steady state there is a right number for a hot path, and it is zero.
# - A structure that grows all at once makes one message pay for all. Percentiles do not show it; look at the worst.
# - Memory that is only reserved is not there. Touch it before the market opens.
#
# **What did not help.** A faster hash: the peaks are lower, and still there. Huge pages: fewer faults, each of them longer, so
# the worst message is not cured by them but by touching first.
#
# **Where it is.** `rust_ext/src/pool/` (boxed, slab), `rust_ext/src/orders/` (std, fast, flat), `rust_ext/src/pages.rs`
# (reserve, touch), `hftlab/profiling/memory.py` (the count).
#
# **Next:** 08 Signals. How does one compute less, and give the same bits?
