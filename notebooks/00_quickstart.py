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
MESSAGES = 20_000  # 200_000 for deeper percentiles
ROUNDS = 11  # fewer than 6 give no interval
SEED = 1

# %%
import hashlib

import polars as pl
from course import claim, reveal, show

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
# **Predict first:** what share of the messages are adds? How many orders does the engine send?

# %%
guess_adds, guess_orders = 0.9, 1_000  # yours

# %% tags=["nbval-check-output"]
run = hftlab.Engine("python").run(feed)
print({kind: n for kind, n in run.counts.items() if n})
print("faults", run.faults, "| orders refused by risk", run.rejects)
reveal("share of adds", guess_adds, run.counts["ADD"] / run.messages)
reveal("orders sent", guess_orders, len(run.orders))

# %% [markdown]
# Row *i* of the frame is the state of its instrument after message *i*: best bid and ask, then the nine signals.

# %% tags=["nbval-check-output"]
rows = run.frame.filter(pl.col("instrument") > 0)  # the last messages of a day name no instrument
show(rows.select("index", "bid_price", "bid_qty", "ask_price", "ask_qty", "microprice", "ofi", "score").tail(4))

# %% [markdown]
# The book at the end, three levels a side. Prices are integers: here 1/10,000 of a dollar.

# %% tags=["nbval-check-output"]
symbol = run.name(1)
book = run.book(symbol)
show(book.group_by("side", maintain_order=True).head(3), f"The book of {symbol}", price="1/10,000 $", qty="shares")

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
# The bench checks equality first, then it runs interleaved rounds. Whole passes without stamps give the cost of each stage, by
# differences. Stamps around each message give its latency; a stage that is shorter than the step of the clock is printed as
# such, and `n/a` marks a percentile with too few samples beyond it. End to end has stamps of its own: it is not the sum of the
# rows above. The book is filled before the clock runs, so that nothing is measured on an empty one.
#
# **Predict first:** how many times as many messages per second does the best Rust variant process? And on a whole market
# of thousands of symbols instead of one?

# %%
guess_one, guess_market = 10, 10  # yours

# %% tags=["nbval-ignore-output", "timeout-300"]
report = hftlab.bench(messages=MESSAGES // 2, rounds=ROUNDS, seed=SEED)
report

# %% tags=["nbval-ignore-output"]
report.plot()

# %% [markdown]
# ## What you can claim
#
# A claim is a ratio measured within one run, with an interval, beside an **A/A control**: one engine against its own copy in the
# same rounds. And a figure holds for its feed. One symbol with some hundred live orders stays in the nearest caches; a market of
# thousands of symbols with hundreds of thousands of live orders does not. So every headline of hftlab has two rows:

# %% tags=["nbval-ignore-output"]
rows = []
for line in report.headlines:
    ns = {label: interval.median for label, interval in line.ns.items()}
    rows.append((line.what, line.market.instruments, line.market.live_orders, ns["python"], ns.get("rust best")))
names = ["feed", "symbols", "live orders", "python", "rust best"]
show(
    pl.DataFrame(rows, names, orient="row"), "Whole path, median of the rounds", **{"python": "ns per message", "rust best": "ns"}
)

# %% tags=["nbval-ignore-output"]
if report.control:
    print("A/A control:", report.control)
if "rust best" in report.ratios():
    claim("one symbol, Python / Rust", report.ratios()["rust best"], above=8)
    for line, guess in zip(report.headlines, (guess_one, guess_market), strict=True):
        reveal(f"{line.what}, Python / Rust", guess, line.ns["python"].median / line.ns["rust best"].median)

# %% [markdown]
# ## Takeaway
#
# - One feed, one contract, any number of engines; equality is checked before the clock starts
#   ([Switch engines, and verify](#Switch-engines,-and-verify)).
# - A figure has a feed, an interval and a control beside it ([What you can claim](#What-you-can-claim)).
# - The stages have the same names everywhere: `hftlab/stages/` in Python, `rust_ext/src/` in Rust
#   ([The table](#The-table)).
#
# On the command line: `hftlab bench`, `hftlab run FILE`, `hftlab verify python rust FILE`, `hftlab doctor`.
#
# **Next:** [01 Measuring a microsecond](01_measuring.ipynb): why you may trust the table above, and which tables you may not.
