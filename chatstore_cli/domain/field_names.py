"""Names that other applications give to the fields and roles of a message, to suggest what a rejected line may mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OTHER_NAMES = {
    "session_id": "session sessionid chatid conversationid threadid conversation chat thread sid",
    "role": "sender author speaker from type messagetype",
    "text": "content message body msg messagetext output",
    "created_at": "createdat timestamp time date datetime ts created sentat",
}
_OTHER_ROLES = {
    "user": "human client customer person",
    "assistant": "bot ai agent model chatbot gpt claude llm",
    "system": "developer",
    "tool": "function",
}
_FIELD_OF = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}
_ROLE_OF = {other: role for role, others in _OTHER_ROLES.items() for other in [role, *others.split()]}


def missing_field(name: str, fields: Mapping[str, Any]) -> str:
    """Why a line without this field cannot be stored. Names the field that may be meant."""
    for other in fields:
        if _FIELD_OF.get(_plain(other)) == name or _plain(other) == _plain(name):
            return f'no "{name}"; the line has "{other[:60]}"'
    return f'no "{name}"'


def unknown_role(role: str) -> str:
    """Why a line with this role cannot be stored. Names the role that may be meant."""
    meant = _ROLE_OF.get(_plain(role))
    return f"unknown role {role[:60]!r}" + (f'; it may mean "{meant}"' if meant else "")


def _plain(name: str) -> str:
    return name[:60].lower().replace("_", "").replace("-", "").strip()
