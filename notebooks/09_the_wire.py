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
# # 09 The network
#
# **What does a message cost from machine to machine, and what happens when one is lost?**
#
# About 85 minutes, 45 of them for two exercises. Afterwards you will be able to
#
# - read a packet of a market data feed byte by byte, and explain the effect of a gap on a book until it is filled,
# - rank the transports, from a blocking socket to shared memory, and explain why each is cheaper than the one before,
# - split the tick-to-trade time into engine, transport and scheduling.

# %% tags=["parameters"]
SEED = 1
LOSSES = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2]  # chances of losing a packet; real lines lose far fewer
NUMBERED = 10_000  # messages of a lossy stream; 100_000 to see it at smaller chances
SEEDS = [1, 2, 3, 4, 5]  # of the lossy streams: one alone may be lucky
ROUNDS = 11  # of the round trips, interleaved; 21 for publishable figures
TRIPS = 1_500  # round trips per round and transport; 10_000 for a p99.9
ROUNDS_WIRE = 7  # tick to trade; 21
TICKS = 2_500  # a round and path; 20_000

# %% tags=["nbval-ignore-output"]
# %load_ext hftlab
import polars as pl
from course import check, claim, reveal, show
from course.loss import simulate_loss
from course.stored_network import stored

import hftlab
import hftlab.net
from hftlab import charts
from hftlab.protocols.arbiter import Arbiter
from hftlab.protocols.moldudp64 import encode, split

# %% [markdown]
# ## What is a packet?
#
# So far the engine got its messages from memory. A real one gets them in **datagrams**: blocks of bytes that the network
# delivers independently (the protocol is **UDP**). The network may lose, duplicate or reorder datagrams. It guarantees nothing,
# and that makes it fast: an exchange sends each datagram once, to a *group* address (**multicast**), and every firm receives it
# at the same time.
#
# So the exchange numbers its messages. NASDAQ's protocol for that is **MoldUDP64**. Here is a packet with two messages of a
# feed:

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
# The second message has no number of its own: it is the first one's plus one. All integers are *big-endian*, the most
# significant byte first. The headers of UDP, IP and Ethernet add 42 bytes, and the cable carries 24 more that no program sees:
# preamble 8, checksum 4, gap 12.
#
# **Predict:** what share of the bytes of a frame is the message, with one message per packet? And with ten?

# %%
guess_alone, guess_ten = 0.8, 0.9  # your guesses: share of the bytes

# %% tags=["nbval-check-output"]
HEADERS = 14 + 20 + 8  # Ethernet, IPv4, UDP
CABLE = 8 + 4 + 12  # preamble, checksum, gap between frames
rows = []
for together in (1, 2, 5, 10, 30):
    groups = [messages[start : start + together] for start in range(0, len(messages) - together + 1, together)]
    carried = sum(len(message) for group in groups for message in group)
    on_the_wire = sum(CABLE + HEADERS + len(encode(SESSION, 1, group)) for group in groups)
    rows.append((together, on_the_wire / len(groups) / together, carried / on_the_wire))
share = pl.DataFrame(rows, schema=["messages in a packet", "bytes per message", "share that are messages"], orient="row")
alone, ten = (share.filter(pl.col("messages in a packet") == n)["share that are messages"][0] for n in (1, 10))
reveal("share of the bytes that are the message, alone", guess_alone, alone)
reveal("ten in a packet", guess_ten, ten)
claim("share of the bytes that are the message, alone", alone, below=0.5)
show(share.with_columns((8 / 10 * pl.col("bytes per message")).alias("at 10 Gbit/s, ns per message")), "On the cable")

# %% [markdown]
# With one message per packet, the message is less than half of the bytes. Why does an exchange not always collect ten? Because
# the first of them would wait for the tenth. The bytes are cheap; the wait is not.
#
# ## A gap, by hand
#
# An exchange sends the same packets over two separate networks, **line A** and **line B**. A receiver of both takes the first
# copy of each number: that is **arbitration**. Below, line A loses number 2, and so does line B. *Stale* means that the book is
# known to be incomplete: the trader must not trade on it.

# %% tags=["nbval-check-output"]
arbiter = Arbiter(SESSION, gap_timeout_ns=1_000)
arrivals = [("A", 1, 0), ("B", 1, 90), ("A", 3, 200), ("B", 3, 290), ("A", 4, 400)]  # line, number, when
for line, number, now in arrivals:
    got = arbiter.receive("AB".index(line), encode(SESSION, number, [b"message %d" % number]), now)
    out = [message.decode() for message in split(got.blocks)]
    print(f"line {line} delivers {number}: {out!s:<15} missing: {arbiter.gap!s:<8} {'stale' if arbiter.stale else 'complete'}")

(asked,) = arbiter.due(2_000)
print(
    f"it did not arrive in time, so we request {asked.count} message from number {asked.sequence} on, {len(asked.encode())} bytes"
)
got = arbiter.receive(2, encode(SESSION, 2, [b"message 2"]), 50_000)
print(f"the answer delivers 2: {[message.decode() for message in split(got.blocks)]}, {'stale' if arbiter.stale else 'complete'}")

# %% [markdown]
# Numbers 3 and 4 arrived early and **waited**: a book that skips a message is wrong, and stays wrong. `missing: (2, 3)` is a
# range: from 2 to before 3. When 2 arrived, the arbiter delivered all three in order.
#
# ## How much is lost?
#
# `simulate_loss` sends a numbered stream over lines that lose datagrams at random, through this same arbiter. Time is computed,
# not measured, so everybody gets the same chart.
#
# **Predict:** a line loses one datagram in ten. How many messages in a hundred never arrive with one line? With two?

# %%
guess_one_line, guess_two_lines = 10, 10  # your guesses: messages in a hundred


# %% tags=["nbval-check-output"]
def simulated(**how):
    """The mean over the seeds, and their range."""
    runs = pl.concat(simulate_loss(LOSSES, messages=NUMBERED, seed=seed, **how) for seed in SEEDS)
    means = [pl.col(name).mean() for name in ("lost", "stale")]
    ends = [getattr(pl.col(name), end)().alias(f"{name}_{end}") for name in ("lost", "stale") for end in ("min", "max")]
    return runs.group_by("loss", maintain_order=True).agg(*means, *ends)


def lost(curves):
    drawn = [
        frame.select(
            series=pl.lit(name),
            x=100 * pl.col("loss"),
            y=100 * pl.col("lost"),
            low=100 * pl.col("lost_min"),
            high=100 * pl.col("lost_max"),
        )
        for name, frame in curves.items()
    ]
    axes = {"x": "chance of losing a datagram, each line (%)", "y": "messages that never arrived (%)"}
    words = f"{NUMBERED:,} messages, mean and range of {len(SEEDS)} seeds"
    return charts.line_chart(pl.concat(drawn), "Lost for good", words, **axes)


curves = {"one line": simulated(lines=1)}
lost(curves)

# %% [markdown]
# One line loses its share. Now change one thing at a time: a second line; then retransmission requests for what neither line
# delivered; and, as a trap, two lines through one cable, which lose the *same* datagrams.

# %% tags=["nbval-check-output", "timeout-300"]
curves |= {
    "two lines": simulated(lines=2),
    "two lines, and requests": simulated(lines=2, requests=True),
    "two lines, one cable": simulated(lines=2, together=True),
}
lost(curves)

# %% tags=["nbval-check-output"]
worst = {name: frame.row(-1, named=True) for name, frame in curves.items()}
p = worst["one line"]["loss"]
at_ten = {name: 100 * frame.filter(pl.col("loss") == 0.1)["lost"][0] for name, frame in curves.items()}
reveal("lost of a hundred, one line", guess_one_line, at_ten["one line"])
reveal("lost of a hundred, two lines", guess_two_lines, at_ten["two lines"])
claim(f"chance p = {p}: one line loses, in units of p", worst["one line"]["lost"] / p, above=0.9, below=1.1)
claim("two lines lose, in units of p * p", worst["two lines"]["lost"] / p**2, above=0.75, below=1.25)
assert curves["two lines, one cable"]["lost"].equals(curves["one line"]["lost"])
print("two lines in one cable lose exactly what one line loses; with requests,", curves["two lines, and requests"]["lost"].max())
assert curves["two lines, and requests"]["lost"].max() == 0
claim("share of the time in which the book is stale all the same", worst["two lines, and requests"]["stale"], above=0.1)

# %% tags=["nbval-check-output"]
stale = {"chance of losing a datagram": [f"{loss:.0%}" for loss in LOSSES]}
for name, frame in curves.items():
    columns = frame.select("stale", "stale_min", "stale_max").iter_rows()
    stale[name] = [f"{mean:.2f} [{low:.2f}, {high:.2f}]" for mean, low, high in columns]
show(pl.DataFrame(stale), f"Share of the time in which the book is stale: mean and range of {len(SEEDS)} seeds")

# %% [markdown]
# **Why the square?** Both must lose the same number, and independent probabilities multiply: `p * p`. The trap shows the
# assumption: its curve coincides with that of one line. Lines that share a switch, a card or a cable are one line.
#
# **What may surprise you** is the table. With requests nothing is lost, yet at a high loss the book is stale for much of the
# time: an answer takes a round trip, and the messages received meanwhile wait behind the gap. Without requests it is worse. A
# gap that is never filled leaves the book stale for good, so the *first* loss ends the day: with two lines and a small chance the
# range over the seeds is wide, since all depends on when that one loss happens. A single seed could show anything. A
# second line saves **time**; requests save the **book**. (Real losses are rarely independent: most are a full buffer of the
# receiver in a burst, which hits both lines.)
#
# ## Round trips by transport
#
# How long does a message take? It depends on the **transport**. Four terms:
#
# - **socket**: the handle of a program to send and receive. Each send and receive is a **system call** into the *kernel*, the
#   core of the operating system;
# - **blocking**: the program waits for the next datagram, and the kernel wakes it when there is one;
# - **busy-polling** (spinning): the program polls again and again and never sleeps. It occupies a whole processor core;
# - **loopback**: the network inside one machine, without a cable, but with all of the kernel's work.

# %% tags=["nbval-ignore-output"]
rust = "rust" in [info.name for info in hftlab.backends() if info.available]  # the transports are part of the Rust engine
there = hftlab.net.list_transports() if rust else None
print(there or "without the Rust engine there are no transports; the figures below are stored ones")

# %% [markdown]
# `works` is tested: a message went through the transport just now. Some transports need *root*, the rights of the
# administrator. This section leaves them out; they follow below.
#
# The measurement is a **ping-pong**: a message of 58 bytes goes to the other end and back, then the next one. Both ends have a
# core of their own. All transports are interleaved within every round, so that other load on the machine affects all of them
# alike.
#
# **Predict:** a UDP socket blocks in one contender and spins in another. How many times as long does the blocking one take?

# %%
guess_sleep = 1.5  # your guess: time blocking / time spinning

# %% tags=["nbval-ignore-output"]
free = [probe.name for probe in there.probes if probe.works and not probe.needs] if rust else []
ladder = hftlab.net.measure_round_trip(free, rounds=ROUNDS, messages=TRIPS, seed=SEED) if free else stored("round trip")
trips = ladder.frame().filter(measure="round trip")
charts.round_trip_chart(trips.filter(pl.col("transport").is_in(["udp", "udp-spin"])), ladder.conditions)

# %% [markdown]
# The difference is no work at all. The kernel must schedule the blocked thread on a core again, and an idle core must wake up
# first. The spinning thread is running already.
#
# **Predict again,** before you run the next cell: the same spinning, with TCP instead of UDP; with datagrams fetched in batches
# (`recvmmsg`), or through io_uring, the kernel's newest interface; and through **shared memory**, where two processes read and
# write the same bytes without the kernel. Which of these are faster than plain UDP, and by how much?

# %%
guess_order = ["tcp-spin", "udp-spin", "recvmmsg", "uring-spin", "shm"]  # put the fastest first
guess_shm = 3  # your guess: time of udp-spin / time of shm

# %% tags=["nbval-ignore-output"]
print(f"A/A control, {getattr(ladder, 'base', 'udp-spin')} twice in each round: {getattr(ladder, 'control', 'see above')}")
p50 = dict(trips.select("transport", "p50").iter_rows())
if {"udp", "udp-spin", "shm"} <= p50.keys():
    reveal("UDP, blocking / spinning", guess_sleep, p50["udp"] / p50["udp-spin"])
    reveal("UDP spinning / shared memory", guess_shm, p50["udp-spin"] / p50["shm"])
    ranked = sorted(set(guess_order) & p50.keys(), key=p50.get)
    reveal("the fastest first", " ".join(guess_order), " ".join(ranked))
ladder.plot()

# %% tags=["nbval-ignore-output"]
bounds = {("udp", "udp-spin"): 1.4, ("tcp", "tcp-spin"): 1.4, ("udp-spin", "shm"): 5}
bounds |= {("recvmmsg", "udp-spin"): 0.8, ("uring-spin", "udp-spin"): 0.8}  # at best a little faster, one message at a time
for (slow, quick), times in bounds.items():
    if {slow, quick} <= p50.keys():
        claim(f"{slow} / {quick}", p50[slow] / p50[quick], above=times)

# %% [markdown]
# **Why.** Each transport *leaves out* more work:
#
# | transport | left out |
# |---|---|
# | `udp`, `tcp` | nothing: two system calls, the kernel's protocols, and a wake-up |
# | `udp-spin`, `tcp-spin` | the wake-up |
# | `packet`, `xdp-*` (below) | the kernel's protocols |
# | `shm` | the kernel |
#
# **What did not get faster:** batches and io_uring. They save system calls *per datagram* when many wait. In a ping-pong only
# one waits, and their overhead remains. They help with the backlog after a burst (lesson 10), not with the first tick.
#
# ## What needs root
#
# Two transports bypass the protocols of the kernel. **AF_PACKET** passes every frame of the network card to the program.
# **AF_XDP** goes further: a small program inside the kernel selects frames before any protocol processes them, and puts them
# into shared memory. On a real card the frames are not even copied; here they are.
#
# Both need root, and so does a private network: two *namespaces*, which are separate networks on one machine, joined by a
# virtual cable. So the next chart is **stored**: it was measured once, on the machine that it names, with real-time scheduling.
# Compare its transports with each other, not with yours above. (As root: `hftlab net round-trip --netns`, and `python -m
# course.stored_network` stores it anew.)

# %% tags=["nbval-check-output"]
stored_trips = stored("round trip")
stored_trips.plot()

# %% tags=["nbval-check-output"]
stored50 = dict(stored_trips.frame().select("transport", "p50").iter_rows())
for line in stored_trips.notes():
    print(line)
assert stored50["shm"] < stored50["xdp-skb"] < stored50["udp-spin"] < stored50["udp"]
claim("AF_XDP / UDP, both spinning, over the same cable", stored50["xdp-skb"] / stored50["udp-spin"], below=0.75)
print({name: f"{ns / 1e3:.1f} us" for name, ns in stored50.items() if name.startswith(("xdp", "packet"))})

# %% [markdown]
# **What may surprise you:** `xdp-drv`, the native mode inside a driver, is no faster than `xdp-skb` here. A virtual cable has no
# hardware queue that a native mode could read earlier, so this chart says nothing about that mode on a real card.
#
# ## Tick to trade
#
# Now measure the whole path. One thread is the exchange: it takes a time stamp, sends a tick as a MoldUDP64 packet, and takes
# another when the order arrives. The other is the trader: arbiter, engine, SoupBinTCP. Both stamps come from the clock of the
# *exchange*, so no clocks need synchronisation. And every order is compared, byte for byte, with that of the same engine
# without a network.
#
# A path with two names uses one transport for the feed and another for the orders: feed by UDP, orders by TCP, as exchanges do.
# `shm` is shared memory both ways.
#
# The time has three parts: **transport** is the round trip of the same two transports with nothing between; **engine** is from
# the bytes of the packet to those of the order; **scheduling** is the rest: waiting and interruptions.
#
# **Predict:** what is the share of the engine: blocking, spinning, through shared memory?

# %%
guess_shares = {"udp+tcp": 0.3, "udp-spin+tcp-spin": 0.5, "shm": 0.9}

# %% tags=["nbval-ignore-output"]
paths = [path for path in guess_shares if set(path.split("+")) <= set(free)]
spread = {"rounds": ROUNDS_WIRE, "messages": TICKS, "seed": SEED}
wire = hftlab.net.measure_tick_to_trade(paths, load_profiles=["closed"], **spread) if paths else stored("tick-to-trade")
wire.plot()

# %% tags=["nbval-ignore-output"]
shares = wire.shares().filter(quantile="p50").filter(pl.col("path").is_in(list(guess_shares)))
parts = shares.pivot("part", index="path", values="ns")
whole_path = pl.sum_horizontal("transport", "engine", "scheduling")
found = dict(parts.select("path", pl.col("engine") / whole_path).iter_rows())
reveal("share of the engine", guess_shares, found)
show(parts.with_columns((pl.col("engine") / whole_path).alias("share of the engine")), "Tick to trade, p50, ns")

# %% tags=["nbval-ignore-output"]
took = {row["path"]: row for row in parts.to_dicts()}
whole = {path: row["transport"] + row["engine"] + row["scheduling"] for path, row in took.items()}
engine = {path: row["engine"] for path, row in took.items()}
if {"udp+tcp", "udp-spin+tcp-spin"} <= took.keys():
    claim("tick to trade, blocking / spinning", whole["udp+tcp"] / whole["udp-spin+tcp-spin"], above=1.4)
    claim("share of the engine, blocking", engine["udp+tcp"] / whole["udp+tcp"], below=0.25)
if {"shm", "udp-spin+tcp-spin"} <= took.keys():
    claim("tick to trade, spinning sockets / shared memory", whole["udp-spin+tcp-spin"] / whole["shm"], above=4)
if {"shm", "udp+tcp"} <= took.keys():
    claim("the engine itself, behind blocking sockets / behind shared memory", engine["udp+tcp"] / engine["shm"], above=1.2)

# %% [markdown]
# So with sockets the engine is a small part of the bar. Without them, the engine matters.
#
# **What may surprise you:** the time of the engine itself, in the column `engine`. It is the same engine with the same
# messages, yet behind sockets it takes longer. The kernel runs in between and evicts the caches; and after a wake-up everything
# is cold: it is the *cold cache* phase of lesson 01, in practice.
#
# The same measurement as root, stored, with AF_XDP among the paths:

# %% tags=["nbval-check-output"]
print(stored("tick-to-trade").conditions)
service = stored("tick-to-trade").frame().filter(measure="service")
show(service.select("path", "n", pl.col("p50", "p99") / 1e3), p50="us", p99="us")

# %% [markdown]
# ## Exercise 09.1: one stream out of two lines
#
# *Medium, 25 minutes.* Write the core of an arbiter. It gets the number of the first message of a packet and the messages, from
# either line. The first number of the stream is 1.
#
# - `receive(sequence, messages)` returns the messages that are in order by now: each once, none before its turn
# - `gap` is `(first number missing, number after the last one missing)` of the first hole, None if there is none
# - a message whose number is `window` or more ahead of the one expected is dropped; memory stays bounded
#
# The start delivers whatever is new. **Most people begin like that.**


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
# Two things suffice: the next expected number, and a dictionary of early messages. Everything below the expected number is old
# and need not be stored. A gap exists only while a message waits.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
class Core:
    """The real one (hftlab/protocols/arbiter.py) also bounds the bytes, requests what is missing, and gives up after a time."""

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
# *Easy, 20 minutes.* Orders go the other way over **TCP**, which loses nothing and preserves the order, but has no packets: it
# is a stream of bytes. One read may return half a packet, or three and a half. **SoupBinTCP** puts a length of two bytes
# (big-endian) before each packet; then follow one byte with its kind and the payload. The length counts the kind and the
# payload.
#
# Write a framer: `feed(data)` takes the bytes of a read, and returns a list of `(kind, payload)` of the packets that are
# complete by now. A length of 0 raises `ValueError`: no packet has it. The start treats a read as a packet. On loopback that
# works for weeks.


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
# Keep the remaining bytes in a `bytearray`, and walk over it with an offset: `while at + 2 <= len(rest)`. Delete the used bytes
# *once*, at the end. If you cut the front off after every packet, each cut copies all the rest.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["solution", "nbval-ignore-output"]
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
# - A feed is numbered because the network guarantees nothing. Two lines multiply the probabilities of a loss, if they share
#   nothing; requests fill the rest; and until then the book is stale ([How much is lost?](#How-much-is-lost?)).
# - The most expensive part is the wake-up. Then come the protocols of the kernel, then the kernel
#   ([Round trips by transport](#Round-trips-by-transport)). Each faster transport leaves out one of them, and each costs
#   something: a core, rights ([What needs root](#What-needs-root)), a protocol of your own.
# - Over sockets the transport is nearly all of the tick-to-trade time. Without the kernel, the engine matters again
#   ([Tick to trade](#Tick-to-trade)).
#
# **What did not get faster:** batches and io_uring, for one message at a time; and a second line in the same cable.
#
# **Where it is in the code.** `hftlab/protocols/{moldudp64,arbiter,soupbintcp}.py` (the protocols, without sockets),
# `hftlab/net/transports/` (round trips), `rust_ext/src/net/transport/` (a file per transport), `hftlab/net/tick_to_trade/`
# (tick to trade). `hftlab net exchange` and `hftlab net trader` run both ends as processes.
#
# **Next:** 10 Under stress. What happens when more messages arrive than usual?
