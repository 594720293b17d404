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
# # 09 The wire
#
# **What does a message cost on its way from one machine to another, and what becomes of those that never arrive?**
#
# About 55 minutes, 45 of them for two exercises. Afterwards you will be able to
#
# - read a packet of a market data feed byte by byte, and say what a gap does to a book until it is filled,
# - rank the ways a message can travel, from a socket that sleeps to shared memory, and say what makes each rung cheaper,
# - split the time from the market's bytes to your order's bytes into engine, transport and waiting.

# %% tags=["parameters"]
SEED = 1
LOSSES = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2]  # chances of losing a packet; real lines lose far fewer
NUMBERED = 10_000  # messages of a lossy stream; 100_000 to see it at smaller chances
ROUNDS = 7  # of the ladder, interleaved; 21 for figures to be quoted
TRIPS = 1_500  # messages there and back a round and transport; 10_000 for a p99.9
ROUNDS_WIRE = 5  # from wire to wire; 21
TICKS = 2_500  # a round and path; 20_000

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import polars as pl
from course import check
from course.loss import losing

import hftlab
import hftlab.net
from hftlab import charts
from hftlab.net.tick_to_trade.stored import stored
from hftlab.protocols.arbiter import Arbiter
from hftlab.protocols.moldudp64 import encode, split

tables = pl.Config(tbl_hide_dataframe_shape=True, float_precision=2, tbl_rows=40, fmt_str_lengths=70, tbl_width_chars=120)

# %% [markdown]
# ## What is a packet?
#
# So far the engine got its messages from memory. A real one gets them in **datagrams**: pieces of bytes that the network carries
# each by itself (the protocol is **UDP**). The network may lose a datagram, carry it twice, or let a later one overtake it. It
# promises nothing, and that makes it quick: an exchange sends each datagram once, to a *group* address (**multicast**), and
# every firm hears it at the same time.
#
# So the exchange numbers its messages. NASDAQ's way to do that is **MoldUDP64**. Here is a packet with two messages of a feed:

# %% tags=["nbval-check-output"]
SESSION = b"LESSON 09 "  # one day's stream, ten bytes
messages = split(b"".join(map(bytes, hftlab.synthetic("calm", 2_000, seed=SEED).blocks())))
packet = encode(SESSION, 41, messages[40:42])

first, second = map(len, messages[40:42])
parts = [(10, "session"), (8, "number of the first message"), (2, "how many messages")]
parts += [(2, "length of message 41"), (first, "message 41, as the engine reads it")]
parts += [(2, "length of message 42"), (second, "message 42")]
at = 0
for size, what in parts:
    shown = packet[at : at + size]
    print(f"{at:>3} {size:>3}  {shown[:10].hex(' ') + (' ...' if size > 10 else ''):<34} {what}")
    at += size
assert at == len(packet)

# %% [markdown]
# No number stands before the second message: it is the first one's plus one. All integers are *big-endian*, the largest byte
# first. Around this come 42 bytes of headers, of UDP, IP and Ethernet.
#
# **Predict:** of all bytes on the wire, which share are messages, when each travels alone? And when ten travel together?

# %%
guess_alone, guess_ten = 0.8, 0.9  # your guesses: share of the bytes

# %% tags=["nbval-check-output"]
HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP
rows = []
for together in (1, 2, 5, 10, 30):
    groups = [messages[start : start + together] for start in range(0, len(messages) - together + 1, together)]
    carried = sum(len(message) for group in groups for message in group)
    on_the_wire = sum(HEADERS + len(encode(SESSION, 1, group)) for group in groups)
    rows.append((together, on_the_wire / len(groups) / together, carried / on_the_wire))
share = pl.DataFrame(
    rows, schema=["messages in a packet", "bytes on the wire per message", "share that are messages"], orient="row"
)
assert share["share that are messages"][0] < 0.5
share

# %% [markdown]
# Alone, a message is less than half of what is sent for it. Why does not every exchange wait until ten have gathered? Because
# the first of them would wait for the tenth. The bytes are cheap; the wait is not.
#
# ## A gap, by hand
#
# An exchange sends the same packets over two separate networks, **line A** and **line B**. Whoever reads both takes the first
# copy of each number: that is **arbitration**. Below, line A loses number 2, and so does line B. `stale` says that the book is
# known to be incomplete: nothing may be traded on it.

# %% tags=["nbval-check-output"]
arbiter = Arbiter(SESSION, gap_timeout_ns=1_000)
arrivals = [("A", 1, 0), ("B", 1, 90), ("A", 3, 200), ("B", 3, 290), ("A", 4, 400)]  # line, number, when
for line, number, now in arrivals:
    got = arbiter.receive("AB".index(line), encode(SESSION, number, [b"message %d" % number]), now)
    out = [message.decode() for message in split(got.blocks)]
    print(f"line {line} brings {number}: {out!s:<15} missing: {arbiter.gap!s:<8} stale: {arbiter.stale}")

(asked,) = arbiter.due(2_000)
print(f"nobody brought it in time, so we ask: {asked.count} message from number {asked.sequence} on, {len(asked.encode())} bytes")
got = arbiter.receive(2, encode(SESSION, 2, [b"message 2"]), 50_000)
print(f"the answer brings 2: {[message.decode() for message in split(got.blocks)]}, stale: {arbiter.stale}")

# %% [markdown]
# Numbers 3 and 4 came early and **waited**: a book that skips a message is wrong, and stays wrong. `missing: (2, 3)` is a range:
# from 2 to before 3. When 2 came, all three went out in order.
#
# ## How much is lost?
#
# `losing` sends a numbered stream over lines that lose datagrams at random, through this same arbiter. Time is computed, not
# measured, so you get the same picture as everybody.
#
# **Predict:** a line loses one datagram in ten. How many messages in a hundred never come with one line? With two?

# %%
guess_one_line, guess_two_lines = 10, 10  # your guesses: messages in a hundred

# %% tags=["nbval-check-output"]
curves = {"one line": losing(LOSSES, lines=1, messages=NUMBERED, seed=SEED)}
axes = {"x": "chance of losing a datagram, each line (%)", "y": "messages that never came (%)"}
drawn = [frame.select(series=pl.lit(name), x=100 * pl.col("loss"), y=100 * pl.col("lost")) for name, frame in curves.items()]
charts.line_chart(pl.concat(drawn), "Lost for good", f"{NUMBERED:,} messages", **axes)

# %% [markdown]
# One line loses what it loses. Now change one thing at a time: a second line; then requests for what neither brought; and, as a
# trap, two lines that run through one cable, so that they lose the *same* datagrams.

# %% tags=["nbval-check-output"]
curves |= {
    "two lines": losing(LOSSES, lines=2, messages=NUMBERED, seed=SEED),
    "two lines, and requests": losing(LOSSES, lines=2, requests=True, messages=NUMBERED, seed=SEED),
    "two lines, one cable": losing(LOSSES, lines=2, together=True, messages=NUMBERED, seed=SEED),
}
drawn = [frame.select(series=pl.lit(name), x=100 * pl.col("loss"), y=100 * pl.col("lost")) for name, frame in curves.items()]
charts.line_chart(pl.concat(drawn), "Lost for good", f"{NUMBERED:,} messages", **axes)

# %% tags=["nbval-check-output"]
worst = {name: frame.row(-1, named=True) for name, frame in curves.items()}
p = worst["one line"]["loss"]
claims = {
    "one line loses its share, within a tenth of it": abs(worst["one line"]["lost"] / p - 1) < 0.1,
    "two lines lose the square of it, within a quarter": abs(worst["two lines"]["lost"] / p**2 - 1) < 0.25,
    "two lines in one cable lose exactly what one line loses": curves["two lines, one cable"]["lost"].equals(
        curves["one line"]["lost"]
    ),
    "with requests nothing is lost": curves["two lines, and requests"]["lost"].max() == 0,
    "but at the highest loss the book is stale for more than a tenth of the time": worst["two lines, and requests"]["stale"]
    > 0.1,
}
assert all(claims.values()), worst
for claim, holds in claims.items():
    print(f"{claim}: {holds}")
stale = {"chance of losing a datagram": LOSSES, **{name: frame["stale"] for name, frame in curves.items()}}
print("share of the time in which nothing may be traded:")
pl.DataFrame(stale)

# %% [markdown]
# **Why the square?** Both must lose the same number, and independent chances multiply: `p * p`. The trap shows what that rests
# on: its curve lies on that of one line and hides it. Lines that share a switch, a card or a cable are one line.
#
# **What surprises** is the table. Nothing is lost with requests, yet at a high loss the book is stale for much of the time: an
# answer takes its round trip, and whatever came meanwhile waits behind the hole. Without requests it is worse. A hole that
# nobody fills leaves the book stale for good, so the *first* loss ends the day. A second line saves **time**; requests save the
# **book**.
#
# ## The ladder
#
# Now the clock. How long does a message take? It depends on the **transport**, the way it goes. Four words:
#
# - **socket**: what a program asks the system for to send and receive. Each sending and receiving is a **system call**, a visit
#   to the *kernel*, the core of the operating system;
# - **to sleep** (to block): the program asks for the next datagram, and the kernel wakes it when there is one;
# - **to spin**: the program asks again and again and never sleeps. It keeps a whole processor core busy with that;
# - **loopback**: the network inside one machine. No cable, but all of the kernel's work.

# %% tags=["nbval-ignore-output"]
rust = "rust" in [info.name for info in hftlab.backends() if info.available]  # the transports are part of the Rust engine
there = hftlab.net.list_transports() if rust else None
print(there or "without the Rust engine there are no transports here; you see stored figures below")

# %% [markdown]
# `works` is no guess: a message went through it just now. Some need rights that only *root*, the administrator, has. We leave
# them out, whoever you are, and come back to them.
#
# The measurement is a **ping-pong**: a message of 58 bytes goes there and comes back, then the next one. Both ends have a core of
# their own. All transports take turns within every round, so that whatever else the machine does hits all of them alike.
#
# **Predict:** a UDP socket sleeps in one contender and spins in another. How many times as long does the one that sleeps take?

# %%
guess_sleep = 1.5  # your guess: time asleep / time spinning

# %% tags=["nbval-ignore-output"]
free = [probe.name for probe in there.probes if probe.works and not probe.needs] if rust else []
ladder = hftlab.net.measure_round_trip(free, rounds=ROUNDS, messages=TRIPS, seed=SEED) if free else stored("pingpong")
trips = ladder.frame().filter(measure="round trip")
charts.round_trip_chart(trips.filter(pl.col("transport").is_in(["udp", "udp-spin"])), ladder.lines()[0])

# %% [markdown]
# The difference is no work at all. To be woken up, the sleeper has to be put on a core again, and a core that has gone to sleep
# has to wake up itself. The one that spins is already there.
#
# **Predict again,** before you run the next cell: the same spinning, with TCP instead of UDP; with datagrams fetched in batches
# (`recvmmsg`), or through io_uring, the kernel's newest interface; and through **shared memory**, where two processes read and
# write the same bytes and the kernel takes no part. Which of these are quicker than plain UDP, and how much?

# %%
guess_order = ["tcp-spin", "udp-spin", "recvmmsg", "uring-spin", "shm"]  # put the quickest first
guess_shm = 3  # your guess: time of udp-spin / time of shm

# %% tags=["nbval-ignore-output"]
print(f"A/A control, {getattr(ladder, 'base', 'udp-spin')} twice in each round: {getattr(ladder, 'control', 'see above')}")
p50 = dict(trips.select("transport", "p50").iter_rows())
if {"udp", "udp-spin", "shm"} <= p50.keys():
    print(f"asleep, UDP takes {p50['udp'] / p50['udp-spin']:.1f} times as long as spinning; you said {guess_sleep}")
    print(f"spinning, it takes {p50['udp-spin'] / p50['shm']:.0f} times as long as shared memory; you said {guess_shm}")
ladder.plot()

# %% tags=["nbval-check-output"]
claims = [  # what, the slower one, the quicker one, how many times as long at least
    ("asleep, UDP takes more than 1.4 times as long as spinning", "udp", "udp-spin", 1.4),
    ("so does TCP", "tcp", "tcp-spin", 1.4),
    ("UDP takes more than 5 times as long as shared memory", "udp-spin", "shm", 5),
    ("fetched in batches, one message at a time still takes more than 0.8 times as long", "recvmmsg", "udp-spin", 0.8),
    ("and so it does through io_uring", "uring-spin", "udp-spin", 0.8),
]
for claim, slow, quick, times in claims:
    holds = not {slow, quick} <= p50.keys() or p50[slow] > times * p50[quick]
    assert holds, (claim, p50)
    print(f"{claim}: {holds}")

# %% [markdown]
# **Why.** Look at what is *left out* on the way up the ladder:
#
# | rung | what is left out |
# |---|---|
# | `udp`, `tcp` | nothing: two system calls, the kernel's protocols, and a wake-up |
# | `udp-spin`, `tcp-spin` | the wake-up |
# | `packet`, `xdp-*` (below) | the kernel's protocols |
# | `shm` | the kernel |
#
# **What did not get faster:** the clever interfaces. Batches and io_uring save system calls *per datagram* when many wait. In a
# ping-pong one waits, and the bookkeeping remains. They are for the backlog after a burst (lesson 10), not for the first tick.
#
# ## What needs root
#
# Two rungs bypass the kernel's protocols. **AF_PACKET** hands a program every frame as the network card brought it. **AF_XDP**
# goes further: a small program inside the kernel picks frames before any protocol sees them, and puts them into memory that it
# shares with us. On a real card the frames are not even copied; here they are.
#
# Both need root, and so does a network of our own: two *namespaces*, which are separate networks on one machine, joined by a
# virtual cable. So the next picture is **stored**: it was measured once, on the machine that it names, with real-time
# scheduling. Compare its rungs with each other, not with yours above. (As root: `hftlab net pingpong --netns`, and
# `python -m hftlab.net.tick_to_trade.stored` stores it anew.)

# %% tags=["nbval-check-output"]
kept = stored("pingpong")
kept.plot()

# %% tags=["nbval-check-output"]
kept50 = dict(kept.frame().select("transport", "p50").iter_rows())
for line in kept.lines():
    print(line)
assert kept50["shm"] < kept50["xdp-skb"] < kept50["udp-spin"] < kept50["udp"]
assert kept50["xdp-skb"] < 0.75 * kept50["udp-spin"]
print("past the protocols, a message takes less than three quarters of the time of UDP over the same cable: True")

# %% [markdown]
# ## From wire to wire
#
# Now the whole way. One thread is the exchange: it stamps the time, sends a tick as a MoldUDP64 packet, and stamps again when
# the order arrives. The other is the trader: arbiter, the engine as you know it, SoupBinTCP. Both stamps are by the *exchange's*
# clock, so no two clocks need to agree. And every order is compared, byte for byte, with the one that the same engine makes
# without a wire.
#
# A path has two names where the feed comes by one transport and the orders leave by another: feed by UDP, orders by TCP, as
# exchanges want it. `shm` is shared memory both ways.
#
# The time is told apart in three: **transport** is what the same two transports take there and back with nothing between;
# **engine** is from the packet's bytes to the order's; **scheduling** is the rest: waiting, being interrupted.
#
# **Predict:** what share of it is the engine: asleep, spinning, through shared memory?

# %%
guess_shares = {"udp+tcp": 0.3, "udp-spin+tcp-spin": 0.5, "shm": 0.9}

# %% tags=["nbval-ignore-output"]
paths = [path for path in guess_shares if set(path.split("+")) <= set(free)]
spread = {"rounds": ROUNDS_WIRE, "messages": TICKS, "seed": SEED}
wire = hftlab.net.measure_tick_to_trade(paths, paces=["closed"], **spread) if paths else stored("wire")
wire.plot()

# %% tags=["nbval-ignore-output"]
shares = wire.shares().filter(quantile="p50").filter(pl.col("path").is_in(list(guess_shares)))
parts = shares.pivot("part", index="path", values="ns")
parts.with_columns(share=pl.col("engine") / pl.sum_horizontal("transport", "engine", "scheduling")).with_columns(
    pl.col("path").replace_strict(guess_shares, return_dtype=pl.Float64).alias("you said")
)

# %% tags=["nbval-check-output"]
took = {row["path"]: row for row in parts.to_dicts()}
whole = {path: row["transport"] + row["engine"] + row["scheduling"] for path, row in took.items()}
claims = []
if {"udp+tcp", "udp-spin+tcp-spin"} <= took.keys():
    claims += [whole["udp+tcp"] > 1.4 * whole["udp-spin+tcp-spin"], took["udp+tcp"]["engine"] < whole["udp+tcp"] / 4]
if {"shm", "udp-spin+tcp-spin"} <= took.keys():
    claims += [
        whole["udp-spin+tcp-spin"] > 4 * whole["shm"],
        took["shm"]["engine"] / whole["shm"] > 2 * took["udp-spin+tcp-spin"]["engine"] / whole["udp-spin+tcp-spin"],
    ]
if {"shm", "udp+tcp"} <= took.keys():
    claims.append(took["udp+tcp"]["engine"] > 1.2 * took["shm"]["engine"])
assert all(claims), parts
print("wherever it could be measured:")
print("asleep, tick to order takes more than 1.4 times as long as spinning, and the engine is less than a quarter of it: True")
print("spinning on sockets takes more than 4 times as long as shared memory, where the engine's share is more than double: True")
print("woken from sleep, the same engine takes more than 1.2 times as long as behind shared memory: True")

# %% [markdown]
# So whoever asks *is your engine fast?* asks about a thin part of the bar, until the sockets are gone. Then the engine counts.
#
# **What surprises:** the engine's own time, in the column `engine`. It is the same engine and the same messages, yet behind
# sockets it takes longer. The kernel's code has run in between and has taken the caches; and after a sleep, everything is cold:
# it is the *swept* phase of lesson 01, in real life.
#
# The same as root, stored, with AF_XDP among the paths:

# %% tags=["nbval-check-output"]
print(stored("wire").conditions)
service = stored("wire").frame().filter(measure="service")
service.select("path", "n", (pl.col("p50", "p99") / 1e3).name.suffix(" us"))

# %% [markdown]
# ## Exercise 09.1: one stream out of two lines
#
# *Medium, 25 minutes.* Write the core of an arbiter. It is told the number of a packet's first message and the messages, from
# whichever line. The first number of the stream is 1.
#
# - `receive(sequence, messages)` returns the messages that are in order by now: each once, none before its turn
# - `gap` is `(first number missing, number after the last one missing)` of the first hole, None if there is none
# - a message whose number is `window` or more ahead of the one expected is dropped; memory stays bounded, however long it runs
#
# The start delivers whatever is new. **That is how most people begin.**


# %% tags=["nbval-check-output"]
class Start:
    def __init__(self, window):
        self.window = window
        self.seen = set()
        self.gap = None

    def receive(self, sequence, messages):
        out = []
        for number, message in enumerate(messages, sequence):
            if number not in self.seen:
                self.seen.add(number)
                out.append(message)
        return out


answer = check("09.1", Start)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two things suffice: the number that is expected next, and a dictionary of what came early. Everything below the expected number
# is old, so nobody needs to remember it. A gap exists only while something waits.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class Core:
#     def __init__(self, window):
#         self.window, self.expected, self.early = window, 1, {}
#
#     def receive(self, sequence, messages):
#         for number, message in enumerate(messages, sequence):
#             if self.expected <= number < self.expected + self.window:
#                 self.early.setdefault(number, message)
#         out = []
#         while self.expected in self.early:
#             out.append(self.early.pop(self.expected))
#             self.expected += 1
#         return out
#
#     @property
#     def gap(self):
#         return (self.expected, min(self.early)) if self.early else None
# ```
#
# The real one (`hftlab/protocols/arbiter.py`) bounds the bytes, too, asks for what is missing, gives up in the end, and does not
# believe a single damaged number.
#
# </details>


# %% tags=["solution", "nbval-ignore-output"]
class Core:
    def __init__(self, window):
        self.window, self.expected, self.early = window, 1, {}

    def receive(self, sequence, messages):
        for number, message in enumerate(messages, sequence):
            if self.expected <= number < self.expected + self.window:
                self.early.setdefault(number, message)
        out = []
        while self.expected in self.early:
            out.append(self.early.pop(self.expected))
            self.expected += 1
        return out

    @property
    def gap(self):
        return (self.expected, min(self.early)) if self.early else None


answer = check("09.1", Core)
assert answer, answer
answer

# %% [markdown]
# ## Exercise 09.2: packets out of a stream
#
# *Easy, 20 minutes.* Orders go the other way over **TCP**, which loses nothing and keeps the order, but knows no packets: it is a
# stream of bytes. One read may bring half a packet, or three and a half. **SoupBinTCP** puts two bytes of length (big-endian)
# before each packet; then comes one byte that says its kind, then the payload. The length counts the kind and the payload.
#
# Write a framer: `feed(data)` takes what was read, and returns a list of `(kind, payload)` of the packets that are whole by now.
# A length of 0 raises `ValueError`: no packet has it. The start takes a read for a packet. On loopback that works for weeks.


# %% tags=["nbval-check-output"]
class OneRead:
    def feed(self, data):
        return [(data[2:3], data[3:])]


answer = check("09.2", OneRead)
assert not answer
print(answer)

# %% [markdown]
# <details><summary>Hint</summary>
#
# Keep the bytes that are left over in a `bytearray`, and walk over it with a place: `while at + 2 <= len(rest)`. Delete what was
# used *once*, at the end. If you cut the front off after every packet, each cut copies all that is left.
#
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class Framed:
#     def __init__(self):
#         self.rest = bytearray()
#
#     def feed(self, data):
#         self.rest += data
#         out, at = [], 0
#         while at + 2 <= len(self.rest):
#             length = int.from_bytes(self.rest[at : at + 2], "big")
#             if length == 0:
#                 raise ValueError("a packet of length 0")
#             end = at + 2 + length
#             if end > len(self.rest):
#                 break
#             out.append((bytes(self.rest[at + 2 : at + 3]), bytes(self.rest[at + 3 : end])))
#             at = end
#         del self.rest[:at]
#         return out
# ```
#
# </details>


# %% tags=["solution", "nbval-ignore-output"]
class Framed:
    def __init__(self):
        self.rest = bytearray()

    def feed(self, data):
        self.rest += data
        out, at = [], 0
        while at + 2 <= len(self.rest):
            length = int.from_bytes(self.rest[at : at + 2], "big")
            if length == 0:
                raise ValueError("a packet of length 0")
            end = at + 2 + length
            if end > len(self.rest):
                break
            out.append((bytes(self.rest[at + 2 : at + 3]), bytes(self.rest[at + 3 : end])))
            at = end
        del self.rest[:at]
        return out


answer = check("09.2", Framed)
assert answer, answer
answer

# %% [markdown]
# ## Takeaway
#
# - A feed is numbered because the network promises nothing. Two lines multiply the chances of a loss, if they share nothing;
#   requests fill the rest; and until then nothing may be traded.
# - The dearest thing on the wire is to be woken up. Then come the kernel's protocols, then the kernel. Each rung is quicker for
#   what it leaves out, and each costs something: a core, rights, a protocol of your own.
# - Over sockets the transport is nearly all of the way from wire to wire. Past the kernel, the engine counts again.
#
# **What did not get faster:** batches and io_uring, for one message at a time; and a second line in the same cable.
#
# **Where it is in the code.** `hftlab/protocols/moldudp64.py`, `arbiter.py` and `soupbintcp.py` (the protocols, without sockets),
# `hftlab/net/transports/transports.py` and `pingpong.py`, `rust_ext/src/net/transport/` (a file per rung),
# `hftlab/net/tick_to_trade/wire.py` (the whole
# way). `hftlab net exchange` and `hftlab net trade` run both ends as processes.
#
# **Next:** 10 Under stress. What happens when more comes than usual?
