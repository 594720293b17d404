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
# # 00 Quickstart
#
# **What is here, in ten minutes?** You will load a feed, run the tick-to-trade path on two engines, prove that they compute the
# same, and see where the time goes.
#
# ```text
# wire bytes -> TICK (decode) -> BOOK (L3 order book) -> SIGNAL -> ORDER (decide, risk, encode) -> wire bytes
# ```

# %% tags=["parameters"]
MESSAGES = 50_000
ROUNDS = 3
SEED = 1

# %%
import hashlib

import hftlab
from hftlab import charts

charts.enable()

# %% [markdown]
# ## A feed
#
# Generated, so that anybody can run this: real NASDAQ ITCH 5.0 bytes, the same for the same seed on every machine. A file of
# your own is `hftlab.load("path")`, plain or gzip.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
wire = b"".join(feed.blocks())
print(feed.name, len(wire), "bytes", hashlib.sha256(wire).hexdigest()[:16])

# %% [markdown]
# ## Which engines are there?
#
# `auto` is Rust where it is installed. A missing engine says why; it is never replaced in silence.

# %% tags=["nbval-ignore-output"]
hftlab.backends()

# %% [markdown]
# ## One run of the reference engine
#
# **Predict first:** how many of the messages are adds? How many orders does the engine send?

# %% tags=["nbval-check-output"]
run = hftlab.Engine("python").run(feed)
print({kind: n for kind, n in run.counts.items() if n})
print("faults", run.faults, "| orders sent", len(run.orders), "| refused by risk", run.rejects)

# %% [markdown]
# Row *i* of the frame is the state of its instrument after message *i*: the touch, then the nine signals.

# %% tags=["nbval-check-output"]
run.frame.select("index", "bid_price", "bid_qty", "ask_price", "ask_qty", "microprice", "ofi", "score").tail(4)

# %% [markdown]
# The book at the end, three levels a side. Prices are integers: here 1/10,000 of a dollar.

# %% tags=["nbval-check-output"]
symbol = run.name(1)
book = run.book(symbol)
book.group_by("side", maintain_order=True).head(3)

# %% [markdown]
# ## Switch engines, and verify
#
# `use_backend` decides what `auto` means inside the block. `verify` compares events, touch, signals, faults and order bytes, bit
# for bit, and would show the first message on which they part.

# %% tags=["nbval-check-output"]
engines = [info.name for info in hftlab.backends() if info.available]
digests = set()
for name in engines:
    with hftlab.use_backend(name):
        digests.add(hashlib.sha256(hftlab.Engine().run(feed, record="none").order_stream).hexdigest()[:16])
assert all(hftlab.verify("python", name, feed) for name in engines)
print("order bytes of every engine here:", digests)

# %% [markdown]
# ## The table
#
# Equality first, then interleaved rounds. Latency is stamped per message, the clock's own cost subtracted; whole passes are timed
# without stamps. `n/a` marks a percentile with too few samples beyond it. The last line of each pass is measured from the first
# byte to the last, it is not a sum of the lines above.

# %% tags=["nbval-ignore-output"]
report = hftlab.bench(feed, rounds=ROUNDS)
print("\n".join(report.lines()))
report.frame().select("engine", "stage", "n", "mean", "p50", "p95", "p99")

# %% tags=["nbval-ignore-output"]
report.plot()

# %% [markdown]
# ## What you can claim
#
# A claim is a ratio taken within one run, with a margin that holds on a noisy machine.

# %% tags=["nbval-check-output"]
ratios = report.ratios()
claims = {label: ratio.low > 10 for label, ratio in ratios.items() if label == "rust best"}
assert all(claims.values()), ratios
print("the best Rust variant makes more than 10 times the messages per second:", all(claims.values()))

# %% [markdown]
# ## Takeaway
#
# - One feed, one contract, as many engines as you like; equality is checked before a clock starts.
# - The stages have the same names everywhere: `hftlab/stages/` in Python, `rust_ext/src/` in Rust.
# - On the command line: `hftlab bench`, `hftlab run FILE`, `hftlab verify python rust FILE`, `hftlab doctor`.
#
# **Next:** [01 Measuring a microsecond](01_measuring.ipynb): why the table above may be believed, and which tables may not.
