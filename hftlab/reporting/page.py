"""The page: measurements in, HTML and Markdown out. The same measurements give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from hftlab.errors import FeedError, HftlabError, UnknownName, check_range
from hftlab.feeds.feed import Feed
from hftlab.measurement.paired import check_rounds
from hftlab.presentation.document import Block, Document
from hftlab.presentation.html import LIMIT, page, svg
from hftlab.presentation.markdown import markdown
from hftlab.presentation.output import check_writable, write_text
from hftlab.presentation.result import Result
from hftlab.reporting.chapters import chapters, verdict
from hftlab.reporting.measurements import FULL, QUICK, Measurements, measure, read

DEFAULT_OUT = "out/report.html"
ENDINGS = (".html", ".md", ".json")
#: Messages of the generated feed, and with `quick`; and the fewest that say anything.
MESSAGES, QUICK_MESSAGES, MIN_MESSAGES = 100_000, 20_000, 1_000


class ReportPage(Result):
    """A report.

    measurements : what it shows
    document     : its chapters, drawn from the measurements alone
    html         : one page that needs no network
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements

    @cached_property
    def document(self) -> Document:
        """Title, where and when it was measured, and the chapters.

        raises : FeedError for results that lack what the page shows, having been edited, or stored by another version
        """
        found, machine = self.measurements, self.measurements.machine
        when = str(machine.get("time") or "").replace("T", " ").replace("+00:00", " UTC")
        try:
            note = f"{found.feed} on {machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['kernel']}"
            return Document(f"Tick to trade on {found.feed}", f"{note}; measured {when}" if when else note, chapters(found))
        except (AttributeError, IndexError, KeyError, StopIteration, TypeError) as error:
            raise FeedError(f"what is stored is not complete ({type(error).__name__}: {error}); measure anew") from None

    @cached_property
    def html(self) -> str:
        """Raises HftlabError if the page would be too large."""
        text = page(self.document)
        if (size := len(text.encode())) >= LIMIT:
            raise HftlabError(f"the page must be smaller than {LIMIT:,} bytes, got {size:,}: measure fewer engines")
        return text

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


def report(
    feed: Feed | None = None,
    *,
    rounds: int | None = None,
    messages: int | None = None,
    seed: int = 1,
    out: str | Path | None = DEFAULT_OUT,
    markdown: str | Path | None = None,
    quick: bool = False,
    engines: Iterable[Any] = (),
    how: dict[str, Any] | None = None,
) -> ReportPage:
    """Measure every engine, every optimisation and the fastest engine alone; write the page, and its measurements beside it.

    feed     : default: one calm generated symbol of `messages` messages, 100,000 of them, or 20,000 if `quick`; beside it a whole
               market
    rounds   : of the bench, 3 to 1000; default 11, or 5 if `quick`
    messages : of the generated feed, 1,000 or more
    seed     : of the generated feed, and of the order within a round
    quick    : less of everything: more percentiles are n/a, intervals are wider
    out      : the HTML page, its measurements beside it as JSON; None writes nothing
    markdown : Markdown, its pictures in a folder beside it
    engines  : more of them beside those that are installed; whatever `hftlab.as_engine` makes an engine of
    how      : plain values that the page gives as the way to do it again; default: what the arguments say
    raises   : HftlabError if engines differ or one is a debug build; ConfigError, FeedError, OutputError
    """
    _check(out, markdown)
    effort = QUICK if quick else FULL
    effort = effort if rounds is None else replace(effort, rounds=rounds)
    check_rounds(effort.rounds)
    messages = default_messages(messages, quick)
    call = f"hftlab.report(rounds={effort.rounds}, messages={messages}, seed={seed}, quick={quick})"
    known = {
        "feed": f"generated: calm, {messages:,} messages, seed {seed}" if feed is None else "given",
        "seed": seed,
        "effort": "quick" if quick else "full",
        "command": f'python -c "import hftlab; {call}"' if feed is None else None,
    }
    page = ReportPage(measure(feed, effort, messages=messages, seed=seed, engines=engines, how={**known, **(how or {})}))
    if out is not None:
        page.save(Path(out).with_suffix(".json"))  # first, so that no failure of the drawing loses what was measured
    return _write(page, out, markdown)


def rebuild(paths: Iterable[str | Path], out: str | Path | None = None, markdown: str | Path | None = None) -> ReportPage:
    """The page again from stored results, without measuring; see `hftlab.reporting.measurements.read` for what it raises."""
    _check(out, markdown)
    return _write(ReportPage(read(paths)), out, markdown)


def default_messages(messages: int | None, quick: bool) -> int:
    """The number of messages of a generated feed. Raises ConfigError for too few."""
    return (QUICK_MESSAGES if quick else MESSAGES) if messages is None else check_range("messages", messages, MIN_MESSAGES)


def check_path(path: str | Path, endings: tuple[str, ...]) -> Path:
    """The path of an output, if it has one of these endings and can be written. Raises UnknownName, OutputError."""
    path = Path(path)
    if path.suffix not in endings:
        raise UnknownName(f"ending of the report {path.name!r}:", path.suffix, endings)
    check_writable(path)
    return path


def _check(out: str | Path | None, markdown: str | Path | None) -> None:
    for path, ending in ((out, ".html"), (markdown, ".md")):
        if path is not None:
            check_path(path, (ending,))


def _write(page: ReportPage, out: str | Path | None, markdown: str | Path | None) -> ReportPage:
    for path in (out, markdown):
        if path is not None:
            page.save(path)
    return page
