"""Instructions per message, counted by callgrind and compared with instructions.json: the gate that noise cannot touch.

python rust_ext/instructions.py             compare; exit code 1 if a row needs more than the table allows
python rust_ext/instructions.py --update    write the table anew

Counted is the loop alone (`hftlab_hot_loop` of examples/hot_loop.rs) after a warm-up, on a generated feed, in the portable
release build. The same binary gives the same count, but for `orders=std`, whose hash is seeded anew in each process.
Another rustc makes other code: then the slack is wider. Another architecture has other instructions: then nothing is compared.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CRATE = Path(__file__).resolve().parent
TABLE = CRATE / "instructions.json"
BINARY = CRATE / "target" / "release" / "examples" / "hot_loop"
WARM, MESSAGES = 20_000, 120_000
#: What a row may differ by, as a share: with the rustc of the table, and with another one.
SLACK, OTHER_RUSTC_SLACK = 0.03, 0.15

#: (regime, variant, last stage)
ROWS = [
    ("calm", "naive", "order"),
    ("calm", "best", "order"),
    ("calm", "best", "signal"),
    ("calm", "best", "book"),
    ("calm", "best", "tick"),
    ("calm", "best, book=btree", "order"),
    ("calm", "best, book=sorted", "order"),
    ("calm", "best, orders=std", "order"),
    ("calm", "best, orders=fast", "order"),
    ("calm", "best, pool=False", "order"),
    ("calm", "best, signal=recompute", "order"),
    ("market", "naive", "order"),
    ("market", "best", "order"),
    ("market", "best", "book"),
    ("market", "best, book=btree", "order"),
    ("market", "best, book=sorted", "order"),
]


def build() -> None:
    """The example, for any processor of this architecture: flags of the caller would count something else."""
    flags = {"RUSTFLAGS": "", "CARGO_TARGET_DIR": str(CRATE / "target")}
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--example", "hot_loop"],
        cwd=CRATE,
        env={**os.environ, **flags},
        check=True,
    )


def count(regime: str, variant: str, until: str) -> float:
    """Instructions per message of the loop."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]
    command = [*callgrind, "--toggle-collect=hftlab_hot_loop", str(BINARY), variant, until, regime, str(WARM), str(MESSAGES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or f"\n{MESSAGES} messages" not in done.stdout or not found or found[1] == "0":
        raise SystemExit(f"instructions: callgrind did not count {variant}, {until}, {regime}:\n{done.stdout}{done.stderr}")
    return int(found[1]) / (MESSAGES - WARM)


def toolchain() -> dict[str, str]:
    """What the counts depend on besides the source."""
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True, cwd=CRATE).stdout.split()[1]
    return {"rustc": rustc, "architecture": platform.machine(), "system": platform.system()}


def measure() -> dict[str, float]:
    """Every row, by its name."""
    return {f"{variant}, until {until}, {regime}": round(count(regime, variant, until), 1) for regime, variant, until in ROWS}


def slack(table: dict[str, Any], now: dict[str, str]) -> float | None:
    """What a row may differ by; None where counts cannot be compared. Says so where it is not the usual."""
    if any(table[name] != now[name] for name in ("architecture", "system")):
        here, there = (f"{of['system']} {of['architecture']}" for of in (now, table))
        print(f"The table is of {there}, this is {here}: shown, but not compared.")
        return None
    if table["rustc"] != now["rustc"]:
        print(f"The table was made by rustc {table['rustc']}, this is {now['rustc']}: the slack is {OTHER_RUSTC_SLACK:.0%}.")
        return OTHER_RUSTC_SLACK
    return SLACK


def compare(expected: dict[str, float], found: dict[str, float], allowed: float | None) -> list[str]:
    """Print every row; return a sentence for each that is wrong."""
    wrong = [f"{name}: in the table, but no longer counted" for name in expected if name not in found]
    better = False
    print(f"{'instructions per message':<46}{'table':>10}{'now':>10}{'change':>10}")
    for name, value in found.items():
        if name not in expected:
            wrong.append(f"{name}: not in the table")
            print(f"{name:<46}{'':>10}{value:>10.1f}")
            continue
        change = value / expected[name] - 1
        print(f"{name:<46}{expected[name]:>10.1f}{value:>10.1f}{change:>+10.1%}")
        if allowed is not None and change > allowed:
            wrong.append(f"{name}: {value:.1f} instructions per message, expected {expected[name]:.1f} (+{allowed:.0%} at most)")
        better |= allowed is not None and change < -allowed
    if better:
        print("Better than the table by more than the slack: `make instructions UPDATE=1` keeps that.")
    return wrong


def main(words: list[str]) -> int:
    for program in ("valgrind", "cargo"):
        if shutil.which(program) is None:
            print(f"instructions: there is no {program}, so no instruction is counted", file=sys.stderr)
            return 1 if os.environ.get("HFTLAB_REQUIRE_RUST") == "1" else 0
    build()
    now, found = toolchain(), measure()
    if "--update" in words:
        table = {**now, "warm": WARM, "messages": MESSAGES - WARM, "instructions_per_message": found}
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        print("\n".join(f"{name:<46}{value:>10.1f}" for name, value in found.items()))
        print(f"wrote {TABLE.name}: rustc {now['rustc']}, {now['system']} {now['architecture']}")
        return 0
    table = json.loads(TABLE.read_text())
    wrong = compare(table["instructions_per_message"], found, slack(table, now))
    for sentence in wrong:
        print(f"instructions: {sentence}", file=sys.stderr)
    if wrong:
        print("instructions: where that is meant, `make instructions UPDATE=1` writes the table anew", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
