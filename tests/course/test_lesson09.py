"""Do the checks of lesson 09 pass what is right, and say of what is wrong why? Does what it shows of loss follow the theory?"""

from collections.abc import Callable
from typing import Any

import pytest
from course import check
from course.lesson09 import Expected
from course.losing import losing

from hftlab.errors import ConfigError


class Greedy(Expected):
    """Delivers whatever is new, as it comes."""

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.seen: set[int] = set()

    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        fresh = {number: message for number, message in enumerate(messages, sequence) if number not in self.seen}
        self.seen.update(fresh)
        return list(fresh.values())


class Boundless(Expected):
    def __init__(self, window: int) -> None:
        super().__init__(1 << 60)


class Remembering(Expected):
    """Right, but it remembers all it has ever seen."""

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.seen: set[int] = set()

    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        self.seen.update(range(sequence, sequence + len(messages)))
        return super().receive(sequence, messages)


class Sorting(Expected):
    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        out = super().receive(sequence, messages)
        self.held = dict(sorted(self.held.items()))
        return out


class WholePackets(Expected):
    """Drops a packet that begins with something old."""

    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        return super().receive(sequence, messages) if sequence >= self.expected else []


class Broken(Expected):
    def receive(self, sequence: int, messages: list[bytes]) -> list[bytes]:
        raise RuntimeError("no line today")


def test_the_arbiter_passes() -> None:
    checked = check("09.1", Expected)
    assert checked, checked
    assert [step.about for step in checked.steps][-2:] == ["bounded", "faster"]


@pytest.mark.parametrize(
    ("wrong", "about", "said"),
    [
        (Greedy, "correct", "while 3 is missing"),
        (WholePackets, "correct", "2 is old"),
        (Boundless, "bounded", "beyond a window of 64"),
        (Remembering, "bounded", "bytes are left of 40,000"),
        (Sorting, "faster", "while 4,096 wait"),
        (Broken, "correct", "RuntimeError: no line today"),
    ],
)
def test_a_wrong_arbiter_is_told_why(wrong: Any, about: str, said: str) -> None:
    checked = check("09.1", wrong)
    assert not checked
    assert checked.steps[-1].about == about, checked
    assert said in checked.steps[-1].said


class Framer:
    def __init__(self) -> None:
        self.rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self.rest += data
        out, at = [], 0
        while at + 2 <= len(self.rest):
            length = int.from_bytes(self.rest[at : at + 2], "big")
            if not length:
                raise ValueError("a packet of length 0")
            if at + 2 + length > len(self.rest):
                break
            out.append((bytes(self.rest[at + 2 : at + 3]), bytes(self.rest[at + 3 : at + 2 + length])))
            at += 2 + length
        del self.rest[:at]
        return out


class OneRead(Framer):
    """A read is a packet."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        return [(data[2:3], data[3:])]


class FirstAlone(Framer):
    """Takes one packet of each read."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        length = int.from_bytes(data[:2], "big")
        return [(data[2:3], data[3 : 2 + length])]


class Forgetting(Framer):
    """Keeps nothing from one read to the next."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self.rest.clear()
        return super().feed(data)


class Patient(Framer):
    """Waits for the rest of a packet that has none."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        try:
            return super().feed(data)
        except ValueError:
            return []


class Copying(Framer):
    """Copies what is left after every packet."""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        rest, out = bytes(self.rest) + data, []
        while len(rest) >= 2 and len(rest) >= 2 + int.from_bytes(rest[:2], "big"):
            length = int.from_bytes(rest[:2], "big")
            if not length:
                raise ValueError("a packet of length 0")
            out.append((rest[2:3], rest[3 : 2 + length]))
            rest = rest[2 + length :]
        self.rest = bytearray(rest)
        return out


def test_the_framer_passes() -> None:
    checked = check("09.2", Framer)
    assert checked, checked


@pytest.mark.parametrize(
    ("wrong", "about", "said"),
    [
        (OneRead, "correct", "two packets in one read"),
        (FirstAlone, "correct", "two packets in one read"),
        (Forgetting, "correct", "cut after 1"),
        (Patient, "hidden", "a length of 0"),
        (Copying, "faster", "as many packets"),
        (lambda: None, "correct", "AttributeError"),
    ],
)
def test_a_wrong_framer_is_told_why(wrong: Callable[[], Any], about: str, said: str) -> None:
    checked = check("09.2", wrong)
    assert not checked
    assert checked.steps[-1].about == about, checked
    assert said in checked.steps[-1].said


def test_loss_follows_the_theory() -> None:
    chances = [0.05, 0.2]
    one, two = losing(chances, messages=8_000), losing(chances, lines=2, messages=8_000)
    for loss, lost, both in zip(chances, one["lost"], two["lost"], strict=True):
        assert lost == pytest.approx(loss, rel=0.1)
        assert both == pytest.approx(loss**2, rel=0.3)
    cable = losing(chances, lines=2, together=True, messages=8_000)
    assert cable["lost"].to_list() == one["lost"].to_list()
    asked = losing(chances, lines=2, requests=True, messages=8_000)
    assert asked["lost"].to_list() == [0.0, 0.0]
    assert asked["recovered"].min() > 0
    assert (asked["stale"] < two["stale"]).all()
    assert losing(chances, messages=500, seed=3).equals(losing(chances, messages=500, seed=3))


def test_a_line_without_loss_loses_nothing() -> None:
    assert losing([0.0], messages=100).row(0) == (0.0, 0.0, 0.0, 0, 0)
    with pytest.raises(ConfigError, match="0 lines and 5 messages; allowed are 1 to 9 lines"):
        losing([0.1], lines=0, messages=5)
