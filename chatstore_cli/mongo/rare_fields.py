"""Fields of stored messages that only some applications and older APIs write, as part of the usual ones."""

from __future__ import annotations

from typing import Any

from chatstore_cli.mongo.bson_values import json_value

RARE_FIELDS = frozenset({"function_call", "reasoning_content", "refusal", "parts"})
"""OpenAI's former single call, a model's thinking, OpenAI's refusal beside an empty content, and Gemini's content."""


def with_rare_fields(
    stored: dict[str, Any], content: Any, tool_calls: Any, metadata: Any
) -> tuple[Any, list[Any] | None, dict[str, Any]]:
    """Content, tool calls and metadata of a stored message that has one of the rare fields.

    Thinking is kept in the metadata, so that it is neither shown as spoken nor lost.
    """
    calls = tool_calls if isinstance(tool_calls, list) else None
    call = stored.get("function_call")
    if not calls and isinstance(call, dict) and call:
        calls = [{"type": "function", "function": json_value(call)}]
    if content in (None, "", []):
        refusal, parts = stored.get("refusal"), stored.get("parts")
        if isinstance(refusal, str) and refusal:
            content = refusal
        elif isinstance(parts, list) and parts:
            content = json_value(parts)
    kept = metadata if isinstance(metadata, dict) else {}
    thinking = stored.get("reasoning_content")
    return content, calls, {**kept, "reasoning_content": thinking} if thinking else kept
