"""Recognises the message that AG2 emits once more when a session is resumed: with a new uuid, and otherwise equal.

`GroupChatManager.resume` uses the last message of the history as the one that the conversation continues with, so its
sender sends it again. A fingerprint of the parts that are both in AG2's history and in its event identifies it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.content import json_safe
from chatstore_cli.domain.workflow.chats import ExpectedEcho
from chatstore_cli.domain.workflow.events import AgentTurn
from chatstore_cli.transcripts.ag2 import AG2_USER

MANAGER = "chat_manager"
"""AG2's default name of a group chat's manager."""


def echo_of(row: Mapping[str, Any], run: int, manager: str | None = None) -> ExpectedEcho:
    """The echo to expect after a history that ends with this message. `manager` is the group chat's manager."""
    responses = row.get("tool_responses")
    fingerprint = _fingerprint(
        row.get("content"), row.get("tool_calls"), responses if row.get("role") == "tool" else None
    )
    return ExpectedEcho(run, str(row.get("name") or AG2_USER), fingerprint, manager or MANAGER)


def is_echo(turn: AgentTurn, expected: ExpectedEcho | None) -> bool:
    """Whether the turn is the expected echo."""
    if expected is None or (turn.name or "") not in (expected.sender, expected.manager):
        return False
    responses = turn.tool_responses
    if responses is None and turn.role == "tool":
        responses = [{"tool_call_id": turn.tool_call_id, "content": turn.content}]
    return _fingerprint(turn.content, turn.tool_calls, responses) == expected.fingerprint


def _fingerprint(content: Any, calls: Any, responses: Any) -> str:
    parts: list[Any] = [_text(content) if responses is None else ""]
    parts.append([_call(call) for call in calls or () if isinstance(call, Mapping)])
    for response in responses or ():
        if isinstance(response, Mapping):
            parts.append([response.get("tool_call_id"), _text(response.get("content"))])
    return hashlib.sha256(json.dumps(json_safe(parts), sort_keys=True).encode()).hexdigest()


def _call(call: Mapping[str, Any]) -> list[Any]:
    function = call.get("function")
    body = function if isinstance(function, Mapping) else call
    return [call.get("id"), body.get("name"), body.get("arguments")]


def _text(content: Any) -> str:
    # A call without text is passed to AG2 with empty text, because AG2 would print null.
    if content is None or isinstance(content, str):
        return content or ""
    return json.dumps(json_safe(content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
