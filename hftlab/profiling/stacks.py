"""Call trees, and the rectangles of an icicle: a child stands below its parent, as wide as its share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from hftlab.profiling.result import Row

SMALLEST = 0.003  # share of the whole below which siblings are drawn as one
DEEPEST = 14
MOST = 5_000  # rectangles


@dataclass(frozen=True)
class Call:
    """A function as it stands in a stack."""

    name: str
    stage: str
    file: str = ""


@dataclass
class Node:
    """A function with everything below it. `value` counts what is below, `own` does not; both in one unit."""

    call: Call
    value: float = 0.0
    own: float = 0.0
    below: dict[Call, Node] = field(default_factory=dict)

    def child(self, call: Call) -> Node:
        """What it calls. Code of a language or a library works for the stage that called it."""
        if call.stage == "other":
            call = replace(call, stage=self.call.stage)
        return self.below.setdefault(call, Node(call))

    def walk(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """Itself and all below it, each with the names of its stack."""
        stack = (*above, self.call.name)
        yield stack, self
        for node in self.below.values():
            yield from node.walk(stack)


def grow(stacks: Iterable[tuple[list[Call], float]], root: Call) -> Node:
    """The tree of stacks with their samples."""
    top = Node(root)
    for stack, samples in stacks:
        node = top
        node.value += samples
        for call in stack:
            node = node.child(call)
            node.value += samples
        node.own += samples
    return top


def rectangles(root: Node) -> list[Row]:
    """name, stage, file, depth, start, end (shares of the whole, 0 to 1), share, own, value; the widest siblings first, those
    below 0.3 % as one, at most 5,000."""
    out: list[Row] = []
    whole = root.value or 1.0

    def place(node: Node, depth: int, start: float) -> None:
        share = node.value / whole
        out.append(_rectangle(node.call, depth, start, share, node.own / whole, node.value))
        if depth + 1 > DEEPEST:
            return
        rest, small = 0.0, 0
        for child in sorted(node.below.values(), key=lambda child: -child.value):
            if child.value / whole < SMALLEST:
                rest, small = rest + child.value, small + 1
                continue
            place(child, depth + 1, start)
            start += child.value / whole
        if rest / whole >= SMALLEST:
            merged = Call(f"{small} small ones", "other")
            out.append(_rectangle(merged, depth + 1, start, rest / whole, rest / whole, rest))

    place(root, 0, 0.0)
    return sorted(out, key=lambda row: (row["depth"], row["start"]))[:MOST]


def _rectangle(call: Call, depth: int, start: float, share: float, own: float, value: float) -> Row:
    return {
        "name": call.name,
        "stage": call.stage,
        "file": call.file,
        "depth": depth,
        "start": start,
        "end": start + share,
        "share": share,
        "own": own,
        "value": value,
    }
