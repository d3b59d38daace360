"""Changes that make a history acceptable to another program: they are counted, and reported at the end."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Repair(StrEnum):
    """One kind of change; the value describes it, for a report."""

    CALL_UNREADABLE = "Tool calls that could not be read, left out"
    CALL_UNANSWERED = "Tool calls without a result, given a stand-in that says so"
    RESULT_MOVED = "Tool results that stood further down, moved up to their call"
    RESULT_ORPHANED = "Tool results without their call, turned into user messages"
    ROLE_UNKNOWN = "Messages of an unknown role, taken as the user's"
    SPEAKER_MISSING = "Messages that name no speaker, named after their role"
    NAME_CHANGED = "Messages whose speaker's name was changed to what is allowed"
    NESTED = "Messages of chats nested within a turn, left out"
    PARTS_TRIMMED = "Messages with parts that hold what AG2 does not take, left out of them"
    CONTENT_FLATTENED = "Messages whose content was turned into text"
    TEXT_UNWRITABLE = "Messages with characters or numbers that JSON cannot hold, replaced"


class Repairs:
    """The number of repairs of each kind."""

    def __init__(self) -> None:
        self._counts: Counter[Repair] = Counter()

    def count(self, repair: Repair) -> None:
        """Add one of this kind."""
        self._counts[repair] += 1

    def __getitem__(self, repair: Repair) -> int:
        return self._counts[repair]

    def notes(self) -> list[str]:
        """One line for each kind that occurred."""
        return [f"{repair.value}: {self._counts[repair]}" for repair in Repair if self._counts[repair]]
