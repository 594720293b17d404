"""Does a session read the bytes as they were when it was given them? What else it promises is asked by the conformance suite."""

from threading import Event, Thread

import pytest

import hftlab

FEED = hftlab.synthetic("burst", 20_000)
DATA = b"".join(bytes(block) for block in FEED.blocks())


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
