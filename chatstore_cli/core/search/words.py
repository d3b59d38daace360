"""What a word is: the one splitter of searches, and the form in which texts are compared.

Words are separated by white space, punctuation and most symbols. An underscore, letters, digits and accents are parts of
a word, and so are an emoji and the symbol of a currency that touch it. These are exactly the separators of text indexes of
MongoDB (version 3, measured with MongoDB 6.0). If this splitter separated at more characters, an index could not find the
word `pizza` in a text where an emoji touches it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_SEPARATORS = (
    r"\t-\r -/:-@\[-^`{-~\x85\xa0-\xa7\xa9\xab-\xae\xb0-\xb1\xb6\xbb\xbf\xd7\xf7"
    "\u037e\u0387\u0589-\u058a\u05be\u05c3\u060c\u061b\u061f\u06d4\u0700-\u070a\u070c\u07f8-\u07f9\u0830-\u083e\u085e"
    "\u0964-\u0965\u0e5a-\u0e5b\u0f08\u0f0d-\u0f12\u104a-\u104b\u1361-\u1368\u1400\u166d-\u166e\u1680\u16eb-\u16ed"
    "\u1735-\u1736\u17d4-\u17d6\u17da\u1802-\u1806\u1808-\u1809\u1944-\u1945\u1aa8-\u1aab\u1b5a-\u1b5b\u1b5d-\u1b5f"
    "\u1c3b-\u1c3f\u1c7e-\u1c7f\u2000-\u200a\u2010-\u2029\u202f-\u203e\u2041-\u2053\u2055-\u205f\u207b\u208b"
    "\u2190-\u245f\u2500-\u2775\u2794-\u2bff\u2e00-\u2e7f\u3000-\u3003\u3008-\u3020\u3030\u30a0\u30fb\ua4fe-\ua4ff"
    "\ua60d-\ua60f\ua6f3-\ua6f7\ua876-\ua877\ua8ce-\ua8cf\ua92f\ua9c7-\ua9c9\uaa5d-\uaa5f\uaadf\uaaf0-\uaaf1\uabeb"
    "\ufd3e-\ufd3f\ufe31-\ufe32\ufe41-\ufe46\ufe50-\ufe52\ufe54-\ufe58\ufe63\uff01-\uff02\uff07\uff0c-\uff0e"
    "\uff1a-\uff1b\uff1f\uff61-\uff65"
)
SEPARATOR = re.compile(f"[{_SEPARATORS}]")
_WORD = re.compile(f"[^{_SEPARATORS}]+")

_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"  # Chinese and Japanese
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)


def words_of(text: str) -> list[str]:
    """The words of a text as they are stored, in NFC."""
    return _WORD.findall(unicodedata.normalize("NFC", text))


def has_script_without_spaces(text: str) -> bool:
    """Whether the text has characters of a script that does not separate words, such as Chinese or Japanese."""
    return _WITHOUT_SPACES.search(text) is not None


def small_letters(text: str) -> str:
    """The text in the form in which case is ignored. It has as many characters, so that positions stay the same.

    It is Unicode's simple case folding: `STRASSE` and `Straße` differ, because that would need two letters for one.
    """
    folded = text.casefold()
    if len(folded) == len(text) and not _OLD_LETTERS.search(
        text
    ):  # no character becomes shorter, so each one became one
        return folded
    return "".join(map(_small_letter, text))


_OLD_LETTERS = re.compile("[\u1c80-\u1c88]")
"""Variants of Cyrillic letters in old books. They are not equal to the letters: indexes of MongoDB do not know them."""


@cache
def _small_letter(character: str) -> str:
    if _OLD_LETTERS.match(character):
        return character
    folded = character.casefold()
    if len(folded) == 1:
        return folded
    lower = character.lower()
    return lower if len(lower) == 1 else character
