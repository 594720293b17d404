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
# # 05 Crossing into Rust
#
# **What does the border cost?** About 45 minutes with the exercises. Afterwards you will be able to
#
# - say what a call from Python into compiled code costs, and what of it is the border's own,
# - choose between a call per message, chunks and whole buffers, and find where one begins to pay,
# - tell what a faithful port into a fast language still pays for: the structures it brought along.

# %% tags=["parameters"]
MESSAGES = 10_000  # 100_000 for figures to be quoted
ROUNDS = 11  # 21 for figures to be quoted
SEED = 1

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import polars as pl
from course import check

import hftlab
from hftlab import charts

# %% [markdown]
# ## The naive port
#
# The same engine twice, line by line: `hftlab/stages/` in Python, `rust_ext/src/` in Rust. A **naive port** uses in Rust what
# one would write first: the standard hash map, the standard tree, each order in a heap allocation of its own. No thought for
# memory, no trick.
#
# **Predict first:** how many times as fast is that, from tick to order?

# %%
guess_naive = 10  # your guess

# %% tags=["nbval-ignore-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
naive = hftlab.compare("python", "rust naive", feed, rounds=ROUNDS, seed=SEED)
print("b against a:", naive.verdict)
naive.plot()

# %% tags=["nbval-check-output"]
print("equal to the last bit:", bool(hftlab.verify("python", "rust", feed)))
ratio = naive.metrics[0].found.ratio
assert ratio.median > 8, naive
print("the naive port is more than 8 times as fast:", ratio.median > 8)

# %% [markdown]
# Most of what there is to gain, for no cleverness at all: the interpreter is gone, with its objects, its reference counts and
# its dictionary look-ups. But that was timed in the engine's own loop, which had the whole feed in its hands. Somebody has to
# hand the messages over.
#
# ## The border
#
# Between Python and Rust lies a **border**. A call across it has to turn Python objects into machine integers or addresses, and
# the answer back into objects. There are four ways to hand messages to the engine:
#
# ```text
# way            crosses with
# apply          one event as eight integers
# message        one raw message as bytes
# push           a chunk of messages as bytes, from one message to the whole feed
# push_events    a chunk of event records as a NumPy array
# ```
#
# **Predict first:** a call that does nothing, in Python and across the border. How many times the cost of the first is the
# second?

# %%
guess_call = 5.0  # your guess
guess_chunk = 50  # and: from how many messages per crossing on is the border negligible (less than a tenth)?

# %% tags=["nbval-ignore-output"]
border = hftlab.border(feed, rounds=ROUNDS, messages=MESSAGES, seed=SEED)
ways = border.frame()
ways.filter(~pl.col("way").str.starts_with("push")).select("way", "until", "ns_per_message", "low", "high", "min")

# %% [markdown]
# The rows without a last stage are calls that do nothing. `message` and `apply` do a message's work: until `tick` they decode it
# (`apply` gets it decoded), until `book` they apply it to the book as well. The Python engine crosses nothing: it is what both
# have to beat.
#
# For ratios we take the fastest round of each way (`min`): whatever else the machine did can only have made a round slower.

# %% tags=["nbval-check-output"]
ns = {
    (way, until, size): low for way, until, size, low in ways.select("way", "until", "messages_per_crossing", "min").iter_rows()
}
call, python_call = ns["no-op across", "", 0], ns["Python no-op", "", 0]
claims = {
    "an empty call across the border costs less than 3 empty calls in Python": call < 3 * python_call,
    "a call per message, until the book, is more than 5 times as fast as the Python engine": ns["Python engine", "book", MESSAGES]
    > 5 * ns["message", "book", 1],
    "eight integers cost more than one bytes object": ns["apply", "tick", 1] > 1.2 * ns["message", "tick", 1],
}
assert all(claims.values()), border
for claim, holds in claims.items():
    print(f"{claim}: {holds}")

# %% [markdown]
# **What surprises:** the border itself costs about as much as any function call of Python. "Crossing is expensive" is not the
# whole truth: *converting* is what costs. Eight integers are eight conversions; a bytes object is handed over as an address and
# a length, and Rust reads it where it lies.
#
# ## Change one thing: the size of the chunk
#
# `push` takes any number of messages. Left: the messages are only decoded. Right: they reach the book.

# %% tags=["nbval-ignore-output"]
charts.ffi_chart(ways.filter(pl.col("way") != "push_events"), f"bytes; {ROUNDS} interleaved rounds")

# %% [markdown]
# A straight line down on the left of each panel: there the fixed cost of a crossing is shared by more and more messages. Then
# the line bends and goes flat: what remains is the work. And the first point is a surprise of its own: `push` with **one**
# message costs several times as much as `message`. It takes any object that offers its memory (bytes, a memory-mapped file, an
# array), counts the messages, makes room, lets other Python threads run, looks for Ctrl-C. All that is paid per crossing.
#
# The same plot with one more curve: event records in a NumPy array.

# %% tags=["nbval-ignore-output"]
border.plot()

# %% tags=["nbval-check-output"]
claims = {
    "push with one message costs more than 2 times a call of message": ns["push", "book", 1] > 2 * ns["message", "book", 1],
    "push_events with one record costs more than 2 times push with one message": ns["push_events", "book", 1]
    > 2 * ns["push", "book", 1],
    "a whole buffer takes less than two thirds of a call per message": ns["push", "book", MESSAGES]
    < 2 / 3 * ns["message", "book", 1],
    "from 1,000 messages a crossing on there is little left to gain (less than a third)": ns["push", "book", 1_000]
    < 4 / 3 * ns["push", "book", MESSAGES],
}
assert all(claims.values()), border
for claim, holds in claims.items():
    print(f"{claim}: {holds}")

# %% [markdown]
# A record at a time in a NumPy array is the worst way there is: its type is compared, a view is made, a buffer is opened, for a
# single event. Compare it with the dashed line, the Python engine, which crosses nothing. *NumPy is fast* holds for arrays, not
# for elements.
#
# ## Where one way begins to beat another
#
# A **crossover** is the size from which on one curve stays below another. In words:

# %% tags=["nbval-ignore-output"]
print("\n".join(border.words()))
print(f"your guesses: an empty call {guess_call} times (measured {call / python_call:.1f}),")
print(f"              negligible from {guess_chunk} messages a crossing on")

# %% [markdown]
# ## What the naive port still pays
#
# So the border can be made negligible. What is left is the engine, and the naive one brought its structures along. Some of that
# can be **counted**, which no noise can touch: how often does a message ask the allocator for memory?

# %% tags=["nbval-check-output"]
rows = []
for engine in ("rust naive", "rust"):
    profile = hftlab.profile(engine, feed, tool="memory", messages=MESSAGES).frame()
    stages = profile.filter(kind="stage").select("stage", "allocations_per_message")
    rows.append({"engine": engine, **{stage: abs(round(n, 1)) for stage, n in stages.iter_rows()}})
allocations = pl.DataFrame(rows)
assert allocations["book"][0] > 0.3
assert allocations["book"][1] == 0
allocations

# %% [markdown]
# About every second message is an add, and each add of the naive port allocates; the best engine allocates nothing once it is
# warm. The rest is in the waterfall: one optimisation after the other, from the naive port to the best engine. Each has a
# lesson: the price levels and the hash 06, the pool 07, the signals 08.

# %% tags=["nbval-ignore-output"]
ablation = hftlab.ablate(feed, rounds=max(ROUNDS, 31), seed=SEED)
ablation.waterfall()

# %% tags=["nbval-check-output"]
whole = ablation.frame().filter(start="ladder", axis="all").row(0, named=True)
assert whole["ratio"] > 1.4, ablation
print("from the naive port to the best engine, the time per message falls by a factor of more than 1.4:", whole["ratio"] > 1.4)

# %% [markdown]
# All of that in the same language, by choosing structures. A port does not give you that; it only lets you see it. In the
# Python engine the same choices drown in the cost of the interpreter.
#
# ## What did not get faster
#
# **Opening an engine.** A Rust session asks for its memory before the first message, so that no message has to wait for it.
# **Predict first:** is opening a session quicker in Rust than in Python?

# %%
guess_opening = True  # your guess

# %% tags=["nbval-ignore-output"]
from timeit import repeat

engines = {name: hftlab.Engine(name) for name in ("python", "rust")}
opening = {name: min(repeat(engine.open, number=1, repeat=30)) * 1e6 for name, engine in engines.items()}
per_message = {name: engine.run(feed, record="none").ns_per_message / 1e3 for name, engine in engines.items()}
print({name: f"{us:.0f} µs to open" for name, us in opening.items()})
breaks_even = (opening["rust"] - opening["python"]) / (per_message["python"] - per_message["rust"])
print(f"for fewer than about {breaks_even:.0f} messages, the whole run is quicker in Python")

# %% tags=["nbval-check-output"]
assert opening["rust"] > 1.5 * opening["python"], opening
print("opening a Rust session takes more than 1.5 times as long:", opening["rust"] > 1.5 * opening["python"])

# %% [markdown]
# **Decoding.** The first stage is the same code in the naive and in the best engine: bytes at fixed offsets, no structure to
# choose. None of the switches of the waterfall is about it.
#
# **Bringing the results home.** `elapsed_ns` of a run is the engine's loop, and so is every figure above. Who wants a data
# frame with a row per message waits for more: the session is opened, the rows are written and wrapped. The same run by the
# clock on the wall:

# %% tags=["nbval-ignore-output"]
engine = engines["rust"]
loop = min(engine.run(feed, record="none").elapsed_ns for _ in range(10)) / 1e3
wall = min(repeat(lambda: engine.run(feed, record="none"), number=1, repeat=10)) * 1e6
framed = min(repeat(lambda: engine.run(feed).frame, number=1, repeat=10)) * 1e6
print(f"the loop {loop:,.0f} µs, the call of run {wall:,.0f} µs, with its frame {framed:,.0f} µs")

# %% tags=["nbval-check-output"]
assert framed > 1.5 * loop, (loop, framed)
print("with the frame, the call takes more than 1.5 times as long as the engine's loop:", framed > 1.5 * loop)

# %% [markdown]
# A program that is fast in the middle is as slow as its ends.
#
# ## Exercise 05.1: chunk it
#
# *Medium, 15 minutes.* Messages come one by one, each framed (its length in two bytes, then the message). Write
# `replay(session, messages)`, which hands them to `session.push`:
#
# - every message, in order, the last ones too,
# - in as few crossings as possible, but **at most 1,000 messages in one**: the first of a chunk waits until the last has come,
# - at least twice as fast as a push per message.
#
# `messages` may be a generator. Two framed messages are joined by writing them one after the other. The start crosses for each.


# %%
def replay(session, messages):
    for message in messages:
        session.push(message)


# %% tags=["nbval-check-output"]
answer = check("05.1", replay)
assert not answer
print(str(answer).splitlines()[-1])

# %% [markdown]
# <details><summary>Hint</summary>
#
# `itertools.islice(messages, 1_000)` takes the next thousand of an iterator, or what is left. `b"".join(...)` joins them; it is
# empty at the end.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# from itertools import islice
#
# def chunked(session, messages):
#     messages = iter(messages)
#     while chunk := b"".join(islice(messages, 1_000)):
#         session.push(chunk)
# ```
#
# </details>

# %% tags=["solution", "nbval-ignore-output"]
from itertools import islice


def chunked(session, messages):
    messages = iter(messages)
    while chunk := b"".join(islice(messages, 1_000)):
        session.push(chunk)


answer = check("05.1", chunked)
assert answer, answer
print(*str(answer).splitlines()[:1], *str(answer).splitlines()[-3:], sep="\n")

# %% [markdown]
# ## Exercise 05.2: how large must a chunk be?
#
# *Easy, 10 minutes.* A crossing costs `call_ns`, the work of a message `message_ns`. The border shall add at most `share` of the
# work to each message. The messages come evenly, `per_second` of them. Write `size(call_ns, message_ns, share, per_second)`: the
# smallest number of messages in a chunk, and how long the **first** of them waits for the last, in ns.


# %%
def size(call_ns, message_ns, share, per_second):
    chunk = int(call_ns / (share * message_ns))
    return chunk, chunk * 1e9 / per_second


# %% tags=["nbval-check-output"]
answer = check("05.2", size)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# In a chunk of *n*, a message carries `call_ns / n` of the border. A chunk of one waits for nobody.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# from math import ceil
#
# def right_size(call_ns, message_ns, share, per_second):
#     chunk = max(1, ceil(call_ns / (share * message_ns)))
#     return chunk, (chunk - 1) * 1e9 / per_second
# ```
#
# </details>

# %% tags=["solution", "nbval-check-output"]
from math import ceil


def right_size(call_ns, message_ns, share, per_second):
    chunk = max(1, ceil(call_ns / (share * message_ns)))
    return chunk, (chunk - 1) * 1e9 / per_second


answer = check("05.2", right_size)
assert answer, answer
print(answer)

# %% [markdown]
# Now with what was measured above, for a feed of 100,000 messages a second:

# %% tags=["nbval-ignore-output"]
work = ns["push", "book", MESSAGES]
chunk, wait_ns = right_size(ns["push", "book", 1] - work, work, 0.1, 100_000)
print(f"a border of a tenth needs chunks of {chunk:,} messages, and the first of each waits {wait_ns / 1e3:,.0f} µs")
print(f"a call per message waits for nobody, and costs {ns['message', 'book', 1]:,.0f} ns a message")

# %% tags=["nbval-check-output"]
assert wait_ns > 10 * ns["message", "book", 1]
print("waiting costs the first message more than 10 times what its own call would have cost: True")

# %% [markdown]
# ## Takeaway
#
# - The border costs about one function call; conversions cost more, and NumPy records one at a time cost most.
# - Chunks share a fixed cost. For **research**, a replay of a day, push whole buffers. For **live** trading a chunk is latency:
# there the path from the wire to the order must lie on one side of the border.
# - A port takes the interpreter away. The structures stay, and the next lessons change those.
#
# **What did not get faster:** opening, decoding, and bringing the results home.
#
# **Where it is in the code:** `rust_ext/src/py.rs` (the border: every binding borrows the memory, lets go of the interpreter,
# calls, wraps the answer), `hftlab/experiments/border.py` and `crossing.py` (the measurement), `hftlab/engine/engine.py`
# (blocks to the
# engine). On the command line: `hftlab border`, `hftlab bench --ablate`.
#
# **Next:** 06 Order-book structures: which one wins, where, and why?
