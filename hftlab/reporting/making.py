"""Making a report: say no before measuring rather than after, measure, keep the facts, draw."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hftlab.engine.engine import synthetic
from hftlab.errors import ConfigError, FeedError, UnknownName
from hftlab.feeds.feed import Feed
from hftlab.measurement.paired import check_rounds
from hftlab.reporting.gather import FULL, QUICK, gather
from hftlab.reporting.page import ReportPage

#: Messages of the generated feed.
_MESSAGES, _QUICK_MESSAGES = 100_000, 20_000
_FEWEST_MESSAGES = 1_000


def make(
    feed: Feed | None,
    rounds: int | None,
    messages: int | None,
    seed: int,
    out: str | Path | None,
    markdown: str | Path | None,
    quick: bool,
    engines: Iterable[Any],
    how: dict[str, Any] | None,
) -> ReportPage:
    """See `hftlab.reporting.report`."""
    check(out, markdown)
    effort = QUICK if quick else FULL
    effort = effort if rounds is None else replace(effort, rounds=rounds)
    check_rounds(effort.rounds)
    messages = messages_of(messages, quick)
    call = f"hftlab.report(rounds={effort.rounds}, messages={messages}, seed={seed}, quick={quick})"
    told = {
        "feed": f"generated: calm, {messages:,} messages, seed {seed}" if feed is None else "given",
        "seed": seed,
        "effort": "quick" if quick else "full",
        "command": f'.venv/bin/python -c "import hftlab; {call}"' if feed is None else None,
        **(how or {}),
    }
    facts = gather(synthetic("calm", messages, seed) if feed is None else feed, effort, seed=seed, engines=engines, how=told)
    page = ReportPage(facts)
    if out is not None:
        page.save(Path(out).with_suffix(".json"))  # first: what was measured is kept, whatever the drawing comes to
    write(page, out, markdown)
    return page


def messages_of(messages: int | None, quick: bool) -> int:
    """How many messages a generated feed has. Raises ConfigError for too few."""
    found = (_QUICK_MESSAGES if quick else _MESSAGES) if messages is None else messages
    if found < _FEWEST_MESSAGES:
        raise ConfigError(f"messages is {found}; allowed is {_FEWEST_MESSAGES:,} or more: fewer say nothing")
    return found


def write(page: ReportPage, out: str | Path | None, markdown: str | Path | None) -> None:
    """The page in the formats that were asked for."""
    check(out, markdown)
    for path in (out, markdown):
        if path is not None:
            page.save(path)


def check(out: str | Path | None, markdown: str | Path | None) -> None:
    """Raise UnknownName for a file of another kind than it is to be, FeedError for one that cannot be written."""
    for path, ending in ((out, ".html"), (markdown, ".md")):
        if path is None:
            continue
        path = Path(path)
        if path.suffix != ending:
            raise UnknownName(f"ending of the report {path.name!r}:", path.suffix, (ending,))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FeedError(f"{path}: cannot be written: {error.strerror}") from None
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise FeedError(f"{path}: cannot be written: it is a directory, or permission is denied")
