"""Regular expressions that a server can filter by: each matches wherever the matcher could find a hit.

They are plain enough for MongoDB (PCRE) and PostgreSQL. A filter may match more than the matcher, never less: it has no
limits of words, and an accented letter matches in each of its forms. A text can be stored inside JSON, for example in the
arguments of a tool call, where a character outside ASCII is often an escape, such as `\\\\u00e9`, or a sign has a
backslash. Only letters and digits of ASCII are expected without an escape. The sign for kelvin (U+212A) and the long s (U+017F) are
a k and an s for the matcher; a filter finds them if its server does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import chain

from chatstore_cli.core.search.words import small_letters

_LONGEST = 40
"""Characters of a word or text that a pattern has. The rest only makes it longer."""
_ANY = ".{1,12}"
"""One character that is not a letter or digit: itself, or an escape of at most 12 characters."""
_ANY_ACCENTS = ".{1,24}"
"""One character, or the up to three of which it can be composed, each as an escape or not."""
_FOLDED_ALIKE = {
    "\u00e5": "\u212b", "\u00df": "\u1e9e", "\u03b2": "\u03d0", "\u03b5": "\u03f5",
    "\u03b8": "\u03d1\u03f4", "\u03b9": "\u0345\u1fbe", "\u03ba": "\u03f0", "\u03bc": "\u00b5", "\u03c0": "\u03d6",
    "\u03c1": "\u03f1", "\u03c3": "\u03c2", "\u03c6": "\u03d5", "\u03c9": "\u2126", "\u1e61": "\u1e9b",
}  # fmt: skip
"""Characters that case folding makes equal to another one, beside its capital letter."""


def patterns_of(texts: Iterable[str]) -> tuple[str, ...]:
    """A pattern for each text, without those that would match nearly everything. No pattern crosses a line."""
    lines = (line for text in texts for line in unicodedata.normalize("NFC", text).splitlines())
    return tuple(dict.fromkeys(filter(None, map(_pattern, lines))))


def _pattern(line: str) -> str:
    characters = small_letters(line)[:_LONGEST]
    is_rare = any(map(unicodedata.combining, characters))  # such marks can be stored in several orders
    forms = [_ANY_ACCENTS if is_rare and not character.isascii() else _forms(character) for character in characters]
    while forms and forms[0].startswith("."):
        del forms[0]
    while forms and forms[-1].startswith("."):
        del forms[-1]
    return "".join(forms)


def _forms(character: str) -> str:
    """A pattern for the character in either case, composed or not, as itself or as an escape of JSON."""
    if character.isascii():
        return character if character.isalnum() or character in "_ " else _ANY
    cases = [character, *_FOLDED_ALIKE.get(character, ""), character.upper(), character.title()]
    equal = dict.fromkeys(case for case in cases if small_letters(case) == character)
    forms = sorted({form for case in equal for form in _equivalents(case)})
    return f"(?:{'|'.join(''.join(map(_written, form)) for form in forms)})"


def _written(character: str) -> str:
    """A pattern for one character, as itself or as an escape of JSON, and for those that NFC replaces by it."""
    if character.isascii():
        return character
    same = [character, *_replaced_by_nfc().get(character, "")]
    return "|".join(f"{each}|{_escaped(each)}" for each in same).join(("(?:", ")"))


@cache
def _replaced_by_nfc() -> dict[str, str]:
    """For characters that have a twin, which NFC replaces by them, all their twins."""
    twins: dict[str, str] = {}
    for code in chain(range(0x340, 0x388), range(0x1F71, 0x2330), range(0xF900, 0xFB00), range(0x2F800, 0x2FA20)):
        normal = unicodedata.normalize("NFC", chr(code))
        if len(normal) == 1 and normal != chr(code):
            twins[normal] = twins.get(normal, "") + chr(code)
    return twins


def _equivalents(character: str) -> set[str]:
    """The texts that have this character as their NFC."""
    parts = unicodedata.normalize("NFD", character)
    texts = {character, parts}
    if len(parts) == 3:
        first, second, third = list(parts)
        for one, other in ((second, third), (third, second)):
            texts |= {first + one + other, unicodedata.normalize("NFC", first + one) + other}
    composed = unicodedata.normalize("NFC", character)
    return {text for text in texts if unicodedata.normalize("NFC", text) == composed}


def _escaped(text: str) -> str:
    """The text with every character outside ASCII as JSON escapes it, as a pattern."""
    units = text.encode("utf-16-be")
    codes = [int.from_bytes(units[start : start + 2]) for start in range(0, len(units), 2)]
    return "".join(chr(code) if code < 0x80 else rf"\\u{code:04x}" for code in codes)
