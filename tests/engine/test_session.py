"""What every engine's session promises beside its results: one end, counters at any time, and bytes that stay as they were."""

from threading import Event, Thread

import pytest

import hftlab
from hftlab.errors import HftlabError
from hftlab.settings import Settings

FEED = hftlab.synthetic("burst", 20_000)
DATA = b"".join(bytes(block) for block in FEED.blocks())
each_engine = pytest.mark.parametrize("backend", ["python", pytest.param("rust", marks=pytest.mark.rust)])


@each_engine
def test_a_session_finishes_once(backend: str) -> None:
    session = hftlab.Engine(backend).open(Settings(record="all"))
    session.push(DATA)
    assert session.counters()["messages"] == session.counters()["messages"] == 20_000
    result = session.finish()
    assert len(result["columns"]["mid"]) == 20_000
    assert {name: list(result[name]) for name in ("counts", "faults", "rejects")} == {
        name: list(session.counters()[name]) for name in ("counts", "faults", "rejects")
    }
    with pytest.raises(HftlabError, match=r"finish\(\) was called already"):
        session.finish()


@pytest.mark.rust
def test_a_buffer_written_to_during_push_changes_nothing() -> None:
    buffer, end = bytearray(DATA), Event()

    def scribble() -> None:
        while not end.is_set():
            buffer[:] = bytes(len(buffer))
            buffer[:] = DATA

    writer = Thread(target=scribble)
    expected = hftlab.Engine("python").run(FEED, record="none")
    writer.start()
    try:
        outcomes = [_pushed(buffer) for _ in range(50)]
    finally:
        end.set()
        writer.join()
    whole = [outcome for outcome in outcomes if outcome is not None]
    assert whole
    assert all(counts == list(expected.counts.values()) for counts in whole)


def _pushed(buffer: bytearray) -> list[int] | None:
    """Counts by kind; None where the buffer was all zeros when push() began."""
    session = hftlab.Engine("rust").open()
    _, problem = session.push(buffer)
    return None if problem and problem[1] == 0 else list(session.finish()["counts"])
