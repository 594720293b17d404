"""What a run holds, and what it does where there is no more memory."""

import subprocess
import sys

import pytest

KEPT = """
import hftlab

feed = hftlab.EventFeed(hftlab.decode(hftlab.synthetic("calm", 60, 1))[50:], symbols=("", "A"))
engine = hftlab.Engine("rust")
rss = lambda: int(open("/proc/self/statm").read().split()[1]) * 4
runs = [engine.run(feed) for _ in range(10)]
before = rss()
runs += [engine.run(feed) for _ in range(100)]
print((rss() - before) / 100)
assert len(runs[0].book("A")) > 0
"""

LIMITED = """
import resource, sys
import hftlab

feed = hftlab.synthetic("market", 120_000, 1)
feed.head(10)
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20,) * 2)
try:
    print(hftlab.Engine("rust").run(feed, record=sys.argv[2]).messages)
except MemoryError as error:
    print("MemoryError:", error)
"""


def output(script: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: exit code {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.rust
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_of_ten_messages_holds_little() -> None:
    assert float(output(KEPT)) < 300


@pytest.mark.rust
@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on addresses")
@pytest.mark.parametrize("mebibytes", [8, 24, 48, 64, 96, 400])
def test_where_memory_ends_a_run_says_what_it_asked_for(mebibytes: int) -> None:
    printed = output(LIMITED, str(mebibytes), "all" if mebibytes > 8 else "none")
    assert printed.startswith("MemoryError") if mebibytes < 24 else printed.startswith(("MemoryError", "120000"))
    if mebibytes == 400:
        assert printed.startswith("120000")
