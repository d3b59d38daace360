"""The store of flat messages, on a real server."""

from __future__ import annotations

from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.domain.times import utc_now
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.messages.store import MongoMessageStore


class RowsPerAnswer(CommandListener):
    """Remembers how many rows each answer of the server had."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def started(self, event: CommandStartedEvent) -> None:
        """Does nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Does nothing."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count the rows of a batch."""
        cursor = event.reply.get("cursor", {}) if event.command_name in ("find", "getMore") else {}
        self.rows.extend(len(cursor[name]) for name in ("firstBatch", "nextBatch") if name in cursor)


def test_no_answer_has_more_than_10_000_rows_although_the_server_would_send_16_mib(
    mongo_uri: str, database: Any
) -> None:
    sessions = [f"s{number}" for number in range(7)]
    rows = [{"_id": f"{session}/{number}", "session_id": session} for session in sessions for number in range(4_000)]
    database.chat_messages.insert_many(rows)
    database.chat_messages.create_index("session_id")
    counted = RowsPerAnswer()
    connection = connect(mongo_uri, database.name, timeout_seconds=30, listener=counted)
    store = MongoMessageStore(connection, "chat_messages", (), connection, utc_now)
    assert store.with_foreign_rows(sessions) == set(sessions)
    assert sum(counted.rows) >= len(rows)
    assert max(counted.rows) == 10_000
