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
# **What do allocations do to the tail?** About 55 minutes, 25 of them for two exercises. Afterwards you can
#
# - count the allocations of each message, stage by stage, and explain them;
# - find the one message in a hundred thousand that waits while a table is rebuilt, and prove the cause;
# - build a pool whose every call is short, not only the average one.
#
# Three terms first. To *allocate* is to request memory at run time. The *allocator* (`malloc` and its relatives) finds a free
# block and marks it as used. The *tail* of a latency distribution is its slow end: the few messages that take much longer than
# the rest. A trading engine is judged by its tail, since the slow messages occur when the market is busy.

# %% tags=["parameters"]
MESSAGES = 40_000  # of a calm market; larger: 1_000_000
ADDS = 300_000  # orders that are added and stay; larger: 2_000_000
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
from course import check, claim, reveal, show
from course.lesson07 import Cells

import hftlab
from hftlab import charts
from hftlab.feeds.generate.steady import steady

# %% [markdown]
# ## Which code allocates?
#
# In an order book, orders come and go. The naive Rust engine gives each order a heap allocation of its own (`pool=False`),
# stores its price levels in a tree of nodes (`book=btree`), and finds orders in a hash table (`orders=std`).
#
# **Predict first:** how many allocations does a message cause after the warm-up?

# %%
guess = 1.0  # allocations per message; yours

# %% [markdown]
# ## Measure
#
# The Rust extension has a counting allocator (`rust_ext/src/py/allocations.rs`). A count is the same on a busy machine and on a
# quiet one. *Steady state* counts the allocations of every message; *growth*, those of tables that become larger now and then.

# %% tags=["nbval-ignore-output"]
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
reveal("allocations per message of the naive engine", guess, seen["naive"][0])
claim("allocations for each new order", seen["naive"][0] / per_message, above=0.9, below=1.1)

# %% [markdown]
# There is one allocation for each new order: an ADD, or the new order of a REPLACE. By stage, all of them belong to the book.
# Tick, signal and order allocate nothing, even in the naive engine: they write into memory reserved at the start.
#
# ## Change one thing: a pool
#
# A *pool* (here a *slab*) is one array of orders. A freed slot goes on a *free list* and is the next to be used
# (`rust_ext/src/book/pool/slab.rs`). Set one switch, and draw the same chart with more bars; then the other two switches.

# %% tags=["nbval-ignore-output"]
for name in list(variants)[1:]:
    assert hftlab.verify("python", variants[name], feed)
    seen[name] = asked(name)
rows = [(name, *counts) for name, counts in seen.items()]
print(show(pl.DataFrame(rows, ["variant", "steady state", "growth"], orient="row"), "Allocations per message"))
assert seen["+ pool"][0] < 0.02 * seen["naive"][0]
assert seen["+ flat: best"][0] == 0

# %% tags=["nbval-ignore-output"]
drawn(seen)

# %% [markdown]
# The pool removes nearly all of them; the rest are nodes of the tree, which the ladder does not have. In the steady state the
# best engine allocates nothing. A test asserts it: `rust_ext/tests/allocations.rs`.
#
# ## The tail, not the median
#
# So the allocator is idle. Is the tail short? Take a market in which orders are added and stay. Each message is stamped before
# and after. We run it several times and take the *minimum* of each message over the rounds: what occurs in every round is
# caused by the engine, what occurs in one round by the machine.
#
# **Predict first:** the hash table of `orders=std` contains more and more orders. How long does its slowest add take, compared
# with a median one?

# %%
guess_times = 10  # times the median; yours

# %% tags=["nbval-ignore-output"]
growing = steady(ADDS, messages=10, seed=SEED).feed("orders that stay")
tables = {"orders=std": "rust orders=std", "orders=fast": "rust orders=fast", "orders=flat": "rust orders=flat"}
WINDOWS = 150


def stamps(name):
    """Minimum ns of each add over the rounds."""
    engine = hftlab.Engine("rust", orders=name.partition("=")[2])
    rounds = [engine.run(growing, record="none", latency="total").latency["total"][:ADDS] for _ in range(ROUNDS)]
    return np.maximum(np.min(rounds, axis=0), 1.0)


def timeline(times):
    """The slowest add of each window."""
    edges = np.linspace(0, ADDS, WINDOWS + 1).astype(int)
    rows = [(name, int(a), float(ns[a:b].max())) for name, ns in times.items() for a, b in pairwise(edges)]
    frame = pl.DataFrame(rows, ["series", "x", "y"], orient="row")
    title = f"The slowest of {ADDS // WINDOWS:,} adds, while orders are added and stay"
    subtitle = f"ns, the minimum of {ROUNDS} rounds for each add"
    names = {"x": "live orders", "y": "ns of the slowest add"}
    return charts.line_chart(frame, title, subtitle, **names, log_y=True, mark="step")


times = {"orders=std": stamps("orders=std")}
slowest = times["orders=std"].max() / np.median(times["orders=std"])
reveal("slowest add / median add", guess_times, slowest)
timeline(times)

# %% [markdown]
# The chart shows peaks, each about twice as high and at twice as many orders as the one before. When the table is full, it
# allocates a table of twice the size, and moves *every* order into it. The message at that moment waits for all of them. No
# percentile shows it:


# %% tags=["nbval-ignore-output"]
def table(times):
    rows = [(name, *(float(np.quantile(ns, q)) for q in (0.5, 0.99, 0.999)), float(ns.max())) for name, ns in times.items()]
    return show(pl.DataFrame(rows, ["variant", "p50", "p99", "p99.9", "worst"], orient="row"), "An add, ns")


table(times)

# %% [markdown]
# Is it really the table? It is filled to seven eighths, and its size is a power of two. So the last rebuild must be at the
# largest such number below the number of adds:

# %% tags=["nbval-check-output"]
last = max(7 << power for power in range(30) if 7 << power < ADDS)
worst = int(times["orders=std"].argmax())
print("the slowest add had", worst, "live orders before it; the last rebuild is expected at", last)
assert worst == last

# %% [markdown]
# ## Change one thing: the hash, then the table
#
# `orders=fast` is the same table with a cheaper hash. `orders=flat` grows differently: when it is half full, an add splits
# *two* cells in two each (linear hashing, Litwin 1980; see the head of `rust_ext/src/book/orders/flat.rs`). No add ever waits
# for the whole table.

# %% tags=["nbval-ignore-output"]
times["orders=fast"] = stamps("orders=fast")
times["orders=flat"] = stamps("orders=flat")
timeline(times)

# %% tags=["nbval-ignore-output"]
table(times)

# %% tags=["nbval-ignore-output"]
medians, worsts = ({name: float(of(ns)) for name, ns in times.items()} for of in (np.median, np.max))
claim("largest median / smallest", max(medians.values()) / min(medians.values()), below=3)
print(f"the slowest add of the fast hash had {int(times['orders=fast'].argmax()):,} live orders before it: the same rebuild")
assert int(times["orders=fast"].argmax()) == last
claim("worst add, std / flat", worsts["orders=std"] / worsts["orders=flat"], above=4)

# %% [markdown]
# A faster hash makes the peaks lower, but it does not remove them. And look at the median: it shows next to nothing of all
# this.
#
# ## Exercise 07.1: When does a table rebuild?
#
# *Easy, 10 minutes.* Write a function that lists, for Rust's `HashMap`, the numbers of live orders at which the next add
# rebuilds the table. The check compares your answer with the allocator: it adds orders one by one, and records when a new table
# was allocated. The start below is the rule of a growing array. What is different?


# %% tags=["nbval-check-output"]
def rebuilds(most):
    """Numbers of live orders, below `most`, at which the next add rebuilds the table; smallest first."""
    return [2**power for power in range(40) if 2**power < most]


check("07.1", rebuilds)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Buckets are powers of two. A table of 8 or more buckets is filled to 7/8; the smallest has 4 buckets, one of which must stay
# free.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def sevens(most):
    return [full for full in (3, *(7 << power for power in range(40))) if full < most]


assert check("07.1", sevens)

# %% [markdown]
# ## Page faults: memory that is not mapped yet
#
# An allocator may delay a message in another way. The operating system returns *addresses* at once, but memory only at the
# first access: a *page* of 4,096 bytes at a time, filled with zeros. That event is a *page fault*: the processor traps into
# the kernel, which finds a page, clears it, and returns. Python can show it: 8 MiB, touched twice.

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
show(pl.DataFrame(passes, ["touch", "page faults", "ns per page"], orient="row"))

# %% tags=["nbval-ignore-output"]
(_, first_faults, first_ns), (_, second_faults, second_ns) = passes
claim("page faults, first touch / second", first_faults / max(second_faults, 1), above=3)
claim("time, first touch / second", first_ns / second_ns, above=2)

# %% [markdown]
# *Huge pages* of 2 MiB make faults rare, and they save misses in the TLB, the processor's cache of addresses. But the kernel
# clears a page before it gives it away. **Predict:** how many times as long is the fault of a huge page as that of a small one?

# %%
guess_huge = 512  # a huge page has the bytes of 512 small ones; yours

# %% tags=["nbval-ignore-output"]
HUGE = 512 * PAGE


def first_touches(advice):
    """ns of the first access to each of eleven huge pages, or to a small page at the same places."""
    memory = mmap.mmap(-1, 12 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(advice)
    times = []
    for at in range(-np.frombuffer(memory, np.uint8).ctypes.data % HUGE, 11 * HUGE, HUGE):
        start = perf_counter_ns()
        memory[at] = 1
        times.append(perf_counter_ns() - start)
    return float(np.median(times))


huge_pages = hftlab.doctor(quick=True)["transparent huge pages"].state
print("transparent huge pages:", huge_pages)
if huge_pages in ("always", "madvise"):
    small, huge = first_touches(mmap.MADV_NOHUGEPAGE), first_touches(mmap.MADV_HUGEPAGE)
    print(f"first access to a small page {small / 1e3:.1f} µs, to a huge one {huge / 1e3:.0f} µs")
    reveal("huge fault / small fault", guess_huge, huge / small)
    claim("huge fault / small fault", huge / small, above=5)

# %% [markdown]
# That is longer than thousands of messages take. So the engine never takes a huge page while a message waits. Between two
# pieces of a buffer it makes the memory of the next 8,192 messages *ready*: it touches the pages that they can need at most,
# huge ones where the system has them (`Pages::ready` in `rust_ext/src/reserved.rs`). A message that arrives alone,
# unannounced, takes small pages. In the curve of `flat` above the page faults cannot be found any more; after the first
# orders, which open the book and its tables, even the slowest add is near the median:

# %% tags=["nbval-ignore-output"]
flat = times["orders=flat"][100:]
at = 100 + int(flat.argmax())
print(f"slowest add of flat: {flat.max():,.0f} ns, with {at:,} live orders; median {np.median(flat):,.0f} ns")
claim("slowest add of flat / median", flat.max() / np.median(flat), below=100)

# %% [markdown]
# ## Exercise 07.2: A pool whose every call is short
#
# *Medium, 15 minutes.* Write the pool. `cells` is memory of a fixed size that counts accesses, each cell `None` at first.
# `put(value)` stores a value and returns its slot; `take(slot)` returns the value and frees the slot. There is always room when
# `put` is called. The check tests the values, then the mean, then the worst call: the tail. `__init__` is not counted. The
# start below searches for a free cell.


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
# It is right, and it becomes slower the fuller it is. An obvious improvement is to collect *all* free cells whenever none is
# known. That passes the mean. Try it, and read the last step.
#
# <details><summary>Hint</summary>
#
# A free cell stores no value. So it has room for something else: the number of the next free cell.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
class FreeList:
    def __init__(self, cells):
        self.cells, self.free = cells, 0
        for slot in range(len(cells)):  # each free cell stores the next one
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
# This is the free list of `rust_ext/src/book/pool/slab.rs`, with the same side effect: the slot freed last is reused first,
# while it is still in the cache.

# %% tags=["nbval-check-output"]
pool = FreeList(Cells(4))
slots = [pool.put(name) for name in "abc"]
pool.take(slots[1])
print("slots of a, b, c:", slots, "| b leaves, d gets slot", pool.put("d"))

# %% [markdown]
# ## Takeaway
#
# - Count allocations. In the steady state the right number for a hot path is zero
#   ([Change one thing: a pool](#Change-one-thing:-a-pool)).
# - A structure that grows all at once delays one message for all. Percentiles do not show it; look at the maximum
#   ([The tail, not the median](#The-tail,-not-the-median)).
# - Reserved memory is not mapped yet. Touch it before the market opens
#   ([Page faults: memory that is not mapped yet](#Page-faults:-memory-that-is-not-mapped-yet)).
#
# **What did not help.** A faster hash: the peaks are lower, and still there. Huge pages by themselves: fewer faults, each of
# them longer; only touching them beforehand shortens the worst message.
#
# **Where it is in the code.** `rust_ext/src/book/pool/` (boxed, slab), `rust_ext/src/book/orders/` (std, fast, flat),
# `rust_ext/src/reserved.rs` (reserve, make ready), `hftlab/profiling/memory.py` (the count).
#
# **Next:** 08 Signals. How can an engine compute less and give the same bits?
