"""The lessons, and how far one has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hftlab import html
from hftlab.course import progress
from hftlab.course.exercise import exercises

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
    Lesson("11", "The result", "What was each step worth, and what remains?", 40, "11_the_result.ipynb"),
    Lesson("12", "Bring your own", "Is your idea right, and is it faster?", 60, "12_bring_your_own.ipynb"),
)


@dataclass(frozen=True)
class Course:
    """Every lesson, its minutes and its exercises, and which of these have been passed."""

    passed: dict[str, str]

    def frame(self) -> pl.DataFrame:
        """One row per lesson: lesson, title, question, minutes, exercises, passed, notebook."""
        import polars as pl

        rows = []
        for one in LESSONS:
            numbers = [each.number for each in exercises(one.number)]
            done = sum(number in self.passed for number in numbers)
            rows.append((one.number, one.title, one.question, one.minutes, len(numbers), done, one.notebook))
        columns = ["lesson", "title", "question", "minutes", "exercises", "passed", "notebook"]
        return pl.DataFrame(rows, schema=columns, orient="row")

    def __str__(self) -> str:
        out = []
        for row in self.frame().to_dicts():
            state = f"{row['passed']} of {row['exercises']} passed" if row["exercises"] else "no exercises"
            out.append(f"{row['lesson']}  {row['title']:<26} {row['minutes']:>3} min  {state:<16} {row['question']}")
        return "\n".join(out)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        frame = self.frame()
        return html.block("The course", html.table(frame.columns, frame.rows()))


def course() -> Course:
    """The lessons, and how far one has come. Raises HftlabError for a progress file that is something else."""
    return Course(progress.read())
