"""Is the report one page that needs no network, says what was measured and nothing else, and cannot be broken by a name?"""

import copy
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hftlab
from hftlab.cli.main import main
from hftlab.errors import FeedError, HftlabError, UnknownName
from hftlab.measurement.distribution import TITLES
from hftlab.presentation.document import Code, Table, Text
from hftlab.presentation.markdown import escape
from hftlab.presentation.page import LIMIT, _svg
from hftlab.reporting import facts as facts_
from hftlab.reporting import rebuild
from hftlab.reporting.conditions import mark
from hftlab.reporting.facts import Facts
from hftlab.reporting.gather import Effort, gather
from hftlab.reporting.page import ReportPage

pytest.importorskip("vl_convert")

SMALL = Effort(rounds=3, switch_rounds=3, latency_rounds=3, swept_s=0.1, shares=(0.5, 1.0), swept_most=20)
HOSTILE = "<script>alert(1)</script>|`x`</td>![a](b) \"'&amp; {{ 7*7 }} *b* _i_"
CHAPTERS = [
    "What was measured, on what",
    "The verdict",
    "Latency per message",
    "Before and after",
    "Each optimisation alone",
    "Distributions",
    "Over time",
    "Where the time goes",
    "Warm, first and cold",
    "Stamps against whole passes",
    "Under load",
    "The slowest messages",
    "All comparisons in words",
    "A/A controls",
    "How to do it again",
]


@pytest.fixture(scope="session")
def facts() -> Facts:
    how = {"feed": "generated", "seed": 1, "effort": "small", "command": "hftlab report", "when": "2026-01-01 00:00 UTC"}
    found = gather(hftlab.synthetic("calm", 3_000, 1), SMALL, how=how)
    return Facts(json.loads(json.dumps(found.told)))  # plain values: nothing is lost in the file


@pytest.fixture(scope="session")
def page(facts: Facts) -> ReportPage:
    return ReportPage(facts)


def find(page: ReportPage, title: str) -> Table:
    return next(one for one in page.document.tables if title in one.title)


def cells(page: ReportPage, table: str, *first: str) -> list[str]:
    return next(list(row) for row in find(page, table).rows if row[: len(first)] == first)


def words(page: ReportPage, chapter: str) -> str:
    section = next(one for one in page.document.sections if one.title == chapter)
    return "\n".join(line for block in section.blocks if isinstance(block, Text) for line in block.lines)


def test_every_chapter_is_there_in_its_order(page: ReportPage) -> None:
    assert [section.title for section in page.document.sections] == CHAPTERS
    assert all(section.blocks for section in page.document.sections)


def test_the_tables_hold_the_figures_of_the_bench(page: ReportPage, facts: Facts) -> None:
    for engine in facts.engines:
        table = find(page, f"{engine['label']}, microseconds")
        assert table.columns[1:7] == ("min", "max", "mean", "p50", "p95", "p99")
        assert [row[0] for row in table.rows] == [*(f"{title}, µs" for title in TITLES.values()), "end to end, ms"]
        for row in engine["latency_ns"]:
            shown = dict(zip(table.columns, cells(page, table.title, f"{TITLES[row['stage']]}, µs"), strict=True))
            assert float(shown["p50"].replace(",", "")) == pytest.approx(row["p50"] / 1e3, abs=5.1e-4)
            assert float(shown["max"].replace(",", "")) == pytest.approx(row["max"] / 1e3, abs=5.1e-4)
            assert row["p99.9"] is None
            assert shown["p99.9"] == shown["p99.99"] == "n/a"
            assert shown["n"] == f"{row['n']:,}"
        total = next(row for row in engine["latency_ns"] if row["stage"] == "total")
        shown = dict(zip(table.columns, cells(page, table.title, "end to end, ms"), strict=True))
        assert float(shown["p50"]) == pytest.approx(total["p50"] / 1e6, abs=5.1e-7)


def test_every_table_and_chart_says_where_its_numbers_come_from(page: ReportPage, facts: Facts) -> None:
    marks = {mark(machine) for machine in facts.machines.values()}
    told = [one for one in page.document.tables if one.title not in ("The run", "The fingerprint in full")]
    assert len(told) >= 8
    for one in [*told, *page.document.figures]:
        assert marks & set(re.findall(r"fingerprint (\w{8})", one.source)), one.title
    assert all(len(figure.caption) > 80 for figure in page.document.figures)


@pytest.mark.rust
def test_the_verdict_admits_that_two_engines_were_not_told_apart(facts: Facts) -> None:
    told = copy.deepcopy(facts.told)
    engines = told["bench"]["engines"]
    for engine, ns in zip(engines, ([400.0] * 3, [98.0, 101.0, 100.0], [101.0, 98.0, 99.0]), strict=True):
        engine["passes_ns"]["order"] = ns
        engine["until_ns_per_message"]["order"] = sorted(ns)[1]
    assert "not seen to differ from rust naive, so" in ReportPage(Facts(told)).lines()[0]
    engines[1]["passes_ns"]["order"] = [198.0, 201.0, 200.0]
    assert "not seen to differ" not in ReportPage(Facts(told)).lines()[0]


def test_the_verdict_is_three_sentences_of_the_numbers(page: ReportPage, facts: Facts) -> None:
    assert len(page.lines()) == 3
    best = facts.fastest
    assert best is not None
    assert best["label"] in page.lines()[0].lower()  # a label that begins the sentence has a capital letter
    told = [one["agree"] for engine in facts.engines for one in engine["agreement"].values()]
    assert f"agree for {sum(told)} of {len(told)} stages" in page.lines()[2]


@pytest.mark.rust
def test_the_waterfall_goes_from_python_over_naive_rust_to_the_best(page: ReportPage, facts: Facts) -> None:
    names = [figure.name for figure in page.document.figures]
    assert names == ["waterfall", "forest", "percentiles", "ccdf", "ridges", "stages", "heat", "budget", "load", "flight"]
    told = json.dumps(page.document.figures[0].spec, ensure_ascii=False)
    ladder = [step for step in facts.part("ablation")["rows"] if step["start"] == "ladder" and step["axis"] not in ("all", "A/A")]
    places = [told.index(f'"{label}"') for label in ("Python engine", "the same in Rust, naive")]
    places += [told.index(f'"{step["axis"]}: {step["from"]} → {step["to"]}"') for step in ladder]
    assert places == sorted(places)
    controls = find(page, "An engine against itself")
    assert sum(row[0] == "ablation" for row in controls.rows) >= 2
    assert {row[0] for row in find(page, "One optimisation after the other").rows} >= {
        "book",
        "orders",
        "pool",
        "signal",
        "all of them",
    }


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
    told = (tmp_path / "my report.md").read_text()
    links = re.findall(r"!\[.*?\]\(<?([^)>]+)>?\)", told)
    assert len(links) == len(page.document.figures) > 0
    for link in links:
        assert (tmp_path / link.replace("%20", " ")).read_text().startswith("<svg")
    lines = told.split("\n")
    assert "- [A/A controls](#aa-controls)" in lines
    assert sum(bool(re.fullmatch(r"\|(:?-+:?\|)+", line)) for line in lines) == len(page.document.tables) + 1  # and the tiles
    for table in page.document.tables:
        assert f"**{escape(table.title)}**" in lines
        for row in table.rows:
            assert "| " + " | ".join(escape(cell) or " " for cell in row) + " |" in lines


def renamed(told: Any, own: str) -> Any:
    """An engine under a hostile name, wherever results speak of it; a fingerprint speaks of versions."""
    if isinstance(told, dict):
        return {HOSTILE if key == own else key: one if key == "machine" else renamed(one, own) for key, one in told.items()}
    if isinstance(told, list):
        return [renamed(one, own) for one in told]
    return HOSTILE if told == own else told


@pytest.fixture(scope="session")
def hostile(facts: Facts) -> ReportPage:
    told = copy.deepcopy(facts.told)
    told["bench"]["feed"] = HOSTILE
    if told["ablation"]:
        told["ablation"]["feed"] = HOSTILE
    told = renamed(told, told["bench"]["engines"][-1]["label"])
    told["how"] |= {"feed": HOSTILE, "command": "hftlab report --feed '```</code><b>'"}
    told["missing"] = {HOSTILE: HOSTILE}
    return ReportPage(Facts(told))


def test_hostile_names_stay_text(hostile: ReportPage) -> None:
    html = hostile.html.partition('<script type="application/json"')
    assert html[1]
    assert "<script>alert" not in hostile.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html[0]
    assert "{{ 7*7 }}" in html[0]
    told = hostile.markdown()
    outside = re.sub(r"(?s)````+console\n.*?\n````+", "", told)
    assert "````console" in told
    assert "<script" not in re.sub(r"\\<", "", outside)
    for line in outside.split("\n"):
        if line.startswith("| "):
            bare = re.sub(r"\\[\\`*_{}\[\]<>|~#$^&]", "", line)
            assert "`" not in bare
            assert "<" not in bare
    for table in hostile.document.tables:
        rows = ["| " + " | ".join(escape(cell) or " " for cell in row) + " |" for row in table.rows]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {len(table.columns) + 1}


def test_a_page_of_the_bench_alone_says_what_lacks(facts: Facts, tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(facts.part("bench")))
    page = rebuild([tmp_path / "bench.json"], tmp_path / "page.html")
    assert "Not measured here" in words(page, "Before and after")
    assert "Not measured here" in words(page, "Under load")
    assert find(page, "python, microseconds").rows == find(ReportPage(facts), "python, microseconds").rows
    assert (tmp_path / "page.html").stat().st_size < LIMIT
    assert not (tmp_path / "page.json").exists()  # nothing new was measured


@pytest.mark.rust
def test_parts_join_unless_they_come_from_different_machines(facts: Facts, tmp_path: Path) -> None:
    for part in ("bench", "ablation"):
        (tmp_path / f"{part}.json").write_text(json.dumps(facts.part(part)))
    both = [tmp_path / "bench.json", tmp_path / "ablation.json"]
    assert [figure.name for figure in ReportPage(facts_.read(both)).document.figures] == ["waterfall", "forest", "budget"]
    alone = ReportPage(facts_.read(both[1:]))
    assert len(alone.lines()) == 3
    other = copy.deepcopy(facts.part("ablation"))
    other["machine"]["cpu"] = "another"
    (tmp_path / "ablation.json").write_text(json.dumps(other))
    with pytest.raises(HftlabError, match=r"cpu is .* and 'another'"):
        facts_.read(both)


def test_what_is_no_result_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FeedError, match="cannot be read"):
        facts_.read([path])
    path.write_text("{")
    with pytest.raises(FeedError, match="is not JSON"):
        facts_.read([path])
    for text in ("[]", '{"schema": "hftlab-scale/1"}', f'{{"schema": "{facts_.SCHEMA}"}}'):
        path.write_text(text)
        with pytest.raises(HftlabError, match=r"known: hftlab-report/1|at least one result"):
            facts_.read([path])
    path.write_text('{"schema": "hftlab-bench/3", "feed": "x", "machine": {"cpu": "x"}}')
    with pytest.raises(FeedError, match="is not complete"):
        rebuild([path], tmp_path / "report.html")
    with pytest.raises(UnknownName, match=r"\.pdf"):
        hftlab.report(out=tmp_path / "report.pdf")
    with pytest.raises(FeedError, match="cannot be written"):
        hftlab.report(out=path / "below a file" / "report.html")


def test_the_command_measures_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hftlab.reporting.making.QUICK", SMALL)
    out, text = tmp_path / "deep" / "r.html", tmp_path / "r.md"
    assert main(["report", "--quick", "--messages", "1000", "--seed", "3", "--out", str(out), "--markdown", str(text)]) == 0
    said = capsys.readouterr().out
    assert f"wrote {out}" in said
    assert "The fastest engine" in said or "takes" in said
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["schema"] == "hftlab-report/1"
    again = next(block for block in ReportPage(Facts(told)).document.sections[-1].blocks if isinstance(block, Code))
    assert "hftlab report --regime calm --messages 1000 --seed 3 --quick" in again.text
    before = out.read_bytes()
    assert main(["report", "--from", str(out.with_suffix(".json")), "--out", str(out)]) == 0
    assert out.read_bytes() == before


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; it must be there in CI, where `.ci/run` installs it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None and os.environ.get("CI") and os.environ.get("HFTLAB_REQUIRE_RUST") == "1":
        pytest.fail("there is no chromium to open the report with", pytrace=False)
    if found is None:
        pytest.skip("there is no chromium to open the report with")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")
    options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, headless=True, args=options)
        yield browser
        browser.close()


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
    view.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
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
