"""Do the checks of lesson 05 pass what is right, and say of what is wrong why?"""

import math
from collections.abc import Iterable
from itertools import islice
from typing import Any

import pytest
from course import check


def chunked(session: Any, messages: Iterable[bytes]) -> None:
    messages = iter(messages)
    while chunk := b"".join(islice(messages, 1_000)):
        session.push(chunk)


def one_by_one(session: Any, messages: Iterable[bytes]) -> None:
    for message in messages:
        session.push(message)


def whole(session: Any, messages: Iterable[bytes]) -> None:
    if data := b"".join(messages):
        session.push(data)


def forgets_the_rest(session: Any, messages: Iterable[bytes]) -> None:
    waiting: list[bytes] = []
    for message in messages:
        waiting.append(message)
        if len(waiting) == 1_000:
            session.push(b"".join(waiting))
            waiting.clear()


def breaks_messages(session: Any, messages: Iterable[bytes]) -> None:
    data = b"".join(messages)
    for at in range(0, len(data), 4_096):
        session.push(data[at : at + 4_096])


@pytest.mark.rust
def test_chunks_pass() -> None:
    checked = check("05.1", chunked)
    assert checked, checked


@pytest.mark.rust
@pytest.mark.parametrize(
    ("wrong", "about", "said"),
    [
        (one_by_one, "fewer crossings", "999 messages were sent in 999 crossings, 1 are enough"),
        (whole, "tail", "the largest chunk held 1,001"),
        (forgets_the_rest, "correct", "messages that reached the engine: 0, expected 1"),
        (breaks_messages, "correct", "of which"),
    ],
)
def test_wrong_chunks_are_told_why(wrong: Any, about: str, said: str) -> None:
    checked = check("05.1", wrong)
    assert not checked
    assert checked.steps[-1].about == about
    assert said in checked.steps[-1].said


def size(call_ns: float, message_ns: float, share: float, per_second: float) -> tuple[int, float]:
    chunk = max(1, math.ceil(call_ns / (share * message_ns)))
    return chunk, (chunk - 1) * 1e9 / per_second


def test_the_size_of_a_chunk_passes() -> None:
    checked = check("05.2", size)
    assert checked, checked


@pytest.mark.parametrize(
    ("wrong", "about", "said"),
    [
        (lambda c, m, s, r: (int(c / (s * m)), (int(c / (s * m)) - 1) * 1e9 / r), "chunk", "142, expected 143"),
        (lambda c, m, s, r: (size(c, m, s, r)[0], size(c, m, s, r)[0] * 1e9 / r), "wait", "100000, expected 99000"),
        (lambda c, m, s, r: 1 / 0, "correct", "ZeroDivisionError"),
    ],
)
def test_a_wrong_size_is_told_why(wrong: Any, about: str, said: str) -> None:
    checked = check("05.2", wrong)
    assert not checked
    assert checked.steps[-1].about == about
    assert said in checked.steps[-1].said
