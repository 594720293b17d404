"""Is the report one page that needs no network, says what was measured and nothing else, and cannot be broken by a name?"""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab import browser
from lab import chromium as executable

import hftlab
from hftlab.cli.main import main
from hftlab.errors import FeedError, HftlabError, OutputError, UnknownName
from hftlab.measurement.distribution import TITLES
from hftlab.presentation.document import Code, Table, Text
from hftlab.presentation.html import LIMIT, _svg
from hftlab.presentation.markdown import escape
from hftlab.reporting import measurements as measurements_
from hftlab.reporting import rebuild
from hftlab.reporting.chapters import mark
from hftlab.reporting.measurements import Effort, Measurements, measure, read
from hftlab.reporting.page import ReportPage

SMALL = Effort(rounds=3, ablation_rounds=3, latency_rounds=3, seeds=1, shares=(0.5, 1.0))
HOSTILE = "<script>alert(1)</script>|`x`</td>![a](b) \"'&amp; {{ 7*7 }} *b* _i_"
CHAPTERS = [
    "What was measured, on what",
    "The verdict",
    "Latency per message",
    "The optimisations",
    "Distributions",
    "Where the time goes",
    "The fastest engine alone",
    "Under load",
    "What latency is worth",
    "How to do it again",
]


@pytest.fixture(scope="session")
def found() -> Measurements:
    how = {"feed": "generated", "seed": 1, "effort": "small", "command": "hftlab report", "when": "2026-01-01 00:00 UTC"}
    return measure(hftlab.synthetic("calm", 3_000, 1), SMALL, messages=3_000, how=how)


@pytest.fixture(scope="session")
def page(found: Measurements) -> ReportPage:
    return ReportPage(found)


def find(page: ReportPage, title: str) -> Table:
    return next(table for table in page.document.tables if title in table.title)


def words(page: ReportPage, chapter: str) -> str:
    section = next(section for section in page.document.sections if section.title == chapter)
    return "\n".join(line for block in section.blocks if isinstance(block, Text) for line in block.lines)


def test_every_chapter_is_there_in_its_order(page: ReportPage) -> None:
    assert [section.title for section in page.document.sections] == CHAPTERS
    assert all(section.blocks for section in page.document.sections)


def test_the_tables_are_those_of_the_results(page: ReportPage, found: Measurements) -> None:
    assert found.bench
    shown = {(table.title, table.columns, table.rows) for table in page.document.tables}
    results = [result for result in (found.bench, found.ablation, found.latency) if result]
    assert {(table.title, table.columns, table.rows) for result in results for table in result.tables()} <= shown
    for engine in found.bench.engines:
        rows = {row[0]: row for row in find(page, f"{engine.label}: latency per message").rows}
        assert set(TITLES.values()) <= set(rows)
        p99 = find(page, f"{engine.label}: latency per message").columns.index("p99.9")
        assert rows["end to end"][p99] == "n/a"  # of 3,000 messages


def test_every_table_and_chart_names_where_its_numbers_come_from(page: ReportPage, found: Measurements) -> None:
    marks = {mark(part.machine) for part in found.parts.values()}
    sourced = [table for table in page.document.tables if table.title not in ("The run", "The fingerprint in full")]
    assert len(sourced) >= 8
    for block in [*sourced, *page.document.figures]:
        assert marks & set(re.findall(r"fingerprint (\w{8})", block.source)), block.title
    assert all(len(figure.caption) > 80 for figure in page.document.figures)


@pytest.mark.rust
@pytest.mark.parametrize(("naive", "open_"), [([98.0, 101.0, 100.0], True), ([198.0, 201.0, 200.0], False)])
def test_the_verdict_admits_that_two_engines_do_not_differ(found: Measurements, naive: list[float], open_: bool) -> None:
    assert found.bench
    rounds = ([400.0] * 3, naive, [101.0, 98.0, 99.0])
    engines = tuple(
        replace(engine, passes_ns={**engine.passes_ns, "order": tuple(ns)})
        for engine, ns in zip(found.bench.engines, rounds, strict=True)
    )
    lead = words(ReportPage(replace(found, bench=replace(found.bench, engines=engines))), "The verdict")
    assert ("not seen to differ from rust naive, so" in lead) == open_


def test_the_verdict_is_three_sentences_of_the_numbers(page: ReportPage, found: Measurements) -> None:
    sentences = words(page, "The verdict").split("\n")
    assert found.bench
    assert len(sentences) == 3
    assert found.bench.fastest.label in sentences[0]
    agree = [one.agree for engine in found.bench.engines for one in engine.agreement().values()]
    assert f"agree for {sum(agree)} of {len(agree)} stages" in sentences[1]
    assert sentences[0][:40] in str(page)


@pytest.mark.rust
def test_the_waterfall_goes_from_python_over_naive_rust_to_the_best(page: ReportPage, found: Measurements) -> None:
    names = [figure.name for figure in page.document.figures]
    assert names == ["waterfall", "forest", "percentiles", "ridges", "budget", "over-time", "slowest", "load", "latency-value"]
    spec = json.dumps(page.document.figures[0].spec, ensure_ascii=False)
    assert found.ablation
    rows = found.ablation.records()
    ladder = [row for row in rows if row["start"] == "ladder" and row["axis"] not in ("all", "A/A")]
    labels = ["Python engine", "rust naive", *(f"{row['axis']}: {row['from']} → {row['to']}" for row in ladder)]
    places = [spec.index(f'"{label}"') for label in labels]
    assert places == sorted(places)


def test_the_same_results_give_the_same_bytes(page: ReportPage, tmp_path: Path) -> None:
    for name in ("page.html", "page.md", "facts.json"):
        page.save(tmp_path / "a" / name)
    _svg.cache_clear()
    rebuild([tmp_path / "a" / "facts.json"], tmp_path / "b" / "page.html", tmp_path / "b" / "page.md")
    files = [path.relative_to(tmp_path / "b") for path in sorted((tmp_path / "b").rglob("*")) if path.is_file()]
    assert len(files) >= 2 + len(page.document.figures)
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


def test_the_page_is_small_and_whole(page: ReportPage) -> None:
    assert 100_000 < len(page.html.encode()) < LIMIT == 3_000_000
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?(?!#|data:)[\w/]""", page.html.partition("<script")[0])
    assert "default-src 'none'" in page.html


def test_markdown_holds_the_same_tables_and_links_pictures_that_are_there(page: ReportPage, tmp_path: Path) -> None:
    page.save(tmp_path / "my report.md")
    written = (tmp_path / "my report.md").read_text()
    links = re.findall(r"!\[.*?\]\(<?([^)>]+)>?\)", written)
    assert len(links) == len(page.document.figures) > 0
    for link in links:
        assert (tmp_path / link.replace("%20", " ")).read_text().startswith("<svg")
    lines = written.split("\n")
    assert "- [What was measured, on what](#what-was-measured-on-what)" in lines
    assert sum(bool(re.fullmatch(r"\|(:?-+:?\|)+", line)) for line in lines) == len(page.document.tables) + 1  # and the tiles
    for table in page.document.tables:
        assert f"**{escape(table.title)}**" in lines
        for row in table.rows:
            assert "| " + " | ".join(escape(cell) or " " for cell in row) + " |" in lines


def renamed(value: Any, own: str) -> Any:
    """An engine under a hostile name, wherever results speak of it; a fingerprint speaks of versions."""
    if isinstance(value, dict):
        return {HOSTILE if key == own else key: each if key == "machine" else renamed(each, own) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, own) for each in value]
    return HOSTILE if value == own else value


@pytest.fixture(scope="session")
def hostile(found: Measurements) -> ReportPage:
    assert found.bench
    payload = renamed(json.loads(json.dumps(found.to_dict())), found.bench.engines[-1].label)
    payload = renamed(payload, found.feed)
    payload["how"] |= {"feed": HOSTILE, "command": "hftlab report --feed '```</code><b>'"}
    payload["missing"] = {HOSTILE: HOSTILE}
    return ReportPage.from_dict(payload)


def test_hostile_names_stay_text(hostile: ReportPage) -> None:
    html = hostile.html.partition('<script type="application/json"')
    assert html[1]
    assert "<script>alert" not in hostile.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html[0]
    assert "{{ 7*7 }}" in html[0]
    written = hostile.markdown()
    outside = re.sub(r"(?s)````+console\n.*?\n````+", "", written)
    assert "````console" in written
    assert "<script" not in re.sub(r"\\<", "", outside)
    for line in outside.split("\n"):
        if line.startswith("| "):
            bare = re.sub(r"\\[\\`*_{}\[\]<>|~#$^&]", "", line)
            assert "`" not in bare
            assert "<" not in bare
    for table in hostile.document.tables:
        rows = ["| " + " | ".join(escape(cell) or " " for cell in row) + " |" for row in table.rows]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {len(table.columns) + 1}


def test_a_page_of_the_bench_alone_says_what_lacks(page: ReportPage, found: Measurements, tmp_path: Path) -> None:
    assert found.bench
    found.bench.save(tmp_path / "bench.json")
    alone = rebuild([tmp_path / "bench.json"], tmp_path / "page.html")
    assert "Not measured here" in words(alone, "The optimisations")
    assert "Not measured here" in words(alone, "Under load")
    assert find(alone, "python: latency").rows == find(page, "python: latency").rows
    assert (tmp_path / "page.html").stat().st_size < LIMIT
    assert not (tmp_path / "page.json").exists()  # nothing new was measured


@pytest.mark.rust
def test_parts_join_unless_they_come_from_different_machines(found: Measurements, tmp_path: Path) -> None:
    assert found.ablation
    for name, part in found.parts.items():
        part.save(tmp_path / f"{name}.json")
    both = [tmp_path / "bench.json", tmp_path / "ablation.json"]
    names = [figure.name for figure in ReportPage(read(both)).document.figures]
    assert names == ["waterfall", "forest", "percentiles", "ridges", "budget"]
    assert words(ReportPage(read(both[1:])), "The verdict").startswith("All optimisations together")
    other = copy.deepcopy(found.ablation.machine) | {"cpu": "another"}
    replace(found.ablation, machine=other).save(both[1])
    with pytest.raises(HftlabError, match=r"cpu is .* and 'another'"):
        read(both)


def test_what_is_no_result_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FeedError, match="cannot be read"):
        read([path])
    path.write_text("{")
    with pytest.raises(FeedError, match="is not JSON"):
        read([path])
    for text in ("[]", '{"schema": "hftlab-scale/1"}', f'{{"schema": "{Measurements.schema}"}}'):
        path.write_text(text)
        with pytest.raises(HftlabError, match=r"known: hftlab-report/4|at least one result"):
            read([path])
    path.write_text(f'{{"schema": "{measurements_.BenchReport.schema}", "feed": "x", "machine": {{"cpu": "x"}}}}')
    with pytest.raises(FeedError, match="is not complete"):
        rebuild([path], tmp_path / "report.html")
    with pytest.raises(UnknownName, match=r"\.pdf"):
        hftlab.report(out=tmp_path / "report.pdf")
    with pytest.raises(OutputError, match="cannot be written"):
        hftlab.report(out=path / "below a file" / "report.html")


def test_the_command_measures_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements_, "QUICK", SMALL)
    out, text = tmp_path / "deep" / "r.html", tmp_path / "r.md"
    words = ["report", "--quick", "--messages", "1000", "--symbols", "1", "--seed", "3", "--out", str(out)]
    assert main([*words, "--markdown", str(text)]) == 0
    shown = capsys.readouterr().out
    assert f"wrote {out}" in shown
    assert "The fastest engine" in shown or "takes" in shown
    stored = json.loads(out.with_suffix(".json").read_text())
    assert stored["schema"] == "hftlab-report/4"
    again = next(block for block in ReportPage.from_dict(stored).document.sections[-1].blocks if isinstance(block, Code))
    assert " ".join(["hftlab", *words]) in again.text
    before = out.read_bytes()
    assert main(["report", "--from", str(out.with_suffix(".json")), "--out", str(out)]) == 0
    assert out.read_bytes() == before


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser(executable()) as found:
        yield found


def opened(browser: Any, path: Path, width: int, **more: Any) -> tuple[Any, list[str], list[str]]:
    """The page in a window; what it asked of a network, and what it complained about."""
    view = browser.new_page(viewport={"width": width, "height": 900}, **more)
    asked: list[str] = []
    complaints: list[str] = []

    def route(request: Any) -> None:
        if request.request.url.startswith(("file:", "data:")):
            request.continue_()
        else:
            asked.append(request.request.url)
            request.abort()

    view.route("**/*", route)
    view.on("console", lambda entry: complaints.append(entry.text) if entry.type == "error" else None)
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    view.goto(path.as_uri())
    return view, asked, complaints


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("which", ["page", "hostile"])
def test_a_browser_shows_it_whole(
    chromium: Any, request: pytest.FixtureRequest, tmp_path: Path, which: str, width: int, scheme: str
) -> None:
    report: ReportPage = request.getfixturevalue(which)
    report.save(tmp_path / "report.html")
    view, asked, complaints = opened(chromium, tmp_path / "report.html", width, color_scheme=scheme)
    figures, tables = report.document.figures, report.document.tables
    view.wait_for_function(f"document.querySelectorAll('[data-drawn] svg').length >= {len(figures)}", timeout=30_000)
    assert view.locator("figure img:visible").count() == 0  # the drawn charts have taken their places
    assert view.evaluate("[...document.querySelectorAll('tbody')].map((body) => body.rows.length)") == [
        len(t.rows) for t in tables
    ]
    shown = view.evaluate(
        "[...document.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert shown == [list(row) for table in tables for row in table.rows]
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    outside = "[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll'))"
    assert view.evaluate(f"{outside}.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length") == 0
    assert view.evaluate("[...document.querySelectorAll('nav a')].every((a) => document.getElementById(a.hash.slice(1)))")
    assert asked == []
    assert complaints == []
    view.close()


def test_it_shows_without_javascript(chromium: Any, page: ReportPage, tmp_path: Path) -> None:
    page.save(tmp_path / "report.html")
    view, asked, _ = opened(chromium, tmp_path / "report.html", 1280, java_script_enabled=False)
    pictures = view.locator("figure img")
    assert pictures.count() == len(page.document.figures)
    for place in range(pictures.count()):
        box = pictures.nth(place).bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 60
    assert asked == []
    view.close()
