"""The course: lessons, their exercises, and progress. `course()` shows it, `check("01.1", answer)` checks an answer.

lessons.py         table of the lessons, and the progress of the learner
exercise.py        an exercise, its checks step by step, and the result of a check
shown.py           claims with their figures, predictions beside their results, one style of table
answers.py         equality and differences of answers; timeout.py: time limit for an answer that hangs
progress.py        file of the exercises passed, in the user's own folder
lesson01.py        and so on: the exercises of one lesson
legacy_method.py   the measuring method of the project's first table; legacy_workload.py and legacy_chart.py belong to it
steps.py           engines in a row, each with one thing changed
factorial.py       every combination of optimisations; waterfall.py: as a widget; lower_bound.py: what a message must cost
rust_function.py   a function of the learner's in Rust; latency_map.py: the chart of the landing page
amdahl.py          Amdahl's law both ways round, and its chart
fake_server.py     a server of known service times; level_counter.py, loss.py, naive_book.py: material of lessons 08, 09, 04
"""

from __future__ import annotations

from course.exercise import check as check
from course.lessons import Course
from course.lessons import course as course
from course.shown import claim as claim
from course.shown import reveal as reveal
from course.shown import show as show

__all__ = ["Course", "check", "claim", "course", "reveal", "show"]
