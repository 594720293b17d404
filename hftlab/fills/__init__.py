"""FILLS of our own orders by exact queue position, and what latency is worth in them. The contract is in docs/fills.md.

requests.py    what we send (enter, cancel, replace) and what comes of it (fills, outcomes): records
simulator.py   THE REFERENCE: one event of the feed, then the next; the Rust twin in rust_ext/src/fills gives identical fills.
               One order of ours in somebody else's book: who is ahead of it, by id
simulation.py  the door: simulate(feed, requests)
accounts.py    position, cash and fees in whole units of money
delays.py      latency as an object: a constant, or what was measured
attempts.py    the two strategies that are known beforehand (join every better price, take what the engine takes), and what
               each latency got out of each attempt
strategy.py    any other strategy: it sees the market, sends requests, and hears the answers late
value.py       latency_value(): all of it together
proofs/        why it may be believed
"""
