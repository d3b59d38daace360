"""A conversation as text for a terminal. In a pipe, lines are neither wrapped nor coloured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from chatstore_cli.domain.conversation import Block, BlockKind, ToolDisplay, Turn
from chatstore_cli.domain.session import Session
from chatstore_cli.render.conversation.heading import EMPTY, Calendar, facts_of, lines_of, speaker_of
from chatstore_cli.render.conversation.wrapping import cut, wrapped
from chatstore_cli.render.listing import Terminal
from chatstore_cli.render.safe import sanitize_line, sanitize_text
from chatstore_cli.render.widths import GAP, padded, width_of

_INDENT = "    "
_MARKS = {BlockKind.CALL: "\u2192", BlockKind.RESULT: "\u2190", BlockKind.THINKING: "\u2026"}
_ROLE_COLORS = {"user": "36", "assistant": "32", "system": "33", "tool": "35"}
_BOLD, _DIM = "1", "2"
_FOLDED_IN_PIPE = 160
_NARROWEST = 20
"""Terminal cells of text that a line has at least, in a terminal of any width."""


def write_terminal(
    session: Session, turns: Iterable[Turn], tools: ToolDisplay, stream: TextIO, terminal: Terminal
) -> None:
    """Write the facts of the session, then each turn as it comes."""
    page = _Page(tools, terminal)
    stream.writelines(f"{line}\n" for line in page.facts(session))
    for turn in turns:
        stream.writelines(f"{line}\n" for line in page.turn(turn))


class _Page:
    def __init__(self, tools: ToolDisplay, terminal: Terminal) -> None:
        self._tools = tools
        self._terminal = terminal
        self._calendar = Calendar(terminal.times)
        # The last column stays free: some terminals break a line that fills it.
        self._width = max(terminal.width - 1, _NARROWEST) if terminal.is_terminal else None

    def facts(self, session: Session) -> Iterator[str]:
        facts = facts_of(session, self._terminal.times)
        widest = max(width_of(fact.title) for fact in facts)
        for fact in facts:
            title = padded(fact.title, widest, "left")
            room = None if self._width is None else max(self._width - widest - len(GAP), _NARROWEST)
            first, *rest = wrapped(sanitize_line(fact.text), room)
            yield f"{self._styled(title, _BOLD)}{GAP}{first}"
            yield from (" " * (widest + len(GAP)) + line for line in rest)

    def turn(self, turn: Turn) -> Iterator[str]:
        message = turn.message
        if (day := self._calendar.new_day(message)) is not None:
            yield ""
            yield self._styled(self._rule(day), _BOLD)
        yield ""
        yield self._heading(turn)
        for block in turn.blocks:
            yield from self._block(block)
        if not turn.blocks:
            yield self._styled(_INDENT + EMPTY, _DIM)

    def _rule(self, day: str) -> str:
        start = f"\u2500\u2500 {day} "
        return start + "\u2500" * max(2, (self._width or 0) - width_of(start))

    def _heading(self, turn: Turn) -> str:
        message = turn.message
        role = sanitize_line(message.role)
        name = sanitize_line(speaker_of(message))
        color = _ROLE_COLORS.get(message.role, "")
        time = self._calendar.time(message)
        if self._width is not None:
            room = max(self._width - width_of(time) - len(GAP), _NARROWEST)
            role = cut(role, room)
            name = cut(name, room - width_of(role) - 1) if room - width_of(role) > 4 else ""
        speaker = self._styled(role, color) + (f" {self._styled(name, f'{_BOLD};{color}')}" if name else "")
        return f"{self._styled(time, _DIM)}{GAP}{speaker}"

    def _block(self, block: Block) -> Iterator[str]:
        text = lines_of(block.text)
        if block.kind in _MARKS and self._tools is not ToolDisplay.FULL:
            yield self._styled(_INDENT + self._folded(block, text), _DIM)
            return
        indent = _INDENT
        if block.kind in _MARKS:
            yield self._styled(_INDENT + self._folded(block._replace(text=""), ""), _DIM)
            indent = _INDENT * 2
        room = None if self._width is None else max(self._width - len(indent), _NARROWEST)
        style = _DIM if block.kind in (BlockKind.MEDIA, BlockKind.DATA) else ""
        for line in wrapped(sanitize_text(text), room):
            yield self._styled(f"{indent}{line}", style) if line else ""

    def _folded(self, block: Block, text: str) -> str:
        """A tool call, a result or thinking in one line."""
        room = _FOLDED_IN_PIPE if self._width is None else max(self._width - len(_INDENT), _NARROWEST)
        start = text[: room * 8]
        known = (_MARKS[block.kind], block.name or ("thinking" if block.kind is BlockKind.THINKING else ""), start)
        line = sanitize_line(" ".join(part for part in known if part))
        return cut(line, room) if len(start) == len(text) else cut(line + " " * room, room)

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if style and self._terminal.color and text else text
