"""Real exchange data, where somebody has it: never downloaded, never shipped."""

from __future__ import annotations

import os
from pathlib import Path

from hftlab.errors import FeedError
from hftlab.feeds.itch import ItchFeed

#: The first 10,000 messages of one stock on one real morning.
AAPL_MORNING = "itch50/aapl_20200130_first10k.itch"


def real(name: str = AAPL_MORNING) -> ItchFeed | None:
    """A file below the folder that HFTLAB_DATA names, or ../shared/data beside the checkout; None where it is not there.

    raises : FeedError if HFTLAB_DATA names something that is no folder
    """
    named = os.environ.get("HFTLAB_DATA")
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if named and not folder.is_dir():
        raise FeedError(f"HFTLAB_DATA must be a folder, got {named!r}")
    return ItchFeed(folder / name) if (folder / name).is_file() else None
