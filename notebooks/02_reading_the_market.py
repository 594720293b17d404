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
# # 02 Reading the market
#
# **How do the messages of an exchange become a book?**
#
# 45 minutes. After it you can
#
# - take a message apart, byte by byte, and say what it does to the book;
# - read a book order by order: its levels, its queues, and what stands before an order of yours;
# - wind a trading day, generated or real, to any of its messages, and look around.

# %% tags=["parameters"]
MESSAGES = 20_000  # 200_000 for a longer day
SEED = 1

# %%
# %load_ext hftlab
from collections import Counter

import polars as pl
from course import check

import hftlab
from hftlab import charts
from hftlab.engine.history import BookHistory
from hftlab.feeds import real_data
from hftlab.notebook.book_replay import book_replay
from hftlab.protocols import itch_messages as messages

# %% [markdown]
# ## Predict first
#
# An exchange tells everybody what happens to every order: it came, it was filled, it was taken back. The format here is
# Nasdaq's TotalView-ITCH 5.0. Most orders come to be traded, one should think.
#
# **What share of all messages tells of a trade?** Write your guess down, as a number between 0 and 1.

# %%
guess = 0.5

# %% [markdown]
# ## One message, byte by byte
#
# The feed is generated, so that you see the same one as everybody else: real ITCH bytes of a market that never was. In a file
# each message stands behind two bytes that give its length. A message begins with a letter, which says what kind it is. Whole
# numbers are sent with the most significant byte first (*big-endian*); a price is an integer, 1/10,000 of a dollar.
#
# A **tape** is a feed that can be wound to any message. Here is the first *add*, the message of a new order, field by field.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
tape = BookHistory(feed)
letters = [tape.at(i).fields["type"] for i in range(len(tape))]
first = letters.index("A")
print(f"message {first}, {len(tape.at(first).wire)} bytes: {tape.at(first).description}")
pl.DataFrame(messages.anatomy(tape.at(first).wire))

# %% [markdown]
# `locate` is a number for the stock, given out each morning; `ts` counts nanoseconds from midnight; `ref` names the order from
# now on, and every later message about it says that number alone. So a *delete* needs few bytes, and whoever reads it must
# remember the rest.
#
# What kinds are there, how often does each come, and what does it do to the book?

# %% tags=["nbval-check-output"]
DOES = {
    "A": "a new order joins the back of its queue",
    "F": "the same, with the name of the firm",
    "E": "an order trades, in part or whole, at its own price",
    "C": "an order trades at another price than its own",
    "X": "an order loses a part of its quantity and keeps its place",
    "D": "an order is taken back",
    "U": "an order goes, a new one with another price or quantity joins the back",
    "P": "a trade with a hidden order, which was never in the book",
}
counts = Counter(letters)
rows = [
    (letter, messages.MESSAGES[letter].name, messages.MESSAGES[letter].size, n, DOES.get(letter, "nothing"))
    for letter, n in counts.most_common()
]
with pl.Config(fmt_str_lengths=80, tbl_rows=20, tbl_width_chars=160):
    print(pl.DataFrame(rows, schema=["letter", "name", "bytes", "messages", "what it does to the book"], orient="row"))

# %% tags=["nbval-check-output"]
traded = sum(counts[letter] for letter in "ECP") / len(tape)
taken_back = sum(counts[letter] for letter in "DXU") / len(tape)
print(f"tell of a trade: {traded:.3f}; take something back or move it: {taken_back:.3f}; you said {guess}")
assert taken_back > 5 * traded
print("orders are taken back or moved more than five times as often as they trade:", taken_back > 5 * traded)

# %% [markdown]
# So an engine that reads the market spends its time on orders that never trade. Keep that in mind when a benchmark counts
# trades.
#
# ## From messages to a book
#
# The **book** is all orders that wait. Those at one price are a **level**, and stand in a **queue**: who came first is filled
# first. Such a book, with every order in it, is called *L3*; with the totals of the levels alone it is *L2*; with the best
# level alone, *L1*. The best buying price is the **bid**, the best selling price the **ask**, and between them lies the
# **spread**.
#
# Nobody sends us the book. We make it, message by message (`hftlab/stages/book.py`). After three quarters of the messages:

# %% tags=["nbval-check-output"]
symbol = tape.symbols[0]
now = tape.at(3 * MESSAGES // 4, symbol)
print(now.description)
print("orders in the book:", now.book()["orders"].sum(), "| levels:", len(now.book()))
assert now.top[0] < now.top[2]
print("the bid is below the ask:", now.top[0] < now.top[2])

# %% tags=["nbval-ignore-output"]
charts.depth_chart(now.book(), feed.price_scale, 8, f"The book of {symbol}", f"after message {now.index:,}")

# %% [markdown]
# ## The queue, and your place in it
#
# An order that stands at the back of a long queue is worth less than one at the front: much has to happen before it trades.
# What is it that happens? Two things move you forward: orders ahead of you **trade**, or they are **taken back**.
#
# **Predict:** of the shares before an order, what part goes because it trades? Most of it, half, little?

# %%
guess_traded_away = 0.5

# %% [markdown]
# We take the order that had the most *orders* before it when it came, and that did trade in the end.

# %% tags=["nbval-check-output"]
lives = tape.lifetimes()
filled = lives.filter(pl.col("end") == "EXECUTE", pl.col("born") > MESSAGES // 10)
patient = max(filled.rows(named=True), key=lambda one: tape.at(one["born"]).queue_position(one["order_id"])[0])
order = patient["order_id"]
way = tape.follow(order)
print(f"order {order} came in message {patient['born']:,} and was filled in message {patient['gone']:,}")
in_orders, in_shares = tape.at(patient["born"]).queue_position(order)
print("before it at first:", in_shares, "shares in", in_orders, "orders")

# %% tags=["nbval-ignore-output"]
side, price = tape.at(patient["born"]).locate(order)
charts.queue_chart(tape.at(patient["born"]).queue(side, price), order, f"The {side} queue when order {order} joined it")

# %% tags=["nbval-check-output"]
gone = way.with_columns(shares=pl.col("ahead").shift(1) - pl.col("ahead")).filter(pl.col("shares") > 0)
by_kind = gone.group_by("kind").agg(pl.col("shares").sum()).sort("shares", descending=True)
print(by_kind)
traded_away = by_kind.filter(pl.col("kind") == "EXECUTE")["shares"].sum() / gone["shares"].sum()
print(f"of what stood before it, {traded_away:.2f} went by trading; you said {guess_traded_away}")
assert traded_away < 0.5
print("most of the queue before it was taken back, not traded:", traded_away < 0.5)

# %% [markdown]
# **Change one thing:** another order of the same queue, the one that stood in the middle of it when ours came. The same plot,
# with one more curve.

# %% tags=["nbval-ignore-output"]
queue = tape.at(patient["born"]).queue(side, price)
middle = int(queue["order_id"][len(queue) // 2])
curves = pl.concat(
    tape.follow(one)
    .filter(pl.col("ahead").is_not_null())
    .select(series=pl.lit(name), x=pl.col("index").clip(patient["born"]), y="ahead")
    .unique("x", keep="last", maintain_order=True)
    for name, one in (("the order at the back", order), ("one from the middle", middle))
)
charts.line_chart(curves, "Shares ahead of an order", "until it is gone", x="message index", y="shares ahead", step=True)

# %% [markdown]
# **Why?** Whoever makes a market changes their mind with every tick: most messages are deletes, and they hit orders anywhere in
# the queue, before us and behind us. Only trades are sure to come from the front. That is why an engine must know the *place*
# of an order, not only the size of its level, and why the book keeps a queue per level (`Level.queue` in
# `hftlab/stages/book.py`).
#
# ## Does the book say where the price goes?
#
# The engine makes nine numbers of the book after each message (`hftlab/stages/signal.py`). Two of them: **imbalance**, from -1
# (all size on the ask) to 1 (all on the bid); and **microprice**, the middle of bid and ask, drawn towards the side with *less*
# size.

# %% tags=["nbval-ignore-output"]
frame = tape.frame(symbol).filter(pl.col("bid_qty") > 0, pl.col("ask_qty") > 0)
orders = tape.run.orders
charts.price_chart(frame, feed.price_scale, orders, subtitle=f"{symbol}, and the orders that our engine sent")

# %% tags=["nbval-ignore-output"]
charts.signal_chart(frame.tail(2_000), feed.price_scale, ("microprice", "imbalance", "ofi", "score"))

# %% [markdown]
# **Predict:** when the imbalance is strong, does the price move *with* it (towards the side that presses) more often than not?
#
# For each row we look at the next mid price that differs, and count how often it is higher, by imbalance. (The picture comes
# below, where a real day joins it.)

# %% tags=["nbval-check-output"]
step = pl.col("mid").shift(-1) - pl.col("mid")
told = frame.with_columns(up=pl.when(step != 0).then(step > 0).fill_null(strategy="backward").cast(pl.Float64)).drop_nulls("up")
bins = (
    told.with_columns(x=(pl.col("imbalance") * 4).round() / 4).group_by("x").agg(y=pl.col("up").mean(), rows=pl.len()).sort("x")
)
strong, weak = bins.filter(pl.col("x") >= 0.75)["y"].mean(), bins.filter(pl.col("x") <= -0.75)["y"].mean()
assert strong > weak
print("the next move is up more often when the bid presses than when the ask does:", strong > weak)
with pl.Config(tbl_rows=20):
    print(bins.rename({"x": "imbalance", "y": "share of next moves up"}))

# %% [markdown]
# ## Play it yourself
#
# Pull the slider, press play, step by one message or to the next trade. `follow` takes an order id: its queue is drawn, our
# order marked. (Without a running kernel you see a picture of one moment.)

# %% tags=["nbval-ignore-output"]
player = book_replay(tape, index=patient["born"], follow=order)
player

# %% [markdown]
# Things to find with it: a *replace* that loses its place; an execution that takes two orders at once; a level that vanishes
# and moves the ask.
#
# A replay never runs the day from its beginning: it starts at a checkpoint and applies the rest (`hftlab/engine/history.py`).
# Is it
# exact? The state of the player, against a run that ends there:

# %% tags=["nbval-check-output"]
from hftlab.measurement.preconditions import head

player.slider.value = MESSAGES // 2
fresh = hftlab.Engine().run(head(feed, MESSAGES // 2 + 1))
assert player.now.book().equals(fresh.book(symbol))
print("the same book, level by level:", player.now.book().equals(fresh.book(symbol)))

# %% [markdown]
# ## A real morning
#
# Where the environment variable `HFTLAB_DATA` names a folder of real data (or `../shared/data` lies beside the checkout), we
# walk the first ten thousand messages of AAPL on 2020-01-30, long before the opening bell. Where it is missing, the generated
# day takes its place.

# %% tags=["nbval-ignore-output"]
morning = real_data.real()
if morning is None:
    print("no real data on this machine: what follows shows the generated day once more")
day = BookHistory(morning or feed)
stock = day.symbols[0]
kinds = Counter(day.at(i).fields["type"] for i in range(len(day)))
print(stock, "|", ", ".join(f"{letter} {n:,}" for letter, n in kinds.most_common()))

# %% [markdown]
# On this tape every execution must hit the front of its queue, at the best price. If the book put a single order into the wrong
# place, it would show here. That is the sharpest test of a book there is, and it needs nothing but the data.

# %% tags=["nbval-check-output"]
executions = [i for i in range(1, len(day)) if day.at(i).description.startswith("EXECUTE")]
at_front = [day.at(i - 1).queue_position(int(day.events["order_id"][i])) == (0, 0) for i in executions]
assert all(at_front)
print("every execution was at the front of its queue:", all(at_front))
assert not day.run.faults
print("faults in the data:", len(day.run.faults))

# %% [markdown]
# And the imbalance of before, on this day: the same count, both days in one plot. The dashed line is what a coin would know.

# %% tags=["nbval-ignore-output"]
rows = day.frame(stock).filter(pl.col("bid_qty") > 0, pl.col("ask_qty") > 0)
step = pl.col("mid").shift(-1) - pl.col("mid")
told = rows.with_columns(up=pl.when(step != 0).then(step > 0).fill_null(strategy="backward").cast(pl.Float64)).drop_nulls("up")
real = told.with_columns(x=(pl.col("imbalance") * 4).round() / 4).group_by("x").agg(y=pl.col("up").mean()).sort("x")
named = {"generated": bins, f"{stock}, real" if morning else "generated, again": real}
both = pl.concat(one.select(series=pl.lit(name), x="x", y="y") for name, one in named.items())
charts.line_chart(
    both, "Next price move by imbalance", x="imbalance before the move", y="share of next moves that are up", rule=0.5
)

# %% tags=["nbval-ignore-output"]
book_replay(day, index=len(day) * 3 // 5)

# %% [markdown]
# ## Whole days
#
# Nasdaq, the exchange, offers whole trading days in this format publicly, on its own file server: look for "TotalView-ITCH
# sample data". A file there is named by its date, and holds every message of every stock, some hundreds of millions, compressed
# with gzip. hftlab reads it as it is and never unpacks it to disk; memory grows with the live orders, not with the file:
#
# ```sh
# hftlab run path/to/day.NASDAQ_ITCH50.gz --backend rust --record top --out out/day.parquet
# make bench FEED=path/to/day.NASDAQ_ITCH50.gz
# ```
#
# ```python
# feed = hftlab.load("path/to/day.NASDAQ_ITCH50.gz", symbols=["AAPL"])    # one stock of it
# book_replay(feed)                                                    # a tape holds up to five million messages
# ```
#
# ## Exercise 02.1: decode an add by hand
#
# *Easy, 10 minutes.* `decode(message)` is given the 36 bytes of an add, without the length. Return a tuple: time (ns), order
# id, side (`"B"` or `"S"`), quantity, symbol, price (an integer). The table above has the offsets. This start is wrong in more
# than one way:


# %% tags=["nbval-check-output"]
def decode(message):
    def number(start, width):
        return int.from_bytes(message[start : start + width], "little")

    return number(5, 6), number(11, 8), chr(message[19]), number(20, 4), message[24:32].decode(), number(32, 4)


check("02.1", decode)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Which byte of a number comes first on the wire? And how long is the symbol `AAPL` in a field of eight bytes?
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def decode(message):
#     def number(start, width):
#         return int.from_bytes(message[start : start + width], "big")
#
#     symbol = message[24:32].decode().rstrip()
#     return number(5, 6), number(11, 8), chr(message[19]), number(20, 4), symbol, number(32, 4)
# ```
#
# </details>


# %% tags=["solution", "nbval-check-output"]
def decode(message):
    def number(start, width):
        return int.from_bytes(message[start : start + width], "big")

    symbol = message[24:32].decode().rstrip()
    return number(5, 6), number(11, 8), chr(message[19]), number(20, 4), symbol, number(32, 4)


assert check("02.1", decode)
print("passed:", bool(check("02.1", decode)))

# %% [markdown]
# ## Exercise 02.2: what stands before an order
#
# *Medium, 20 minutes.* `ahead(changes, order_id)` is given all that happened to the book of one stock, as tuples `(kind,
# order_id, new_order_id, side, price, qty)`, and must return how many shares stand before the order in its queue, or `None` if
# it is not in the book. Only an add says side and price; a replace keeps the side. The start counts everybody who ever came
# before:

# %% tags=["nbval-check-output"]
from hftlab import Kind


def ahead(changes, order_id):
    before = 0
    for kind, order, _, _, _, qty in changes:
        if kind == Kind.ADD:
            if order == order_id:
                return before
            before += qty
    return None


check("02.2", ahead)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Keep one dict per `(side, price)`: order id to quantity left. A dict of Python keeps the order in which keys came, so it *is*
# a queue. A second dict says in which queue an order stands.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def ahead(changes, order_id):
#     queues, where = {}, {}
#     for kind, order, new_order, side, price, qty in changes:
#         if kind == Kind.ADD:
#             where[order] = (side, price)
#             queues.setdefault((side, price), {})[order] = qty
#         elif order in where:
#             queue = queues[where[order]]
#             if kind in (Kind.EXECUTE, Kind.CANCEL):
#                 queue[order] -= qty
#             if kind in (Kind.DELETE, Kind.REPLACE) or not queue[order]:
#                 del queue[order]
#                 side, _ = where.pop(order)
#             if kind == Kind.REPLACE:
#                 where[new_order] = (side, price)
#                 queues.setdefault((side, price), {})[new_order] = qty
#     if order_id not in where:
#         return None
#     queue = queues[where[order_id]]
#     return sum(list(queue.values())[: list(queue).index(order_id)])
# ```
#
# </details>


# %% tags=["solution", "nbval-check-output"]
def ahead(changes, order_id):
    queues, where = {}, {}
    for kind, order, new_order, side, price, qty in changes:
        if kind == Kind.ADD:
            where[order] = (side, price)
            queues.setdefault((side, price), {})[order] = qty
        elif order in where:
            queue = queues[where[order]]
            if kind in (Kind.EXECUTE, Kind.CANCEL):
                queue[order] -= qty
            if kind in (Kind.DELETE, Kind.REPLACE) or not queue[order]:
                del queue[order]
                side, _ = where.pop(order)
            if kind == Kind.REPLACE:
                where[new_order] = (side, price)
                queues.setdefault((side, price), {})[new_order] = qty
    if order_id not in where:
        return None
    queue = queues[where[order_id]]
    return sum(list(queue.values())[: list(queue).index(order_id)])


assert check("02.2", ahead)
print("passed:", bool(check("02.2", ahead)))

# %% [markdown]
# ## Takeaway
#
# - A message is a few dozen bytes with fixed places; after the first one an order is nothing but its number, and the book must
#   remember.
# - Most messages tell of orders that never trade, and most of a queue leaves by being taken back.
# - A book is right if every execution of a real day hits the front of its queue. That can be checked on any feed, without an
#   oracle.
#
# **What did not work.** At its ends the imbalance knows more than a coin. But the curves are crooked, and those of two days
# differ: the rows are many, the *moves* between them few, and a day that only rises lifts the whole curve. And who acts on it
# pays the spread. A signal is not a strategy, and one day is no evidence.
#
# **Where it is in the code.** Layouts `hftlab/protocols/itch_messages.py`, decoding `hftlab/stages/tick.py`, the book
# `hftlab/stages/book.py`, signals `hftlab/stages/signal.py`, winding `hftlab/engine/history.py`, the player `hftlab/notebook/`.
#
# **Next:** 03, Where the time goes: the same path, and which of its lines is the dear one.
