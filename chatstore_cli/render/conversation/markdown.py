"""A conversation as Markdown for a ticket.

Stored text is in code blocks, and names and ids in code spans. There no markup, link, mention or reference of an issue has an
effect, in any of the dialects that trackers have, and the text needs no escapes that make it hard to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TextIO

from chatstore_cli.domain.conversation import Block, BlockKind, ToolDisplay, Turn
from chatstore_cli.domain.session import Session
from chatstore_cli.render.conversation.heading import EMPTY, Calendar, facts_of, label_of, lines_of, speaker_of
from chatstore_cli.render.conversation.wrapping import cut, wrapped
from chatstore_cli.render.listing import Terminal
from chatstore_cli.render.safe import sanitize_line, sanitize_text

_WIDTH = 80
"""Code blocks do not wrap, so lines are broken at this width. -o json has every line as it is stored."""
_FOLDED = 160


def write_markdown(
    session: Session, turns: Iterable[Turn], tools: ToolDisplay, stream: TextIO, terminal: Terminal
) -> None:
    """Write the facts of the session, then each turn as it comes."""
    stream.write(f"# Conversation {code_span(session.session_id)}\n\n")
    facts = facts_of(session, terminal.times)[1:]
    stream.writelines(f"- {fact.title}: {code_span(fact.text)}\n" for fact in facts)
    calendar = Calendar(terminal.times)
    for turn in turns:
        if (day := calendar.new_day(turn.message)) is not None:
            stream.write(f"\n## {day}\n")
        speaker = speaker_of(turn.message)
        role = code_span(turn.message.role) if not turn.message.role.isalpha() else turn.message.role
        stream.write(f"\n### {calendar.time(turn.message)} {role}{f' {code_span(speaker)}' if speaker else ''}\n")
        for block in turn.blocks:
            stream.writelines(_block(block, tools))
        if not turn.blocks:
            stream.write(f"\n{EMPTY}\n")


def _block(block: Block, tools: ToolDisplay) -> Iterator[str]:
    text = lines_of(block.text)
    if block.kind in (BlockKind.MEDIA, BlockKind.DATA):
        yield f"\n{code_span(cut(text, _FOLDED) if block.kind is BlockKind.MEDIA else text)}\n"
    elif block.kind is BlockKind.TEXT:
        yield "\n"
        yield from code_block(text)
    else:
        name = f" {code_span(block.name)}" if block.name else ""
        yield f"\n{label_of(block)}{name}"
        if tools is ToolDisplay.FULL:
            yield "\n\n"
            yield from code_block(text)
        else:
            start = sanitize_line(text[: _FOLDED * 8])
            yield f": {code_span(cut(start, _FOLDED))}\n" if start else "\n"


def code_block(text: str) -> Iterator[str]:
    """The text in a code block, whose fence is longer than every fence in the text."""
    safe = sanitize_text(text)
    fence = min(("`" * _fence_length(safe, "`"), "~" * _fence_length(safe, "~")), key=len)
    yield f"{fence}text\n"
    for line in wrapped(safe, _WIDTH):
        yield f"{line}\n"
    yield f"{fence}\n"


def code_span(text: str) -> str:
    """The text in a code span on one line; its delimiter does not occur in the text."""
    safe = sanitize_line(text)
    runs = {len(run) for run in re.findall("`+", safe)}
    length = next(length for length in range(1, len(runs) + 2) if length not in runs)
    space = " " if safe.startswith(("`", " ")) or safe.endswith(("`", " ")) else ""
    return f"{'`' * length}{space}{safe}{space}{'`' * length}" if safe.strip() else EMPTY


def _fence_length(text: str, sign: str) -> int:
    return max(3, max(map(len, re.findall(f"{sign}+", text)), default=0) + 1)
