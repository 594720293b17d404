"""Progress: which exercises were passed, and when; one JSON file in the user's own folder ($HFTLAB_HOME, or ~/.hftlab)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from hftlab.errors import HftlabError
from hftlab.presentation.output import file_lock, user_folder, write_text

SCHEMA = "hftlab-course/1"


def file() -> Path:
    """Path of the progress file. It need not exist."""
    return user_folder() / "course.json"


def read() -> dict[str, str]:
    """Number of every exercise that was passed -> time of its first pass (UTC, ISO 8601).

    raises : HftlabError for a file of another format, which is never overwritten, or one that cannot be read
    """
    try:
        payload = json.loads(file().read_text())
        if payload["schema"] != SCHEMA:
            raise ValueError
        return {str(number): str(time) for number, time in payload["passed"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HftlabError(f"{file()}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HftlabError(f"{file()}: not the progress file of the course; move it away to start again") from None


def mark_passed(number: str) -> None:
    """Store that an exercise was passed; the first time counts. Raises HftlabError as `read` does, or if it cannot be written."""
    with file_lock(file()):
        known = read()
        if number in known:
            return
        known[number] = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(file(), json.dumps({"schema": SCHEMA, "passed": dict(sorted(known.items()))}, indent=1) + "\n")


def reset() -> Path | None:
    """Start again: the file is renamed, with the time in its name, so that nothing is lost.

    Returns its new path, None if there was no file. Raises HftlabError for a file of another format, or if it cannot be renamed.
    """
    if not file().exists():
        return None
    with file_lock(file()):
        read()
        backup = file().with_name(f"course.until-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json")
        try:
            return file().rename(backup)
        except OSError as error:
            raise HftlabError(f"{file()}: cannot be moved: {error.strerror or error}") from None
