"""Do charts look the same everywhere: one theme, colours for every eye, a bundle for notebooks, files that need no network?"""

from __future__ import annotations

import itertools
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import pytest
import vl_convert

from hftlab import charts
from hftlab.charts.base import GREY, PALETTE, packed, png_size, rows_of, title_of
from hftlab.charts.scales import colours_of, dashes_of, is_control, ticks_between
from hftlab.errors import OutputError, UnknownName

STAGES = pl.DataFrame({"group": ["python", "rust"], "label": ["book", "book"], "value": [1_500.0, 30.0]})


@pytest.fixture
def session() -> Iterator[None]:
    """What a user has chosen, put back afterwards."""
    theme, renderer = alt.theme.active, alt.renderers.active
    yield
    alt.theme.enable(theme)
    alt.renderers.enable(renderer)


@pytest.fixture
def chart() -> Any:
    return charts.dot_chart(STAGES, "Time by stage", "here")


@pytest.mark.usefixtures("session")
def test_a_saved_chart_wears_the_theme_whatever_the_user_has_chosen(chart: Any, tmp_path: Path) -> None:
    alt.theme.enable("dark")
    config = json.loads(charts.save(chart, tmp_path / "chart.json").read_text())["config"]
    assert config["background"] == "white"
    assert "DejaVu Sans" in config["font"]
    assert config["title"]["anchor"] == "start"
    assert alt.theme.active == "dark"


@pytest.mark.usefixtures("session")
def test_the_theme_is_chosen_and_charts_can_be_put_beside_each_other(chart: Any) -> None:
    charts.enable()
    assert alt.theme.active == "hftlab"
    together = ((chart | chart) & charts.empty_chart("no engine ran", "A title")).to_dict()
    assert together["config"]["background"] == "white"
    svg = vl_convert.vegalite_to_svg(together)
    assert "no data: no engine ran" in svg
    assert "A title" in svg
    assert title_of(together) == "Time by stage"
    assert title_of(alt.Chart(alt.Data(values=[])).mark_point().to_dict()) == "no title"


@pytest.mark.usefixtures("session")
def test_a_notebook_gets_a_live_chart_a_sharp_picture_of_the_right_size_and_words(chart: Any) -> None:
    charts.enable()
    bundle, metadata = chart._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "image/png", "text/plain"}
    assert bundle["application/vnd.vegalite.v5+json"]["$schema"].endswith("/v5.json")
    assert bundle["text/plain"] == "<chart: Time by stage>"
    shown = metadata["image/png"]
    assert png_size(bundle["image/png"]) == (2 * shown["width"], 2 * shown["height"])
    assert charts.render(chart.to_dict()) == (bundle, metadata)


def test_packing_a_picture_changes_no_pixel(chart: Any) -> None:
    def pixels(png: bytes) -> bytes:
        chunks = {}
        at = 8
        while at < len(png):
            size = int.from_bytes(png[at : at + 4], "big")
            kind, body, check = png[at + 4 : at + 8], png[at + 8 : at + 8 + size], png[at + 8 + size : at + 12 + size]
            assert zlib.crc32(kind + body) == int.from_bytes(check, "big")
            chunks[kind] = chunks.get(kind, b"") + body
            at += 12 + size
        return zlib.decompress(chunks[b"IDAT"])

    png = vl_convert.vegalite_to_png(chart.to_dict(), ppi=144)
    assert pixels(packed(png)) == pixels(png)
    assert len(packed(png)) < 0.6 * len(png)
    assert png_size(packed(png)) == png_size(png)


def test_every_file_is_what_its_ending_says_and_html_needs_no_network(chart: Any, tmp_path: Path) -> None:
    files = {ending: charts.save(chart, tmp_path / "new" / f"chart.{ending}") for ending in ("png", "svg", "html", "json")}
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert files["svg"].read_text().startswith("<svg")
    assert json.loads(files["json"].read_text())["title"]["text"] == ["Time by stage"]
    html = files["html"].read_text()
    tags = re.findall(r"<(?:script|link)\b[^>]*>", html)
    assert tags
    assert [tag for tag in tags if re.search(r"(?:src|href)\s*=", tag)] == []
    assert re.findall(r"\bimport\s*\(?\s*['\"]https?://|from\s*['\"]https?://|@import\s+url", html) == []
    assert "order book update" not in html
    assert "Time by stage" in html


def test_what_cannot_be_saved_is_said_in_one_sentence(chart: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"'chart.pdf': '.pdf'; known: .html, .json, .png, .svg"):
        charts.save(chart, tmp_path / "chart.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        charts.save(chart, tmp_path / "file" / "chart.json")


# What the colours are to people without long- or middle-wave cones: Machado, Oliveira and Fernandes (2009), severity 1.0.
EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def linear(colour: str) -> Any:
    share = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def distance(one: str, other: str, eye: str) -> float:
    """Distance in CIE L*a*b* (D65) as the eye sees it; 2.3 is just noticeable."""
    places = []
    for colour in (one, other):
        seen = np.clip(np.array(EYES[eye]) @ linear(colour), 0, 1)
        xyz = TO_XYZ @ seen / np.array([0.95047, 1.0, 1.08883])
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        places.append(np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]))
    return float(np.linalg.norm(places[0] - places[1]))


@pytest.mark.parametrize("eye", EYES)
def test_any_two_series_are_told_apart_by_every_eye(eye: str) -> None:
    pairs = {pair: distance(*pair, eye) for pair in itertools.combinations(PALETTE, 2)}
    assert min(pairs.values()) > 15, min(pairs, key=lambda pair: pairs[pair])
    assert min(distance(colour, "#FFFFFF", eye) for colour in PALETTE) > 25  # from the paper
    bad = distance("#D55E00", "#7F6A00", eye)
    assert bad > 30 if eye == "normal" else bad < 20


def test_the_ninth_series_repeats_a_colour_with_another_dash() -> None:
    names = [f"engine {at}" for at in range(9)] + ["A/A control"]
    colours, dashes = colours_of(names), dashes_of(names)
    assert list(colours.values()) == [*PALETTE, PALETTE[0], GREY]
    assert len({(colours[name], *dashes[name]) for name in names}) == 10
    assert [is_control(name) for name in ("control", "A/A control", "best again", "controlled", "rust")] == [True] * 3 + [
        False
    ] * 2


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.31), (40, 41), (40, 90), (97, 103), (1, 1e3), (15, 6e9), (1, 1e12)])
def test_any_span_has_a_handful_of_round_ticks_within(low: float, high: float) -> None:
    ticks = ticks_between(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_rows_hold_plain_numbers_of_nine_digits() -> None:
    frame = pl.DataFrame({"name": ["a", None, "c"], "ns": [1 / 3, float("nan"), float("inf")]})
    assert rows_of(frame, "ns", text=["name"]) == [
        {"name": "a", "ns": 0.333333333},
        {"name": "n/a", "ns": None},
        {"name": "c", "ns": None},
    ]
    assert [row["name"] for row in rows_of(frame, positive=["ns"])] == ["a"]
