"""Messages as the view of a session draws them: at most so many characters, with a note and a link to what is missing."""

from __future__ import annotations

from typing import Any

from chatstore_cli.core.sessions.message_place import MessagePlace, is_at, place_of
from chatstore_cli.domain.conversation import Block, BlockKind, turn_of
from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.conversation.heading import speaker_of
from chatstore_cli.render.safe import sanitize_text

_LONGEST_BLOCK = 20_000
_MOST_ON_A_PAGE = 400_000
"""Characters. A page of the longest messages would otherwise occupy the server for seconds, and the browser too."""
_MOST_BLOCKS = 2_000


def turns_of(messages: list[Message], marked: MessagePlace | None) -> list[dict[str, Any]]:
    """The messages of a page. The one that a place names is marked."""
    drawn = _Drawn()
    return [_turn(number, message, marked, drawn) for number, message in enumerate(messages)]


class _Drawn:
    """What of a page is drawn, in characters and blocks."""

    def __init__(self) -> None:
        self._characters = _MOST_ON_A_PAGE
        self._blocks = _MOST_BLOCKS

    def cut(self, blocks: list[Block]) -> tuple[list[Block], int]:
        """The beginning of the blocks, and how many characters are missing."""
        kept: list[Block] = []
        missing = 0
        for block in blocks:
            length = min(len(block.text), _LONGEST_BLOCK, self._characters) if self._blocks else 0
            missing += len(block.text) - length
            if self._blocks and (length or not block.text):
                text = block.text[:length]
                kept.append(block._replace(text=text if block.kind is BlockKind.TEXT else sanitize_text(text)))
                self._characters -= length
                self._blocks -= 1
        return kept, missing


def _turn(number: int, message: Message, marked: MessagePlace | None, drawn: _Drawn) -> dict[str, Any]:
    """A message as the template draws it."""
    blocks, missing = drawn.cut(turn_of(message).blocks)
    return {
        "sequence": message.sequence,
        "anchor": f"p{number}" if message.sequence is None else f"m{message.sequence}",
        "role": message.role,
        "role_class": message.role if message.role in ROLES else "other",
        "name": speaker_of(message),
        "created_at": rfc3339(message.created_at),
        "blocks": blocks,
        "missing": missing,
        "place": place_of(message).to_cursor() if missing else None,
        "is_marked": marked is not None and is_at(message, marked),
    }
