"""`chatstore sessions delete` for several sessions: ids, stdin, filters, and plans that are carried out later."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from chatstore_cli.core.sessions import named
from chatstore_cli.render.output_format import OutputFormat
from tests.support.paths import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def store_workflow(database: Database[dict[str, Any]], *ids: str, **more: Any) -> None:
    """Workflow sessions of one message each, with a ledger row."""
    for number, each in enumerate(ids):
        at = NOON + timedelta(minutes=number)
        message = {"role": "user", "content": "hello", "sequence": 1}
        facts = {"chat_id": each, "enterprise_id": "acme", "status": 1, "created_at": NOON, "updated_at": at}
        database["chat_sessions"].insert_one({**facts, "messages": [message], "last_sequence": 1, **more})


def store_flat(database: Database[dict[str, Any]], session: str, *seconds: int) -> None:
    """A flat message at each of these seconds after noon."""
    database["chat_messages"].insert_many(
        {"_id": f"{session}-{each}", "session_id": session, "role": "user", "text": str(each),
         "created_at": (NOON + timedelta(seconds=each)).isoformat(timespec="microseconds")}
        for each in seconds
    )  # fmt: skip


def store_all(database: Database[dict[str, Any]]) -> None:
    """Two workflow sessions with segments, two flat ones, a general chat, and a thread."""
    store_workflow(database, "w-1", "w-2")
    database["chat_session_segments"].insert_one({"_id": "w-1:0", "chat_id": "w-1", "messages": []})
    store_flat(database, "m-1", 1, 2, 3)
    store_flat(database, "m-2", 4)
    database["GeneralChatSessions"].insert_one(
        {"_id": "generalchat-a-u-0001", "chat_id": "generalchat-a-u-0001", "app_id": "a", "user_id": "u", "messages": [],
         "general_label": "x", "created_at": NOON, "last_updated_at": NOON, "sequence": 1, "last_sequence": 0}
    )  # fmt: skip
    store_thread(database, "t-1")


def store_thread(database: Database[dict[str, Any]], thread_id: str) -> None:
    """A thread of one message."""
    thread = {"_id": thread_id, "user_id": "u", "org_id": "acme", "name": "n", "created_at": NOON, "updated_at": NOON}
    database["chat_threads"].insert_one({**thread, "last_sequence": 1})
    content = {"type": "text", "text": "hi"}
    database["chat_thread_messages"].insert_one(
        {"_id": f"tm-{thread_id}", "chat_thread_id": thread_id, "sender_role": "user", "content": content, "created_at": NOON,
         "updated_at": NOON, "sequence": 1}
    )  # fmt: skip


ALL = ("w-1", "w-2", "m-1", "m-2", "generalchat-a-u-0001", "t-1")


def ask(chatstore: Chatstore, *arguments: str, code: int = 0, **more: Any) -> Any:
    outcome = chatstore("-o", "json", *arguments, **more)
    assert outcome.code == code, outcome.err
    return json.loads(outcome.out) if outcome.out else None


def plan(chatstore: Chatstore, *arguments: str, name: str = "plan.jsonl") -> Path:
    ask(chatstore, "sessions", "delete", *arguments, "--plan", name)
    return chatstore.folder / name


def results(answer: Any) -> dict[str, str]:
    return {row["session_id"]: row["result"] for row in answer["items"]}


def test_a_plan_deletes_exactly_its_sessions_in_every_layout(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_all(database)
    store_workflow(database, "w-3")
    assert chatstore("sessions", "tag", "w-1", "x").code == 0
    path = plan(chatstore, *ALL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    header, *rows = map(json.loads, path.read_text().splitlines())
    assert (header["version"], header["sessions"], len(rows)) == (1, 6, 6)
    assert header["documents"] == {
        "chat_session_segments": 1, "chat_sessions": 2, "chatstore_labels": 1, "chat_messages": 4,
        "GeneralChatSessions": 1, "chat_thread_messages": 1, "chat_threads": 1,
    }  # fmt: skip
    assert database["chat_sessions"].count_documents({}) == 3
    answer = ask(chatstore, "sessions", "delete", "--apply", "plan.jsonl", "--yes")
    assert set(results(answer).values()) == {"deleted"}
    assert (answer["totals"]["deleted"], answer["totals"]["changed"]) == (6, 0)
    for collection, left in (("chat_sessions", 1), ("chat_messages", 0), ("chat_session_segments", 0)):
        assert database[collection].count_documents({}) == left
    for collection in ("GeneralChatSessions", "chat_threads", "chat_thread_messages", "chatstore_labels"):
        assert database[collection].count_documents({}) == 0
    again = ask(chatstore, "sessions", "delete", "--apply", "plan.jsonl", "--yes")
    assert set(results(again).values()) == {"already_deleted"}


def change_sessions(database: Database[dict[str, Any]]) -> set[str]:
    """Change sessions of store_all in every way that counts. Returns their ids."""
    later = NOON + timedelta(hours=1)
    sessions, messages = database["chat_sessions"], database["chat_messages"]
    message = {"role": "user", "content": "more", "sequence": 2}
    sessions.update_one({"chat_id": "w-append"}, {"$push": {"messages": message}})
    sessions.update_one({"chat_id": "w-touch"}, {"$set": {"updated_at": later}})
    sessions.delete_one({"chat_id": "w-recreate"})
    store_workflow(database, "w-recreate", created_at=later)
    database["usage_events"].insert_one({"chat_id": "w-usage", "total_tokens": 5, "run": 1, "at": NOON})
    identity = {"layout": "workflow", "session_id": "w-tag"}
    database["chatstore_labels"].insert_one({"_id": identity, "tags": ["keep"]})
    store_flat(database, "m-new", 9)
    store_flat(database, "m-old", -9)
    messages.delete_one({"_id": "m-fewer-1"})
    stored = database["chat_thread_messages"].find_one({"_id": "tm-t-message"}) or {}
    database["chat_thread_messages"].insert_one({**stored, "_id": "tm-2", "sequence": 2})
    database["chat_threads"].update_one({"_id": "t-name"}, {"$set": {"updated_at": later}})
    return {"w-append", "w-touch", "w-recreate", "w-usage", "w-tag", "m-new", "m-old", "m-fewer", "t-message", "t-name"}


def test_what_changed_since_the_plan_is_left_and_named(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_all(database)
    store_workflow(database, "w-append", "w-touch", "w-recreate", "w-usage", "w-tag")
    for each in ("m-new", "m-old", "m-fewer"):
        store_flat(database, each, 1, 2)
    for each in ("t-message", "t-name"):
        store_thread(database, each)
    names = [row["session_id"] for row in ask(chatstore, "sessions", "list")["items"]]
    plan(chatstore, *names)
    changed = change_sessions(database)
    assert changed < set(names)

    def rows_of_changed() -> list[tuple[str, Any]]:
        found = ((name, row) for name in sorted(database.list_collection_names()) for row in database[name].find())
        return [(name, row) for name, row in found if any(each in str(row) for each in changed)]

    before = rows_of_changed()
    outcome = chatstore("sessions", "delete", "--apply", "plan.jsonl", "--yes", "-o", "json")
    assert outcome.code == 8, outcome.err
    assert {name for name in names if repr(name) in outcome.err} == changed
    assert results(json.loads(outcome.out)) == {name: "changed" if name in changed else "deleted" for name in names}
    assert rows_of_changed() == before  # no tombstone either


def test_a_session_deleted_elsewhere_is_already_deleted(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_all(database)
    plan(chatstore, *ALL)
    database["chat_sessions"].delete_one({"chat_id": "w-2"})
    database["chat_messages"].delete_many({"session_id": "m-2"})
    found = results(ask(chatstore, "sessions", "delete", "--apply", "plan.jsonl", "--yes"))
    assert {name for name, result in found.items() if result == "already_deleted"} == {"w-2", "m-2"}


def test_messages_recorded_after_the_plan_are_not_covered_by_the_deletion(
    chatstore: Chatstore, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    store_flat(database, "m-1", 1, 2)
    plan(chatstore, "m-1")
    ask(chatstore, "sessions", "delete", "--apply", "plan.jsonl", "--yes")
    journal = tmp_path / "journals" / "m-1.jsonl"
    journal.parent.mkdir()
    line = {"session_id": "m-1", "role": "user", "text": "x", "metadata": {}, "vector_ids": []}
    times = [(NOON + timedelta(seconds=each)).isoformat(timespec="microseconds") for each in (1, 2, 3)]
    journal.write_text("".join(json.dumps({**line, "created_at": each}) + "\n" for each in times))
    flushed = ask(chatstore, "flush-cache", str(journal))
    assert (flushed["stored"], flushed["skipped"]) == (1, 2)


def test_filters_show_the_plan_and_ask(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1", "w-2")
    store_workflow(database, "w-3", enterprise_id="other")
    database["chat_sessions"].update_one({"chat_id": "w-1"}, {"$set": {"user_id": "ana"}})
    outcome = chatstore("sessions", "delete", "--tenant", "acme")
    assert outcome.code == 2
    assert "2 sessions: 2 documents of chat_sessions" in outcome.err
    assert "workflow 'w-1' (user 'ana', tenant 'acme'): 1 message\n" in outcome.err
    assert database["chat_sessions"].count_documents({}) == 3
    answer = ask(chatstore, "sessions", "delete", "--tenant", "acme", "--yes")
    assert results(answer) == {"w-2": "deleted", "w-1": "deleted"}
    assert database["chat_sessions"].distinct("chat_id") == ["w-3"]
    empty = ask(chatstore, "sessions", "delete", "--tenant", "other", "--status", "failed", "--yes")
    assert (empty["items"], empty["totals"]["deleted"]) == ([], 0)


def test_a_tag_selects_sessions_of_every_layout(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_all(database)
    assert chatstore("sessions", "tag", "--stdin", "junk", stdin="w-1\nm-1\nt-1\n").code == 0
    answer = ask(chatstore, "sessions", "delete", "--tag", "junk", "--yes")
    assert set(results(answer)) == {"w-1", "m-1", "t-1"}
    assert database["chatstore_labels"].count_documents({}) == 0


def test_rows_of_a_list_are_read_from_stdin(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_all(database)
    store_flat(database, "w-1", 5)  # the same id in another layout
    rows = chatstore("sessions", "list", "--layout", "workflow", "-o", "jsonl").out
    answer = ask(chatstore, "sessions", "delete", "--stdin", "--yes", stdin=rows + "m-2\r\n\n")
    assert {(row["layout"], row["session_id"]) for row in answer["items"]} == {
        ("workflow", "w-1"), ("workflow", "w-2"), ("messages", "m-2"),
    }  # fmt: skip
    assert database["chat_messages"].count_documents({"session_id": "w-1"}) == 1


def test_a_plan_shows_its_filters_as_words_of_a_command_line(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_workflow(database, "w-1", user_id="ana k", paused=True)
    for number, filters in enumerate((("--user", "ana k", "--paused"), ("--user", "ana k", "--everything"))):
        outcome = chatstore("sessions", "delete", *filters, "--plan", f"{number}.jsonl")
        [shown] = (line for line in outcome.out.splitlines() if line.startswith("Filters"))
        assert shown.split(maxsplit=1)[1] == f"--user 'ana k' {filters[-1]}"


def test_an_empty_stdin_deletes_nothing(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_all(database)
    junk = chatstore("sessions", "list", "--tag", "junk", "-o", "jsonl").out
    assert junk == ""
    for way, notice in (("--yes", "No session was deleted."), ("--dry-run", "No session would be deleted.")):
        outcome = chatstore("sessions", "delete", "--stdin", way, stdin=junk)
        assert (outcome.code, outcome.out) == (0, "")
        assert notice in outcome.err
    assert chatstore("sessions", "delete", "--stdin", stdin="").code == 0  # there is nothing to confirm
    assert chatstore("sessions", "delete", "--yes").code == 2
    assert len(ask(chatstore, "sessions", "list")["items"]) == len(ALL)


def test_one_missing_id_deletes_nothing_and_writes_no_plan(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_all(database)
    outcome = chatstore("sessions", "delete", "w-1", "x-1", "m-1", "x-2", "--yes")
    assert outcome.code == 3
    assert "2 of 4 sessions do not exist: 'x-1', 'x-2'" in outcome.err
    assert chatstore("sessions", "delete", "w-1", "x-1", "--plan", "plan.jsonl").code == 3
    assert list(chatstore.folder.glob("*plan*")) == []
    assert database["chat_sessions"].count_documents({}) == 2


def test_many_sessions_require_a_plan(
    chatstore: Chatstore, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_flat(database, "x", 0)
    database["chat_messages"].insert_many(
        {"session_id": f"m-{number}", "role": "user", "text": "x", "created_at": NOON.isoformat()}
        for number in range(named.MOST_NAMED + 1)
    )
    lines = "\n".join(f"m-{number}" for number in range(named.MOST_NAMED + 1))
    outcome = chatstore("sessions", "delete", "--stdin", "--yes", stdin=lines)
    assert (outcome.code, "--plan FILE" in outcome.err) == (2, True), outcome.err


def test_a_layout_that_is_only_read_is_rejected_by_name(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    from tests.support.samples import store_sample

    store_sample(database, "calls")
    store_workflow(database, "w-1")
    call = database["lk_transcripts"].find_one({"sessionId": {"$type": "string"}}) or {}
    for arguments in ((call["sessionId"], "w-1"), ("--layout", "calls", "--since", "2000-01-01")):
        outcome = chatstore("sessions", "delete", *arguments, "--yes")
        assert (outcome.code, "layout calls cannot be deleted" in outcome.err) == (4, True), outcome.err
    outcome = chatstore("sessions", "delete", "--tenant", "acme", "--yes")
    assert (outcome.code, "layout calls are left out" in outcome.err) == (0, True), outcome.err
    assert database["chat_sessions"].count_documents({}) == 0


def test_a_plan_has_the_ids_of_collections_as_text_and_an_older_plan_is_understood(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_all(database)
    outcome = chatstore("sessions", "delete", *ALL, "--plan", "my plan.jsonl")
    assert "chatstore sessions delete --apply 'my plan.jsonl' --yes" in outcome.err, outcome.err
    path = chatstore.folder / "my plan.jsonl"
    header, rest = path.read_text().split("\n", 1)
    fields = json.loads(header)
    listed = database.command("listCollections")["cursor"]["firstBatch"]
    ids = {each["name"]: each["info"]["uuid"] for each in listed}
    assert fields["collections"] == {name: str(UUID(bytes=ids[name])) for name in fields["collections"]}
    fields["collections"] = {name: str(bytes(ids[name])) for name in fields["collections"]}  # as it was written before
    path.write_text(f"{json.dumps(fields)}\n{rest}")
    outcome = chatstore("sessions", "delete", "--apply", "my plan.jsonl", "--yes")
    assert outcome.code == 0, outcome.err
    assert database["chat_messages"].count_documents({}) == 0


def test_a_plan_of_another_target_is_refused(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_all(database)
    plan(chatstore, *ALL)
    outcome = chatstore("sessions", "delete", "--apply", "plan.jsonl", "--yes", "--database", f"{database.name}_2")
    assert (outcome.code, database.name in outcome.err) == (8, True)
    documents = list(database["chat_sessions"].find())
    database["chat_sessions"].drop()
    database["chat_sessions"].insert_many(documents)  # as a restored backup
    outcome = chatstore("sessions", "delete", "--apply", "plan.jsonl", "--yes")
    assert (outcome.code, "created again" in outcome.err) == (8, True), outcome.err
    assert database["chat_messages"].count_documents({}) == 4


DAMAGES: list[Callable[[str], str]] = [
    lambda text: "",
    lambda text: text[:-1],
    lambda text: text.rsplit("\n", 2)[0] + "\n",
    lambda text: text.replace('"version": 1', '"version": 2'),
    lambda text: text.replace('"message_count": 3', '"message_count": "3"'),
    lambda text: text.replace('"layout": "messages"', '"layout": {"$ne": 1}'),
    lambda text: text + "\0\n",
    lambda text: text.replace('"sessions delete"', '"other"'),
    lambda text: text.replace('"updated_at": "2026', '"updated_at": "x2026'),
]


def test_a_damaged_plan_deletes_nothing(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_flat(database, "m-1", 1, 2, 3)
    store_flat(database, "m-2", 4)
    path = plan(chatstore, "m-1", "m-2")
    text = path.read_text()
    for damage in DAMAGES:
        path.write_text(damage(text))
        assert path.read_text() != text
        outcome = chatstore("sessions", "delete", "--apply", "plan.jsonl", "--yes")
        assert (outcome.code, "plan.jsonl" in outcome.err) == (2, True), outcome.err
    assert database["chat_messages"].count_documents({}) == 4


def test_wrong_combinations(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_flat(database, "m-1", 1)
    for arguments in (
        (), ("--yes",), ("m-1", "--tenant", "x"), ("m-1", "--stdin"), ("--apply", "x", "m-1"), ("--apply", "x", "--stdin"),
        ("--apply", "x", "--keep-usage"), ("--apply", "x", "--plan", "y"),
    ):  # fmt: skip
        assert chatstore("sessions", "delete", *arguments).code == 2, arguments
    assert chatstore("sessions", "delete", "--apply", "missing", "--yes").code == 3
    plan(chatstore, "m-1")
    assert chatstore("--read-only", "sessions", "delete", "--apply", "plan.jsonl", "--yes").code == 4
    assert chatstore("--read-only", "sessions", "delete", "m-1", "--plan", "other.jsonl").code == 0
    refused = chatstore("sessions", "delete", "m-1", "--plan", "plan.jsonl")
    assert (refused.code, "--force" in refused.err) == (8, False)
    assert chatstore("sessions", "delete", "--apply", "plan.jsonl").code == 2
    assert database["chat_messages"].count_documents({}) == 1


def test_usage_is_kept_if_the_plan_says_so(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    counters = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "total_cost": 0.5}
    store_workflow(database, "w-1", "w-2", real_time_tracking={"tokens": counters})
    plan(chatstore, "w-1", "w-2", "--keep-usage")
    before = ask(chatstore, "usage")
    ask(chatstore, "sessions", "delete", "--apply", "plan.jsonl", "--yes")
    assert database["chat_sessions"].count_documents({}) == 0
    after = ask(chatstore, "usage")
    assert after["totals"]["usage"]["total_tokens"] == before["totals"]["usage"]["total_tokens"] == 30


def test_hostile_ids_and_a_collation(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database.create_collection("chat_messages", collation={"locale": "en", "strength": 2})
    database.create_collection("chat_sessions", collation={"locale": "en", "strength": 2})
    hostile = ["$where", "a.b\0c", '{"$ne": 1}', "x" * 700, "=1+1", "\x1b[31m"]
    for each in hostile:
        store_flat(database, each, 1)
    store_flat(database, "ANN", 1)
    store_flat(database, "ann", 2)
    store_workflow(database, "Bob", "bob")
    lines = "".join(json.dumps({"session_id": each}) + "\n" for each in [*hostile, "ann", "bob"])
    ask(chatstore, "sessions", "delete", "--stdin", "--plan", "plan.jsonl", stdin=lines)
    answer = ask(chatstore, "sessions", "delete", "--apply", "plan.jsonl", "--yes")
    assert results(answer) == dict.fromkeys([*hostile, "ann", "bob"], "deleted")
    assert database["chat_messages"].distinct("session_id") == ["ANN"]
    assert [row["chat_id"] for row in database["chat_sessions"].find()] == ["Bob"]


@pytest.mark.parametrize("output", [OutputFormat.TABLE, OutputFormat.JSON])
def test_byte_for_byte_an_applied_plan(
    chatstore: Chatstore, database: Database[dict[str, Any]], output: OutputFormat
) -> None:
    store_all(database)
    path = plan(chatstore, *ALL)
    target = json.loads(path.read_text().splitlines()[0])["target"]
    database["chat_sessions"].update_one({"chat_id": "w-1"}, {"$set": {"updated_at": NOON + timedelta(hours=1)}})
    database["chat_messages"].delete_many({"session_id": "m-2"})
    outcome = chatstore("sessions", "delete", "--apply", "plan.jsonl", "--yes", "-o", output.value)
    assert outcome.code == 8
    shown = outcome.out.replace(json.dumps(target), '"TARGET"')
    golden = GOLDEN / f"sessions-delete-apply.{'txt' if output is OutputFormat.TABLE else 'json'}"
    assert shown == golden.read_text()
