"""General chats on a real server: lost answers, deletions in between, sizes, segments, and what the original lost."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import monitoring

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.general.chats import GeneralChats
from chatstore_cli.core.segments import keeper as keeper_module
from chatstore_cli.core.segments.keeper import SegmentKeeper
from chatstore_cli.domain.errors import Conflict, DocumentRefused, NotFound, Unreachable
from chatstore_cli.domain.segments import MEBIBYTE
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.general.layout import GeneralLayout
from chatstore_cli.mongo.general.numbers import ChatNumbers
from chatstore_cli.mongo.general.shape import GENERAL
from chatstore_cli.mongo.general.writer import MongoGeneralWriter
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.tombstones import write_tombstone
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real

OWNER = {"app_id": "acme", "user_id": "ann"}
CHAT = "generalchat-acme-ann-0001"


def open_chats(connection: Connection) -> GeneralChats:
    """The chats, with nothing known of any of them yet."""
    store = MongoSegmentStore(GENERAL, connection, Settings())
    writer = MongoGeneralWriter(connection, Settings())
    return GeneralChats(writer, ChatNumbers(connection, Settings()), SegmentKeeper(store))


@pytest.fixture
def chats(connection: Connection) -> GeneralChats:
    """The chats of the test's database, which has the chat CHAT."""
    chats = open_chats(connection)
    assert chats.create_general_chat_session(**OWNER)["chat_id"] == CHAT
    return chats


def say(chats: GeneralChats, content: str, chat_id: str = CHAT, **more: Any) -> dict[str, Any]:
    return chats.append_general_message(
        general_chat_id=chat_id, **{"app_id": "acme", "role": "user", "content": content, **more}
    )


def contents(chats: GeneralChats, **more: Any) -> list[str]:
    found = chats.fetch_general_chat_transcript(general_chat_id=CHAT, app_id="acme", **{"limit": 0, **more})
    assert found is not None
    return [each["content"] for each in found["messages"]]


class Commands(monitoring.CommandListener):
    """Keeps the commands that a client sends."""

    def __init__(self) -> None:
        self.commands: list[Any] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append(event.command)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


class BeforeUpdate(Commands):
    """Calls `action` before the first update of a client, between the look-up of a chat and the append."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self._action = action
        self.is_reached = False

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name == "update" and not self.is_reached:
            self.is_reached = True
            self._action()


# --- exactly once ----------------------------------------------------------------------------------------------------


def test_a_message_whose_answer_is_lost_is_stored_once(
    chats: GeneralChats, fail_point: Callable[..., Any], database: Any
) -> None:
    say(chats, "first")
    with fail_point(["update"], times=1, closeConnection=True):
        assert say(chats, "second")["sequence"] == 2
    unsure = {"code": 64, "errmsg": "waiting for replication timed out"}
    refused = pytest.raises(Unreachable, match="waiting for replication")
    with fail_point(["update"], times=1, writeConcernError=unsure), refused:
        say(chats, "third", event_id="e3")
    assert say(chats, "third", event_id="e3")["sequence"] == 3
    assert contents(chats) == ["first", "second", "third"]
    assert database.GeneralChatSessions.find_one()["last_sequence"] == 3


def test_a_message_that_another_process_stores_in_between_is_found_and_returned(
    connection: Connection, mongo_uri: str, database: Any, chats: GeneralChats
) -> None:
    elsewhere: list[dict[str, Any]] = []
    listener = BeforeUpdate(lambda: elsewhere.append(say(chats, "second", event_id="e2")))
    other = open_chats(connect(mongo_uri, database.name, timeout_seconds=10, listener=listener))
    say(chats, "first")
    assert say(other, "second", event_id="e2") == elsewhere[0]
    assert contents(chats) == ["first", "second"]


def test_one_event_id_from_eight_threads_and_two_applications_is_stored_once(
    connection: Connection, chats: GeneralChats
) -> None:
    applications = [chats, open_chats(connection)]
    returned: list[dict[str, Any]] = []

    def deliver(number: int) -> None:
        for event in range(5):
            returned.append(say(applications[number % 2], str(event), event_id=f"e{event}"))

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(returned) == 40
    assert len({(each["event_id"], each["sequence"], each["timestamp"]) for each in returned}) == 5
    assert sorted(contents(chats)) == ["0", "1", "2", "3", "4"]


def test_sequence_time_and_message_are_one_command(mongo_uri: str, database: Any, chats: GeneralChats) -> None:
    """The original counts first and stores then: a crash between the two leaves a gap."""
    listener = Commands()
    listening = open_chats(connect(mongo_uri, database.name, timeout_seconds=10, listener=listener))
    say(listening, "the first one reads the chat")
    listener.commands.clear()
    say(listening, "hello")
    [command] = listener.commands  # one round trip
    [update] = command["updates"]
    assert sorted(update["u"]["$set"]) == ["last_sequence", "last_updated_at"]
    assert "messages" in update["u"]["$push"]


# --- whose chat it is, and whether it is still there -----------------------------------------------------------------


def test_a_chat_that_is_deleted_between_look_up_and_append_stays_deleted(
    connection: Connection, mongo_uri: str, database: Any, chats: GeneralChats
) -> None:
    def delete() -> None:
        GeneralLayout(connection, Settings()).remove(CHAT, datetime.now(UTC))

    say(chats, "known to this process")
    listener = BeforeUpdate(delete)
    other = open_chats(connect(mongo_uri, database.name, timeout_seconds=10, listener=listener))
    for late in (other, chats):
        with pytest.raises(Conflict, match="deleted on purpose"):
            say(late, "late")
    assert listener.is_reached
    assert database.GeneralChatSessions.count_documents({}) == 0
    assert chats.create_general_chat_session(**OWNER)["sequence"] == 2


def test_the_id_of_a_deleted_chat_is_not_stored_even_for_a_moment(
    connection: Connection, mongo_uri: str, database: Any
) -> None:
    write_tombstone(connection, "general", CHAT, datetime.now(UTC))
    listener = Commands()
    chats = open_chats(connect(mongo_uri, database.name, timeout_seconds=10, listener=listener))
    assert chats.create_general_chat_session(**OWNER)["sequence"] == 2
    inserted = [document["_id"] for each in listener.commands for document in each.get("documents", ())]
    assert "generalchat-acme-ann-0002" in inserted
    assert CHAT not in inserted


def test_a_chat_that_another_tenant_has_under_the_same_id_meanwhile_gets_nothing(
    chats: GeneralChats, database: Any
) -> None:
    say(chats, "mine")
    document = database.GeneralChatSessions.find_one()
    database.GeneralChatSessions.replace_one({"_id": CHAT}, {**document, "app_id": "other", "user_id": "bob"})
    with pytest.raises(NotFound):
        say(chats, "not for others")
    assert len(database.GeneralChatSessions.find_one()["messages"]) == 1


def test_the_second_creator_of_a_plain_id_does_not_lose_his_messages(chats: GeneralChats, database: Any) -> None:
    """("a-b", "c") and ("a", "b-c") have one id in old data. The original drops the messages of the second one."""
    plain = {"_id": "generalchat-a-b-c-0001", "chat_id": "generalchat-a-b-c-0001", "app_id": "a-b", "user_id": "c"}
    fields = {"session_type": "general", "general_sequence": 1, "messages": [], "last_sequence": 0}
    database.GeneralChatSessions.insert_one({**plain, **fields})
    with pytest.raises(NotFound):
        say(chats, "lost?", plain["_id"], app_id="a")
    assert say(chats, "stored", plain["_id"], app_id="a-b")["sequence"] == 1


def test_keys_and_ids_that_look_like_operators_are_stored_as_they_are(chats: GeneralChats, database: Any) -> None:
    given = {"$set": {"status": 1}, "a.b": {"$gt": ""}, "": 1, "ui_context": {"$where": "x"}}
    message = say(chats, "{'$ne': 1}", event_id="7", metadata=given)
    assert say(chats, "again", event_id="7", metadata=given) == message
    document = database.GeneralChatSessions.find_one()
    assert (document["messages"], document["status"]) == ([message], 0)
    assert {name: message["metadata"][name] for name in given} == given


# --- sizes and segments ----------------------------------------------------------------------------------------------


@pytest.fixture
def roomy(standalone: Mongod) -> Iterator[Connection]:
    """A database on a server without an oplog. With one, 16 MiB at once are too much for the cache of the tests' servers."""
    connection = connect(standalone.uri, f"test_{uuid.uuid4().hex[:12]}", timeout_seconds=30)
    yield connection
    connection.client.drop_database(connection.database.name)


def test_a_message_of_15_mib_is_stored_and_one_of_17_is_refused(roomy: Connection) -> None:
    chats = open_chats(roomy)
    chats.create_general_chat_session(**OWNER)
    large = "x" * (15 * MEBIBYTE)
    say(chats, "small")
    assert say(chats, large)["sequence"] == 2
    with pytest.raises(DocumentRefused, match=r"over the limit of 16 MiB"):
        say(chats, "y" * (17 * MEBIBYTE))
    assert say(chats, "after")["sequence"] == 3
    assert [len(each) for each in contents(chats)] == [5, len(large), 5]
    assert roomy.database.general_chat_segments.count_documents({}) > 0  # the document was over 12 MiB


def test_a_message_that_does_not_fit_into_a_full_document_moves_older_ones_out(roomy: Connection) -> None:
    chats = open_chats(roomy)
    chats.create_general_chat_session(**OWNER)
    full = {"$set": {"last_sequence": 1, "messages": [{"content": "x" * (15 * MEBIBYTE), "sequence": 1}]}}
    roomy.database.GeneralChatSessions.update_one({"_id": CHAT}, full)  # the application has no segments
    assert say(chats, "y" * 2 * MEBIBYTE)["sequence"] == 2
    assert [len(each) for each in contents(chats)] == [15 * MEBIBYTE, 2 * MEBIBYTE]


def test_a_chat_that_grows_over_the_guard_moves_to_segments_and_reads_the_same(
    connection: Connection, chats: GeneralChats, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "GUARD_BYTES", 12_000)
    monkeypatch.setattr(keeper_module, "_KEPT_BYTES", 8_000)
    monkeypatch.setattr(keeper_module, "_CHECK_AGAIN_BYTES", 1_000)
    texts = [f"{number:03d}" + "x" * 700 for number in range(60)]
    for number, text in enumerate(texts):
        say(chats, text, event_id=f"e{number}")
    head = database.GeneralChatSessions.find_one()
    assert head["last_segment"] >= 1
    assert len(head["messages"]) < 20
    assert (head["last_sequence"], head["moved_messages"] + len(head["messages"])) == (60, 60)
    for reader in (chats, open_chats(connection)):
        assert contents(reader) == texts
        assert contents(reader, limit=50) == texts[10:]
        assert contents(reader, after_sequence=10, limit=30) == texts[10:40]
    found = chats.fetch_general_chat_transcript(general_chat_id=CHAT, app_id="acme", after_sequence=0, limit=1)
    assert found is not None
    assert say(chats, "again", event_id="e0") == found["messages"][0]  # it is in a segment
    assert say(open_chats(connection), "next")["sequence"] == 61
