"""Which events the changes of threads and of their messages give."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.models import CreateChatMessageRequest, CreateChatThreadRequest
from chatstore_cli.domain.watch import Change, MessageEvent, MessageEventKind, SessionEvent
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.threads.feed import ThreadMessageChanges
from chatstore_cli.mongo.threads.layout import ThreadsLayout
from chatstore_cli.mongo.threads.store import MongoThreadStore
from chatstore_cli.mongo.watch.messages import MongoMessageFeed
from chatstore_cli.mongo.watch.sessions import MongoSessionFeed
from tests.mongo.threads.test_repair import message, thread
from tests.support.at_command import AtCommand
from tests.support.mongod import Mongod, poll

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
APPENDED, REWRITTEN, DELETED = MessageEventKind.APPENDED, MessageEventKind.REWRITTEN, MessageEventKind.DELETED


@pytest.mark.parametrize("collation", [None, {"locale": "en", "strength": 2}], ids=["bytes", "strength 2"])
def test_messages_count_while_their_thread_exists(
    connection: Connection, database: Documents, collation: dict[str, Any] | None
) -> None:
    """An import stores the messages before the thread, so until then they are not the messages of a session."""
    if collation is not None:
        database.create_collection("chat_threads", collation=collation)
        database.create_collection("chat_thread_messages", collation=collation)
    threads, messages = database["chat_threads"], database["chat_thread_messages"]
    changes = ThreadMessageChanges(connection, Settings().layouts.threads, "t")
    feed = MongoMessageFeed(connection, changes, "t")
    assert feed.open()
    other = {**message("T", 1), "_id": "another"}
    messages.insert_many([message("t", 1), other, {"_id": "foreign", "chat_thread_id": "t"}])
    threads.delete_one({"_id": "t"})  # absent, so nothing happens
    threads.insert_one(thread("T"))
    threads.delete_one({"_id": "T"})
    threads.insert_one(thread("t"))
    threads.delete_one({"_id": "t"})
    messages.insert_many([message("t", 2), message("t", 3)])
    threads.insert_one(thread("t", 3))
    messages.update_one({"_id": "t-3"}, {"$set": {"content": {}}})
    messages.insert_one(message("t", 4))
    found: list[MessageEvent] = []

    def read() -> bool:
        found.extend(feed.read().events)
        return any(event.message is not None and event.message.sequence == 4 for event in found)

    poll(read)
    feed.close()
    kinds = [(event.kind, event.message and event.message.sequence) for event in found]
    assert kinds == [(APPENDED, 1), (REWRITTEN, None), (DELETED, None), (REWRITTEN, None), (APPENDED, 4)]
    database["chat_threads"].delete_one({"_id": "t"})
    changes.refresh()
    assert changes.events({"ns": {"coll": messages.name}, "fullDocument": {}, "clusterTime": Stamp}) == []


class Stamp:
    """A cluster time."""

    time = inc = 0


def test_changes_that_no_row_shows_and_documents_of_another_product_give_no_event(
    connection: Connection, database: Documents
) -> None:
    threads = database["chat_threads"]
    threads.insert_many([thread("t"), {"_id": "secret", "user_id": "u"}])
    feed = MongoSessionFeed(connection, [ThreadsLayout(connection, Settings()).session_changes()])
    assert feed.open()
    identity = ObjectId()
    threads.update_one({"_id": "t"}, {"$set": {"color": "red"}})
    threads.insert_one({"_id": "another secret", "user_id": "u"})
    threads.update_one({"_id": "secret"}, {"$set": {"name": "n"}})
    threads.delete_one({"_id": "secret"})
    threads.update_one({"_id": "t"}, {"$set": {"last_sequence": 1}})
    threads.insert_one({**thread("x"), "_id": identity})
    threads.replace_one({"_id": identity}, {**thread("x"), "_id": identity, "name": "other"})
    threads.delete_one({"_id": identity})
    found: list[SessionEvent] = []

    def read() -> bool:
        found.extend(feed.read().events)
        return any(event.change.change is Change.DELETED for event in found)

    poll(read)
    feed.close()
    assert [(event.change.session.session_id, event.change.change) for event in found] == [
        ("t", Change.CHANGED), (str(identity), Change.NEW), (str(identity), Change.CHANGED),
        (str(identity), Change.DELETED),
    ]  # fmt: skip
    assert found[-1].change.session.title == "other"


def test_a_fork_is_new_once_it_is_complete(mongod: Mongod, connection: Connection, database: Documents) -> None:
    """Another thread is created before each command of a fork: whatever is reported then does not name the fork."""
    conversations = StoredConversations(MongoThreadStore(connection, Settings()))
    request = CreateChatThreadRequest(user_id="u", org_id="o", name="n")
    one = conversations.create_thread(request).id
    texts = [{"type": "text", "text": f"turn {number}"} for number in range(5)]
    conversations.create_messages(
        [CreateChatMessageRequest(chat_thread_id=one, sender_role="user", content=content) for content in texts]
    )
    feed = MongoSessionFeed(connection, [ThreadsLayout(connection, Settings()).session_changes()])
    assert feed.open()
    number, is_reached = 0, True
    while is_reached:
        number += 1
        others: list[str] = []
        listener = AtCommand(number, lambda others=others: others.append(conversations.create_thread(request).id))
        held = connect(mongod.uri, database.name, timeout_seconds=10, listener=listener)
        fork = StoredConversations(MongoThreadStore(held, Settings())).fork_thread(one).id
        is_reached = listener.reached
        found: list[SessionEvent] = []

        def read(found: list[SessionEvent] = found, fork: str = fork) -> bool:
            found.extend(feed.read().events)
            return any(event.change.session.session_id == fork for event in found)

        poll(read)
        changes = [(each.change.session.session_id, each.change.session.message_count) for each in found]
        assert changes == [*((other, 0) for other in others), (fork, 5)]
        assert {event.change.change for event in found} == {Change.NEW}
    feed.close()
    assert number > 4
