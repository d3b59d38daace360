"""General chats stored as the platform stores them, in memory and on a real server."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.general.chats import GeneralChats
from chatstore_cli.domain.errors import Conflict, InvalidGeneralChat, NotFound
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.numbers import ChatNumbers
from chatstore_cli.mongo.general.writer import MongoGeneralWriter
from chatstore_cli.mongo.tombstones import write_tombstone

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


def test_a_message_has_the_fields_of_the_platform_in_their_order(chats: GeneralChats, any_database: Any) -> None:
    chat_id = chats.create_general_chat_session(**ANN)["chat_id"]
    returned = say(chats, chat_id, "hello", user_id="ann", metadata={"ui_context": {"page": "orders"}})
    document = stored(any_database, chat_id)
    [message] = document["messages"]
    assert returned == message
    assert re.fullmatch(r"general_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", message["event_id"])
    assert list(message.items()) == [
        ("role", "user"),
        ("content", "hello"),
        ("timestamp", START + timedelta(minutes=2)),
        ("event_type", "general_agent.message"),
        ("event_id", message["event_id"]),
        ("sequence", 1),
        ("agent_name", "user"),
        (
            "metadata",
            {
                "source": "general_agent",
                "ui_context": {"page": "orders"},
                "workflows": [],
                "general_chat_id": chat_id,
                "general_chat_label": "General Chat #1",
                "user_id": "ann",
            },
        ),
    ]
    assert next(iter(message["metadata"])) == "source"
    assert (document["last_sequence"], document["last_updated_at"]) == (1, START + timedelta(minutes=2))


def test_role_and_agent_name(chats: GeneralChats) -> None:
    chat_id = chats.create_general_chat_session(**ANN)["chat_id"]
    expected: list[tuple[Any, Any, str, str]] = [
        ("user", {"agent_name": "Helper"}, "user", "user"),
        ("assistant", None, "assistant", "assistant"),
        ("assistant", {"agent": "AskMozaiks"}, "assistant", "AskMozaiks"),
        ("assistant", {"agent_name": "Helper", "agent": "Other"}, "assistant", "Helper"),
        ("assistant", {"agent_name": "", "agent": 7}, "assistant", "assistant"),
        ("system", None, "assistant", "assistant"),
        (None, None, "assistant", "assistant"),
    ]
    for role, metadata, stored_role, name in expected:
        message = say(chats, chat_id, "hello", role, metadata=metadata)
        assert (message["role"], message["agent_name"]) == (stored_role, name)


def test_keys_of_the_caller_replace_the_defaults_and_his_own_dict_stays_as_it_is(chats: GeneralChats) -> None:
    chat_id = chats.create_general_chat_session(**ANN)["chat_id"]
    given = {"trace": 1, "user_id": "someone", "workflows": [{"chat_id": "w"}]}
    message = say(chats, chat_id, "hello", user_id="ann", metadata=given)
    assert message["metadata"] == {
        "source": "general_agent",
        "ui_context": {},
        "workflows": [{"chat_id": "w"}],
        "general_chat_id": chat_id,
        "general_chat_label": "General Chat #1",
        "user_id": "someone",
        "trace": 1,
    }
    assert given == {"trace": 1, "user_id": "someone", "workflows": [{"chat_id": "w"}]}


def test_values_that_cannot_be_stored_are_replaced_and_reported(
    chats: GeneralChats, warned: list[str], any_database: Any
) -> None:
    chat_id = chats.create_general_chat_session(**ANN)["chat_id"]
    message = say(
        chats,
        chat_id,
        "a\ud800b",
        metadata={
            "n": 2**70,
            "k\0": {
                1,
            },
            "set": float("inf"),
        },
    )
    assert stored(any_database, chat_id)["messages"] == [message]
    assert message["content"] == "a\ufffdb"
    assert {name: message["metadata"][name] for name in ("n", "k\ufffd", "set")} == {
        "n": str(2**70), "k\ufffd": [1], "set": "inf",
    }  # fmt: skip
    assert len(warned) == 4
    assert all(text.startswith(f"Session {chat_id!r}: a message has ") for text in warned)
    assert say(chats, chat_id, 7)["content"] == "7"


def test_an_event_id_is_stored_once_and_a_repeated_call_returns_what_is_stored(
    chats: GeneralChats, any_database: Any
) -> None:
    chat_id = chats.create_general_chat_session(**ANN)["chat_id"]
    first = say(chats, chat_id, "hello", event_id="e1")
    say(chats, chat_id, "more")
    assert say(chats, chat_id, "hello again", event_id="e1") == first
    assert [each["content"] for each in stored(any_database, chat_id)["messages"]] == ["hello", "more"]


def test_the_list_of_a_user_has_the_newest_chat_first(chats: GeneralChats) -> None:
    for _ in range(3):
        chats.create_general_chat_session(**ANN)
    chats.create_general_chat_session(app_id="acme", user_id="bob")
    chats.create_general_chat_session(app_id="other", user_id="ann")
    say(chats, "generalchat-acme-ann-0001", "hello")
    rows = chats.list_general_chats(**ANN)
    assert [row["sequence"] for row in rows] == [3, 2, 1]
    assert list(rows[2].items()) == [
        ("chat_id", "generalchat-acme-ann-0001"),
        ("label", "General Chat #1"),
        ("sequence", 1),
        ("status", 0),
        ("created_at", START + timedelta(minutes=1)),
        ("last_updated_at", START + timedelta(minutes=6)),
        ("last_sequence", 1),
    ]
    assert [len(chats.list_general_chats(**ANN, limit=limit)) for limit in (2, 0, -5, 10_000)] == [2, 1, 1, 3]


def test_of_chats_that_were_created_at_the_same_instant_the_higher_id_comes_first(
    chats: GeneralChats, any_database: Any
) -> None:
    for number in (2, 4, 1, 3):
        any_database.GeneralChatSessions.insert_one(old_chat(f"c{number}", tenant_field="app_id"))
    assert [row["chat_id"] for row in chats.list_general_chats(**ANN)] == ["c4", "c3", "c2", "c1"]
    assert [row["chat_id"] for row in chats.list_general_chats(**ANN, limit=2)] == ["c4", "c3"]


def old_chat(chat_id: str, tenant_field: str = "enterprise_id", **fields: Any) -> dict[str, Any]:
    """A chat as the platform stored it in its first months."""
    return {
        "_id": chat_id,
        "chat_id": chat_id,
        tenant_field: "acme",
        "user_id": "ann",
        "session_type": "general",
        "general_label": "General Chat #7",
        "general_sequence": 7,
        "status": 0,
        "created_at": START,
        "last_updated_at": START,
        "last_sequence": 0,
        "last_artifact": None,
        "messages": [],
        **fields,
    }


def test_a_chat_of_the_first_months_is_read_and_continued(chats: GeneralChats, any_database: Any) -> None:
    messages = [
        {"role": "user", "content": "hello", "event_id": "general_1", "sequence": 1, "agent_name": "user"},
        {"role": "assistant", "content": "hi", "event_id": "general_2", "sequence": 2, "agent_name": "AskMozaiks"},
    ]
    old = old_chat("generalchat-acme-ann-0007", messages=messages, last_sequence=2)
    any_database.GeneralChatSessions.insert_one(old)
    message = say(chats, old["_id"], "more", "assistant", user_id="ann", metadata={"agent_name": "AskMozaiks"})
    assert (message["sequence"], message["metadata"]["general_chat_label"]) == (3, "General Chat #7")
    after = stored(any_database, old["_id"])
    assert after == {
        **old, "messages": [*messages, message], "last_sequence": 3, "last_updated_at": message["timestamp"],
    }  # fmt: skip
    assert chats.list_general_chats(**ANN)[0]["last_sequence"] == 3
    assert transcript(chats, old["_id"])["messages"] == after["messages"]


def test_the_first_field_with_a_tenant_counts(chats: GeneralChats, any_database: Any) -> None:
    any_database.GeneralChatSessions.insert_one(old_chat("both", app_id="acme"))
    any_database.GeneralChatSessions.insert_one({**old_chat("of other", app_id="acme"), "enterprise_id": "other"})
    any_database.GeneralChatSessions.insert_one({**old_chat("of several"), "user_id": ["ann", "bob"]})
    assert [row["chat_id"] for row in chats.list_general_chats(**ANN)] == ["both"]
    assert say(chats, "both", "hello")["sequence"] == 1
    with pytest.raises(NotFound):
        say(chats, "of other", "hello")


def test_a_chat_whose_own_id_is_another_one_is_not_found_by_its_document_id(
    chats: GeneralChats, any_database: Any
) -> None:
    any_database.GeneralChatSessions.insert_one({**old_chat("a"), "chat_id": "b"})
    with pytest.raises(NotFound):
        say(chats, "a", "hello")
    assert say(chats, "b", "hello")["sequence"] == 1


def test_a_chat_without_status_and_numbers_is_listed_and_continued(chats: GeneralChats, any_database: Any) -> None:
    bare = {"_id": "c", "app_id": "acme", "user_id": "ann", "session_type": "general", "messages": [{"content": "a"}]}
    any_database.GeneralChatSessions.insert_one(bare)
    assert chats.list_general_chats(**ANN) == [
        {
            "chat_id": "c",
            "label": "c",
            "sequence": 0,
            "status": -1,
            "created_at": None,
            "last_updated_at": None,
            "last_sequence": 0,
        }
    ]
    assert say(chats, "c", "b")["sequence"] == 2
    assert [each["content"] for each in transcript(chats, "c")["messages"]] == ["a", "b"]


# --- the transcript --------------------------------------------------------------------------------------------------


@pytest.fixture
def long_chat(chats: GeneralChats) -> str:
    """A chat with the messages 1 to 7."""
    chat_id: str = chats.create_general_chat_session(**ANN)["chat_id"]
    for number in range(1, 8):
        say(chats, chat_id, str(number))
    return chat_id


def test_which_messages_a_transcript_has(chats: GeneralChats, long_chat: str) -> None:
    expected: list[tuple[dict[str, int], str]] = [
        ({}, "1234567"),
        ({"limit": 3}, "567"),
        ({"limit": 0}, "1234567"),
        ({"limit": -1}, "1234567"),
        ({"after_sequence": -9, "limit": 1}, "7"),
        ({"after_sequence": 0}, "1234567"),
        ({"after_sequence": 0, "limit": 3}, "123"),
        ({"after_sequence": 3, "limit": 3}, "456"),
        ({"after_sequence": 6, "limit": 0}, "7"),
        ({"after_sequence": 7}, ""),
        ({"after_sequence": 2**70}, ""),
    ]
    for arguments, contents in expected:
        found = "".join(each["content"] for each in transcript(chats, long_chat, **arguments)["messages"])
        assert (arguments, found) == (arguments, contents)


def pages(chats: GeneralChats, chat_id: str, limit: int) -> list[list[Any]]:
    """The contents of all pages, each read after the last sequence of the one before."""
    found: list[list[Any]] = []
    after = 0
    while messages := transcript(chats, chat_id, after_sequence=after, limit=limit)["messages"]:
        found.append([each["content"] for each in messages])
        after = max(each["sequence"] for each in messages if "sequence" in each)
        assert len(found) < 20
    return found


def test_paging_from_0_gives_every_message(chats: GeneralChats, long_chat: str) -> None:
    assert pages(chats, long_chat, 3) == [["1", "2", "3"], ["4", "5", "6"], ["7"]]


def test_paging_gives_messages_without_a_number_and_in_disorder_once_too(
    chats: GeneralChats, any_database: Any
) -> None:
    numbers = [None, None, 1, 3, 2, None, None, 3, 4]
    messages = [
        {"content": place, **({} if number is None else {"sequence": number})} for place, number in enumerate(numbers)
    ]
    any_database.GeneralChatSessions.insert_one(old_chat("c", messages=messages, last_sequence=4))
    assert pages(chats, "c", 1) == [[0, 1, 2], [4, 5, 6], [3, 7], [8]]
    assert pages(chats, "c", 4) == [[0, 1, 2, 4, 5, 6], [3, 7, 8]]


def test_a_transcript_has_the_facts_of_the_chat_and_whole_messages(
    chats: GeneralChats, any_database: Any, long_chat: str
) -> None:
    found = transcript(chats, long_chat, limit=2)
    assert list(found) == [
        "chat_id", "label", "sequence", "status", "app_id", "user_id", "created_at", "last_updated_at", "last_sequence",
        "messages",
    ]  # fmt: skip
    assert (found["status"], found["app_id"], found["user_id"], found["last_sequence"]) == (0, "acme", "ann", 7)
    assert found["messages"] == stored(any_database, long_chat)["messages"][-2:]


def test_there_is_no_transcript_of_a_missing_chat_or_of_another_tenants(chats: GeneralChats, long_chat: str) -> None:
    assert transcript(chats, "generalchat-acme-ann-0009") is None
    assert transcript(chats, long_chat, app_id="other") is None


# --- whose chat it is ------------------------------------------------------------------------------------------------


def test_an_append_to_a_missing_or_a_foreign_chat_is_refused_with_the_same_words(
    chats: GeneralChats, any_database: Any, long_chat: str
) -> None:
    def refusal(chat_id: str, **more: Any) -> str:
        with pytest.raises(NotFound) as refused:
            say(chats, chat_id, "lost", **more)
        text = refused.value.as_text().replace(repr(chat_id), "ID")
        return text.replace(f"tenant {more.get('app_id', 'acme')}", "TENANT")  # the caller's own

    missing = refusal("generalchat-acme-ann-0099")
    assert refusal(long_chat, app_id="other") == missing
    assert refusal(long_chat, user_id="bob") == refusal("generalchat-acme-ann-0099", user_id="bob")
    any_database.GeneralChatSessions.insert_one({**old_chat("c"), "enterprise_id": None})
    assert refusal("c") == missing  # it belongs to no tenant
    assert len(stored(any_database, long_chat)["messages"]) == 7
    assert say(chats, long_chat, "8", user_id="ann")["sequence"] == 8


def test_an_append_to_a_deleted_chat_is_a_conflict_for_its_tenant_alone(
    chats: GeneralChats, any_connection: Connection, long_chat: str
) -> None:
    write_tombstone(any_connection, "general", long_chat, START)
    any_connection.database.GeneralChatSessions.delete_one({"_id": long_chat})
    with pytest.raises(Conflict, match="deleted on purpose"):
        say(chats, long_chat, "late")
    with pytest.raises(NotFound):
        say(chats, long_chat, "late", app_id="other")
    assert any_connection.database.GeneralChatSessions.count_documents({}) == 0


def test_the_numbers_of_deleted_chats_are_skipped_after_a_restore_without_counters(
    chats: GeneralChats, any_connection: Connection
) -> None:
    for number in (1, 2, 14, 30):
        write_tombstone(any_connection, "general", f"generalchat-acme-ann-{number:04d}", START)
    write_tombstone(any_connection, "general", "generalchat-acme-ann-b-0050", START)  # of the user `ann-b`
    assert chats.create_general_chat_session(**ANN)["sequence"] == 31
    assert [row["sequence"] for row in chats.list_general_chats(**ANN)] == [31]


def test_a_taken_id_gives_the_next_number(chats: GeneralChats, any_database: Any) -> None:
    for number in (1, 2):
        taken = old_chat(f"generalchat-acme-ann-000{number}", user_id="someone else")
        any_database.GeneralChatSessions.insert_one(taken)
    assert chats.create_general_chat_session(**ANN)["chat_id"] == "generalchat-acme-ann-0003"


def test_two_pairs_whose_plain_ids_are_equal_have_chats_of_their_own(chats: GeneralChats) -> None:
    first = chats.create_general_chat_session(app_id="a-b", user_id="c")["chat_id"]
    second = chats.create_general_chat_session(app_id="a", user_id="b-c")["chat_id"]
    assert first != second
    say(chats, first, "of c", app_id="a-b")
    say(chats, second, "of b-c", app_id="a")
    assert [each["content"] for each in transcript(chats, first, app_id="a-b")["messages"]] == ["of c"]


# --- arguments -------------------------------------------------------------------------------------------------------

Call = Callable[[GeneralChats], Any]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda chats: chats.create_general_chat_session(app_id="", user_id="ann"), "app_id is required"),
        (lambda chats: chats.create_general_chat_session(app_id="acme", user_id=None), "user_id is required"),
        (lambda chats: chats.list_general_chats(app_id=None, user_id="ann"), "app_id is required"),
        (lambda chats: chats.list_general_chats(**ANN, limit="5"), "limit: a whole number"),
        (lambda chats: say(chats, "c", "x", app_id=""), "app_id is required"),
        (lambda chats: say(chats, "", "x"), "general_chat_id is required"),
        (lambda chats: say(chats, "c", "x", user_id=""), "user_id is required"),
        (lambda chats: say(chats, "c", "x", metadata=[1]), "metadata: a mapping"),
        (lambda chats: say(chats, "c", "x", event_id="\0"), "event_id has a NUL"),
        (lambda chats: transcript(chats, "c", after_sequence=None), "after_sequence: a whole number"),
        (lambda chats: transcript(chats, "c", limit=True), "limit: a whole number"),
    ],
)  # fmt: skip
def test_an_argument_that_no_chat_can_have_is_a_value_error(call: Call, what: str) -> None:
    from tests.support.in_memory import connection_in_memory

    connection = connection_in_memory()
    chats = GeneralChats(MongoGeneralWriter(connection, Settings()), ChatNumbers(connection, Settings()))
    with pytest.raises(InvalidGeneralChat, match=what) as refused:
        call(chats)
    assert isinstance(refused.value, ValueError)


def test_a_number_that_was_deleted_as_a_workflow_session_is_not_given_again(
    chats: GeneralChats, any_connection: Connection
) -> None:
    """Before general chats had a layout, GeneralChatSessions could be the collection of workflow sessions."""
    for number in (1, 2, 7):
        write_tombstone(any_connection, "workflow", f"generalchat-acme-ann-{number:04}", START)
    assert chats.create_general_chat_session(**ANN)["sequence"] == 8
