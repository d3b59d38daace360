"""`chatstore resume` as a process: its output, its files and its exit statuses."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bson import json_util

from chatstore_cli.core.demo.sample_chats import RESUMED, sample_chats
from tests.conftest import Chatstore
from tests.support.mongod import poll
from tests.support.paths import SAMPLES

if TYPE_CHECKING:
    from pymongo.database import Database


@pytest.fixture
def chats(database: Database[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The demo's workflow sessions, and the contract suite's documents of every layout, in the database."""
    documents = [dict(document) for document in sample_chats(datetime(2026, 5, 1, tzinfo=UTC)).sessions]
    database["chat_sessions"].insert_many(documents)
    for layout in ("workflow", "messages", "threads", "general", "calls"):
        for collection, stored in json.loads((SAMPLES / f"{layout}.json").read_text())["collections"].items():
            database[collection].insert_many([json_util.loads(json.dumps(each)) for each in stored])
    return {str(document.get("chat_id") or document["_id"]): document for document in documents}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_it_prints_one_line_per_message_in_order_without_the_general_agent(chatstore: Chatstore, chats: Any) -> None:
    done = chatstore("resume", RESUMED)
    assert done.code == 0
    rows = lines(done.out)
    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)
    assert len(rows) == len(chats[RESUMED]["messages"]) - 2
    assert done.err == "Messages of the general agent that were left out (--include-general keeps them): 2\n"


def test_a_session_of_only_the_general_agent_says_why_nothing_is_printed(chatstore: Chatstore, database: Any) -> None:
    told = {"sender": "A", "role": "assistant", "content": "hi", "source": "general_agent", "sequence": 1}
    database["chat_sessions"].insert_one({"chat_id": "g", "messages": [told]})
    done = chatstore("resume", "g", "--as", "ag2")
    assert (done.code, json.loads(done.out)) == (0, [])
    assert done.err == (
        "Every selected message of session 'g' is the general agent's, so none was written: 1 left out. "
        "To keep them, add --include-general.\n"
    )


@pytest.mark.parametrize("transcript", ["jsonl", "ag2", "openai"])
def test_every_reader_of_lines_sees_one_line_per_message(chatstore: Chatstore, database: Any, transcript: str) -> None:
    content = "a\u2028b\u2029c\u0085d\n"
    messages = [{"sender": "A", "role": "assistant", "content": content, "sequence": number} for number in (1, 2)]
    database["chat_sessions"].insert_one({"chat_id": "g", "messages": messages})
    done = chatstore("resume", "g", "--as", transcript)
    rows = done.out.splitlines()  # str.splitlines ends a line at each of these characters
    assert len(rows) == (2 if transcript == "jsonl" else 4)
    read = lines(done.out) if transcript == "jsonl" else json.loads(done.out)
    assert [row["content"] for row in read] == [content, content]


def test_include_general_keeps_every_message(chatstore: Chatstore, chats: Any) -> None:
    done = chatstore("resume", RESUMED, "--include-general")
    assert len(lines(done.out)) == len(chats[RESUMED]["messages"])
    assert done.err == ""


@pytest.mark.parametrize("transcript", ["jsonl", "ag2", "openai"])
def test_messages_of_the_general_agent_keep_their_source(chatstore: Chatstore, database: Any, transcript: str) -> None:
    """JSON lines have the source as it is stored. The other formats have a place for the speaker only."""
    general = {"agent_name": "Guide", "role": "assistant", "metadata": {"source": "general_agent", "ui_context": {}}}
    messages = [
        {"sender": "Planner", "role": "assistant", "content": "Where to?", "sequence": 1},
        {**general, "content": "An app.", "sequence": 2},
        {**general, "content": "Hello.", "sequence": 3, "metadata": {}, "source": "general_agent"},
    ]
    database["chat_sessions"].insert_one({"chat_id": "mixed", "messages": messages})
    arguments = ["resume", "mixed", "--as", transcript]
    done = chatstore(*arguments, "--include-general")
    rows = lines(done.out) if transcript == "jsonl" else json.loads(done.out)
    assert [(row["name"], row["content"]) for row in rows] == [
        ("Planner", "Where to?"), ("Guide", "An app."), ("Guide", "Hello."),
    ]  # fmt: skip
    if transcript == "jsonl":
        assert [(row["source"], row["metadata"].get("source")) for row in rows] == [
            (None, None), (None, "general_agent"), ("general_agent", None),
        ]  # fmt: skip
    kept = chatstore(*arguments)
    assert "Where to?" in kept.out
    assert "An app." not in kept.out
    assert "Hello." not in kept.out


@pytest.mark.parametrize("last", [1, 4, 9, 15, 100])
def test_last_counts_the_remaining_messages_and_reports_those_left_out(
    chatstore: Chatstore, chats: Any, last: int
) -> None:
    every = lines(chatstore("resume", RESUMED, "--include-general").out)
    kept = lines(chatstore("resume", RESUMED).out)[-last:]
    done = chatstore("resume", RESUMED, "--last", str(last))
    assert lines(done.out) == kept
    left_out = len([row for row in every if row["sequence"] >= kept[0]["sequence"]]) - len(kept)
    assert done.err.endswith(f"left out (--include-general keeps them): {left_out}\n") if left_out else done.err == ""


def test_after_sequence_prints_later_messages(chatstore: Chatstore, chats: Any) -> None:
    rows = lines(chatstore("resume", RESUMED, "--after-sequence", "12").out)
    assert rows
    assert min(row["sequence"] for row in rows) > 12
    assert lines(chatstore("resume", RESUMED, "--after-sequence", "12", "--last", "2").out) == rows[-2:]
    assert chatstore("resume", RESUMED, "--after-sequence", "9999").out == ""


@pytest.mark.parametrize("transcript", ["ag2", "openai"])
def test_other_transcripts_are_one_array(chatstore: Chatstore, chats: Any, transcript: str) -> None:
    rows = json.loads(chatstore("resume", RESUMED, "--as", transcript).out)
    assert {"user", "assistant", "tool"} == {row["role"] for row in rows}


def test_repairs_are_counted_on_stderr(chatstore: Chatstore, chats: Any) -> None:
    done = chatstore("resume", RESUMED, "--as", "openai", "--last", "2")
    assert [row["role"] for row in json.loads(done.out)] == ["user", "assistant"]
    assert done.err == "Tool results without their call that became user messages: 1\n"
    assert chatstore("resume", RESUMED, "--as", "openai", "--last", "2", "--quiet").err == ""


def test_every_session_of_every_layout_can_be_resumed_in_every_format(chatstore: Chatstore, chats: Any) -> None:
    for session_id in ("chat-old-b001", "chat-odd", "flat-1"):
        for transcript in ("jsonl", "ag2", "openai"):
            done = chatstore("resume", session_id, "--as", transcript)
            assert done.code == 0, done.err


def test_an_unknown_session_is_status_3(chatstore: Chatstore, chats: Any) -> None:
    done = chatstore("resume", "nope")
    assert (done.code, done.out) == (3, "")
    assert "No session 'nope'" in done.err


@pytest.mark.parametrize(
    "hostile", ['{"$gt": ""}', "a.b", "../../etc/passwd", "🦉", b"\xff\xfe".decode("utf-8", "surrogateescape")]
)
def test_a_hostile_id_is_only_an_id_that_does_not_exist(chatstore: Chatstore, chats: Any, hostile: str) -> None:
    done = chatstore("resume", "--", hostile)
    assert done.code == 3
    assert done.err.startswith("chatstore: No session ")


def test_an_id_in_two_layouts_is_a_conflict_that_layout_decides(
    chatstore: Chatstore, database: Any, chats: Any
) -> None:
    row = {"session_id": RESUMED, "role": "user", "text": "flat", "created_at": "2026-03-01T00:00:00.000000+00:00"}
    database["chat_messages"].insert_one(row)
    done = chatstore("resume", RESUMED, "-o", "json")
    error = json.loads(done.err)["error"]
    assert (done.code, error["code"], done.out) == (8, 8, "")
    assert "workflow" in error["message"]
    assert "messages" in error["message"]
    assert "--layout" in error["hint"]
    assert [row["content"] for row in lines(chatstore("resume", RESUMED, "--layout", "messages").out)] == ["flat"]
    assert len(lines(chatstore("resume", RESUMED, "--layout", "workflow").out)) > 1


@pytest.mark.parametrize(
    "wrong",
    [("--as", "xml"), ("--last", "0"), ("--last", "-1"), ("--last", "x"), ("--after-sequence", "x"), ("--layout",)],
)  # fmt: skip
def test_wrong_use_is_status_2_before_any_connection(chatstore: Chatstore, wrong: tuple[str, ...]) -> None:
    done = chatstore("resume", "chat", *wrong, env={"CHATSTORE_URI": "mongodb://127.0.0.1:1/"})
    assert (done.code, done.out) == (2, "")


def test_an_unreachable_database_is_status_5(chatstore: Chatstore) -> None:
    done = chatstore(
        "resume", "x", env={"CHATSTORE_URI": "mongodb://127.0.0.1:1/", "CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5"}
    )
    assert done.code == 5


# --- into a file -----------------------------------------------------------------------------------------------------


def test_to_writes_a_private_file_and_only_a_summary_on_stderr(chatstore: Chatstore, chats: Any) -> None:
    printed = chatstore("resume", RESUMED, "--as", "ag2").out
    done = chatstore("resume", RESUMED, "--as", "ag2", "--to", "history.json", "--read-only")
    written = chatstore.folder / "history.json"
    assert (done.code, done.out) == (0, "")
    assert f"messages of session {RESUMED} (workflow) to history.json." in done.err
    assert written.read_text() == printed
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert [path.name for path in chatstore.folder.iterdir()] == ["history.json"]


def test_to_with_a_format_also_gives_a_record(chatstore: Chatstore, chats: Any) -> None:
    done = chatstore("resume", RESUMED, "--to", "h.jsonl", "-o", "json")
    messages = len(lines((chatstore.folder / "h.jsonl").read_text()))
    expected = {"session_id": RESUMED, "layout": "workflow", "messages": messages, "left_out": 2, "file": "h.jsonl"}
    assert json.loads(done.out) == expected


def test_an_existing_file_is_kept_unless_forced(chatstore: Chatstore, chats: Any) -> None:
    existing = chatstore.folder / "h.jsonl"
    existing.write_text("mine")
    done = chatstore("resume", RESUMED, "--to", "h.jsonl")
    assert done.code == 8
    assert "--force" in done.err
    assert existing.read_text() == "mine"
    assert chatstore("resume", RESUMED, "--to", "h.jsonl", "--force").code == 0
    assert lines(existing.read_text())


def test_an_unknown_session_keeps_the_old_file_and_creates_none(chatstore: Chatstore, chats: Any) -> None:
    (chatstore.folder / "old").write_text("mine")
    assert chatstore("resume", "nope", "--to", "old", "--force").code == 3
    assert chatstore("resume", "nope", "--to", "new").code == 3
    assert [(path.name, path.read_text()) for path in chatstore.folder.iterdir()] == [("old", "mine")]


def test_a_folder_that_is_missing_is_named(chatstore: Chatstore, chats: Any) -> None:
    done = chatstore("resume", RESUMED, "--to", "no/such/h.jsonl")
    assert done.code == 3
    assert "no/such" in done.err


def test_only_a_regular_file_is_replaced(chatstore: Chatstore, chats: Any) -> None:
    (chatstore.folder / "folder").mkdir()
    os.mkfifo(chatstore.folder / "pipe")
    for target, what in (("folder", "folder is a folder. Name a file."), ("pipe", "pipe is not a regular file")):
        for more in ([], ["--force"]):
            done = chatstore("resume", RESUMED, "--to", target, *more)
            assert done.code == 2
            assert what in done.err
            assert "--force" not in done.err
    assert stat.S_ISFIFO((chatstore.folder / "pipe").stat().st_mode)


def test_a_full_disk_is_reported_and_leaves_no_file(chatstore: Chatstore, database: Any) -> None:
    messages = [{"content": "x" * 1000, "sequence": number} for number in range(200)]
    database["chat_sessions"].insert_one({"chat_id": "long", "messages": messages})
    limited = ["bash", "-c", 'ulimit -f 64; exec "$@"', "sh", *chatstore.command("resume", "long", "--to", "h.jsonl")]
    # With SIGXFSZ ignored, a limit on file sizes fails a write in the same way as a full disk.
    done = subprocess.run(
        limited, cwd=chatstore.folder, env=chatstore.environment, capture_output=True, timeout=300,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert b"Cannot write h.jsonl: File too large" in done.stderr
    assert list(chatstore.folder.iterdir()) == []


# --- pipes and terminals ---------------------------------------------------------------------------------------------


@pytest.fixture
def long_session(database: Database[dict[str, Any]]) -> str:
    """A session far longer than the buffer of a pipe."""
    messages = [{"content": "x" * 500, "sequence": number} for number in range(20_000)]
    database["chat_sessions"].insert_one({"chat_id": "long", "messages": messages})
    return "long"


def test_a_closed_pipe_ends_quietly(chatstore: Chatstore, long_session: str) -> None:
    process = chatstore.popen("resume", long_session)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"{")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=300) == 0


def test_an_interrupt_is_status_130_and_leaves_no_file(chatstore: Chatstore, long_session: str) -> None:
    process = chatstore.popen("resume", long_session, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)  # the rest does not fit into the pipe: it waits
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(timeout=300) == 130
    assert list(chatstore.folder.iterdir()) == []


def test_control_sequences_in_stored_text_do_not_reach_a_terminal(chatstore: Chatstore, database: Any) -> None:
    content = "\x1b[2J \u202e \x9b31m \x7f é"
    database["chat_sessions"].insert_one({"chat_id": "evil", "messages": [{"content": content}]})
    ours, its = pty.openpty()
    process = chatstore.popen("resume", "evil", stdout=its)
    os.close(its)
    shown = b""

    def ended() -> bool:
        nonlocal shown
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            return True
        return False

    poll(ended, what="end of output")
    assert process.wait(timeout=300) == 0
    text = shown.decode()
    assert not set(text) & set("\x1b\u202e\x9b\x7f")
    assert "é" in text
    assert json.loads(text)["content"] == content
    piped = chatstore("resume", "evil").out
    assert json.loads(piped)["content"] == content
    assert "\u202e" in piped


def test_output_json_is_one_object_and_a_table_is_rejected(chatstore, database):
    database.chat_sessions.insert_one(
        {
            "chat_id": "c-1",
            "messages": [{"role": "user", "content": f"a\n{number}", "sequence": number} for number in (1, 2)],
        }
    )
    shown = chatstore("resume", "c-1", "-o", "json")
    assert shown.code == 0
    answer = json.loads(shown.out)
    assert [row["content"] for row in answer["items"]] == ["a\n1", "a\n2"]
    assert answer["next_cursor"] is None
    database.chat_sessions.insert_one({"chat_id": "empty", "messages": []})
    assert json.loads(chatstore("resume", "empty", "-o", "json").out) == {"items": [], "next_cursor": None}
    refused = chatstore("resume", "c-1", "-o", "csv")
    assert (refused.code, refused.out) == (2, "")
    assert "--as" in refused.err


@pytest.mark.parametrize(
    ("cut", "expected"), [((), 5), (("--last", "2"), 2), (("--last", "9"), 5), (("--after-sequence", "4"), 3)]
)
def test_for_ag2_last_and_after_sequence_count_the_messages_of_the_group(
    chatstore: Any, database: Any, cut: tuple[str, ...], expected: int
) -> None:
    """The newest turns, and those at the cut, belong to a nested chat."""
    turns = [("user", "boss"), ("Writer", "boss")] + [("Writer", "Expert"), ("Expert", "Writer")] * 3
    turns += [("Writer", "boss"), ("Critic", "boss"), ("user", "boss")]
    turns[4:6], turns[-1:] = [], [("user", "boss"), ("user", "Expert"), ("Expert", "user")]
    messages = [
        {"sender": name, "role": "assistant", "content": f"{number}", "sequence": number, "metadata": {"recipient": to}}
        for number, (name, to) in enumerate(turns, 1)
    ]
    database.chat_sessions.insert_one({"chat_id": "nested", "status": 0, "messages": messages})
    given = chatstore("resume", "nested", "--as", "ag2", *cut)
    assert given.code == 0
    whole = json.loads(chatstore("resume", "nested", "--as", "ag2").out)
    assert {row["name"] for row in whole} == {"user", "Writer", "Critic"}
    assert json.loads(given.out) == whole[len(whole) - expected :]
    assert "Messages of nested chats that were left out" in given.err
