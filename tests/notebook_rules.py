"""The form of a lesson, as rules: each is given a lesson and yields a complaint for everything that breaks it."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.exercise import exercises
from course.lessons import LESSONS

MOST_BYTES = 1_500_000  # of a stored lesson
MOST_CELLS = 75
MOST_CHARTS = 6
WIDEST = 730  # px of a picture: 700, and what a legend in another font may add
VEGA, PNG, WIDGET = "application/vnd.vegalite.v5+json", "image/png", "application/vnd.jupyter.widget-view+json"
TAGS = re.compile(r"parameters|solution|nbval-check-output|nbval-ignore-output|raises-exception|timeout-\d+")
INSTALLS = re.compile(r"\b(?:pip3?|conda|mamba|uv|poetry|apt(?:-get)?|cargo)\s+(?:-\S+\s+)*(?:install|add)\b")
REMOTE = re.compile(
    r"!\[[^\]]*\]\(\s*https?:|<(?:img|script|iframe|link|video)\b[^>]*\b(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.I
)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)#\s]+)[^)]*\)")
#: Numbers that only a measurement gives: ratios, shares that are more or less of something, times with a decimal point. A bound
#: ("at least 1.5x") is set, not measured.
MEASURED = re.compile(
    r"(?<!least )(?<!most )(?<!than )(?<![\w.,])(?:"
    r"\d[\d.,]*\s?[x×](?![\w.])"
    r"|\d[\d.,]*\s?(?:%|percent|per cent)\s+(?:faster|slower|quicker|less|more|fewer)\b"
    r"|\d[\d.,]*\s+times\s+(?:as\s|faster|slower|quicker|less|more|fewer)"
    r"|\d[\d,]*\.\d+\s?(?:ns|us|µs|μs|ms)\b)",
    re.I,
)


@dataclass(frozen=True)
class Stored:
    """A notebook as it is stored, and where."""

    path: Path
    cells: list[Any]
    size: int

    @property
    def number(self) -> str:
        return self.path.stem[:2]

    @property
    def code(self) -> list[Any]:
        return [cell for cell in self.cells if cell.cell_type == "code"]

    def checks(self, number: str, *, solution: bool) -> list[int]:
        """Places of the cells that check an exercise: those tagged solution, or the others."""
        call = re.compile(rf"\bcheck\(\s*[\"']{re.escape(number)}[\"']")
        found = [(place, cell) for place, cell in enumerate(self.cells) if cell.cell_type == "code" and call.search(cell.source)]
        return [place for place, cell in found if ("solution" in tags(cell)) is solution]


Rule = Callable[[Stored], Iterator[str]]
RULES: list[Rule] = []  # of every notebook
LESSON_RULES: list[Rule] = []  # of the lessons from 01 on


def every(rule: Rule) -> Rule:
    RULES.append(rule)
    return rule


def lesson(rule: Rule) -> Rule:
    LESSON_RULES.append(rule)
    return rule


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def first(cell: Any) -> str:
    """The line by which a complaint names a cell."""
    return (cell.source.strip().splitlines() or ["(empty)"])[0][:80]


def texts(outputs: list[Any]) -> str:
    """All that `outputs` would show as text."""
    streams = [out.text for out in outputs if out.output_type == "stream"]
    bundles = [item for out in outputs for item in out.get("data", {}).items()]
    return "\n".join([*streams, *(text for kind, text in bundles if kind.startswith("text/"))])


def prose(cell: Any) -> str:
    """A markdown cell without its code: fences, code spans, formulas, links' addresses."""
    text = re.sub(r"(?ms)^\s*(```|~~~).*?^\s*\1", "", cell.source)
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "", text)
    return " ".join(re.sub(r"\]\([^)]*\)", "]", text).split())


@every
def tags_are_known(notebook: Stored) -> Iterator[str]:
    """A tag that is misspelt does nothing, in silence."""
    for cell in notebook.cells:
        unknown = [tag for tag in tags(cell) if not TAGS.fullmatch(tag)]
        if unknown:
            yield f"unknown tag {unknown[0]!r}: {first(cell)}"
        if {"nbval-check-output", "nbval-ignore-output"} <= set(tags(cell)):
            yield f"both compared and ignored: {first(cell)}"


@every
def what_is_compared_is_there(notebook: Stored) -> Iterator[str]:
    for cell in notebook.code:
        if "nbval-check-output" in tags(cell) and not cell.outputs:
            yield f"tagged nbval-check-output, and without output: {first(cell)}"


@every
def nothing_is_installed(notebook: Stored) -> Iterator[str]:
    for cell in notebook.code:
        if INSTALLS.search(cell.source):
            yield f"installs: {first(cell)}"


@every
def nothing_comes_from_elsewhere(notebook: Stored) -> Iterator[str]:
    """No picture, script or style of another machine, neither written nor stored."""
    for cell in notebook.cells:
        if REMOTE.search(cell.source + "\n" + texts(cell.get("outputs", []))):
            yield f"loads from the network: {first(cell)}"


@every
def it_is_small(notebook: Stored) -> Iterator[str]:
    if notebook.size > MOST_BYTES:
        yield f"{notebook.size:,} bytes are stored; at most {MOST_BYTES:,}"
    if len(notebook.cells) > MOST_CELLS:
        yield f"{len(notebook.cells)} cells; at most {MOST_CELLS}"


@every
def a_chart_is_live_and_a_picture(notebook: Stored) -> Iterator[str]:
    """Vega-Lite for those that draw, PNG for code hosts; a widget has a picture of itself; none is too wide."""
    for cell in notebook.code:
        for out in cell.outputs:
            kinds = set(out.get("data", {}))
            if VEGA in kinds and PNG not in kinds:
                yield f"a chart without a picture: {first(cell)}"
            if PNG in kinds and not {VEGA, WIDGET} & kinds:
                yield f"a picture that is not by hftlab.charts: {first(cell)}"
            width = out.get("metadata", {}).get(PNG, {}).get("width", 0)
            if width > WIDEST:
                yield f"{width} px wide, more than 700: {first(cell)}"
        drawn = any({VEGA, PNG} & set(out.get("data", {})) for out in cell.outputs)
        if any(WIDGET in out.get("data", {}) for out in cell.outputs) and not drawn:
            yield f"a widget without a picture of it (a bar of progress? `make notebooks` stores none): {first(cell)}"


@every
def a_chart_says_whether_it_comes_again(notebook: Stored) -> Iterator[str]:
    """The same seeds, the same plots: where a chart comes from a seed alone, nbval compares its data with a new run's. So each
    cell with a chart says which it is."""
    for cell in notebook.code:
        charts = [out for out in cell.outputs if VEGA in out.get("data", {})]
        if charts and not {"nbval-check-output", "nbval-ignore-output"} & set(tags(cell)):
            yield f"a chart that is neither tagged nbval-check-output nor nbval-ignore-output: {first(cell)}"


@every
def links_lead_somewhere(notebook: Stored) -> Iterator[str]:
    """A lesson that is in the table of the course may come later."""
    known = {one.notebook for one in LESSONS} | {"index.ipynb"}
    for cell in notebook.cells:
        for target in LINK.findall(cell.source) if cell.cell_type == "markdown" else ():
            elsewhere = target.startswith(("http:", "https:", "mailto:"))
            if not elsewhere and target not in known and not (notebook.path.parent / target).exists():
                yield f"a link to nowhere, {target}: {first(cell)}"


@every
def prose_repeats_no_measurement(notebook: Stored) -> Iterator[str]:
    """What an exercise asks for or makes up is no measurement."""
    for cell in notebook.cells:
        is_prose = cell.cell_type == "markdown" and not re.match(r"#+ Exercise", cell.source)
        found = MEASURED.search(prose(cell)) if is_prose else None
        if found:
            yield f"a number that code should print, {' '.join(found[0].split())!r}: {first(cell)}"


@lesson
def it_begins_as_a_lesson(notebook: Stored) -> Iterator[str]:
    """Number and title, the question in bold, the minutes; then the parameters, before any other code."""
    head = notebook.cells[0].source
    wanted = {"title": rf"\A# {notebook.number} \w", "question in bold": r"\*\*[^*]+\?\*\*", "minutes": r"\bminutes\b"}
    for what, pattern in wanted.items():
        if not re.search(pattern, head):
            yield f"the first cell has no {what}"
    tagged = [place for place, cell in enumerate(notebook.code) if "parameters" in tags(cell)]
    if tagged != [0]:
        yield f"the first code cell, and no other, is tagged parameters; here it is {tagged}"
    elif not _is_parameters(notebook.code[0].source):
        yield "the cell of the parameters does more than giving NAMES to numbers and words"


def _is_parameters(source: str) -> bool:
    for line in ast.parse(source).body:
        named = isinstance(line, ast.Assign) and all(isinstance(name, ast.Name) and name.id.isupper() for name in line.targets)
        if not named:
            return False
        try:
            ast.literal_eval(line.value)
        except ValueError:
            return False
    return True


@lesson
def it_has_exercises(notebook: Stored) -> Iterator[str]:
    """Two at least, each with a start that does not pass, then a folded hint, then the solution, hidden, run and asserted."""
    known = [one.number for one in exercises(notebook.number)]
    if len(known) < 2:
        yield f"{len(known)} exercises; at least 2"
    for number in known:
        tried, solved = notebook.checks(number, solution=False), notebook.checks(number, solution=True)
        if not tried or not solved:
            yield f"{number} is not checked in {'a cell to be edited' if not tried else 'a cell tagged solution'}"
            continue
        shown = "".join(texts(cell.outputs) for cell in notebook.cells[tried[0] : solved[0]] if cell.cell_type == "code")
        if not re.search(r": not yet|\bFAIL\b", shown):
            yield f"{number} is not shown to fail before it is solved"
        between = "".join(cell.source for cell in notebook.cells[tried[0] : solved[0]] if cell.cell_type == "markdown")
        if not re.search(r"<details>\s*<summary>[^<]*Hint", between, re.I):
            yield f"{number} has no folded hint between its start and its solution"
        solution = notebook.cells[solved[0]]
        if "assert" not in solution.source:
            yield f"the solution of {number} is not asserted"
        if not solution.metadata.get("jupyter", {}).get("source_hidden"):
            yield f"the solution of {number} is not hidden (jupyter.source_hidden)"
    strangers = set(re.findall(r"\bcheck\(\s*[\"'](\d\d\.\d+)", "\n".join(cell.source for cell in notebook.code))) - set(known)
    if strangers:
        yield f"checked, but not an exercise of this lesson: {', '.join(sorted(strangers))}"


@lesson
def a_prediction_meets_its_result(notebook: Stored) -> Iterator[str]:
    """What a reader guessed is shown beside what was found: each `guess...` is read again in a later cell."""
    for place, cell in enumerate(notebook.code):
        later = "\n".join(each.source for each in notebook.code[place + 1 :])
        for name in re.findall(r"\b(guess\w*)\b(?=[\w, ]*=[^=])", cell.source):
            if not re.search(rf"\b{name}\b", later):
                yield f"{name} is guessed, and never shown beside its result"


@lesson
def a_figure_is_printed_not_a_verdict(notebook: Stored) -> Iterator[str]:
    """A claim shows its figure and its bound (`course.claim`); that it holds is asserted, not printed. Steps of a check are
    indented and may show one."""
    for cell in notebook.code:
        found = re.search(r"(?m)^(?!  ).*: (?:True|False)$", texts(cell.outputs))
        if found:
            yield f"a claim without its figure, {found[0][:60]!r}: {first(cell)}"


def anchors(notebook: Stored) -> dict[str, bool]:
    """Heading as JupyterLab links it -> whether a cell with output stands under it."""
    out, heading = {}, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for text in re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", cell.source)):
                heading = text.strip().replace(" ", "-")
                out[heading] = False
        elif cell.outputs and heading:
            out[heading] = True
    return out


@lesson
def a_takeaway_names_its_cell(notebook: Stored) -> Iterator[str]:
    """Each sentence of the takeaway links to the section whose cell shows it."""
    known = anchors(notebook)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    part = re.split(r"(?m)^## Takeaway$", text)[-1]
    bullets = [each.strip() for each in re.split(r"(?m)^- ", re.split(r"(?m)^(?:\*\*What|###)", part)[0])[1:]]
    if not bullets:
        yield "the takeaway has no list"
    for bullet in bullets:
        targets = re.findall(r"\]\(#([^)]+)\)", bullet)
        wrong = [target for target in targets if not known.get(target)]
        if not targets or wrong:
            yield f"{'no section with output called ' + wrong[0] if wrong else 'no link to a cell'}: {bullet[:60]}"


@lesson
def what_is_folded_can_be_read(notebook: Stored) -> Iterator[str]:
    """Markdown within HTML is read as such after an empty line only, and a fold that is not closed swallows the rest."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if cell.source.count("<details>") != cell.source.count("</details>"):
                yield f"a fold that is not closed: {first(cell)}"
            if re.search(r"</summary>[ \t]*\n[ \t]*\S", cell.source):
                yield f"no empty line after </summary>: {first(cell)}"


@lesson
def it_ends_as_a_lesson(notebook: Stored) -> Iterator[str]:
    end = "\n".join(cell.source for cell in notebook.cells[-4:] if cell.cell_type == "markdown")
    wanted = {"a takeaway": r"takeaway", "what did not work": r"did not|does not|did nothing|no faster"}
    wanted["where it is in the code"] = r"where it is|in the code"
    for what, pattern in wanted.items():
        if not re.search(pattern, end, re.I):
            yield f"the end does not say {what}"
    if notebook.number != LESSONS[-1].number and not re.search(r"\bnext\b", end, re.I):
        yield "the end does not name the next lesson"


@lesson
def it_has_charts(notebook: Stored) -> Iterator[str]:
    charts = sum(VEGA in out.get("data", {}) for cell in notebook.code for out in cell.outputs)
    if not 1 <= charts <= MOST_CHARTS:
        yield f"{charts} charts; 1 to {MOST_CHARTS}"
