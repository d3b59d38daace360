"""Makes stored text safe to print. Its authors are not trusted.

A terminal executes control sequences, and bidirectional overrides make text look like other text. Both are replaced by
visible escapes. A spreadsheet executes a cell that begins like a formula: such a cell gets an apostrophe in front.
"""

from __future__ import annotations

import re
import unicodedata

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 and C1 controls, among them escape, backspace and CSI
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # bidirectional marks, embeddings, overrides, isolates
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line and paragraph separators, byte order mark, interlinear marks
    "\U000e0000-\U000e007f"  # tag characters: invisible text
    "\ud800-\udfff]"  # surrogates: no encoding can print them
)
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_REPLACEMENTS = {"\n": "\u21b5", "\t": " ", "\r": ""}
_FORMULA_STARTS = frozenset("=+-@\u2212")
_NOT_SEEN = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0080-\U000e0fff"  # characters that most fonts show as nothing
    "\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]"  # spaces that look like others
    "|^ +| +$"
)


def sanitize_line(text: str) -> str:
    """The text on one line, without control characters. A line break is shown as an arrow."""
    return UNSAFE.sub(lambda match: _REPLACEMENTS[match[0]] if match[0] in _REPLACEMENTS else _escaped(match[0]), text)


def sanitize_text(text: str) -> str:
    """The text without control characters other than line breaks and tabs."""
    return UNSAFE.sub(lambda match: match[0] if match[0] in "\n\t" else _escaped(match[0]), text)


def sanitize_id(text: str) -> str:
    """The text with every character escaped that is invisible or looks like a space, so that no two ids look alike."""
    if text.isascii() and text.isprintable() and not text.startswith(" ") and not text.endswith(" "):
        return text
    return _NOT_SEEN.sub(
        lambda match: "".join(map(_escaped, match[0])), UNSAFE.sub(lambda match: _escaped(match[0]), text)
    )


def shell_word(text: str) -> str | None:
    """An id in quotes that Bash and Zsh read as the stored id, such as `$'a\\tb'`; None if a table shows the id as it is."""
    shown = sanitize_id(text)
    if shown == text or "\0" in text:  # no argument of a program can have NUL
        return None
    signs = (_word_sign(sign, is_hidden=sign not in shown or sign == " ") for sign in text)
    return f"$'{''.join(signs)}'"


def _word_sign(sign: str, *, is_hidden: bool) -> str:
    if sign in "\\'":
        return f"\\{sign}"
    if not is_hidden:
        return sign
    code = ord(sign)  # \\x80 and above would be bytes, not characters
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def sanitize_csv_cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula. A number remains a number.

    Spreadsheets skip spaces and invisible characters before a formula, and read a wide or small sign as the usual one.
    """
    if _FORMULA_STARTS.isdisjoint(_first_seen(text)) or _NUMBER.fullmatch(text):
        return sanitize_text(text)
    return "'" + sanitize_text(text)


def _first_seen(text: str) -> str:
    """The first visible character in its usual form; empty if there is none."""
    for character in text:
        if unicodedata.category(character)[0] not in "ZC" and not _NOT_SEEN.match(character):
            return unicodedata.normalize("NFKC", character)
    return ""


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
