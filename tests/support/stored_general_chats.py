"""General chats as the platform stores them, with fixed ids and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo.database import Database

CHAT = "generalchat-acme-ana-0001"
FIRST = datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC)


def message(sequence: int, **more: Any) -> dict[str, Any]:
    """A stored message, as the platform writes it."""
    role = "user" if sequence % 2 else "assistant"
    return {
        "role": role,
        "content": f"text {sequence}",
        "timestamp": FIRST + timedelta(seconds=sequence),
        "event_type": "general_agent.message",
        "event_id": f"general_{sequence}",
        "sequence": sequence,
        "agent_name": role,
        "metadata": {"source": "general_agent", "general_chat_id": CHAT},
        **more,
    }


def store(database: Database[dict[str, Any]], messages: list[dict[str, Any]], **more: Any) -> None:
    """Store a chat of ana's, as the platform writes it."""
    facts: dict[str, Any] = {
        "_id": CHAT,
        "chat_id": CHAT,
        "app_id": "acme",
        "user_id": "ana",
        "session_type": "general",
        "general_label": "General Chat #1",
        "general_sequence": 1,
        "status": 0,
        "created_at": FIRST,
        "last_updated_at": FIRST + timedelta(seconds=len(messages)),
        "last_sequence": max((each.get("sequence", 0) for each in messages), default=0),
        "messages": messages,
        "usage_prompt_tokens_final": 5,
        "usage_completion_tokens_final": 2,
        "usage_total_tokens_final": 7,
        "usage_total_cost_final": 0.0,
    }
    database.GeneralChatSessions.insert_one(facts | more)
