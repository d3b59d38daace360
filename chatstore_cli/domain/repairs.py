"""What had to be changed in a history so that another program takes it: counted, and told in the end."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Repair(StrEnum):
    """One kind of change; the value says what was found and what became of it."""

    CALL_UNREADABLE = "tool calls that could not be read, left out"
    CALL_UNANSWERED = "tool calls without a result, given a stand-in that says so"
    RESULT_MOVED = "tool results that stood further down, moved up to their call"
    RESULT_ORPHANED = "tool results without their call, turned into user messages"
    ROLE_UNKNOWN = "messages of an unknown role, taken as the user's"
    SPEAKER_MISSING = "messages that name no speaker, named after their role"
    NAME_CHANGED = "messages whose speaker's name was changed to what is allowed"
    CONTENT_FLATTENED = "messages whose content was turned into text"
    TEXT_UNWRITABLE = "messages with characters or numbers that JSON cannot hold, replaced"


class Repairs:
    """How often each repair was made."""

    def __init__(self) -> None:
        self._counts: Counter[Repair] = Counter()

    def count(self, repair: Repair) -> None:
        """One more of this kind."""
        self._counts[repair] += 1

    def __getitem__(self, repair: Repair) -> int:
        return self._counts[repair]

    def notes(self) -> list[str]:
        """A line for each kind that was made."""
        return [f"{self._counts[repair]} {repair.value}" for repair in Repair if self._counts[repair]]
