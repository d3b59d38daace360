"""`chatstore sessions watch` with threads: on a replica set by their feed, on a standalone server by queries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
)
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.threads.store import MongoThreadStore
from tests.conftest import Chatstore
from tests.support.mongod import Mongod
from tests.support.watch_processes import watching

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


@pytest.fixture
def threads(connection: Connection) -> StoredConversations:
    """Threads of the test's database, whose collections do not exist yet."""
    return StoredConversations(MongoThreadStore(connection, Settings()))


def created(threads: StoredConversations, name: str, **owner: str) -> str:
    """The id of a new thread of the user ana in the tenant acme."""
    return threads.create_thread(
        CreateChatThreadRequest(**{"user_id": "ana", "org_id": "acme", "name": name, **owner})
    ).id


def add(threads: StoredConversations, thread_id: str, *texts: str) -> None:
    requests = [
        CreateChatMessageRequest(chat_thread_id=thread_id, sender_role="user", content={"type": "text", "text": text})
        for text in texts
    ]
    threads.create_messages(requests)


def test_each_change_of_a_thread_is_a_row_also_if_its_collections_are_created_later(
    chatstore: Chatstore, threads: StoredConversations
) -> None:
    begun = datetime.now(UTC)
    with watching(chatstore) as watcher:
        assert "cannot report changes" not in watcher.err
        one = created(threads, "Budget")
        watcher.wait_for_rows(1)
        add(threads, one, "a", "b")
        watcher.wait_for_rows(2)
        threads.update_thread(one, name="Budget 2027")
        watcher.wait_for_rows(3)
        listed = json.loads(chatstore("sessions", "list", "--layout", "threads", "-o", "json").out)["items"]
        fork = threads.fork_thread(one, name="Copy").id
        watcher.wait_for_rows(4)
        [first, second] = threads.get_messages(one)
        threads.edit_message(first.id, {"type": "text", "text": "A"})
        watcher.wait_for_rows(5)
        threads.delete_message(second.id)
        watcher.wait_for_rows(6)
        assert chatstore("sessions", "delete", one, "--yes").code == 0
        rows = watcher.wait_for_rows(7)
        assert watcher.end() == 0
    assert watcher.changes == [
        (one, "new"), (one, "changed"), (one, "changed"), (fork, "new"), (one, "changed"), (one, "changed"),
        (one, "deleted"),
    ]  # fmt: skip
    assert [row["message_count"] for row in rows] == [0, 2, 2, 2, 2, 1, 1]
    assert {key: rows[2][key] for key in listed[0]} == listed[0]
    assert (rows[2]["title"], rows[2]["tenant_id"], rows[2]["user_id"]) == ("Budget 2027", "acme", "ana")
    assert begun <= datetime.fromisoformat(rows[1]["changed_at"]) <= datetime.now(UTC)


def test_filters_select_threads_by_tenant_and_user(chatstore: Chatstore, threads: StoredConversations) -> None:
    with watching(chatstore, "--tenant", "acme", "--user", "eve") as watcher:
        created(threads, "other", org_id="other", user_id="eve")
        created(threads, "other")
        wanted = created(threads, "wanted", user_id="eve")
        watcher.wait_for_rows(1)
    assert watcher.changes == [(wanted, "new")]


def test_since_starts_with_earlier_changes_of_threads(chatstore: Chatstore, threads: StoredConversations) -> None:
    early = datetime.now(UTC) - timedelta(hours=2)
    old = ChatThread(user_id="ana", org_id="acme", name="old", created_at=early, updated_at=early)
    threads.import_thread(old, [])
    one = created(threads, "one")
    add(threads, one, "a")
    with watching(chatstore, "--since", "1h") as watcher:
        watcher.wait_for_rows(1)
        threads.update_thread(old.id, name="renamed")
        watcher.wait_for_rows(2)
    assert watcher.changes == [(one, "new"), (old.id, "changed")]


def test_messages_of_a_thread_are_the_rows_of_sessions_show(chatstore: Chatstore, threads: StoredConversations) -> None:
    one, other = created(threads, "one"), created(threads, "other")
    add(threads, one, "before")
    with watching(chatstore, one) as watcher:
        add(threads, one, "a", "\x1b[2J")
        add(threads, other, "elsewhere")
        threads.edit_message(threads.get_messages(one)[0].id, {"type": "text", "text": "edited"})
        threads.clear_messages(one)
        add(threads, one, "after")
        watcher.wait_for_rows(3)
        [shown] = json.loads(chatstore("sessions", "show", one, "--first", "0", "-o", "json").out)["last_messages"]
    assert watcher.contents == ["a", "\x1b[2J", "after"]
    assert watcher.rows[-1] == shown


def test_a_thread_that_is_deleted_and_imported_again_shows_its_new_messages_once_it_exists(
    chatstore: Chatstore, threads: StoredConversations
) -> None:
    thread = ChatThread(user_id="ana", org_id="acme", name="one")
    stored = [message(thread, number) for number in range(1, 3)]
    threads.import_thread(thread, stored)
    with watching(chatstore, thread.id) as watcher:
        threads.delete_thread(thread.id)
        watcher.wait_for_notice(f"Session {thread.id!r} was deleted.")
        threads.import_thread(thread, [*stored, message(thread, 3)])
        watcher.wait_for_rows(1)
        add(threads, thread.id, "turn 4")
        watcher.wait_for_rows(2)
    assert watcher.contents == ["turn 3", "turn 4"]


def message(thread: ChatThread, number: int) -> ChatMessage:
    content = {"type": "text", "text": f"turn {number}"}
    return ChatMessage(chat_thread_id=thread.id, sender_role="user", content=content, sequence=number)


@pytest.fixture
def standalone_threads(chatstore: Chatstore, database: Documents, standalone: Mongod) -> Iterator[StoredConversations]:
    """Threads of a database on the standalone server, whose collections do not exist yet."""
    chatstore.environment["CHATSTORE_URI"] = standalone.uri
    connection = connect(standalone.uri, database.name, timeout_seconds=10)
    yield StoredConversations(MongoThreadStore(connection, Settings()))
    connection.client.drop_database(database.name)


def test_on_a_standalone_server_threads_are_queried(
    chatstore: Chatstore, standalone_threads: StoredConversations
) -> None:
    with watching(chatstore, "--poll", "0.1") as watcher:
        one = created(standalone_threads, "one")
        watcher.wait_for_rows(1)
        add(standalone_threads, one, "a")
        watcher.wait_for_rows(2)
        fork = standalone_threads.fork_thread(one).id
        watcher.wait_for_rows(3)
        standalone_threads.delete_thread(one)
        watcher.wait_for_rows(4)
    assert Counter(watcher.changes) == Counter([(one, "new"), (one, "changed"), (fork, "new"), (one, "deleted")])
    with watching(chatstore, fork, "--poll", "0.1") as messages:
        add(standalone_threads, fork, "b", "c")
        messages.wait_for_rows(2)
    assert messages.contents == ["b", "c"]
