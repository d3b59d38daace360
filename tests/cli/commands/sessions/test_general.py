"""General chats in the commands for sessions, and in a database that was configured before the layout existed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.mongod import poll
from tests.support.samples import store_sample
from tests.support.watch_processes import watching

pytestmark = pytest.mark.real

CHAT = "generalchat-acme-ana-0003"
GENERAL = {"source": "general_agent"}
LONG = "generalchat-acme-ben-0012"
NEWEST_FIRST = [CHAT, "generalchat-acme-ana-0002", "generalchat-acme-ben-0005", "generalchat-acme-ben-0004", LONG]
AS_WORKFLOW = {"CHATSTORE_MONGO__SESSION_COLLECTION": "GeneralChatSessions"}
"""What somebody set who wanted to see general chats before chatstore had a layout for them."""


@pytest.fixture
def chats(database: Any) -> Any:
    """The sample's general chats, in the database."""
    store_sample(database, "general")
    return database


def items(outcome: Any) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    return list(json.loads(outcome.out)["items"])


def test_general_chats_are_listed_and_shown_with_label_and_tenant(chatstore: Any, chats: Any) -> None:
    rows = items(chatstore("sessions", "list", "--limit", "5", "-o", "json"))
    assert [(row["session_id"], row["layout"]) for row in rows] == [(name, "general") for name in NEWEST_FIRST]
    shown = json.loads(chatstore("sessions", "show", CHAT, "-o", "json").out)
    facts = [shown[key] for key in ("title", "tenant_id", "user_id", "workflow", "message_count")]
    assert facts == ["General Chat #3", "acme", "ana", None, 3]
    assert shown["usage"] == {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150, "cost": None}
    assert [row["content"] for row in shown["first_messages"]] == ["Which tour is running?", "Trips is paused.", ""]


def test_a_filter_by_workflow_leaves_them_out_with_a_notice(chatstore: Any, chats: Any) -> None:
    chats["chat_sessions"].insert_one({"chat_id": "w", "workflow_name": "Trips", "messages": []})
    listed = chatstore("sessions", "list", "--workflow", "Trips", "-o", "json")
    assert [row["session_id"] for row in items(listed)] == ["w"]
    assert "The layout general has no workflow, so its sessions are left out." in listed.err


def test_a_database_without_general_chats_gets_no_notice(chatstore: Any, database: Any) -> None:
    database["chat_sessions"].insert_one({"chat_id": "w", "workflow_name": "Trips", "messages": []})
    assert "general" not in chatstore("sessions", "list", "--workflow", "Trips").err


@pytest.mark.parametrize("variables", [{}, AS_WORKFLOW], ids=["layout general", "layout workflow"])
@pytest.mark.parametrize("transcript", ["jsonl", "openai", "ag2"])
def test_resume_prints_the_conversation_with_the_general_agent(
    chatstore: Any, chats: Any, transcript: str, variables: dict[str, str]
) -> None:
    def resumed(session_id: str, *options: str) -> list[str]:
        done = chatstore("resume", session_id, "--as", transcript, *options, env=variables)
        assert done.code == 0
        assert "general agent" not in done.err
        rows = map(json.loads, done.out.splitlines()) if transcript == "jsonl" else json.loads(done.out)
        return [row["content"] for row in rows]

    whole = resumed(CHAT)
    assert whole[:2] == ["Which tour is running?", "Trips is paused."]
    assert resumed(CHAT, "--last", "2") == whole[-2:]
    assert resumed("generalchat-birch-dora-0001", "--after-sequence", "1") == ["An app."]


def test_resume_reads_the_segments_of_a_general_chat(chatstore: Any, chats: Any) -> None:
    rows = [json.loads(line) for line in chatstore("resume", LONG).out.splitlines()]
    assert [row["content"] for row in rows] == ["one", "two", "five", "six", "nine"]


def test_a_deletion_deletes_all_documents_of_the_chat_and_no_others(chatstore: Any, chats: Any) -> None:
    usage = {"chat_id": LONG, "run": 1, "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    chats["usage_events"].insert_many([{**usage, "_id": "g", "layout": "general"}, {**usage, "_id": "w"}])
    plan = chatstore("sessions", "delete", LONG)
    assert plan.code == 2
    for part in ("1 document of GeneralChatSessions", "2 documents of general_chat_segments", "1 document of usage_"):
        assert part in plan.err
    assert chats["GeneralChatSessions"].count_documents({"_id": LONG}) == 1
    assert chatstore("sessions", "delete", LONG, "--yes").code == 0
    assert chats["GeneralChatSessions"].count_documents({"_id": LONG}) == 0
    assert chats["general_chat_segments"].count_documents({}) == 0
    assert chats["usage_events"].distinct("_id") == ["w"]
    assert chats["chatstore_tombstones"].count_documents({"_id": {"layout": "general", "session_id": LONG}}) == 1
    assert chatstore("sessions", "show", LONG).code == 3


def test_the_number_of_a_deleted_chat_is_counted_before_it_is_deleted(
    chatstore: Any, chats: Any, fail_point: Any
) -> None:
    def counted(tenant: str, user: str) -> int:
        found = chats["GeneralChatCounters"].find(
            {"$or": [{"app_id": tenant}, {"enterprise_id": tenant}], "user_id": user}
        )
        return max((counter["sequence"] for counter in found), default=0)

    with fail_point(["delete"], errorCode=13):  # nothing can be deleted
        assert chatstore("sessions", "delete", CHAT, "--yes").code == 4
    assert counted("acme", "ana") == 3
    assert chatstore("sessions", "delete", CHAT, "--yes").code == 0
    assert counted("acme", "ana") == 3
    chats["GeneralChatSessions"].update_one({"_id": "generalchat-acme-ana-0002"}, {"$unset": {"general_sequence": 1}})
    assert chatstore("sessions", "delete", "generalchat-acme-ana-0002", "--yes").code == 0
    assert counted("acme", "ana") == 3
    chats["GeneralChatSessions"].insert_one(
        {"_id": "generalchat-x-y-0041", "app_id": "x", "user_id": "y", "messages": []}
    )
    assert chatstore("sessions", "delete", "generalchat-x-y-0041", "--yes").code == 0
    assert counted("x", "y") == 41
    assert chatstore("sessions", "delete", "general-odd", "--yes").code == 0  # of no tenant


def test_if_no_counter_can_be_written_nothing_is_deleted(chatstore: Any, chats: Any) -> None:
    chats["GeneralChatCounters"].drop()
    chats["GeneralChatCounters"].insert_many([{"_id": number, "hits": 1} for number in range(3)])
    refused = chatstore("sessions", "delete", CHAT, "--yes")
    assert refused.code == 8
    assert "GeneralChatCounters holds 3 documents that are not counters" in refused.err
    assert chats["GeneralChatSessions"].count_documents({"_id": CHAT}) == 1


def test_a_chat_and_its_messages_are_watched(chatstore: Any, chats: Any) -> None:
    with watching(chatstore, CHAT) as messages, watching(chatstore, "--tenant", "acme") as sessions:
        for sequence in (4, 5):
            message = {"role": "assistant", "content": sequence, "sequence": sequence, "metadata": GENERAL}
            chats["GeneralChatSessions"].update_one({"_id": CHAT}, {"$push": {"messages": message}})
        messages.wait_for_rows(2)
        sessions.wait_for_rows(1)  # only a session that was shown before has a row of its deletion
        assert [row["sequence"] for row in messages.rows] == [4, 5]
        chats["GeneralChatSessions"].delete_one({"_id": CHAT})
        poll(lambda: (CHAT, "deleted") in sessions.changes, what="the row of the deletion")
        assert {row["layout"] for row in sessions.rows} == {"general"}


def test_the_collection_of_another_product_is_not_touched(chatstore: Any, database: Any) -> None:
    database["GeneralChatSessions"].insert_many([{"_id": number, "title": "a room"} for number in range(3)])
    listed = chatstore("sessions", "list", "-o", "json")
    assert (items(listed), "GeneralChatSessions holds 3 documents that are not general chats" in listed.err) == (
        [],
        True,
    )
    assert chatstore("sessions", "delete", "0", "--yes").code in (3, 8)
    assert chatstore("indexes", "apply", "--layout", "general", "--yes").code == 8
    assert database["GeneralChatSessions"].count_documents({}) == 3


def test_the_applications_own_indexes_are_enough(chatstore: Any, chats: Any) -> None:
    collection = chats["GeneralChatSessions"]
    collection.create_index([("app_id", 1), ("user_id", 1), ("created_at", -1)], name="gc_ent_user_created")
    collection.create_index("status", name="gc_status")
    assert chatstore("indexes", "apply", "--layout", "general", "--yes").code == 0
    names = set(collection.index_information())
    assert "gc_app_user_created" not in names
    assert {"gc_ent_user_created", "gc_ent_user_created_2", "gc_status", "updated_idx"} <= names
    assert chatstore("indexes", "check", "--layout", "general").code == 0


def test_a_database_that_was_configured_before_keeps_its_meaning(chatstore: Any, chats: Any) -> None:
    chats["GeneralChatSessions"].delete_many({"user_id": None})  # what is not a workflow session there is reported

    def run(*arguments: str) -> Any:
        return chatstore(*arguments, env=AS_WORKFLOW)

    listed = run("sessions", "list", "--limit", "5", "-o", "json")
    assert [(row["session_id"], row["layout"]) for row in items(listed)] == [
        (name, "workflow") for name in NEWEST_FIRST
    ]
    assert listed.err == ""
    usage = json.loads(run("usage", "--tenant", "acme", "-o", "json").out)
    assert usage["totals"]["usage"]["total_tokens"] == 150 + 15 + 2 + 10
    refused = run("sessions", "list", "--layout", "general")
    assert refused.code == 2
    assert "is not a layout: workflow, messages, threads, calls. The layout general is off." in refused.err
    checked = items(run("config", "show", "-o", "json"))
    [setting] = [row for row in checked if row["key"] == "layouts.general.sessions"]
    assert setting["value"] is None
    assert setting["source"] == "off, because mongo.session_collection names the same collection"
    indexes = json.loads(run("indexes", "check", "-o", "json").out)["items"]
    assert {row["collection"] for row in indexes} >= {"GeneralChatSessions"}
    assert "general_chat_segments" not in {row["collection"] for row in indexes}
    assert run("verify", "-o", "json").code in (0, 6)
    assert run("sessions", "delete", CHAT, "--yes").code == 0
    assert chats["chatstore_tombstones"].find_one({})["_id"]["layout"] == "workflow"
