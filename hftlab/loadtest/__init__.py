"""Load tests: what an engine does when more comes than usual. `hftlab.stress()` runs all of them.

schedule.py target.py      when messages are due; the seam: what can be driven at those times
sweep.py path_target.py    load swept to saturation: capacity, knee, the closed loop beside it; over a network path
bursts.py                  ten to a hundred times the load for some milliseconds: the queue, and how long it takes to drain
storms.py                  cancel storms, deep books, thousands of instruments, with equality checked
overload.py ingress.py     more than the path can process; the policy that keeps the book right then
soak.py                    the same for minutes or days: memory, faults and latency watched, trends judged
report.py suite.py         what their reports have in common; all of them in one run
faults/                    every fault of the network, injected into a real exchange and a real trader

A new kind of target needs `hftlab.loadtest.target.Target` and `TargetSession` alone. Nothing here says how slow is too slow: what
fails is what is wrong (faults, ends that differ, memory that grows, a book that does not recover).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
