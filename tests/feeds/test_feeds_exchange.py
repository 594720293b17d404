"""Is real data found where it is, and what is missing said?"""

from pathlib import Path

import pytest

import hftlab
from hftlab.errors import FeedError
from hftlab.feeds import real_data
from hftlab.protocols.itch_messages import MESSAGES, anatomy, build


def test_the_named_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_DATA", str(tmp_path))
    assert real_data.real() is None
    (tmp_path / "itch50").mkdir()
    (tmp_path / real_data.AAPL_MORNING).write_bytes(b"".join(hftlab.synthetic("calm", 100).blocks()))
    feed = real_data.real()
    assert feed is not None
    assert hftlab.Engine("python").run(feed).messages == 100


def test_a_folder_that_is_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_DATA", str(tmp_path / "gone"))
    with pytest.raises(FeedError, match="is not a folder"):
        real_data.real()


def test_every_message_is_taken_apart_without_a_gap() -> None:
    for letter, known in MESSAGES.items():
        message = build(letter, locate=7)
        rows = anatomy(message)
        assert bytes.fromhex("".join(str(row["hex"]) for row in rows)) == message
        assert [row["offset"] for row in rows] == [part.offset for part in known.parts]
        assert rows[1] == {"field": "locate", "offset": 1, "width": 2, "hex": "00 07", "value": "7"}
