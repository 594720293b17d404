"""Instructions per message, counted by callgrind and compared with instructions.json: the gate that noise cannot touch.

python rust_ext/instructions.py               compare; exit code 1 if a row needs more than the table allows
python rust_ext/instructions.py --update      write the table anew
python rust_ext/instructions.py --base REV    build that revision, too, count both here and now, and compare these
python rust_ext/instructions.py --build       build what is counted, and no more: the rest then takes half of the time

Beside the instructions stands what each stage of the best variant adds in misses and mispredictions, by callgrind's simulation of
a first cache of 32 KiB, a last one of 8 MiB and a predictor: shown, not compared, since addresses differ from run to run.

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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CRATE = Path(__file__).resolve().parent
TABLE = CRATE / "instructions.json"
WARM, MESSAGES = 20_000, 120_000
#: What a row may differ by, as a share: with the rustc of the table, and with another one.
SLACK, OTHER_RUSTC_SLACK = 0.01, 0.15
#: The same for a hash that is seeded anew in each process.
SEEDED, SEEDED_SLACK = "orders=std", 0.03
#: Caches that are simulated: size in bytes, ways, bytes of a line.
SIMULATION = ["--cache-sim=yes", "--branch-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=8388608,16,64"]
#: What is simulated, in the words of callgrind: of the first cache, of the last one, of branches.
MISSES = {"D1 misses": ("D1mr", "D1mw"), "last-level misses": ("DLmr", "DLmw"), "mispredictions": ("Bcm", "Bim")}
STAGES = ("tick", "book", "signal", "order")

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


def build(crate: Path = CRATE) -> Path:
    """The example, for any processor of this architecture: flags of the caller would count something else. In a folder of its
    own, so that the extension can be built meanwhile."""
    folder = crate / "target" / "counted"
    flags = {"RUSTFLAGS": "", "CARGO_TARGET_DIR": str(folder)}
    command = ["cargo", "build", "--quiet", "--release", "--example", "hot_loop"]
    subprocess.run(command, cwd=crate, env={**os.environ, **flags}, check=True)
    return folder / "release" / "examples" / "hot_loop"


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """The crate as it was, in a worktree of its own."""
    with TemporaryDirectory() as folder:
        place = Path(folder) / "base"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(place), revision], cwd=CRATE, check=True)
        try:
            yield place / CRATE.name
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=CRATE, check=True)


def events(binary: Path, regime: str, variant: str, until: str, *, simulate: bool = False) -> dict[str, float]:
    """What callgrind counts in the loop, per message, by its names of events; Ir are instructions."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]
    callgrind += ["--toggle-collect=hftlab_hot_loop", *(SIMULATION if simulate else [])]
    command = [*callgrind, str(binary), variant, until, regime, str(WARM), str(MESSAGES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names, counts = (re.search(rf"{word} *: (.*)", done.stderr) for word in ("Events", "Collected"))
    if done.returncode or f"\n{MESSAGES} messages" not in done.stdout or not names or not counts or counts[1].startswith("0"):
        raise SystemExit(f"instructions: callgrind did not count {variant}, {until}, {regime}:\n{done.stdout}{done.stderr}")
    return {name: int(n) / (MESSAGES - WARM) for name, n in zip(names[1].split(), counts[1].split(), strict=True)}


def simulate(binary: Path) -> None:
    """Print what each stage of the best variant adds, per message."""
    print(f"\n{'added by the stage, per message':<32}{'instructions':>14}" + "".join(f"{name:>20}" for name in MISSES))
    rows = [(regime, stage) for regime in ("calm", "market") for stage in STAGES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = list(pool.map(lambda row: events(binary, row[0], "best", row[1], simulate=True), rows))
    for at, ((regime, stage), now) in enumerate(zip(rows, counted, strict=True)):
        before = counted[at - 1] if stage != STAGES[0] else {}
        added = {name: count - before.get(name, 0.0) for name, count in now.items()}
        cells = [f"{sum(added[name] for name in parts):>20.3f}" for parts in MISSES.values()]
        print(f"{f'{regime}, {stage}':<32}{added['Ir']:>14.1f}" + "".join(cells))


def toolchain() -> dict[str, str]:
    """What the counts depend on besides the source."""
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True, cwd=CRATE).stdout.split()[1]
    return {"rustc": rustc, "architecture": platform.machine(), "system": platform.system()}


def measure(binary: Path) -> dict[str, float]:
    """Instructions per message of every row, by its name. A count is no other for company: as many at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counted = list(pool.map(lambda row: round(events(binary, *row)["Ir"], 1), ROWS))
    names = (f"{variant}, until {until}, {regime}" for regime, variant, until in ROWS)
    return dict(zip(names, counted, strict=True))


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
        most = max(allowed, SEEDED_SLACK) if allowed is not None and SEEDED in name else allowed
        print(f"{name:<46}{expected[name]:>10.1f}{value:>10.1f}{change:>+10.1%}")
        if most is not None and change > most:
            wrong.append(f"{name}: {value:.1f} instructions per message, expected {expected[name]:.1f} (+{most:.0%} at most)")
        better |= most is not None and change < -most
    if better:
        print("Better than the table by more than the slack: `make instructions UPDATE=1` keeps that.")
    return wrong


def main(words: list[str]) -> int:
    for program in ("valgrind", "cargo"):
        if shutil.which(program) is None:
            print(f"instructions: there is no {program}, so no instruction is counted", file=sys.stderr)
            return 1 if os.environ.get("HFTLAB_REQUIRE_RUST") == "1" else 0
    binary = build()
    if "--build" in words:
        return 0
    now, found = toolchain(), measure(binary)
    simulate(binary)
    if "--update" in words:
        table = {**now, "warm": WARM, "messages": MESSAGES - WARM, "instructions_per_message": found}
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        print("\n".join(f"{name:<46}{value:>10.1f}" for name, value in found.items()))
        print(f"wrote {TABLE.name}: rustc {now['rustc']}, {now['system']} {now['architecture']}")
        return 0
    if "--base" in words:
        with checkout(words[words.index("--base") + 1]) as crate:
            wrong = compare(measure(build(crate)), found, SLACK)
    else:
        table = json.loads(TABLE.read_text())
        wrong = compare(table["instructions_per_message"], found, slack(table, now))
    for sentence in wrong:
        print(f"instructions: {sentence}", file=sys.stderr)
    if wrong:
        print("instructions: where that is meant, `make instructions UPDATE=1` writes the table anew", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
