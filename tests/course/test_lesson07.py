"""Lesson 07: do the right answers pass, and do the wrong ones fail with a sentence that helps?"""

from pathlib import Path
from typing import Any

import pytest
from course import check

import hftlab


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_HOME", str(tmp_path))


needs_rust = pytest.mark.skipif(
    not any(info.name == "rust" and info.available for info in hftlab.backends()), reason="the Rust engine is not installed"
)


def rebuilds(most: int) -> list[int]:
    return [full for full in (3, *(7 << power for power in range(60))) if full < most]


class Pool:
    """The free slots chained through the cells."""

    def __init__(self, cells: Any) -> None:
        self.cells, self.free = cells, 0
        for slot in range(len(cells)):
            cells[slot] = slot + 1

    def put(self, value: Any) -> int:
        slot = self.free
        self.free = self.cells[slot]
        self.cells[slot] = value
        return slot

    def take(self, slot: int) -> Any:
        value, self.cells[slot] = self.cells[slot], self.free
        self.free = slot
        return value


class Searching(Pool):
    def __init__(self, cells: Any) -> None:
        self.cells = cells

    def put(self, value: Any) -> int:
        slot = next(slot for slot in range(len(self.cells)) if self.cells[slot] is None)
        self.cells[slot] = value
        return slot

    def take(self, slot: int) -> Any:
        value, self.cells[slot] = self.cells[slot], None
        return value


class Sweeping(Searching):
    """Short in the mean; now and then it looks for everything that is free."""

    def __init__(self, cells: Any) -> None:
        self.cells, self.free = cells, list(range(len(cells)))

    def put(self, value: Any) -> int:
        if not self.free:
            self.free = [slot for slot in range(len(self.cells)) if self.cells[slot] is None]
        slot = self.free.pop()
        self.cells[slot] = value
        return slot


class Forgetting(Pool):
    def take(self, slot: int) -> Any:
        return self.cells[slot]


class Growing(Pool):
    """Never uses a slot again."""

    def put(self, value: Any) -> int:
        self.free += 1
        if self.free <= len(self.cells):
            self.cells[self.free - 1] = value
        return self.free - 1

    def take(self, slot: int) -> Any:
        return self.cells[slot]


@needs_rust
def test_the_tables_rebuild_where_the_solution_says() -> None:
    assert check("07.1", rebuilds)


def test_the_free_list_passes() -> None:
    found = check("07.2", Pool)
    assert found, found


@needs_rust
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda most: [2**power for power in range(30) if 2**power < most], "the answer is [1, 2, 4, 8"),
        (lambda most: [7 << power for power in range(30) if 7 << power < most], "asked for a larger table at [3, 7"),
        (lambda most: rebuilds(min(most, 4_000)), "the last three below 2,000,000"),
        (lambda most: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_wrong_rule_is_told_why(answer: Any, said: str) -> None:
    found = check("07.1", answer)
    assert not found
    assert said in str(found)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Searching, "cells touched by a call, in the mean"),
        (Sweeping, "cells touched by the worst call"),
        (Forgetting, "IndexError"),
        (Growing, "which is no slot from 0 to 39"),
    ],
)
def test_a_wrong_pool_is_told_why(answer: Any, said: str) -> None:
    found = check("07.2", answer)
    assert not found
    assert said in str(found)
