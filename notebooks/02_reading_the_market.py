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
# About 60 minutes, 30 of them for two exercises. Afterwards you can
#
# - decode a message, byte by byte, and name its effect on the book;
# - read a book order by order: its levels, its queues, and the orders ahead of yours;
# - replay a trading day, generated or real, to any of its messages.

# %% tags=["parameters"]
MESSAGES = 20_000  # 200_000 for a longer day
SEED = 1

# %%
# %load_ext hftlab
from collections import Counter

import polars as pl
from course import check, claim, reveal, show

import hftlab
from hftlab import charts
from hftlab.engine.history import BookHistory
from hftlab.feeds.itch import real_data
from hftlab.notebook.widgets import book_replay
from hftlab.protocols import itch_messages as messages

# %% [markdown]
# ## Predict first
#
# An exchange publishes what happens to every order: it is added, executed, canceled. The format here is Nasdaq's TotalView-ITCH
# 5.0. One would expect that most orders trade.
#
# **What share of all messages reports a trade?** Write your guess down, as a number between 0 and 1.

# %%
guess = 0.5

# %% [markdown]
# ## One message, byte by byte
#
# The feed is generated, so that everybody sees the same one: real ITCH bytes of a simulated market. In a file, two bytes with
# the length precede each message. A message begins with a letter, its type. Integers are sent with the most significant byte
# first (*big-endian*); a price is an integer, 1/10,000 of a dollar.
#
# A **book history** is a feed that can be replayed to any message. Here is the first *add*, the message of a new order, field
# by field.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
history = BookHistory(feed)
letters = [history.at(i).fields["type"] for i in range(len(history))]
first = letters.index("A")
print(f"message {first}, {len(history.at(first).wire)} bytes: {history.at(first).description}")
show(pl.DataFrame(messages.anatomy(history.at(first).wire)))

# %% [markdown]
# `locate` is a number for the stock, assigned each morning; `ts` counts nanoseconds from midnight; `ref` identifies the order
# from now on, and every later message about it contains that number alone. So a *delete* needs few bytes, and the reader must
# remember the rest.
#
# Which kinds are there, how often does each occur, and what is its effect on the book?

# %% tags=["nbval-check-output"]
DOES = {
    "A": "a new order joins the back of its queue",
    "F": "the same, with the name of the firm",
    "E": "an order trades, in part or whole, at its own price",
    "C": "an order trades at another price than its own",
    "X": "an order loses a part of its quantity and keeps its place",
    "D": "an order is deleted",
    "U": "an order is replaced: the new one joins the back of its queue",
    "P": "a trade with a hidden order, which was never in the book",
}
counts = Counter(letters)
rows = [
    (letter, messages.MESSAGES[letter].name, messages.MESSAGES[letter].size, n, DOES.get(letter, "nothing"))
    for letter, n in counts.most_common()
]
show(pl.DataFrame(rows, schema=["letter", "name", "bytes", "messages", "effect on the book"], orient="row"))

# %% tags=["nbval-check-output"]
traded = sum(counts[letter] for letter in "ECP") / len(history)
withdrawn = sum(counts[letter] for letter in "DXU") / len(history)
reveal("share of messages that report a trade", guess, traded)
print(f"share that cancel or replace: {withdrawn:.3f}")
claim("cancels and replaces for each trade", withdrawn / traded, above=5)

# %% [markdown]
# So an engine spends its time on orders that never trade. Remember that when a benchmark counts trades.
#
# ## From messages to a book
#
# The **book** is the set of all resting orders. Those at one price form a **level**, a **queue** in price-time priority: the
# first order is filled first. A book with every order in it is called *L3*; with the totals of the levels alone, *L2*; with the
# best level alone, *L1*. The best price of a buyer is the **bid**, the best price of a seller the **ask**, and their difference
# is the **spread**.
#
# The exchange does not send the book. We build it, message by message (`hftlab/stages/book.py`). After three quarters of the
# messages:

# %% tags=["nbval-check-output"]
symbol = history.symbols[0]
now = history.at(3 * MESSAGES // 4, symbol)
print(now.description)
print("orders in the book:", now.book()["orders"].sum(), "| levels:", len(now.book()))
assert now.top[0] < now.top[2]
print(f"bid {now.top[0] / feed.price_scale:.2f} < ask {now.top[2] / feed.price_scale:.2f}")

# %% tags=["nbval-ignore-output"]
charts.depth_chart(now.book(), feed.price_scale, 8, f"The book of {symbol}", f"after message {now.index:,}")

# %% [markdown]
# ## The queue, and your place in it
#
# An order at the back of a long queue is worth less than one at the front: much must happen before it trades. Two things move
# you forward: orders ahead of you **trade**, or they are **canceled**.
#
# **Predict:** of the shares ahead of an order, what part leaves by trading? Most of it, half, little?

# %%
guess_traded_away = 0.5

# %% [markdown]
# We choose the order that had the most *orders* ahead of it when it was added, and that traded in the end.

# %% tags=["nbval-check-output"]
lives = history.lifetimes()
filled = lives.filter(pl.col("end") == "EXECUTE", pl.col("born") > MESSAGES // 10)
patient = max(filled.rows(named=True), key=lambda one: history.at(one["born"]).queue_position(one["order_id"])[0])
order = patient["order_id"]
way = history.follow(order)
print(f"order {order} was added by message {patient['born']:,} and filled in message {patient['gone']:,}")
in_orders, in_shares = history.at(patient["born"]).queue_position(order)
print("ahead of it at first:", in_shares, "shares in", in_orders, "orders")

# %% tags=["nbval-ignore-output"]
side, price = history.at(patient["born"]).locate(order)
charts.queue_chart(history.at(patient["born"]).queue(side, price), order, f"The {side} queue when order {order} joined it")

# %% tags=["nbval-check-output"]
gone = way.with_columns(shares=pl.col("ahead").shift(1) - pl.col("ahead")).filter(pl.col("shares") > 0)
by_kind = gone.group_by("kind").agg(pl.col("shares").sum()).sort("shares", descending=True)
print(dict(by_kind.iter_rows()), "shares ahead of it left")
traded_away = by_kind.filter(pl.col("kind") == "EXECUTE")["shares"].sum() / gone["shares"].sum()
reveal("share of them that left by trading", guess_traded_away, traded_away)
claim("share that left by trading", traded_away, below=0.5)

# %% [markdown]
# **Change one thing:** another order of the same queue, the one in the middle of it when ours was added. The same plot, with
# one more curve.

# %% tags=["nbval-ignore-output"]
queue = history.at(patient["born"]).queue(side, price)
middle = int(queue["order_id"][len(queue) // 2])
curves = pl.concat(
    history.follow(one)
    .filter(pl.col("ahead").is_not_null())
    .select(series=pl.lit(name), x=pl.col("index").clip(patient["born"]), y="ahead")
    .unique("x", keep="last", maintain_order=True)
    for name, one in (("the order at the back", order), ("one from the middle", middle))
)
charts.line_chart(curves, "Shares ahead of an order", "until it is gone", x="message index", y="shares ahead", mark="step")

# %% [markdown]
# **Why?** Market makers change their quotes with every tick: most messages are deletes, and they remove orders anywhere in the
# queue, ahead of us and behind us. Only trades always come from the front. That is why an engine must know the queue *position*
# of an order, not only the size of its level, and why the book has a queue per level (`Level.queue` in
# `hftlab/stages/book.py`).
#
# ## Does the book predict the price?
#
# The engine computes nine signals from the book after each message (`hftlab/stages/signal.py`). Two of them: **imbalance**,
# from -1 (all size on the ask) to 1 (all on the bid); and `microprice`, the price weighted towards the side with *less* size.
# The literature calls that one the **weighted mid**. (Stoikov's *micro-price* of 2018 is another quantity: the expected mid
# price far ahead, estimated from the statistics of a day.)

# %% tags=["nbval-ignore-output"]
frame = history.frame(symbol).filter(pl.col("bid_qty") > 0, pl.col("ask_qty") > 0)
orders = history.run.orders
charts.price_chart(frame, feed.price_scale, orders, subtitle=f"{symbol}, and the orders that our engine sent")

# %% tags=["nbval-ignore-output"]
charts.signal_chart(frame.tail(1_500), feed.price_scale, ("microprice", "imbalance", "ofi", "score"))

# %% [markdown]
# **Predict:** the imbalance is above 0.5, so the bid is more than three times as large as the ask. How often is the next move of
# the mid price up?

# %%
guess_up = 0.55

# %% [markdown]
# Which rows may we count? There are thousands of rows and a few hundred *moves*. All rows between two moves have the same next
# move: they are one observation, seen again and again, and a long wait would count most. So we take **one sample per move**, the
# last row before it, and give each share an interval (Wilson's, 95 %: of 10 moves a share of 0.6 says nothing). Nor is the coin
# the right thing to compare with: on a day that rises most moves are up. That is the *base rate*, the dashed line in the chart
# below, which shows a real day, too.


# %% tags=["nbval-check-output"]
def moves_of(rows):
    """The last row before each move of the mid price, and whether the move is up."""
    step = pl.col("mid").shift(-1) - pl.col("mid")
    return rows.with_columns(step=step).filter(pl.col("step") != 0).select("imbalance", up=pl.col("step") > 0)


def by_imbalance(moves, z=1.96):
    """Share of the moves that are up, in five groups of the imbalance before them, with Wilson's interval."""
    groups = moves.group_by(x=(pl.col("imbalance") * 2).round() / 2).agg(y=pl.col("up").mean(), n=pl.len()).sort("x")
    wide = 1 + z**2 / pl.col("n")
    middle = (pl.col("y") + z**2 / (2 * pl.col("n"))) / wide
    half = z / wide * (pl.col("y") * (1 - pl.col("y")) / pl.col("n") + z**2 / (4 * pl.col("n") ** 2)).sqrt()
    return groups.with_columns(low=middle - half, high=middle + half)


moves = moves_of(frame)
bins = by_imbalance(moves)
strong = moves.filter(pl.col("imbalance") > 0.5)["up"].mean()
print(f"{len(frame):,} rows, {len(moves):,} moves; the base rate: {moves['up'].mean():.3f} of them are up")
reveal("share of moves up, imbalance above 0.5", guess_up, strong)
claim("its distance from the base rate", strong - moves["up"].mean(), above=0.1)
show(bins.rename({"x": "imbalance before the move", "y": "share of moves up", "n": "moves"}))

# %% [markdown]
# ## Replay it yourself
#
# Move the slider, press play, step by one message or to the next trade. `follow` takes an order id: the widget draws its queue
# and marks the order. (Without a running kernel you see a picture of one snapshot.)

# %% tags=["nbval-ignore-output"]
player = book_replay(history, index=patient["born"], follow=order)
player

# %% [markdown]
# Things to find with it: a *replace* that loses its queue position; a trade that fills two orders; a level that vanishes and
# moves the ask.
#
# A replay does not run the day from its beginning: it starts at a checkpoint and applies the rest (`hftlab/engine/history.py`).
# Is it exact? Compare the state of the widget with a run that ends there:

# %% tags=["nbval-check-output"]
player.slider.value = MESSAGES // 2
fresh = hftlab.Engine().run(feed.head(MESSAGES // 2 + 1))
assert player.now.book().equals(fresh.book(symbol))
print(f"the same book in each of its {len(fresh.book(symbol))} levels")

# %% [markdown]
# ## A real morning
#
# If the environment variable `HFTLAB_DATA` names a folder of real data (or `../shared/data` lies beside the checkout), this
# section uses the first ten thousand messages of AAPL on 2020-01-30. Those are pre-market hours: few orders, and a spread of many
# cents instead of one. Otherwise it uses the generated day.

# %% tags=["nbval-ignore-output"]
morning = real_data()
if morning is None:
    print("no real data on this machine: this section uses the generated day")
day = BookHistory(morning or feed)
stock = day.symbols[0]
kinds = Counter(day.at(i).fields["type"] for i in range(len(day)))
print(stock, "|", ", ".join(f"{letter} {n:,}" for letter, n in kinds.most_common()))

# %% [markdown]
# In this feed every execution must hit the front of its queue, at the best price. This test of a book needs nothing but the data.
# It is necessary, not sufficient: levels that never trade are not tested. And it holds for price-time priority alone, not for
# markets that fill pro rata, and not for auctions.

# %% tags=["nbval-check-output"]
executions = [i for i in range(1, len(day)) if day.at(i).description.startswith("EXECUTE")]
at_front = [day.at(i - 1).queue_position(int(day.events["order_id"][i])) == (0, 0) for i in executions]
assert all(at_front)
assert not day.run.faults
print(
    "executions that were not at the front of their queue:", at_front.count(False), "| faults in the data:", len(day.run.faults)
)

# %% [markdown]
# Now the imbalance on this day: one sample per move again, both days in one plot. The bars are the intervals. The dashed line is
# the base rate of the generated day.

# %% tags=["nbval-ignore-output"]
rows = day.frame(stock).filter(pl.col("bid_qty") > 0, pl.col("ask_qty") > 0)
real_moves = moves_of(rows)
real = by_imbalance(real_moves)
print(f"{stock}: {len(rows):,} rows, {len(real_moves):,} moves, base rate {real_moves['up'].mean():.3f}")
named = {"generated": bins, f"{stock}, real" if morning else "generated, again": real}
both = pl.concat(one.select("x", "y", "low", "high", series=pl.lit(name)) for name, one in named.items())
charts.line_chart(
    both,
    "Next price move by imbalance",
    "one sample per move, 95 % intervals",
    x="imbalance before the move",
    y="share of moves that are up",
    rule=moves["up"].mean(),
)

# %% tags=["nbval-ignore-output"]
book_replay(day, index=len(day) * 3 // 5)

# %% [markdown]
# ## Whole days
#
# Nasdaq publishes whole trading days in this format on its file server: search for "TotalView-ITCH sample data". A file there
# is named by its date and contains every message of every stock, some hundreds of millions, compressed with gzip. hftlab reads
# it as it is and does not unpack it to disk; memory grows with the live orders, not with the file:
#
# ```sh
# hftlab run path/to/day.NASDAQ_ITCH50.gz --backend rust --record top --out out/day.parquet
# make bench FEED=path/to/day.NASDAQ_ITCH50.gz
# ```
#
# ```python
# feed = hftlab.load("path/to/day.NASDAQ_ITCH50.gz", symbols=["AAPL"])    # one stock of it
# book_replay(feed)                                                    # up to five million messages
# ```
#
# ## Exercise 02.1: decode an add by hand
#
# *Easy, 10 minutes.* `decode(message)` gets the 36 bytes of an add, without the length. Return a tuple: time (ns), order id,
# side (`"B"` or `"S"`), quantity, symbol, price (an integer). The table above has the offsets. This start is wrong in more than
# one way:


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


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
def decode(message):
    def number(start, width):
        return int.from_bytes(message[start : start + width], "big")

    symbol = message[24:32].decode().rstrip()
    return number(5, 6), number(11, 8), chr(message[19]), number(20, 4), symbol, number(32, 4)


passed = check("02.1", decode)
assert passed
passed

# %% [markdown]
# ## Exercise 02.2: the shares ahead of an order
#
# *Medium, 20 minutes.* `ahead(changes, order_id)` gets all changes of the book of one stock, as tuples `(kind, order_id,
# new_order_id, side, price, qty)`, and returns the number of shares ahead of the order in its queue, or `None` if it is not in
# the book. Only an add has side and price; a replace has the same side as before. The start counts every order that was added
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
# Use one dict per `(side, price)`: order id to remaining quantity. A Python dict iterates in insertion order, so it *is* a
# queue. A second dict maps each order to its queue.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
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


passed = check("02.2", ahead)
assert passed
passed

# %% [markdown]
# ## Takeaway
#
# - A message is a few dozen bytes with fixed offsets; after the first one an order is only a number, and the book must remember
#   the rest ([One message, byte by byte](#One-message,-byte-by-byte)).
# - Most messages are about orders that never trade ([One message, byte by byte](#One-message,-byte-by-byte)), and most of a queue
#   leaves by cancellation ([The queue, and your place in it](#The-queue,-and-your-place-in-it)).
# - In a correct book every execution hits the front of its queue. That can be checked on any feed with price-time priority
#   ([A real morning](#A-real-morning)).
# - Count moves, not rows: a share needs independent samples, an interval, and the base rate beside it
#   ([Does the book predict the price?](#Does-the-book-predict-the-price?)).
#
# **What did not work.** Counting every row: most of them repeat the observation before. And the imbalance predicts the next move,
# not a profit: a trader who acts on it pays the spread. A signal is not a strategy, and one day is no evidence.
#
# **Where it is in the code.** Layouts `hftlab/protocols/itch_messages.py`, decoding `hftlab/stages/tick.py`, the book
# `hftlab/stages/book.py`, signals `hftlab/stages/signal.py`, replay `hftlab/engine/history.py`, the widget
# `hftlab/notebook/widgets.py`.
#
# **Next:** 03, Where the time goes: the same path, and which of its lines is the hot one.
