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
# # 04 The fallback, tuned
#
# **How far does pure Python go?** About 60 minutes, 20 of them for two exercises. Afterwards you can
#
# - make a slow stage of the engine faster in small steps, each verified before it is timed;
# - distinguish a step that changes the *work* from one that changes its *notation*;
# - accept that a step had no effect.
#
# The pure-Python engine is the *fallback*: it runs where there is no compiler, and every other engine is compared with it. Here
# you start with a naive order book, and end with the one in `hftlab/stages/book.py`.

# %% tags=["parameters"]
MESSAGES = 1_500  # larger: 20_000
ROUNDS = 11  # larger: 21
SEED = 1

# %%
# %load_ext hftlab
from bisect import bisect_left, insort
from cProfile import Profile
from inspect import getsource
from struct import Struct

from course import check, claim, reveal, show
from course.lesson04 import deletes
from course.naive_book import NaiveBook, Order
from course.steps import compare_steps

import hftlab
from hftlab.events import Kind
from hftlab.feeds.generate.steady import steady
from hftlab.stages.book import Book

# %% [markdown]
# ## The naive book
#
# Each order is an object. Each price level is a list of orders, in order of arrival. Every query computes its answer: the best
# price by sorting all prices, the shares of a level by adding up its orders. It is plain code
# (`notebooks/course/naive_book.py`). Two of its queries:

# %% tags=["nbval-check-output"]
print(getsource(NaiveBook.best_prices), getsource(NaiveBook.total), sep="\n")

# %% [markdown]
# A keyword replaces a *stage* of ours by yours: `Engine(book=NaiveBook)`. `hftlab/stages/interfaces.py` lists the methods it
# needs. First of all: is it right? `verify` compares each message, bit for bit.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, SEED)
verdict = hftlab.verify("python", hftlab.Engine(book=NaiveBook), feed)
assert verdict
print(verdict)

# %% [markdown]
# ## Predict first
#
# **Write your guess down:** how many times as fast is the tuned book? Which of these helps most: fewer look-ups of names,
# sorted prices, running totals, queues by key, or `__slots__`?

# %%
guess = {"times as fast": 2, "helps most": "__slots__"}  # yours
HANDLERS = [getattr(NaiveBook, f"on_{kind.name.lower()}") for kind in Kind]  # for step 1

# %% [markdown]
# ## Step 1: integers instead of names
#
# The naive book turns the kind of each event into a name, and the name into a method: `Kind(kind).name`, then `getattr`. Both
# are look-ups in dictionaries, and a call each. A list of methods, indexed by the integer of the event, avoids both.
# `%%compare` times the parts of a cell in paired rounds, in random order, and the first one twice, as a control:

# %% tags=["nbval-ignore-output"]
# %%compare -r 9
for kind in (1, 4, 1, 5, 4, 2):
    getattr(NaiveBook, f"on_{Kind(kind).name.lower()}")
# vs
for kind in (1, 4, 1, 5, 4, 2):
    HANDLERS[kind]

# %% [markdown]
# That is the step alone. In the engine it is one cost among many:


# %%
class IntegerKinds(NaiveBook):
    """The kind of an event is an index."""

    def __init__(self):
        super().__init__()
        reduce, other = self.on_reduce, self.on_other
        self.handlers = [other, self.on_add, reduce, reduce, self.on_delete, self.on_replace, other, other, self.on_clear]
        self.handlers += [other] * (256 - len(self.handlers))

    def apply(self, kind, *event):
        return self.handlers[kind](*event)


# %% [markdown]
# `compare_steps` verifies that all are equal, then runs them interleaved, and compares each with the one before.

# %% tags=["nbval-ignore-output"]
books = {"naive": NaiveBook, "integer kinds": IntegerKinds}
show(compare_steps(books, feed, rounds=ROUNDS, until="signal").frame())

# %% [markdown]
# Read the verdict, not the ratio. A ratio has an interval, and on a busy machine the verdict may be "no difference seen".
#
# ## Steps 2 and 3: sorted prices and running totals
#
# The signal asks for the best prices and the shares of the best levels after each event. An event changes one level. So the
# prices stay sorted (`bisect` is a binary search in a sorted list), and each level has a running total of its shares.


# %%
class SortedPrices(IntegerKinds):
    """The prices of each side stay sorted."""

    def __init__(self):
        super().__init__()
        self.prices = {}

    def opened(self, levels, order):
        super().opened(levels, order)
        insort(self.prices.setdefault((order.instrument, order.side), []), order.price)

    def closed(self, levels, order):
        super().closed(levels, order)
        prices = self.prices[order.instrument, order.side]
        del prices[bisect_left(prices, order.price)]

    def best_prices(self, instrument, side, n):
        prices = self.prices.get((instrument, side), [])
        return prices[: -n - 1 : -1] if side == 1 else prices[:n]


class Totals(SortedPrices):
    """Each level has a running total of its shares."""

    def __init__(self):
        super().__init__()
        self.totals = {}

    def rest(self, levels, order):
        super().rest(levels, order)
        key = order.instrument, order.side, order.price
        self.totals[key] = self.totals.get(key, 0) + order.qty

    def leave(self, levels, order):
        super().leave(levels, order)
        self.totals[order.instrument, order.side, order.price] -= order.qty

    def shrink(self, order, qty):
        super().shrink(order, qty)
        self.totals[order.instrument, order.side, order.price] -= qty

    def total(self, instrument, side, price):
        return self.totals[instrument, side, price]


books.update({"sorted prices": SortedPrices, "totals": Totals})

# %% tags=["nbval-ignore-output"]
so_far = compare_steps(books, feed, rounds=ROUNDS, until="signal")
so_far.plot()

# %% [markdown]
# ## Exercise 04.1: The best prices without sorting
#
# *Easy, 10 minutes.* Write a class with `add(price)`, `remove(price)` and `best(n)`, which lists the n highest prices, the
# highest first; prices are distinct. The check counts comparisons: first on average, then of the worst call. The start below
# uses a set and sorts at each query.


# %% tags=["nbval-ignore-output"]
class Prices:
    def __init__(self):
        self.prices = set()

    def add(self, price):
        self.prices.add(price)

    def remove(self, price):
        self.prices.remove(price)

    def best(self, n):
        return sorted(self.prices, reverse=True)[:n]


wrong = check("04.1", Prices)
assert not wrong
wrong

# %% [markdown]
# <details><summary>Hint</summary>
#
# `list.remove` compares one price after the other. `bisect_left` halves the range with each comparison; it needs a sorted list.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
class SortedPrices:
    def __init__(self):
        self.prices = []

    def add(self, price):
        insort(self.prices, price)

    def remove(self, price):
        del self.prices[bisect_left(self.prices, price)]

    def best(self, n):
        return self.prices[: -n - 1 : -1]


assert check("04.1", SortedPrices)

# %% [markdown]
# ## Step 4: queues by key
#
# To delete an order, `list.remove` searches the queue of its level from the front. A `dict` preserves the order of insertion,
# too, and finds a key at once. This must help. Must it?


# %%
class KeyedQueues(Totals):
    """A queue is a dict: order id -> order."""

    def opened(self, levels, order):
        super().opened(levels, order)
        levels[order.price] = {}

    def rest(self, levels, order):
        levels[order.price][order.order_id] = order
        key = order.instrument, order.side, order.price
        self.totals[key] = self.totals.get(key, 0) + order.qty

    def leave(self, levels, order):
        del levels[order.price][order.order_id]
        self.totals[order.instrument, order.side, order.price] -= order.qty

    def queued(self, queue):
        return queue.values() if queue else ()


# %% [markdown]
# Measure two feeds: our calm one, and one with thousands of orders at one price a side.

# %% tags=["nbval-ignore-output"]
crowd = steady(4_000, levels=1, messages=MESSAGES).feed("crowded level")
pair = {"queues are lists": Totals, "queues are dicts": KeyedQueues}
on_calm, on_crowd = (compare_steps(pair, one, rounds=ROUNDS, until="book") for one in (feed, crowd))
print("calm   ", on_calm.whole.verdict)
print("crowded", on_crowd.whole.verdict)

# %% [markdown]
# Why the difference? Count the orders that `list.remove` compares:


# %% tags=["nbval-ignore-output"]
class Looking(Totals):
    """Counts the orders compared until the leaving one is found."""

    def leave(self, levels, order):
        looked.append(levels[order.price].index(order) + 1)
        super().leave(levels, order)


means = {}
for name, one in (("calm", feed), ("crowded", crowd)):
    looked = []
    hftlab.Engine(book=Looking).run(one, record="none")
    means[name] = sum(looked) / len(looked)
print("orders compared for each that leaves:", {name: round(mean, 1) for name, mean in means.items()})
claim("crowded / calm", means["crowded"] / means["calm"], above=50)
claim("lists / dicts on the crowded feed", on_crowd.whole, above=1.1)
print("lists / dicts on the calm feed:", on_calm.whole.ratio)

# %% [markdown]
# A search through a queue of a few orders costs about as much as the hash of a key: the gain on the calm feed is small, that on
# the crowded one is not. Whether a step pays depends on the data. We keep it, because a crowded level will occur some day, and
# then the tail suffers.
#
# ## Step 5: `__slots__`
#
# A Python object stores its attributes in a dictionary of its own. With `__slots__` they have fixed offsets. It is well-known
# advice.


# %%
class SlotOrder:
    """A live order, without a dictionary."""

    __slots__ = ("instrument", "order_id", "price", "qty", "side")
    __init__ = Order.__init__


class Slots(KeyedQueues):
    make_order = SlotOrder


books.update({"queues by key": KeyedQueues, "__slots__": Slots})

# %% tags=["nbval-check-output"]
held = {}
for book in (KeyedQueues, Slots):
    memory = hftlab.Engine(book=book).run(feed, record="none").memory
    held[book.__name__] = memory["order_bytes"] / memory["live_orders"]
print({name: f"{size:.0f} bytes per order" for name, size in held.items()})
claim("with slots / without", held["Slots"] / held["KeyedQueues"], below=0.8)

# %% tags=["nbval-ignore-output"]
show(compare_steps({"with a dictionary": KeyedQueues, "__slots__": Slots}, feed, rounds=ROUNDS, until="signal").frame())

# %% [markdown]
# It saves memory. Does it save time? See the verdict. Since Python 3.11 an object without slots stores its attributes in an
# array as well, and creates the dictionary only on demand. Old advice is worth measuring again.
#
# ## Step 6: no order at all
#
# Why create an object? The book needs only the level of an order and its remaining shares. In `hftlab/stages/book.py` one dict
# maps an order id to its level, and the queue of the level maps the id to an integer. A level has its total, its price and its
# side; each side has a reference to its best level. One method handles a whole event, since calls are expensive in Python.
#
# Another old advice: assign a local name to what is used often, since each dot is a look-up. Newer versions of Python cache the
# location of an attribute. Does it still pay? Look at the verdict:


# %%
def by_dots(book):
    found = 0
    for order in range(1_000):
        found += order in book.orders
    return found


def by_name(book):
    found, orders = 0, book.orders
    for order in range(1_000):
        found += order in orders
    return found


book = Book()
assert by_dots(book) == by_name(book) == 0

# %% tags=["nbval-ignore-output"]
# %%compare -r 9
by_dots(book)
# vs
by_name(book)

# %% [markdown]
# Here are all steps together, interleaved. A bar shows the change of the median; the verdicts in the table below tell whether
# it exceeds the noise of the machine:

# %% tags=["nbval-ignore-output"]
books["ours"] = Book
whole = compare_steps(books, feed, rounds=ROUNDS, until="signal")
whole.plot()

# %% tags=["nbval-ignore-output"]
gains = {name: paired.ratio.median for name, paired in whole.steps[1:]}
reveal("times as fast", guess["times as fast"], whole.whole.ratio.median)
reveal("helps most", guess["helps most"], max(gains, key=gains.get))
show(whole.frame())

# %% [markdown]
# Why is the last step so large? Count the calls. The count is the same on any machine:


# %% tags=["nbval-ignore-output"]
def calls(book):
    """Python and built-in functions called per message."""
    rows = hftlab.profile(hftlab.Engine(book=book, until="signal"), feed, "calls", messages=MESSAGES).rows
    return sum(row["calls"] for row in rows) / MESSAGES


per_message = {name: calls(book) for name, book in books.items() if name in ("naive", "totals", "ours")}
print({name: f"{n:.1f} calls per message" for name, n in per_message.items()})
claim("calls, totals / naive", per_message["totals"] / per_message["naive"], below=0.8)
claim("calls, ours / totals", per_message["ours"] / per_message["totals"], below=0.6)
claim("time, naive / ours", whole.whole, above=2)

# %% [markdown]
# ## Batching
#
# So far each engine got the messages as one buffer. How much does the batch save? `session.message` takes one message at a
# time, as they arrive from a network; `session.push` takes them all. The bytes and the stages are the same:

# %% tags=["nbval-check-output"]
data = b"".join(feed.blocks())
singles, at = [], 0
while at < len(data):
    size = int.from_bytes(data[at : at + 2], "big")
    singles.append(data[at + 2 : at + 2 + size])
    at += 2 + size


def one_by_one():
    session = hftlab.Engine("python").open()
    for message in singles:
        session.message(message)
    return session


def at_once():
    session = hftlab.Engine("python").open()
    session.push(data)
    return session


assert one_by_one().finish()["order_stream"] == at_once().finish()["order_stream"]
print(len(singles), "messages; the same order bytes either way")

# %% tags=["nbval-ignore-output"]
# %%compare -r 15
one_by_one()
# vs
at_once()


# %% tags=["nbval-check-output"]
def called(work):
    """Functions called by one run."""
    profiler = Profile()
    profiler.runcall(work)
    return sum(entry.callcount for entry in profiler.getstats())


more = called(one_by_one) / called(at_once)
claim("calls, one by one / at once", more, above=1.2)

# %% [markdown]
# The work per call (a slice, a generator, local names, two readings of the clock) is done once per buffer. The price is
# waiting: the first message of a batch waits for its last. On a live feed an engine takes the messages that are there, and no
# more.
#
# ## Exercise 04.2: A batch at once
#
# *Easy, 10 minutes.* The tick stage decodes messages of different lengths. Suppose that you get a block of deletes alone, all
# of 21 bytes: length (2), type (1), locate (2), tracking (2), timestamp (6), reference (8), all big-endian. Return a list of
# `(locate, ts_ns, reference)`, nearly twice as fast as the start below, which decodes field by field.


# %% tags=["nbval-ignore-output"]
def decode(data):
    out = []
    for at in range(0, len(data), 21):
        locate = int.from_bytes(data[at + 3 : at + 5], "big")
        ts_ns = int.from_bytes(data[at + 7 : at + 13], "big")
        out.append((locate, ts_ns, int.from_bytes(data[at + 13 : at + 21], "big")))
    return out


print(decode(deletes(2, SEED)[0]))
wrong = check("04.2", decode)
assert not wrong
wrong

# %% [markdown]
# <details><summary>Hint</summary>
#
# `struct.Struct` reads all fields in one call; `x` skips a byte. It has no integer of six bytes: read two and four.
# `iter_unpack` iterates over a whole block.
# </details>

# %% jupyter={"source_hidden": true} tags=["solution"]
UNPACK = Struct(">3xH2xHIQ")


def one_unpack(data):
    return [(locate, high << 32 | low, ref) for locate, high, low, ref in UNPACK.iter_unpack(data)]


assert check("04.2", one_unpack)

# %% [markdown]
# ## How far from Rust?
#
# Compare the tuned book with the Rust engine, on the same feed:

# %% tags=["nbval-ignore-output"]
if any(info.name == "rust" and info.available for info in hftlab.backends()):
    far = hftlab.compare("python", "rust", feed, rounds=ROUNDS)
    claim("tuned Python / Rust", far.metrics[0].paired, above=10)

# %% [markdown]
# ## Takeaway
#
# - The large steps change the *work*: running totals, objects that are never created, calls that are not needed
#   ([Step 6: no order at all](#Step-6:-no-order-at-all)).
# - Verify before you time. Each step here was compared, message by message, before its clock started
#   ([The naive book](#The-naive-book)).
# - Whether a step pays depends on the data: the same dict gains much more on one feed than on another
#   ([Step 4: queues by key](#Step-4:-queues-by-key)).
#
# **What did not help.** `__slots__` saves memory; for its time, see the verdict of step 5. Keyed queues gain little on a calm
# feed. And no step brings Python near Rust: what remains is the interpreter itself.
#
# **Where it is in the code.** `notebooks/course/naive_book.py` (the start), `hftlab/stages/book.py` (the end),
# `hftlab/experiments/ablation.py` (the steps), `hftlab/stages/tick.py` (how the tick stage reads fields).
#
# **Next:** 05 Crossing into Rust. What does a call from Python into Rust cost?
