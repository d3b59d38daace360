"""A text in NFC, with the way back to the positions in the text as it is stored."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

_RUN = re.compile("[\\x00-\\x7f]?[^\\x00-\\x7f]+")
"""Characters outside ASCII with the letter before them, which their accents may belong to."""


class NormalForm:
    """A text in NFC. An accent may be one character in it, and two where the text is stored."""

    def __init__(self, stored: str) -> None:
        self._stored = stored
        self._changed: list[tuple[int, int, int, int]] = []
        """Runs that changed: beginning and end in the text in NFC, then in the stored text."""
        self.text = stored if stored.isascii() or unicodedata.is_normalized("NFC", stored) else self._normalized()

    def _normalized(self) -> str:
        parts: list[str] = []
        copied = length = 0
        for match in _RUN.finditer(self._stored):
            run = match[0]
            normal = unicodedata.normalize("NFC", run)
            if normal == run:
                continue
            before = self._stored[copied : match.start()]
            length += len(before)
            self._changed.append((length, length + len(normal), match.start(), match.end()))
            parts += [before, normal]
            length += len(normal)
            copied = match.end()
        return "".join([*parts, self._stored[copied:]])

    def stored_span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the text in NFC, which is not empty, is in the stored text."""
        return self._stored_position(start, is_end=False), self._stored_position(end, is_end=True)

    def _stored_position(self, position: int, *, is_end: bool) -> int:
        index = bisect_right(self._changed, (position - is_end, len(self.text) + 1)) - 1
        if index < 0:
            return position
        start, end, stored_start, stored_end = self._changed[index]
        if position >= end:
            return stored_end + position - end
        length = _length_before(self._stored[stored_start:stored_end], position - start, is_end=is_end)
        return stored_start + length


def _length_before(stored: str, count: int, *, is_end: bool) -> int:
    """How many characters of `stored` become the first `count` of its NFC.

    Characters become one in groups: a letter with its accents, the parts of a Korean syllable. A position inside a group
    that has changed is its beginning, or its end for the end of a part.
    """
    read = written = 0
    while written < count and read < len(stored):
        end = read + 1
        while end < len(stored) and _belongs_to(stored[read:end], stored[end]):
            end += 1
        length = len(unicodedata.normalize("NFC", stored[read:end]))
        if written + length > count and (length == end - read or not is_end):
            return read + (count - written if length == end - read else 0)
        written += length
        read = end
    return read


def _belongs_to(group: str, character: str) -> bool:
    if unicodedata.combining(character):
        return True
    alone = unicodedata.normalize("NFC", group) + unicodedata.normalize("NFC", character)
    return unicodedata.normalize("NFC", group + character) != alone
