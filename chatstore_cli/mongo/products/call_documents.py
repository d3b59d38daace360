"""Transcripts of the voice platform as sessions and messages: pure functions. Nothing in a document raises an error.

An item of `chatHistory` is a message, a call of a function, its output, a handoff to another agent, or of a later type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson import ObjectId

from chatstore_cli.domain.calls import CALLS
from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.usage import KnownUsage
from chatstore_cli.domain.usage_ledger import MOST_TOKENS
from chatstore_cli.mongo.bson_values import decimal_value, json_value, stored_instant, whole_number
from chatstore_cli.mongo.identifiers import addressable_id
from chatstore_cli.mongo.own_documents import OwnDocuments, has_all

Document = Mapping[str, Any]

OWN_CALLS = OwnDocuments(OwnKind("a transcript", "transcripts", "layout calls"), has_all("sessionId", "chatHistory"))

FACT_FIELDS = (
    "sessionId", "roomName", "agentId", "orgId", "createdByUserId", "closeReason", "messageCount", "startedAt", "endedAt",
    "createdAt", "updatedAt",
)  # fmt: skip
"""The fields that `to_session` reads besides `_id`."""
ITEM_COUNT = "item_count"
"""The number of items, which a list computes on the server, for a transcript without a count."""
FAILED_REASONS = ("error",)
"""The close reasons of a call that failed."""

_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",))
_COSTS = ("total_cost", "cost")
_FIELD = "chatHistory.metrics"


def to_session(document: Document) -> Session:
    """The facts of a call. The session id is empty if no text addresses it.

    `updated_at` is when the transcript was stored: the time in its `_id`, in whole seconds.
    """
    identity, reason = document.get("_id"), document.get("closeReason")
    status = SessionStatus.UNKNOWN
    if type(reason) is str and reason in FAILED_REASONS:
        status = SessionStatus.FAILED
    elif stored_instant(document.get("endedAt")) is not None:
        status = SessionStatus.COMPLETED
    stored_at = identity.generation_time if isinstance(identity, ObjectId) else _first_instant(document)
    counts = (whole_number(document.get(name)) for name in ("messageCount", ITEM_COUNT))
    return Session(
        session_id=addressable_id(document.get("sessionId")) or "",
        layout=CALLS,
        tenant_id=addressable_id(document.get("orgId")) or None,
        user_id=addressable_id(document.get("createdByUserId")) or None,
        title=_text(document.get("roomName")),
        workflow=addressable_id(document.get("agentId")) or None,
        status=status,
        created_at=stored_instant(document.get("startedAt")) or stored_instant(document.get("createdAt")),
        updated_at=stored_at,
        message_count=next((n for n in counts if n is not None and n >= 0), len(items_of(document))),
        reason=reason if status is SessionStatus.FAILED else None,
    )


def _first_instant(document: Document) -> datetime | None:
    found = (stored_instant(document.get(name)) for name in ("updatedAt", "endedAt", "createdAt"))
    return next(filter(None, found), None)


def items_of(document: Document) -> list[Any]:
    """The items of a conversation: `chatHistory`, or the list `items` in it, as LiveKit itself writes it."""
    history = document.get("chatHistory")
    if isinstance(history, Mapping):
        history = history.get("items")
    return history if isinstance(history, list) else []


# --- messages --------------------------------------------------------------------------------------------------------


def to_messages(session_id: str, document: Document) -> list[Message]:
    """The messages of a call in their order. `sequence` is the place of the item, from 1.

    Calls of functions that follow each other are one message with several tool calls. What is neither a message nor a call
    (a handoff, an item of an unknown type) is in the metadata of the message after it, or of the last one.
    """
    messages: list[Message] = []
    beside: dict[str, list[Any]] = {}
    is_call = False
    for place, item in enumerate(items_of(document), 1):
        kind = item.get("type", "message") if isinstance(item, Mapping) else "message"
        if kind == "function_call" and is_call and not beside:
            last = messages[-1]
            messages[-1] = last._replace(tool_calls=[*(last.tool_calls or []), _tool_call(item)])
            continue
        message = _to_message(session_id, place, kind, item)
        if message is None:
            beside.setdefault(str(kind), []).append(_rest(item, ("type",)))
            continue
        is_call = kind == "function_call"
        messages.append(_with_metadata(message, beside))
        beside = {}
    if beside:
        last = messages.pop() if messages else Message(session_id, "system", "", sequence=1)
        messages.append(_with_metadata(last, beside))
    return messages


def _to_message(session_id: str, place: int, kind: Any, item: Any) -> Message | None:
    if not isinstance(item, Mapping):
        return Message(session_id, "assistant", json_value(item), sequence=place)
    if kind == "message":
        role = item.get("role")
        message = Message(
            session_id,
            _ROLES.get(role, "assistant") if type(role) is str else "assistant",
            _content(item.get("content")),
            metadata=_rest(item, ("type", "id", "role", "content", "created_at")),
        )
        if message.metadata.get("interrupted") is False:
            del message.metadata["interrupted"]
    elif kind == "function_call":
        known = ("type", "id", "call_id", "name", "arguments", "created_at")
        message = Message(session_id, "assistant", "", tool_calls=[_tool_call(item)], metadata=_rest(item, known))
    elif kind == "function_call_output":
        message = Message(
            session_id,
            "tool",
            json_value(item.get("output")),
            name=_text(item.get("name")),
            tool_call_id=_text(item.get("call_id")) or addressable_id(item.get("call_id")),
            metadata=_rest(item, ("type", "id", "call_id", "name", "output", "created_at")),
        )
        if message.metadata.get("is_error") is False:
            del message.metadata["is_error"]
    else:
        return None
    return message._replace(
        message_id=addressable_id(item.get("id")) or None,
        sequence=place,
        created_at=stored_instant(item.get("created_at")),
        event_type=str(kind),
    )


def _tool_call(item: Document) -> dict[str, Any]:
    function = {"name": json_value(item.get("name")), "arguments": json_value(item.get("arguments"))}
    return {"id": json_value(item.get("call_id")), "type": "function", "function": function}


def _content(content: Any) -> Any:
    """A text; a list of parts if there are others than texts."""
    if not isinstance(content, list):
        return json_value(content)
    parts = [_part(each) for each in content]
    texts = [part["text"] for part in parts if part.get("type") == "text" and isinstance(part.get("text"), str)]
    return "\n".join(texts) if len(texts) == len(parts) else parts


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": str(part)}
    if not isinstance(part, Mapping):
        return {"type": "text", "text": str(json_value(part))}
    if part.get("type") == "audio_content" and isinstance(part.get("transcript"), str):
        return {"type": "text", "text": str(part["transcript"])}
    if part.get("type") == "image_content" and isinstance(part.get("image"), str):
        return {"type": "image_url", "image_url": {"url": str(part["image"])}}
    kept: dict[str, Any] = json_value(dict(part))
    return kept


def _rest(item: Any, known: Iterable[str]) -> dict[str, Any]:
    """The fields of an item that have no place of their own in a message."""
    if not isinstance(item, Mapping):
        return {}
    return {str(key): json_value(value) for key, value in item.items() if key not in known and value is not None}


def _with_metadata(message: Message, beside: Mapping[str, list[Any]]) -> Message:
    return message._replace(metadata={**message.metadata, **beside}) if beside else message


# --- usage -----------------------------------------------------------------------------------------------------------


def with_usage(session: Session, items: Iterable[Any]) -> Session:
    """A session with the sums of its items' `metrics` that have numbers of tokens or a cost."""
    sums: list[int | None] = [None, None, None]
    cost: Decimal | None = None
    invalid: list[str] = []
    for metrics in _metrics(items):
        counts = [_number(metrics, names, invalid, is_whole=True) for names in _COUNTS]
        if any(count is not None for count in counts):
            prompt, completion, total = (int(count or 0) for count in counts)
            new = (prompt, completion, total or prompt + completion)
            sums = [(old or 0) + number for old, number in zip(sums, new, strict=True)]
        own_cost = _number(metrics, _COSTS, invalid, is_whole=False)
        cost = cost if own_cost is None else (cost or Decimal()) + own_cost
    if any(number is not None and number > MOST_TOKENS for number in (*sums, cost)):
        return replace(session, invalid_numbers=(f"{_FIELD}.*",))
    if sums == [None, None, None] and cost is None:
        return replace(session, invalid_numbers=tuple(dict.fromkeys(invalid)))
    return replace(
        session, usage=KnownUsage(sums[0], sums[1], sums[2], cost), invalid_numbers=tuple(dict.fromkeys(invalid))
    )


def _metrics(items: Iterable[Any]) -> Iterator[Document]:
    for item in items:
        metrics = item.get("metrics") if isinstance(item, Mapping) else None
        for each in metrics if isinstance(metrics, list) else [metrics]:
            if isinstance(each, Mapping):
                yield each


def _number(metrics: Document, names: tuple[str, ...], invalid: list[str], *, is_whole: bool) -> Decimal | None:
    name = next((name for name in names if metrics.get(name) is not None), None)
    if name is None:
        return None
    number = decimal_value(metrics[name])
    if number is None or not 0 <= number <= MOST_TOKENS or (is_whole and number != int(number)):
        invalid.append(f"{_FIELD}.{name}")
        return None
    return number


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) and value else None
