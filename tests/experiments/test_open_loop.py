"""Is latency counted from when a message was due?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hftlab
from hftlab.errors import ConfigError
from hftlab.experiments.open_loop import open_loop, response_ns
from hftlab.feeds.feed import cut


@given(st.lists(st.integers(0, 10_000), max_size=200), st.integers(1, 5_000))
def test_the_formula_is_the_queue_it_stands_for(service: list[int], interval: int) -> None:
    done, expected = 0, []
    for i, length in enumerate(service):
        done = max(i * interval, done) + length
        expected.append(done - i * interval)
    assert response_ns(np.array(service), interval).tolist() == expected


def test_a_stall_that_a_closed_loop_hides_is_seen() -> None:
    """A second of stall in ten seconds at 1 kHz: one slow message in a closed loop, a tenth of all in an open one."""
    service = np.full(10_000, 10_000.0)
    service[5_000] = 1e9
    response = response_ns(service, 1e6)
    assert np.quantile(service, 0.99) == 10_000
    assert np.quantile(response, 0.99) == pytest.approx(9e8, rel=0.02)
    assert np.quantile(response, 0.5) == 10_000


WIRE = hftlab.synthetic(messages=300)


@pytest.mark.parametrize("feed", [WIRE, hftlab.EventFeed(hftlab.decode(WIRE))])
def test_messages_are_sent_alone_and_on_time(feed: hftlab.Feed) -> None:
    assert len(list(cut(feed, every=1))) == 300
    found = open_loop(hftlab.Engine("python"), feed, rate=5_000, messages=300)
    assert (found.service.n, found.response.n, found.predicted.n) == (300, 300, 300)
    # None is answered before it was due, however busy the machine.
    assert 0 <= found.late < 300
    assert found.response.raw.min >= found.service.raw.min > 0
    assert found.response.max >= found.service.max - 1e-9
    assert found.tables()[0].title.startswith("Open loop at 5,000 messages/s")


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), 0.01])
def test_a_rate_that_never_ends_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="rate must be above 0, and send 100 messages within 600 s"):
        open_loop(hftlab.Engine("python"), hftlab.synthetic(messages=100), rate=rate, messages=100)
    with pytest.raises(ConfigError, match="interval must be above 0 ns, got 0"):
        response_ns(np.ones(3), 0)
