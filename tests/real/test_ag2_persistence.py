"""Events stored in a real MongoDB: each once, in order, in documents of every variant, with any content."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, ObjectId, json_util

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.demo.sample_chats import sample_chats
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.errors import BadValue, Conflict, DocumentRefused, NotFound, Unreachable
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.session_documents.documents import to_session
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.session_documents.writing import DocumentWriter
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.ag2_events import event, new_manager, text
from tests.support.paths import SAMPLES

pytestmark = pytest.mark.real

START = datetime(2026, 3, 1, tzinfo=UTC)
Warned = list[str]


@pytest.fixture
def warned() -> Warned:
    """The warnings of the manager."""
    return []


@pytest.fixture
def manager(connection: Connection, warned: Warned) -> AG2Manager:
    """A manager that knows no session yet."""
    return new_manager(connection, warned.append)


def saved(manager: AG2Manager, given: Any, chat_id: str = "c", **more: Any) -> SavedAs:
    return manager.save_event(given, **{"chat_id": chat_id, "enterprise_id": "acme", **more}).saved_as


def only(database: Any) -> dict[str, Any]:
    [document] = database.chat_sessions.find()
    return dict(document)


# --- exactly once ----------------------------------------------------------------------------------------------------


def test_events_delivered_ten_times_from_eight_threads_of_two_managers_are_stored_once(
    connection: Connection, database: Any
) -> None:
    events = [text(f"message {number}", "user" if number % 2 else "Writer") for number in range(16)]
    managers = [new_manager(connection), new_manager(connection)]
    failures: list[BaseException] = []

    def deliver(thread: int) -> None:
        try:
            for time in range(10):
                for given in events[thread:] + events[:thread] if time % 2 else events[::-1]:
                    saved(managers[thread % 2], given)
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    document = only(database)
    assert sorted(each["event_id"] for each in document["messages"]) == sorted(
        each["content"]["uuid"] for each in events
    )
    assert [each["sequence"] for each in document["messages"]] == list(range(1, 17))
    assert document["last_sequence"] == 16


def test_a_manager_does_not_use_its_last_known_state_after_others_have_written(
    connection: Connection, database: Any
) -> None:
    here, there = new_manager(connection), new_manager(connection)
    saved(here, text("message 1"))
    for number in range(2, 8):
        saved(there if number % 2 else here, text(f"message {number}"))
    there.mark_completed("c", enterprise_id="acme")
    assert saved(here, text("message 8")) is SavedAs.MESSAGE
    there.resume_chat("c", enterprise_id="acme")
    assert saved(here, text("message 8")) is SavedAs.ECHO
    messages = only(database)["messages"]
    assert [(each["sequence"], each["content"]) for each in messages] == [
        (number, f"message {number}") for number in range(1, 9)
    ]
    assert only(database)["status"] == 0


def test_an_event_whose_acknowledgement_was_lost_is_stored_once(
    manager: AG2Manager, database: Any, fail_point: Callable[..., Any]
) -> None:
    saved(manager, text("first"))
    lost = text("second")
    unsure = {"code": 64, "errmsg": "waiting for replication timed out"}
    refused = pytest.raises(Unreachable, match="waiting for replication")
    with fail_point(["update"], times=1, writeConcernError=unsure), refused:
        saved(manager, lost)
    assert saved(manager, lost) is SavedAs.DUPLICATE
    assert saved(manager, text("third")) is SavedAs.MESSAGE
    with fail_point(["update"], times=1, closeConnection=True):
        assert saved(manager, text("fourth")) is SavedAs.MESSAGE
    assert [each["content"] for each in only(database)["messages"]] == ["first", "second", "third", "fourth"]


def test_one_uuid_is_one_event_as_object_text_or_stored_binary(manager: AG2Manager, database: Any) -> None:
    identity = uuid.uuid4()
    stored = {"sender": "user", "content": "hello", "event_id": Binary.from_uuid(identity)}
    database.chat_sessions.insert_one({"chat_id": "c", "enterprise_id": "acme", "messages": [stored]})
    assert saved(manager, text("hello", uuid=identity)) is SavedAs.DUPLICATE
    assert saved(manager, text("hello", uuid=str(identity).upper())) is SavedAs.DUPLICATE


def test_a_connection_that_fails_while_segments_are_searched_costs_nothing(
    manager: AG2Manager, connection: Connection, fail_point: Callable[..., Any]
) -> None:
    events = [text(f"message {number}") for number in range(4)]
    for given in events:
        saved(manager, given)
    assert MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("c", keep_messages=1) is not None
    for given, outcome in ((events[0], SavedAs.DUPLICATE), (text("next"), SavedAs.MESSAGE)):
        with fail_point(["count"], times=1, closeConnection=True):
            assert saved(manager, given) is outcome


def test_an_event_in_a_segment_is_not_stored_again(manager: AG2Manager, connection: Connection, database: Any) -> None:
    events = [text(f"message {number}") for number in range(10)]
    for given in events:
        saved(manager, given)
    assert MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("c", keep_messages=4) is not None
    assert only(database)["last_segment"] == 1
    assert {saved(manager, given) for given in events} == {SavedAs.DUPLICATE}
    assert manager.save_event(text("next"), chat_id="c", enterprise_id="acme").sequence == 11


def test_the_oldest_messages_of_a_full_document_move_and_appending_continues(
    manager: AG2Manager, database: Any, connection: Connection
) -> None:
    large = "x" * 3_000_000
    for number in range(8):
        assert saved(manager, text(large + str(number))) is SavedAs.MESSAGE
    assert database.chat_session_segments.count_documents({}) > 0
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.queries import MessageSelection

    messages = WorkflowLayout(connection, Settings()).messages("c", MessageSelection())
    assert [message.content[-1] for message in messages] == list("01234567")


def test_a_message_that_is_too_large_is_rejected_by_name_and_the_session_continues(
    manager: AG2Manager, database: Any
) -> None:
    huge = json.dumps(text("x" * (20 << 20), uuid="11111111-1111-4111-8111-111111111111"))
    with pytest.raises(DocumentRefused, match=r"'11111111-1111-4111-8111-111111111111' of session 'c'.*16 MiB"):
        saved(manager, huge)
    assert saved(manager, text("after")) is SavedAs.MESSAGE
    assert [each["content"] for each in only(database)["messages"]] == ["after"]


# --- runs and states -------------------------------------------------------------------------------------------------


def test_the_end_of_a_run_completes_the_chat_once_and_a_new_message_makes_it_run_again(
    manager: AG2Manager, database: Any, connection: Connection
) -> None:
    saved(manager, text("hello"))
    ends = [event("termination", termination_reason="Maximum turns (1) reached", sender="user"), event("run_completion", summary="", history=[])]  # fmt: skip
    assert [saved(manager, end) for end in ends] == [SavedAs.STATUS, SavedAs.IGNORED]
    assert only(database)["status"] == 1
    assert saved(manager, text("again")) is SavedAs.MESSAGE
    assert only(database)["status"] == 0
    assert {saved(new_manager(connection), end) for end in ends} == {SavedAs.DUPLICATE}
    assert only(database)["status"] == 0


def test_an_error_fails_the_session_with_its_reason_and_later_ends_of_runs_change_nothing(
    manager: AG2Manager, database: Any
) -> None:
    saved(manager, text("hello"))
    assert saved(manager, event("error", error=ValueError("no such model"))) is SavedAs.STATUS
    assert saved(manager, event("run_completion", summary="", history=[])) is SavedAs.IGNORED
    document = only(database)
    assert (document["status"], document["failure_reason"]) == (-1, "ValueError: no such model")


def test_a_paused_chat_stores_messages_and_is_not_completed_by_the_end_of_a_run(
    manager: AG2Manager, database: Any
) -> None:
    manager.create_session("c", enterprise_id="acme")
    assert manager.pause("c", "waits", enterprise_id="acme").changed
    assert not manager.pause("c", "waits", enterprise_id="acme").changed
    assert saved(manager, text("hello")) is SavedAs.MESSAGE
    saved(manager, event("termination", termination_reason="done", sender="user"))
    assert (only(database)["status"], only(database)["paused"]) == (0, True)
    with pytest.raises(Conflict, match="running and paused, and cannot start a run"):
        manager.start_run("c", enterprise_id="acme")
    assert manager.unpause("c", enterprise_id="acme").changed
    assert manager.mark_completed("c", enterprise_id="acme").changed
    assert not manager.mark_completed("c", enterprise_id="acme").changed
    with pytest.raises(Conflict, match="is completed, and cannot be failed"):
        manager.mark_failed("c", "late", enterprise_id="acme")
    with pytest.raises(NotFound):
        manager.mark_failed("elsewhere", enterprise_id="acme")


def test_a_run_without_messages_and_usage_is_started_once(manager: AG2Manager, database: Any) -> None:
    manager.create_session("c", enterprise_id="acme")
    assert [manager.start_run("c", enterprise_id="acme") for _ in range(3)] == [1, 1, 1]
    saved(manager, text("hello"))
    assert [manager.start_run("c", enterprise_id="acme") for _ in range(3)] == [2, 2, 2]
    late = event("termination", termination_reason="of run 1", sender="user")
    assert saved(manager, late, run=1) is SavedAs.IGNORED
    assert only(database)["status"] == 0


def test_a_session_of_another_tenant_is_rejected_with_any_known_state(
    manager: AG2Manager, connection: Connection, database: Any
) -> None:
    saved(manager, text("hello"))
    for each in (manager, new_manager(connection)):
        with pytest.raises(Conflict, match="another tenant"):
            saved(each, text("mine?"), enterprise_id="rival")
        for refused in (each.start_run, each.resume_chat, each.mark_completed, each.pause, each.create_session):
            with pytest.raises(Conflict, match="another tenant"):
                refused("c", enterprise_id="rival")
    assert (len(only(database)["messages"]), only(database)["status"]) == (1, 0)


def test_a_deleted_session_stays_deleted_for_managers_that_wrote_to_it(
    manager: AG2Manager, chatstore: Any, database: Any, connection: Connection
) -> None:
    saved(manager, text("hello"))
    assert chatstore("sessions", "delete", "c", "--yes").code == 0
    for each in (manager, new_manager(connection)):
        with pytest.raises(Conflict, match="'c' was deleted on purpose"):
            saved(each, text("still there?"))
        with pytest.raises(Conflict, match="deleted on purpose"):
            each.create_session("c", enterprise_id="acme")
    assert database.chat_sessions.count_documents({}) == 0


def test_a_chat_deleted_while_it_is_being_created_stays_deleted(
    manager: AG2Manager, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = manager._writer.is_deleted

    def deleted_after_the_first_look(chat_id: str) -> bool:
        answer = look(chat_id)
        tombstone = {"_id": {"layout": "workflow", "session_id": chat_id}}
        database.chatstore_tombstones.replace_one(tombstone, tombstone, upsert=True)
        return answer

    monkeypatch.setattr(manager._writer, "is_deleted", deleted_after_the_first_look)
    with pytest.raises(Conflict, match="deleted on purpose"):
        saved(manager, text("hello"))
    assert database.chat_sessions.count_documents({}) == 0


def test_many_managers_create_one_chat_without_an_index(connection: Connection, database: Any) -> None:
    together = threading.Barrier(8)

    def begin(number: int) -> None:
        manager = new_manager(connection)
        together.wait(120)
        saved(manager, text(f"message {number}"))

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(only(database)["messages"]) == 8


# --- resuming --------------------------------------------------------------------------------------------------------


def test_only_the_first_message_of_a_resumed_run_may_be_the_echo(
    manager: AG2Manager, database: Any, connection: Connection
) -> None:
    saved(manager, text("OK?", "Writer"))
    resumed = manager.resume_chat("c", enterprise_id="acme")
    assert (resumed.messages, resumed.run) == ([{"role": "assistant", "name": "Writer", "content": "OK?"}], 2)
    echo = text("OK?", "Writer")
    assert [saved(each, echo) for each in (manager, manager, new_manager(connection))] == [
        SavedAs.ECHO, SavedAs.DUPLICATE, SavedAs.DUPLICATE
    ]  # fmt: skip
    assert saved(manager, text("OK?", "Writer")) is SavedAs.MESSAGE
    manager.resume_chat("c", enterprise_id="acme")
    assert saved(manager, text("yes")) is SavedAs.MESSAGE
    assert saved(manager, text("OK?", "Writer")) is SavedAs.MESSAGE
    assert [each["content"] for each in only(database)["messages"]] == ["OK?", "OK?", "yes", "OK?"]


def test_the_echo_without_its_termination_string_is_recognised_and_the_stored_message_keeps_it(
    manager: AG2Manager, database: Any
) -> None:
    saved(manager, text("Done. TERMINATE", "Writer"))
    resumed = manager.resume_chat("c", remove_termination_string=" TERMINATE", enterprise_id="acme")
    assert resumed.messages[-1]["content"] == "Done."
    assert saved(manager, text("Done.", "Writer")) is SavedAs.ECHO
    assert only(database)["messages"][0]["content"] == "Done. TERMINATE"


def test_a_redelivered_event_of_the_last_run_is_not_taken_for_the_echo(manager: AG2Manager, database: Any) -> None:
    last = text("OK?", "Writer")
    saved(manager, last)
    manager.resume_chat("c", enterprise_id="acme")
    assert [saved(manager, last), saved(manager, text("OK?", "Writer"))] == [SavedAs.DUPLICATE, SavedAs.ECHO]


def test_a_session_is_resumed_at_any_status_which_stays_until_the_next_event(
    manager: AG2Manager, database: Any
) -> None:
    saved(manager, text("hello"))
    database.chat_sessions.update_one({}, {"$push": {"messages": {"sender": "General", "content": "hi", "source": "general_agent", "sequence": 2}}, "$set": {"last_sequence": 2}})  # fmt: skip
    manager.mark_failed("c", "lost", enterprise_id="acme")
    resumed = manager.resume_chat("c", enterprise_id="acme")
    assert (resumed.status, [each["content"] for each in resumed.messages]) == ("failed", ["hello"])
    assert resumed.notes[0] == "Messages of the general agent that were left out: 1"
    assert only(database)["status"] == -1
    assert saved(manager, text("hello")) is SavedAs.ECHO
    assert only(database)["status"] == 0
    with pytest.raises(NotFound):
        manager.resume_chat("elsewhere", enterprise_id="acme")


def test_state_for_a_write_is_read_from_the_primary_whatever_the_uri_prefers(mongo_uri: str, database: Any) -> None:
    preferring = connect(f"{mongo_uri}&readPreference=secondary", database.name, timeout_seconds=10)
    assert preferring.database.read_preference.name == "Secondary"
    collection = DocumentWriter(WORKFLOW, preferring, Settings(), print).collection
    assert collection.sessions.read_preference.name == collection.segments.read_preference.name == "Primary"
    assert preferring.reading_from_primary().collection("chat_sessions").read_preference.name == "Primary"


# --- adoption --------------------------------------------------------------------------------------------------------


def every_document() -> list[dict[str, Any]]:
    sample = json.loads((SAMPLES / "workflow.json").read_text())
    stored = [json_util.loads(json.dumps(each)) for each in sample["collections"]["chat_sessions"]]
    return [*stored, *map(dict, sample_chats(START).sessions)]


def test_a_document_of_every_variant_is_continued_and_keeps_its_fields(manager: AG2Manager, database: Any) -> None:
    adopted = 0
    for document in every_document():
        if "messages" in document and not isinstance(document["messages"], list | None):
            continue
        database.chat_sessions.delete_many({})
        database.chat_session_segments.delete_many({})
        database.chat_sessions.insert_one(document)
        document = only(database)
        before = to_session(WORKFLOW, document)
        more = {"chat_id": before.session_id, "enterprise_id": before.tenant_id or "acme"}
        assert manager.save_event(given := text("hello"), **more).saved_as is SavedAs.MESSAGE, document
        assert manager.save_event(given, **more).saved_as is SavedAs.DUPLICATE
        after = only(database)
        messages = document.get("messages") or []
        assert repr(after["messages"][: len(messages)]) == repr(messages)  # NaN is not equal to itself
        highest = max([len(messages), *(each["sequence"] for each in messages if isinstance(each, dict) and isinstance(each.get("sequence"), int))])  # fmt: skip
        assert after["messages"][-1]["sequence"] == after["last_sequence"] == highest + 1
        changed = {"messages", "last_sequence", "updated_at", "status", "is_complete", "real_time_tracking"}
        said = (
            [one.get("is_complete") for one in (document, after)],
            [(one.get("real_time_tracking") or {}).get("current_status") for one in (document, after)],
        )
        if before.status != "running":  # where its application reads it, it runs again as well
            assert said[0][1] is not True
            assert said[1][1] in (None, "running")
        assert {**(document.get("real_time_tracking") or {}), "current_status": 0} == {
            **(after.get("real_time_tracking") or {}), "current_status": 0
        }  # fmt: skip
        for name in document.keys() - changed:
            assert repr(after[name]) == repr(document[name])
        assert to_session(WORKFLOW, after).status == "running"
        adopted += 1
    assert adopted > 20


def test_messages_that_another_writer_adds_meanwhile_are_counted(
    manager: AG2Manager, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = {"role": "user", "content": "hello", "event_type": "message.created"}
    database.chat_sessions.insert_one({"_id": "c", "app_id": "acme", "status": 0, "messages": [foreign]})
    load = manager._writer.load

    def pushed_after_the_first_look(chat_id: str) -> Any:
        state = load(chat_id)
        database.chat_sessions.update_one({"_id": "c", "messages": {"$size": 1}}, {"$push": {"messages": foreign}})
        return state

    monkeypatch.setattr(manager._writer, "load", pushed_after_the_first_look)
    assert manager.save_event(text("hi", "Writer"), chat_id="c", enterprise_id="acme").sequence == 3
    assert len(only(database)["messages"]) == 3


@pytest.mark.parametrize("status", ["completed", "in_progress", 1, 2, None, 0.0, [], {"$gt": 1}])
def test_a_status_of_any_variant_becomes_running_in_that_variant(
    manager: AG2Manager, database: Any, status: Any
) -> None:
    database.chat_sessions.insert_one({"_id": "c", "app_id": "acme", "status": status})
    assert saved(manager, text("hello")) is SavedAs.MESSAGE
    assert to_session(WORKFLOW, only(database)).status == "running"
    assert isinstance(only(database)["status"], str) == isinstance(status, str)


def test_an_object_id_tenant_equals_its_hex_and_a_session_without_tenant_is_claimed(
    manager: AG2Manager, database: Any
) -> None:
    tenant = ObjectId()
    database.chat_sessions.insert_one({"chat_id": "c", "enterprise_id": tenant, "messages": []})
    assert saved(manager, text("hello"), enterprise_id=str(tenant)) is SavedAs.MESSAGE
    database.chat_sessions.insert_one({"chat_id": "d", "messages": []})
    assert saved(manager, text("hello"), "d") is SavedAs.MESSAGE
    with pytest.raises(Conflict, match="another tenant"):
        saved(manager, text("hello"), "d", enterprise_id="rival")


def test_messages_that_are_not_an_array_are_rejected_and_left_alone(manager: AG2Manager, database: Any) -> None:
    database.chat_sessions.insert_one({"chat_id": "c", "enterprise_id": "acme", "messages": "none yet"})
    with pytest.raises(Conflict, match="'c': its field `messages` is of type string, not an array"):
        saved(manager, text("hello"))
    assert only(database)["messages"] == "none yet"


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["$secret", "$$ROOT", {"$set": {"status": 1}}, {"a.b": {"$c": "$d"}}, [{"$literal": 1}]])  # fmt: skip
def test_content_that_looks_like_an_operator_is_stored_as_it_is(
    manager: AG2Manager, database: Any, content: Any
) -> None:
    database.chat_sessions.insert_one({"chat_id": "c", "enterprise_id": "acme", "secret": "!", "messages": []})
    saved(manager, text(content, "$where"))
    [message] = only(database)["messages"]
    assert (message["content"], message["sender"]) == (content, "$where")


@pytest.mark.parametrize("chat_id", ["a.b", "$where", "../x", "a/b:1", "🙂", "写作", " ", "a\0b", "{'$ne': null}", "65e1a0b2c3d4e5f601234567", "7"])  # fmt: skip
def test_ids_with_any_characters_name_one_session_each(manager: AG2Manager, database: Any, chat_id: str) -> None:
    saved(manager, text("other"), "other")
    for _ in range(2):
        assert saved(manager, text("hello"), chat_id, user_id=chat_id, workflow_name=chat_id) is SavedAs.MESSAGE
    stored = database.chat_sessions.find_one({"chat_id": chat_id})
    assert (len(stored["messages"]), stored["user_id"]) == (2, chat_id)
    assert manager.resume_chat(chat_id, enterprise_id="acme").run == 2


@pytest.mark.parametrize("wrong", ["", None, 7, {"$ne": None}, "a\ud800", "x" * 2_000])
def test_invalid_ids_are_rejected_before_anything_is_written(manager: AG2Manager, database: Any, wrong: Any) -> None:
    for name in ("chat_id", "enterprise_id"):
        with pytest.raises(BadValue, match=name):
            manager.save_event(text("hello"), **{"chat_id": "c", "enterprise_id": "acme", name: wrong})
    for refused in (manager.resume_chat, manager.start_run, manager.mark_completed):
        with pytest.raises(BadValue, match="chat_id"):
            refused(wrong, enterprise_id="acme")
    assert database.chat_sessions.count_documents({}) == 0


@pytest.mark.parametrize("wrong", [0, -1, True, "1", 1.0, 2**40])
def test_an_invalid_run_is_rejected(manager: AG2Manager, database: Any, wrong: Any) -> None:
    with pytest.raises(BadValue, match="run"):
        manager.save_event(text("hello"), chat_id="c", enterprise_id="acme", run=wrong)
    assert database.chat_sessions.count_documents({}) == 0


def test_an_event_without_a_uuid_is_rejected_unless_the_application_passes_an_id(
    manager: AG2Manager, database: Any
) -> None:
    without = {"type": "text", "content": {"content": "hello", "sender": "user"}}
    with pytest.raises(BadValue, match="uuid"):
        saved(manager, without)
    assert database.chat_sessions.count_documents({}) == 0
    assert [saved(manager, without, event_id="mine-1") for _ in range(2)] == [SavedAs.MESSAGE, SavedAs.DUPLICATE]


def test_altered_values_are_stored_and_reported_once(manager: AG2Manager, database: Any, warned: Warned) -> None:
    for _ in range(3):
        saved(manager, text({"n": 2**80}))
        saved(manager, event("brand_new"))
    assert manager.unknown_events == {"brand_new": 3}
    assert len(warned) == 2
    assert {each["content"]["n"] for each in only(database)["messages"]} == {str(2**80)}


def test_usage_goes_to_the_ledger_under_the_agent_named_before_it(manager: AG2Manager, database: Any) -> None:
    saved(manager, text("hello"), user_id="ada")
    usage = {"model": "fake", "prompt_tokens": 16, "completion_tokens": 8, "total_tokens": 24, "cost": 0.002}
    saved(manager, event("conversable_agent_usage_summary", recipient="Writer"))
    summary = event("usage_summary", actual={"usages": [usage], "total_cost": 0.002}, total={}, mode="both")
    assert [saved(manager, summary) for _ in range(3)] == [SavedAs.USAGE, SavedAs.DUPLICATE, SavedAs.DUPLICATE]
    assert saved(manager, event("usage_summary", actual={"usages": None, "total_cost": None})) is SavedAs.IGNORED
    [row] = database.usage_events.find()
    assert (row["agent"], row["chat_id"], row["run"], row["user_id"]) == ("Writer", "c", 1, "ada")
    assert only(database)["real_time_tracking"]["tokens"]["total_tokens"] == 24
