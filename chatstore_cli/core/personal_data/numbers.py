"""Finds phone numbers and card numbers.

Both are groups of digits with separators between them, and so are dates, order numbers and counters. A number is taken for
a phone number if it begins with `+` or 00 and a country, is grouped as a national number is, or follows a word such as
"phone". A card number has the first digits and the length of a card, and its check digit is right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from chatstore_cli.core.personal_data.spans import Span

PHONE = "phone"
CARD = "card"

_SIGN = r"[ \u00a0\u00ad\u2000-\u200d\u202f\u2060\u3000./()\u00b7\u2022\u2010-\u2015\u2212-]|%20|%2[dD89]"
_RUN = re.compile(rf"(?P<plus>[+\uff0b]|%2[bB]|\\u002[bB]|&#43;)?(?:{_SIGN})?\d(?:(?:{_SIGN}){{0,3}}\d)+")
_ENOUGH_DIGITS = re.compile(r"\d(?:(?:\W|%2[dD89]){0,4}\d){6}")
_GROUP = re.compile(r"%[0-9A-Fa-f]{2}|\d+")
_PROTECTED = re.compile(
    r"(?<![\w-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?!\w)"  # UUIDs
    r"|(?<![0-9A-Za-z])(?=[0-9]*[a-fA-F])[0-9a-fA-F]{16,}(?![0-9A-Za-z])"  # ObjectIds, hashes
    r"|(?<!\d)(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ][0-2]\d:?[0-5]\d(?::?[0-5]\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)"
    r"|(?<![\d./-])[0-3]?\d([./-])[0-3]?\d\1(?:19|20)\d\d(?![\d/-])"  # dates
    r"|(?<![\d./])[0-3]?\d([./-])[0-3]?\d\2\d\d(?!\2?\d)"
    r"|(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"  # IPv4 addresses
)
_CONTEXT = re.compile(
    r"(?i)(?:(?<=[a-z])(?-i:Phone|Mobile|Fax|Tel)|(?<![^\W_])(?:(?:tele|cell|i)?phones?|tel|telefon\w{0,8}|t\u00e9l\u00e9phones?|tel\u00e9fono|telefone|m\u00f3vil|celular"
    r"|mobile|mobil\w{0,8}|handy\w{0,6}|cell|landline|fax|whatsapp|wa|sms|msisdn|hotline|callback|rufnummer"
    r"|my number|call (?:me|us|him|her|them)(?: back)?|text me|reach me|\u7535\u8bdd|\u96fb\u8a71|\u624b\u673a|\u624b\u6a5f|\u643a\u5e2f))"
    # What may be between the word and the number.
    r"(?:[\s:=.,'\"\\#*_()\uff1a-]|(?:%20|numbers?|numero|n\u00famero|num|nummer|nr|no|is|ist|es|est|at|on|under|unter|me|it|are|%3[aAdD]))*$"
)
_CONTEXT_WINDOW = 48

_CARD = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|22[2-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|3(?:0[0-5]|095|[689]\d)\d{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50[1-9]\d|5[6-8]\d\d|6[37]\d\d)\d{12,15}"  # Maestro
)
_CARD_GROUPS = (4, 5, 6, 7)
_LONGEST_CARD = 19
_LONGEST_PHONE = 15


class Group(NamedTuple):
    """Digits without a separator, in ASCII, at their place in the text."""

    start: int
    end: int
    digits: str
    separator: str
    """What is between the group before and this one."""


def find_numbers(text: str) -> Iterator[Span]:
    """The card numbers and phone numbers of a text."""
    if _ENOUGH_DIGITS.search(text) is None:
        return
    text = _PROTECTED.sub(lambda match: "x" * len(match[0]), text)
    for run in _RUN.finditer(text):
        if sum(character.isdecimal() for character in run[0][:200]) < 7:
            continue
        groups = _groups(text, run)
        first = 0
        has_plus = run["plus"] is not None and text[max(0, run.start() - 1) : run.start()] not in _no_plus_after
        while first < len(groups):
            found = _card_at(groups, first) or _phone_at(text, run, groups, first, plus=has_plus and first == 0)
            if found is None:
                first += 1
                continue
            kind, count = found
            chosen = groups[first : first + count]
            start = run.start() if has_plus and first == 0 else chosen[0].start
            start, end = _with_bracket(text, start, chosen[-1].end)
            digits = "".join(group.digits for group in chosen)
            yield Span(start, end, kind, _key(kind, digits, plus=has_plus and first == 0))
            first += count


def is_phone_number(digits: str) -> bool:
    """Whether text or a number under a name such as `phone` is a phone number."""
    return (
        7 <= sum(character.isdecimal() for character in digits) <= _LONGEST_PHONE
        and _ONLY_NUMBER.fullmatch(digits) is not None
    )


_ONLY_NUMBER = re.compile(rf"\s*[+\uff0b]?(?:{_SIGN}|\d)+\s*")
_no_plus_after = frozenset("0123456789+" + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _groups(text: str, run: re.Match[str]) -> list[Group]:
    groups: list[Group] = []
    end = run.end("plus") if run["plus"] is not None else run.start()
    for match in _GROUP.finditer(text, end, run.end()):
        if match[0].startswith("%"):
            continue
        digits = match[0] if match[0].isascii() else "".join(str(unicodedata.decimal(each)) for each in match[0])
        groups.append(Group(match.start(), match.end(), digits, text[end : match.start()]))
        end = match.end()
    return groups


def _key(kind: str, digits: str, *, plus: bool) -> str:
    """The same number, written with 00 or `+`, is one value."""
    if kind == CARD:
        return digits
    return "+" + digits if plus else "+" + digits[2:] if digits.startswith("00") else digits


# --- cards ---


def _card_at(groups: Sequence[Group], first: int) -> tuple[str, int] | None:
    """The number of groups that are a card number from this group on."""
    if groups[first].digits[0] not in "23456" or (
        first and len(groups[first].digits) == len(groups[first - 1].digits) == 1
    ):
        return None
    digits = ""
    found = None
    for count, group in enumerate(groups[first : first + _LONGEST_CARD], 1):
        digits += group.digits
        if len(digits) > _LONGEST_CARD:
            break
        if len(digits) >= 13 and _is_card(digits) and _is_grouped_as_card(groups[first : first + count]):
            found = CARD, count
    return found


def _is_grouped_as_card(groups: Sequence[Group]) -> bool:
    sizes = [len(group.digits) for group in groups]
    return len(sizes) == 1 or set(sizes) == {1} or all(size in _CARD_GROUPS for size in sizes[:-1])


def _is_card(digits: str) -> bool:
    if _CARD.fullmatch(digits) is None or len(set(digits)) == 1:
        return False
    doubled = [int(digit) * (1 + position % 2) for position, digit in enumerate(reversed(digits))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0


# --- phones ---


def _phone_at(
    text: str, run: re.Match[str], groups: Sequence[Group], first: int, *, plus: bool
) -> tuple[str, int] | None:
    """The number of groups that are a phone number from this group on."""
    group = groups[first]
    count = None
    if plus:
        if group.digits[0] != "0":
            count = _international(groups)
    elif _continues_a_word(text, groups, first):
        return None
    elif first == 0 and _CONTEXT.search(text[max(0, group.start - _CONTEXT_WINDOW) : group.start].rstrip("(")):
        count = _taken(groups, first, 7, _LONGEST_PHONE)
    if count is None and not plus:
        count = _north_american(groups, first) or _with_trunk_zero(groups, first)
    return None if count is None else (PHONE, count)


def _international(groups: Sequence[Group]) -> int | None:
    """`+` and a country. In North America there are exactly 11 digits, so that digits after them are another number."""
    is_north_american = groups[0].digits.startswith("1")
    if is_north_american and (exact := _taken(groups, 0, 11, 11)) is not None:
        return exact
    return _taken(groups, 0, 8, _LONGEST_PHONE)


def _taken(groups: Sequence[Group], first: int, least: int, most: int) -> int | None:
    """How many groups have together at most `most` digits; None if they have fewer than `least`."""
    total = count = 0
    for group in groups[first : first + most]:
        if total + len(group.digits) > most:
            break
        total += len(group.digits)
        count += 1
    return count if total >= least else None


def _north_american(groups: Sequence[Group], first: int) -> int | None:
    """`212 555 0123`, with or without a 1 in front."""
    if len(groups[first].digits) not in (1, 3):
        return None
    sizes = [len(group.digits) for group in groups[first : first + 4]]
    start = 1 if sizes[:4] == [1, 3, 3, 4] and groups[first].digits == "1" else 0
    if sizes[start : start + 3] != [3, 3, 4] or any(groups[first + start + step].digits[0] in "01" for step in (0, 1)):
        return None
    count = start + 3
    is_longer = first + count < len(groups) and groups[first + count].separator.strip() != ""
    return None if is_longer else count


def _with_trunk_zero(groups: Sequence[Group], first: int) -> int | None:
    """`030 1234567`, `07700 900123`, `01 23 45 67 89` and, with a country, `0049 30 1234567`."""
    digits = groups[first].digits
    if re.match(r"00[1-9]", digits):
        count = _taken(groups, first, 10, 17)
    elif re.match(r"0[1-9]", digits):
        count = _taken(groups, first, 9, 12)
    else:
        return None
    return None if count is None or count < 2 or _is_counting(groups[first : first + count]) else count


_STEPS = ({1}, {2}, {5}, {10})


def _is_counting(groups: Sequence[Group]) -> bool:
    """Whether the groups are numbers in equal steps, such as `01 02 03 04 05`."""
    numbers = [int(group.digits) for group in groups]
    return len(numbers) > 2 and {after - before for before, after in pairwise(numbers)} in _STEPS


def _continues_a_word(text: str, groups: Sequence[Group], first: int) -> bool:
    """Whether the group is the end of a word or of a longer number, such as an order number."""
    if first:
        return groups[first].separator.strip() not in ("", "(")
    before = text[max(0, groups[0].start - 12) : groups[0].start]
    if before != (without_escapes := _ESCAPES_AT_END.sub("", before)):
        return without_escapes[-1:].isdecimal()
    word = before[-2:-1] if before[-1:] in _JOINTS else before[-1:]
    return word.isalnum() or "#" in (word, before[-1:])


_ESCAPES_AT_END = re.compile(r"(?:%[0-9A-Fa-f]{2})+$")
_JOINTS = ("-", "/", ".", "_")


def _with_bracket(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with the bracket before it that is closed in it."""
    if text[start - 1 : start] == "(" and text.count(")", start, end) > text.count("(", start, end):
        return start - 1, end
    return start, end
