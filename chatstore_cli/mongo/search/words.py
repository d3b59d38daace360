"""The words of a search as terms of a text index of MongoDB (version 3, without a language).

Such an index cuts a text where `core/search/words.py` cuts it. It then leaves out the case and most accents, so it finds
more than the matcher. Two things would make it find less, and are excluded here: letters whose capital letters are not
in Unicode 8.0, which the index knows, and letters that are stored composed or not and are not one term for the index.
tests/mongo/search/test_words.py compares every character with a server.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import product
from math import prod

_KNOWN = re.compile(
    "[0-9A-Z_a-z\xaa\xb2-\xb5\xb9-\xba\xbc-\xbe\xc0-\u0250\u0370-\u03ff\u0400-\u052f\u0531-\u0587\u05d0-\u05f2"
    "\u0620-\u0652\u0660-\u0669\u066e-\u06d3\u06f0-\u06f9\u0904-\u0939\u0e01-\u0e4e\u1e00-\u1eff\u20a0-\u20bf"
    "\u2122\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\U0001f000-\U0001faff\U00020000-\U0002ffff]+"
)
"""The characters of the words that an index is asked for."""

_MOST_TERMS = 64


def terms_of(word: str) -> list[str] | None:
    """The terms of which a text has at least one if it has the word, in NFC; None if that is not known."""
    if not _KNOWN.fullmatch(word):
        return None
    if word.isascii():
        return [word]
    forms = [_forms(character) for character in word]
    if prod(map(len, forms)) > _MOST_TERMS:
        return None
    return ["".join(each) for each in product(*forms)]


def _forms(character: str) -> list[str]:
    """The character composed, not composed, and composed in part."""
    parts = unicodedata.normalize("NFD", character)
    if character.isascii() or parts == character:
        return [character]
    forms = {character, parts}
    if len(parts) == 3:
        first, second, third = list(parts)
        for one, other in ((second, third), (third, second)):
            forms |= {first + one + other, unicodedata.normalize("NFC", first + one) + other}
    return sorted(form for form in forms if unicodedata.normalize("NFC", form) == character)
