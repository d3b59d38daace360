"""A conversation is written turn by turn: no format waits for the next turn before it writes one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from chatstore_cli.core.sessions.conversation import Conversation
from chatstore_cli.domain.conversation import BlockKind, ToolDisplay, turn_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session
from chatstore_cli.render.conversation.formats import CONVERSATION_WRITERS
from chatstore_cli.render.listing import Terminal
from chatstore_cli.render.output_format import OutputFormat

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("output", list(CONVERSATION_WRITERS))
@pytest.mark.parametrize("tools", list(ToolDisplay))
def test_each_turn_is_written_before_the_next_one_is_read(output: OutputFormat, tools: ToolDisplay) -> None:
    stream = StringIO()

    def messages() -> Iterator[Message]:
        for number in range(50):
            if number:
                assert f"text {number - 1} end" in stream.getvalue()
            yield Message("s", "user", f"text {number} end", created_at=START + timedelta(hours=number))

    conversation = Conversation(Session("s", "messages"), messages(), tools)
    CONVERSATION_WRITERS[output](conversation.session, conversation.turns(), tools, stream, Terminal())
    assert conversation.messages == 50


def test_every_form_of_calls_and_results_of_the_providers_is_read() -> None:
    """OpenAI, Anthropic, Gemini and Bedrock; the name of a result is that of its call."""
    stored = [
        Message("s", "assistant", None, tool_calls=[{"id": "1", "function": {"name": "a", "arguments": "{}"}}]),
        Message("s", "tool", "A", tool_call_id="1", name="tool"),
        Message("s", "assistant", [{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "2", "name": "b", "input": {"x": 1}}]),
        Message("s", "user", [{"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": "B"}]}]),
        Message("s", "model", {"role": "model", "parts": [{"text": "c?"}, {"functionCall": {"name": "c", "args": {}}}]}),
        Message("s", "user", [{"toolResult": {"toolUseId": "9", "content": [{"json": {"y": 2}}]}}]),
        Message("s", "assistant", [{"type": "new_kind", "value": 1}, "one", {"type": "text", "text": "two"}], tool_calls=["odd"]),
    ]  # fmt: skip
    turns = Conversation(Session("s", "messages"), stored, ToolDisplay.FULL).turns()
    assert [[(block.kind, block.name, block.text) for block in turn.blocks] for turn in turns] == [
        [(BlockKind.CALL, "a", "{}")],
        [(BlockKind.RESULT, "a", "A")],
        [(BlockKind.THINKING, None, "hm"), (BlockKind.CALL, "b", '{"x":1}')],
        [(BlockKind.RESULT, "b", "B")],
        [(BlockKind.TEXT, None, "c?"), (BlockKind.CALL, "c", "{}")],
        [(BlockKind.RESULT, None, '[{"y":2}]')],
        [(BlockKind.DATA, None, '{"type":"new_kind","value":1}'), (BlockKind.TEXT, None, "one\ntwo"), (BlockKind.CALL, None, '"odd"')],
    ]  # fmt: skip
    assert turn_of(Message("s", "user", "")).blocks == []
