"""Does a comparison find a planted difference, see none where there is none, and say what of the distribution changed?"""

import json
from collections.abc import Callable

import numpy as np
import pytest
from known_latency import KnownLatency

import hftlab
from hftlab import charts
from hftlab.cli.main import main
from hftlab.engine.resolve import as_engine
from hftlab.errors import ConfigError, HftlabError, UnknownName
from hftlab.events import Kind
from hftlab.experiments.compare import Comparison, blurred
from hftlab.measurement.paired import Interval, Paired

US = 1_000


def machine(rng: np.random.Generator, passes: int) -> np.ndarray:
    """What a shared machine makes of equal passes, one after the other: drift, slow spells that last, spikes, a heavy tail."""
    spell, slow = np.zeros(passes), False
    for at in range(passes):
        slow = rng.random() < (0.9 if slow else 0.011)
        spell[at] = slow
    logs = np.cumsum(rng.normal(0, 0.002, passes)) + 0.02 * np.abs(rng.standard_t(3, passes))
    logs += spell * rng.uniform(0.2, 1.0) + (rng.random(passes) < 0.08) * rng.exponential(0.5, passes)
    wander = np.zeros(passes)
    for at in range(1, passes):
        wander[at] = 0.8 * wander[at - 1] + rng.normal(0, 0.02)
    return np.exp(logs + wander)


def simulated(seed: int, times: float, rounds: int = 21) -> Paired:
    """One comparison on that machine; b takes `times` as long as a. Contenders in random order, as `interleave` has them."""
    rng = np.random.default_rng(seed)
    ran = machine(rng, 3 * rounds).reshape(rounds, 3)
    a, again, b = rng.permuted(ran, axis=1).T
    return Paired.of(a, b * times, again)


def test_on_a_rough_machine_nothing_is_seen_where_there_is_nothing() -> None:
    seen = [simulated(seed, 1.0).outcome for seed in range(60)]
    assert seen.count("no difference seen") >= 57


def test_on_a_rough_machine_a_tenth_is_found() -> None:
    found = [simulated(seed, 1.1) for seed in range(60)]
    seen = [one.outcome for one in found]
    assert seen.count("slower") >= 57
    assert "faster" not in seen
    assert sum(one.ratio.contains(1 / 1.1) for one in found) >= 51


@pytest.fixture(scope="module")
def planted() -> Comparison:
    feed = hftlab.synthetic(messages=200)
    return hftlab.compare(KnownLatency(20 * US, name="twenty"), KnownLatency(40 * US, name="more"), feed, rounds=11)


def test_a_planted_difference_is_found_in_a_real_run(planted: Comparison) -> None:
    assert planted.verdict.startswith("slower ")
    assert not planted.faster
    headline, p50, *tails = planted.metrics
    assert headline.paired is not None
    assert headline.paired.base_ns >= 20 * US
    assert headline.paired.ns >= 40 * US
    assert headline.paired.ratio.median == pytest.approx(0.5, rel=0.3)
    assert p50.verdict.startswith("slower")
    assert [metric.verdict for metric in tails] == ["n/a: fewer than 100 samples of a pass lie beyond it"] * 2


def test_a_planted_tenth_is_found_in_a_real_run() -> None:
    feed, words = hftlab.synthetic(messages=60), []
    for seed in range(4):  # a machine that is busy with other things may hide it, but not each time, and never turn it round
        found = hftlab.compare(KnownLatency(22 * US), KnownLatency(20 * US), feed, rounds=31, seed=seed)
        words.append(found.verdict.partition(" ")[0])
        if found.faster:
            break
    assert words[-1] == "faster"
    assert "slower" not in words


def test_the_same_against_itself_shows_no_difference_in_19_of_20_real_runs() -> None:
    feed, engine = hftlab.synthetic(messages=40), KnownLatency(10 * US)
    seen = [hftlab.compare(engine, engine, feed, rounds=7, seed=seed, until="tick").verdict for seed in range(20)]
    assert seen.count("no difference seen") >= 19


def test_stalls_change_the_tail_and_leave_the_median() -> None:
    feed = hftlab.synthetic(messages=10_000)
    smooth = KnownLatency(9 * US, name="smooth")
    stalling = KnownLatency(9 * US, stalls=dict.fromkeys(range(0, 10_000, 40), 100 * US), stall_in="book", name="stalling")
    found = {metric.name: metric for metric in hftlab.compare(smooth, stalling, feed, rounds=3, until="book").metrics}
    assert found["p99"].verdict.startswith("slower")
    assert found["p99"].paired is not None
    assert found["p99"].paired.ns > 100 * US
    assert found["p50"].paired is not None
    assert found["p50"].paired.ratio.median == pytest.approx(1, abs=0.3)
    assert found["p99.9"].paired is None


def test_the_table_has_a_row_per_metric_and_few_rounds_give_a_range(planted: Comparison) -> None:
    (table,) = planted.tables()
    assert [row[0] for row in table.rows] == ["ns/message", "p50", "p99", "p99.9"]
    assert [row[1:3] for row in table.rows[2:]] == [("n/a", "n/a")] * 2
    assert planted.outcome == "slower"
    few = Comparison(**{**vars(planted), "rounds": 5})
    assert "5 rounds are too few for an interval" in " ".join(few.notes())


def test_the_chart_shows_what_has_an_interval_beside_its_control(planted: Comparison) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    spec = planted.plot().to_dict()
    svg = vl_convert.vegalite_to_svg(spec)
    for word in ("ns/message", "p50", "a / b: above 1", "A/A control", "a: twenty", "slower"):
        assert word in svg
    assert "p99.9" not in svg
    assert charts.render(spec)[0]["image/png"][:4] == b"\x89PNG"


def test_figures_within_one_step_of_the_clock_are_not_told_apart() -> None:
    exact = Interval(60.1 / 50.3, 60.1 / 50.3, 60.1 / 50.3)
    found = Paired(60.1, 50.3, exact, Interval(1.0, 1.0, 1.0))
    assert found.outcome == "faster"
    assert blurred(found, 5.4, 5.4).outcome == "no difference seen"
    assert blurred(Paired(120.0, 60.0, Interval(2.0, 2.0, 2.0), found.control), 5.4, 5.4).outcome == "faster"


def test_no_clock_starts_before_the_results_are_equal() -> None:
    class Wrong(KnownLatency):
        def session(self, settings: object) -> object:
            session = super().session(settings)  # type: ignore[arg-type]
            apply = session.book.apply
            session.book.apply = lambda *event: 0 if event[0] == Kind.DELETE else apply(*event)  # type: ignore[method-assign]
            return session

    with pytest.raises(HftlabError, match="engines disagree; refusing to benchmark"):
        hftlab.compare("python", Wrong(10 * US), hftlab.synthetic(messages=300), rounds=3)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: hftlab.compare("python", "python", rounds=2), ConfigError, "must be between 3 and 1,000"),
        (lambda: hftlab.compare("python", "pythom"), UnknownName, "'pythom'; known: python"),
        (lambda: hftlab.compare("python", "python", until="end"), UnknownName, "'end'; known: tick"),
        (lambda: as_engine("python book=btree"), UnknownName, "'book=btree'"),
    ],
)
def test_what_cannot_be_compared_is_answered_in_a_sentence(ask: Callable[[], object], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        ask()


@pytest.mark.rust
def test_a_variant_is_named_with_its_engine_and_the_naive_one_is_slower(capsys: pytest.CaptureFixture[str]) -> None:
    naive = {"book": "btree", "orders": "std", "pool": False, "signal": "recompute", "lookahead": False}
    assert as_engine("rust naive").variant == naive
    best = {"book": "ladder", "orders": "flat", "pool": True, "signal": "incremental", "lookahead": "auto"}
    assert as_engine("rust book=btree").variant == {**best, "book": "btree"}
    assert as_engine("rust lookahead=True").variant == {**best, "lookahead": True}
    words = ["compare", "rust naive", "rust", "--messages", "20000", "--rounds", "11"]
    assert main(words) == 0
    text = capsys.readouterr().out
    for word in ("ns/message", "p99.9", "b against a", "A/A control"):
        assert word in text
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"][0]["ratio"] > 1.1
    assert printed["outcome"] != "slower"
    assert printed["messages"] == 20_000
