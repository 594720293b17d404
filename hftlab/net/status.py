"""How a running exchange or trader is: what it writes into its status file, shown."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftlab.errors import ConfigError
from hftlab.presentation.document import Table, table
from hftlab.presentation.result import Result

_OLD_S = 3.0  # a file that is older is of a process that is stopped, or gone


@dataclass(frozen=True)
class Status(Result):
    """One process as it was when it wrote the file.

    state : by name, as `Trader.status` and `Exchange.summary` give it; with process, pid, time (s since 1970), over (has ended)
    age_s : since then
    """

    path: str
    state: dict[str, Any]
    age_s: float

    @classmethod
    def read(cls, path: str) -> Status:
        """From a status file. raises : ConfigError for what is none"""
        try:
            state = json.loads(Path(path).read_bytes())
            return cls(path, state, max(0.0, time.time() - float(state["time"])))
        except OSError as error:
            raise ConfigError(f"status file {path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError):
            raise ConfigError(f"status file {path}: must be one of `hftlab net exchange` or `hftlab net trader`") from None

    @property
    def sound(self) -> bool:
        """Whether it is alive, or ended in order, and nothing wants attention."""
        return not self.state.get("attention") and (bool(self.state["over"]) or self.age_s < _OLD_S)

    def headline(self) -> str:
        what = "has ended" if self.state["over"] else "is running" if self.age_s < _OLD_S else "does not write any more"
        return f"{self.state['process']} {self.state['pid']} {what}; as of {self.age_s:.1f} s ago"

    def tables(self) -> list[Table]:
        known = ("process", "pid", "time", "over")
        rows = [(name.replace("_", " "), _cell(value)) for name, value in self.state.items() if name not in known]
        return [table("", ("", ""), [row for row in rows if row[1]], words=2)]

    def to_dict(self) -> dict[str, Any]:
        return {**self.state, "age_s": round(self.age_s, 3), "sound": self.sound}


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{name.replace('_', ' ')} {_cell(inner)}" for name, inner in value.items() if inner not in ("", None, {})
        )
    return "" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)
