"""Stored text is hostile (DESIGN section 4, promise 5): make it safe to print.

A terminal obeys control sequences, and bidirectional overrides make text read as what it is not. Both are replaced
by visible escapes. A spreadsheet runs a cell that begins like a formula; such a cell is prefixed with an apostrophe.
"""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 and C1 controls, among them escape, backspace and CSI
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # bidirectional marks, embeddings, overrides, isolates
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line and paragraph separators, byte order mark, interlinear marks
    "\U000e0000-\U000e007f"  # tag characters: invisible text
    "\ud800-\udfff]"  # surrogates: no encoding can print them
)
_NAMED = {"\n": "\u21b5", "\t": " ", "\r": ""}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def sanitize_line(text: str) -> str:
    """The text on one line, with nothing in it that a terminal obeys. A line break shows as an arrow."""
    return UNSAFE.sub(lambda match: _NAMED[match[0]] if match[0] in _NAMED else _escaped(match[0]), text)


def sanitize_text(text: str) -> str:
    """The text with its line breaks and tabs kept, and nothing else in it that a terminal obeys."""
    return UNSAFE.sub(lambda match: match[0] if match[0] in "\n\t" else _escaped(match[0]), text)


def sanitize_csv_cell(text: str) -> str:
    """The text as a cell that no spreadsheet runs as a formula, and no terminal obeys; a plain number stays a number."""
    if text.lstrip(" ").startswith(_FORMULA_STARTS) and not _is_number(text):
        return "'" + sanitize_text(text)
    return sanitize_text(text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", text) is not None


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
