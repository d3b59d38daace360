"""A conversation as one HTML file that is safe to open and to send.

It has no script, and its policy lets nothing be loaded. Stored text is escaped and never becomes a tag, an attribute's name or
a link. The style is the only one that the policy allows, by its hash.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from typing import TextIO

from chatstore_cli.domain.conversation import Block, BlockKind, ToolDisplay, Turn
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.conversation.heading import (
    EMPTY,
    Calendar,
    facts_of,
    label_of,
    lines_of,
    speaker_of,
    title_of,
)
from chatstore_cli.render.conversation.style import STYLE
from chatstore_cli.render.conversation.wrapping import cut
from chatstore_cli.render.listing import Terminal
from chatstore_cli.render.safe import sanitize_line, sanitize_text

_FOLDED = 120
_POLICY = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


def write_html(session: Session, turns: Iterable[Turn], tools: ToolDisplay, stream: TextIO, terminal: Terminal) -> None:
    """Write the whole file, each turn as it comes."""
    policy = _POLICY.format(b64encode(sha256(STYLE.encode()).digest()).decode())
    title = _line(title_of(session))
    stream.write(
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n<header>\n<h1><bdi>{title}</bdi></h1>\n<dl>\n"
    )
    for fact in facts_of(session, terminal.times):
        stream.write(f"<div><dt>{_line(fact.title)}</dt><dd><bdi>{_line(fact.text)}</bdi></dd></div>\n")
    stream.write("</dl>\n</header>\n")
    calendar = Calendar(terminal.times)
    in_day = False
    for turn in turns:
        if (day := calendar.new_day(turn.message)) is not None:
            stream.write(f"{'</section>' * in_day}\n<section>\n<h2>{_line(day)}</h2>\n")
            in_day = True
        stream.writelines(_turn(turn, calendar, tools))
    stream.write(f"{'</section>' * in_day}\n</main>\n</body>\n</html>\n")


def _turn(turn: Turn, calendar: Calendar, tools: ToolDisplay) -> Iterator[str]:
    message = turn.message
    role = message.role if message.role in ROLES else "other"
    time = _line(calendar.time(message))
    instant = rfc3339(message.created_at)
    shown_time = f'<time datetime="{instant}">{time}</time>' if instant is not None else f"<span>{time}</span>"
    name = _line(speaker_of(message))
    speaker = f'<span class="role">{_line(message.role)}</span>' + (f" <bdi>{name}</bdi>" if name else "")
    yield f'<article class="{role}">\n<h3>{speaker} {shown_time}</h3>\n'
    for block in turn.blocks:
        yield _block(block, tools)
    if not turn.blocks:
        yield f'<p class="note">{EMPTY}</p>\n'
    yield "</article>\n"


def _block(block: Block, tools: ToolDisplay) -> str:
    text = escape(sanitize_text(lines_of(block.text)))
    if block.kind is BlockKind.TEXT:
        return f'<div class="text" lang="" dir="auto">{text}</div>\n'
    if block.kind is BlockKind.MEDIA:
        return f'<p class="note">{_line(block.text)}</p>\n'
    if block.kind is BlockKind.DATA:
        return f'<pre lang="">{text}</pre>\n'
    name = f" <code>{_line(block.name)}</code>" if block.name else ""
    start = cut(sanitize_line(block.text[: _FOLDED * 8]), _FOLDED)
    summary = f'{label_of(block)}{name} <span class="start" lang="">{escape(start)}</span>'
    is_open = " open" if tools is ToolDisplay.FULL else ""
    return f'<details{is_open}><summary>{summary}</summary><pre lang="">{text}</pre></details>\n'


def _line(text: str) -> str:
    return escape(sanitize_line(text))
