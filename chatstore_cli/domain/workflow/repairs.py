"""Changes that make a history acceptable to another program: they are counted, and reported at the end."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum


class Repair(StrEnum):
    """One kind of change; the value describes it, for a report."""

    CALL_UNREADABLE = "Unreadable tool calls that were left out"
    CALL_ID_CHANGED = "Tool calls whose id was shortened or changed, because it was not allowed or another call had it"
    TOOL_NAME_CHANGED = "Tool calls whose tool's name was changed to allowed characters"
    ARGUMENTS_CHANGED = "Tool calls whose arguments were not a JSON object and became one"
    CALL_UNANSWERED = "Tool calls without a result that got a placeholder result"
    RESULT_MOVED = "Tool results that were moved directly after their call"
    RESULT_ORPHANED = "Tool results without their call that became user messages"
    ROLE_UNKNOWN = "Messages with an unknown role that got the role user"
    SPEAKER_MISSING = "Messages without a speaker that were named after their role"
    TOOL_AS_SPEAKER = "Tool results with the name of the tool as their speaker, which AG2 takes for an agent"
    NAME_CHANGED = "Messages with a speaker's name that was changed to allowed characters"
    NESTED = "Messages of nested chats that were left out"
    PARTS_TRIMMED = "Messages with parts that AG2 does not accept, which were left out"
    MEDIA_REPLACED = "Pictures, sounds and files that were replaced by a short text with type and size"
    THINKING_LEFT_OUT = "Thinking parts and signatures of models that were left out"
    CONTENT_FLATTENED = "Messages with content that was converted to text"
    TEXT_UNWRITABLE = "Messages with characters or numbers that JSON cannot hold, which were replaced"


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
