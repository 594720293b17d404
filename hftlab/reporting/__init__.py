"""The report: everything that was measured, on one page. `hftlab.report(feed)` measures and writes it, and gives a ReportPage.

measurements.py   what is measured; stored, and read again
verdict.py        what came out, in three sentences
chapters.py       tables, notes and charts of the results, chapter by chapter
page.py           the page, in every format
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftlab.errors import FeedError, check_range

if TYPE_CHECKING:
    from hftlab.feeds.feed import Feed
    from hftlab.reporting.page import ReportPage

DEFAULT_OUT = "out/report.html"
#: Messages of the generated feed, and with `quick`; and how few say anything.
MESSAGES, QUICK_MESSAGES, MIN_MESSAGES = 100_000, 20_000, 1_000


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

    feed     : default: a calm generated feed of `messages` messages, 100,000 of them, or 20,000 if `quick`
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
    from hftlab.engine.engine import synthetic
    from hftlab.measurement.paired import check_rounds
    from hftlab.reporting.measurements import FULL, QUICK, measure
    from hftlab.reporting.page import ReportPage

    _check(out, markdown)
    effort = QUICK if quick else FULL
    effort = effort if rounds is None else replace(effort, rounds=rounds)
    check_rounds(effort.rounds)
    messages = default_messages(messages, quick)
    call = f"hftlab.report(rounds={effort.rounds}, messages={messages}, seed={seed}, quick={quick})"
    told = {
        "feed": f"generated: calm, {messages:,} messages, seed {seed}" if feed is None else "given",
        "seed": seed,
        "effort": "quick" if quick else "full",
        "command": f'python -c "import hftlab; {call}"' if feed is None else None,
        **(how or {}),
    }
    feed = synthetic("calm", messages, seed) if feed is None else feed
    page = ReportPage(measure(feed, effort, seed=seed, engines=engines, how=told))
    if out is not None:
        page.save(Path(out).with_suffix(".json"))  # first: what was measured is kept, whatever the drawing comes to
    return _write(page, out, markdown)


def rebuild(paths: Iterable[str | Path], out: str | Path | None = None, markdown: str | Path | None = None) -> ReportPage:
    """The page again from stored results, without measuring; see `hftlab.reporting.measurements.read`.

    raises : also FeedError for results that lack what the page shows, having been edited, or stored by another version
    """
    from hftlab.reporting.measurements import read
    from hftlab.reporting.page import ReportPage

    _check(out, markdown)
    page = ReportPage(read(paths := [*paths]))
    try:
        page.document  # noqa: B018 - drawn from results, which somebody may have edited
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError) as error:
        names = ", ".join(map(str, paths))
        raise FeedError(f"{names}: what is stored is not complete ({type(error).__name__}: {error}); measure anew") from None
    return _write(page, out, markdown)


def default_messages(messages: int | None, quick: bool) -> int:
    """How many messages a generated feed has. Raises ConfigError for too few."""
    return (QUICK_MESSAGES if quick else MESSAGES) if messages is None else check_range("messages", messages, MIN_MESSAGES)


def _check(out: str | Path | None, markdown: str | Path | None) -> None:
    from hftlab.reporting.page import check_path

    for path, ending in ((out, ".html"), (markdown, ".md")):
        if path is not None:
            check_path(path, (ending,))


def _write(page: ReportPage, out: str | Path | None, markdown: str | Path | None) -> ReportPage:
    for path in (out, markdown):
        if path is not None:
            page.save(path)
    return page
