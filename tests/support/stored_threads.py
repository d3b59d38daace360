"""Threads as another program stored them, with fixed ids and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo.database import Database

FIRST = datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC)
TEXTS = ["Which ferry is the earliest?", "The ferry at 07:40.", "=1+1, then \x1b[2J and \u202eevil", "Thanks!"]


def _message(thread_id: str, number: int, role: str, content: dict[str, Any], **more: Any) -> dict[str, Any]:
    at = FIRST + timedelta(seconds=number)
    return {
        "_id": f"{thread_id}-m{number}",
        "chat_thread_id": thread_id,
        "sender_id": {"user": "ana", "assistant": "planner"}.get(role),
        "sender_role": role,
        "content": content,
        "created_at": at,
        "updated_at": at,
        "sequence": number,
        **more,
    }


def text(value: str, **metadata: Any) -> dict[str, Any]:
    """The content of a text."""
    return {"type": "text", "text": value, **({"metadata": metadata} if metadata else {})}


def store_threads(database: Database[dict[str, Any]]) -> None:
    """Store a thread of five messages, a fork of it, an empty one, and one of another user."""
    facts = [
        ("t-ferry", "ana", "acme", "Trip to Lisbon", 9, 9),
        ("t-fork", "ana", "acme", "Another | ending", 8, 2),
        ("t-empty", "ana", "globex", "-\x1b[31mred", 7, 0),
        ("$where", "tomasz", "acme", "Refund", 6, 1),
    ]
    database["chat_threads"].insert_many(
        {
            "_id": name,
            "user_id": user,
            "org_id": org,
            "name": title,
            "created_at": FIRST,
            "updated_at": FIRST + timedelta(minutes=minutes),
            "last_sequence": last,
            **({"forked_from": {"thread_id": "t-ferry", "sequence": 2}} if name == "t-fork" else {}),
        }
        for name, user, org, title, minutes, last in facts
    )
    roles = ["user", "assistant", "user", "assistant"]
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/ferry.png"}, "metadata": {"width": 640}}
    edits = [{"content": text("The ferry at 8."), "edited_at": FIRST + timedelta(hours=1)}]
    messages = [
        _message("t-ferry", n, role, text(said)) for n, (role, said) in enumerate(zip(roles, TEXTS, strict=True), 1)
    ]
    messages[1] |= {"edits": edits, "content": text(TEXTS[1], tokens=7)}
    messages += [_message("t-ferry", 9, "tool", picture)]
    messages += [
        _message("t-fork", n, role, text(said))
        for n, (role, said) in enumerate(zip(roles[:2], TEXTS[:2], strict=True), 1)
    ]
    database["chat_thread_messages"].insert_many([*messages, _message("$where", 1, "user", text("My money, please"))])
