"""A thread of any length is read in small answers of the server, so that its reader needs little memory."""

from __future__ import annotations

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.threads.ports import ALL, ANYONE
from chatstore_cli.mongo.connection import Connection
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
