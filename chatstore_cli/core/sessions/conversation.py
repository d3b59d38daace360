"""Reading a whole session as a conversation, in little memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.conversation import Block, BlockKind, ToolDisplay, Turn, turn_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session


class Conversation:
    """A session's turns as they are read. `messages` and `hidden` count them, and are complete after the last turn."""

    def __init__(self, session: Session, messages: Iterable[Message], tools: ToolDisplay) -> None:
        self.session = session
        self.tools = tools
        self.messages = 0
        self.hidden = 0
        """Tool calls and results that were left out."""
        self._messages = messages
        self._tool_names: LruMap[str, str] = LruMap()

    def turns(self) -> Iterator[Turn]:
        """The turns in order. A turn of hidden tool calls alone is left out."""
        for message in self.counted():
            turn = turn_of(message)
            blocks = [self._named(block) for block in turn.blocks]
            if self.tools is ToolDisplay.NONE:
                kept = [block for block in blocks if not block.of_tool]
                self.hidden += len(blocks) - len(kept)
                if blocks and not kept:
                    continue
                blocks = kept
            yield Turn(message, blocks)

    def counted(self) -> Iterator[Message]:
        """The messages as they are stored, counted."""
        for message in self._messages:
            self.messages += 1
            yield message

    def _named(self, block: Block) -> Block:
        """The block; a result without a name has the name of its call."""
        if block.call_id is None:
            return block
        if block.kind is BlockKind.CALL and block.name is not None:
            self._tool_names.put(block.call_id, block.name)
        if block.kind is BlockKind.RESULT and block.name is None:
            return block._replace(name=self._tool_names.get(block.call_id))
        return block
