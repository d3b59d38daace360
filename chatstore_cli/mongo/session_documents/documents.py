"""Documents as sessions and messages: pure functions, which accept every variant.

Products changed these shapes over the years; docs/layouts.md lists the variants. A field of a wrong type is treated as
missing, and nothing in a document raises an error.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.workflow.provider_parts import id_as_text
from chatstore_cli.mongo.bson_values import json_value, stored_instant, whole_number
from chatstore_cli.mongo.identifiers import addressable_id
from chatstore_cli.mongo.rare_fields import RARE_FIELDS, with_rare_fields
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS, DocumentShape

Document = Mapping[str, Any]

STATUSES: dict[Any, SessionStatus] = {
    0: SessionStatus.RUNNING,
    "running": SessionStatus.RUNNING,
    "in_progress": SessionStatus.RUNNING,
    1: SessionStatus.COMPLETED,
    "completed": SessionStatus.COMPLETED,
    -1: SessionStatus.FAILED,
    2: SessionStatus.FAILED,
    "failed": SessionStatus.FAILED,
}
"""The status values of every variant, also of `workflow_status.<workflow>` and `current_status`."""

MESSAGES_OR_EMPTY: dict[str, Any] = {"$cond": [{"$isArray": "$messages"}, "$messages", []]}
"""An expression for the messages of a document whose `messages` may be anything."""


def array_size(path: str) -> dict[str, Any]:
    """An expression for the number of elements of an array; 0 for any other value."""
    return {"$cond": [{"$isArray": f"${path}"}, {"$size": f"${path}"}, 0]}


MESSAGE_COUNT = array_size("messages")


def to_session(shape: DocumentShape, document: Document) -> Session:
    """The facts of a session. `message_count` is the document's field of that name, else the size of its array.

    Messages that moved into segments are added if the document has their number.
    """
    messages = document.get("messages")
    counted = whole_number(document.get("message_count"))
    in_document = counted if counted is not None else len(messages) if isinstance(messages, list) else 0
    has_segments = whole_number(document.get("last_segment")) is not None
    moved = whole_number(document.get("moved_messages")) or 0 if has_segments else 0
    workflow = _workflow(document)
    status, paused = _status(document, workflow), document.get("paused") is True
    invalid: list[str] = []
    usage = shape.counters(document, invalid)
    reason_field = "pause_reason" if paused else "failure_reason" if status is SessionStatus.FAILED else ""
    return Session(
        session_id=session_id_of(document),
        layout=shape.layout,
        tenant_id=_first_id(document, TENANT_FIELDS),
        user_id=_id(document.get("user_id")),
        title=next(filter(None, (_text(document.get(field)) for field in shape.title_fields)), None),
        workflow=workflow,
        status=status,
        created_at=stored_instant(document.get("created_at")),
        updated_at=_updated_at(shape, document),
        message_count=in_document + max(0, moved),
        paused=paused,
        usage=usage,
        reason=_text(document.get(reason_field)),
        invalid_numbers=tuple(invalid),
        is_general=shape.is_general_chat(document),
    )


def to_light_session(shape: DocumentShape, document: Document) -> Session:
    """The facts of a session that a search needs: its ids and the last update."""
    return Session(
        session_id=session_id_of(document),
        layout=shape.layout,
        tenant_id=_first_id(document, TENANT_FIELDS),
        user_id=_id(document.get("user_id")),
        updated_at=_updated_at(shape, document),
    )


def session_id_of(document: Document) -> str:
    """`chat_id`, or `_id` if a variant has no chat_id that text can address; empty if the `_id` cannot be one either."""
    return _id(document.get("chat_id")) or _id(document.get("_id")) or ""


def _workflow(document: Document) -> str | None:
    name = document.get("workflow_name")
    if name is not None:
        return _text(name)
    by_workflow = _mapping(document.get("workflow_status"))
    return next(iter(by_workflow)) if len(by_workflow) == 1 else None


def _status(document: Document, workflow: str | None) -> SessionStatus:
    # Not `status or ...`: 0 is a status, running.
    status = _status_of(document.get("status"))
    if status is not None:
        return status
    by_workflow = _mapping(document.get("workflow_status")).get(workflow or "")
    current = _mapping(document.get("real_time_tracking")).get("current_status")
    complete = {True: SessionStatus.COMPLETED, False: SessionStatus.RUNNING}
    is_complete = document.get("is_complete")
    candidates = [
        _status_of(by_workflow),
        _status_of(current),
        complete[is_complete] if isinstance(is_complete, bool) else None,
    ]
    known = [status for status in candidates if status is not None]
    # Applications do not update all of these fields. A session ends after it ran, so an ended status is the newer one.
    ended = [status for status in known if status is not SessionStatus.RUNNING]
    return next(iter(ended + known), SessionStatus.UNKNOWN)


def _status_of(value: Any) -> SessionStatus | None:
    return STATUSES.get(str(value) if isinstance(value, str) else whole_number(value))


def _updated_at(shape: DocumentShape, document: Document) -> datetime | None:
    return next(filter(None, (_newest(document.get(field)) for field in shape.updated_fields)), None)


def _newest(value: Any) -> datetime | None:
    """The instant of a value; for an array its newest date, because MongoDB sorts it by that."""
    if isinstance(value, list):
        return max(filter(None, (stored_instant(item) for item in value if isinstance(item, datetime))), default=None)
    return stored_instant(value)


# --- messages --------------------------------------------------------------------------------------------------------

_ROLES = {
    "user": "user", "assistant": "assistant", "system": "system", "tool": "tool",
    "function": "tool", "developer": "system", "human": "user", "ai": "assistant",
}  # fmt: skip
_USER_SPEAKERS = frozenset({"user", "user_proxy", "userproxy", "user proxy"})
_TOOL_EVENTS = frozenset({"tool_response", "ToolResponseEvent"})

_LITERAL = r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
_PRINTED_EVENT = re.compile(
    rf"uuid=UUID\('(?P<uuid>[0-9a-fA-F-]{{36}})'\)"
    rf" content=(?P<content>{_LITERAL}|[^'\"\s].*?)"
    rf"(?: sender=(?P<sender>{_LITERAL}|None))?(?: recipient=(?:{_LITERAL}|None))?"
)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - subtracted from naive datetimes, which are UTC here
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def in_order(sequences: Sequence[Any]) -> Sequence[int]:
    """Positions in order of sequence; a message without one follows the message that it was stored after."""
    keys = order_keys(sequences)
    return sorted(range(len(keys)), key=keys.__getitem__)


NO_SEQUENCE = -(2**63)
"""The key of a message without a sequence that no numbered one precedes."""


def order_keys(sequences: Sequence[Any], before: int | None = None) -> list[int]:
    """The keys that order the messages of an array: their own sequence, or their predecessor's if they have none.

    `before` is the key of the message before the first one, if there is one.
    """
    if set(map(type, sequences)) <= {int}:
        return list(sequences)
    keys: list[int] = []
    key = NO_SEQUENCE if before is None else before
    for sequence in sequences:
        number = whole_number(sequence)
        key = key if number is None else number
        keys.append(key)
    return keys


def to_message(session_id: str, stored: Any) -> Message:
    """The message of one element of `messages`. An element that is not a document is content of an unknown speaker."""
    if not isinstance(stored, dict):
        return Message(session_id, "assistant", json_value(stored))
    get = stored.get
    content, sender, role, timestamp = get("content"), get("sender"), get("role"), get("timestamp")
    name = sender if type(sender) is str and sender else _text(get("agent_name")) or _text(get("name"))
    event_id = get("event_id")
    message_id = event_id if type(event_id) is str else _first_id(stored, ("event_id", "message_id", "_id", "id"))
    if type(content) is not str:
        content = json_value(content)
    elif content.startswith("uuid=UUID("):
        content, message_id, name = _recovered(content, message_id, name)
    known = _ROLES.get(role) if type(role) is str else None
    event_type, source, metadata = get("event_type"), get("source"), get("metadata")
    sequence, tool_calls, tool_call_id = get("sequence"), get("tool_calls"), get("tool_call_id")
    tool_responses = get("tool_responses")
    if not RARE_FIELDS.isdisjoint(stored):
        content, tool_calls, metadata = with_rare_fields(stored, content, tool_calls, metadata)
    return tuple.__new__(  # not Message(...): the generated __new__ takes as long as everything else
        Message,
        (
            session_id,
            known or _derived_role(stored, name),
            content,
            message_id,
            sequence if type(sequence) is int else whole_number(sequence),
            name,
            # A sum is the fastest way to an aware datetime. Dates that Python cannot hold come as another type.
            _EPOCH + (timestamp - _NAIVE_EPOCH)
            if type(timestamp) is datetime and timestamp.tzinfo is None
            else _instant(stored),
            event_type if type(event_type) is str else None,
            source if type(source) is str else None,
            None if tool_calls is None else _list(tool_calls),
            None if tool_call_id is None else id_as_text(tool_call_id) or _id(tool_call_id),
            {} if metadata is None and tool_responses is None else _metadata(metadata, tool_responses),
            None,
        ),
    )


def _derived_role(stored: Document, name: str | None) -> str:
    role = stored.get("role")
    known = _ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is not None:
        return known
    event_type = stored.get("event_type")
    if stored.get("tool_call_id") is not None or (type(event_type) is str and event_type in _TOOL_EVENTS):
        return "tool"
    if stored.get("is_user_proxy") is True or (name is not None and name.lower() in _USER_SPEAKERS):
        return "user"
    return "assistant"


def _recovered(text: str, message_id: str | None, name: str | None) -> tuple[Any, str | None, str | None]:
    """The content of an event whose debug text a product stored instead; other text unchanged."""
    match = _PRINTED_EVENT.fullmatch(text)
    if match is None:
        return text, message_id, name
    try:
        content = json_value(ast.literal_eval(match["content"]))
        sender = ast.literal_eval(match["sender"] or "None")
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text, message_id, name
    return content, message_id or match["uuid"], name or sender


def _instant(stored: Document) -> datetime | None:
    timestamp = stored.get("timestamp")
    return stored_instant(timestamp if timestamp is not None else stored.get("created_at"))


def _metadata(metadata: Any, tool_responses: Any) -> dict[str, Any]:
    """The stored metadata, with AG2's list of results of several tool calls in one message."""
    kept = json_value(metadata) if isinstance(metadata, dict) else {}
    return {**kept, "tool_responses": json_value(tool_responses)} if isinstance(tool_responses, list) else kept


# --- values ----------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) and value else None  # Code is a str that no set or dict can hold


def _list(value: Any) -> list[Any] | None:
    return json_value(value) if isinstance(value, list) else None


def _mapping(value: Any) -> Document:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str | None:
    """An id as text; None for an empty one, and for a value that text cannot address (a flag, a time, a nested value)."""
    return addressable_id(value) or None


def _first_id(document: Document, fields: Sequence[str]) -> str | None:
    return next(filter(None, (_id(document.get(field)) for field in fields)), None)
