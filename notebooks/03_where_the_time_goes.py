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
# # 03 Where the time goes
#
# **Which line of the Python engine is the hot one, and what would it gain to make it faster?**
#
# About 80 minutes, 37 of them for three exercises. Afterwards you will be able to
#
# - find the hot spot of a program with five different tools, before you change a line,
# - name the blind spot of each tool, and its overhead,
# - compute what an optimisation can gain *at most*, before you spend a week on it,
# - find the code that made somebody else's engine slower.

# %% tags=["parameters"]
SEED = 1
MESSAGES = 4_000  # of the feed; 20_000 for steadier shares
COUNTED = 400  # messages for the slow tools; 2_000
LEVELS = 50  # how deep the second engine looks
ROUNDS = 11  # 21 for narrower intervals

# %%
# %load_ext hftlab
import math

import polars as pl
from course import check, claim, reveal, show
from course.amdahl import amdahl_chart, share_of, speed_up
from course.faults import FAULTS
from course.lesson03 import busy, deep, swap, walking, walks

import hftlab
from hftlab import charts
from hftlab.measurement.paired import Interval

# %% [markdown]
# ## The program
#
# The Python engine takes each message through four stages: **tick** decodes it, **book** stores every order, **signal** computes
# nine numbers, **order** decides and sends. One of the nine numbers compares the quantity on the best levels of both sides, five
# levels a side by default. The book of this lesson is the reference, except that it adds up those levels each time, the first
# thing anybody would write (`Walking` in `course/lesson03.py`). The feed is a generated market of one symbol. A profile holds for
# its feed: here two in five messages delete an order, as on a real day. (In a feed of adds alone, the look-up by order id would
# cost nothing.)
#
# **Predict first.** Which stage takes the most time? Which function? If you had to bet on one line, which would it be?

# %%
guess_stage, guess_function, guess_line = "book", "Book.apply", "..."  # yours

# %% tags=["nbval-check-output"]
feed = hftlab.synthetic("calm", MESSAGES, seed=SEED)
engine = deep(5)
counts = engine.run(feed, record="none").counts
print(f"{engine} on {feed.name}, the best {engine.settings().signal_config.levels} levels a side")
claim("share of deletes and replaces", (counts["DELETE"] + counts["REPLACE"]) / MESSAGES, above=0.3)

# %% [markdown]
# ## Calls: who calls whom
#
# `tool="calls"` is Python's own **cProfile**. It hooks every call and every return, and records two times per function:
#
# - **own** time, spent in its own lines,
# - **cumulative** time, with everything it called.
#
# The chart is an *icicle*: a function hangs below its caller, as wide as its cumulative time. The part of a function that no
# callee covers is its own time.

# %% tags=["nbval-ignore-output"]
calls = hftlab.profile(engine, feed, "calls", messages=MESSAGES)
calls.plot()

# %% tags=["nbval-ignore-output"]
columns = {"own_ns_per_call": "own per call", "cumulative_ns_per_call": "cumulative per call"}
functions = calls.frame().select("function", "stage", "calls", *columns, "share").rename(columns)
show(functions.head(8), **dict.fromkeys(columns.values(), "ns"))

# %% [markdown]
# Read the column `calls` before the times. It is exact, the same on every machine and every day, and often it is enough: a
# function called once per message must be short, a function called many times per message must be very short.

# %% tags=["nbval-ignore-output"]
by_function = {row["function"]: row for row in calls.frame().to_dicts()}
update, apply = by_function["Signal.update"], by_function["Book.apply"]
print(f"{MESSAGES:,} messages: Signal.update {update['calls']:,} calls, Book.apply {apply['calls']:,} calls")
claim("time of Signal.update / Book.apply, callees included", update["cumulative_ns"] / apply["cumulative_ns"], above=1)
reveal("most cumulative time of all functions of a stage", guess_function, "Signal.update")

# %% [markdown]
# ## Lines
#
# A function has many lines. `tool="line"` is **line_profiler**: it stamps every line of the stages. The bars leave out lines
# that call a profiled function; their time belongs to the callee. Beside each bar: ns per hit, times hits. (A statement over
# several lines is stamped at each of them, so its first line may show more hits than there are messages.)

# %% tags=["nbval-ignore-output"]
lines = hftlab.profile(engine, feed, "line", messages=MESSAGES)
lines.plot()


# %% tags=["nbval-ignore-output"]
def hottest(profile):
    return profile.frame().filter(~pl.col("calls") & (pl.col("stage") != "engine")).sort("ns", descending=True)


top = hottest(lines).row(0, named=True)
reveal("the most expensive line", guess_line, top["source"].strip())
claim("its share of the loop", top["share"], below=0.1)

# %% [markdown]
# **What may surprise you:** there is no hot line. The time is spread over dozens of short ones. That is typical of reasonable
# Python code: the interpreter itself is the cost, a little at each line. (`lines` in a cell of its own shows the whole table.)
#
# ## Five tools, and their overhead
#
# Every tool disturbs the program. Two of ours run inside this process, and report the slowdown:

# %% tags=["nbval-ignore-output"]
for one in (calls, lines):
    print("-", one.notes()[0])

# %% tags=["nbval-ignore-output"]
for name, one in (("cProfile", calls), ("line_profiler", lines)):
    claim(f"duration of a pass under {name} / plain", one.slowdown, above=1.25)

# %% [markdown]
# For a line that is shorter than a reading of the clock, a profiler shows mostly the reading. So **compare shares, not
# nanoseconds**, and use more than one tool:
#
# | `tool=` | program | method | blind spot | overhead |
# |---|---|---|---|---|
# | `calls` | cProfile | hooks every call | lines; the inside of a built-in | every call: small functions look expensive |
# | `line` | line_profiler | stamps every line | the inside of a call | every line: cheap lines look expensive |
# | `sample` | py-spy | samples another process | rare code; number of calls | hardly any |
# | `instructions` | callgrind | counts instructions | waiting for memory | slow, but the count is exact |
# | `memory` | memray | counts every allocation | time | slow, but the count is exact |
#
# If a tool is missing, the profile is empty and gives the reason.

# %% tags=["nbval-ignore-output"]
ways = {
    "calls": calls,
    "line": lines,
    "sample": hftlab.profile(engine, feed, "sample", messages=MESSAGES),
    "instructions": hftlab.profile(engine, feed, "instructions", messages=COUNTED),
    "memory": hftlab.profile(engine, feed, "memory", messages=COUNTED),
}
for how, one in ways.items():
    print(f"{how:<13} {one!r}")

# %% tags=["nbval-ignore-output"]
shares = [
    {"engine": how, "stage": row["stage"], "ns": 100 * row["share"]}
    for how, one in ways.items()
    for row in one.by_stage().to_dicts()
]
charts.budget_chart(
    pl.DataFrame(shares), "Five looks at one engine", feed.name, what="% of the whole: time, instructions, allocations"
)

# %% [markdown]
# They agree on the ranking, and hardly on a number. Two differences are worth understanding:
#
# - `calls`, `line` and `sample` attribute time to the file of the code. `instructions` and `memory` run the engine once until
#   each stage and subtract, so they attribute everything to the *calling* stage. When signal asks the book for a depth, the
#   first group counts it for the book, the second for signal.
# - The engine's own loop is separate in the first group, and part of every stage in the second.

# %% tags=["nbval-ignore-output"]
for how, one in ways.items():
    if len(one.by_stage()):
        stage, share = one.by_stage().sort("share").row(-1)
        print(f"{how:<13} most: {stage}, {share:.0%}")
        assert stage == "signal" or how not in ("instructions", "memory"), one.by_stage()
reveal("the stage that costs most, attributed to the caller", guess_stage, "signal")

# %% [markdown]
# ## Change one thing: look deeper
#
# Suppose that research needs the quantity of the best `LEVELS` levels instead of five. That is one number in the settings.
#
# **Predict:** how many times as many levels does the engine walk now? How does the chart of the lines change?

# %%
guess_walked = 1.0  # times as many levels

# %% tags=["nbval-ignore-output"]
deeper = deep(LEVELS)
deeper_lines = hftlab.profile(deeper, feed, "line", messages=MESSAGES)

# %% tags=["nbval-check-output"]
SUM = "total += level.qty"  # the line of the book that walks
walked = {
    n: next(row["hits"] for row in one.rows if row["source"].strip() == SUM) for n, one in ((5, lines), (LEVELS, deeper_lines))
}
print({f"{n} levels": f"{hits:,} levels walked, {hits / MESSAGES:.1f} per message" for n, hits in walked.items()})
reveal("times as many levels walked", guess_walked, walked[LEVELS] / walked[5])
claim("times as many levels walked", walked[LEVELS] / walked[5], above=2)

# %% tags=["nbval-ignore-output"]
deeper_lines.plot()

# %% [markdown]
# The book ends before the walk does: it has fewer than `LEVELS` levels on most messages, so ten times the setting is not ten
# times the work. The same chart shows something else: now there *is* a hot spot, one loop of two lines (`Walking.add_up` in
# `course/lesson03.py`). The exact count of hits explains it; that needs no clock.

# %% tags=["nbval-ignore-output"]
hot = set(hottest(deeper_lines)["function"].head(2))
print("the two hottest lines are in", *hot)
assert hot == {"Walking.add_up"}

# %% [markdown]
# ### Exercise 03.1: the hottest line
#
# *Easy, 10 minutes.* Given the frame of any line profile, `profile(...).frame()`, return `(function, line)` of the line of a
# stage with the most *own* time. The columns: `file`, `function`, `line`, `source`, `hits`, `ns` (with what it calls),
# `ns_per_hit`, `share`, `stage` ("engine" is the loop around the stages), `calls` (it calls a function that has rows of its
# own). The rows are in any order. The start below takes the most expensive row.


# %% tags=["nbval-check-output"]
def my_hottest(frame):
    return frame.sort("ns", descending=True).select("function", "line").row(0)


check("03.1", my_hottest)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Which rows count time that is spent elsewhere? `frame.filter(~pl.col("calls"))` removes them.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def solved_hottest(frame):
    own = frame.filter(~pl.col("calls") & (pl.col("hits") > 0) & (pl.col("stage") != "engine"))
    return own.sort("ns", descending=True).select("function", "line").row(0)


solved = check("03.1", solved_hottest)
assert solved
solved

# %% [markdown]
# ## How large is it without a profiler?
#
# Both profilers disturb the walk: one stamps each iteration of the loop, the other does not see the loop but adds a cost to
# each call. There is a way to measure a part without any profiler: **do it twice**. The pass becomes longer by the time of the
# part.
#
# `walking(2)` walks twice, so it computes the same bits:
#
# ```python
# def depth_qty(self, instrument, side, n):
#     self.add_up(instrument, side, n)
#     return self.add_up(instrument, side, n)
# ```
#
# `walking(0)` leaves the walk out and returns 0. It only serves to measure: it is wrong, and `hftlab.conformance` rejects it.

# %% tags=["nbval-check-output"]
for times in (2, 0):
    same = hftlab.verify(deeper, deep(LEVELS, book=walking(times)), feed)
    print(f"walking({times}): {'the same' if same else 'other'} bits as the reference")
    assert bool(same) is (times == 2)

# %% [markdown]
# All of them run in *paired rounds*, in random order, so that a slow spell of the machine affects all (lesson 01). A pass is so
# short that an interruption hits all of it or nothing, so the fastest of three in a row counts, for each of them alike.

# %% tags=["nbval-ignore-output"]
series = walks(feed, ROUNDS, levels=LEVELS)
whole = {n: Interval.of(ns / series[1]) for n, ns in series.items()}
bars = [
    {"label": f"walked {n} times", "value": whole[n].median, "group": "book", "text": f"{whole[n]}"}
    for n in sorted(whole)
    if n != 1
]
bars.insert(1, {"label": "walked once", "value": 1.0, "group": "book", "text": "the reference"})
charts.bar_chart(bars, "A part, measured by doing it again", feed.name, "a pass, in passes that walk once")

# %% tags=["nbval-ignore-output"]
line_share = sum(row["share"] for row in deeper_lines.rows if "book.depth_qty(" in row["source"])
deeper_calls = hftlab.profile(deeper, feed, "calls", messages=MESSAGES)
known = {row["function"]: row["cumulative_ns"] for row in deeper_calls.rows}
call_share = known["Walking.depth_qty"] / known["PythonSession.push"]
twice, left_out = share_of(whole[2].median, 2), share_of(whole[0].median, 0)
found = {"line_profiler": line_share, "cProfile": call_share, "done twice": twice, "left out": left_out}
show(pl.DataFrame(list(found.items()), ["way", "share of a pass"], orient="row"))

# %% tags=["nbval-ignore-output"]
fastest = {n: ns.min() for n, ns in series.items()}
print({f"walked {n} times": f"{ns:,.0f} ns per message" for n, ns in sorted(fastest.items())})
claim("shortest pass, walked four times / left out", fastest[4] / fastest[0], above=1.1)

# %% [markdown]
# The bars grow with each further walk: that step *is* the part. The steps need not be equal: the first walk loads the levels
# into the caches, the next ones find them there, so "done twice" should be a little below "left out". On a busy machine the
# noise is larger than that; the intervals beside the bars show it. Now look at the profilers in the table. They are good enough
# to find the hot spot, and not good enough to predict a gain.
#
# ## What a part can gain at most
#
# If a part takes the share $p$ of the whole and becomes $k$ times as fast, then the whole becomes
#
# $$\frac{1}{(1 - p) + p / k}$$
#
# times as fast. That is **Amdahl's law** (1967). However large $k$ is, the result stays below $1 / (1 - p)$.
#
# ### Exercise 03.2: what can it gain?
#
# *Easy, 12 minutes.* Write it: `share` is p, `times` is k, which may be infinite, or below 1 for a part that becomes slower.
# The check then uses the engine: a careless book walks four times where once is enough; the check measures the share of that
# walk by leaving it out; your function predicts the gain of the plain book; and the check measures it. The start below is
# wishful thinking.


# %% tags=["nbval-check-output"]
def my_speed_up(share, times):
    return 1 + share * (times - 1)


check("03.2", my_speed_up)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Let the whole take 1. How long does the rest take, and how long does the part take now? Python divides by `math.inf` without
# an error.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def solved_speed_up(share, times):
    """In hftlab: course.amdahl.speed_up."""
    return 1 / ((1 - share) + share / times)


solved = check("03.2", solved_speed_up)
assert solved
solved

# %% [markdown]
# Here is the law as a chart, with the shares measured above: the walk in the plain engine, and in the careless one. The dot is
# the measured swap.

# %% tags=["nbval-ignore-output"]
careless_share, measured = swap(series)
parts = pl.DataFrame(
    {
        "part": ["the walk, in the careless engine", "the walk, in the plain engine"],
        "share": [careless_share, left_out],
        "times": [4.0, None],
        "speed_up": [measured, None],
    }
)
amdahl_chart(parts, "What the walk can gain at most", f"{LEVELS} levels, {feed.name}", "the walk")

# %% tags=["nbval-ignore-output"]
for name, share in (("careless", careless_share), ("plain", left_out)):
    print(f"{name}: {share:.0%} of a pass; at most {speed_up(share, math.inf):.2f} times as fast by any change of the walk")
print(f"predicted for the swap {speed_up(careless_share, 4):.2f}, measured {measured:.2f}")

# %% tags=["nbval-ignore-output"]
claim("predicted / measured", speed_up(careless_share, 4) / measured, above=0.5, below=2)

# %% [markdown]
# ## A hot spot that stays
#
# Now write the loop better. The obvious idea: let C do it, `sum(map(attrgetter("qty"), levels))` instead of a `for` loop. The
# book is a class in this cell, and the engine accepts it as it is; `compare` first checks that the bits are the same.

# %%
from itertools import islice
from operator import attrgetter

from hftlab.stages.book import Book

QTY = attrgetter("qty")


class Mapped(Book):
    def depth_qty(self, instrument, side, n):
        halves = self.halves.get(instrument)
        return sum(map(QTY, islice(halves[side - 1].walk(), n))) if halves else 0


# %% tags=["nbval-ignore-output"]
tried = hftlab.compare(deeper, deeper.replace(book=Mapped), feed, rounds=ROUNDS)
print(f"measured: {tried.verdict}")
print(f"limit for any change of this function: {speed_up(left_out):.2f}x")

# %% [markdown]
# Look at the verdict, and at the limit below it, before you trust the idea. In newer Pythons a plain loop over objects with
# `__slots__` is fast, and a call per element is not free, even from C. The walk is not *written* badly, it is *done* too often:
# one level changes per message, and all `LEVELS` of them are added up. Doing less beats doing it faster: the reference keeps
# the sum by what changes (`HalfBook` in `hftlab/stages/book.py`), with the same bits; lesson 08 builds that.
#
# ## A fault of somebody else
#
# The usual case is not a slow program. It is a program that was fast last week. The results are the same, the tests are green,
# and somewhere somebody has added work that nobody needs. Four engines of that kind are in `course/faults.py` (do not look yet),
# one with a fault in each stage. Here are the two hottest lines of each, beside those of the engine without a fault.
#
# **Predict:** in how many of the four is the fault among its two hottest lines?

# %%
guess_among = 4  # of the four engines

# %% tags=["nbval-ignore-output"]
calm = hftlab.synthetic("calm", 600, seed=SEED)
engines = {"no fault": busy()} | {f"engine {n}": busy(**{stage: fault[0]}) for n, (stage, fault) in enumerate(FAULTS.items(), 1)}
assert all(hftlab.verify(engines["no fault"], each, calm) for each in engines.values())
profiles = {name: hftlab.profile(each, calm, "line") for name, each in engines.items()}
show(
    pl.concat(
        hottest(one).head(2).select(pl.lit(name).alias("engine"), "stage", "function", "share") for name, one in profiles.items()
    )
)

# %% tags=["nbval-ignore-output"]
planted = {f"engine {n}": where for n, (_, where) in enumerate(FAULTS.values(), 1)}
among = sum(where in hottest(profiles[name])["function"].head(2).to_list() for name, where in planted.items())
reveal("faults among the two hottest lines", guess_among, among)

# %% [markdown]
# A list of hot lines answers "what is expensive here?". The question was another one: "what is different?" So compare two
# profiles, and compare what is exact in them.
#
# ### Exercise 03.3: find the fault
#
# *Medium, 15 minutes.* You are given an engine without a fault, one that may have one, and a feed. Return the name of the
# function (as in the column `function` of a profile) that does the needless work, or `None` if there is none. The check draws
# two of the four engines, and at the end gives you the same engine twice. The start below takes the function with the hottest
# line.


# %% tags=["nbval-ignore-output"]
def my_fault(sound, slow, feed):
    return hottest(hftlab.profile(slow, feed, "line")).row(0, named=True)["function"]


check("03.3", my_fault)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Times differ from pass to pass, hits do not. Sum the hits of each function in both profiles (`group_by("function")`); a
# function that is in one of them only has none in the other.
# </details>


# %% jupyter={"source_hidden": true} tags=["solution"]
def solved_fault(sound, slow, feed):
    def hits(engine):
        frame = hftlab.profile(engine, feed, "line").frame()
        return dict(frame.group_by("function").agg(pl.col("hits").sum()).iter_rows())

    before = hits(sound)
    more = {function: n - before.get(function, 0) for function, n in hits(slow).items()}
    worst = max(more, key=more.get)
    return worst if more[worst] else None


solved = check("03.3", solved_fault)
assert solved
solved

# %% [markdown]
# This finds work that is *done more often*. It does not find work that became slower without another hit: a dictionary that
# outgrew a cache, a clock that got dearer. For that, compare two builds in paired rounds (`hftlab compare`).
#
# ## Takeaway
#
# - Count first: calls, hits, instructions, allocations. A count is the same tomorrow, a time is not
#   ([Change one thing: look deeper](#Change-one-thing:-look-deeper)).
# - Use two tools with different overheads ([Five tools, and their overhead](#Five-tools,-and-their-overhead)). If they disagree,
#   measure the part without a profiler: do it twice, or leave it out
#   ([How large is it without a profiler?](#How-large-is-it-without-a-profiler?)).
# - Apply Amdahl's law before you write code: a part of share p gains at most 1 / (1 - p)
#   ([Exercise 03.2: what can it gain?](#Exercise-03.2:-what-can-it-gain?)).
# - If a program has become slower, compare two profiles by what they count
#   ([A fault of somebody else](#A-fault-of-somebody-else)).
#
# ### What did not work
#
# - The default engine has no hot line: no line of that list is worth a week.
# - `sum(map(...))`, the loop in C: see the verdict above.
# - `tool="counters"`, the hardware counters of the processor, is the sixth tool. Virtual machines seldom provide them; the
#   profile then gives the reason.
#
# ### Where it is in the code
#
# The tools `hftlab/profiling/{calls,line,memory,hardware}.py`, Amdahl's law `notebooks/course/amdahl.py`, paired
# rounds `hftlab/measurement/paired.py`, the sum without a walk `hftlab/stages/book.py`.
#
# On the command line: `hftlab profile --tool line`, `make profile TOOL=calls`.
#
# **Next:** [04 The fallback, tuned](04_the_fallback_tuned.ipynb): how far pure Python goes when the cost is everywhere.
