"""Fixtures of the venue: exchanges and their clients, and the commands as processes; all end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from venue.process import Process
from venue.venue import Venue


@pytest.fixture
def venue() -> Iterator[Venue]:
    opened = Venue()
    yield opened
    opened.close()


@pytest.fixture
def started() -> Iterator[Callable[..., Process]]:
    """Starts `hftlab net COMMAND --json WORDS...`; environment variables go by name."""
    processes: list[Process] = []

    def start(command: str, *words: str, **environment: str) -> Process:
        processes.append(Process(command, *words, **environment))
        return processes[-1]

    yield start
    for process in reversed(processes):
        process.close()
