"""The report: everything that was measured, on one page. `hftlab.report(feed)` measures and writes it, and gives a ReportPage.

gather.py facts.py                                      measuring; what is kept of it, and where
conditions.py verdict.py latencies.py findings.py tails.py  the chapters: what is said about the facts
document.py figures.py                                  what a page consists of; its charts
page.py html.py markdown.py                             the page, in both formats
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hftlab.feeds.feed import Feed
    from hftlab.reporting.page import ReportPage

DEFAULT_OUT = "out/report.html"


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
    """Measure every engine, every optimisation and the fastest engine alone; write the page, and its facts beside it as JSON.

    feed     : default: a calm generated feed of `messages` messages, 100,000 of them, or 20,000 if `quick`
    rounds   : of the bench, 3 to 1000; default 11, or 5 if `quick`, which makes everything shorter, and percentiles n/a sooner
    seed     : of the generated feed, of the order within a round, and of the bootstrap
    quick    : less of everything: more percentiles are n/a, intervals are wider
    out      : the HTML page; None writes nothing
    markdown : Markdown, its pictures in a folder beside it
    engines  : more of them beside those that are installed; whatever `hftlab.as_engine` makes an engine of
    how      : plain values that the page gives as the way to do it again; default: what the arguments say
    raises   : HftlabError if engines differ, one is a debug build, or vl-convert is missing; ConfigError, FeedError
    """
    from hftlab.reporting.making import make

    return make(feed, rounds, messages, seed, out, markdown, quick, engines, how)


def rebuild(paths: Iterable[str | Path], out: str | Path | None = None, markdown: str | Path | None = None) -> ReportPage:
    """The page again from stored results, without measuring; see `hftlab.reporting.facts.read`.

    raises : also FeedError for results that lack what the page shows, having been edited, or stored by another version
    """
    from hftlab.errors import FeedError
    from hftlab.reporting.facts import read
    from hftlab.reporting.making import write
    from hftlab.reporting.page import ReportPage

    page = ReportPage(read(paths := [*paths]))
    try:
        page.document  # noqa: B018 - drawn from the facts, which somebody may have edited
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError) as error:
        told = ", ".join(map(str, paths))
        raise FeedError(f"{told}: what is stored is not complete ({type(error).__name__}: {error}); measure anew") from None
    write(page, out, markdown)
    return page
