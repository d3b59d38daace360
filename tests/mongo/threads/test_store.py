"""MongoThreadStore: order, identity, owners and old documents, on mongomock, a replica set and a standalone server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import Conflict, ForeignCollection, UnsuitableCollection
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, ForkedFrom
from chatstore_cli.domain.threads.ports import ALL, ANYONE, Owner, Window
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.threads.documents import message_document
from chatstore_cli.mongo.threads.store import MongoThreadStore

NOON = datetime(2026, 3, 2, 12, 0, 0, 123000, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ALICE = Owner("alice", "acme")
Documents = Database[dict[str, Any]]


@pytest.fixture
def store(thread_connection: Connection) -> MongoThreadStore:
    """A store with one thread, `t`, of alice."""
    store = MongoThreadStore(thread_connection, Settings())
    store.insert_thread(thread("t"))
    return store


@pytest.fixture
def documents(thread_connection: Connection) -> Documents:
    """The database of the store."""
    return thread_connection.database


def thread(thread_id: str, **more: Any) -> ChatThread:
    """A thread of alice, created at noon."""
    facts = {
        "id": thread_id,
        "user_id": "alice",
        "org_id": "acme",
        "name": thread_id,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return ChatThread(**{**facts, **more})


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are deleted and copied 100 and 2 at a time."""
    monkeypatch.setattr("chatstore_cli.mongo.threads.batches._MESSAGES_AT_ONCE", 100)
    monkeypatch.setattr("chatstore_cli.mongo.threads.whole_threads._MESSAGES_AT_ONCE", 2)


def message(name: str, text: Any = None, thread_id: str = "t", **more: Any) -> ChatMessage:
    """A message of a user, created at noon."""
    content = {"type": "text", "text": name if text is None else text}
    facts = {"id": name, "chat_thread_id": thread_id, "sender_role": "user", "content": content}
    return ChatMessage(**{**facts, "created_at": NOON, "updated_at": NOON, **more})


def ids(store: MongoThreadStore, window: Window = ALL, owner: Owner = ANYONE) -> list[str]:
    """The ids of the messages of `t`."""
    return [each.id for each in store.messages("t", window, owner)]


def test_what_is_stored_comes_back(store: MongoThreadStore, documents: Documents):
    whole = thread("u", forked_from=ForkedFrom(thread_id="t", sequence=3), updated_at=LATER)
    store.insert_thread(whole)
    assert store.find_thread("u", ANYONE) == whole
    odd = message(
        "m",
        sender_id="bob",
        thread_id="u",
        content={"a.b": {"$set": 1, "": [1.0, None, True]}, "metadata": {"$ref": "x", "$id": 1}},
    )
    [stored] = store.add_messages("u", [odd], ALICE) or []
    assert stored == odd.model_copy(update={"sequence": 1})
    assert list(store.messages("u", ALL, ALICE)) == [stored]
    assert store.find_message("m", ALICE) == stored
    assert stored.content == odd.content
    assert type(next(store.messages("u", ALL, ALICE)).created_at.tzinfo) is type(UTC)
    assert sorted(documents["chat_threads"].find_one({"_id": "u"}) or {}) == [
        "_id", "created_at", "forked_from", "last_sequence", "name", "org_id", "updated_at", "user_id",
    ]  # fmt: skip


def test_sequences_follow_each_other_and_the_time_of_the_thread_never_falls(
    store: MongoThreadStore, documents: Documents
):
    store.add_messages("t", [message("a"), message("b", created_at=LATER)], ANYONE)
    store.add_messages("t", [message("c")], ANYONE)
    assert [each.sequence for each in store.messages("t", ALL, ANYONE)] == [1, 2, 3]
    stored = documents["chat_threads"].find_one({"_id": "t"}) or {}
    assert (stored["last_sequence"], stored["updated_at"]) == (3, LATER)


@pytest.mark.parametrize("behind", [0, 1, None, "text", 1.5])
def test_a_last_sequence_that_is_wrong_is_corrected_and_decides_nothing(
    store: MongoThreadStore, documents: Documents, behind: Any
):
    store.add_messages("t", [message("a"), message("b"), message("c")], ANYONE)
    documents["chat_threads"].update_one({"_id": "t"}, {"$set": {"last_sequence": behind}})
    assert ids(store) == ["a", "b", "c"]
    [added] = store.add_messages("t", [message("d")], ANYONE) or []
    assert added.sequence == 4
    assert (documents["chat_threads"].find_one({"_id": "t"}) or {})["last_sequence"] == 4


@pytest.mark.parametrize("odd", [2.5, float("inf"), float("nan"), "many", None])
def test_messages_are_added_behind_a_sequence_that_is_not_a_whole_number(
    store: MongoThreadStore, documents: Documents, odd: Any
):
    """With transactions, 1,000 attempts failed before."""
    store.add_messages("t", [message("a"), message("b")], ANYONE)
    documents["chat_thread_messages"].insert_one({"_id": "odd", "chat_thread_id": "t", "sequence": odd})
    documents["chat_threads"].update_one({"_id": "t"}, {"$set": {"last_sequence": float("nan")}})
    [added] = store.add_messages("t", [message("c")], ANYONE) or []
    assert added.sequence == (3 if odd in (None, "many") or str(odd) in ("inf", "nan") else 4)


def test_a_fork_of_messages_without_a_sequence_is_complete(store: MongoThreadStore, documents: Documents):
    rows = [{"_id": str(number), "chat_thread_id": "t", "sequence": odd} for number, odd in enumerate([None, 0.5, 1])]
    documents["chat_thread_messages"].insert_many(rows)
    fork = StoredConversations(store).fork_thread("t")
    assert [each.sequence for each in store.messages(fork.id, ALL, ANYONE)] == [0, 1, 2]


def test_a_sequence_beyond_all_others_is_refused(store: MongoThreadStore, documents: Documents):
    for last in (2**53, 2**63 - 1):
        documents["chat_threads"].update_one({"_id": "t"}, {"$set": {"last_sequence": last}})
        with pytest.raises(Conflict, match="exceeds the highest one that a thread can have"):
            store.add_messages("t", [message("a")], ANYONE)
    assert ids(store) == []


def test_sequences_of_deleted_messages_are_not_used_again(store: MongoThreadStore, documents: Documents):
    store.add_messages("t", [message("a"), message("b"), message("c")], ANYONE)
    documents["chat_threads"].update_one({"_id": "t"}, {"$set": {"last_sequence": 0}})
    assert store.remove_message("b", LATER, ANYONE)
    assert store.remove_message("c", LATER, ANYONE)
    [added] = store.add_messages("t", [message("d")], ANYONE) or []
    assert added.sequence == 4
    assert store.clear_messages("t", ANYONE) == 2
    [added] = store.add_messages("t", [message("e")], ANYONE) or []
    assert added.sequence == 5


def test_a_message_that_is_delivered_again_is_stored_once(store: MongoThreadStore):
    first = store.add_messages("t", [message("a"), message("b")], ANYONE)
    again = store.add_messages("t", [message("b", created_at=LATER), message("a", updated_at=LATER)], ANYONE)
    assert again == list(reversed(first or []))
    mixed = store.add_messages("t", [message("c"), message("a"), message("d")], ANYONE) or []
    assert [(each.id, each.sequence) for each in mixed] == [("c", 3), ("a", 1), ("d", 4)]
    assert ids(store) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "other",
    [
        {"text": 1.0}, {"text": True}, {"text": "1"}, {"sender_id": "bob"}, {"sender_role": "tool"}, {"thread_id": "u"},
    ],
)  # fmt: skip
def test_another_message_of_a_stored_id_is_a_conflict(store: MongoThreadStore, other: dict[str, Any]):
    store.insert_thread(thread("u"))
    store.add_messages("t", [message("a", text=1)], ANYONE)
    changed = message("a", **{"text": 1, **other})
    with pytest.raises(Conflict) as raised:
        store.add_messages(changed.chat_thread_id, [message("new", thread_id=changed.chat_thread_id), changed], ANYONE)
    assert "bob" not in raised.value.as_text()
    assert ids(store) == ["a"]
    assert list(store.messages("u", ALL, ANYONE)) == []


def test_an_edited_message_is_recognised_by_its_first_and_its_present_content(store: MongoThreadStore):
    store.add_messages("t", [message("a", "one")], ANYONE)
    for text in ("two", "three"):
        store.replace_content("a", {"type": "text", "text": text}, LATER, ANYONE)
    for text in ("one", "three"):
        [stored] = store.add_messages("t", [message("a", text)], ANYONE) or []
        assert [edit.content["text"] for edit in stored.edits] == ["one", "two"]
    with pytest.raises(Conflict):
        store.add_messages("t", [message("a", "two")], ANYONE)


def test_an_edit_keeps_the_former_content_and_keys_with_dollars_and_dots(store: MongoThreadStore):
    store.add_messages("t", [message("a", "one")], ANYONE)
    odd = {"$set": {"a.b": "$content"}, "metadata": {"$ref": "x", "$id": 1, "$db": "y"}}
    changed = store.replace_content("a", odd, LATER, ALICE)
    assert changed is not None
    assert changed == store.find_message("a", ANYONE)
    assert (changed.content, changed.updated_at, changed.created_at) == (odd, LATER, NOON)
    assert [edit.model_dump() for edit in changed.edits] == [
        {"content": {"type": "text", "text": "one"}, "edited_at": LATER}
    ]
    for number in range(25):
        store.replace_content("a", {"n": number}, LATER, ANYONE)
    kept = (store.find_message("a", ANYONE) or changed).edits
    assert [edit.content for edit in kept] == [{"n": number} for number in range(4, 24)]
    assert (store.find_thread("t", ANYONE) or thread("t")).updated_at == LATER


def test_another_owner_sees_and_changes_nothing(store: MongoThreadStore, documents: Documents):
    store.add_messages("t", [message("a")], ANYONE)
    before = [list(documents[name].find()) for name in ("chat_threads", "chat_thread_messages")]
    for other in (Owner("bob"), Owner(None, "other"), Owner("alice", "other")):
        answers: list[Callable[[], Any]] = [
            lambda other=other: store.find_thread("t", other),
            lambda other=other: store.change_thread("t", {"name": "x"}, LATER, other),
            lambda other=other: store.remove_thread("t", other),
            lambda other=other: store.newest_threads(other, 10),
            lambda other=other: store.add_messages("t", [message("b")], other),
            lambda other=other: store.add_messages("t", [message("a")], other),
            lambda other=other: list(store.messages("t", ALL, other)),
            lambda other=other: list(store.messages("t", Window(limit=1, newest=True), other)),
            lambda other=other: store.find_message("a", other),
            lambda other=other: store.replace_content("a", {"x": 1}, LATER, other),
            lambda other=other: store.remove_message("a", LATER, other),
            lambda other=other: store.clear_messages("t", other),
            lambda other=other: store.newest_summary("t", other),
        ]
        assert not any(answer() for answer in answers)
    assert [list(documents[name].find()) for name in ("chat_threads", "chat_thread_messages")] == before
    assert ids(store, owner=Owner(None, "acme")) == ["a"]


def test_messages_without_a_thread_are_not_read(store: MongoThreadStore, documents: Documents):
    store.add_messages("t", [message("a")], ANYONE)
    documents["chat_threads"].delete_one({"_id": "t"})
    assert ids(store) == []
    assert store.find_message("a", ANYONE) is None
    assert store.replace_content("a", {}, LATER, ANYONE) is None
    assert not store.remove_message("a", LATER, ANYONE)
    assert store.clear_messages("t", ANYONE) == 0
    assert store.add_messages("t", [message("a")], ANYONE) is None


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(limit=2), "ab"), (Window(limit=2, newest=True), "de"), (Window(offset=3), "de"),
        (Window(offset=3, newest=True), "ab"), (Window(2, 1, newest=True), "cd"), (Window(2, 1), "bc"),
        (Window(newest=True), "abcde"), (Window(after_sequence=3), "de"), (Window(up_to_sequence=2), "ab"),
        (Window(1, 0, True, 2, 4), "d"), (Window(offset=9), ""), (Window(offset=9, newest=True), ""),
    ],
)  # fmt: skip
def test_windows(store: MongoThreadStore, window: Window, expected: str):
    store.add_messages("t", [message(name) for name in "abcde"], ANYONE)
    assert "".join(ids(store, window)) == expected


def test_threads_are_listed_newest_first_and_equal_times_by_descending_id(store: MongoThreadStore):
    for name, instant in (("b", LATER), ("a", LATER), ("z", NOON)):
        store.insert_thread(thread(name, updated_at=instant, org_id="other" if name == "a" else "acme"))
    assert [each.id for each in store.newest_threads(ANYONE, 3)] == ["b", "a", "z"]
    assert [each.id for each in store.newest_threads(Owner(None, "acme"), 10)] == ["b", "z", "t"]


def test_documents_of_other_programs_are_read(store: MongoThreadStore, documents: Documents):
    documents["chat_threads"].update_one({"_id": "t"}, {"$set": {"name": ""}, "$unset": {"created_at": 1}})
    assert (store.find_thread("t", ANYONE) or thread("x")).created_at == NOON
    assert (store.find_thread("t", ANYONE) or thread("x")).name == ""
    documents["chat_threads"].insert_one({"_id": "bare", "user_id": "alice", "org_id": "acme", "name": None})
    assert store.find_thread("bare", ALICE) == thread(
        "bare", name="", created_at=datetime(1970, 1, 1, tzinfo=UTC), updated_at=datetime(1970, 1, 1, tzinfo=UTC)
    )
    stored = documents["chat_thread_messages"]
    old: list[dict[str, Any]] = [
        {"_id": "1", "sender_role": "narrator", "content": "hello", "created_at": "2026-03-02T13:00:00"},
        {
            "_id": "2",
            "sender_role": "user",
            "content": {"text": "hi"},
            "sequence": 1.0,
            "created_at": NOON,
            "edits": [1, {}],
        },
        {
            "_id": "3",
            "sender_role": "user",
            "content": None,
            "sequence": 2,
            "updated_at": "2026-03-02T13:00:00.5+01:00",
        },
        {"_id": "4", "sender_role": "user", "content": [1, NOON], "sequence": 3, "sender_id": 7},
    ]
    stored.insert_many([{"chat_thread_id": "t", **each} for each in old])
    first, second, third, fourth = store.messages("t", ALL, ANYONE)
    assert (first.content, first.sender_role, first.sequence) == ({"type": "text", "text": "hello"}, "narrator", 0)
    assert first.created_at == first.updated_at == datetime(2026, 3, 2, 13, tzinfo=UTC)
    assert (second.content, second.sequence, second.updated_at, len(second.edits)) == ({"text": "hi"}, 1, NOON, 1)
    assert (third.content, third.created_at) == ({}, datetime(2026, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC))
    assert (fourth.content, fourth.sender_id) == ({"value": [1, "2026-03-02T12:00:00.123000Z"]}, "7")
    assert ids(store, Window(up_to_sequence=1)) == ["1", "2"]
    [added] = store.add_messages("t", [message("new")], ANYONE) or []
    assert added.sequence == 4
    edited = store.replace_content("1", {"text": "x"}, LATER, ANYONE)
    assert edited is not None
    assert [edit.content for edit in edited.edits] == [{"type": "text", "text": "hello"}]


def test_a_summary_is_found_by_the_highest_sequence(store: MongoThreadStore):
    assert store.newest_summary("t", ANYONE) is None
    for name, role in (("s1", "system"), ("s2", "system"), ("user", "user")):
        content = {"text": name, "metadata": {"summary": {"from_sequence": 1, "to_sequence": 2}}}
        store.add_messages("t", [message(name, content=content, sender_role=role)], ANYONE)
    store.add_messages("t", [message("x", content={"metadata": {"summary": {}}}, sender_role="system")], ANYONE)
    summary = store.newest_summary("t", ALICE)
    assert summary is not None
    assert summary.id == "s2"


@pytest.mark.usefixtures("small_batches")
def test_a_whole_thread_is_stored_and_completed_by_a_repetition(store: MongoThreadStore, documents: Documents):
    messages = [message(f"m{number}", thread_id="w", sequence=2 * number) for number in range(1, 6)]

    def interrupted() -> Any:
        yield from messages[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.insert_whole_thread(thread("w"), interrupted())
    assert documents["chat_thread_messages"].count_documents({"chat_thread_id": "w"}) == 2
    assert list(store.messages("w", ALL, ANYONE)) == []
    store.insert_whole_thread(thread("w"), iter(messages))
    assert list(store.messages("w", ALL, ANYONE)) == messages
    assert (documents["chat_threads"].find_one({"_id": "w"}) or {})["last_sequence"] == 10
    assert all("copied_at" in each for each in documents["chat_thread_messages"].find())
    with pytest.raises(Conflict, match="exists"):
        store.insert_whole_thread(thread("w"), iter(messages))
    [added] = store.add_messages("w", [message("next", thread_id="w")], ANYONE) or []
    assert added.sequence == 11


@pytest.mark.parametrize("difference", ["id in another thread", "place", "content", "more messages"])
def test_a_whole_thread_is_not_mixed_with_other_messages(
    store: MongoThreadStore, documents: Documents, difference: str
):
    stored = message("m1", thread_id="w", sequence=1)
    changes = {
        "id in another thread": {"chat_thread_id": "t"},
        "place": {"id": "other"},
        "content": {"content": {"text": "other"}},
        "more messages": {"id": "more", "sequence": 7},
    }
    documents["chat_thread_messages"].insert_one(message_document(stored.model_copy(update=changes[difference])))
    with pytest.raises(Conflict):
        store.insert_whole_thread(thread("w"), [stored])
    assert store.find_thread("w", ANYONE) is None


@pytest.mark.usefixtures("small_batches")
def test_threads_are_removed_with_their_messages_and_others_stay(store: MongoThreadStore, documents: Documents):
    store.insert_thread(thread("u"))
    store.add_messages("t", [message(str(number)) for number in range(205)], ANYONE)
    store.add_messages("u", [message("other", thread_id="u")], ANYONE)
    assert store.remove_thread("t", ALICE)
    assert not store.remove_thread("t", ALICE)
    assert [each["_id"] for each in documents["chat_thread_messages"].find()] == ["other"]


@pytest.mark.usefixtures("small_batches")
def test_clear_deletes_what_is_there_and_keeps_the_time(store: MongoThreadStore, documents: Documents):
    store.add_messages("t", [message(str(number)) for number in range(205)], ANYONE)
    others = [{"sequence": None}, {"sequence": "text"}]
    documents["chat_thread_messages"].insert_many(
        [{"chat_thread_id": "t", "sender_role": "", "content": {}, **each} for each in others]
    )
    assert store.clear_messages("t", ALICE) == 207
    assert ids(store) == []
    assert (store.find_thread("t", ANYONE) or thread("x")).updated_at == NOON


def test_a_collection_of_another_product_is_not_written_to(thread_connection: Connection):
    documents = thread_connection.database
    documents["chat_threads"].insert_many([{"user_id": "a", "email": "x"} for _ in range(5)])
    store = MongoThreadStore(thread_connection, Settings())
    for write in (
        lambda: store.insert_thread(thread("t")),
        lambda: store.remove_thread("t", ANYONE),
        lambda: store.insert_whole_thread(thread("t"), []),
    ):
        with pytest.raises(ForeignCollection):
            write()
    assert "chat_thread_messages" not in documents.list_collection_names()


def test_documents_of_another_product_are_not_found(store: MongoThreadStore, documents: Documents):
    documents["chat_threads"].insert_one({"_id": "foreign", "user_id": "alice", "org_id": "acme"})
    assert store.find_thread("foreign", ANYONE) is None
    assert not store.remove_thread("foreign", ANYONE)
    assert [each.id for each in store.newest_threads(ALICE, 10)] == ["t"]


def test_duplicates_that_prevent_the_index_prevent_writing(thread_connection: Connection):
    stored = [{"chat_thread_id": "t", "sequence": 1, "sender_role": "user", "content": {}} for _ in range(2)]
    thread_connection.database["chat_thread_messages"].insert_many(stored)
    store = MongoThreadStore(thread_connection, Settings())
    with pytest.raises(Conflict, match="thread_sequence_idx"):
        store.insert_thread(thread("t"))
    assert thread_connection.database["chat_threads"].count_documents({}) == 0


def test_a_name_that_prevents_the_index_prevents_writing(server_connection: Connection):
    server_connection.database["chat_thread_messages"].create_index("sender_id", name="thread_sequence_idx")
    with pytest.raises(Conflict, match="Without the index"):
        MongoThreadStore(server_connection, Settings()).insert_thread(thread("t"))


@pytest.mark.parametrize("kind", [{"capped": True, "size": 1 << 20}, {"viewOn": "other"}])
def test_unsuitable_collections_are_refused(server_connection: Connection, kind: dict[str, Any]):
    server_connection.database.create_collection("chat_thread_messages", **kind)
    with pytest.raises(UnsuitableCollection):
        MongoThreadStore(server_connection, Settings()).insert_thread(thread("t"))
