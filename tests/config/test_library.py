"""What the library makes of its configuration: a warning if no server is named, and one limit for a whole call."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatstore_cli import AG2PersistenceManager, MongoChatStorage
from chatstore_cli.domain.errors import ChatstoreError, Unreachable
from chatstore_cli.domain.message import Message
from chatstore_cli.mongo.messages.store import MongoMessageStore


@pytest.mark.parametrize("kind", [MongoChatStorage, AG2PersistenceManager])
def test_an_application_reads_in_its_log_that_no_server_is_configured(
    kind: type[MongoChatStorage | AG2PersistenceManager],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    kind.from_config()
    assert [record.levelno for record in caplog.records if "No server is configured" in record.message] == [
        logging.WARNING
    ]
    caplog.clear()
    monkeypatch.setenv("MONGO_URI", "mongodb://127.0.0.1:9")
    assert kind.from_config().settings.mongo.uri == "mongodb://127.0.0.1:9"
    assert caplog.records == []


@pytest.mark.parametrize(("seconds", "limits"), [(0.2, [0.2]), (0.0, []), (9.0, [])])
def test_a_call_with_a_shorter_time_limit_does_not_wait_longer_for_a_server(
    seconds: float, limits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def reach(_: MongoMessageStore, limit: float) -> None:
        asked.append(limit)
        raise Unreachable(what="nobody answers")

    def attempt(*_: object, **__: object) -> None:
        raise ChatstoreError(what="an attempt without a limit of its own")

    monkeypatch.setattr(MongoMessageStore, "reach", reach)
    monkeypatch.setattr(MongoMessageStore, "prepare", attempt)
    message = Message(session_id="s", role="user", content="hello", created_at=datetime(2026, 3, 2, tzinfo=UTC))
    with MongoChatStorage("mongodb://127.0.0.1:9", "chats", timeout_seconds=7) as storage:
        for call in (
            lambda: storage.insert_messages([message], timeout=seconds),
            lambda: storage.flush_journals(tmp_path, timeout=seconds),
        ):
            asked.clear()
            with pytest.raises(Unreachable if limits else ChatstoreError):
                call()
            assert asked == limits
