"""Files in a folder of journals that are not read, counted by reason."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

_MOST_EXAMPLES = 3


class IgnoreReason(StrEnum):
    """Why a scan of a folder does not read something."""

    OTHER_NAME = "other_name"
    HIDDEN_FOLDER = "hidden_folder"
    NOT_REGULAR = "not_regular"


_WORDS = {
    IgnoreReason.OTHER_NAME: ("file does not have a journal's name", "files do not have a journal's name"),
    IgnoreReason.HIDDEN_FOLDER: ("folder is hidden", "folders are hidden"),
    IgnoreReason.NOT_REGULAR: ("is not a regular file", "are not regular files"),
}
JOURNAL_NAMES = "A journal is a file named *.jsonl, also rotated (*.jsonl.1, *.jsonl-20261128) or compressed (.gz)."
TO_READ_THEM = "If one of them is a journal, rename it."


class IgnoredFiles(NamedTuple):
    """How many files were ignored for one reason, with the paths of the first ones below the scanned folder."""

    reason: IgnoreReason
    files: int
    examples: Sequence[str]


class IgnoredCount:
    """Counts ignored files while folders are scanned."""

    def __init__(self) -> None:
        self._examples: dict[IgnoreReason, list[str]] = {}
        self._counts: dict[IgnoreReason, int] = {}

    def add(self, reason: IgnoreReason, path: str) -> None:
        """Count a file."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _MOST_EXAMPLES:
            examples.append(path)

    def by_reason(self) -> list[IgnoredFiles]:
        """What was counted, in a fixed order."""
        counts = self._counts
        return [IgnoredFiles(reason, counts[reason], self._examples[reason]) for reason in _WORDS if reason in counts]


def describe_ignored(ignored: Sequence[IgnoredFiles]) -> str:
    """Ignored files in words, for example `3 files do not have a journal's name (a.json, b.log, c.txt)`."""
    return "; ".join(
        f"{group.files:,} {_WORDS[group.reason][group.files != 1]}"
        f" ({', '.join(group.examples)}{', …' if group.files > len(group.examples) else ''})"
        for group in ignored
    )


def ignored_notice(ignored: Sequence[IgnoredFiles]) -> str:
    """The notice about ignored files."""
    return f"Ignored: {describe_ignored(ignored)}. {JOURNAL_NAMES}"
