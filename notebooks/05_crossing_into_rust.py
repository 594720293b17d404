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
# **What does a call from Python into Rust cost?** About 75 minutes with the exercises. Afterwards you will be able to
#
# - measure the cost of a call from Python into compiled code, and the share of the FFI boundary in it,
# - choose between a call per message, chunks and whole buffers, and find the size from which one pays,
# - write a loop in Rust and call it from Python,
# - name the costs that a faithful port into a fast language still has: those of its data structures.

# %% tags=["parameters"]
MESSAGES = 10_000  # 100_000 for publishable figures
ROUNDS = 11  # 21 for publishable figures
PAIRED = 31  # of the comparison of variants
SEED = 1

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import polars as pl
from course import check, claim, reveal, show

import hftlab
from hftlab import charts

# %% [markdown]
# ## The naive port
#
# The same engine exists twice, line by line: `hftlab/stages/` in Python, `rust_ext/src/` in Rust. A **naive port** uses the
# obvious structures of Rust: the standard hash map, the standard tree, each order in a heap allocation of its own. Nothing in
# it is tuned for memory.
#
# **Predict first:** how many times as fast is it, from tick to order?

# %%
guess_naive = 10  # your guess

# %% tags=["nbval-ignore-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
naive = hftlab.compare("python", "rust naive", feed, rounds=ROUNDS, seed=SEED)
print("b against a:", naive.verdict)
naive.plot()

# %% tags=["nbval-ignore-output"]
same = hftlab.verify("python", "rust naive", feed)
assert same
print(f"the same bits on {same.messages:,} messages")
reveal("Python / naive Rust", guess_naive, naive.metrics[0].paired.ratio.median)
claim("Python / naive Rust", naive.metrics[0].paired, above=8)

# %% [markdown]
# That is most of the possible gain, without any tuning: the interpreter is gone, with its objects, its reference counts and its
# dictionary look-ups. But this was the time of the engine's own loop, which had the whole feed in memory. Some code has to pass
# the messages to it.
#
# ## The FFI boundary
#
# Between Python and Rust lies the **FFI boundary** (foreign function interface). A call across it converts Python objects into
# machine integers or addresses, and the result back into objects. There are four ways to pass messages to the engine:
#
# ```text
# call           argument
# apply          one event as eight integers
# message        one raw message as bytes
# push           a chunk of messages as bytes, from one message to the whole feed
# push_events    a chunk of event records as a NumPy array
# ```
#
# **Predict first:** a call that does nothing, in Python and across the boundary. How many times the cost of the first is the
# second?

# %%
guess_call = 5.0  # your guess
guess_chunk = 50  # and: from how many messages per call on is the boundary negligible (less than a tenth)?

# %% tags=["nbval-ignore-output"]
boundary = hftlab.ffi_overhead(feed, rounds=ROUNDS, messages=MESSAGES, seed=SEED)
ways = boundary.frame()
single = ways.filter(~pl.col("way").str.starts_with("push"))
show(single.select("way", "until", pl.col("ns_per_message").alias("median"), "low", "high", "min"), "ns per message")

# %% [markdown]
# The rows without a last stage are calls that do nothing. `message` and `apply` process one message: until `tick` they decode
# it (`apply` gets it decoded), until `book` they also apply it to the book. The Python engine crosses no boundary: both have to
# beat it.
#
# For ratios we take the fastest round of each way (`min`): other load on the machine only makes a round slower.

# %% tags=["nbval-ignore-output"]
ns = {
    (way, until, size): low for way, until, size, low in ways.select("way", "until", "messages_per_crossing", "min").iter_rows()
}
call, python_call = ns["Rust no-op", "", 0], ns["Python no-op", "", 0]
reveal("an empty call into Rust / in Python", guess_call, call / python_call)
claim("an empty call into Rust / in Python", call / python_call, below=3)
claim(
    "Python engine / a call per message, until the book",
    ns["Python engine", "book", MESSAGES] / ns["message", "book", 1],
    above=5,
)
claim("eight integers / one bytes object", ns["apply", "tick", 1] / ns["message", "tick", 1], above=1.2)

# %% [markdown]
# **What may surprise you:** the boundary itself costs about as much as any Python function call. "FFI calls are expensive" is
# not the whole truth: *conversions* are. Eight integers are eight conversions; a bytes object is passed as an address and a
# length, and Rust reads it in place.
#
# ## Change one thing: the size of the chunk
#
# `push` takes any number of messages. Left: it only decodes them. Right: it also applies them to the book.

# %% tags=["nbval-ignore-output"]
charts.ffi_chart(ways.filter(pl.col("way") != "push_events"), f"bytes; {ROUNDS} interleaved rounds")

# %% [markdown]
# On the left of each panel the line falls: more and more messages share the fixed cost of a call. Then the line becomes flat:
# only the work remains. At its end it rises: the whole buffer goes to a *new* session in one call, which first makes memory
# ready for all that may be in it; a second buffer does not pay that again. The first point may surprise you: `push` with
# **one** message costs more than twice as much as `message`. It accepts any object with a buffer (bytes, a memory-mapped file,
# an array), times its own loop by two readings of the clock, and returns how far it came and why it stopped. From 64 KiB on it
# also makes room for rows, releases the GIL so that other Python threads run, and checks for Ctrl-C. All that is a cost per
# call.
#
# The same plot with one more curve: event records in a NumPy array.

# %% tags=["nbval-ignore-output"]
boundary.plot()

# %% tags=["nbval-ignore-output"]
claim("push with one message / message", ns["push", "book", 1] / ns["message", "book", 1], above=1.4)
claim("push_events with one record / message", ns["push_events", "book", 1] / ns["message", "book", 1], above=1.4)
claim("push in chunks of 1,000 / message", ns["push", "book", 1_000] / ns["message", "book", 1], below=0.95)
claim("push in chunks of 1,000 / of the whole buffer", ns["push", "book", 1_000] / ns["push", "book", MESSAGES], below=1.33)

# %% [markdown]
# One record at a time in a NumPy array is no better: its type is compared, a view is created and a buffer opened, for a single
# event. Compare it with the dashed line, the Python engine. *NumPy is fast* holds for arrays, not for elements.
#
# ## Crossover points
#
# A **crossover** is the size from which on one curve stays below another:

# %% tags=["nbval-ignore-output"]
print("\n".join(boundary.sentences()))
sizes = sorted(size for way, until, size in ns if (way, until) == ("push", "book"))
small = [size for size in sizes if ns["push", "book", size] < 1.1 * ns["push", "book", MESSAGES]]
reveal("messages per call from which the boundary is below a tenth, of the sizes measured", guess_chunk, small[0])

# %% [markdown]
# ## The costs that the naive port still has
#
# So chunks make the boundary negligible. What is left is the engine, and the naive one has its naive structures. Some of that
# we can **count**, without noise: how often does a message call the allocator?

# %% tags=["nbval-check-output"]
rows = []
for engine in ("rust naive", "rust"):
    profile = hftlab.profile(engine, feed, tool="memory", messages=MESSAGES).frame()
    stages = profile.filter(kind="stage").select("stage", "allocations_per_message")
    rows.append({"engine": engine, **{stage: abs(round(n, 1)) for stage, n in stages.iter_rows()}})
allocations = pl.DataFrame(rows)
assert allocations["book"][0] > 0.3
assert allocations["book"][1] == 0
show(allocations, "Allocations per message in the steady state")

# %% [markdown]
# About every second message is an add, and each add of the naive port allocates; the best engine allocates nothing once it is
# warm. The waterfall shows the rest: one optimisation after the other, from the naive port to the best engine. Each has a
# lesson: price levels and hash table 06, pool 07, signals 08.

# %% tags=["nbval-ignore-output"]
ablation = hftlab.ablate(feed, rounds=PAIRED, seed=SEED)
ablation.waterfall()

# %% tags=["nbval-ignore-output"]
claim("naive Rust / best Rust", ablation.whole, above=1.4)

# %% [markdown]
# All of that is gained in the same language, by the choice of structures. A port does not include it; it only makes it visible.
# In the Python engine the cost of the interpreter hides the same choices.
#
# ## What did not get faster
#
# **Opening an engine.** A Rust session reserves addresses and touches its first pages, so that no message has to wait for them.
# **Predict first:** how many times as long does opening a session take in Rust as in Python?

# %%
guess_opening = 1.0  # your guess: time to open, Rust / Python

# %% tags=["nbval-ignore-output"]
from timeit import repeat

engines = {name: hftlab.Engine(name) for name in ("python", "rust")}
opening = {name: min(repeat(engine.open, number=1, repeat=30)) * 1e6 for name, engine in engines.items()}
per_message = {name: engine.run(feed, record="none").ns_per_message / 1e3 for name, engine in engines.items()}
print({name: f"{us:.0f} µs to open" for name, us in opening.items()})
breaks_even = (opening["rust"] - opening["python"]) / (per_message["python"] - per_message["rust"])
print(f"for fewer than about {max(breaks_even, 0):.0f} messages, the whole run is faster in Python")

# %% tags=["nbval-ignore-output"]
reveal("time to open, Rust / Python", guess_opening, opening["rust"] / opening["python"])
claim("time to open, Rust / Python", opening["rust"] / opening["python"], above=0.5)

# %% [markdown]
# **Decoding, from naive to best.** Against Python it is much faster, as everything is. But the naive and the best Rust engine
# share its code: bytes at fixed offsets, no structure to choose. No switch of the waterfall changes it.
#
# **Returning the results.** `elapsed_ns` of a run is the engine's loop alone, and so is every figure above. A data frame with a
# row per message takes longer: hftlab opens the session, writes the rows and wraps them. The same run by wall time:

# %% tags=["nbval-ignore-output"]
engine = engines["rust"]
loop = min(engine.run(feed, record="none").elapsed_ns for _ in range(10)) / 1e3
wall = min(repeat(lambda: engine.run(feed, record="none"), number=1, repeat=10)) * 1e6
framed = min(repeat(lambda: engine.run(feed).frame, number=1, repeat=10)) * 1e6
print(f"the loop {loop:,.0f} µs, the call of run {wall:,.0f} µs, with its frame {framed:,.0f} µs")

# %% tags=["nbval-ignore-output"]
claim("the call with its frame / the loop", framed / loop, above=1.5)

# %% [markdown]
# A fast core does not help if the code around it is slow.
#
# ## Exercise 05.1: chunk it
#
# *Medium, 15 minutes.* Messages arrive one by one, each framed (its length in two bytes, then the message). Write
# `replay(session, messages)`, which passes them to `session.push`:
#
# - every message, in order, including the last ones,
# - in as few calls as possible, but with **at most 1,000 messages in one**: the first of a chunk waits until the last arrives,
# - at least twice as fast as a push per message.
#
# `messages` may be a generator. Two framed messages are joined by writing them one after the other. The start calls for each.


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

# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
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
# *Easy, 10 minutes.* A call costs `call_ns`, the work of a message `message_ns`. The boundary may add at most `share` of the
# work to each message. The messages arrive evenly, `per_second` of them. Write `size(call_ns, message_ns, share, per_second)`:
# the smallest number of messages in a chunk, and how long the **first** of them waits for the last, in ns.


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
# In a chunk of *n*, the share of a message is `call_ns / n`. A chunk of one does not wait.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["solution", "nbval-check-output"]
from math import ceil


def right_size(call_ns, message_ns, share, per_second):
    chunk = max(1, ceil(call_ns / (share * message_ns)))
    return chunk, (chunk - 1) * 1e9 / per_second


answer = check("05.2", right_size)
assert answer, answer
print(answer)

# %% [markdown]
# Now use the measurements above, for a feed of 100,000 messages a second:

# %% tags=["nbval-ignore-output"]
work = ns["push", "book", MESSAGES]
chunk, wait_ns = right_size(ns["push", "book", 1] - work, work, 0.1, 100_000)
print(f"an overhead of a tenth needs chunks of {chunk:,} messages, and the first of each waits {wait_ns / 1e3:,.0f} µs")
print(f"a call per message does not wait, and costs {ns['message', 'book', 1]:,.0f} ns a message")

# %% tags=["nbval-ignore-output"]
claim("the wait of the first message / the cost of a call of its own", wait_ns / ns["message", "book", 1], above=10)

# %% [markdown]
# ## Exercise 05.3: the loop in Rust
#
# *Medium, 20 minutes.* Now on the other side of the boundary. Write `fn shares(data: &[u8]) -> u64`: the shares of all add orders
# in a buffer of framed messages. The frame is there: it reads the length of a message (two bytes, most significant first) and
# goes from one message to the next. An add order has the type `A` or `F` in its first byte, and its shares in bytes 20 to 23. The
# last message may be torn: then it does not count.
#
# `RustFunction` gives the text to the compiler, `rustc -O`, and calls the library through `ctypes` with the address and the
# length of the bytes: what a binding does. It runs in a process of its own, where a panic is a message and an endless loop is
# stopped. It must be at least 20 times as fast as the same loop in Python. Without the Rust toolchain the check says so.

# %%
from course.rust_function import RustFunction, rustc

source = """
fn shares(data: &[u8]) -> u64 {
    let mut sum = 0;
    let mut at = 0;
    while at + 2 <= data.len() {
        let size = u16::from_be_bytes([data[at], data[at + 1]]) as usize;
        // your lines: what if the message is torn? is it an add? how many shares?
        sum += size as u64 - size as u64;
        at += 2 + size;
    }
    sum
}
"""

# %% tags=["nbval-check-output"]
answer = check("05.3", RustFunction(source, "shares"))
assert not answer
print(str(answer).splitlines()[0])

# %% [markdown]
# <details><summary>Hint</summary>
#
# `let message = &data[at + 2..at + 2 + size];` panics where the buffer ends before; `data.get(at + 2..at + 2 + size)` is `None`
# there, and `let Some(message) = ... else { break };` leaves the loop. `u32::from_be_bytes` takes an array of four bytes, and
# `message[20..24].try_into().unwrap()` is one. A sum of `u32` overflows: `u64::from(...)`.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
solution = """
fn shares(data: &[u8]) -> u64 {
    let mut sum = 0;
    let mut at = 0;
    while at + 2 <= data.len() {
        let size = u16::from_be_bytes([data[at], data[at + 1]]) as usize;
        let Some(message) = data.get(at + 2..at + 2 + size) else { break };
        if let Some(b'A' | b'F') = message.first() {
            sum += u64::from(u32::from_be_bytes(message[20..24].try_into().unwrap()));
        }
        at += 2 + size;
    }
    sum
}
"""
answer = check("05.3", RustFunction(solution, "shares"))
assert answer or rustc() is None, answer
print(str(answer).splitlines()[0], str(answer).splitlines()[-1], sep="\n")

# %% [markdown]
# ## Takeaway
#
# - The FFI boundary costs about one function call; conversions cost more ([The FFI boundary](#The-FFI-boundary)), and NumPy
#   records one at a time cost more than messages one at a time
#   ([Change one thing: the size of the chunk](#Change-one-thing:-the-size-of-the-chunk)).
# - Chunks share a fixed cost ([Crossover points](#Crossover-points)). For **research**, a replay of a day, push whole buffers.
#   For **live** trading a chunk is latency ([Exercise 05.2: how large must a chunk
#   be?](#Exercise-05.2:-how-large-must-a-chunk-be?)): there the whole path from the wire to the order must be on one side of the
#   boundary.
# - One call that loops in Rust is worth many calls
#   ([Exercise 05.3: the loop in Rust](#Exercise-05.3:-the-loop-in-Rust)).
# - A port removes the interpreter ([The naive port](#The-naive-port)). The structures stay
#   ([The costs that the naive port still has](#The-costs-that-the-naive-port-still-has)), and the next lessons change those.
#
# **What did not get faster:** opening a session, decoding from naive to best, and returning the results.
#
# **Where it is in the code:** `rust_ext/src/py/mod.rs` (the bindings: each borrows the memory, releases the GIL, calls, and
# wraps the result), `hftlab/experiments/ffi.py` (the measurement), `hftlab/engine/engine.py` (blocks to the engine). On the
# command line: `hftlab ffi`, `hftlab bench --ablate`.
#
# **Next:** 06 Order-book structures: which one wins, where, and why?
