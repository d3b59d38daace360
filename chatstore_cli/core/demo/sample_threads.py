"""The demo's sample threads, read from `threads.json`. All of them were made up for chatstore."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Edit, ForkedFrom

_BETWEEN_MESSAGES = timedelta(seconds=47)


def sample_threads(now: datetime) -> Iterator[tuple[ChatThread, list[ChatMessage]]]:
    """Each thread with its messages, for an import. All times are before `now` (aware)."""
    present = now.replace(minute=0, second=0, microsecond=0)
    for plan in json.loads(files(__package__).joinpath("threads.json").read_text(encoding="utf-8")):
        first = present - timedelta(hours=plan["hours_ago"])
        messages = list(_messages(plan, first))
        thread = ChatThread(
            id=plan["thread_id"],
            user_id=plan["user"],
            org_id=plan["tenant"],
            name=plan["name"],
            created_at=first,
            updated_at=messages[-1].updated_at,
            forked_from=ForkedFrom(thread_id=plan["fork_of"], sequence=plan["fork_at"]) if "fork_of" in plan else None,
        )
        yield thread, messages


def _messages(plan: Mapping[str, Any], first: datetime) -> Iterator[ChatMessage]:
    edited = plan.get("edited", {})
    for number, (role, said) in enumerate(plan["messages"], 1):
        at = first + number * _BETWEEN_MESSAGES
        edits = [Edit(content=_content(edited["former"]), edited_at=at)] if number == edited.get("message") else []
        yield ChatMessage(
            id=f"{plan['thread_id']}-{number}",
            chat_thread_id=plan["thread_id"],
            sender_id=plan["user"] if role == "user" else None,
            sender_role=role,
            content=_content(said),
            created_at=at,
            updated_at=at,
            sequence=number,
            edits=edits,
        )


def _content(said: str | dict[str, Any]) -> dict[str, Any]:
    return said if isinstance(said, dict) else {"type": "text", "text": said}
