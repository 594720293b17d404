"""The map of the house: the way data takes, who walks it, and who asks questions about it. Drawn from the rows below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hftlab.charts.base import GREY, INK, PALETTE, QUIET, WIDTH, altair, head

if TYPE_CHECKING:
    import altair as alt

#: The stages in their order: name, what it does, where it is in Python, where in Rust.
STAGES = (
    ("tick", "bytes to event", "hftlab/stages/tick.py", "rust_ext/src/itch.rs"),
    ("book", "every order, queue by queue", "hftlab/stages/book.py", "rust_ext/src/book.rs"),
    ("signal", "nine numbers", "hftlab/stages/signal.py", "rust_ext/src/signal.rs"),
    ("order", "decide, check risk, encode", "hftlab/stages/order.py", "rust_ext/src/order.rs"),
)
#: Who asks: the question, where it is answered, the command.
QUESTIONS = (
    ("Is it right?", "hftlab/verify", "hftlab verify A B"),
    ("How fast is it?", "hftlab/bench", "hftlab bench"),
    ("Where does it go?", "hftlab/profiling", "hftlab profile"),
    ("What will you learn?", "hftlab/course", "hftlab course"),
)
_EDGE, _SIDE, _GAP = 12, 78, 8  # the outer margin; the boxes of the wire; between boxes
_TALL = 318


def house_chart(title: str = "The way of a message, and who watches it") -> alt.LayerChart:
    """The stages from wire to wire in both languages, and the parts of the package that ask questions about them."""
    width = WIDTH - 2 * _EDGE
    boxes: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    arrows: list[dict[str, Any]] = []
    _way(boxes, texts, arrows, width)
    _engines(boxes, texts, width)
    _askers(boxes, texts, width)
    alt = altair()
    x, y = _scale("x", width), _scale("y", _TALL)
    plain = {"fill": alt.Fill("fill:N", scale=None), "stroke": alt.Stroke("stroke:N", scale=None)}
    base = alt.Chart(alt.Data(values=boxes)).mark_rect(cornerRadius=5)
    drawn = base.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", **plain)
    lines = alt.Chart(alt.Data(values=arrows)).mark_rule(color=GREY, strokeWidth=1.5).encode(x=x, x2="x2:Q", y=y)
    ends = [{"x": row["x2"], "y": row["y"]} for row in arrows]
    tips = alt.Chart(alt.Data(values=ends)).mark_point(shape="triangle-right", filled=True, color=GREY, opacity=1, size=60)
    layers = [drawn, lines, tips.encode(x=x, y=y)]
    for size, weight in sorted({(row["size"], row["weight"]) for row in texts}):
        own = [row for row in texts if (row["size"], row["weight"]) == (size, weight)]
        mark = alt.Chart(alt.Data(values=own)).mark_text(fontSize=size, fontWeight=weight, baseline="middle")
        layers.append(mark.encode(x=x, y=y, text="text:N", color=alt.Color("ink:N", scale=None)))
    return alt.layer(*layers).properties(width=width, height=_TALL, title=head(title))  # type: ignore[no-any-return]


def _scale(axis: str, reach: float) -> Any:
    alt = altair()
    domain = [0, reach] if axis == "x" else [reach, 0]
    return {"x": alt.X, "y": alt.Y}[axis](f"{axis}:Q", axis=None).scale(domain=domain, nice=False, zero=False)


def _box(x: float, y: float, wide: float, tall: float, fill: str, stroke: str = "#ffffff") -> dict[str, Any]:
    return {"x": x, "x2": x + wide, "y": y, "y2": y + tall, "fill": fill, "stroke": stroke}


def _text(x: float, y: float, text: str, size: float = 10, weight: str = "normal", ink: str = INK) -> dict[str, Any]:
    return {"x": x, "y": y, "text": text, "size": size, "weight": weight, "ink": ink}


def _columns(width: float) -> list[tuple[float, float]]:
    """Left edge and width of the column of each stage, between the boxes of the wire."""
    wide = (width - 2 * _SIDE - 5 * 18) / len(STAGES)
    return [(_SIDE + 18 + place * (wide + 18), wide) for place in range(len(STAGES))]


def _way(boxes: list[dict[str, Any]], texts: list[dict[str, Any]], arrows: list[dict[str, Any]], width: float) -> None:
    """The first row: wire, the stages, wire."""
    ends = [
        (0.0, "wire bytes", ("ITCH 5.0: a file,", "or generated")),
        (width - _SIDE, "wire bytes", ("OUCH 5.0: the", "orders we send")),
    ]
    for x, name, said in ends:
        boxes.append(_box(x, 6, _SIDE, 62, "#f4f4f4", "#cccccc"))
        texts.append(_text(x + _SIDE / 2, 23, name, 11.5, "bold"))
        texts += [_text(x + _SIDE / 2, 42 + 13 * row, line, 9, ink=QUIET) for row, line in enumerate(said)]
    columns = _columns(width)
    for (x, wide), (name, does, _, _), colour in zip(columns, STAGES, PALETTE, strict=False):
        boxes.append(_box(x, 6, wide, 62, colour))
        ink = "#ffffff" if colour == "#0072B2" else "#000000"
        texts.append(_text(x + wide / 2, 25, name.upper(), 13, "bold", ink))
        first, _, second = does.partition(", ")
        rows = [f"{first},", second] if second else [first]
        texts += [_text(x + wide / 2, 43 + 13 * row, line, 9, ink=ink) for row, line in enumerate(rows)]
    starts = [_SIDE, *(x + wide for x, wide in columns)]
    arrows += [{"x": x + 2, "x2": x + 14, "y": 37} for x in starts]


def _engines(boxes: list[dict[str, Any]], texts: list[dict[str, Any]], width: float) -> None:
    """The second and third row: where each stage is written."""
    for top, name, said, place in ((84, "Python", "read it first", 2), (130, "Rust", "every step kept", 3)):
        boxes.append(_box(0, top, width, 40, "#f4f4f4"))
        texts += [_text(_SIDE / 2, top + 14, name, 11.5, "bold"), _text(_SIDE / 2, top + 28, said, 8.5, ink=QUIET)]
        for (x, wide), stage in zip(_columns(width), STAGES, strict=True):
            folder, _, file = stage[place].rpartition("/")
            texts += [_text(x + wide / 2, top + 13, file, 11), _text(x + wide / 2, top + 27, f"{folder}/", 8.5, ink=QUIET)]
        where = ("hftlab/", "engine.py") if name == "Python" else ("rust_ext/src/", "engine.rs")
        middle = width - _SIDE / 2
        texts += [_text(middle, top + 13, where[1], 11, "bold"), _text(middle, top + 27, where[0], 8.5, ink=QUIET)]
    texts.append(_text(width / 2, 190, "the same messages in, the same bits out", 11, ink=QUIET))


def _askers(boxes: list[dict[str, Any]], texts: list[dict[str, Any]], width: float) -> None:
    """The last row: the questions."""
    wide = (width - 3 * _GAP) / len(QUESTIONS)
    for place, (question, where, command) in enumerate(QUESTIONS):
        x = place * (wide + _GAP)
        boxes.append(_box(x, 210, wide, 74, "#ffffff", GREY))
        middle = x + wide / 2
        texts += [_text(middle, 228, question, 12, "bold"), _text(middle, 248, f"{where}/", 10, ink=QUIET)]
        texts.append(_text(middle, 267, command, 10.5, ink="#0072B2"))
    texts.append(_text(width / 2, 308, "every answer draws itself: hftlab/charts/", 11, ink=QUIET))
