"""The course: lessons, their exercises, what one has passed. `hftlab.course()` shows it, `hftlab.check("01.1", answer)` checks.

lessons.py    what there is to learn, in which notebook
exercise.py   an exercise, its checks step by step, and what came of them
progress.py   what has been passed, kept in the user's own folder
lesson01.py   and so on: the exercises of one lesson
"""

from __future__ import annotations

from hftlab.callable_module import make_callable
from hftlab.course.exercise import check as check
from hftlab.course.lessons import Course
from hftlab.course.lessons import course as course

__all__ = ["Course", "check", "course"]

make_callable(__name__)
