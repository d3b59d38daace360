"""Flat sessions that are deleted on purpose, in processes of an application that still has them.

One rule: what was recorded before the deletion, and the answers to it, is neither shown nor stored again; a message that is
recorded later starts the session anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import BadValue, ChatPersistenceWorker, LocalChatCache, Message, MongoChatStorage, Unreachable
from chatstore_cli.mongo.messages.inserting import MessageInserter
from tests.conftest import Chatstore
from tests.support.kill_at_command import kill_this_process, run_in_fork
from tests.support.mongod import Mongod, poll

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


class Application:
    """One process of an application: a cache over a folder of journals, and its worker."""

    def __init__(self, folder: Path, storage: MongoChatStorage, **settings: Any) -> None:
        self.storage = storage
        self.cache = LocalChatCache(disk_path=folder, **settings)
        self.worker = ChatPersistenceWorker(self.cache, storage, interval=0)

    def say(self, text: str, role: str = "user", reply_to: Message | None = None, session: str = "s1") -> Message:
        """Record a message."""
        return self.cache.record_chat_event(session, role, text, reply_to=reply_to)

    def flush(self) -> None:
        """Store what is recorded."""
        self.worker.start()
        assert self.worker.stop(60)

    def shown(self, session: str = "s1") -> list[str]:
        """The history."""
        return [shown.message.content for shown in self.cache.history(session, self.storage, 500).messages]

    def remembered(self, session: str = "s1") -> list[str]:
        """The messages in memory."""
        return [message.content for message in self.cache.messages(session)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@pytest.fixture
def storage(mongod: Mongod, database: Documents) -> Iterator[MongoChatStorage]:
    with MongoChatStorage(mongod.uri, database.name) as opened:
        yield opened


@pytest.fixture
def delete(chatstore: Chatstore) -> Callable[..., None]:
    """Deletes sessions with the command, which is another process."""

    def deleted(*sessions: str) -> None:
        outcome = chatstore("sessions", "delete", *(sessions or ("s1",)), "--yes")
        assert outcome.code == 0, outcome.err

    return deleted


def stored(database: Documents, session: str = "s1") -> list[str]:
    return [row["text"] for row in database["chat_messages"].find({"session_id": session}).sort("created_at")]


def replayed(chatstore: Chatstore, folder: Path) -> dict[str, Any]:
    """The result of flush-cache over all journals from their beginning."""
    outcome = chatstore("flush-cache", folder, "--ignore-ledger", "-o", "json")
    assert outcome.code == 0, outcome.err
    return dict(json.loads(outcome.out))


# --- what is recorded around a deletion -------------------------------------------------------------------------------


@pytest.mark.parametrize("journals", [True, False], ids=["with journals", "in memory alone"])
def test_an_answer_goes_with_its_question_and_a_new_message_starts_anew(
    folder: Path, storage: MongoChatStorage, database: Documents, delete: Callable[..., None], journals: bool
) -> None:
    application = Application(folder, storage)
    if not journals:
        application.cache = LocalChatCache(disk_path=None)
        application.worker = ChatPersistenceWorker(application.cache, storage, interval=0)
    application.say("before")
    application.flush()
    queued = application.say("queued")
    delete()
    application.say("answer", "assistant", queued)
    new = application.say("new")
    application.say("answer to new", "assistant", new)
    application.say("without a question", "assistant")
    kept = ["new", "answer to new", "without a question"]
    assert application.remembered() == ["before", "queued", "answer", *kept]  # nothing has asked MongoDB yet
    application.flush()
    assert stored(database) == application.remembered() == application.shown() == kept
    assert application.worker.stats().skipped == 2
    delete()
    assert application.shown() == application.remembered() == []


def test_a_process_that_is_killed_between_a_deletion_and_its_flush_restores_nothing(
    folder: Path,
    storage: MongoChatStorage,
    database: Documents,
    delete: Callable[..., None],
    chatstore: Chatstore,
    mongod: Mongod,
) -> None:
    first = Application(folder, storage)
    first.say("before")
    first.flush()

    def life() -> None:
        application = Application(folder, MongoChatStorage(mongod.uri, database.name))
        queued = application.say("queued")
        delete()
        application.say("answer", "assistant", queued)
        application.say("answer", "assistant", application.say("new"))
        kill_this_process()

    assert run_in_fork(life) == -9
    for _ in range(2):
        result = replayed(chatstore, folder)
        assert (result["lines"], result["skipped"], result["quarantined"]) == (5, 3, 0)
        assert stored(database) == ["new", "answer"]
    assert first.shown() == ["new", "answer"]
    again = Application(folder, storage)
    assert again.cache.load_journals() == 5
    again.cache.forget_deleted("s1", storage)
    assert again.remembered() == ["new", "answer"]


def test_one_process_answers_while_another_one_starts_the_session_anew(
    folder: Path, storage: MongoChatStorage, database: Documents, delete: Callable[..., None], chatstore: Chatstore
) -> None:
    one, other = Application(folder, storage), Application(folder, storage)
    asked = one.say("asked of one")
    one.flush()
    delete()
    other.say("new in the other")
    one.say("answer of one", "assistant", asked)
    other.flush()
    one.flush()
    assert stored(database) == one.shown() == other.shown() == ["new in the other"]
    assert (one.remembered(), other.remembered()) == ([], ["new in the other"])
    assert replayed(chatstore, folder)["stored"] == 0


def test_a_deletion_while_the_answer_is_being_stored_takes_the_answer_and_memory_forgets(
    folder: Path,
    storage: MongoChatStorage,
    database: Documents,
    delete: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = Application(folder, storage)
    asked = application.say("asked")
    application.flush()
    insert = MessageInserter._insert_command

    def deleted_meanwhile(inserter: MessageInserter, documents: Any) -> Any:
        monkeypatch.undo()
        delete()
        return insert(inserter, documents)

    application.say("answer", "assistant", asked)
    monkeypatch.setattr(MessageInserter, "_insert_command", deleted_meanwhile)
    application.flush()
    assert stored(database) == application.remembered() == application.shown() == []


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_with_a_clock_ahead_the_answer_goes_with_a_question_that_the_deletion_lists(
    folder: Path, storage: MongoChatStorage, database: Documents, delete: Callable[..., None]
) -> None:
    application = Application(folder, storage, clock=lambda: datetime.now(UTC) + timedelta(minutes=2))
    asked = application.say("dated after the deletion")
    application.flush()
    delete()
    application.say("answer", "assistant", asked)
    application.say("new")
    application.flush()
    assert stored(database) == application.remembered() == application.shown() == ["new"]


def test_with_a_clock_behind_a_message_is_new_once_the_process_knows_of_the_deletion(
    folder: Path, storage: MongoChatStorage, database: Documents, delete: Callable[..., None]
) -> None:
    application = Application(folder, storage, clock=lambda: datetime.now(UTC) - timedelta(minutes=2))
    application.say("before")
    application.flush()
    delete()
    assert application.shown() == []
    application.say("new")
    application.flush()
    assert stored(database) == application.remembered() == application.shown() == ["new"]


# --- without MongoDB, and many ----------------------------------------------------------------------------------------


def test_without_mongodb_a_history_leaves_out_what_the_process_knows_to_be_deleted(
    folder: Path, storage: MongoChatStorage, delete: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    application = Application(folder, storage)
    application.say("before")
    application.flush()
    delete()

    def away(*_: object) -> None:
        raise Unreachable(what="away")

    with monkeypatch.context() as outage:
        outage.setattr(storage, "tombstone", away)
        assert application.shown() == ["before"]  # as before the deletion: nothing else is at hand
        with pytest.raises(Unreachable):
            application.cache.forget_deleted("s1", storage)
    assert application.shown() == []
    application.say("new")
    monkeypatch.setattr(storage, "tombstone", away)
    assert application.shown() == ["new"]
    history = application.cache.history("s1", None)
    assert ([shown.message.content for shown in history.messages], history.deleted, history.covered) == (
        ["new"],
        True,
        1,
    )


def test_a_thousand_deleted_sessions_leave_memory_with_the_next_batch_of_another_session(
    folder: Path, storage: MongoChatStorage, database: Documents, chatstore: Chatstore
) -> None:
    application = Application(folder, storage)
    sessions = [f"s{number}" for number in range(1_000)]
    for session in sessions:
        application.say("before", session=session)
    application.flush()
    outcome = chatstore("sessions", "delete", "--stdin", "--yes", stdin="\n".join(sessions))
    assert outcome.code == 0, outcome.err
    application.say("of another session", session="other")
    application.worker._forgot_at = None  # a minute has passed
    application.worker.start()
    poll(lambda: len(application.cache.remembered_sessions()) == 1, what="the forgetting")
    assert application.worker.stop(60)
    assert application.cache.remembered_sessions() == ["other"]
    assert [row["session_id"] for row in database["chat_messages"].find()] == ["other"]
    for session in (sessions[0], sessions[999]):
        application.say("new", session=session)
    application.flush()
    assert application.shown(sessions[999]) == stored(database, sessions[999]) == ["new"]


# --- what cannot be answered ------------------------------------------------------------------------------------------


def test_a_message_can_only_answer_a_message_of_its_session(folder: Path) -> None:
    cache = LocalChatCache(disk_path=folder)
    asked = cache.record_chat_event("s1", "user", "asked")
    for wrong in (asked.message_id, asked._replace(session_id="s2"), asked._replace(created_at=None), 5):
        with pytest.raises(BadValue, match="reply_to"):
            cache.record_chat_event("s1", "assistant", "answer", reply_to=wrong)
    assert [message.content for message in cache.messages("s1")] == ["asked"]
