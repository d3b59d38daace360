"""`chatstore threads ...` as a process on a real server: what a support person does with threads."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from chatstore_cli.cli.main import run
from chatstore_cli.mongo.collection_facts import KnownCollections
from chatstore_cli.mongo.connection import connect
from tests.cli.test_output_contract import modules_of
from tests.support.stored_threads import store_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection
    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any


def ask(chatstore: Chatstore, *arguments: str | Path, code: int = 0, stdin: str | bytes | None = None) -> Any:
    """The JSON that a command prints. Only commands that write name their target, first of all."""
    outcome = chatstore("threads", *arguments, "-o", "json", stdin=stdin)
    assert outcome.code == code, outcome.err
    result = json.loads(outcome.out)
    if arguments[0] in ("create", "add", "rename", "edit", "clear", "delete", "fork", "import"):
        assert outcome.err.startswith(f"Target: {result['target']}\n")
    else:
        assert "Target" not in outcome.err
        assert "target" not in result
    return result


def everything(database: Documents) -> list[Any]:
    """All stored threads and messages."""
    return [list(database[name].find().sort("_id", 1)) for name in ("chat_threads", "chat_thread_messages")]


def in_process(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> Any:
    """The JSON error of a command line that runs in this process, which takes a tenth of the time."""
    assert run(["threads", *arguments, "-o", "json"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    return json.loads(captured.err.splitlines()[-1])["error"]


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Connection]]:
    """One connection per URI for all commands in this process: a command leaves it to the end of its process."""
    opened: dict[str, Connection] = {}
    yield opened
    for connection in opened.values():
        connection.client.close()


@pytest.fixture(autouse=True)
def shared_clients(clients: dict[str, Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process use these connections, and know nothing about the collections of earlier ones."""

    def shared(uri: str, database: str, **options: Any) -> Connection:
        first = clients.get(uri) or clients.setdefault(uri, connect(uri, database, **options))
        own = first.client.get_database(database, write_concern=first.database.write_concern)
        return replace(first, database=own, known_collections=KnownCollections(), own_collections=set())

    monkeypatch.setattr("chatstore_cli.mongo.connection.connect", shared)


@pytest.fixture
def threads(database: Documents, mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Documents:
    """The sample threads. Commands in this process use them too."""
    store_threads(database)
    monkeypatch.setenv("CHATSTORE_URI", mongo_uri)
    monkeypatch.setenv("CHATSTORE_DATABASE", database.name)
    return database


def test_a_thread_from_its_creation_to_its_deletion(chatstore: Chatstore, database: Documents) -> None:
    created = chatstore("threads", "create", "$where \x1b[2J\n{}", "--user", "$gt", "-o", "json")
    target = created.err.strip().removeprefix("Target: ")
    thread = json.loads(created.out)
    thread_id = thread["thread_id"]
    assert database.name in target
    assert [thread[key] for key in ("title", "user_id", "tenant_id", "forked_from", "target")] == [
        "$where \x1b[2J\n{}", "$gt", "default_org", None, target,
    ]  # fmt: skip

    piped = ask(chatstore, "add", thread_id, "--role", "user", "--sender", "ana", stdin="caf\xe9\n\n")
    text = ("--role", "assistant", "--text", "ok", "--message-id", "m/2", "--metadata", '{"$set": {"a.b": 1}}')
    added = ask(chatstore, "add", thread_id, *text)
    assert [added, piped] == [ask(chatstore, "add", thread_id, *text), piped], "the same message_id is stored once"
    assert (piped["content"], piped["name"], piped["sequence"]) == ("caf\xe9\n", "ana", 1)
    assert (added["message_id"], added["metadata"], added["sequence"]) == ("m/2", {"$set": {"a.b": 1}}, 2)
    ask(chatstore, "add", thread_id, "--role", "tool", "--content", '{"type": "x", "n": 1.5}')

    edited = ask(chatstore, "edit", "m/2", "--text", "better")
    assert (edited["content"], edited["metadata"]) == ("better", {"$set": {"a.b": 1}})
    assert [edit["content"] for edit in edited["edits"]] == ["ok"]
    other = ask(
        chatstore,
        "edit",
        "m/2",
        "--content",
        '{"type": "text", "text": "better", "metadata": {}}',
        "--metadata",
        '{"n": 1}',
    )
    assert (other["content"], other["metadata"], len(other["edits"])) == ("better", {"n": 1}, 2)
    exact = ask(chatstore, "edit", "m/2", "--metadata", '{"n": true}')
    assert (exact["metadata"]["n"] is True, len(exact["edits"])) == (True, 3)
    assert ask(chatstore, "rename", thread_id, "Renamed")["title"] == "Renamed"

    fork = ask(chatstore, "fork", thread_id, "--at", "2")
    assert fork["forked_from"] == {"thread_id": thread_id, "sequence": 2}
    rows = chatstore("threads", "messages", fork["thread_id"], "--user", "$gt", "-o", "jsonl").out.splitlines()
    assert [json.loads(row)["content"] for row in rows] == ["caf\xe9\n", "better"]
    assert [row["message_count"] for row in ask(chatstore, "list", "--user", "$gt")["items"]] == [2, 3]

    cleared = chatstore("threads", "clear", thread_id)
    assert (cleared.code, "3 messages of thread" in cleared.err, "--yes" in cleared.err) == (2, True, True)
    [row] = ask(chatstore, "clear", thread_id, "--yes")["items"]
    assert (row["messages_deleted"], row["deleted"]) == (3, False)
    deleted = ask(chatstore, "delete", thread_id, fork["thread_id"], "--yes")
    assert [(row["messages_deleted"], row["deleted"]) for row in deleted["items"]] == [(0, True), (2, True)]
    assert everything(database) == [[], []]


def test_a_list_is_filtered_and_paged(chatstore: Chatstore, threads: Documents) -> None:
    """New threads do not shift the pages, and the cursor is that of `sessions list`."""
    first = ask(chatstore, "list", "--tenant", "acme", "--limit", "1", "--since", "2026-03-01")
    second = ask(chatstore, "list", "--tenant", "acme", "--cursor", first["next_cursor"])
    assert [row["thread_id"] for row in first["items"] + second["items"]] == ["t-ferry", "t-fork", "$where"]
    assert ask(chatstore, "list", "--until", "2026-03-02T11:48:00Z")["items"][0]["thread_id"] == "$where"
    injected = chatstore("threads", "list", "--user", '{"$gt": ""}')
    assert (injected.code, injected.out) == (3, "")
    assert """No user '{"$gt": ""}' in """ in injected.err


def test_messages_can_be_selected(chatstore: Chatstore, threads: Documents) -> None:
    def sequences(*options: str) -> list[int]:
        return [row["sequence"] for row in ask(chatstore, "messages", "t-ferry", *options)["items"]]

    assert sequences("--last", "2") == [4, 9]
    assert sequences("--after", "3") == [4, 9]
    assert sequences("--after", "1", "--last", "3") == [3, 4, 9]
    empty = chatstore("threads", "messages", "t-empty")
    assert (empty.code, empty.out, "The thread has no messages. " in empty.err) == (0, "", True)
    assert "no messages after sequence 9" in chatstore("threads", "messages", "t-ferry", "--after", "9").err


OF_A_THREAD = [
    ("show", "{}"),
    ("add", "{}", "--role", "user", "--text", "x"),
    ("messages", "{}"),
    ("rename", "{}", "x"),
    ("clear", "{}", "--yes"),
    ("delete", "{}", "--yes"),
    ("fork", "{}"),
    ("fork", "{}", "--at", "$where-m1"),
    ("export", "{}"),
    ("add", "{}", "--jsonl", "lines.jsonl"),
]


def test_a_thread_of_somebody_else_is_exactly_a_missing_one(
    threads: Documents, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.jsonl").write_text('{"role": "user", "content": "x"}\n')
    before = everything(threads)
    missing = "a/../b\n\x1b[31m\udce9"
    for words in OF_A_THREAD:
        for thread_id, owner in [
            ("$where", ("--user", "ana")),
            ("$where", ("--tenant", "globex")),
            ("$where", ("--user", "tomasz", "--tenant", "")),
            (missing, ()),
        ]:
            error = in_process(capsys, 3, *(word.format(thread_id) for word in words), *owner)
            assert error["message"] == f"Thread {thread_id} does not exist", words
    assert everything(threads) == before


def test_a_message_of_somebody_else_cannot_be_edited(threads: Documents, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(threads)
    for owner in (("--user", "ana"), ("--tenant", "globex")):
        error = in_process(capsys, 3, "edit", "$where-m1", "--text", "x", *owner)
        assert error["message"] == "No message '$where-m1'."
        assert "chatstore threads messages prints the ids" in error["hint"]
    for at in ("$where-m1", "0", "5", "-1", "99999999999999999999"):
        other = in_process(capsys, 3, "fork", "t-ferry", "--at", at)
        assert other["message"] == f"Message {at} is not in thread t-ferry."
        assert other["hint"] == "To list its messages, run: chatstore threads messages t-ferry."
    assert everything(threads) == before


WRONG_USE = [
    (("create", ""), "NAME: it is empty"),
    (("create", "x", "--user", ""), "--user: it is empty"),
    (("create", "x" * 10_001), "10,001 characters"),
    (("add", "t-ferry", "--role", "wizard", "--text", "x"), "--role: 'wizard' is not assistant"),
    (("add", "t-ferry", "--text", "x"), "--role is missing"),
    (("add", "t-ferry", "--role", "user", "--text", "x", "--file", "y"), "--text and --file exclude"),
    (("add", "t-ferry", "--role", "user", "--jsonl", "x"), "--jsonl and --role exclude"),
    (("add", "t-ferry", "--role", "user", "--content", "[]"), "--content is not a JSON object"),
    (("add", "t-ferry", "--role", "user", "--content", '{"a": NaN}'), "NaN is not a JSON number"),
    (("add", "t-ferry", "--role", "user", "--content", '{"a": ["\\ud800"]}'), "content.a[0]"),
    (("add", "t-ferry", "--role", "user", "--text", "x", "--message-id", ""), "--message-id: it is empty"),
    (("add", "t-ferry", "--role", "user", "--text", "x", "--metadata", "1"), "--metadata is not a JSON object"),
    (("edit", "t-ferry-m1", "--content", "{"), "--content is not JSON"),
    (("edit", "t-ferry-m1"), "An editor needs a terminal"),
    (("delete", "t-ferry"), "Thread 't-ferry' ('Trip to Lisbon', user 'ana', tenant 'acme') with 5 messages"),
    (("delete", "t-ferry", "t-fork"), "with 2 messages would be deleted"),
    (("clear", "t-ferry"), "5 messages of thread 't-ferry'"),
    (("list", "--limit", "0"), "--limit"),
    (("messages", "t-ferry", "--last", "0"), "--last"),
    (("export", "t-ferry", "-o", "csv"), "An export is JSON"),
]


def test_wrong_use_stores_and_deletes_nothing(threads: Documents, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(threads)
    for words, error in WRONG_USE:
        assert run(["threads", *words, *(() if "-o" in words else ("-o", "json"))]) == 2, words
        captured = capsys.readouterr()
        assert captured.out == ""
        assert error in captured.err.replace("\\\\", "\\").replace('\\"', '"'), words
    assert everything(threads) == before


WRITES = [
    ("create", "x"),
    ("add", "t-ferry", "--role", "user", "--text", "x"),
    ("add", "t-ferry", "--jsonl", "x"),
    ("rename", "t-ferry", "x"),
    ("edit", "t-ferry-m1", "--text", "x"),
    ("clear", "t-ferry", "--yes"),
    ("delete", "t-ferry", "--yes"),
    ("fork", "t-ferry"),
    ("import", "x"),
]


def test_read_only_rejects_every_write(threads: Documents, capsys: pytest.CaptureFixture[str]) -> None:
    before = everything(threads)
    for words in WRITES:
        assert "--read-only" in in_process(capsys, 4, *words, "--read-only")["message"]
    assert everything(threads) == before


def test_an_unreachable_server_is_status_5(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("messages", "t"), ("add", "t", "--role", "user", "--text", "x")):
        error = in_process(capsys, 5, *words, "--uri", "mongodb://ada:s3cret@127.0.0.1:9", "--timeout", "0.05")
        assert "s3cret" not in json.dumps(error)


def test_an_id_of_another_type_is_listed_and_the_error_says_how_to_read_it(
    threads: Documents, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "6650a0a0a0a0a0a0a0a0a0a0"
    threads["chat_threads"].insert_one({"_id": ObjectId(name), "user_id": "ana", "org_id": "acme", "name": "n"})
    assert "sessions show" in in_process(capsys, 3, "show", name)["hint"]
    assert "sessions" not in in_process(capsys, 3, "show", name, "--user", "bo")["hint"]


def test_a_message_id_with_other_content_is_a_conflict(threads: Documents, capsys: pytest.CaptureFixture[str]) -> None:
    in_process(capsys, 8, "add", "t-ferry", "--role", "user", "--text", "x", "--message-id", "t-ferry-m1")


# --- export and import -----------------------------------------------------------------------------------------------


def test_an_export_is_imported_without_loss(chatstore: Chatstore, threads: Documents, tmp_path: Path) -> None:
    before = everything(threads)
    file = tmp_path / "thread.json"
    done = chatstore("threads", "export", "t-ferry", "--to", file, "-o", "json")
    assert json.loads(done.out) == {"thread_id": "t-ferry", "messages": 5, "file": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert chatstore("threads", "export", "t-ferry").out == file.read_text()
    assert chatstore("threads", "export", "t-ferry", "--to", file).code == 8

    again = chatstore("threads", "import", file)
    assert (again.code, "exists already" in again.err, "--as-copy" in again.err) == (8, True, True)
    assert again.err.startswith("Target: ")
    assert everything(threads) == before
    copy = ask(chatstore, "import", file, "--as-copy", "--user", "bo")
    assert (copy["user_id"], copy["tenant_id"], copy["messages"], copy["title"]) == ("bo", "acme", 5, "Trip to Lisbon")
    assert len(threads["chat_thread_messages"].distinct("_id")) == 13

    ask(chatstore, "delete", "t-ferry", copy["thread_id"], "--yes")
    ask(chatstore, "import", "-", stdin=file.read_bytes())
    threads["chat_thread_messages"].update_many({}, {"$unset": {"copied_at": ""}})  # the only trace of an import
    assert everything(threads) == before


DAMAGED = [
    (b"", "is empty"),
    (b"\xff\xfe{\x00}\x00", "line 1, column 1: the byte 0xff is not UTF-8"),
    (b"not JSON", "line 1, column 1: a JSON object is expected, not 'n'"),
    (b'{"id": "t",\n "chat_messages": [{"id": "m"', "line 2, column 30: the text ends too early"),
    (b'{"id": "t",\n "chat_messages": [{"id": "m"}]}', "line 2, message 1: chat_thread_id, sender_role"),
]


def test_a_damaged_file_stores_nothing(threads: Documents, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = everything(threads)
    file = tmp_path / "t.json"
    for content, error in DAMAGED:
        file.write_bytes(content)
        assert error in in_process(capsys, 2, "import", str(file))["message"]
    assert in_process(capsys, 3, "import", str(tmp_path / "gone"))["message"] == f"No file '{tmp_path / 'gone'}'."
    assert everything(threads) == before


# --- interruptions ---------------------------------------------------------------------------------------------------


def _interrupted(monkeypatch: pytest.MonkeyPatch, method: str, after: int) -> None:
    """Ctrl-C arrives when a method of the store has taken or returned so many messages."""
    from chatstore_cli.mongo.threads.store import MongoThreadStore

    original = getattr(MongoThreadStore, method)

    def counted(messages: Any) -> Any:
        for number, message in enumerate(messages):
            if number == after:
                raise KeyboardInterrupt
            yield message

    if method == "messages":
        monkeypatch.setattr(MongoThreadStore, method, lambda *arguments: counted(original(*arguments)))
    else:
        monkeypatch.setattr(
            MongoThreadStore, method, lambda self, thread, messages: original(self, thread, counted(messages))
        )


def test_ctrl_c_in_the_middle_of_messages_leaves_whole_lines(
    threads: Documents, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupted(monkeypatch, "messages", 3)
    assert run(["threads", "messages", "t-ferry", "-o", "jsonl"]) == 130
    captured = capsys.readouterr()
    assert [json.loads(line)["sequence"] for line in captured.out.splitlines()] == [1, 2, 3]
    assert captured.err.splitlines()[-1] == "Interrupted."  # on a busy machine a notice about the server may precede


def test_an_interrupted_import_is_not_visible_and_is_completed_by_the_next(
    chatstore: Chatstore,
    threads: Documents,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = str(tmp_path / "t.json")
    assert run(["threads", "export", "t-ferry", "--to", file]) == 0
    ask(chatstore, "delete", "t-ferry", "--yes")
    with monkeypatch.context() as patched:
        _interrupted(patched, "insert_whole_thread", 3)
        assert run(["threads", "import", file]) == 130
    assert "run the command again" in capsys.readouterr().err
    assert in_process(capsys, 3, "show", "t-ferry")["kind"] == "not_found"
    assert ask(chatstore, "import", file)["messages"] == 5
    assert len(ask(chatstore, "messages", "t-ferry")["items"]) == 5


# --- the editor, and what is imported --------------------------------------------------------------------------------


def test_a_message_is_edited_in_the_editor(
    threads: Documents, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A text is edited as it is, and another content as JSON. An edit that cannot be stored is kept."""
    monkeypatch.setattr("chatstore_cli.cli.commands.threads.edit.require_terminal", lambda *_, **__: None)
    editor = tmp_path / "editor"
    monkeypatch.setenv("EDITOR", str(editor))

    def edit(message_id: str, script: str, code: int = 0) -> tuple[Any, str]:
        editor.write_text(f"#!/bin/sh\n{script}\n")
        editor.chmod(0o700)
        assert run(["threads", "edit", message_id, "-o", "json"]) == code
        captured = capsys.readouterr()
        return json.loads(captured.out or "null"), captured.err

    edited, _ = edit("t-ferry-m2", 'sed -i s/07:40/08:15/ "$1"')
    assert (edited["content"], edited["metadata"]) == ("The ferry at 08:15.", {"tokens": 7})
    assert [each["content"] for each in edited["edits"]] == ["The ferry at 8.", "The ferry at 07:40."]
    picture, _ = edit("t-ferry-m9", 'sed -i s/ferry/bus/ "$1"')
    assert (picture["content"]["image_url"]["url"], picture["metadata"]) == (
        "https://example.com/bus.png", {"width": 640},
    )  # fmt: skip
    before = everything(threads)
    assert "The message was not changed." in edit("t-ferry-m2", "true")[1]
    _, error = edit("t-ferry-m9", 'echo "{" > "$1"', code=2)
    kept = Path(error.partition("The edited text is kept in ")[2].partition(".json")[0] + ".json")
    assert kept.read_text() == "{\n"
    kept.unlink()
    edit("t-ferry-m2", "exit 3", code=1)
    editor.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n")
    in_process(capsys, 3, "edit", "$where-m1", "--user", "ana")
    assert not (tmp_path / "opened").exists(), "nobody sees the text of another user"
    assert everything(threads) == before


@pytest.mark.parametrize("name", ["add", "import"])
def test_help_imports_no_models_and_no_driver(chatstore_without_database: Chatstore, name: str) -> None:
    modules = modules_of(chatstore_without_database, "threads", name, "--help")
    assert not modules & {"pydantic", "pymongo", "orjson", "rich", "chatstore_cli.wiring.stores"}


def test_a_list_imports_no_models(chatstore: Chatstore, threads: Documents) -> None:
    assert "pydantic" not in modules_of(chatstore, "threads", "list")
