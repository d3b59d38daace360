"""Makes stored text safe to print. Its authors are not trusted.

A terminal executes control sequences, and bidirectional overrides make text look like other text. Both are replaced by
visible escapes. A spreadsheet executes a cell that begins like a formula: such a cell gets an apostrophe in front.
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
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_REPLACEMENTS = {"\n": "\u21b5", "\t": " ", "\r": ""}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def sanitize_line(text: str) -> str:
    """The text on one line, without control characters. A line break is shown as an arrow."""
    return UNSAFE.sub(lambda match: _REPLACEMENTS[match[0]] if match[0] in _REPLACEMENTS else _escaped(match[0]), text)


def sanitize_text(text: str) -> str:
    """The text without control characters other than line breaks and tabs."""
    return UNSAFE.sub(lambda match: match[0] if match[0] in "\n\t" else _escaped(match[0]), text)


def sanitize_csv_cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula. A number remains a number."""
    if text.lstrip(" ").startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return "'" + sanitize_text(text)
    return sanitize_text(text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
