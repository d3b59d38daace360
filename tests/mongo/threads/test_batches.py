"""A thread of any length is read in small answers of the server, and deleted in small batches."""

from __future__ import annotations

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.threads.ports import ALL, ANYONE
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.threads import batches
from chatstore_cli.mongo.threads.layout import ThreadsLayout
from chatstore_cli.mongo.threads.own_threads import MESSAGES_PER_ANSWER
from chatstore_cli.mongo.threads.store import MongoThreadStore

NUMBER = 2 * MESSAGES_PER_ANSWER + 500


def test_no_answer_has_more_messages(connection: Connection) -> None:
    """As the server's profiler recorded them, for the commands on threads and for those on sessions."""
    database = connection.database
    settings = Settings()
    database["chat_threads"].insert_one({"_id": "t", "user_id": "u", "org_id": "o", "name": "n"})
    database["chat_thread_messages"].insert_many(
        {"_id": n, "chat_thread_id": "t", "sender_role": "user", "content": {}, "sequence": n} for n in range(NUMBER)
    )
    database.command("profile", 2)
    store = MongoThreadStore(connection, settings, patient=connection)
    assert sum(1 for _ in store.messages("t", ALL, ANYONE)) == NUMBER
    assert sum(1 for _ in ThreadsLayout(connection, settings).messages("t", MessageSelection())) == NUMBER
    database.command("profile", 0)
    returned = [row["nreturned"] for row in database["system.profile"].find({"nreturned": {"$gt": 100}})]
    assert returned == [MESSAGES_PER_ANSWER, MESSAGES_PER_ANSWER, 500] * 2


def test_batches_reach_every_message_whatever_its_sequence(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_MESSAGES_AT_ONCE", 2)
    messages = connection.collection("chat_thread_messages")
    sequences = [None, None, None, 1, 2, 3, 4, "5", "6", True]
    messages.insert_many({"_id": n, "chat_thread_id": "t", "sequence": each} for n, each in enumerate(sequences))
    messages.insert_one({"_id": "other", "chat_thread_id": "u", "sequence": 1})
    assert batches.remove_selected(messages, {"chat_thread_id": "t"}) == len(sequences)
    assert [row["_id"] for row in messages.find()] == ["other"]
