"""How a run on several threads went, and why it was not one on several threads where it was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hftlab.settings import Settings


@dataclass(frozen=True)
class Threads:
    """How a run on several threads went.

    asked      : how many threads were asked for
    messages   : messages of each shard's instruments, one number per thread; () where one engine ran them all
    cpu_ns     : processor time of each thread, ns: hopping over all messages, running its own, deciding
    one_by_one : messages run one after the other over all shards, since an order reference might have been live in another one
    doubted    : the first of them; None if there was none
    again      : the message that brought an order reference that may have come before, so near the beginning that one engine ran
                 them all; None if none did
    strict     : one engine ran them all, since a run that ends at the first fault runs in the order of the feed
    """

    asked: int
    messages: tuple[int, ...] = ()
    cpu_ns: tuple[int, ...] = ()
    one_by_one: int = 0
    doubted: int | None = None
    again: int | None = None
    strict: bool = False

    @classmethod
    def of(cls, session: Any, settings: Settings) -> Threads | None:
        """What a session says of itself; None where one thread was asked for."""
        if settings.threads == 1:
            return None
        given: dict[str, Any] = dict(session.threads() or {})
        messages, cpu_ns = (tuple(given.pop(name, ())) for name in ("messages", "cpu_ns"))
        return cls(settings.threads, messages, cpu_ns, strict=settings.strict, **given)

    def notes(self) -> list[str]:
        """A sentence each."""
        asked = f"threads={self.asked}"
        if self.strict:
            return [f"{asked}: ran on one thread, since a strict run ends at the first fault of the feed."]
        if self.again is not None:
            return [
                f"{asked}: ran on one thread, since message {self.again:,} brings an order reference that may have come before."
            ]
        total = max(sum(self.messages), 1)
        shares = " and ".join(f"{n / total:.1%}" for n in self.messages)
        notes = [f"{asked}: the shards ran {shares} of the messages."]
        if self.doubted is not None:
            notes.append(
                f"{self.one_by_one:,} messages ran one by one over all shards: "
                f"order references may have come again, first in message {self.doubted:,} or soon after."
            )
        return notes
