"""The lessons, and how far one has come."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course import progress
from course.exercise import exercises
from hftlab.measurement.result import Result
from hftlab.presentation import html

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Lesson:
    """One notebook of the course. `minutes` with its exercises."""

    number: str
    title: str
    question: str
    minutes: int
    notebook: str


LESSONS = (
    Lesson("00", "Quickstart", "What is here, in ten minutes?", 10, "00_quickstart.ipynb"),
    Lesson("01", "Measuring a microsecond", "Why could the seed's table not be believed?", 50, "01_measuring.ipynb"),
    Lesson("02", "Reading the market", "How do the messages of an exchange become a book?", 45, "02_reading_the_market.ipynb"),
    Lesson("03", "Where the time goes", "Which line of the Python engine is the dear one?", 45, "03_where_the_time_goes.ipynb"),
    Lesson("04", "The fallback, tuned", "How far does pure Python go?", 50, "04_the_fallback_tuned.ipynb"),
    Lesson("05", "Crossing into Rust", "What does the border cost?", 45, "05_crossing_into_rust.ipynb"),
    Lesson("06", "Order-book structures", "Which structure wins, where, and why?", 55, "06_order_book_structures.ipynb"),
    Lesson("07", "Memory", "What do allocations do to the tail?", 50, "07_memory.ipynb"),
    Lesson("08", "Signals", "How does one compute less and give the same bits?", 40, "08_signals.ipynb"),
    Lesson("09", "The wire", "What does a message cost on its way from machine to machine?", 55, "09_the_wire.ipynb"),
    Lesson("10", "Under stress", "What happens when more comes than usual?", 55, "10_under_stress.ipynb"),
    Lesson("11", "The result", "What was each step worth, and what remains?", 40, "11_the_result.ipynb"),
    Lesson("12", "Bring your own", "Is your idea right, and is it faster?", 60, "12_bring_your_own.ipynb"),
)


def notebooks() -> Path | None:
    """Where the notebooks are: the folder we stand in, else that which this course stands in."""
    names = [one.notebook for one in LESSONS]
    for folder in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if any((folder / name).is_file() for name in names):
            return folder
    return None


@dataclass(frozen=True)
class Course(Result):
    """Every lesson, its minutes and its exercises, and which of these have been passed.

    folder : of the notebooks; lessons whose notebook is not in it are left out. None: it is not known, and all are listed
    """

    passed: dict[str, str]
    folder: Path | None = None

    def lessons(self) -> tuple[Lesson, ...]:
        """The lessons that are there."""
        return tuple(one for one in LESSONS if self.folder is None or (self.folder / one.notebook).is_file())

    def frame(self) -> pl.DataFrame:
        """One row per lesson: lesson, title, question, minutes, exercises, passed, notebook."""
        import polars as pl

        rows = []
        for one in self.lessons():
            numbers = [each.number for each in exercises(one.number)]
            done = sum(number in self.passed for number in numbers)
            rows.append((one.number, one.title, one.question, one.minutes, len(numbers), done, one.notebook))
        names, kinds = ("lesson", "title", "question", "minutes", "exercises", "passed", "notebook"), "sssiiis"
        schema = {name: pl.String if kind == "s" else pl.Int64 for name, kind in zip(names, kinds, strict=True)}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def lines(self) -> list[str]:
        """How far one has come, and where to go on."""
        frame = self.frame()
        done, of, minutes = (int(frame[name].sum()) for name in ("passed", "exercises", "minutes"))
        hours = f"{minutes} minutes" if minutes < 90 else f"about {minutes / 60:.0f} hours"
        out = [f"{done} of {of} exercises passed; {hours} in all"]
        open_ = [row for row in frame.to_dicts() if row["passed"] < row["exercises"]]
        if open_:
            out.append(f"next: {open_[0]['lesson']} {open_[0]['title']}, {open_[0]['minutes']} minutes")
        elif of:
            out.append("all of them passed")
        return out

    def to_dict(self) -> dict[str, Any]:
        return {"schema": progress.SCHEMA, "lessons": self.frame().to_dicts(), "passed": self.passed}

    def __str__(self) -> str:
        out = []
        for row in self.frame().to_dicts():
            state = f"{row['passed']} of {row['exercises']} passed" if row["exercises"] else "no exercises"
            out.append(f"{row['lesson']}  {row['title']:<26} {row['minutes']:>3} min  {state:<16} {row['question']}")
        return "\n".join([*out, "", *self.lines()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A list of links to the notebooks, a dot for every exercise, filled if it has been passed."""
        left, right = ("text-align:left;vertical-align:top", "text-align:right;vertical-align:top;white-space:nowrap")
        heads = zip(("", "lesson", "minutes", "exercises"), (left, left, right, left), strict=True)
        head = "".join(f"<th style='{style}'>{name}</th>" for name, style in heads)
        rows = []
        for one in self.lessons():
            title = f"<b>{escape(one.title)}</b>"
            if self.folder is not None:
                title = f"<a href='{escape(_link(self.folder / one.notebook), quote=True)}'>{title}</a>"
            cells = (
                f"<td style='{left}'>{one.number}</td><td style='{left}'>{title}<br>{escape(one.question)}</td>"
                f"<td style='{right}'>{one.minutes}</td><td style='{left};white-space:nowrap'>{self._dots(one.number)}</td>"
            )
            rows.append(f"<tr>{cells}</tr>")
        table = f"<table style='margin:6px 0'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        return html.block("The course", table, self.lines())

    def _dots(self, lesson: str) -> str:
        dots = []
        for one in exercises(lesson):
            done = self.passed.get(one.number)
            said = f"{one.number} {one.title}, {one.minutes} minutes" + (f", passed {done[:10]}" if done else "")
            dots.append(f"<span title='{escape(said, quote=True)}' style='color:{'#009E73' if done else '#888888'}'>")
            dots[-1] += f"{'●' if done else '○'}</span>"
        return " ".join(dots)


def _link(notebook: Path) -> str:
    """From where we stand to a notebook, as a link: JupyterLab opens it."""
    try:
        return Path(os.path.relpath(notebook)).as_posix()
    except ValueError:  # another drive
        return notebook.as_posix()


def course() -> Course:
    """The lessons, and how far one has come. Raises HftlabError for a progress file that is something else."""
    return Course(progress.read(), notebooks())
