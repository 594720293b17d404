"""Do the widgets do what their controls say, exactly, and store a picture? Without a browser."""

import pytest

import hftlab
from hftlab.charts.base import png_size

pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
from hftlab.notebook.widgets import BookReplay, book_replay, latency_explorer

LIVE = "application/vnd.jupyter.widget-view+json"


def stored(panel) -> dict:  # type: ignore[no-untyped-def,type-arg]
    """The bundle a notebook stores."""
    data, sizes = panel._repr_mimebundle_()
    assert data[LIVE]["model_id"]
    assert data["text/plain"] == repr(panel)
    assert "0x" not in repr(panel)
    width, height = png_size(data["image/png"])
    assert (width > 200, height > 100, sizes["image/png"]["width"] <= 760) == (True, True, True)
    return data


@pytest.fixture(scope="module")
def feed() -> hftlab.ItchFeed:
    return hftlab.synthetic("calm", 6_000, seed=2)


@pytest.fixture
def player(feed: hftlab.ItchFeed) -> BookReplay:
    return book_replay(feed)


def test_the_slider_shows_the_book_of_a_fresh_run_of_the_head(player: BookReplay, feed: hftlab.ItchFeed) -> None:
    for index in (100, 5_999, 2_500, 2_501, 1_000):
        player.slider.value = index
        run = hftlab.Engine().run(feed.head(index + 1))
        book = run.book("HLAAA")
        assert player.now.book().equals(book)
        best = book.filter(side="bid").row(0, named=True)
        drawn = player.picture.value
        assert f"message {index:,} of 6,000" in drawn
        assert f">{best['qty']:,} in {best['orders']:,}<" in drawn
        assert f"The bid queue at {best['price'] / 10_000:.2f}" in drawn
        assert f"{best['orders']:,} orders" in drawn
        last = run.frame.filter(run.frame["instrument"] == 1).row(-1, named=True)
        assert f"{last['microprice'] / 10_000:.5g}" in player.text.value


def test_buttons_and_player_move_the_slider(player: BookReplay) -> None:
    player.slider.value = 1_000
    player.forward.click()
    assert player.slider.value == 1_001 == player.play.value
    player.back.click()
    player.back.click()
    assert player.slider.value == 999
    player.play.value = 1_500  # what the player does at each tick
    assert player.slider.value == 1_500
    assert "message 1,500 of" in player.picture.value
    player.step.value = 100
    assert player.play.step == 100
    player.next_trade.click()
    trade = player.now.trade
    assert trade is not None
    assert player.slider.value == trade.index > 1_500
    assert f"in message {trade.index:,}" in player.text.value
    player.slider.value = 0
    player.back.click()
    assert player.slider.value == 0
    player.next_order.click()
    assert player.slider.value == player.history.run.orders["index"][0]
    player.slider.value = 5_999
    player.next_trade.click()
    assert player.slider.value == 5_999


def test_the_other_side_and_an_order_that_is_followed(player: BookReplay) -> None:
    player.slider.value = 3_000
    player.side.value = "ask"
    assert "The ask queue at" in player.picture.value
    queue = player.now.queue("ask", player.now.top[2])
    order = int(queue["order_id"][-1])
    player.follow.value = str(order)
    before = int(queue["qty"][:-1].sum())
    assert f"{len(queue) - 1:,} orders with {before:,} ahead of it" in player.text.value
    player.follow.value = "999999999999"
    assert "not live" in player.text.value
    player.follow.value = "nonsense"
    assert "not live" not in player.text.value


def test_a_replay_of_several_symbols_and_of_event_records(feed: hftlab.ItchFeed) -> None:
    player = book_replay(hftlab.synthetic("market", 3_000, symbols=5))
    assert len(player.symbol.options) == 5
    player.slider.value = 2_000
    other = player.symbol.options[3]
    player.symbol.value = other
    assert player.now.symbol == other
    assert other in player.picture.value
    assert other in player.prices.value
    plain = book_replay(hftlab.EventFeed(hftlab.decode(feed), symbols=feed.symbols), index=700)
    assert "no wire bytes" in plain.text.value
    assert plain.now.book().equals(book_replay(feed, index=700).now.book())


def test_names_from_a_feed_do_not_become_html() -> None:
    events = hftlab.decode(hftlab.synthetic("calm", 200))
    player = book_replay(hftlab.EventFeed(events, symbols=["", "<b>&"]), index=150)
    for shown in (player.picture.value, player.text.value, player.prices.value):
        assert "<b>&<" not in shown
        assert "&lt;b&gt;&amp;" in shown


def test_a_replay_stores_a_picture_of_the_snapshot(player: BookReplay) -> None:
    player.slider.value = 4_000
    first = stored(player)["image/png"]
    player.slider.value = 10
    assert stored(player)["image/png"] != first
    assert repr(player) == "<BookReplay of calm-6000-2: message 10 of 6,000>"
    assert player.chart().to_dict() == player.chart().to_dict()


def test_the_explorer_measures_what_is_chosen() -> None:
    panel = latency_explorer({"small": hftlab.synthetic("calm", 3_000)})
    panel.engine.value = "python"
    assert all(box.disabled for box in panel.axes.values())
    panel.measure.click()
    (name, found), *more = panel.measured.items()
    assert (name.startswith("small: python"), more) == (True, [])
    assert found["total"].n == 9_000
    assert "<svg" in panel.picture.value
    assert f"tabular-nums'>{9_000:,}</td>" in panel.message.value
    whole = panel.picture.value
    panel.part.value = "tick"
    assert panel.picture.value != whole
    stored(panel)
    panel.clear.click()
    assert (panel.measured, panel.picture.value) == ({}, "")


@pytest.mark.rust
def test_the_explorer_offers_the_variants_of_the_engine() -> None:
    panel = latency_explorer(["calm", "burst"], messages=5_000)
    assert panel.engine.value == "rust"
    assert panel.axes["book"].value == "ladder"
    panel.axes["book"].value, panel.axes["pool"].value, panel.feed.value = "btree", False, "burst"
    chosen = {"book": "btree", "orders": "flat", "pool": False, "signal": "incremental", "lookahead": "auto"}
    assert panel.chosen().variant == chosen
    panel.measure.click()
    panel.axes["book"].value = "sorted"
    panel.measure.click()
    panel.measure.click()  # again: replaced, not added
    assert list(panel.measured) == [f"burst: rust {book} flat no pool incremental" for book in ("btree", "sorted")]


def test_the_explorer_shows_why_a_feed_cannot_be_measured() -> None:
    panel = latency_explorer({"small": hftlab.synthetic("calm", 500)})
    panel.feeds["small"] = hftlab.ItchFeed(b"\0\5hello", name="broken")
    panel.measure.click()
    assert panel.measured == {}
    assert "broken: offset 0" in panel.message.value
