"""Messages that came early, until it is their turn: bounded in numbers and in bytes."""

from __future__ import annotations


class Window:
    """Framed messages by number. size : numbers after the expected one; limit : bytes of all that wait."""

    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        self.bytes = 0
        self._held: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, number: int) -> bool:
        return number in self._held

    @property
    def first(self) -> int | None:
        return min(self._held, default=None)

    @property
    def next(self) -> int:
        """The number after the last one that waits, 0 if none does."""
        return max(self._held, default=-1) + 1

    def hold(self, expected: int, number: int, block: bytes) -> bool:
        """Keep a message, if there is room for it."""
        if number - expected >= self.size or self.bytes + len(block) > self.limit:
            return False
        self._held[number] = block
        self.bytes += len(block)
        return True

    def drop(self, first: int, until: int) -> int:
        """Forget the messages from number `first` to before `until`; how many there were."""
        return sum(self._pop(number) is not None for number in range(first, until)) if self._held else 0

    def run(self, expected: int) -> list[bytes]:
        """Take the messages from `expected` on that follow each other."""
        blocks: list[bytes] = []
        while self._held and (block := self._pop(expected + len(blocks))) is not None:
            blocks.append(block)
        return blocks

    def _pop(self, number: int) -> bytes | None:
        block = self._held.pop(number, None)
        self.bytes -= len(block or b"")
        return block
