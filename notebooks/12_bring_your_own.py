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
# # 12 Bring your own
#
# **Is your idea right, and is it faster?** About 75 minutes, and more for the capstone. Afterwards you will be able to
#
# - plug your own stage into the engine, or your own engine into hftlab,
# - run every check of the contract on it, and read its divergence from the reference,
# - decide whether it is faster by three figures: the ratio, its interval, and the tail.

# %% tags=["parameters"]
MESSAGES = 5_000  # 50_000 for publishable figures
ROUNDS = 11  # 21 for publishable figures
SEED = 1
NUMBA = False  # True: the external engine below is examples/numba_engine; its first run compiles for about a minute

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import sys
from importlib.metadata import entry_points
from pathlib import Path

from course import check, claim, reveal

import hftlab
from hftlab.stages.book import Book
from hftlab.stages.interfaces import INTERFACES

# %% [markdown]
# ## A stage of your own
#
# The engine is four stages in a row: tick, book, signal, order. You can replace each by a class of yours. There is no base
# class: a stage only needs the names below, each documented in our own class (`hftlab/stages/`).

# %% tags=["nbval-check-output"]
for stage, interface in INTERFACES.items():
    print(f"{stage:<7} {interface.ours.__name__:<12} {', '.join(interface.attributes + interface.methods)}")

# %% [markdown]
# hftlab refuses a class that lacks a method with one sentence, before anything runs.


# %% tags=["nbval-check-output"]
class HalfABook:
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        return 0

    def best(self, instrument):
        return (0, 0, 0, 0)


try:
    hftlab.Engine(book=HalfABook)
except hftlab.HftlabError as error:
    print(error)

# %% [markdown]
# ## An idea that is wrong
#
# Here is an idea for the reference book. A partial cancel or execution changes the quantity of a resting order in the queue of
# its level. "Remove it, insert the rest": two dictionary operations, no comparison.
#
# To try it, inherit from the reference `Book` and change this one method.


# %%
class Hasty(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and 0 < qty < level.queue[order_id]:
                level.queue[order_id] = level.queue.pop(order_id) - qty
                level.change(-qty)
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


# %% [markdown]
# Compare it with the reference on a feed. `verify` compares every event, best bid and ask, all nine signals, the faults and the
# bytes of the orders sent, bit for bit.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
seen = hftlab.verify("python", hftlab.Engine(book=Hasty), feed)
assert seen
print(f"equal on {feed.name}: the same bits on {seen.messages:,} messages")

# %% [markdown]
# Equal! **Predict first:** the conformance suite has dozens of checks. How many of them does this book fail?

# %%
guess_failed = 0  # your guess

# %% tags=["nbval-check-output"]
report = hftlab.conformance.engine(Hasty, rounds=0)
failed = [result for result in report.results if result.outcome == "failed"]
assert not report
assert len(failed) >= 2
reveal(f"checks failed, of {len(report.results)}", guess_failed, len(failed))
for result in failed:
    print(f"- {result.name}: {result.question}")

# %% [markdown]
# **What may surprise you:** equality on one feed is no proof. The feed has no message for the wrong instrument, and no query
# for the queue position of an order. The few lines above have two bugs:

# %% tags=["nbval-check-output"]
print(report["queue_position"])

# %% [markdown]
# The rows of the queue are (order id, remaining quantity). An order that loses a part of its quantity **keeps its queue
# position**; this book moves it to the end of the queue. No price shows it. A strategy that counts the orders ahead of its own
# would be wrong for the rest of the day.
#
# The other bug shows in a **divergence**: the first message at which the two differ, with the state of each after it. Lines
# with an asterisk differ.

# %% tags=["nbval-check-output"]
print(str(report["random_markets"].divergence))

# %% [markdown]
# Read it from the top: the difference, the index of the message, the message itself. The lines below contain the earlier
# messages of the same instrument. That is usually enough. As an object, it is a table:

# %% tags=["nbval-ignore-output"]
report["random_markets"].divergence

# %% [markdown]
# ## An idea that is right
#
# `examples/sortedcontainers_book.py` is an independent book: each side is a `SortedDict` of the package sortedcontainers, a
# good sorted dictionary in pure Python. It uses nothing of our book. **Conformance first**: the clock never starts before
# equality.

# %% tags=["nbval-check-output"]
place = "../examples/sortedcontainers_book.py:SortedBook"
report = hftlab.conformance.engine(place, rounds=0)
assert report, report
print(f"{report.engine}: {report.count('passed')} checks passed, {report.count('failed')} failed")

# %% [markdown]
# **Predict first:** the reference uses a plain sorted list, which must move its entries for each new level. This one does not.
# How many times as fast is it, until the book stage?

# %%
guess_sorted = 1.3  # your guess; below 1 is slower

# %% tags=["nbval-ignore-output"]
sorted_book = hftlab.compare("python", place, feed, until="book", rounds=ROUNDS, seed=SEED)
print("\n".join(sorted_book.notes()[:2]))
sorted_book.plot()

# %% tags=["nbval-ignore-output"]
reveal("reference / SortedDict book", guess_sorted, sorted_book.metrics[0].paired.ratio.median)
claim("reference / SortedDict book", sorted_book.metrics[0].paired, below=0.8)

# %% [markdown]
# **Why?** Two reasons, both in the source. `touch()` adds up the whole queue of the best level at each query, and the engine
# queries it after every event; the reference has a running total. And each step of a `SortedDict` is Python code, while
# `list.insert` and `bisect` are one call into C each. Moving a few hundred bytes in C is cheaper than one method call in
# Python.
#
# Here is the usual table, with your own engine in it:

# %% tags=["nbval-ignore-output", "timeout-300"]
bench = hftlab.bench(feed, rounds=ROUNDS, engines=[place])
bench.plot()

# %% [markdown]
# ## An engine of your own
#
# A **backend** is a whole engine: anything that can open a *session* and push bytes through it. It can be written in any
# language. These are the methods of a backend, and of its sessions:


# %% tags=["nbval-check-output"]
def members(protocol):
    methods = [name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")]
    return [*protocol.__annotations__, *methods]


print("backend:", ", ".join(members(hftlab.engine.session.Backend)))
print("session:", ", ".join(members(hftlab.engine.session.Session)))

# %% [markdown]
# hftlab finds engines by an **entry point**: a line in the `pyproject.toml` of any installed package. hftlab finds its own Rust
# engine in the same way.

# %% tags=["nbval-check-output"]
for point in entry_points(group="hftlab.backends"):
    if point.name == "rust":
        print("installed:", point.name, "=", point.value)
project = Path("../examples/numba_engine/pyproject.toml").read_text()
print(project[project.index("# This line") : project.index("[tool.hatch")].strip())

# %% [markdown]
# `examples/numba_engine` is such a package: an engine over flat arrays, compiled by Numba. (After `pip install
# examples/numba_engine` it appears in every table.) Its first run compiles for about a minute, so here the external engine is
# the Rust engine unless you set `NUMBA = True` above. Everything below works the same way with either.

# %% tags=["nbval-check-output"]
outsider = "rust"
if NUMBA:
    sys.path.insert(0, "../examples/numba_engine")
    import hftlab_numba as outsider
report = hftlab.conformance.engine(outsider, rounds=0)
assert report, report
print(f"the external engine: {report.count('passed')} checks passed, {report.count('failed')} failed")

# %% tags=["nbval-ignore-output"]
whole = hftlab.compare("python", outsider, feed, rounds=ROUNDS, seed=SEED)
print("tick to order:", whole.verdict)

# %% tags=["nbval-ignore-output"]
claim("Python / external engine, tick to order", whole.metrics[0].paired, above=5)

# %% [markdown]
# ## Exercise 12.1: fix the hasty book
#
# *Easy, 15 minutes.* Fix `Hasty`; it must still handle partial cancels and executions itself. Fix both bugs: an order keeps its
# queue position, and an event with the wrong instrument is refused (the reference can do that for you).


# %%
class Start(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and 0 < qty < level.queue[order_id]:
                level.queue[order_id] = level.queue.pop(order_id) - qty
                level.change(-qty)
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


# %% tags=["nbval-check-output"]
answer = check("12.1", Start)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A Python dict keeps the place of a key whose value is changed; `pop` loses it. `level.half.instrument` is the instrument of
# the order.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
class Mended(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and level.half.instrument == instrument and 0 < qty < level.queue[order_id]:
                level.queue[order_id] -= qty
                level.change(-qty)
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


answer = check("12.1", Mended)
assert answer, answer
print(answer)

# %% [markdown]
# ## Exercise 12.2, the capstone: beat the reference book
#
# *Hard, 60 minutes and more.* Write a book stage that
#
# 1. passes **every** check of the contract,
# 2. runs a feed until the book stage at least 1.2 times as fast as the reference (the events are decoded already, so only the
#    book and the loop around it are timed), *significantly*: outside the A/A control,
# 3. has a p99 (the time that one message in a hundred exceeds) that is no worse.
#
# Any means is allowed. The start is one idea: the reference with the two most frequent events, add and delete, inlined. It is
# right.


# %%
class Straight(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        orders = self.orders
        if kind == 1:  # ADD
            if (side == 1 or side == 2) and qty and price and order_id not in orders and instrument in self.halves:
                half = self.halves[instrument][side - 1]
                level = half.levels.get(price * half.sign) or half.open(price * half.sign)
                level.change(qty)
                level.queue[order_id] = qty
                orders[order_id] = level
                return side
        elif kind == 4:  # DELETE
            level = orders.get(order_id)
            if level is not None and level.half.instrument == instrument:
                del orders[order_id]
                level.change(-level.queue.pop(order_id))
                if not level.queue:
                    level.half.close(level.key)
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


# %% tags=["nbval-ignore-output"]
answer = check("12.2", Straight)
assert not answer
answer

# %% [markdown]
# Lesson 04 tuned the reference already: the rest is the cost of Python itself. Rearranging lines gains too little to detect.
#
# <details><summary>Hint</summary>
#
# Lesson 05 measured the cost of a call into Rust. A session of the Rust engine has `apply`, `best`, `depth`, `queue` and
# `locate`. Which method of the contract does it lack?
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
class Across:
    """The book is in Rust: two calls per message across the boundary are cheaper than the work in Python."""

    def __init__(self):
        self.session = session = hftlab.Engine("rust", until="book").open()
        self._apply = session.apply
        self.best, self.depth, self.queue, self.locate = session.best, session.depth, session.queue, session.locate

    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        return self._apply(0, order_id, new_order_id, price, qty, instrument, kind, side)

    def depth_qty(self, instrument, side, n):
        return sum([level_qty for level_side, _, level_qty, _ in self.depth(instrument) if level_side == side][:n])

    def memory(self):
        return self.session.counters()["memory"]


answer = check("12.2", Across)
assert answer, answer
answer

# %% [markdown]
# ## What did not get faster
#
# The capstone was timed until the book stage. Now time the same class on the whole path, to the order. **Predict first.**

# %%
guess_whole = 1.2  # your guess: times as fast as the reference, tick to order

# %% tags=["nbval-ignore-output"]
to_order = hftlab.compare("python", hftlab.Engine("python", book=Across), feed, rounds=ROUNDS, seed=SEED)
print("tick to order:", to_order.verdict)
to_order.plot()

# %% tags=["nbval-ignore-output"]
reveal("reference / winner of the capstone, tick to order", guess_whole, to_order.metrics[0].paired.ratio.median)
claim("reference / winner of the capstone, tick to order", to_order.metrics[0].paired, below=0.8)

# %% [markdown]
# The winner loses. The signal stage queries the quantity of the best few levels after most events, `depth_qty`; this class
# converts the **whole** depth into a list of Python tuples, and discards most of it. A part that wins alone can lose in the
# whole: measure both. (An extra exercise: how would you answer `depth_qty` without all levels?)
#
# ## Takeaway
#
# - Correctness first. Equality on one feed proves little; the suite checks what a feed does not contain
#   ([An idea that is wrong](#An-idea-that-is-wrong)).
# - Read a divergence from the top: the difference, the message, and the messages before it
#   ([An idea that is wrong](#An-idea-that-is-wrong)).
# - Then the ratio with its interval and control ([An idea that is right](#An-idea-that-is-right)), then the tail, and at the end
#   the **whole path** ([What did not get faster](#What-did-not-get-faster)).
#
# **What did not work:** inlining code that is tuned already, a better structure in slower code, and the solution of the
# capstone on the whole path. All three are measured above.
#
# **Where it is in the code:** `hftlab/stages/interfaces.py` (stages), `hftlab/engine/session.py` (backends and sessions),
# `hftlab/conformance/` (the suite), `hftlab/experiments/compare.py` (the ratio), `examples/` (an independent book and engine).
# On the command line: `hftlab conformance my_book.py:MyBook`, `hftlab compare python my_book.py:MyBook`, `hftlab bench --engine
# my_book.py:MyBook`. In a test-suite of your own: inherit from `hftlab.conformance.pytest_suite.Conformance`.
#
# **Next:** [13 What is a microsecond worth?](13_a_microsecond.ipynb) The engine is as fast as you could make it; what does that
# buy?
