"""Does a claim print its figure and bound, a prediction its result, a table its units?"""

import polars as pl
import pytest
from course import claim, reveal, show
from course.shown import significant

from hftlab.measurement.paired import Interval, Paired

RATIO = Interval(41.83, 41.0, 44.74)


def test_a_claim_prints_figure_interval_control_and_bound(capsys: pytest.CaptureFixture[str]) -> None:
    claim("Rust against Python", RATIO, above=8, unit="")
    claim("paired", Paired(100.0, 2.4, RATIO, Interval(1.0, 0.99, 1.01)), above=8)
    claim("queue", 1_234.5, above=10, below=2_000, unit=" messages")
    assert capsys.readouterr().out.splitlines() == [
        "Rust against Python: 41.83x [41.00, 44.74] (claim: above 8)",
        "paired: 41.83x [41.00, 44.74], A/A 1.000x [0.990, 1.010] (claim: above 8)",
        "queue: 1,234 messages (claim: above 10 and below 2,000 messages)",
    ]


@pytest.mark.parametrize("bounds", [{"above": 50}, {"below": 41}, {"above": 1, "below": 2}])
def test_a_claim_that_does_not_hold_fails_and_has_printed_its_figure(
    bounds: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match=r"ratio: 41\.83x"):
        claim("ratio", RATIO, **bounds)
    assert "41.83x" in capsys.readouterr().out


def test_a_prediction_stands_beside_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    reveal("levels read", 5, 0.93)
    reveal("hot", "book", "signal")
    reveal("share", {"udp": 0.3}, {"udp": 0.15, "shm": 0.9})
    assert capsys.readouterr().out.splitlines() == [
        "levels read: 0.930; your guess: 5 (5.38 times too high)",
        "hot: signal; your guess: book",
        "share, udp: 0.150; your guess: 0.300 (2 times too high)",
        "share, shm: 0.900; your guess: n/a",
    ]


def test_numbers_have_three_significant_digits() -> None:
    shown = [significant(value) for value in (None, True, 16_437.641333, 12.345, 1.0, 0.012345, 1e-7, 1_000_000, "x")]
    assert shown == ["n/a", "yes", "16,438", "12.3", "1", "0.0123", "1.00e-07", "1,000,000", "x"]


def test_a_table_has_units_and_text_at_the_left() -> None:
    shown = show(pl.DataFrame({"p50": [1.2345, None], "stage": ["tick", "book"]}), "Costs", p50="ns")
    (table,) = shown.tables()
    assert (table.columns, table.words) == (("stage", "p50, ns"), 1)
    assert table.rows == (("tick", "1.23"), ("book", "n/a"))
    assert "Costs" in repr(shown)
    assert "<table>" in shown._repr_html_()
