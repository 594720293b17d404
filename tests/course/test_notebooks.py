"""Is every stored notebook the executed form of its text pair, in the form of a lesson, fit to be read without running it?"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import notebook_rules
import pytest
from course.lessons import LESSONS, Course
from notebook_rules import LESSON_RULES, RULES, Rule, Stored, texts

jupytext = pytest.importorskip("jupytext", reason="jupytext (extra dev) is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat (extra dev) is not installed")

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
LANDING = FOLDER / "index.py"
LESSON_PAIRS = sorted(FOLDER.glob("[0-9]*.py"))
PAIRS = [LANDING, *LESSON_PAIRS]
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=[path.stem for path in PAIRS])
# The quickstart shows what is here, and asks for nothing.
FORMED = [pair for pair in LESSON_PAIRS if not pair.name.startswith("00_")]

# Assembled, so that this file does not hold what it forbids.
TOP_FOLDERS = "|".join(["work", "root", "home", "Users", "tmp", "opt"])
MACHINE_PATH = re.compile(rf"(?<![\w.\-])/(?:{TOP_FOLDERS})/\w")


@cache
def stored(pair: Path):
    """The notebook beside `pair`, read once."""
    return nbformat.read(pair.with_suffix(".ipynb"), as_version=4)


def essence(cell) -> tuple[str, str, list[str]]:
    """What a text pair and its notebook must agree on: kind, source and tags."""
    return cell.cell_type, cell.source.strip(), sorted(cell.metadata.get("tags", []))


def test_each_notebook_has_a_text_pair() -> None:
    assert sorted(FOLDER.glob("*.ipynb")) == sorted(path.with_suffix(".ipynb") for path in PAIRS)


def test_the_course_lists_every_lesson_and_the_landing_page_links_them() -> None:
    there = [path.with_suffix(".ipynb").name for path in LESSON_PAIRS]
    assert [one.notebook for one in LESSONS if one.notebook in there] == there
    assert Course({}, FOLDER).frame()["notebook"].to_list() == there
    shown = texts([out for cell in stored(LANDING).cells for out in cell.get("outputs", [])])
    assert re.findall(r"href='([^']+)'", shown) == there, "run `make notebooks`"


@each_pair
def test_the_pair_and_the_notebook_agree_cell_by_cell(pair: Path) -> None:
    assert [essence(c) for c in stored(pair).cells] == [essence(c) for c in jupytext.read(pair).cells]


@each_pair
def test_every_code_cell_was_executed_in_order(pair: Path) -> None:
    code = [cell for cell in stored(pair).cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@each_pair
def test_outputs_are_stored_and_none_is_an_error(pair: Path) -> None:
    cells = [cell for cell in stored(pair).cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells), "no cell has an output"
    errors = [
        cell.source.splitlines()[0]
        for cell in cells
        for out in cell.outputs
        if out.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", [])
    ]
    assert not errors
    assert not [cell.source for cell in cells if "Traceback (most recent call last)" in texts(cell.outputs)]


@each_pair
def test_nothing_stored_tells_of_the_machine_or_the_hour(pair: Path) -> None:
    notebook = stored(pair)
    for cell in notebook.cells:
        assert "execution" not in cell.metadata, "executed with record_timing=True"
        shown = cell.source + "\n" + texts(cell.get("outputs", []))
        path = MACHINE_PATH.search(shown)
        assert path is None, f"the path {path[0]}... in: {cell.source.splitlines()[0]}"


@each_pair
def test_no_shell_escape(pair: Path) -> None:
    """A failing ``!command`` passes everywhere; ``%%bash`` fails as it should."""
    code = [cell.source for cell in stored(pair).cells if cell.cell_type == "code"]
    assert not [line for line in "\n".join(code).splitlines() if line.lstrip().startswith("!")]


def read(pair: Path) -> Stored:
    """The notebook beside `pair`, as the rules see it."""
    return Stored(pair.with_suffix(".ipynb"), stored(pair).cells, pair.with_suffix(".ipynb").stat().st_size)


@each_pair
@pytest.mark.parametrize("rule", RULES, ids=[rule.__name__ for rule in RULES])
def test_rules_of_every_notebook(pair: Path, rule: Rule) -> None:
    complaints = list(rule(read(pair)))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("pair", FORMED, ids=[path.stem for path in FORMED])
@pytest.mark.parametrize("rule", LESSON_RULES, ids=[rule.__name__ for rule in LESSON_RULES])
def test_form_of_a_lesson(pair: Path, rule: Rule) -> None:
    complaints = list(rule(read(pair)))
    assert not complaints, "\n".join(complaints)


def markdown(text: str) -> Any:
    return nbformat.v4.new_markdown_cell(text)


def code(text: str, *tags: str, data: dict[str, Any] | None = None, printed: str = "") -> Any:
    """An executed cell: with a bundle, or a line of text."""
    hidden = {"jupyter": {"source_hidden": True}} if "solution" in tags else {}
    cell = nbformat.v4.new_code_cell(text, metadata={"tags": list(tags), **hidden} if tags else {})
    if data or printed:
        cell.outputs = [nbformat.v4.new_output("execute_result", data or {"text/plain": printed}, execution_count=1)]
    return cell


CHART = {notebook_rules.VEGA: {"mark": "point"}, notebook_rules.PNG: "iVBOR", "text/plain": "<chart>"}
FOLDED = "<details><summary>Hint</summary>\n\nThink.\n</details>"


def good() -> list[Any]:
    """The cells of a lesson 99 that breaks no rule."""
    cells = [
        markdown("# 99 Made up\n\n**Is it right?**\n\nAbout 10 minutes."),
        code("SEED = 1\nMESSAGES = 1_000  # 100_000 for more", "parameters"),
        markdown("## A chart"),
        code("chart", "nbval-check-output", data=CHART),
        code("guess_width = 3"),
        code("reveal('width', guess_width, 4)", printed="width: 4; your guess: 3"),
        markdown("At least 1.5x, on a line of 64 bytes; see [00](00_quickstart.ipynb) and `3.7x` above. A p99 of 1,000 calls."),
    ]
    for number in ("99.1", "99.2"):
        cells.append(code(f'check("{number}", min)', "nbval-check-output", printed=f"{number} The largest: not yet"))
        cells.append(markdown(FOLDED))
        cells.append(code(f'assert check("{number}", max)', "solution"))
    takeaway = "## Takeaway\n\n- Look ([A chart](#A-chart)).\n\n**What did not work:** sleep.\n\n"
    end = takeaway + "**Where it is in the code:** `hftlab/`.\n\n**Next:** more."
    return [*cells, markdown("## Exercise 99.3\n\nMake it 3x as fast."), markdown(end)]


def put(place: int, cell: Any) -> Callable[[list[Any]], None]:
    return lambda cells: cells.__setitem__(place, cell)


def add(cell: Any) -> Callable[[list[Any]], None]:
    return lambda cells: cells.insert(3, cell)


BROKEN: list[tuple[str, Callable[[list[Any]], None], str]] = [
    ("tags_are_known", add(code("1", "nbval-check-outputs")), "unknown tag 'nbval-check-outputs'"),
    ("tags_are_known", add(code("1", "nbval-check-output", "nbval-ignore-output", printed="1")), "both compared and ignored"),
    ("what_is_compared_is_there", add(code("x = 1", "nbval-check-output")), "without output"),
    ("nothing_is_installed", add(code("%pip install hftlab")), "installs"),
    ("nothing_is_installed", add(code("import os; os.system('conda -q install x')")), "installs"),
    ("nothing_comes_from_elsewhere", add(markdown("![a picture](https://example.org/x.png)")), "loads from the network"),
    (
        "nothing_comes_from_elsewhere",
        add(code("x", data={"text/html": "<script src='//example.org/x.js'>"})),
        "loads from the network",
    ),
    ("a_chart_is_live_and_a_picture", put(3, code("c", data={notebook_rules.VEGA: {}})), "without a picture"),
    ("a_chart_is_live_and_a_picture", add(code("c", data={notebook_rules.PNG: "iVBOR"})), "not by hftlab.charts"),
    ("a_chart_is_live_and_a_picture", add(code("w", data={notebook_rules.WIDGET: {}})), "a widget without a picture"),
    ("a_chart_says_whether_it_comes_again", put(3, code("c", data=CHART)), "neither tagged"),
    ("links_lead_somewhere", add(markdown("[there](98_nowhere.ipynb)")), "a link to nowhere, 98_nowhere.ipynb"),
    ("prose_repeats_no_measurement", add(markdown("Rust is 40x faster.")), "'40x'"),
    ("prose_repeats_no_measurement", add(markdown("It took 12.5 ns here.")), "'12.5 ns'"),
    ("prose_repeats_no_measurement", add(markdown("That is 30 % slower, and 3 times as large.")), "'30 % slower'"),
    ("it_begins_as_a_lesson", put(0, markdown("# Made up")), "no title"),
    ("it_begins_as_a_lesson", put(1, code("SEED = 1")), "tagged parameters"),
    ("it_begins_as_a_lesson", put(1, code("import os", "parameters")), "does more than"),
    ("it_begins_as_a_lesson", put(1, code("SEED = min(1, 2)", "parameters")), "does more than"),
    ("it_has_exercises", put(7, code("1")), "99.1 is not checked in a cell to be edited"),
    ("it_has_exercises", put(9, code("1")), "99.1 is not checked in a cell tagged solution"),
    ("it_has_exercises", put(7, code('check("99.1", max)', printed="99.1 The largest: passed")), "99.1 is not shown to fail"),
    ("it_has_exercises", put(8, markdown("Think.")), "99.1 has no folded hint"),
    ("it_has_exercises", put(9, code('check("99.1", max)', "solution")), "not asserted"),
    ("it_has_exercises", add(code('check("98.1", max)')), "not an exercise of this lesson: 98.1"),
    (
        "it_has_exercises",
        put(9, nbformat.v4.new_code_cell('assert check("99.1", max)', metadata={"tags": ["solution"]})),
        "not hidden",
    ),
    ("a_prediction_meets_its_result", put(5, code("1")), "guess_width is guessed"),
    (
        "a_figure_is_printed_not_a_verdict",
        add(code("1", printed="it is faster: True")),
        "without its figure, 'it is faster: True'",
    ),
    ("a_takeaway_names_its_cell", put(2, markdown("## A picture")), "no section with output called A-chart"),
    ("a_takeaway_names_its_cell", put(-1, markdown("## Takeaway\n\n- Look.\n\n**What did not work:** x")), "no link to a cell"),
    ("what_is_folded_can_be_read", add(markdown("<details><summary>Hint</summary>\n\nThink.")), "not closed"),
    ("what_is_folded_can_be_read", add(markdown("<details><summary>Hint</summary>\n`max`\n</details>")), "no empty line"),
    ("it_ends_as_a_lesson", put(-1, markdown("Bye.")), "a takeaway"),
    ("it_has_charts", put(3, code("1")), "0 charts"),
]


@pytest.fixture
def ninety_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exercises 99.1 and 99.2."""
    from course.exercise import EXERCISES, Exercise, Step

    for number in ("99.1", "99.2"):
        one = Exercise(number, "The largest", 1, lambda answer: iter([Step.expect("correct", answer([1, 2]), 2, "of 1 and 2")]))
        monkeypatch.setitem(EXERCISES, number, one)


@pytest.mark.usefixtures("ninety_nine")
def test_a_good_lesson_breaks_no_rule() -> None:
    lesson = Stored(FOLDER / "99_made_up.ipynb", good(), 1_000)
    assert not [complaint for rule in [*RULES, *LESSON_RULES] for complaint in rule(lesson)]


@pytest.mark.usefixtures("ninety_nine")
@pytest.mark.parametrize(("name", "spoil", "printed"), BROKEN, ids=[f"{row[0]}-{row[2][:24]}" for row in BROKEN])
def test_each_rule_finds_what_it_is_for(name: str, spoil: Callable[[list[Any]], None], printed: str) -> None:
    cells = good()
    spoil(cells)
    complaints = list(getattr(notebook_rules, name)(Stored(FOLDER / "99_made_up.ipynb", cells, 1_000)))
    assert any(printed in complaint for complaint in complaints), complaints


def test_a_large_notebook_is_found() -> None:
    lesson = Stored(FOLDER / "99_made_up.ipynb", good(), notebook_rules.MOST_BYTES + 1)
    assert list(notebook_rules.it_is_small(lesson)) == ["1,500,001 bytes are stored; at most 1,500,000"]


def test_every_rule_is_shown_to_find_something() -> None:
    assert {rule.__name__ for rule in [*RULES, *LESSON_RULES]} == {row[0] for row in BROKEN} | {"it_is_small"}
