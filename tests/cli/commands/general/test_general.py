"""`chatstore general ...` as a process on a real server: what a support person does with general chats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.cli.main import run
from tests.cli.test_output_contract import modules_of
from tests.support.stored_general_chats import CHAT, message, store

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any

ANA = ("--tenant", "acme", "--user", "ana")
TEXT = ("--role", "user", "--text", "x")
HOSTILE = "$where\x1b[2J\u202e\n=1+1"


def ask(chatstore: Chatstore, *arguments: str, code: int = 0, stdin: str | bytes | None = None) -> Any:
    """The JSON that a command prints, or its JSON error. Only commands that write name their target, first of all."""
    outcome = chatstore("general", *arguments, "-o", "json", stdin=stdin)
    assert outcome.code == code, outcome.err
    if code:
        assert outcome.out == ""
        return json.loads(outcome.err.splitlines()[-1])["error"]
    result = json.loads(outcome.out)
    if arguments[0] in ("start", "append"):
        assert outcome.err.startswith(f"Target: {result['target']}\n")
    else:
        assert "Target" not in outcome.err
    return result


def everything(database: Documents) -> dict[str, list[Any]]:
    """All stored documents."""
    return {name: list(database[name].find().sort("_id", 1)) for name in sorted(database.list_collection_names())}


def test_a_chat_from_its_start_to_its_transcript(chatstore: Chatstore, database: Documents) -> None:
    started = ask(chatstore, "start", *ANA)
    assert [started[name] for name in ("session_id", "label", "number", "tenant_id", "user_id")] == [
        CHAT, "General Chat #1", 1, "acme", "ana",
    ]  # fmt: skip
    assert list(started)[-1] == "target"
    assert database.name in started["target"]
    assert ask(chatstore, "start", *ANA)["number"] == 2

    asked = ask(chatstore, "append", CHAT, "--tenant", "acme", "--role", "user", stdin=f"caf\xe9 {HOSTILE}\n\n")
    assert (asked["content"], asked["name"], asked["sequence"]) == (f"caf\xe9 {HOSTILE}\n", "user", 1)
    words = ("--tenant", "acme", "--user", "ana", "--role", "assistant", "--text", "ok", "--message-id", "m/2")
    given = '{"agent_name": "helper", "$set": {"a.b": 1}, "ui_context": {"page": 3}}'
    answered = ask(chatstore, "append", CHAT, *words, "--metadata", given)
    assert answered == ask(chatstore, "append", CHAT, *words, "--metadata", given), "the same id is stored once"
    other = ask(chatstore, "append", CHAT, *words[:6], "--text", "other", "--message-id", "m/2", code=8)
    assert (
        other["message"]
        == f"Message 'm/2' of session {CHAT!r} is already stored with another role or text. Nothing was stored."
    )
    assert (answered["message_id"], answered["name"], answered["sequence"]) == ("m/2", "helper", 2)
    assert (answered["metadata"]["source"], answered["metadata"]["ui_context"]) == ("general_agent", {"page": 3})
    assert answered["metadata"]["$set"] == {"a.b": 1}

    rows = chatstore("general", "transcript", CHAT, "-o", "jsonl").out.splitlines()
    assert [json.loads(row)["content"] for row in rows] == [f"caf\xe9 {HOSTILE}\n", "ok"]
    table = chatstore("general", "transcript", CHAT)
    assert "\x1b" not in table.out
    assert "\u202e" not in table.out
    shown = ask(chatstore, "show", CHAT, "--last", "1", "--first", "0")
    assert [shown[name] for name in ("label", "number", "last_sequence", "message_count", "status")] == [
        "General Chat #1", 1, 2, 2, "running",
    ]  # fmt: skip
    assert [row["message_id"] for row in shown["last_messages"]] == ["m/2"]
    listed = ask(chatstore, "list", *ANA)
    assert list(listed) == ["items", "next_cursor"]
    assert [(row["number"], row["last_sequence"]) for row in listed["items"]] == [(2, 0), (1, 2)]
    assert [row["number"] for row in ask(chatstore, "list", *ANA, "--limit", "1")["items"]] == [2]
    assert "There are more rows. Use a higher --limit." in chatstore("general", "list", *ANA, "--limit", "1").err
    assert len(database.GeneralChatSessions.find_one({"_id": CHAT})["messages"]) == 2

    assert chatstore("sessions", "delete", CHAT, "--layout", "general", "--yes").code == 0
    assert ask(chatstore, "append", CHAT, *words[:2], *TEXT, code=8)["kind"] == "conflict"
    assert ask(chatstore, "show", CHAT, code=3)["kind"] == "not_found"
    assert ask(chatstore, "start", *ANA)["number"] == 3


def test_two_tenants_never_share_a_chat(chatstore: Chatstore, database: Documents) -> None:
    pairs = [("a-b", "c"), ("a", "b-c"), ("a", "b%2Dc"), (HOSTILE, "$gt")]
    started = [ask(chatstore, "start", "--tenant", tenant, "--user", user) for tenant, user in pairs]
    assert len({chat["session_id"] for chat in started}) == len(pairs)
    assert [chat["number"] for chat in started] == [1] * len(pairs)
    for chat, (tenant, user) in zip(started, pairs, strict=True):
        rows = ask(chatstore, "list", "--tenant", tenant, "--user", user)["items"]
        assert [row["session_id"] for row in rows] == [chat["session_id"]]
        assert ask(chatstore, "show", chat["session_id"], "--tenant", tenant)["user_id"] == user


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_paging_from_0_gives_every_message_once(chatstore: Chatstore, database: Documents, limit: int) -> None:
    """Sequence numbers have gaps, are stored out of order and twice, and two messages have none."""
    sequences = [1, 2, 4, 3, 7, 7, 9]
    stored = [message(sequence, event_id=f"e{place}") for place, sequence in enumerate(sequences)]
    without = message(0, event_id="none")
    del without["sequence"]
    leading = {**without, "event_id": "leading"}
    store(database, [leading, *stored[:5], without, *stored[5:]])
    pages, after = [], 0
    while True:
        page = ask(chatstore, "transcript", CHAT, "--after-sequence", str(after), "--limit", str(limit))
        pages.append([row["message_id"] for row in page["items"]])
        if page["next_after_sequence"] is None:
            break
        assert page["next_after_sequence"] > after
        after = page["next_after_sequence"]
    flat = [each for page in pages for each in page]
    everyone = [row["message_id"] for row in ask(chatstore, "transcript", CHAT)["items"]]
    assert flat == everyone
    assert sorted(flat) == sorted(["leading", "none", *(f"e{place}" for place in range(len(sequences)))])


def test_messages_can_be_selected(chatstore: Chatstore, database: Documents) -> None:
    store(database, [message(sequence) for sequence in range(1, 6)])

    def sequences(*options: str) -> list[int]:
        return [row["sequence"] for row in ask(chatstore, "transcript", CHAT, *options)["items"]]

    assert sequences() == [1, 2, 3, 4, 5]
    assert sequences("--limit", "2") == [4, 5]
    assert sequences("--after-sequence", "3") == [4, 5]
    assert sequences("--after-sequence", "0", "--limit", "2") == [1, 2]
    page = chatstore("general", "transcript", CHAT, "--after-sequence", "0", "--limit", "2")
    assert page.err.splitlines()[-1] == "There are more rows. Use --after-sequence 2 for the next page."
    assert "no messages after sequence 5" in chatstore("general", "transcript", CHAT, "--after-sequence", "5").err
    assert ask(chatstore, "show", CHAT)["usage"]["cost"] is None, "a cost of 0 beside tokens is unknown"


def test_a_chat_without_messages_and_a_user_without_chats(chatstore: Chatstore, database: Documents) -> None:
    store(database, [])
    empty = chatstore("general", "transcript", CHAT)
    assert (empty.code, "The general chat has no messages. " in empty.err) == (0, True)
    as_json = chatstore("general", "transcript", CHAT, "-o", "json")
    assert json.loads(as_json.out) == {"items": [], "next_cursor": None}
    nobody = chatstore("general", "list", "--tenant", "acme", "--user", "nobody", "-o", "jsonl")
    assert (nobody.code, nobody.out, "No user 'nobody' in " in nobody.err) == (3, "", True)
    database["chat_sessions"].insert_one({"chat_id": "w", "user_id": "bob", "messages": [{"content": "hi"}]})
    bob = chatstore("general", "list", "--tenant", "acme", "--user", "bob", "-o", "jsonl")
    assert (bob.code, bob.out, "has no general chats" in bob.err) == (0, "", True)


def test_a_chat_of_somebody_else_is_exactly_a_missing_one(chatstore: Chatstore, database: Documents) -> None:
    store(database, [message(1)])
    before = everything(database)
    text = ("--role", "user", "--text", "x")
    for words in [
        ("show", CHAT, "--tenant", "globex"),
        ("transcript", CHAT, "--tenant", "globex"),
        ("append", CHAT, "--tenant", "globex", *text),
        ("append", CHAT, "--tenant", "acme", "--user", "tomasz", *text),
    ]:
        other = ask(chatstore, *words, code=3)
        missing = ask(chatstore, words[0], f"{CHAT}9", *words[2:], code=3)
        assert other["message"].replace(CHAT, "ID") == missing["message"].replace(f"{CHAT}9", "ID"), words
        assert other["hint"] == missing["hint"]
        assert "chatstore sessions list --layout general" in other["hint"]
    for words in [("show", ""), ("show", HOSTILE), ("transcript", '{"$gt": ""}'), ("show", "\udcff")]:
        assert ask(chatstore, *words, code=3)["kind"] == "not_found"
    assert everything(database) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("start", "--tenant", "", "--user", "ana"), "--tenant is empty."),
        (("start", "--tenant", "acme", "--user", "x" * 501), "--user has 501 bytes"),
        (("start", "--tenant", "acme", "--user", "\udcff"), "--user has a lone surrogate"),
        (("start", "--tenant", "acme"), "Missing option '--user'."),
        (("list", "--tenant", "acme", "--user", ""), "--user is empty"),
        (("list", *ANA, "--limit", "201"), "201 is not in the range 1 to 200."),
        (("append", CHAT, "--tenant", "acme", "--role", "system", "--text", "x"), "is not user or assistant"),
        (("append", CHAT, "--tenant", "acme", *TEXT, "--file", "y"), "exclude"),
        (("append", CHAT, "--tenant", "", *TEXT), "--tenant is empty"),
        (("append", "", *ANA, *TEXT), "SESSION_ID is empty"),
        (("append", CHAT, *ANA, *TEXT, "--metadata", "[]"), "--metadata is not a JSON"),
        (("append", CHAT, *ANA, *TEXT, "--message-id", ""), "--message-id is empty"),
        (("transcript", CHAT, "--after-sequence", "-1"), "-1 is not at least 0."),
        (("transcript", CHAT, "--limit", "2001"), "2001 is not in the range 1 to 2000."),
    ],
)
def test_wrong_use_exits_with_2_and_names_the_option(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands run in this process, on an empty database in memory."""
    assert run(["general", *words, "-o", "json", "--uri", "mongomock://"]) == 2
    assert expected in json.loads(capsys.readouterr().err.splitlines()[-1])["error"]["message"]


def test_a_text_from_stdin_must_be_text(chatstore: Chatstore, database: Documents) -> None:
    for given, expected in (("", "stdin is empty."), (b"\xff", "stdin is not UTF-8")):
        words = ("append", CHAT, "--tenant", "acme", "--role", "user")
        assert expected in ask(chatstore, *words, code=2, stdin=given)["message"]
    assert everything(database) == {}


def test_read_only_rejects_writes(chatstore: Chatstore, database: Documents) -> None:
    store(database, [message(1)])
    before = everything(database)
    text = ("--role", "user", "--text", "x")
    for words in (("start", *ANA), ("append", CHAT, "--tenant", "acme", *text)):
        assert ask(chatstore, *words, "--read-only", code=4)["kind"] == "not_allowed"
    assert everything(database) == before
    assert chatstore("general", "list", *ANA, "--read-only").code == 0


def test_values_of_wrong_types_are_shown_and_stop_nothing(chatstore: Chatstore, database: Documents) -> None:
    wrong = message(2, content={"a": [1]}, timestamp=True, agent_name=5, metadata="x", event_id=7)
    store(database, [message(1), wrong], general_label=None, status="odd", created_at="yesterday", user_id="ana")
    rows = ask(chatstore, "transcript", CHAT)["items"]
    assert [row["content"] for row in rows] == ["text 1", {"a": [1]}]
    assert ask(chatstore, "show", CHAT)["status"] == "unknown"
    assert chatstore("general", "list", *ANA).code == 0


def test_without_the_layout_an_error_names_the_setting(chatstore: Chatstore) -> None:
    settings = {"CHATSTORE_LAYOUTS__WORKFLOW__SESSIONS": "GeneralChatSessions"}
    for words in (("list", *ANA), ("start", *ANA), ("show", CHAT), ("transcript", CHAT)):
        outcome = chatstore("general", *words, env=settings)
        assert (outcome.code, "layouts.general.sessions" in outcome.err) == (2, True), outcome.err


def test_a_reader_that_closes_the_pipe_ends_the_command_quietly(chatstore: Chatstore, database: Documents) -> None:
    store(database, [message(sequence, content="x" * 2_000) for sequence in range(1, 400)])
    process = chatstore.popen("general", "transcript", CHAT, "-o", "jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=300) == 0


def test_lists_import_no_more_than_other_lists(chatstore: Chatstore, database: Documents) -> None:
    store(database, [])
    modules = modules_of(chatstore, "general", "list", *ANA)
    assert {"pydantic", "rich", "chatstore_cli.library", "chatstore_cli.cli.commands.general.append"} & modules == set()
