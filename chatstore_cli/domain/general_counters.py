"""What can be wrong with the numbers and ids of general chats in old data, and the ports that find and correct it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class StoredCounter(NamedTuple):
    """A counter of general chats: its `_id` as text, its stored `sequence` as text, and its `_id` for the store."""

    counter_id: str
    sequence: str
    key: Any

    def __str__(self) -> str:
        return f"{self.counter_id} ({self.sequence})"


@dataclass(frozen=True, slots=True)
class DoubledCounters:
    """Several counters of one tenant and user. A merge keeps the one that has counted furthest, and deletes the others."""

    tenant: str
    user: str
    kept: StoredCounter
    deleted: tuple[StoredCounter, ...]

    @property
    def plan(self) -> str:
        """What the merge does, in words without a full stop. A number in parentheses is the counter's `sequence`."""
        others = ", ".join(map(str, self.deleted))
        return f"tenant {self.tenant!r}, user {self.user!r}: keeps counter {self.kept}, deletes {others}"


class CounterMerges(Protocol):
    """Doubled counters. Old data has some, because the application's unique index was never created."""

    collection: str

    def doubled(self, tenant_field: str) -> list[DoubledCounters] | None:
        """Those with the same tenant in this field, and the same user; None after the time limit."""

    def merge(self, counters: DoubledCounters) -> None:
        """Delete the counters that are not kept. Raises Conflict if another one has counted further since they were read."""


class LaggingCounter(NamedTuple):
    """A tenant and user whose counters are all below the highest number of their chats. `counter` is None without any."""

    tenant: str
    user: str
    counter: int | None
    highest: int


class NumberSample(NamedTuple):
    """A sample of chats: how many were read, and the counters that lag behind these chats."""

    looked_at: int
    lagging: list[LaggingCounter]


class CollidedChat(NamedTuple):
    """A chat whose id was given to other pairs of tenant and user too."""

    chat_id: str
    others: tuple[tuple[str, str], ...]


class CollisionSample(NamedTuple):
    """A sample of chats: how many were read, and those that collided."""

    looked_at: int
    collided: list[CollidedChat]


class GeneralChatSamples(Protocol):
    """Checks random general chats under a time limit; None if it passed."""

    def numbers(self) -> NumberSample | None:
        """Counters that lag behind chats, for example after a restore."""

    def collisions(self) -> CollisionSample | None:
        """Chats whose id could be that of two pairs of tenant and user, and was used by both."""
