"""Reads a large JSON text value by value, in little memory, with the line of each value for errors."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from chatstore_cli.domain.errors import InvalidThreadData

LONGEST_VALUE = 128 << 20
"""Characters of one value. The content of a message has at most 12 MiB, which JSON escapes make six times as long."""
_PIECE = 1 << 16
_LONGEST_TOKEN = 16
"""Characters of an incomplete number, word or escape at the end of the buffer."""
_WHITESPACE = " \t\r\n"


class JsonReader:
    """One pass over a stream of UTF-8. Errors are InvalidThreadData that name `source` and the place."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self._stream, self._source = stream, source
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._values = json.JSONDecoder(parse_constant=reject_constant)
        self._text, self._at, self._ended = "", 0, False
        self._lines_before = 0
        self._column_before = 0

    @property
    def line(self) -> int:
        """The line of the value that was read last, or of the next one; the first line is 1."""
        return self._lines_before + self._text.count("\n", 0, self._at) + 1

    def members(self, streamed: str) -> Iterator[tuple[str, Any]]:
        """The members of the object that the text is.

        The value of the member `streamed` is an iterator over its list. Read it to its end before the next member.
        """
        if not self._peek():
            raise InvalidThreadData(what=f"{self._source} is empty.")
        self._expect("{", "a JSON object")
        if not self._skip("}"):
            while True:
                key = self._value()
                if not isinstance(key, str):
                    self.fail(f"a name in quotes is expected, not {json.dumps(key)[:20]}")
                self._expect(":", "a colon")
                if key == streamed:
                    items = self._items()
                    yield key, items
                    for _ in items:
                        raise AssertionError(f"{streamed} was not used up")
                else:
                    yield key, self._value()
                if self._skip("}"):
                    break
                self._expect(",", "a comma or }")
        if self._peek():
            self.fail("the text continues after the end of the object")

    def fail(self, what: str, at: int | None = None, *, hint: str | None = None) -> NoReturn:
        """Raise InvalidThreadData for the present place, or for the place `at` in the buffer."""
        at = self._at if at is None else at
        start = self._text.rfind("\n", 0, at) + 1
        column = at - start + 1 + (self._column_before if not start else 0)
        line = self._lines_before + self._text.count("\n", 0, at) + 1
        raise InvalidThreadData(what=f"{self._source}, line {line}, column {column}: {what}.", hint=hint)

    def _items(self) -> Iterator[Any]:
        self._expect("[", "a list")
        if self._skip("]"):
            return
        while True:
            yield self._value()
            if self._skip("]"):
                return
            self._expect(",", "a comma or ]")

    def _value(self) -> Any:
        if not self._peek():
            self._fail_at_end()
        while True:
            try:
                value, end = self._values.raw_decode(self._text, self._at)
            except RecursionError:
                self.fail("too many levels of lists and objects")
            except json.JSONDecodeError as error:
                self._fail_unless_incomplete(error)
            except ValueError as error:  # NaN, Infinity, or an integer of thousands of digits
                self.fail(f"not JSON ({error})")
            else:
                if end < len(self._text) or self._ended:  # a number at the end of the buffer may continue
                    self._at = end
                    return value
            self._read(max(_PIECE, len(self._text) - self._at))

    def _fail_unless_incomplete(self, error: json.JSONDecodeError) -> None:
        """Return if more text may complete the value that cannot be decoded."""
        is_at_end = error.pos >= len(self._text) - _LONGEST_TOKEN or error.msg.startswith("Unterminated")
        if self._ended and (error.pos == len(self._text) or error.msg.startswith("Unterminated")):
            self._fail_at_end()
        if self._ended or not is_at_end:
            self.fail(f"not JSON ({error.msg[:1].lower()}{error.msg[1:]})", error.pos)
        if len(self._text) - self._at > LONGEST_VALUE:
            self.fail(f"a value has more than {LONGEST_VALUE >> 20} million characters")

    def _fail_at_end(self) -> NoReturn:
        self.fail("the text ends too early: the file is incomplete", len(self._text))

    def _expect(self, character: str, what: str) -> None:
        found = self._peek()
        if not found:
            self._fail_at_end()
        if found != character:
            self.fail(f"{what} is expected, not {found!r}")
        self._at += 1

    def _skip(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _WHITESPACE:
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._read(_PIECE)

    def _read(self, size: int) -> None:
        """Read more, and forget what was used."""
        used = self._text[: self._at]
        lines = used.count("\n")
        self._lines_before += lines
        self._column_before = len(used) - used.rfind("\n") - 1 if lines else self._column_before + len(used)
        piece = self._stream.read(size)
        self._ended = not piece
        try:
            more = self._decoder.decode(piece, final=self._ended)
        except UnicodeDecodeError as error:
            self._text, self._at = self._text[self._at :] + error.object[: error.start].decode(), 0
            what = f"the byte 0x{error.object[error.start]:02x} is not UTF-8"
            self.fail(what, len(self._text), hint="Convert the file to UTF-8, for example with iconv.")
        self._text, self._at = self._text[self._at :] + more, 0


def reject_constant(name: str) -> NoReturn:
    """The `parse_constant` of a JSON decoder: Python reads NaN and Infinity, which are not JSON."""
    raise ValueError(f"{name} is not a JSON number")
