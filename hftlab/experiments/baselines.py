"""Baselines: bench reports kept under a name in the user's folder, each with the recipe to take it again."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hftlab.engine.engine import load, synthetic
from hftlab.engine.session import backends
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.experiments.report import Report
from hftlab.feeds.feed import Feed
from hftlab.measurement.kept import commit, home, replace
from hftlab.measurement.paired import FEWEST_ROUNDS

SCHEMA = "hftlab-baseline/1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Recipe:
    """What a bench ran on: a file, or a generated feed; and the engines beside the installed ones."""

    file: str | None = None
    regime: str = "calm"
    messages: int = 100_000
    seed: int = 1
    symbols: int | None = None
    engines: tuple[str, ...] = ()

    def feed(self) -> Feed:
        """Load or generate it. Raises FeedError if the file has gone."""
        return load(self.file) if self.file else synthetic(self.regime, self.messages, self.seed, self.symbols)


@dataclass(frozen=True)
class Baseline:
    """A bench report, as plain values, and how it came about. `time` is UTC, ISO 8601; `recipe` None if it was not told."""

    name: str
    time: str
    commit: str | None
    recipe: Recipe | None
    report: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """Of its engines."""
        return [engine["label"] for engine in self.report["engines"]]

    def __str__(self) -> str:
        at = f", commit {self.commit}" if self.commit else ""
        return f"{self.name}: {self.report['feed']}, {self.report['rounds']} rounds, {self.time}{at}: {', '.join(self.labels)}"

    def __repr__(self) -> str:
        return f"<Baseline {self}>"


def taken(report: Report | Mapping[str, Any], name: str = "now", recipe: Recipe | None = None) -> Baseline:
    """A report as a baseline that is not saved."""
    plain = report.to_dict() if isinstance(report, Report) else dict(report)
    # Through JSON, so that what was just measured and what is read back have the same types.
    return Baseline(name, datetime.now(UTC).isoformat(timespec="seconds"), commit(), recipe, json.loads(json.dumps(plain)))


def check_name(name: str) -> str:
    """The name, if a baseline may have it. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"baseline name {name!r}; allowed are 1 to 64 letters, digits and . - _, the first one a letter or a digit"
        )
    if name in engine_names():
        raise ConfigError(f"baseline name {name!r} is the name of an engine; `hftlab compare` could not tell them apart")
    return name


def check_savable(name: str, rounds: int) -> None:
    """Before the bench: raise ConfigError if so many rounds give no interval, or the name is not allowed."""
    check_name(name)
    if rounds < FEWEST_ROUNDS:
        raise ConfigError(f"rounds is {rounds}; a baseline needs {FEWEST_ROUNDS} or more, of fewer no interval can be made")


def engine_names() -> list[str]:
    """Names that mean an engine."""
    return ["auto", *(info.name for info in backends())]


def save(name: str, report: Report | Mapping[str, Any], recipe: Recipe | None = None) -> Path:
    """Keep a report under a name; one that has it is replaced. Raises ConfigError for the name, HftlabError if it cannot."""
    one = taken(report, check_name(name), recipe)
    path = _folder() / f"{name}.json"
    replace(path, lambda target: target.write_text(json.dumps({"schema": SCHEMA, **asdict(one)}, indent=1) + "\n"))
    return path


def read(name: str) -> Baseline:
    """A baseline by its name. Raises UnknownName with the known ones, HftlabError if its file is none."""
    if name not in names():
        raise UnknownName("baseline", name, names())
    path = _folder() / f"{name}.json"
    try:
        told = json.loads(path.read_text())
        if told["schema"] != SCHEMA:
            raise HftlabError(f"{path}: has schema {told['schema']!r}; this version of hftlab reads {SCHEMA}")
        recipe = told["recipe"] and Recipe(**{**told["recipe"], "engines": tuple(told["recipe"]["engines"])})
        found = Baseline(told["name"], told["time"], told["commit"], recipe, told["report"])
        str(found)  # names what every report has
    except OSError as error:
        raise HftlabError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise HftlabError(f"{path}: is not a baseline: {type(error).__name__}: {error}") from None
    return found


def names() -> list[str]:
    """Of every baseline in the folder, sorted."""
    return sorted(path.stem for path in _folder().glob("*.json") if _NAME.fullmatch(path.stem))


def _folder() -> Path:
    return home() / "baselines"
