"""The page: facts in, HTML and Markdown out. The same facts give the same bytes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from hftlab.errors import FeedError, HftlabError, UnknownName
from hftlab.measurement.result import Result
from hftlab.presentation.document import Document
from hftlab.presentation.markdown import markdown
from hftlab.presentation.page import LIMIT, html, svg
from hftlab.reporting import conditions, findings, latencies, tails, verdict
from hftlab.reporting.facts import Facts

ENDINGS = (".html", ".md", ".json")


class ReportPage(Result):
    """A report.

    facts    : what was measured; see `hftlab.reporting.facts`
    document : what is said about it, drawn from the facts alone
    html     : one page that needs no network
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    @cached_property
    def document(self) -> Document:
        """Every chapter, in order. Raises HftlabError without altair."""
        return document(self.facts)

    @cached_property
    def html(self) -> str:
        """Raises HftlabError without jinja2 or vl-convert, or if the page would be too large."""
        page = html(self.document)
        if (size := len(page.encode())) >= LIMIT:
            raise HftlabError(f"the page would have {size:,} bytes; allowed is less than {LIMIT:,}: measure fewer engines")
        return page

    def markdown(self, folder: str = "report_files") -> str:
        """The same facts as Markdown. folder: where its pictures are, relative to it; `save` writes them there."""
        return markdown(self.document, folder)

    def to_dict(self) -> dict[str, Any]:
        return self.facts.told

    def save(self, path: str | Path) -> None:
        """Write the page (.html), Markdown with its pictures in a folder beside it (.md), or the facts (.json).

        raises : UnknownName for another ending; FeedError if it cannot be written
        """
        path = Path(path)
        if path.suffix not in ENDINGS:
            raise UnknownName(f"ending of the report {path.name!r}:", path.suffix, ENDINGS)
        if path.suffix == ".json":
            super().save(path)
            return
        folder = path.with_name(f"{path.stem}_files")
        files = {path: self.html} if path.suffix == ".html" else {path: self.markdown(folder.name)}
        if path.suffix == ".md":
            files |= {folder / f"{figure.name}.svg": svg(figure.spec) for figure in self.document.figures}
        try:
            for target, content in files.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(content, encoding="utf-8")
        except OSError as error:
            raise FeedError(f"{path}: cannot be written: {error.strerror}") from None

    def lines(self) -> list[str]:
        """The verdict, a sentence each."""
        return [line for block in verdict.verdict(self.facts).blocks for line in getattr(block, "lines", ())]

    def __repr__(self) -> str:
        return f"<ReportPage on {self.facts.feed}: {', '.join(one['label'] for one in self.facts.engines) or 'ablation alone'}>"


def document(facts: Facts) -> Document:
    """What is said about the facts."""
    sections = (
        conditions.measured_on_what(facts),
        verdict.verdict(facts),
        latencies.latency_tables(facts),
        findings.before_and_after(facts),
        findings.switches(facts),
        tails.distributions(facts),
        tails.over_time(facts),
        tails.stage_budget(facts),
        latencies.phases(facts),
        latencies.agreement(facts),
        tails.open_loop(facts),
        tails.slowest(facts),
        findings.verdicts(facts),
        findings.controls(facts),
        conditions.again(facts),
    )
    machine = next(iter(facts.machines.values()))
    when = str(machine.get("time") or "").replace("T", " ").replace("+00:00", " UTC")
    note = f"{facts.feed} on {machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['kernel']}"
    return Document(f"Tick to trade on {facts.feed}", f"{note}; measured {when}" if when else note, sections)
