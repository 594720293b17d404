"""Is progress shown in a notebook and a terminal, and nowhere else?"""

import io
import sys

import pytest

from hftlab.presentation import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("ci", "stream", "shown"), [("", Terminal, True), ("true", Terminal, False), ("", io.StringIO, False)])
def test_a_bar_for_a_terminal_alone(ci: str, stream: type, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(progress, "DELAY_S", 0)
    monkeypatch.setattr(sys, "stderr", shown_there := stream())
    assert list(progress.track(range(5), "rounds of a test")) == [0, 1, 2, 3, 4]
    assert ("rounds of a test" in shown_there.getvalue()) is shown


def test_what_is_over_at_once_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    monkeypatch.setattr(sys, "stderr", shown_there := Terminal())
    assert list(progress.track("ab", "letters")) == ["a", "b"]
    assert "letters" not in shown_there.getvalue()
