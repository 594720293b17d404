"""The lessons, and the progress of the learner."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course import progress
from course.exercise import exercises
from hftlab.presentation.document import Table, number, table
from hftlab.presentation.result import Result

if TYPE_CHECKING:
    import polars as pl

RUN_TIMES = Path(__file__).with_name("run_times.csv")


@dataclass(frozen=True)
class Lesson:
    """One notebook of the course. minutes: to work through it, with its exercises."""

    number: str
    title: str
    question: str
    minutes: int
    notebook: str

    @property
    def run_s(self) -> int | None:
        """Seconds that its cells ran when the stored outputs were made (`make notebooks`); None for one that is not listed."""
        return run_times().get(self.notebook)


LESSONS = (
    Lesson("00", "Quickstart", "What can hftlab do, in ten minutes?", 12, "00_quickstart.ipynb"),
    Lesson("01", "Measuring a microsecond", "Why was the project's first table wrong?", 90, "01_measuring.ipynb"),
    Lesson("02", "Reading the market", "How do the messages of an exchange become a book?", 60, "02_reading_the_market.ipynb"),
    Lesson("03", "Where the time goes", "Which line of the Python engine is the hot one?", 60, "03_where_the_time_goes.ipynb"),
    Lesson("04", "The fallback, tuned", "How far does pure Python go?", 60, "04_the_fallback_tuned.ipynb"),
    Lesson("05", "Crossing into Rust", "What does a call from Python into Rust cost?", 75, "05_crossing_into_rust.ipynb"),
    Lesson("06", "Order-book structures", "Which structure wins, where, and why?", 70, "06_order_book_structures.ipynb"),
    Lesson("07", "Memory", "What do allocations do to the tail?", 55, "07_memory.ipynb"),
    Lesson("08", "Signals", "How can an engine compute less and give the same bits?", 65, "08_signals.ipynb"),
    Lesson("09", "The network", "What does a message cost from machine to machine?", 85, "09_the_wire.ipynb"),
    Lesson("10", "Under stress", "What happens when more messages arrive than usual?", 85, "10_under_stress.ipynb"),
    Lesson("11", "The result", "What was each step worth, and what remains?", 65, "11_the_result.ipynb"),
    Lesson("12", "Bring your own", "Is your idea right, and is it faster?", 75, "12_bring_your_own.ipynb"),
    Lesson("13", "What is a microsecond worth?", "What does an order lose that comes later?", 55, "13_a_microsecond.ipynb"),
    Lesson(
        "14", "Is my fill real?", "Would the exchange have filled my order, and was that good?", 60, "14_is_my_fill_real.ipynb"
    ),
)


@cache
def run_times() -> dict[str, int]:
    """Notebook -> seconds, as `make notebooks` wrote them."""
    rows = (line.split(",") for line in RUN_TIMES.read_text().splitlines()) if RUN_TIMES.is_file() else ()
    return {name: int(seconds) for name, seconds in rows}


def notebooks() -> Path | None:
    """Folder of the notebooks: the working directory, else the one that holds this course; None if neither has one."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if any((folder / lesson.notebook).is_file() for lesson in LESSONS):
            return folder
    return None


@dataclass(frozen=True)
class Course(Result):
    """Every lesson, its minutes and its exercises, and which of these were passed.

    passed : number of an exercise -> time of its first pass
    folder : of the notebooks; a lesson whose notebook is not in it is left out. None: unknown, and all are listed
    """

    schema = progress.SCHEMA

    passed: dict[str, str]
    folder: Path | None = None

    def lessons(self) -> tuple[Lesson, ...]:
        """The lessons whose notebook exists."""
        return tuple(lesson for lesson in LESSONS if self.folder is None or (self.folder / lesson.notebook).is_file())

    def frame(self) -> pl.DataFrame:
        """One row per lesson: lesson, title, question, minutes, run_s, exercises, passed, notebook."""
        import polars as pl

        rows = []
        for lesson in self.lessons():
            numbers = [each.number for each in exercises(lesson.number)]
            done = sum(number in self.passed for number in numbers)
            about = (lesson.number, lesson.title, lesson.question, lesson.minutes, lesson.run_s)
            rows.append((*about, len(numbers), done, lesson.notebook))
        names, kinds = ("lesson", "title", "question", "minutes", "run_s", "exercises", "passed", "notebook"), "sssiiiis"
        schema = {name: pl.String if kind == "s" else pl.Int64 for name, kind in zip(names, kinds, strict=True)}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def headline(self) -> str:
        return "The course"

    def tables(self) -> list[Table]:
        rows = []
        for row in self.frame().to_dicts():
            words, done = (row[name] for name in ("lesson", "title", "question")), f"{row['passed']} of {row['exercises']}"
            rows.append((*words, str(row["minutes"]), number(row["run_s"], 0), done))
        return [table("Lessons", ("", "lesson", "question", "minutes", "cells run, s", "exercises passed"), rows, words=3)]

    def notes(self) -> list[str]:
        frame = self.frame()
        done, total, minutes = (int(frame[name].sum()) for name in ("passed", "exercises", "minutes"))
        hours = f"{minutes} minutes" if minutes < 90 else f"about {minutes / 60:.0f} hours"
        out = [f"{done} of {total} exercises passed; {hours} in all"]
        todo = [row for row in frame.to_dicts() if row["passed"] < row["exercises"]]
        if todo:
            out.append(f"next: {todo[0]['lesson']} {todo[0]['title']}, {todo[0]['minutes']} minutes")
        elif total:
            out.append("all exercises passed")
        return out

    def to_dict(self) -> dict[str, Any]:
        return {"schema": self.schema, "lessons": self.frame().to_dicts(), "passed": self.passed}

    def __repr__(self) -> str:
        return f"<Course: {len(self.lessons())} lessons, {len(self.passed)} exercises passed>"

    def _repr_html_(self) -> str:
        """Links to the notebooks, and a dot for every exercise, filled if it was passed: which no Table can show."""
        left, right = ("text-align:left;vertical-align:top", "text-align:right;vertical-align:top;white-space:nowrap")
        heads = zip(("", "lesson", "minutes", "cells run, s", "exercises"), (left, left, right, right, left), strict=True)
        head = "".join(f"<th style='{style}'>{name}</th>" for name, style in heads)
        rows = []
        for lesson in self.lessons():
            title = f"<b>{escape(lesson.title)}</b>"
            if self.folder is not None:
                title = f"<a href='{escape(_link(self.folder / lesson.notebook), quote=True)}'>{title}</a>"
            dots = " ".join(map(self._dot, exercises(lesson.number)))
            rows.append(
                f"<tr><td style='{left}'>{lesson.number}</td><td style='{left}'>{title}<br>{escape(lesson.question)}</td>"
                f"<td style='{right}'>{lesson.minutes}</td><td style='{right}'>{number(lesson.run_s, 0)}</td>"
                f"<td style='{left};white-space:nowrap'>{dots}</td></tr>"
            )
        listing = f"<table style='margin:6px 0'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes())
        return f"<div><b>{self.headline()}</b>{listing}<ul>{notes}</ul></div>"

    def _dot(self, exercise: Any) -> str:
        done = self.passed.get(exercise.number)
        tip = f"{exercise.number} {exercise.title}, {exercise.minutes} minutes" + (f", passed {done[:10]}" if done else "")
        colour, mark = ("#009E73", "●") if done else ("#888888", "○")
        return f"<span title='{escape(tip, quote=True)}' style='color:{colour}'>{mark}</span>"


def _link(notebook: Path) -> str:
    """Relative path from the working directory to a notebook: JupyterLab opens it."""
    try:
        return Path(os.path.relpath(notebook)).as_posix()
    except ValueError:  # another drive
        return notebook.as_posix()


def course() -> Course:
    """The lessons and the learner's progress. Raises HftlabError for a progress file of another format."""
    return Course(progress.read(), notebooks())
