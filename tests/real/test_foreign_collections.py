"""Collections of other products under the names that chatstore uses: nothing is shown, written, indexed or deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import ForeignCollection
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.library import AG2PersistenceManager, MongoChatStorage
from chatstore_cli.mongo.messages.layout import MessagesLayout
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.journals import record, write_journal

pytestmark = pytest.mark.real

NOW = datetime.now(UTC)
SECRET = "bG9naW4tc2VjcmV0"
LOGINS = "chat_sessions holds 18 documents that are not sessions of layout workflow: _id, expires, session"
OTHER_MESSAGES = (
    "chat_messages holds 40 documents that are not messages of layout messages: _id, session_id, role, content, at"
)


def login(number: int) -> dict[str, Any]:
    """A login session as a web framework stores it."""
    expires = NOW + timedelta(days=number + 1)
    return {"_id": f"{SECRET}-{number}", "expires": expires, "session": json.dumps({"user": SECRET})}


def chat(number: int, **fields: Any) -> dict[str, Any]:
    """A session of the workflow layout."""
    times = {"created_at": NOW, "updated_at": NOW + timedelta(seconds=number)}
    return {"chat_id": f"chat-{number}", "enterprise_id": "acme", "status": 0, "messages": [], **times, **fields}


def other_message(number: int, session: str | None = None) -> dict[str, Any]:
    """A message of another product: its text is in `content`."""
    session = session or f"{SECRET}-{number % 4}"
    return {"session_id": session, "role": "user", "content": SECRET, "at": NOW, "created_at": NOW.isoformat()}


@pytest.fixture
def logins(database):
    """A collection of login sessions with a TTL index, under the name of the workflow layout's collection."""
    collection = database["chat_sessions"]
    collection.insert_many(map(login, range(18)))
    collection.create_index("expires", expireAfterSeconds=0)
    return collection


@pytest.fixture
def other_messages(database):
    """Messages of another product, under the name of the messages layout's collection."""
    collection = database["chat_messages"]
    documents = [other_message(number) for number in range(40)]
    for document in documents:
        del document["created_at"]
    collection.insert_many(documents)
    return collection


@pytest.fixture
def unchanged(database):
    """Checks at the end that no document, index or collection has changed."""

    def everything() -> dict[str, Any]:
        names = sorted(database.list_collection_names())
        return {name: (list(database[name].find()), database[name].index_information()) for name in names}

    def remember() -> None:
        before.update(everything())

    before: dict[str, Any] = {}
    yield remember
    assert everything() == before


READING = [
    ["sessions", "list"],
    ["sessions", "show", f"{SECRET}-1"],
    ["sessions", "sizes"],
    ["resume", f"{SECRET}-1"],
    ["usage", "--by", "tenant,user"],
    ["usage", "explain", f"{SECRET}-1"],
    ["usage", "reconcile"],
    ["indexes", "check"],
    ["ttl", "show"],
    ["verify"],
]
WRITING = [
    ["indexes", "apply", "--yes", "--drop-unneeded"],
    ["indexes", "apply", "--dry-run"],
    ["ttl", "set", "--days", "30", "--yes"],
    ["sessions", "delete", f"{SECRET}-1", "--yes"],
]


@pytest.mark.parametrize("arguments", [*READING, *WRITING], ids=" ".join)
@pytest.mark.parametrize("output", ["table", "json"])
def test_login_sessions_are_never_shown_and_never_touched(chatstore, logins, unchanged, arguments, output):
    unchanged()
    outcome = chatstore(*arguments, *(["-o", "json"] if output == "json" else []))
    assert SECRET not in (outcome.out + outcome.err).replace(f"{SECRET}-1", "")  # the argument may be repeated
    assert "Traceback" not in outcome.err
    if arguments in WRITING:
        assert (outcome.code, outcome.out) == (8, "")
        assert LOGINS in outcome.err
        assert "Nothing was written, changed or deleted there." in outcome.err


def test_a_listing_leaves_out_login_sessions_and_counts_them_once(chatstore, logins, database):
    outcome = chatstore("sessions", "list", "-o", "json")
    content = json.loads(outcome.out)
    assert (outcome.code, content["items"]) == (0, [])
    assert outcome.err.count(LOGINS) == 1
    assert content["foreign_documents"] == [
        {
            "collection": "chat_sessions",
            "expected": "sessions of layout workflow",
            "foreign": 18,
            "looked_at": 18,
            "sampled": False,
            "fields": ["_id", "expires", "session"],
        }
    ]
    for command in (["sessions", "show"], ["resume"]):
        outcome = chatstore(*command, f"{SECRET}-1")
        assert outcome.code == 3
        assert LOGINS in outcome.err


def test_status_changes_and_splits_of_a_login_are_not_found_or_refused(chatstore, logins, unchanged):
    unchanged()
    for command in ("complete", "fail", "pause", "unpause", "split"):
        outcome = chatstore("sessions", command, f"{SECRET}-1", *(["--yes"] if command == "split" else []))
        assert outcome.code in (3, 8), (command, outcome.err)


def test_a_session_among_many_logins_can_be_read_and_nothing_else(chatstore, logins, unchanged):
    logins.insert_one(chat(1))
    unchanged()
    outcome = chatstore("sessions", "list", "-o", "json")
    assert [row["session_id"] for row in json.loads(outcome.out)["items"]] == ["chat-1"]
    assert LOGINS in outcome.err
    assert chatstore("sessions", "show", "chat-1").code == 0
    for arguments in (
        ["sessions", "delete", "chat-1", "--yes"],
        ["sessions", "complete", "chat-1"],
        ["sessions", "fail", "chat-1"],
        ["sessions", "pause", "chat-1"],
    ):
        outcome = chatstore(*arguments)
        assert (arguments, outcome.code) == (arguments, 8)
        assert LOGINS in outcome.err


def test_a_few_foreign_documents_among_many_sessions_stop_nothing(chatstore, database):
    sessions = database["chat_sessions"]
    sessions.insert_many([chat(number) for number in range(30)] + [login(number) for number in range(3)])
    assert chatstore("indexes", "apply", "--layout", "workflow").code == 0
    outcome = chatstore("sessions", "list", "--limit", "100", "-o", "json")
    assert [row["session_id"] for row in json.loads(outcome.out)["items"]] == [f"chat-{n}" for n in range(29, -1, -1)]
    assert "chat_sessions holds 3 documents that are not sessions" in outcome.err
    assert SECRET not in outcome.out + outcome.err
    assert chatstore("sessions", "complete", "chat-3").code == 0
    assert chatstore("sessions", "delete", "chat-4", "--yes").code == 0
    assert chatstore("sessions", "delete", f"{SECRET}-1", "--yes").code == 3
    assert sessions.count_documents({"session": {"$exists": True}}) == 3
    verified = {row["name"]: row for row in json.loads(chatstore("verify", "-o", "json").out)["items"]}
    assert verified["documents"]["status"] == "warn"
    assert verified["round-trip"]["status"] == "pass"


def test_messages_of_another_product_are_not_read_as_sessions(chatstore, other_messages, unchanged):
    unchanged()
    outcome = chatstore("sessions", "list", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["items"]) == (0, [])
    assert OTHER_MESSAGES in outcome.err
    assert chatstore("resume", f"{SECRET}-1").code == 3
    assert chatstore("sessions", "show", f"{SECRET}-1").code == 3
    assert chatstore("history", f"{SECRET}-1").code == 3
    assert chatstore("sessions", "delete", f"{SECRET}-1", "--yes").code == 8
    checked = chatstore("indexes", "check")
    assert checked.code == 6
    assert not [line for line in checked.out.splitlines() if "missing" in line and "chat_messages" in line]
    assert "indexes apply" not in checked.err.replace("chatstore indexes apply creates it", "")
    indexes = json.loads(chatstore("verify", "-o", "json").out)["items"]
    assert [row["status"] for row in indexes if row["name"] == "documents"] == ["fail"]
    assert "indexes apply" not in json.dumps(indexes)


def test_nothing_is_stored_among_messages_of_another_product(chatstore, other_messages, unchanged, tmp_path):
    write_journal(tmp_path / "journals" / "s1.jsonl", [record(number) for number in range(3)])
    unchanged()
    for arguments in (["flush-cache"], ["flush-cache", "--dry-run"], ["worker", "--once"]):
        outcome = chatstore(*arguments, str(tmp_path / "journals"))
        assert (arguments, outcome.code) == (arguments, 8)
        assert OTHER_MESSAGES in outcome.err


def test_the_library_stores_nothing_among_documents_of_another_product(
    mongod, database, logins, other_messages, unchanged
):
    from chatstore_cli.domain.message import Message

    unchanged()
    message = Message("s1", "user", "hi", created_at=NOW)
    with MongoChatStorage(mongod.uri, database.name) as storage:
        for attempt in (lambda: storage.insert_messages([message]), storage.ensure_indexes):
            with pytest.raises(ForeignCollection, match="chat_messages holds 40 documents"):
                attempt()
    manager = AG2PersistenceManager(mongod.uri, database.name)
    event = {"type": "text", "content": {"uuid": "e1", "content": "hi", "sender": "user", "recipient": "Bot"}}
    for attempt in (
        lambda: manager.save_event(event, chat_id="c", enterprise_id="acme"),
        manager.ensure_indexes,
    ):
        with pytest.raises(ForeignCollection, match="chat_sessions holds 18 documents"):
            attempt()


def test_usage_of_another_product_is_neither_rolled_up_nor_marked(chatstore, database, unchanged):
    database["usage_events"].insert_many({"customer": number, "amount": 1} for number in range(9))
    database["chat_sessions"].insert_one(chat(1))
    unchanged()
    for arguments in (["usage", "rollup"], ["usage", "rollup", "--rebuild"]):
        outcome = chatstore(*arguments)
        assert (arguments, outcome.code) == (arguments, 8)
        assert "usage_events holds 9 documents that are not rows of the usage ledger" in outcome.err


def test_foreign_documents_of_the_same_session_are_left_out_of_it(chatstore, database):
    """An application may store events beside its messages."""
    messages = database["chat_messages"]
    messages.insert_many([{**record(number), "_id": number} for number in range(4)])
    messages.insert_many([{"session_id": "s1", "event": "typing", "created_at": f"2026-03-0{day}"} for day in (1, 9)])
    messages.insert_one({"session_id": "events-only", "event": "typing", "created_at": "2026-03-09T00:00:00Z"})
    for _ in range(2):  # without indexes, and with them
        listed = json.loads(chatstore("sessions", "list", "-o", "json").out)
        assert [(row["session_id"], row["message_count"]) for row in listed["items"]] == [("s1", 4)]
        shown = json.loads(chatstore("sessions", "show", "s1", "-o", "json").out)
        assert (shown["message_count"], len(shown["first_messages"] + shown["last_messages"])) == (4, 4)
        assert len(json.loads(chatstore("resume", "s1", "-o", "json").out)["items"]) == 4
        assert chatstore("resume", "events-only").code == 3
        assert chatstore("indexes", "apply").code == 0
    outcome = chatstore("sessions", "delete", "s1", "--yes", "-o", "json")
    [deleted] = json.loads(outcome.out)["items"]
    assert deleted["documents"] == [{"collection": "chat_messages", "deleted": 4}]
    assert messages.count_documents({"event": "typing"}) == 3


def test_a_large_collection_of_another_product_is_sampled_and_not_searched(chatstore, database, connection):
    collection = database["chat_messages"]
    collection.insert_many(other_message(number) for number in range(2_500))
    outcome = chatstore("sessions", "list", "-o", "json")
    found = json.loads(outcome.out)["foreign_documents"][0]
    # 100 documents, or 20 if the server did not find these within its time limit.
    assert found["foreign"] == found["looked_at"] in (100, 20)
    assert (found["collection"], found["expected"], found["sampled"]) == (
        "chat_messages",
        "messages of layout messages",
        True,
    )
    assert f"of {found['looked_at']} sampled documents that are not messages" in outcome.err
    assert "It was not searched." in outcome.err


def test_a_look_that_takes_too_long_refuses_nothing(connection, database, fail_point):
    database["chat_messages"].insert_many({**record(number), "_id": number} for number in range(3))
    with fail_point(["aggregate"], times=2, errorCode=50):
        layout = MessagesLayout(connection, Settings())
        assert [each.session_id for each in layout.newest_first(SessionQuery(), None, 5)] == ["s1"]
        assert layout.foreign is not None
        assert (layout.foreign.looked_at, layout.foreign.is_mainly_foreign) == (0, False)


def test_verify_names_a_platform_s_collection_that_no_setting_names(chatstore, database):
    database["ChatSessions"].insert_one(chat(1))
    database["chat_messages"].insert_one(record(1))

    def documents() -> dict[str, Any]:
        [row] = json.loads(chatstore("verify", "--only", "documents", "-o", "json").out)["items"]
        return row

    row = documents()
    assert (row["status"], row["hint"]) == ("warn", "To read ChatSessions, set mongo.session_collection: ChatSessions.")
    chatstore.environment["CHATSTORE_MONGO__SESSION_COLLECTION"] = "ChatSessions"
    assert documents()["status"] == "pass"


def test_a_database_without_our_collections_says_what_it_has(chatstore, database):
    for name in ("orders", "users", "odd\x1b[31m"):
        database[name].insert_one({"a": 1})
    sentence = "has none of the collections chat_sessions, chat_messages, "
    for arguments in (["sessions", "list"], ["indexes", "check"]):
        outcome = chatstore(*arguments)
        assert outcome.code == 0
        assert sentence in outcome.err
        assert r"It has: odd\x1b[31m, orders, users." in outcome.err
    outcome = chatstore("verify", "-o", "json")
    rows = {row["name"]: row for row in json.loads(outcome.out)["items"]}
    assert outcome.code == 6
    assert (rows["documents"]["status"], rows["round-trip"]["status"]) == ("fail", "skip")
    assert rows["write-concern"]["status"] == "skip"
    assert sentence in rows["documents"]["detail"]
    assert sorted(database.list_collection_names()) == ["odd\x1b[31m", "orders", "users"]


def test_an_empty_database_and_one_of_ours_are_fine(chatstore, database):
    def checked() -> dict[str, str]:
        rows = json.loads(chatstore("verify", "-o", "json").out)["items"]
        return {row["name"]: row["status"] for row in rows}

    rows = checked()
    assert (rows["documents"], rows["round-trip"]) == ("pass", "pass")
    assert "has none of" not in chatstore("sessions", "list").err
    database["orders"].insert_one({"a": 1})
    database.create_collection("chat_messages")
    rows = checked()
    assert (rows["documents"], rows["round-trip"]) == ("pass", "pass")


def test_only_changes_of_sessions_are_watched(connection, database):
    from chatstore_cli.mongo.messages.feed import FlatChanges
    from chatstore_cli.mongo.session_documents.feed import DocumentChanges
    from chatstore_cli.mongo.watch.sessions import MongoSessionFeed

    collection = database["chat_sessions"]
    collection.insert_many([chat(0), login(0), login(1)])
    feed = MongoSessionFeed(
        connection, [DocumentChanges(WORKFLOW, connection, Settings()), FlatChanges(connection, Settings())]
    )
    assert feed.open()
    collection.insert_one(login(2))
    collection.update_one({"_id": f"{SECRET}-2"}, {"$set": {"status": 1}})
    collection.delete_one({"_id": f"{SECRET}-1"})
    database["chat_messages"].insert_one(other_message(1))
    collection.insert_one(chat(7))
    seen: list[str] = []
    while "chat-7" not in seen:
        seen += [event.change.session.session_id for event in feed.read().events]
    assert seen == ["chat-7"]


def test_foreign_documents_at_the_ends_of_a_large_collection_are_noticed_and_counted(connection, database):
    """A listing reads both ends of the index on `_id`: another product's ids are of another type, or of another time."""
    messages = database["chat_messages"]
    messages.insert_many({**record(number), "_id": f"{number:032x}"} for number in range(300))
    clean = MessagesLayout(connection, Settings())
    assert [each.session_id for each in clean.newest_first(SessionQuery(), None, 5)] == ["s1"]
    assert clean.foreign is not None
    assert clean.foreign.foreign == 0
    messages.insert_many(other_message(number) for number in range(7))
    mixed = MessagesLayout(connection, Settings())
    assert [each.session_id for each in mixed.newest_first(SessionQuery(), None, 5)] == ["s1"]
    assert mixed.foreign is not None
    assert (mixed.foreign.foreign, mixed.foreign.looked_at, mixed.foreign.is_complete) == (7, 307, True)


@pytest.mark.parametrize("field", ["updated_at", "last_updated_at", "last_activity", "expires"])
def test_foreign_documents_with_the_times_of_sessions_are_not_listed(chatstore, database, field):
    database["chat_sessions"].insert_many([chat(1), chat(2), chat(3)])
    others = [{"_id": f"{SECRET}-a", "user_id": "u", field: NOW}, {"_id": f"{SECRET}-b", "chat_id": "x", field: "2026"}]
    database["chat_sessions"].insert_many(others)
    outcome = chatstore("sessions", "list", "-o", "json")
    assert [row["session_id"] for row in json.loads(outcome.out)["items"]] == ["chat-3", "chat-2", "chat-1"]
    assert "chat_sessions holds 2 documents that are not sessions" in outcome.err
    usage = json.loads(chatstore("usage", "-o", "json").out)
    assert usage["totals"]["sessions"] == 3
