"""Stored sessions of the layouts workflow and messages with fixed times, for tests of the output of commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import Decimal128, ObjectId
from pymongo.collection import Collection
from pymongo.database import Database

from chatstore_cli.domain.message import Message
from chatstore_cli.mongo.session_documents.documents import in_order, session_id_of, to_message
from tests.support.journals import write_journal

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OBJECT_ID_TENANT = ObjectId("65e1a0b2c3d4e5f601234567")


def to_messages(document: Mapping[str, Any]) -> Iterator[Message]:
    """The messages of one whole document of the workflow layout, in order."""
    stored = document.get("messages")
    if not isinstance(stored, list):
        return
    sequences = [message.get("sequence") if isinstance(message, dict) else None for message in stored]
    for position in in_order(sequences):
        yield to_message(session_id_of(document), stored[position])


def store_chats_and_journal(database: Database[dict[str, Any]], folder: Path) -> None:
    """The sessions of `store_chats`, and a journal of a flat one in the folder of the command."""
    store_chats(database)
    journal = folder / "data/cache/chat_sessions/journal-a.jsonl"
    write_journal(journal, journal_of(database["chat_messages"], "journal-a"))


def store_chats(database: Database[dict[str, Any]]) -> None:
    """Five workflow sessions of three tenants and two flat ones, the newest updated at noon, one every six hours."""
    database["chat_sessions"].insert_many(
        [
            _workflow(0, "triage-0", "acme", "ada", "Triage", 0, (120, 30), cost=0.0021, messages=_dialogue(4)),
            _workflow(
                2, "triage-1", "acme", "bob", "Triage", 1, (900, 100), cost=Decimal128("1.10"), title="Refund, urgent"
            ),
            _workflow(3, "写作-2", OBJECT_ID_TENANT, "ada", "写作", -1, (10, 5), messages=_dialogue(1)),
            _workflow(5, "mail-3", "=SUM(A1)", "eve\x1b[31m", "Mail | *merge*", 1, (1, 1), cost=0.0, paused=True),
            _workflow(150, "old-4", None, None, "Triage", 1, (0, 0), messages=[]),
        ]
    )
    flat = [
        _flat("journal-a", 1.0, 0, "user", "Where is my parcel?"),
        _flat("journal-a", 1.0, 1, "assistant", "It left Lyon\nthis morning.", message_id="m-2"),
        _flat("journal-b", 4.0, 0, "user", "¿Hablas español? 🙂"),
    ]
    database["chat_messages"].insert_many(flat)
    database["chat_messages"].create_index([("session_id", 1), ("created_at", -1)], name="session_ts_idx")
    database["chat_messages"].create_index([("created_at", -1), ("session_id", 1)], name="recent_idx")


def journal_of(messages: Collection[dict[str, Any]], session: str) -> list[dict[str, Any]]:
    """The end of the session's journal: its last stored message, and two that are not stored yet."""
    stored = messages.find_one({"session_id": session}, {"_id": 0, "expires_at": 0, "sequence": 0}, sort=[("_id", -1)])
    assert stored is not None
    instant = datetime.fromisoformat(stored["created_at"])
    hostile = {"text": "Stop \x1b[2J\u202e=1+1 | *now*", "metadata": {"tags": ["a", 1]}, "message_id": "m-3"}
    return [
        stored,
        stored | hostile | {"role": "user", "created_at": (instant + timedelta(minutes=1)).isoformat()},
        stored | {"message_id": "m-4", "text": "", "created_at": (instant + timedelta(minutes=2)).isoformat()},
    ]


def _instant(steps: float) -> datetime:
    """The instant that many steps of six hours before noon."""
    return NOON - timedelta(hours=6 * steps)


def _workflow(
    age: float,
    chat_id: str,
    tenant: Any,
    user: str | None,
    workflow: str,
    status: int,
    tokens: tuple[int, int],
    *,
    cost: Any = None,
    messages: list[Mapping[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    prompt, completion = tokens
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {
        "chat_id": chat_id,
        "enterprise_id": tenant,
        "user_id": user,
        "workflow_name": workflow,
        "created_at": _instant(age + 0.5),
        "updated_at": _instant(age),
        "status": status,
        "real_time_tracking": {"tokens": counted | ({} if cost is None else {"total_cost": cost})},
        "messages": _dialogue(2) if messages is None else messages,
        **more,
    }


def _dialogue(turns: int) -> list[Mapping[str, Any]]:
    return [
        {
            "sender": "user" if turn % 2 == 0 else "Planner",
            "role": "user" if turn % 2 == 0 else "assistant",
            "content": f"turn {turn}, \x1b[2J\u202e*bold* | cell",
            "timestamp": NOON - timedelta(days=1, minutes=-turn),
            "event_type": "text",
            "event_id": f"event-{turn}",
            "sequence": turn,
        }
        for turn in range(turns)
    ]


def _flat(session: str, age: float, sequence: int, role: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "_id": f"{session}:{sequence}",
        "session_id": session,
        "role": role,
        "text": text,
        "metadata": {"channel": "web"},
        "vector_ids": [],
        "created_at": (_instant(age) + timedelta(microseconds=sequence)).isoformat(timespec="microseconds"),
        "expires_at": _instant(age) + timedelta(days=30),
        "sequence": sequence,
        **more,
    }
