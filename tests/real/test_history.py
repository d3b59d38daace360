"""`chatstore history` as a process, with a real MongoDB and real journals."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli import LocalChatCache, MongoChatStorage, chat_history
from chatstore_cli.core.sessions.history import history_of
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.files.journal_tail import read_tail
from chatstore_cli.files.session_names import journal_path
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages.history import MongoHistory
from chatstore_cli.render.output_format import ROW_FORMATS, OutputFormat
from tests.conftest import Chatstore, Outcome
from tests.support.journals import COLLECTION, START, as_line, as_lines, flush, instant, record, write_journal
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
JOURNALS = Path("data/cache/chat_sessions")
Store = Callable[[], None]


@dataclass
class Result:
    """The output of `history -o json`."""

    outcome: Outcome
    object: dict[str, Any]

    @property
    def texts(self) -> list[str]:
        return [item["content"] for item in self.object["items"]]

    @property
    def kinds(self) -> list[tuple[str, bool | None]]:
        return [(item["source"], item["persisted"]) for item in self.object["items"]]


def history(chatstore: Chatstore, session: str = "s1", *more: str, code: int = 0, env: Any = None) -> Result:
    outcome = chatstore("history", "-o", "json", *more, "--", session, env=env)
    assert outcome.code == code, outcome.err
    return Result(outcome, json.loads(outcome.out))


def journal(chatstore: Chatstore, lines: Sequence[dict[str, Any]], session: str = "s1") -> Path:
    return write_journal(journal_path(chatstore.folder / JOURNALS, session), lines)


@pytest.fixture
def store(chatstore: Chatstore, connection: Connection) -> Store:
    """Flush the journals."""
    return lambda: _flushed(connection, chatstore.folder / JOURNALS)


def _flushed(connection: Connection, folder: Path) -> None:
    assert flush(connection, folder).quarantined == 0


def history_in_process(chatstore: Chatstore, connection: Connection, limit: int) -> dict[str, Any]:
    """The same object without a process."""
    journals = read_tail(chatstore.folder / JOURNALS, "s1", limit).journals
    return history_of(journals, lambda: MongoHistory(connection, COLLECTION), "s1", limit).to_dict()


def messages(numbers: range) -> list[str]:
    return [f"message {number}" for number in numbers]


def shown_time(number: int) -> str:
    return instant(number).replace("+00:00", "Z")


# --- where the messages are ------------------------------------------------------------------------------------------


def test_a_session_that_only_the_journal_has(chatstore: Chatstore):
    journal(chatstore, [record(n) for n in range(60)])
    result = history(chatstore)
    assert result.texts == messages(range(10, 60))
    assert [item["sequence"] for item in result.object["items"]] == list(range(11, 61))
    assert set(result.kinds) == {("cache", False)}
    assert result.object["counts"] == {"cache": 50, "mongo": 0}
    assert (result.object["last_persisted_at"], result.object["not_persisted"]) == (None, 50)


def test_a_session_that_only_mongodb_has(chatstore: Chatstore, store: Store):
    path = journal(chatstore, [record(n) for n in range(60)])
    store()
    before = history(chatstore)
    path.unlink()
    result = history(chatstore)
    assert result.texts == messages(range(10, 60))
    assert set(result.kinds) == {("mongo", True)}
    assert result.object["counts"] == {"cache": 0, "mongo": 50}
    assert (result.object["last_persisted_at"], result.object["not_persisted"]) == (shown_time(59), 0)
    assert [item | {"source": "cache"} for item in result.object["items"]] == before.object["items"]


def test_messages_that_both_have_are_shown_once_and_the_newest_persisted_is_known(chatstore: Chatstore, store: Store):
    journal(chatstore, [record(n, message_id=f"m{n}" if n % 2 else None) for n in range(30)])
    store()
    result = history(chatstore)
    assert result.texts == messages(range(30))
    assert set(result.kinds) == {("cache", True)}
    assert result.object["last_persisted_at"] == shown_time(29)


def test_halves_that_overlap_are_one_history(chatstore: Chatstore, store: Store):
    path = journal(chatstore, [record(n) for n in range(40)])
    store()
    path.unlink()
    # The first 20 are in MongoDB alone, the next 20 in both, the last 10 in the journal alone.
    journal(chatstore, [record(n) for n in range(20, 50)])
    result = history(chatstore)
    assert result.texts == messages(range(50))
    assert result.kinds == [("mongo", True)] * 20 + [("cache", True)] * 20 + [("cache", False)] * 10
    assert result.object["counts"] == {"cache": 30, "mongo": 20}
    assert result.object["last_persisted_at"] == shown_time(39)
    assert result.object["not_persisted"] == 10


def test_the_newest_persisted_and_the_end_are_right_for_every_limit(
    chatstore: Chatstore, store: Store, connection: Connection
):
    journal(chatstore, [record(n) for n in range(40)])
    store()
    with (chatstore.folder / JOURNALS / "s1.jsonl").open("ab") as stream:
        stream.write(as_lines(record(n) for n in range(40, 50)))
    for limit in (1, 5, 10, 11, 35, 500):
        history_object = history_in_process(chatstore, connection, limit)
        assert [item["content"] for item in history_object["items"]] == messages(range(50))[-limit:]
        assert history_object["last_persisted_at"] == shown_time(39)
        assert history_object["not_persisted"] == min(limit, 10)
    assert history(chatstore, "s1", "--limit", "500").object == history_object


def test_messages_of_one_instant_keep_the_order_of_their_journal(
    chatstore: Chatstore, store: Store, connection: Connection
):
    lines = [record(n, text=f"{n}", created_at=instant(0)) for n in range(30)]
    path = journal(chatstore, lines[:20])
    store()
    journal(chatstore, lines)
    for limit in (3, 10, 11, 25, 500):
        items = history_in_process(chatstore, connection, limit)["items"]
        assert [item["content"] for item in items] == [f"{n}" for n in range(30)][-limit:]
    path.unlink()
    assert history(chatstore, "s1", "--limit", "7").texts == [f"{n}" for n in range(13, 20)]


def test_equal_lines_are_separate_messages_for_every_limit(chatstore: Chatstore, store: Store, connection: Connection):
    lines = [record(0, text="yes") for _ in range(6)]
    journal(chatstore, lines[:4])
    store()
    journal(chatstore, lines)
    for limit in range(1, 8):
        items = history_in_process(chatstore, connection, limit)["items"]
        assert [item["persisted"] for item in items] == ([True] * 4 + [False] * 2)[-limit:]
        assert {item["source"] for item in items} == {"cache"}


def test_rows_that_the_application_stored_itself_are_not_shown_beside_their_lines(
    chatstore: Chatstore, database: Documents
):
    lines = [record(n) for n in range(8)]
    instants = [datetime.fromisoformat(line["created_at"]) for line in lines]
    forms: list[Any] = [
        lines[0]["created_at"],
        lines[1]["created_at"].replace("+00:00", "Z"),
        instants[2].replace(tzinfo=None).isoformat(sep=" "),
        instants[3].astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
        instants[4].astimezone(timezone(timedelta(hours=-11))).isoformat(),
        instants[5],
    ]
    rows = [
        {**line, "_id": ObjectId(), "created_at": form, "expires_at": datetime.now(UTC) + timedelta(days=1)}
        for line, form in zip(lines, forms, strict=False)
    ]
    database[COLLECTION].insert_many(rows)
    path = journal(chatstore, lines)
    result = history(chatstore)
    assert result.texts == messages(range(8))
    assert result.kinds == [("cache", True)] * 6 + [("cache", False)] * 2
    assert [item["message_id"] for item in result.object["items"][:6]] == [str(row["_id"]) for row in rows]
    assert result.object["last_persisted_at"] == shown_time(5)

    path.unlink()
    assert history(chatstore).texts == messages(range(6))


def test_one_row_of_the_application_matches_one_of_two_equal_lines(chatstore: Chatstore, database: Documents):
    journal(chatstore, [record(0, text="yes"), record(0, text="yes")])
    database[COLLECTION].insert_one({**record(0, text="yes"), "_id": ObjectId()})
    assert history(chatstore).kinds == [("cache", True), ("cache", False)]


def test_rows_without_a_sequence_come_before_those_with_one_of_the_same_instant(
    chatstore: Chatstore, database: Documents
):
    database[COLLECTION].insert_one({**record(0, text="of the application"), "_id": ObjectId()})
    journal(chatstore, [record(-1), record(0, text="of the journal")])
    assert history(chatstore).texts == ["message -1", "of the application", "of the journal"]


def test_a_message_id_that_is_stored_with_other_content_is_two_messages(chatstore: Chatstore, store: Store):
    journal(chatstore, [record(0, message_id="m1", text="this")])
    store()
    journal(chatstore, [record(5, message_id="m1", text="that")])
    result = history(chatstore)
    assert (result.texts, result.kinds) == (["this", "that"], [("mongo", True), ("cache", False)])


def test_rotated_and_compressed_journals_are_read(chatstore: Chatstore, store: Store):
    folder = journal(chatstore, [record(n) for n in range(80, 100)]).parent
    write_journal(folder / "s1.jsonl.1", [record(n) for n in range(40, 80)])
    (folder / "s1.jsonl.2.gz").write_bytes(gzip.compress(as_lines(record(n) for n in range(40))))
    assert history(chatstore, "s1", "--limit", "500").texts == messages(range(100))
    store()
    result = history(chatstore, "s1", "--limit", "90")
    assert (result.texts, result.object["not_persisted"]) == (messages(range(10, 100)), 0)


def test_a_long_session_of_mixed_times_is_recognised(chatstore: Chatstore, database: Documents):
    """The index orders times as text, so texts with different offsets are hours away from their place."""
    lines = [record(60 * n) for n in range(1_500)]
    zones = [timezone(timedelta(hours=hours)) for hours in (0, 2, -9, 14)]
    rows = []
    for number, line in enumerate(lines[:1_450]):
        created_at = datetime.fromisoformat(line["created_at"]).astimezone(zones[number % 4])
        rows.append({**line, "_id": ObjectId(), "created_at": created_at.isoformat(timespec="microseconds")})
    database[COLLECTION].insert_many(rows)
    journal(chatstore, lines)
    result = history(chatstore, "s1", "--limit", "100")
    assert result.texts == [line["text"] for line in lines[-100:]]
    assert result.kinds == [("cache", True)] * 50 + [("cache", False)] * 50


# --- session ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "session", ["..", "../../etc/passwd", "a/b", "Chat", "é" * 450, "x" * 900, "-o", "%41", "a\u202eb", "$where"]
)
def test_any_id_has_its_own_history(chatstore: Chatstore, store: Store, session: str):
    journal(chatstore, [record(n, session=session) for n in range(4)], session)
    store()
    journal(chatstore, [record(n, session=session) for n in range(2, 6)], session)
    result = history(chatstore, session)
    assert result.texts == messages(range(6))
    assert result.kinds == [("mongo", True)] * 2 + [("cache", True)] * 2 + [("cache", False)] * 2


def test_ids_that_a_file_system_may_take_for_one_are_two_sessions(chatstore: Chatstore):
    journal(chatstore, [record(1, session="Chat")], "Chat")
    journal(chatstore, [record(2, session="chat")], "chat")
    assert (history(chatstore, "Chat").texts, history(chatstore, "chat").texts) == (["message 1"], ["message 2"])


def test_an_id_too_long_for_a_journal_may_be_in_mongodb(chatstore: Chatstore, database: Documents):
    database[COLLECTION].insert_one(record(1, session="x" * 3_000))
    assert history(chatstore, "x" * 3_000).kinds == [("mongo", True)]


@pytest.mark.parametrize("arguments", [[""], ["s1", "--limit", "0"], ["s1", "--limit", "501"], ["s1", "--limit", "x"]])
def test_wrong_use_exits_with_status_2(chatstore: Chatstore, arguments: list[str]):
    outcome = chatstore("history", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("session", ["nobody", "../../x", b"\xff".decode(errors="surrogateescape")])
def test_an_unknown_session_exits_with_status_3(chatstore: Chatstore, session: str):
    outcome = chatstore("history", session)
    assert (outcome.code, outcome.out) == (3, "")
    assert "in the cache or in any layout" in outcome.err


# --- faulty journals ----------------------------------------------------------------------------------


def test_skipped_lines_are_counted_only_with_verbose(chatstore: Chatstore):
    path = journal(chatstore, [record(1), record(2, session="s2")])
    with path.open("ab") as stream:
        stream.write(b"torn {\n" + as_line(record(3)) + b'{"session_id": "s1", "ro')
    outcome = chatstore("history", "s1", "--verbose")
    assert "damaged lines: 1, lines of other sessions: 1." in outcome.err
    assert "damaged" not in chatstore("history", "s1").err
    assert history(chatstore).texts == ["message 1", "message 3"]


def test_a_journal_with_only_damaged_lines_is_not_a_session(chatstore: Chatstore):
    path = journal(chatstore, [])
    path.write_bytes(b"garbage\n")
    outcome = chatstore("history", "s1")
    assert (outcome.code, outcome.out) == (3, "")
    assert "has only damaged lines (1)" in outcome.err


def test_if_the_journal_cannot_be_read_mongodbs_copy_is_shown_with_status_1(
    chatstore: Chatstore, connection: Connection
):
    path = journal(chatstore, [record(0), record(1)])
    _flushed(connection, path.parent)
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.write_text("a file")  # root can read a file of any mode
    result = history(chatstore, code=1)
    assert result.texts == ["message 0", "message 1"]
    assert result.object["session_id"] == "s1"
    last = result.outcome.err.splitlines()[-1]
    assert "only the messages in MongoDB are shown" in last
    assert "Fix the cause: messages that are not stored yet" in last


def test_a_long_unknown_id_is_shortened_in_the_error(chatstore: Chatstore):
    outcome = chatstore("history", "a" * 1_200)
    assert outcome.code == 3
    assert f"No session '{'a' * 100}…' in" in outcome.err
    assert len(outcome.err) < 320


def test_a_file_in_place_of_the_journal_folder_is_an_error(chatstore: Chatstore):
    folder = chatstore.folder / JOURNALS
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    outcome = chatstore("history", "s1")
    assert outcome.code == 1
    assert f"{JOURNALS}: Not a directory. Fix the cause" in outcome.err


def test_large_messages_are_shown_completely(chatstore: Chatstore, store: Store):
    large = "é" * (7 * 1024 * 1024)
    journal(chatstore, [record(1, text=large), record(2)])
    store()
    assert history(chatstore).texts == [large, "message 2"]


# --- deleted on purpose ----------------------------------------------------------------------------------------------


def test_a_deleted_session_remains_deleted_and_its_journal_lines_are_counted(
    chatstore: Chatstore, store: Store, database: Documents
):
    journal(chatstore, [record(n) for n in range(3)])
    store()
    assert chatstore("sessions", "delete", "s1", "--yes").code == 0
    outcome = chatstore("history", "s1")
    assert (outcome.code, outcome.out) == (3, "")
    assert "The session was deleted" in outcome.err
    assert "still has 3 lines" in outcome.err

    database[COLLECTION].insert_one({**record(9), "_id": ObjectId()})
    assert history(chatstore).texts == ["message 9"]


# --- without the database -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_without_the_database_the_cache_is_shown_with_status_5(chatstore: Chatstore, second_server: Mongod, how: str):
    uri = second_server.uri_as(None, None, socketTimeoutMS="200", serverSelectionTimeoutMS="200")
    chatstore.environment["CHATSTORE_URI"] = uri
    journal(chatstore, [record(n) for n in range(3)])
    with ExitStack() as stack:
        stack.callback(second_server.resume if how == "pause" else second_server.start)
        getattr(second_server, how)()
        result = history(chatstore, code=5)
        table = chatstore("history", "s1", "--quiet")
        unknown = chatstore("history", "nobody")
    assert result.texts == messages(range(3))
    assert set(result.kinds) == {("cache", None)}
    assert result.object["counts"] == {"cache": 3, "mongo": None}
    assert (result.object["last_persisted_at"], result.object["not_persisted"]) == (None, None)
    assert json.loads(result.outcome.err)["error"]["code"] == 5
    assert (table.code, table.err.count("\n"), table.out.count("\n")) == (5, 1, 4)
    assert "MongoDB could not be read" in table.err
    assert (unknown.code, unknown.out) == (5, "")


def test_with_the_database_disabled_the_cache_is_shown(chatstore: Chatstore):
    journal(chatstore, [record(n) for n in range(3)])
    off = {"CHATSTORE_MONGO__ENABLED": "false"}
    result = history(chatstore, env=off)
    assert result.object["counts"] == {"cache": 3, "mongo": None}
    assert "MongoDB was not read" in result.outcome.err
    outcome = chatstore("history", "nobody", env=off)
    assert (outcome.code, "disabled" in outcome.err) == (3, True)


def test_if_the_database_denies_access_the_cache_is_shown_with_status_4(
    chatstore: Chatstore, start_mongod: Callable[..., Mongod]
):
    server = start_mongod(auth=True)
    journal(chatstore, [record(n) for n in range(3)])
    result = history(chatstore, code=4, env={"CHATSTORE_URI": server.uri_without_user})
    assert result.texts == messages(range(3))
    assert result.object["counts"] == {"cache": 3, "mongo": None}


# --- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ROW_FORMATS)
def test_every_format_has_every_message_and_only_data_on_stdout(chatstore: Chatstore, output: OutputFormat):
    journal(chatstore, [record(n) for n in range(3)])
    outcome = chatstore("history", "s1", "-o", output.value)
    assert outcome.code == 0
    assert [outcome.out.count(text) for text in messages(range(3))] == [1, 1, 1]
    assert "Shown:" not in outcome.out
    assert "Shown: 3 (0 in journal and MongoDB, 3 only in the journal, 0 only in MongoDB)." in outcome.err


def test_a_closed_pipe_ends_it_without_an_error(chatstore: Chatstore):
    journal(chatstore, [record(n, text="x" * 10_000) for n in range(500)])
    process = chatstore.popen("history", "s1", "--limit", "500", "--quiet", "-o", "jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert (process.stderr.read(), process.wait(timeout=300)) == (b"", 0)


# --- during recording, flushing and pruning -------------------------------------------------


def test_during_recording_flushing_and_pruning_each_message_is_there_once(connection: Connection, tmp_path: Path):
    folder = tmp_path / "journals"
    folder.mkdir()
    recorded = [0]
    ended = threading.Event()
    was_read = threading.Semaphore(0)

    def live() -> None:
        try:
            for turn in range(12):
                with (folder / "s1.jsonl").open("ab", buffering=0) as stream:
                    for _ in range(25):
                        number = recorded[0]
                        created_at = (START + timedelta(milliseconds=number // 3)).isoformat(timespec="microseconds")
                        message_id = uuid.uuid4().hex if turn % 2 else None
                        stream.write(as_line(record(number, created_at=created_at, message_id=message_id)))
                        recorded[0] = number + 1
                flush(connection, folder)
                if turn % 3 == 2:
                    (folder / "s1.jsonl").unlink()
                was_read.acquire(timeout=60)  # at least one read in each turn
        finally:
            ended.set()

    living = threading.Thread(target=live)
    living.start()
    storage = MongoHistory(connection, COLLECTION)
    while not ended.is_set():
        least = recorded[0]
        result = history_of(read_tail(folder, "s1", 500).journals, lambda: storage, "s1", 500)
        numbers = [int(shown.message.content.split()[1]) for shown in result.messages]
        assert sorted(numbers) == list(range(len(numbers)))
        assert len(numbers) >= least
        was_read.release()
    living.join()
    assert recorded[0] == 300


# --- an application's own ----------------------------------------------------------------------------------------------


def test_an_application_gets_the_same_history_from_its_own_cache(
    chatstore: Chatstore, mongod: Mongod, database: Documents
):
    with (
        closing(LocalChatCache(disk_path=str(chatstore.folder / JOURNALS))) as cache,
        closing(MongoChatStorage(mongod.uri, database.name)) as storage,
    ):
        for number in range(30):
            cache.record_chat_event("s1", "user" if number % 2 == 0 else "assistant", f"message {number}")
        storage.insert_messages(cache.messages("s1")[:20])
        own = chat_history(cache.messages("s1"), storage, "s1", 25)
        assert [shown.persisted for shown in own.messages] == [True] * 15 + [False] * 10
        assert own.to_dict() == history(chatstore, "s1", "--limit", "25").object
        assert chat_history(cache.messages("s2"), storage, "s2").messages == []


def test_an_application_without_its_database_gets_its_cache():
    with (
        closing(LocalChatCache(disk_path=None)) as cache,
        closing(MongoChatStorage("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100", "none")) as storage,
    ):
        cache.record_chat_event("s1", "user", "hello")
        own = chat_history(cache.messages("s1"), storage, "s1")
    assert [(shown.message.content, shown.persisted) for shown in own.messages] == [("hello", None)]
    assert isinstance(own.failure, Unreachable)
