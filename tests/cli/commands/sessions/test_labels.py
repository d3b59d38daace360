"""`chatstore sessions rename|tag|untag` and `--tag`, over sessions of several layouts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import TABLE_AND_JSON, check_golden
from tests.support.stored_sessions import store_chats

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
DAY = datetime(2026, 3, 2, tzinfo=UTC)
HOSTILE = ["a.b", "$set", "$", "'; drop", "=SUM(A1)", "写作", "🙂‍↔️", "-x", "a" * 64, "{}", "\\u0000"]


def rows(chatstore: Chatstore, *arguments: str, stdin: str | None = None) -> list[dict[str, Any]]:
    outcome = chatstore("-o", "json", *arguments, **({} if stdin is None else {"stdin": stdin}))
    assert outcome.code == 0, outcome.err
    items: list[dict[str, Any]] = json.loads(outcome.out)["items"]
    return items


def store_workflow(database: Database[dict[str, Any]], *ids: Any) -> None:
    database["chat_sessions"].insert_many(
        {
            "chat_id": each,
            "enterprise_id": "acme",
            "title": f"own {each}",
            "status": 1,
            "messages": [{"role": "user", "content": "hello", "sequence": 1}],
            "updated_at": DAY + timedelta(minutes=number),
        }
        for number, each in enumerate(ids)
    )


@pytest.mark.parametrize("output", TABLE_AND_JSON)
def test_byte_for_byte_a_list_shows_titles_and_tags(
    chatstore: Chatstore, database: Database[dict[str, Any]], output: OutputFormat
) -> None:
    store_chats(database)
    assert chatstore("sessions", "tag", "triage-1", "refund", "Ünïcode | tag").code == 0
    assert chatstore("sessions", "tag", "journal-a", "refund").code == 0
    assert chatstore("sessions", "rename", "journal-a", "A [31m title").code == 0
    check_golden(chatstore, "sessions-list-tag", ("sessions", "list", "--tag", "refund"), output)


def test_a_title_of_a_person_is_shown_before_the_layouts_own(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_workflow(database, "w-1")
    [row] = rows(chatstore, "sessions", "rename", "w-1", "  Refund e\u0301 ")
    assert row == {"session_id": "w-1", "layout": "workflow", "title": "Refund é", "tags": []}
    assert rows(chatstore, "sessions", "list")[0]["title"] == "Refund é"
    shown = json.loads(chatstore("sessions", "show", "w-1", "-o", "json").out)
    assert (shown["title"], shown["tags"]) == ("Refund é", [])
    assert database["chat_sessions"].find_one({"chat_id": "w-1"}).items() >= {"title": "own w-1"}.items()
    assert rows(chatstore, "sessions", "rename", "w-1", "")[0]["title"] is None
    assert rows(chatstore, "sessions", "list")[0]["title"] == "own w-1"
    assert database["chatstore_labels"].count_documents({}) == 0


def test_a_thread_gets_the_name_itself(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    thread = json.loads(chatstore("threads", "create", "old", "--user", "u", "--tenant", "t", "-o", "json").out)
    rows(chatstore, "sessions", "rename", thread["thread_id"], "new")
    assert database["chat_threads"].distinct("name") == ["new"]
    assert "chatstore_labels" not in database.list_collection_names()
    assert rows(chatstore, "threads", "list")[0]["title"] == "new"


def test_tags_of_every_kind_survive(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1", "a.$b\0c" + "x" * 600)
    for name in ("w-1", "a.$b\0c" + "x" * 600):
        lines = json.dumps({"session_id": name, "layout": "workflow"})
        [row] = rows(chatstore, "sessions", "tag", "--stdin", "--", *HOSTILE, stdin=lines)
        assert set(row["tags"]) == set(HOSTILE)
    for tag in HOSTILE:
        assert len(rows(chatstore, "sessions", "list", f"--tag={tag}")) == 2
    [row] = rows(chatstore, "sessions", "untag", "w-1", "--", *HOSTILE[1:])
    assert row["tags"] == [HOSTILE[0]]


@pytest.mark.parametrize("tag", ["", "  ", "a\nb", "\x1b[31m", "a" * 65, "\u202eabc", "\u200b", "\udcff"])
def test_a_text_that_is_no_tag_is_rejected(chatstore: Chatstore, database: Database[dict[str, Any]], tag: str) -> None:
    store_workflow(database, "w-1")
    for arguments in (("sessions", "tag", "w-1", tag), ("sessions", "list", "--tag", tag)):
        outcome = chatstore(*arguments)
        assert (outcome.code, "64 characters" in outcome.err) == (2, True), outcome.err
    assert "chatstore_labels" not in database.list_collection_names()


def test_a_session_has_at_most_50_tags(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1")
    rows(chatstore, "sessions", "tag", "w-1", *(f"t-{number:02}" for number in range(49)))
    outcome = chatstore("sessions", "tag", "w-1", "t-00", "x", "y")
    assert (outcome.code, "more than 50 tags" in outcome.err) == (8, True)
    assert len(rows(chatstore, "sessions", "tag", "w-1", "t-00", "t-01", "x")[0]["tags"]) == 50
    assert len(rows(chatstore, "sessions", "tag", "w-1", "t-00", "x")[0]["tags"]) == 50
    assert chatstore("sessions", "tag", "w-1", "y").code == 8


def test_a_missing_id_changes_nothing_and_every_missing_one_is_named(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_workflow(database, "w-1")
    outcome = chatstore("sessions", "tag", "--stdin", "x", stdin="w-1\nw-2\n\nw-3\n")
    assert outcome.code == 3
    assert "2 of 3 sessions do not exist: 'w-2', 'w-3'" in outcome.err
    assert "chatstore_labels" not in database.list_collection_names()


def test_pages_of_a_tag_are_those_of_the_list(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, *(f"w-{number}" for number in range(7)))
    database["chat_messages"].insert_one(
        {"session_id": "m", "role": "user", "text": "x", "created_at": (DAY + timedelta(minutes=3)).isoformat()}
    )
    rows(chatstore, "sessions", "tag", "--stdin", "x", stdin="\n".join([*(f"w-{n}" for n in range(6)), "m"]))
    seen: list[str] = []
    cursor: list[str] = []
    while True:
        page = json.loads(chatstore("sessions", "list", "--tag", "x", "--limit", "2", *cursor, "-o", "json").out)
        seen += [row["session_id"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = ["--cursor", page["next_cursor"]]
    assert seen == ["w-5", "w-4", "w-3", "m", "w-2", "w-1", "w-0"]
    database["chat_sessions"].delete_one({"chat_id": "w-5"})  # elsewhere
    assert len(rows(chatstore, "sessions", "list", "--tag", "x", "--layout", "workflow")) == 5


def test_two_processes_tag_one_session_at_once(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1")
    command = [sys.executable, "-m", "chatstore_cli", "sessions", "tag", "w-1"]
    settings: dict[str, Any] = {"cwd": chatstore.folder, "env": chatstore.environment, "stdout": subprocess.DEVNULL}
    both = [subprocess.Popen([*command, *(f"{name}{n}" for n in range(20))], **settings) for name in "ab"]
    assert [each.wait() for each in both] == [0, 0]
    assert len(rows(chatstore, "sessions", "list")[0]["tags"]) == 40


def test_read_only_and_a_collection_of_others(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1")
    assert chatstore("--read-only", "sessions", "tag", "w-1", "x").code == 4
    assert chatstore("--read-only", "sessions", "rename", "w-1", "x").code == 4
    database["chatstore_labels"].insert_many({"_id": number, "kind": "other"} for number in range(5))
    assert rows(chatstore, "sessions", "list")[0]["tags"] == []
    outcome = chatstore("sessions", "tag", "w-1", "x")
    assert (outcome.code, "chatstore_labels" in outcome.err) == (8, True)


def test_sessions_under_a_collation_keep_their_own_tags(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    database.create_collection("chat_sessions", collation={"locale": "en", "strength": 2})
    store_workflow(database, "Ann", "ann")
    rows(chatstore, "sessions", "tag", "ann", "VIP")
    assert {row["session_id"]: row["tags"] for row in rows(chatstore, "sessions", "list")} == {
        "Ann": [],
        "ann": ["VIP"],
    }
    assert rows(chatstore, "sessions", "list", "--tag", "vip") == []
    assert [row["session_id"] for row in rows(chatstore, "sessions", "list", "--tag", "VIP")] == ["ann"]


def test_a_labels_collection_under_a_collation_is_read_exactly_and_not_written(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_workflow(database, "Ann", "ann")
    database.create_collection("chatstore_labels", collation={"locale": "en", "strength": 2})
    database["chatstore_labels"].insert_one({"_id": {"layout": "workflow", "session_id": "ann"}, "tags": ["VIP"]})
    assert {row["session_id"]: row["tags"] for row in rows(chatstore, "sessions", "list")} == {
        "Ann": [],
        "ann": ["VIP"],
    }
    assert rows(chatstore, "sessions", "list", "--tag", "vip") == []
    assert chatstore("sessions", "tag", "Ann", "x").code == 1


def test_without_the_right_to_read_labels_sessions_are_listed(
    chatstore: Chatstore,
    database: Database[dict[str, Any]],
    fail_point: Callable[..., AbstractContextManager[None]],
) -> None:
    store_workflow(database, "w-1")
    rows(chatstore, "sessions", "tag", "w-1", "x")
    with fail_point(["find"], errorCode=13, namespace=f"{database.name}.chatstore_labels"):
        outcome = chatstore("sessions", "list")
        assert (outcome.code, "may not read chatstore_labels" in outcome.err) == (0, True), outcome.err
        assert chatstore("sessions", "list", "--tag", "x").code == 4


def test_a_wrong_line_of_stdin_is_named(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1")
    for line in ("{", '{"layout": "workflow"}', '{"session_id": 5}', '{"session_id": "w-1", "layout": "nothing"}'):
        outcome = chatstore("sessions", "tag", "--stdin", "x", stdin=f"w-1\n{line}\n")
        assert outcome.code == 2, outcome.err
    assert chatstore("sessions", "tag", "w-1").code == 2


@pytest.mark.parametrize("piped", ["", "\n\n"])
@pytest.mark.parametrize("change", ["tag", "untag"])
def test_an_empty_stdin_changes_nothing(
    chatstore: Chatstore, database: Database[dict[str, Any]], change: str, piped: str
) -> None:
    outcome = chatstore("sessions", change, "--stdin", "x", stdin=piped)
    assert (outcome.code, outcome.out) == (0, "")
    assert "stdin names no session, so nothing was changed." in outcome.err
    assert json.loads(chatstore("-o", "json", "sessions", change, "--stdin", "x", stdin=piped).out)["items"] == []
    assert "chatstore_labels" not in database.list_collection_names()


def test_labels_of_sessions_deleted_elsewhere_are_pruned(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_workflow(database, "w-1", "w-2")
    rows(chatstore, "sessions", "tag", "--stdin", "x", stdin="w-1\nw-2\n")
    database["chatstore_labels"].insert_one({"_id": {"layout": "other", "session_id": "o"}, "tags": ["x"]})
    assert rows(chatstore, "sessions", "prune-labels") == []
    database["chat_sessions"].delete_one({"chat_id": "w-1"})
    outcome = chatstore("sessions", "prune-labels")
    assert (outcome.code, "1 document of chatstore_labels" in outcome.err) == (2, True), outcome.err
    assert rows(chatstore, "sessions", "prune-labels", "--yes") == [
        {"session_id": "w-1", "layout": "workflow", "result": "deleted"}
    ]
    left = {row["_id"]["session_id"] for row in database["chatstore_labels"].find()}
    assert left == {"w-2", "o"}


def test_labels_are_deleted_with_their_session(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1")
    thread = json.loads(chatstore("threads", "create", "n", "--user", "u", "--tenant", "t", "-o", "json").out)
    for session_id in ("w-1", thread["thread_id"]):
        rows(chatstore, "sessions", "tag", session_id, "x")
    refused = chatstore("sessions", "delete", "w-1")
    assert "1 document of chatstore_labels" in refused.err
    [deleted] = rows(chatstore, "sessions", "delete", "w-1", "--yes")
    assert {"collection": "chatstore_labels", "deleted": 1} in deleted["documents"]
    assert chatstore("threads", "delete", thread["thread_id"], "--yes").code == 0
    assert database["chatstore_labels"].count_documents({}) == 0


def test_a_general_chat_has_the_title_in_every_list(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    arguments = ("--tenant", "acme", "--user", "ana")
    chat = json.loads(chatstore("general", "start", *arguments, "-o", "json").out)["session_id"]
    rows(chatstore, "sessions", "rename", chat, "Invoices")
    assert rows(chatstore, "general", "list", *arguments)[0]["label"] == "Invoices"
    assert json.loads(chatstore("general", "show", chat, "-o", "json").out)["label"] == "Invoices"
    assert rows(chatstore, "sessions", "list", "--title", "invo")[0]["session_id"] == chat


def test_the_index_on_tags_is_made_with_the_first_tag(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1")
    assert "chatstore_labels" not in chatstore("indexes", "check").out
    rows(chatstore, "sessions", "tag", "w-1", "x")
    assert "label_tags_idx" in database["chatstore_labels"].index_information()
    explained = database["chatstore_labels"].find({"tags": "x"}).explain()
    assert "label_tags_idx" in json.dumps(explained["queryPlanner"]["winningPlan"])
    database["chatstore_labels"].drop_indexes()
    checked = chatstore("indexes", "check")
    assert (checked.code, "label_tags_idx" in checked.out) == (6, True)


def test_a_search_finds_only_messages_of_sessions_with_the_tag(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_workflow(database, "w-1", "w-2", "w-3")

    def found() -> list[str]:
        return [row["session_id"] for row in rows(chatstore, "search", "hello", "--tag", "x")]

    assert found() == []
    rows(chatstore, "sessions", "tag", "w-1", "x")
    assert found() == ["w-1"]
    rows(chatstore, "sessions", "tag", "w-3", "x")
    assert sorted(found()) == ["w-1", "w-3"]


def test_more_sessions_than_a_list_can_sort_are_rejected(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    database["chatstore_labels"].insert_many(
        {"_id": {"layout": "workflow", "session_id": str(number)}, "tags": ["x"]} for number in range(1001)
    )
    for command in (("sessions", "list"), ("search", "hello")):
        outcome = chatstore(*command, "--tag", "x")
        assert (outcome.code, "More than 1,000 sessions" in outcome.err) == (2, True), outcome.err


def test_the_first_title_creates_the_index_too(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    """Otherwise `indexes check` would report a missing index of a collection that chatstore itself has created."""
    store_chats(database)
    assert chatstore("sessions", "rename", "triage-0", "A title").code == 0
    assert "label_tags_idx" in database["chatstore_labels"].index_information()
