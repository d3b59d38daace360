"""General chats stored as the platform stores them, in memory and on a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.general.chats import GeneralChats
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.numbers import ChatNumbers
from chatstore_cli.mongo.general.writer import MongoGeneralWriter

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACME = {"app_id": "acme"}
ANN = {"app_id": "acme", "user_id": "ann"}


class SteppingClock:
    """A minute later each time."""

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> datetime:
        self._now += timedelta(minutes=1)
        return self._now


@pytest.fixture
def warned() -> list[str]:
    """The warnings."""
    return []


@pytest.fixture
def chats(any_connection: Connection, warned: list[str]) -> GeneralChats:
    """The chats of the database, with a clock that steps."""
    store = MongoGeneralWriter(any_connection, Settings())
    return GeneralChats(store, ChatNumbers(any_connection, Settings()), warn=warned.append, clock=SteppingClock())


def say(chats: GeneralChats, chat_id: str, content: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return chats.append_general_message(general_chat_id=chat_id, role=role, content=content, **{**ACME, **more})


def transcript(chats: GeneralChats, chat_id: str, **more: Any) -> Any:
    return chats.fetch_general_chat_transcript(general_chat_id=chat_id, **{**ACME, **more})


def stored(database: Any, chat_id: str) -> dict[str, Any]:
    document = database.GeneralChatSessions.find_one({"_id": chat_id})
    assert document is not None
    return dict(document)


# --- as it is documented ---------------------------------------------------------------------------------------------


def test_a_new_chat_has_the_fields_of_the_platform_in_their_order(chats: GeneralChats, any_database: Any) -> None:
    made = chats.create_general_chat_session(**ANN)
    assert made == {"chat_id": "generalchat-acme-ann-0001", "label": "General Chat #1", "sequence": 1}
    document = stored(any_database, made["chat_id"])
    assert list(document.items()) == [
        ("_id", "generalchat-acme-ann-0001"),
        ("chat_id", "generalchat-acme-ann-0001"),
        ("app_id", "acme"),
        ("user_id", "ann"),
        ("session_type", "general"),
        ("general_label", "General Chat #1"),
        ("general_sequence", 1),
        ("status", 0),
        ("created_at", START + timedelta(minutes=1)),
        ("last_updated_at", START + timedelta(minutes=1)),
        ("last_sequence", 0),
        ("last_artifact", None),
        ("messages", []),
        ("usage_prompt_tokens_final", 0),
        ("usage_completion_tokens_final", 0),
        ("usage_total_tokens_final", 0),
        ("usage_total_cost_final", 0.0),
    ]
    assert type(document["usage_total_cost_final"]) is float
