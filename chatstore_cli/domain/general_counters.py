"""Faults in the numbers and ids of general chats in old data, and the ports that find and correct them."""

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
    """Several counters of one tenant and user. A merge keeps the leading counter, and deletes the others."""

    tenant: str
    user: str
    kept: StoredCounter
    deleted: tuple[StoredCounter, ...]

    @property
    def plan(self) -> str:
        """The merge as text without a full stop. A number in parentheses is the counter's `sequence`."""
        others = ", ".join(map(str, self.deleted))
        return f"tenant {self.tenant!r}, user {self.user!r}: keeps counter {self.kept}, deletes {others}"


class CounterMerges(Protocol):
    """Finds and merges doubled counters. Old data has some, because the platform's unique index was never created."""

    collection: str

    def doubled(self, tenant_field: str) -> list[DoubledCounters] | None:
        """The counters with the same tenant in this field, and the same user; None after the time limit."""

    def merge(self, counters: DoubledCounters) -> None:
        """Delete the counters that are not kept. Raises Conflict if another counter leads now."""


class LaggingCounter(NamedTuple):
    """A tenant and user whose counters are all below the highest number of their chats. Without a counter, it is None."""

    tenant: str
    user: str
    counter: int | None
    highest: int


class NumberSample(NamedTuple):
    """The result of a sample of chats: the number of chats, and the counters that are below their numbers."""

    looked_at: int
    lagging: list[LaggingCounter]


class CollidedChat(NamedTuple):
    """A chat whose id was given to other pairs of tenant and user too."""

    chat_id: str
    others: tuple[tuple[str, str], ...]


class CollisionSample(NamedTuple):
    """The result of a sample of chats: the number of chats, and those with a collided id."""

    looked_at: int
    collided: list[CollidedChat]


class GeneralChatSamples(Protocol):
    """Checks random general chats. The methods return None after the time limit."""

    def numbers(self) -> NumberSample | None:
        """Counters that are below the numbers of chats, for example after a restore."""

    def collisions(self) -> CollisionSample | None:
        """Chats whose id the platform gave to two pairs of tenant and user."""
