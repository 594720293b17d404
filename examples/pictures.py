"""The pictures of the README, drawn from what this machine measures: `make pictures` writes them.

    python examples/pictures.py FOLDER [--messages N] [--rounds N]

waterfall.png : from the Python engine to the best one, step by step, every engine timed in each round
ladder.png    : the book of one instrument of a generated session, level by level; the same on every machine
wire.png      : from a tick's bytes to an order's over several transports; stored figures, since most of them need root
"""

import argparse
import sys
from pathlib import Path

import hftlab
from hftlab import charts

SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    feed = hftlab.synthetic("calm", asked.messages, seed=SEED)
    sys.path.append(str(Path(__file__).resolve().parents[1] / "notebooks"))
    from course.factorial import factorial
    from course.stored_network import stored

    steps = factorial(feed, rounds=asked.rounds, python=True)
    title = "From the Python engine to the best one"
    charts.save(charts.waterfall_chart(steps.path(steps.axes), title, steps.subtitle()), asked.folder / "waterfall.png")

    run = hftlab.Engine("python", until="book").run(feed)
    book = charts.depth_chart(run.book(run.name(1)), feed.price_scale, 8, "The book, a row per price", feed.name)
    charts.save(book, asked.folder / "ladder.png")
    charts.save(stored("tick-to-trade").plot(), asked.folder / "wire.png")
    print(f"{asked.folder}: waterfall.png, ladder.png, wire.png")


if __name__ == "__main__":
    main()
