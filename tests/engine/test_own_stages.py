"""Can anybody bring a stage of his own, and is it refused in one sentence where it cannot be taken?"""

import pickle

import pytest

import hftlab
from hftlab.engine import session as registry
from hftlab.engine.python import PythonBackend
from hftlab.engine.resolve import as_engine, attribute
from hftlab.errors import ConfigError, UnknownName
from hftlab.stages.book import Book
from hftlab.stages.order import OrderEntry
from hftlab.stages.signal import Signal
from hftlab.stages.tick import Tick


class MyTick(Tick):
    """Counts what it decodes."""

    decoded = 0

    def events(self, data):
        for event in super().events(data):
            MyTick.decoded += 1
            yield event


class MyBook(Book):
    pass


class MySignal(Signal):
    """A score of one's own: always buy."""

    def update(self, *arguments):
        return (*super().update(*arguments)[:8], 1.0)


class MyOrder(OrderEntry):
    """Never acts."""

    def update(self, *arguments):
        return None


STAGES = {"tick": MyTick, "book": MyBook, "signal": MySignal, "order": MyOrder}


@pytest.fixture(autouse=True)
def _nobody_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HFTLAB_BACKEND", raising=False)


def feed() -> hftlab.ItchFeed:
    return hftlab.synthetic("calm", 300, 1)


def test_a_book_of_ones_own_gives_the_same_and_is_named() -> None:
    engine = hftlab.Engine(book=MyBook)
    assert (engine.backend, engine.label, engine.variant) == ("python", "python book=MyBook", {"book": "MyBook"})
    assert repr(engine) == "<Engine python book=MyBook until=order>"
    assert engine.run(feed()).variant == {"book": "MyBook"}
    verdict = hftlab.verify("python", engine, feed())
    assert verdict
    assert str(verdict).startswith("python and python book=MyBook on calm-300-1")
    anything = hftlab.Engine(book=lambda: MyBook())
    assert anything.label == "python book=<lambda>"
    assert anything.run(feed()).messages == 300


def test_a_signal_and_an_order_stage_of_ones_own_are_used() -> None:
    assert hftlab.Engine(signal=MySignal).run(feed()).frame["score"].max() == 1.0
    eager = {"order_config": hftlab.OrderConfig(threshold=0.0, cooldown=1)}
    assert hftlab.Engine("python", **eager).run(feed()).order_stream
    quiet = hftlab.Engine(order=MyOrder, **eager)
    assert quiet.run(feed()).order_stream == b""
    assert quiet.variant == {"order": "MyOrder"}


def test_a_tick_stage_of_ones_own_decodes_for_runs_and_for_decode() -> None:
    MyTick.decoded = 0
    engine = hftlab.Engine(tick=MyTick)
    engine.run(feed())
    assert MyTick.decoded == 300
    assert len(hftlab.decode(feed(), engine)) == 300
    assert MyTick.decoded == 600


def test_an_engine_with_stages_can_be_pickled_and_changed() -> None:
    engine = hftlab.Engine(**STAGES, strict=True)
    again = pickle.loads(pickle.dumps(engine))
    assert again.label == engine.label == "python tick=MyTick book=MyBook signal=MySignal order=MyOrder"
    assert repr(again.replace(until="book")) == f"<Engine {engine.label} until=book>"
    assert again.settings().strict
    assert again.replace(book="ladder", strict=False).variant == {
        axis: STAGES[axis].__name__ for axis in ("tick", "signal", "order")
    }


@pytest.mark.rust
def test_rust_takes_its_stages_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "backend 'rust' takes no book stage from outside, got MyBook; use book=btree or"
    with pytest.raises(ConfigError, match=text):
        hftlab.Engine("rust", book=MyBook)
    with hftlab.use_backend("rust"), pytest.raises(ConfigError, match=text):
        hftlab.Engine(book=MyBook)
    monkeypatch.setenv("HFTLAB_BACKEND", "rust")
    with pytest.raises(ConfigError, match=text):
        hftlab.Engine(book=MyBook)
    with pytest.raises(ConfigError, match="takes no order stage from outside, got MyOrder; use order=None, or"):
        hftlab.Engine(order=MyOrder)
    engine = hftlab.Engine("rust", book="btree", pool=False)
    assert engine.variant["book"] == "btree"
    assert pickle.loads(pickle.dumps(engine)).label == engine.label


def test_auto_is_python_with_stages_even_where_rust_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTLAB_REQUIRE_RUST", "1")
    assert hftlab.Engine(book=MyBook).backend == "python"
    monkeypatch.setenv("HFTLAB_BACKEND", "auto")
    assert hftlab.Engine(book=MyBook).backend == "python"


class Half:
    def apply(self, *event):
        return 0

    def best(self, instrument):
        return (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("stages", "error", "text"),
    [
        ({"book": Half}, ConfigError, "book stage Half lacks depth_qty, depth, queue, locate, memory; it must have"),
        ({"signal": lambda config: object()}, ConfigError, "signal stage <lambda> lacks update, values"),
        ({"tick": lambda names, strict: object()}, ConfigError, "lacks names, used, problem, unknown, events"),
        ({"order": lambda *given: object()}, ConfigError, "lacks orders, stream, rejects, update, status"),
        ({"book": MyBook()}, UnknownName, "unknown book <.*MyBook object.*>; known: btree, .*, a class that makes one"),
        ({"tick": "fast"}, UnknownName, "unknown tick 'fast'; known: None, a class that makes one"),
    ],
)
def test_what_cannot_be_a_stage_is_refused_before_anything_runs(stages, error, text) -> None:
    with pytest.raises(error, match=text):
        hftlab.Engine("python", **stages)


def test_an_engine_object_needs_no_entry_point() -> None:
    class Mine(PythonBackend):
        pass

    for given in (Mine, Mine()):
        engine = hftlab.Engine(given)
        assert (engine.backend, engine.label) == ("Mine", "Mine")
        assert hftlab.verify("python", engine, feed())
    assert "Mine" not in [info.name for info in registry.backends()]


def test_what_stands_in_a_file_is_read_once_and_keeps_its_classes(tmp_path) -> None:
    path = tmp_path / "own_book_in_a_file.py"
    path.write_text(
        "from hftlab.stages.book import Book\nclass Mine(Book): ...\nENGINE = __import__('hftlab').Engine('python')\n"
    )
    assert attribute(f"{path}:Mine") is attribute(f"{path}:Mine")
    assert as_engine(f"{path}:Mine", until="book").label == "python book=Mine"
    assert as_engine(f"book={path}:Mine").label == as_engine(f"python book={path}:Mine").label == "python book=Mine"
    assert as_engine(f"{path}:ENGINE").label == "python"
    assert pickle.loads(pickle.dumps(as_engine(f"{path}:Mine"))).label == "python book=Mine"
    broken = tmp_path / "broken_in_a_file.py"
    broken.write_text("1 / 0\n")
    with pytest.raises(ConfigError, match="cannot be imported: ZeroDivisionError"):
        as_engine(f"{broken}:Mine")
    other = tmp_path / "sub" / "own_book_in_a_file.py"
    other.parent.mkdir()
    other.write_text("")
    with pytest.raises(ConfigError, match="another module is called 'own_book_in_a_file'"):
        as_engine(f"{other}:Mine")
