"""A text in NFC, with the way back to the positions in the text as it is stored."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import cache, cached_property

_ASCII = re.compile("[\\x00-\\x7f]")
"""A text can be divided before such a character: NFC never joins it with the one before it."""
_BLOCK = 1000
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
    def _blocks(self) -> tuple[list[int], list[int]]:
        """Where the text can be divided: positions in NFC, and the same ones in the stored text."""
        normal, stored = [0], [0]
        while stored[-1] < len(self._stored):
            letter = _ASCII.search(self._stored, stored[-1] + _BLOCK)
            end = len(self._stored) if letter is None else letter.start()
            normal.append(normal[-1] + _length(self._stored[stored[-1] : end]))
            stored.append(end)
        return normal, stored

    def stored_span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the text in NFC, which is not empty, is in the stored text."""
        if self.text == self._stored:
            return start, end
        return self._stored_position(start, is_end=False), self._stored_position(end, is_end=True)

    def _stored_position(self, position: int, *, is_end: bool) -> int:
        """A position inside an accented letter is its beginning, or its end for the end of a part."""
        normal, stored = self._blocks
        index = min(bisect_right(normal, position) - 1, len(stored) - 2)
        block = self._stored[stored[index] : stored[index + 1]]
        wanted = position - normal[index]
        length = bisect_right(range(len(block) + 1), wanted, key=lambda count: _length(block[:count])) - 1
        return stored[index] + length + (is_end and _length(block[:length]) < wanted)


def _length(stored: str) -> int:
    return len(unicodedata.normalize("NFC", stored))
