"""A conversation as a person reads it: turns with blocks of text, tool calls, tool results and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple

from chatstore_cli.domain.content import content_text, json_text, text_of_part
from chatstore_cli.domain.media import media_of, without_data
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.provider_parts import call_of, id_as_text, is_thinking, parts_of, result_of

_TOOL_ROLES = frozenset({"tool", "function"})


class ToolDisplay(StrEnum):
    """How tool calls and results are shown: one line each, whole, or not at all."""

    FOLDED = "folded"
    FULL = "full"
    NONE = "none"


class BlockKind(StrEnum):
    """What a block is. `media` is a line with the type and size of a picture or file, `data` any other value as JSON."""

    TEXT = "text"
    CALL = "call"
    RESULT = "result"
    MEDIA = "media"
    THINKING = "thinking"
    DATA = "data"


class Block(NamedTuple):
    """A part of a turn. `name` is the tool's, `call_id` the id that a call and its result share."""

    kind: BlockKind
    text: str
    name: str | None = None
    call_id: str | None = None

    @property
    def of_tool(self) -> bool:
        """Whether it is a tool call or a result."""
        return self.kind in (BlockKind.CALL, BlockKind.RESULT)


class Turn(NamedTuple):
    """A message and its blocks."""

    message: Message
    blocks: list[Block]


def turn_of(message: Message) -> Turn:
    """The message with its blocks, in whichever form of a provider it is stored. Data of files are not in the blocks."""
    if message.role.lower() in _TOOL_ROLES and result_of(message.content) is None and not _has_results(message.content):
        name = message.name if message.name and message.name.lower() not in _TOOL_ROLES else None
        result = Block(BlockKind.RESULT, content_text(message.content), name, message.tool_call_id)
        return Turn(message, [result])
    blocks = _joined(_blocks_of_content(message.content))
    blocks += [_block_of_call(call) for call in message.tool_calls or ()]
    return Turn(message, blocks)


def _has_results(content: Any) -> bool:
    return any(result_of(part) is not None for part in parts_of(content) or ())


def _blocks_of_content(content: Any) -> Iterator[Block]:
    if content is None or content == "":
        return
    for part in parts_of(content) or [content]:
        text = text_of_part(part)
        if text is not None:
            yield Block(BlockKind.TEXT, text)
        elif call_of(part) is not None:
            yield _block_of_call(part)
        elif (result := result_of(part)) is not None:
            yield Block(BlockKind.RESULT, content_text(result[1]), None, result[0])
        elif is_thinking(part):
            yield Block(BlockKind.THINKING, _thinking_text(part))
        elif (media := media_of(part)) is not None:
            yield Block(BlockKind.MEDIA, media.as_text())
        else:
            yield Block(BlockKind.DATA, json_text(without_data(part)))


def _joined(blocks: Iterator[Block]) -> list[Block]:
    """The blocks, of which texts that follow each other are one."""
    joined: list[Block] = []
    for is_text, group in groupby(blocks, key=lambda block: block.kind is BlockKind.TEXT):
        run = list(group)
        joined += [Block(BlockKind.TEXT, "\n".join(block.text for block in run))] if is_text else run
    return joined


def _block_of_call(stored: Any) -> Block:
    call: Any = call_of(stored) or stored
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        function = call if isinstance(call, Mapping) else {}
    name, arguments = function.get("name"), function.get("arguments", function.get("input"))
    if not isinstance(name, str):
        return Block(BlockKind.CALL, json_text(without_data(stored)))
    call_id = id_as_text(call.get("id"))
    text = arguments if isinstance(arguments, str) else "" if arguments is None else json_text(without_data(arguments))
    return Block(BlockKind.CALL, text, name, call_id)


def _thinking_text(part: Mapping[str, Any]) -> str:
    """The text of a thinking part; empty if it is encrypted."""
    for key in ("thinking", "text", "reasoning_content", "summary", "reasoning", "reasoningContent"):
        value = part.get(key)
        if isinstance(value, str):
            return value
        if value:
            return content_text(value)
    return ""
