"""Finds IBANs: the length of the country and the check digits decide."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatstore_cli.core.personal_data.spans import Span

KIND = "iban"
_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21, "CR": 22,
    "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22,
    "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "JO": 30,
    "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MT": 31,
    "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
_SEPARATOR = r"(?:[ \u00a0\u2009\u202f.\u2010-\u2015-]|%20)?"
_START = re.compile(rf"(?<![A-Za-z0-9])([A-Za-z]{{2}}){_SEPARATOR}[0-9]{_SEPARATOR}[0-9]")
_NEXT = re.compile(rf"{_SEPARATOR}([A-Za-z0-9])")


def find_ibans(text: str) -> Iterator[Span]:
    """The IBANs of a text, with or without separators."""
    for match in _START.finditer(text):
        length = _LENGTHS.get(match[1].upper())
        if length is None:
            continue
        digits = match[1].upper() + "".join(character for character in match[0][2:] if character in "0123456789")
        digits = digits[:2] + digits[-2:]
        end = match.end()
        while len(digits) < length and (following := _NEXT.match(text, end)) is not None:
            digits += following[1].upper()
            end = following.end()
        if len(digits) == length and not text[end : end + 1].isalnum() and _is_valid(digits):
            yield Span(match.start(), end, KIND, digits)


def _is_valid(iban: str) -> bool:
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1
