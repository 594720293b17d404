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
# **Is your idea right, and is it faster?** About 60 minutes, and as long again as you like for the capstone. Afterwards you
# will be able to
#
# - put a stage of your own into the engine, or a whole engine of your own beside ours,
# - have it judged by every check of the contract, and read where it parts from the reference,
# - say whether it is faster in three figures: the ratio, its interval, and the tail.

# %% tags=["parameters"]
MESSAGES = 5_000  # 50_000 for figures to be quoted
ROUNDS = 7  # 21 for figures to be quoted
SEED = 1
NUMBA = False  # True: the outsider below is examples/numba_engine; its first run compiles for about a minute

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import sys
from importlib.metadata import entry_points
from pathlib import Path

from course import check

import hftlab
from hftlab.stages.book import Book
from hftlab.stages.interfaces import INTERFACES, members

# %% [markdown]
# ## A stage of your own
#
# The engine is four stages in a row: tick, book, signal, order. Each can be replaced by a class of yours. There is no base class
# to inherit from: what counts is that the methods are there. This is all that a stage must offer; what each method must do is
# written in `hftlab/stages/interfaces.py`.

# %% tags=["nbval-check-output"]
for stage, protocol in INTERFACES.items():
    print(f"{stage:<7} {protocol.__name__:<12} {', '.join(members(protocol))}")

# %% [markdown]
# A class that lacks a method is refused in a sentence, before anything runs.


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
# Somebody looks at the reference book and has an idea. A partial cancel or execution changes the quantity of an order that
# waits in the queue of its level. "Take it out, put back what is left": two dictionary operations, nothing to compare.
#
# To try it, inherit from the reference `Book` and change this one thing.


# %%
class Hasty(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and 0 < qty < level.queue[order_id]:
                level.queue[order_id] = level.queue.pop(order_id) - qty
                level.qty -= qty
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


# %% [markdown]
# Run it beside the reference on a feed. `hftlab.conformance` compares every event, the touch (best bid and ask), all nine
# signals,
# the refusals and the bytes of the orders sent, bit for bit.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
seen = hftlab.verify("python", hftlab.Engine(book=Hasty), feed)
assert seen
print("equal on", feed.name, "to the last bit:", bool(seen))

# %% [markdown]
# Equal! **Predict first:** the conformance suite asks dozens of questions of an engine. How many of them does this book fail?

# %%
guess_failed = 0  # your guess

# %% tags=["nbval-check-output"]
report = hftlab.conformance.engine(Hasty, rounds=0)
failed = [result for result in report.results if result.outcome == "failed"]
assert not report
assert len(failed) >= 2
print(f"{len(report.results)} checks, {len(failed)} failed, your guess was {guess_failed}")
for result in failed:
    print(f"- {result.name}: {result.question}")

# %% [markdown]
# **What surprises:** a feed on which two engines are equal is no proof. It has no message for the wrong instrument, and nobody
# on it asks who stands first in a queue. Two bugs hide in the few lines above:

# %% tags=["nbval-check-output"]
print(report["queue_position"])

# %% [markdown]
# The queue's rows are (order id, quantity left). An order that gives up a part of its quantity **keeps its place**; this book
# sends it to the end of the queue. No price shows it. A strategy that counts the orders before its own would be wrong for the
# rest of the day.
#
# The other bug shows in a **divergence**: the first message at which the two part, with the state of each after it. Lines with
# an asterisk differ.

# %% tags=["nbval-check-output"]
print(str(report["random_markets"].divergence))

# %% [markdown]
# Read it from the top: what differs, at which message, what message that was. Then the lines below: what had happened on the
# same instrument before. That is usually all one needs. As an object, it is a table:

# %% tags=["nbval-ignore-output"]
report["random_markets"].divergence

# %% [markdown]
# ## An idea that is right
#
# `examples/sortedcontainers_book.py` is a book by an outsider: each side a `SortedDict` of the package sortedcontainers, a good
# sorted dictionary in pure Python. Nothing of our book is used. **Conformance first**: a clock never starts before equality.

# %% tags=["nbval-check-output"]
place = "../examples/sortedcontainers_book.py:SortedBook"
report = hftlab.conformance.engine(place, rounds=0)
assert report, report
print(report.engine, "conforms:", bool(report), "|", report.count("passed"), "passed,", report.count("failed"), "failed")

# %% [markdown]
# **Predict first:** the reference keeps a plain sorted list, which has to move its entries for each new level. This one does
# not. How many times as fast is it, until the book stage?

# %%
guess_sorted = 1.3  # your guess; below 1 is slower

# %% tags=["nbval-ignore-output"]
sorted_book = hftlab.compare("python", place, feed, until="book", rounds=ROUNDS, seed=SEED)
print("\n".join(sorted_book.lines()[-2:]))
sorted_book.plot()

# %% tags=["nbval-check-output"]
ratio = sorted_book.metrics[0].found.ratio
assert ratio.median < 0.8, sorted_book
print("the outsider's book is right, and takes more than 1.25 times as long:", ratio.median < 0.8)

# %% [markdown]
# **Why?** Two reasons, both in the source. `touch()` adds up the whole queue of the best level each time it is asked, and the
# engine asks after every event; the reference keeps a running total. And each step of a `SortedDict` is Python code, while
# `list.insert` and `bisect` are one call into C each. Moving some hundred bytes in C is cheaper than one method call in Python.
#
# The same table as everywhere, with your own engine in it:

# %% tags=["nbval-ignore-output"]
bench = hftlab.bench(feed, rounds=2, engines=[place])
bench.plot()

# %% [markdown]
# ## An engine of your own
#
# A **backend** is a whole engine: anything that can open a *session* and push bytes through it. It can be written in any
# language. Here is what hftlab asks of one, and of its sessions:

# %% tags=["nbval-check-output"]
print("backend:", ", ".join(members(hftlab.engine.session.Backend)))
print("session:", ", ".join(members(hftlab.engine.session.Session)))

# %% [markdown]
# hftlab finds engines by an **entry point**: a line in the `pyproject.toml` of any installed package. Our own Rust engine is
# found in the same way as yours; it has no door of its own.

# %% tags=["nbval-check-output"]
for point in entry_points(group="hftlab.backends"):
    if point.name == "rust":
        print("installed:", point.name, "=", point.value)
project = Path("../examples/numba_engine/pyproject.toml").read_text()
print(project[project.index("# This line") : project.index("[tool.hatch")].strip())

# %% [markdown]
# `examples/numba_engine` is such a package: an engine over flat arrays, compiled by Numba. (`pip install examples/numba_engine`
# and it stands in every table.) It takes about a minute to compile when it is first run, so here the outsider is the Rust
# engine unless you set `NUMBA = True` above. Everything below works the same way with either.

# %% tags=["nbval-check-output"]
outsider = "rust"
if NUMBA:
    sys.path.insert(0, "../examples/numba_engine")
    import hftlab_numba as outsider
report = hftlab.conformance.engine(outsider, rounds=0)
assert report, report
print("the outsider conforms:", bool(report), "|", report.count("passed"), "passed,", report.count("failed"), "failed")

# %% tags=["nbval-ignore-output"]
whole = hftlab.compare("python", outsider, feed, rounds=ROUNDS, seed=SEED)
print("tick to order:", whole.verdict)

# %% tags=["nbval-check-output"]
assert whole.metrics[0].found.ratio.median > 5, whole
print("the whole path, compiled, is more than 5 times as fast:", whole.metrics[0].found.ratio.median > 5)

# %% [markdown]
# ## Exercise 12.1: mend the hasty book
#
# *Easy, 15 minutes.* Mend `Hasty`, and keep its way of handling partial cancels and executions itself. Both bugs must go: an
# order keeps its place, and an event that names the wrong instrument is refused (the reference does that for you, if you let
# it).


# %%
class Start(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and 0 < qty < level.queue[order_id]:
                level.queue[order_id] = level.queue.pop(order_id) - qty
                level.qty -= qty
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


# %% tags=["nbval-check-output"]
answer = check("12.1", Start)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# A Python dict keeps the place of a key whose value is changed; it is `pop` that loses it. And `level.half.instrument` is the
# instrument of the order.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class Mended(Book):
#     def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
#         if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
#             level = self.orders.get(order_id)
#             if level is not None and level.half.instrument == instrument and 0 < qty < level.queue[order_id]:
#                 level.queue[order_id] -= qty
#                 level.qty -= qty
#                 return level.half.side
#         return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)
# ```
#
# </details>


# %% tags=["solution", "nbval-check-output"]
class Mended(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        if kind in (hftlab.Kind.EXECUTE, hftlab.Kind.CANCEL):
            level = self.orders.get(order_id)
            if level is not None and level.half.instrument == instrument and 0 < qty < level.queue[order_id]:
                level.queue[order_id] -= qty
                level.qty -= qty
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
# 2. runs a feed until the book stage at least 1.2 times as fast as the reference (the events are decoded already, so the book
# and the loop around it are all that is timed), and is *seen* to: outside of the control,
# 3. has a p99 (the time that one message in a hundred exceeds) that is no worse.
#
# Any means will do. The start is one idea: the reference with the two commonest events, add and delete, written out straight. It
# is right.


# %%
class Straight(Book):
    def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
        orders = self.orders
        if kind == 1:  # ADD
            if (side == 1 or side == 2) and qty and price and order_id not in orders and instrument in self.halves:
                half = self.halves[instrument][side - 1]
                level = half.levels.get(price * half.sign) or half.open(price * half.sign)
                level.qty += qty
                level.queue[order_id] = qty
                orders[order_id] = level
                return side
        elif kind == 4:  # DELETE
            level = orders.get(order_id)
            if level is not None and level.half.instrument == instrument:
                del orders[order_id]
                level.qty -= level.queue.pop(order_id)
                if not level.queue:
                    level.half.close(level.key)
                return level.half.side
        return super().apply(kind, instrument, side, order_id, new_order_id, price, qty)


# %% tags=["nbval-ignore-output"]
answer = check("12.2", Straight)
assert not answer
answer

# %% [markdown]
# The reference has been tuned in lesson 04 already: what is left is the price of Python itself. Shuffling lines gains too
# little to be seen.
#
# <details><summary>Hint</summary>
#
# Lesson 05 measured what a call across the border costs. A session of the Rust engine has `apply`, `best`, `depth`, `queue` and
# `locate`. Which method of the contract does it lack?
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class Across:
#     def __init__(self):
#         self.session = session = hftlab.Engine("rust", until="book").open()
#         self._apply = session.apply
#         self.best, self.depth, self.queue, self.locate = session.best, session.depth, session.queue, session.locate
#
#     def apply(self, kind, instrument, side, order_id, new_order_id, price, qty):
#         return self._apply(0, order_id, new_order_id, price, qty, instrument, kind, side)
#
#     def depth_qty(self, instrument, side, n):
#         return sum([level_qty for level_side, _, level_qty, _ in self.depth(instrument) if level_side == side][:n])
#
#     def memory(self):
#         return self.session.counters()["memory"]
# ```
#
# A Python class whose book is in Rust: it crosses the border twice per message, and that is still cheaper than doing the work
# here.
#
# </details>


# %% tags=["solution", "nbval-ignore-output"]
class Across:
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
# The capstone was timed until the book. Now the same class on the whole path, to the order. **Predict first.**

# %%
guess_whole = 1.2  # your guess: times as fast as the reference, tick to order

# %% tags=["nbval-ignore-output"]
to_order = hftlab.compare("python", Across, feed, rounds=ROUNDS, seed=SEED)
print("tick to order:", to_order.verdict)
to_order.plot()

# %% tags=["nbval-check-output"]
ratio = to_order.metrics[0].found.ratio
assert ratio.median < 0.8, to_order
print("the winner of the capstone makes the whole path more than 1.25 times as long:", ratio.median < 0.8)

# %% [markdown]
# The winner loses. The signal stage asks for the quantity of the best few levels after most events, `depth_qty`; this class
# brings the **whole** depth across the border as a list of tuples, and throws most of it away. A part that wins alone can lose
# in its place: measure both. (If you like, go on: how would you answer `depth_qty` without asking for all levels?)
#
# ## Takeaway
#
# - Right first. One feed on which two engines agree proves little; the suite asks what a feed does not.
# - Read a divergence from the top: what, at which message, and what came before.
# - Then the ratio with its interval and control, then the tail, and at the end the **whole path**.
#
# **What did not work:** straightening code that is tuned already, a better structure written in slower code, and the capstone's
# solution on the whole path. All three are measured above.
#
# **Where it is in the code:** `hftlab/stages/interfaces.py` (stages), `hftlab/engine/session.py` (backends and sessions),
# `hftlab/conformance/` (the suite), `hftlab/experiments/compare.py` (the ratio), `examples/` (a book and an engine by
# outsiders). On the
# command line: `hftlab conform my_book.py:MyBook`, `hftlab compare python my_book.py:MyBook`, `hftlab bench --with
# my_book.py:MyBook`. In a test-suite of your own: inherit from `hftlab.conformance.pytest_suite.Conformance`.
#
# **Next:** this is the last lesson; `course()` shows what you have passed. What is yours to try?
