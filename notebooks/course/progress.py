"""What has been passed, and when: one JSON file in the user's own folder ($HFTLAB_HOME, or ~/.hftlab)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from hftlab.errors import HftlabError
from hftlab.measurement.storage import file_lock, user_folder
from hftlab.presentation.output import write_text

SCHEMA = "hftlab-course/1"


def file() -> Path:
    """Where it is kept. It need not exist."""
    return user_folder() / "course.json"


def read() -> dict[str, str]:
    """Number of every exercise that was passed, and when first (UTC, ISO 8601).

    raises : HftlabError for a file that is something else, which is never written over, or that cannot be read
    """
    try:
        told = json.loads(file().read_text())
        if told["schema"] != SCHEMA:
            raise ValueError
        return {str(number): str(time) for number, time in told["passed"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HftlabError(f"{file()}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HftlabError(f"{file()}: this is not the progress of a course; move it away to begin anew") from None


def passed(number: str) -> None:
    """Keep that an exercise was passed; the first time counts. Raises HftlabError as `read` does, or if it cannot be written."""
    with file_lock(file()):
        known = read()
        if number in known:
            return
        known[number] = datetime.now(UTC).isoformat(timespec="seconds")
        text = json.dumps({"schema": SCHEMA, "passed": dict(sorted(known.items()))}, indent=1) + "\n"
        write_text(file(), text)


def reset() -> Path | None:
    """Begin anew: the file is moved beside itself, under the time, and nothing is lost. Returns its new place; None if there
    was no file. Raises HftlabError for a file that is something else, or if it cannot be moved."""
    if not file().exists():
        return None
    with file_lock(file()):
        read()
        aside = file().with_name(f"course.until-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json")
        try:
            return file().rename(aside)
        except OSError as error:
            raise HftlabError(f"{file()}: cannot be moved: {error.strerror or error}") from None
