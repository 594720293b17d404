"""The wire.

transports.py   how messages get from one thread or process to another, by name; which of them this machine has
pingpong.py     what each costs, in interleaved rounds; rungs.py: what was found; bare.py: the same in C
processes.py    the two ends in two processes
netns.py        two network namespaces and a veth pair, for a while
"""
