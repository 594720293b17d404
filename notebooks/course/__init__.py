"""The course: lessons, their exercises, what one has passed. `course()` shows it, `check("01.1", answer)` checks.

lessons.py    what there is to learn, in which notebook
exercise.py   an exercise, its checks step by step, and what came of them
progress.py   what has been passed, kept in the user's own folder
lesson01.py   and so on: the exercises of one lesson
"""

from __future__ import annotations

from course.exercise import check as check
from course.lessons import Course
from course.lessons import course as course

__all__ = ["Course", "check", "course"]
