"""The commands of the venue as processes of their own, their events read as they are printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from venue.waiting import LIMIT_S

#: Words that give an exchange free ports.
FREE = ("--line-a", "239.255.71.1:0", "--line-b", "239.255.71.2:0", "--requests", "127.0.0.1:0", "--orders", "127.0.0.1:0")


class Process:
    """`hftlab net COMMAND --json`, its lines read as they come."""

    def __init__(self, command: str, *words: str, **environment: str) -> None:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("HFTLAB_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hftlab.cli.main", "net", command, "--json", *words],
            env={**variables, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: Queue[dict[str, Any] | None] = Queue()
        self.reader = Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def event(self, name: str) -> dict[str, Any]:
        """The next event it prints, which must be this one."""
        try:
            event = self.events.get(timeout=LIMIT_S)
        except Empty:
            event = None
        if event is None or event["event"] != name:
            self.process.kill()
            pytest.fail(f"{name} was to be printed, not {event}; {self.process.stderr and self.process.stderr.read()}")
        return event

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it printed on stderr."""
        code = self.process.wait(LIMIT_S)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)
        self.reader.join(LIMIT_S)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
