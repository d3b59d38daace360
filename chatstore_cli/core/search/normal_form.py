"""A text in NFC, with the way back to the positions in the text as it is stored."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import cache, cached_property

_RUN = re.compile("[\\x00-\\x7f]?[^\\x00-\\x7f]+")
"""Characters outside ASCII with the letter before them, which their accents may belong to."""


MOST_ACCENTS = 64


@cache
def _many_accents() -> re.Pattern[str]:
    # Of the rare characters above U+FFFF, those that may be accents count as such: a set of them would be slow to search.
    accents = "".join(character for code in range(0x300, 0x10000) if unicodedata.combining(character := chr(code)))
    return re.compile(f"[{accents}]{{{MOST_ACCENTS + 1}}}|[\U000101fd-\U0001e94a]{{{MOST_ACCENTS + 1}}}")


class NormalForm:
    """A text in NFC. An accent may be one character in it, and two where the text is stored.

    A text with more than MOST_ACCENTS in one place stays as it is stored: the time that Python needs to sort them grows
    with the square of their number, to minutes for a text of 200 KB.
    """

    def __init__(self, stored: str) -> None:
        self._stored = stored
        is_kept = stored.isascii() or _many_accents().search(stored) is not None
        self.text = stored if is_kept else unicodedata.normalize("NFC", stored)

    @cached_property
    def _changed(self) -> list[tuple[int, int, int, int]]:
        """Runs of characters that changed: beginning and end in the text in NFC, then in the stored text."""
        changed: list[tuple[int, int, int, int]] = []
        shorter = 0
        for match in _RUN.finditer(self._stored) if self.text != self._stored else ():
            run = match[0]
            normal = unicodedata.normalize("NFC", run)
            if normal != run:
                start = match.start() - shorter
                changed.append((start, start + len(normal), match.start(), match.end()))
                shorter += len(run) - len(normal)
        return changed

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
