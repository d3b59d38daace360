"""The writers of conversations by output format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TextIO

from chatstore_cli.domain.conversation import ToolDisplay, Turn
from chatstore_cli.domain.session import Session
from chatstore_cli.render.conversation.html import write_html
from chatstore_cli.render.conversation.markdown import write_markdown
from chatstore_cli.render.conversation.terminal import write_terminal
from chatstore_cli.render.listing import Terminal
from chatstore_cli.render.output_format import OutputFormat

ConversationWriter = Callable[[Session, Iterable[Turn], ToolDisplay, TextIO, Terminal], None]

CONVERSATION_WRITERS: dict[OutputFormat, ConversationWriter] = {
    OutputFormat.TABLE: write_terminal,
    OutputFormat.MD: write_markdown,
    OutputFormat.HTML: write_html,
}
"""Other formats have the messages as rows."""
