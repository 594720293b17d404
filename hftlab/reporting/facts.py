"""The facts of a report: what was measured, as plain values, and the one file in which they are kept.

    {"schema": "hftlab-report/1",
     "how"        how it was measured: feed, seed, rounds, command, when
     "missing"    part -> why it was not measured
     "bench"      hftlab-bench/3: every engine, stage by stage
     "spectrum"   end to end by engine: series, percentile, ns
     "bins"       every stage by engine: engine, stage, low_ns, high_ns, count
     "ablation"   hftlab-ablate/2: every switch of the Rust engine, or null
     "swept"      engine -> end to end with swept caches
     "best"       the fastest engine: label, timeline
     "flight"     hftlab-slowest/1: its slowest messages, or null
     "open_loop"  the same engine at fixed rates}

Every part but "schema" may lack: a page can be built of what `hftlab bench --out` and `hftlab bench --ablate --out` have saved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hftlab.errors import FeedError, HftlabError, UnknownName
from hftlab.experiments.ablation import Ablation
from hftlab.experiments.stages import BenchReport

SCHEMA = "hftlab-report/1"
#: Schema of a result saved alone -> its part in a report.
_PARTS = {BenchReport.schema: "bench", Ablation.schema: "ablation"}
#: Fields of a fingerprint in which results must agree to stand on one page.
_SAME = ("cpu", "arch", "cores", "system", "kernel", "python", "hftlab", "builds")


class Facts:
    """What a report shows. told: see the module."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told

    def part(self, name: str) -> Any:
        """A part, or None."""
        return self.told.get(name) or None

    @property
    def how(self) -> dict[str, Any]:
        return self.told.get("how") or {}

    @property
    def engines(self) -> list[dict[str, Any]]:
        """Every engine of the bench, in its order."""
        bench = self.part("bench")
        return bench["engines"] if bench else []

    @property
    def fastest(self) -> dict[str, Any] | None:
        """The engine of the bench with the shortest whole pass."""
        return min(self.engines, key=whole_ns, default=None)

    @property
    def feed(self) -> str:
        """Name of the feed that everything was measured on."""
        return str(next((self.told[name]["feed"] for name in ("bench", "ablation") if self.part(name)), "unknown feed"))

    @property
    def machines(self) -> dict[str, dict[str, Any]]:
        """The fingerprint of every part that has one."""
        return {name: self.told[name]["machine"] for name in ("bench", "ablation", "best") if self.part(name)}

    def missing(self, name: str) -> str:
        """Why a part is not there."""
        return str((self.told.get("missing") or {}).get(name) or "it is not among the results this page was built from")


def whole_ns(engine: dict[str, Any]) -> float:
    """The whole path of an engine of the bench, ns per message."""
    return float(list(engine["until_ns_per_message"].values())[-1])


def read(paths: Iterable[str | Path]) -> Facts:
    """Facts from files: a saved report, or results of `hftlab bench` and `hftlab bench --ablate`, which become its parts.

    raises : FeedError for a file that cannot be read; UnknownName for a schema that no page is built from; HftlabError for
             results of different machines, feeds or versions
    """
    told: dict[str, Any] = {"schema": SCHEMA}
    for path in map(Path, paths):
        found = _load(path)
        if found["schema"] == SCHEMA:
            told = {**told, **{name: value for name, value in found.items() if value is not None}}
        else:
            told[_PARTS[found["schema"]]] = found
    facts = Facts(told)
    if not facts.machines:
        raise HftlabError("a report needs at least one result to be built from; there is none")
    _belong_together(facts)
    return facts


def _load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise FeedError(f"{path}: is not JSON; allowed is what `hftlab report` or `hftlab bench --out` has saved") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema not in (SCHEMA, *_PARTS):
        raise UnknownName(f"schema in {path}:", schema, (SCHEMA, *_PARTS))
    return dict(found)


def _belong_together(facts: Facts) -> None:
    machines = list(facts.machines.items())
    name, first = machines[0]
    for other, machine in machines[1:]:
        apart = [field for field in _SAME if machine.get(field) != first.get(field)]
        if apart:
            raise HftlabError(
                f"{name} and {other} do not belong on one page: {apart[0]} is {first.get(apart[0])!r} in one and "
                f"{machine.get(apart[0])!r} in the other"
            )
    feeds = {facts.told[part]["feed"] for part in ("bench", "ablation") if facts.part(part)}
    if len(feeds) > 1:
        raise HftlabError(f"bench and ablation do not belong on one page: their feeds are {' and '.join(sorted(feeds))}")
