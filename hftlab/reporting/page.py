"""The page: measurements in, HTML and Markdown out. The same measurements give the same bytes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Self

from hftlab.errors import HftlabError, UnknownName
from hftlab.presentation.document import Block, Document
from hftlab.presentation.markdown import markdown
from hftlab.presentation.output import check_writable, write_text
from hftlab.presentation.page import LIMIT, html, svg
from hftlab.presentation.result import Result
from hftlab.reporting.chapters import chapters
from hftlab.reporting.measurements import Measurements
from hftlab.reporting.verdict import verdict

ENDINGS = (".html", ".md", ".json")


class ReportPage(Result):
    """A report.

    measurements : what it shows
    document     : what is said about them, drawn from them alone
    html         : one page that needs no network
    """

    schema = Measurements.schema

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements

    @cached_property
    def document(self) -> Document:
        """Title, where and when it was measured, and the chapters."""
        found, machine = self.measurements, self.measurements.machine
        when = str(machine.get("time") or "").replace("T", " ").replace("+00:00", " UTC")
        note = f"{found.feed} on {machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['kernel']}"
        return Document(f"Tick to trade on {found.feed}", f"{note}; measured {when}" if when else note, chapters(found))

    @cached_property
    def html(self) -> str:
        """Raises HftlabError if the page would be too large."""
        page = html(self.document)
        if (size := len(page.encode())) >= LIMIT:
            raise HftlabError(f"the page must be smaller than {LIMIT:,} bytes, got {size:,}: measure fewer engines")
        return page

    def markdown(self, folder: str = "report_files") -> str:
        """The same as Markdown. folder: where its pictures are, relative to it; `save` writes them there."""
        return markdown(self.document, folder)

    def headline(self) -> str:
        return self.document.title

    def blocks(self) -> list[Block]:
        """The verdict."""
        return list(verdict(self.measurements))

    def to_dict(self) -> dict[str, Any]:
        return self.measurements.to_dict()

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        return cls(Measurements.from_dict(payload))

    def save(self, path: str | Path) -> None:
        """Write the page (.html), Markdown with its pictures in a folder beside it (.md), or the measurements (.json).

        raises : UnknownName for another ending; OutputError if it cannot be written
        """
        path = check_path(path, ENDINGS)
        if path.suffix == ".json":
            super().save(path)
        elif path.suffix == ".html":
            write_text(path, self.html)
        else:
            folder = path.with_name(f"{path.stem}_files")
            for figure in self.document.figures:
                write_text(folder / f"{figure.name}.svg", svg(figure.spec))
            write_text(path, self.markdown(folder.name))

    def __repr__(self) -> str:
        engines = self.measurements.bench.engines if self.measurements.bench else ()
        return f"<ReportPage on {self.measurements.feed}: {', '.join(engine.label for engine in engines) or 'ablation alone'}>"


def check_path(path: str | Path, endings: tuple[str, ...]) -> Path:
    """The path of an output, if it has one of these endings and can be written. Raises UnknownName, OutputError."""
    path = Path(path)
    if path.suffix not in endings:
        raise UnknownName(f"ending of the report {path.name!r}:", path.suffix, endings)
    check_writable(path)
    return path
