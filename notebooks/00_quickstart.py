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
# **What can hftlab do, in ten minutes?** You load a feed, run the tick-to-trade path on two engines, prove that they compute
# the same, and see where the time goes.
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
# The feed is generated, so that everybody can run this: real NASDAQ ITCH 5.0 bytes, the same for the same seed on every
# machine. `hftlab.load("path")` reads a file of your own, plain or gzip.

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
wire = b"".join(feed.blocks())
print(feed.name, len(wire), "bytes", hashlib.sha256(wire).hexdigest()[:16])

# %% [markdown]
# ## Which engines are there?
#
# `auto` is Rust if it is installed. The list gives the reason why an engine is missing; hftlab never falls back silently.

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
# Row *i* of the frame is the state of its instrument after message *i*: best bid and ask, then the nine signals.

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
# `use_backend` sets the meaning of `auto` inside the block. `verify` compares events, best bid and ask, signals, faults and
# order bytes, bit for bit; if two engines differ, it shows the first message where they do.

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
# The bench checks equality first, then it runs interleaved rounds. It stamps the latency of each message and subtracts the cost
# of the clock; it times whole passes without stamps. `n/a` marks a percentile with too few samples beyond it. The end-to-end
# line has stamps of its own; it is not the sum of the lines above.

# %% tags=["nbval-ignore-output"]
report = hftlab.bench(feed, rounds=ROUNDS)
print("\n".join(report.notes()))
report.frame().select("engine", "stage", "n", "mean", "p50", "p95", "p99")

# %% tags=["nbval-ignore-output"]
report.plot()

# %% [markdown]
# ## What you can claim
#
# A claim is a ratio measured within one run, with a margin that holds on a noisy machine.

# %% tags=["nbval-check-output"]
ratios = report.ratios()
claims = {label: ratio.low > 10 for label, ratio in ratios.items() if label == "rust best"}
assert all(claims.values()), ratios
print("the best Rust variant processes more than 10 times the messages per second:", all(claims.values()))

# %% [markdown]
# ## Takeaway
#
# - One feed, one contract, any number of engines; equality is checked before the clock starts.
# - The stages have the same names everywhere: `hftlab/stages/` in Python, `rust_ext/src/` in Rust.
# - On the command line: `hftlab bench`, `hftlab run FILE`, `hftlab verify python rust FILE`, `hftlab doctor`.
#
# **Next:** [01 Measuring a microsecond](01_measuring.ipynb): why you may trust the table above, and which tables you may not.
