"""Run as tests, the notebooks fail for the reasons for which a reader would call them broken.

nbval 0.11 alone lets five things pass or hang: a line that IPython rejects (an unknown magic, a
``UsageError``) passes; a kernel that dies is waited for until the cell times out; the time limit is
one for all cells; a cell tagged ``raises-exception`` that raises nothing passes; and after a timeout
the remaining cells run on, expected to fail.

Each notebook keeps what it keeps in a folder of its own: a solution that is run here has been found by nobody.
"""

import atexit
import csv
import re
import shutil
import tempfile
import time
from pathlib import Path
from queue import Empty

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

from hftlab.measurement.paired import ENOUGH_ROUNDS

HOMES = tempfile.mkdtemp(prefix="hftlab-notebooks-")
atexit.register(shutil.rmtree, HOMES, ignore_errors=True)

POLL_S = 0.5  # how often a silent kernel is asked whether it is still alive

TIMES = Path(__file__).parent / "course" / "run_times.csv"
#: Seconds that each lesson took when it was executed last, by its name.
RUN_TIMES = dict(csv.reader(TIMES.read_text().splitlines())) if TIMES.exists() else {}
#: Where a lesson says how many rounds it takes, and how many messages the slow tools count.
EFFORT = re.compile(r"^((?:ROUNDS|ROUNDS_WIRE|PAIRED|COUNTED) = )([\d_]+)", re.MULTILINE)


def pytest_collection_modifyitems(items):
    """The longest lessons begin, so that of two workers neither waits for the other at the end; all take few rounds."""
    items.sort(key=lambda item: -int(RUN_TIMES.get(item.path.name, 0)))
    for item in items:
        if isinstance(item, IPyNbCell):
            item.cell.source = EFFORT.sub(less, item.cell.source)


def less(found):
    """In a test the fewest rounds that give an interval, and a quarter of the messages: nobody reads how narrow it is."""
    name, number = found[1], int(found[2])
    return f"{name}{number // 4 if name.startswith('COUNTED') else min(number, ENOUGH_ROUNDS)}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """After a timeout or the kernel's death the remaining cells say nothing: skip them."""
    notebook = item.parent
    if not isinstance(notebook, IPyNbFile) or notebook.kernel is None:
        return
    if notebook.timed_out or not notebook.kernel.is_alive():
        pytest.skip("an earlier cell of this notebook timed out or ended the kernel")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Run one cell within its own time limit, then judge the kernel's reply, which nbval does not read."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    kernel, option = item.parent.kernel, item.config.option
    kernel.last_reply, limit = {}, option.nbval_cell_timeout
    option.nbval_cell_timeout = time_limit(item.cell, limit)
    try:
        result = yield
    except KernelDiedError as died:
        kernel.stop()
        item.raise_cell_error(str(died))
    finally:
        option.nbval_cell_timeout = limit
    judge(item, kernel.last_reply)
    return result


def time_limit(cell, default):
    """The cell's limit in seconds: its tag ``timeout-SECONDS``, else `default`."""
    tags = [tag for tag in cell.metadata.get("tags", []) if tag.startswith("timeout-")]
    return float(tags[-1].removeprefix("timeout-")) if tags else default


def judge(item, reply):
    """Hold the status of `reply` (``execute_reply``) against what the cell announces."""
    status, expected = reply.get("status"), item.options["check_exception"]
    if status == "error" and not expected:
        item.raise_cell_error(f"{reply.get('ename')}: {reply.get('evalue')}")
    if status == "ok" and expected:
        item.raise_cell_error("tagged raises-exception, but nothing was raised")


class KernelDiedError(RuntimeError):
    """The kernel's process ended while a cell was running."""


def await_reply(self, msg_id, timeout=None):
    """Wait for the reply to `msg_id` and keep it; raise Empty after `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            message = self.get_message("shell", timeout=POLL_S)
        except Empty:
            if not self.km.is_alive():
                raise KernelDiedError("the kernel died while running this cell") from None
            if deadline is not None and time.monotonic() > deadline:
                raise
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            if message["content"]["status"] == "aborted":
                raise RuntimeError("the kernel aborted the request to run this cell")
            self.last_reply = message["content"]
            return


RunningKernel.await_reply = await_reply

_setup = IPyNbFile.setup


def setup(self):
    """Start the kernel: in a home where nothing has been passed yet, without bars of progress, which come on slow days only."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HFTLAB_HOME", tempfile.mkdtemp(dir=HOMES))
        environment.setenv("CI", "true")
        _setup(self)


IPyNbFile.setup = setup
