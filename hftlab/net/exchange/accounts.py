"""Who may log in: accounts from a file or the environment, never from the command line, where everybody could read them.

    file         : one `USERNAME PASSWORD` a line; empty lines and lines that start with # are skipped
    environment  : HFTLAB_ACCOUNTS="USERNAME:PASSWORD,USERNAME:PASSWORD"

Usernames have 1 to 6 letters and digits, passwords 1 to 10; SoupBinTCP does not tell upper from lower case in either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from hftlab.errors import ConfigError

VARIABLE = "HFTLAB_ACCOUNTS"
_USERNAME, _PASSWORD = 6, 10


def load(path: str | os.PathLike[str] | None = None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Password by username, from the file if one is named, else from the environment.

    raises : ConfigError for what cannot be read, is no account, or if there is none; it never repeats a password
    """
    if path is None:
        entries = [entry for entry in environment.get(VARIABLE, "").split(",") if entry.strip()]
        if not entries:
            raise ConfigError(f"there are no accounts: name a file with --accounts FILE, or set {VARIABLE}=USERNAME:PASSWORD,...")
        return checked((tuple(entry.strip().partition(":")[::2]) for entry in entries), VARIABLE)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'is not text'}") from None
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return checked(((row[0], row[1] if len(row) == 2 else "") for row in rows), str(path))


def checked(accounts: Iterable[tuple[str, ...]], where: str) -> dict[str, str]:
    """The accounts, names in upper case. raises : ConfigError naming which entry is wrong, not what it says"""
    made: dict[str, str] = {}
    for number, (name, password) in enumerate(accounts, start=1):
        for value, width in ((name, _USERNAME), (password, _PASSWORD)):
            if not (value.isascii() and value.isalnum() and len(value) <= width):
                raise ConfigError(
                    f"{where}: account {number}: allowed is a username of 1 to {_USERNAME} and a password of 1 to {_PASSWORD} "
                    "ASCII letters and digits"
                )
        if name.upper() in made:
            raise ConfigError(f"{where}: account {number}: the username {name.upper()!r} is there twice")
        made[name.upper()] = password
    if not made:
        raise ConfigError(f"{where}: there are no accounts in it; allowed is one USERNAME PASSWORD a line")
    return made
