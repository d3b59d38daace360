"""`chatstore search` as a process: over all layouts, filters, pages, hostile text, interrupts and errors."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.terminals import on_a_terminal

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOSTILE = "late \x1b[2J\u202e order \x00\x9b31m | =1+1 <b> \U0001f355"


def at(minutes: float) -> datetime:
    return NOON - timedelta(minutes=minutes)


def workflow(session: str, age: int, *contents: Any, tenant: str = "acme", **more: Any) -> dict[str, Any]:
    """A workflow session that was updated `age` minutes before noon, with a message every second before that."""
    messages = [
        {"role": "user", "content": content, "sequence": number, "timestamp": at(age + (len(contents) - number) / 60)}
        for number, content in enumerate(contents, 1)
    ]
    owner = {"enterprise_id": tenant, "user_id": "ada"}
    return {"chat_id": session, "updated_at": at(age), "messages": messages, "status": 1, **owner, **more}


def flat(session: str, age: float, text: Any, role: str = "user") -> dict[str, Any]:
    stored = {"role": role, "text": text, "created_at": at(age).isoformat(timespec="microseconds")}
    return {"_id": f"{session}:{age}", "session_id": session, "metadata": {}, "sequence": int(age), **stored}


@pytest.fixture(scope="module")
def store(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    calls = [{"type": "function", "function": {"name": "find_order", "arguments": '{"city": "K\\u00f6ln", "n": 4711}'}}]
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "late" * 500}}]
    module_database.chat_sessions.insert_many(
        [
            workflow("w-new", 10, "My order came too late.", "Your ORDER is late?", "order only"),
            workflow("w-old", 40, "late order in café", [{"type": "text", "text": "the order"}, *picture]),
            workflow("w-other", 30, "late, late order", tenant="other"),
        ]
    )
    module_database.chat_sessions.insert_one(
        workflow("w-call", 50, None) | {"messages": [{"role": "assistant", "tool_calls": calls, "timestamp": at(50)}]}
    )
    module_database.chat_messages.insert_many(
        [flat("f-1", 20, "The order is late", "assistant"), flat("f-1", 5, "no match"), flat("f-2", 35, HOSTILE)]
    )
    module_database.chat_threads.insert_one(
        {"_id": "t-1", "user_id": "ada", "org_id": "acme", "name": "Late", "created_at": at(60), "updated_at": at(25)}
    )
    content = {"type": "text", "text": "late again: order 返金してください"}
    module_database.chat_thread_messages.insert_one(
        {"_id": "tm-1", "chat_thread_id": "t-1", "sender_id": "ada", "sender_role": "user", "content": content,
         "created_at": at(25), "updated_at": at(25), "sequence": 1}
    )  # fmt: skip
    module_database.chat_messages.create_index([("created_at", -1), ("session_id", 1)], name="recent_idx")
    return module_chatstore


def found(chatstore: Chatstore, *arguments: str) -> list[str]:
    outcome = chatstore("search", *arguments, "-o", "jsonl")
    assert outcome.code == 0, outcome.err
    return [row["session_id"] for row in map(json.loads, outcome.out.splitlines())]


def test_newest_first_over_all_layouts(store: Chatstore) -> None:
    expected = ["w-new", "w-new", "f-1", "t-1", "w-other", "f-2", "w-old"]
    assert found(store, "late order") == expected
    outcome = store("search", "order late", "-o", "json", "--limit", "3")
    page = json.loads(outcome.out)
    assert [row["session_id"] for row in page["items"]] == expected[:3]
    assert [row["layout"] for row in page["items"]] == ["workflow", "workflow", "messages"]
    rest = store("search", "order late", "-o", "json", "--cursor", page["next_cursor"])
    assert [row["session_id"] for row in json.loads(rest.out)["items"]] == expected[3:]
    assert json.loads(rest.out)["next_cursor"] is None


def test_offsets_point_at_the_hits(store: Chatstore) -> None:
    row = json.loads(store("search", "late order", "--limit", "1", "--session", "w-new", "-o", "jsonl").out)
    assert row["snippet"][slice(*row["offsets"][0])] == "ORDER"
    assert row["snippet"][slice(*row["offsets"][1])] == "late"
    assert (row["tenant_id"], row["user_id"], row["role"], row["sequence"]) == ("acme", "ada", "user", 2)
    assert row["created_at"] == "2026-03-02T11:49:59Z"


def test_filters(store: Chatstore) -> None:
    assert found(store, "late", "--tenant", "acme") == ["w-new", "w-new", "t-1", "w-old"]
    assert found(store, "late", "--role", "assistant") == ["f-1"]
    assert found(store, "late", "--layout", "threads") == ["t-1"]
    assert found(store, "late", "--session", "f-2") == ["f-2"]
    assert found(store, "late", "--since", "2026-03-02T11:35Z", "--until", "2026-03-02T11:40Z") == ["t-1"]
    assert found(store, "Late", "--case") == []
    assert found(store, "cafe") == []
    assert found(store, "CAFÉ") == ["w-old"]
    assert found(store, "--substring", "返金") == ["t-1"]
    assert found(store, "--regex", r"too\s+late|l[a]te,") == ["w-new", "w-other"]
    for text in ("find_order", "Köln", "4711"):
        assert found(store, text) == ["w-call"]
    assert found(store, "--substring", "latelate") == []  # the data of a picture is not searched


def test_notices(store: Chatstore) -> None:
    outcome = store("search", "late", "--tenant", "acme")
    assert outcome.err == "The layout messages has no tenant, so its sessions are left out.\n"
    outcome = store("search", "返金")
    assert outcome.code == 0
    assert outcome.err.startswith("No messages found. Whole words are compared: to find parts of words")
    assert "use --substring" in outcome.err.splitlines()[1]
    outcome = store("search", "late", "--limit", "1")
    assert outcome.err.startswith("There are more rows. Use --cursor ")
    assert outcome.err.endswith(" for the next page or --all for all rows.\n")
    assert len(outcome.err.splitlines()) == 1


def test_all(store: Chatstore) -> None:
    every = found(store, "late order", "--limit", "1000")
    assert found(store, "late order", "--all") == every
    page = json.loads(store("search", "late order", "--limit", "3", "-o", "json").out)
    assert found(store, "late order", "--all", "--cursor", page["next_cursor"]) == every[3:]
    whole = json.loads(store("search", "late order", "--all", "-o", "json").out)
    assert (len(whole["items"]), whole["next_cursor"]) == (len(every), None)
    refused = store("search", "late", "--all", "--limit", "3")
    assert (refused.code, "--all cannot be combined with --limit." in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("",), "The text to search for is empty. Give a word"),
        (("?!",), "has no words to search for. Give at least one word"),
        (("a", "b"), 'The text has several words. Put it in quotes: chatstore search "a b"'),
        (("--regex", "a(b"), "character 2"),
        (("--regex", "--substring", "a"), "--regex and --substring cannot be combined"),
        (("a", "--cursor", "x"), "--cursor: 'x' is not a cursor"),
        (("x" * 1001,), "has 1,001 characters; the limit is 1,000"),
    ],
)
def test_wrong_use(store: Chatstore, arguments: tuple[str, ...], expected: str) -> None:
    outcome = store("search", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert expected in outcome.err


def test_a_session_that_does_not_exist(store: Chatstore) -> None:
    outcome = store("search", "late", "--session", "nope")
    assert (outcome.code, outcome.out) == (3, "")
    assert "No session 'nope'" in outcome.err
    assert store("search", "late", "--layout", "mail").code == 2


def test_hostile_text_is_safe_in_every_format(store: Chatstore) -> None:
    for output in ("table", "json", "jsonl", "csv", "yaml", "md"):
        outcome = store("search", "late", "--session", "f-2", "-o", output)
        assert outcome.code == 0, outcome.err
        assert not {"\x1b", "\u202e", "\x9b", "\x00"} & set(outcome.out), output
    shown, _ = on_a_terminal(store, "search", "late order", "--session", "f-2", "--color", "always")
    assert "\x1b[1;33mlate\x1b[0m \\x1b[2J\\u202e \x1b[1;33morder\x1b[0m \\x00\\x9b31m | =1+1 <b> \U0001f355" in shown


def test_a_terminal_has_the_text_below_its_row(store: Chatstore) -> None:
    shown, _ = on_a_terminal(store, "search", "only", width=60, env={"NO_COLOR": "1"})
    assert shown.splitlines()[1:] == ["2026-03-02 11:50:00  workflow  w-new     user", "    order >>only<<"]


PATCHED = """
import sys, time
import chatstore_cli.wiring.search as wiring
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.__main__ import main

wiring.SECONDS_PER_MESSAGE = 0.2
read_step = MessageSearch._read_step
def read_or_wait(search, *arguments):
    if sys.argv[2] == "late" and arguments[0].year < 9000:
        sys.stderr.write("waiting")
        sys.stderr.flush()
        while True:  # a signal just before a sleep does not end that sleep
            time.sleep(0.05)
    read_step(search, *arguments)
MessageSearch._read_step = read_or_wait
main()
"""
"""The command, which waits once every layout was asked, and stops slow patterns soon."""


def patched(chatstore: Chatstore, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PATCHED, "search", *arguments], cwd=chatstore.folder, env=chatstore.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("output", ["table", "json"])
def test_ctrl_c_keeps_what_was_found(chatstore: Chatstore, database: Database[dict[str, Any]], output: str) -> None:
    database.chat_messages.insert_many([flat("f-1", 5, "late"), flat("f-2", 50, "late")])
    database.chat_sessions.insert_many([workflow("w", 10, "late"), workflow("v", 20, "other")])
    process = patched(chatstore, "late", "-o", output)
    assert process.stderr is not None
    assert process.stderr.read(len("waiting")) == "waiting"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "f-1" in out
    assert "Interrupted." in err
    assert "To continue, add --cursor " in err or "To search again, run the same command." in err
    if output == "json":
        page = json.loads(out)
        rest = chatstore(
            "search", "late", "-o", "json", *(["--cursor", page["next_cursor"]] if page["next_cursor"] else [])
        )
        all_of_them = {row["session_id"] for row in [*page["items"], *json.loads(rest.out)["items"]]}
        assert all_of_them == {"f-1", "f-2", "w"}


def test_a_closed_pipe_ends_quietly(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database.chat_messages.insert_many([flat("f", number, "late " + "x " * 200) for number in range(2000)])
    process = chatstore.popen("search", "late", "--limit", "2000", "-o", "jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=300) == 0


def test_a_pattern_that_takes_for_ever_is_stopped(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database.chat_messages.insert_many([flat("f", 1, "a" * 5000 + "b"), flat("g", 0, "aac")])
    process = patched(chatstore, "--regex", "(a+)+c", "-o", "json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert [row["session_id"] for row in json.loads(out)["items"]] == ["g"]
    assert "takes too long on message f:1 of session 'f' in messages (5,001 characters)" in err


def test_huge_messages(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database.chat_messages.insert_many(
        [flat("f", 1, "x " * 5_000_000 + "needle"), flat("g", 2, "e\u0301" * 3_000_000 + " needle " + "y" * 1_000_000)]
    )
    rows = [json.loads(line) for line in chatstore("search", "needle", "-o", "jsonl").out.splitlines()]
    assert [row["offsets"] for row in rows] == [[[10_000_000, 10_000_006]], [[6_000_001, 6_000_007]]]
    assert all(len(row["snippet"]) <= 200 for row in rows)


def test_nothing_is_stored_yet(chatstore: Chatstore) -> None:
    outcome = chatstore("search", "late")
    assert (outcome.code, outcome.out) == (0, "")
    assert "Target: " in outcome.err
