"""A flat session that is deleted on purpose while the server has it: in its memory, in its journals, and in an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.responding import Part, Question
from chatstore_cli.domain.tombstones import Tombstone
from chatstore_cli.server.turns.deletion_lookup import DeletionLookup
from tests.conftest import Chatstore
from tests.support.mongod import Mongod, poll
from tests.support.responders import answering
from tests.support.served_app import Served, served, settings_of

Delete = Callable[[], None]


@pytest.fixture(scope="module")
def one_server(
    tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, module_database: Database[dict[str, Any]]
) -> Iterator[Served]:
    """A server whose worker stores at once."""
    settings = settings_of(tmp_path_factory.mktemp("server"), mongod.uri, module_database.name)
    worker = replace(settings.mongo.worker, interval_seconds=0)
    with served(replace(settings, mongo=replace(settings.mongo, worker=worker))) as server:
        preparation = server.services.preparation
        assert preparation is not None
        poll(lambda: preparation.is_complete, what="the end of the preparation")
        yield server


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """The id of the test's session."""
    return str(request.node.name)


@pytest.fixture
def delete(module_chatstore: Chatstore, session: str) -> Delete:
    """Deletes the session with the command, which is another process."""

    def deleted() -> None:
        outcome = module_chatstore("sessions", "delete", session, "--layout", "messages", "--yes")
        assert outcome.code == 0, outcome.err

    return deleted


@dataclass
class Client:
    """A client of one session."""

    server: Served
    database: Any
    session: str

    def say(self, text: str) -> str:
        """The answer to a message. Both are stored afterwards, unless they were deleted."""
        answer = self.server.client.post("/api/chat", json={"message": text, "session_id": self.session})
        assert answer.status_code == 200, answer.text
        poll(lambda: self.server.services.cache.pending.depth == 0, what="the worker")
        return str(answer.json()["response"])

    @property
    def shown(self) -> list[str]:
        """The history."""
        answer = self.server.client.get("/api/chat/history", params={"session_id": self.session})
        assert answer.status_code == 200
        return [each["text"] for each in answer.json()["messages"]]

    @property
    def in_memory(self) -> list[Any]:
        """The messages in the memory of the server."""
        return [each.content for each in self.server.services.cache.messages(self.session)]

    @property
    def stored(self) -> list[str]:
        """The messages in MongoDB."""
        rows = self.database["chat_messages"].find({"session_id": self.session})
        return [row["text"] for row in rows.sort("created_at")]


@pytest.fixture
def client(one_server: Served, module_database: Any, session: str) -> Client:
    """A client of the test's session, in which one message was answered."""
    client = Client(one_server, module_database, session)
    services = one_server.services
    services.deletion_lookup = DeletionLookup(services.cache, services.storage, services.reading)
    answering(one_server)
    client.say("before")
    return client


class Deleting:
    """A responder that has its session deleted before it answers the question with that text."""

    def __init__(self, delete: Delete, text: str) -> None:
        self._delete, self._text = delete, text

    async def respond(self, question: Question) -> AsyncIterator[Part]:
        """`answer to ...`."""
        if question.text == self._text:
            await asyncio.to_thread(self._delete)
        yield f"answer to {question.text}"


def test_the_answer_to_a_session_that_is_deleted_meanwhile_is_sent_and_not_stored(client, delete):
    client.server.services.responder = Deleting(delete, "deleted while it is answered")
    assert client.say("deleted while it is answered") == "answer to deleted while it is answered"
    assert client.stored == client.in_memory == client.shown == []
    listed = client.server.client.get("/store/sessions", params={"layout": "messages"}).json()["items"]
    assert client.session not in [each["session_id"] for each in listed]
    client.say("after")
    assert client.shown == client.stored == client.in_memory == ["after", "answer to after"]


def test_a_responder_gets_no_message_that_was_deleted_before_its_question(client, delete):
    questions = answering(client.server)
    for number in (1, 2):
        delete()
        client.say("after")
        assert [each.content for each in questions[-1].history] == ["after"]
        assert client.shown == client.in_memory == client.stored == ["after", f"answer {number}"]


def test_the_answer_to_an_empty_message_is_deleted_too(client, delete):
    client.server.services.responder = Deleting(delete, " ")
    assert client.say(" ") == "answer to  "
    assert client.stored == client.shown == client.in_memory == []


def test_a_socket_counts_and_answers_without_what_was_deleted(client, delete):
    questions = answering(client.server)
    delete()
    with client.server.socket(f"/ws/chat?session_id={client.session}") as socket:
        welcome = socket.receive_json()
        assert (welcome["session_status"], welcome["interactions"]) == ("new", 0)
        socket.send_json({"message": "after"})
        while socket.receive_json().get("status") != "complete":
            pass
    assert [each.content for each in questions[-1].history] == ["after"]


def test_a_deletion_between_the_question_and_its_history_leaves_the_question_out(client, delete, monkeypatch):
    """The responder still answers: the user waits for it."""
    questions = answering(client.server)
    storage = client.server.services.storage
    find = storage.tombstones

    def deleted_first(session_ids: Collection[str]) -> Any:
        monkeypatch.undo()
        delete()
        return find(session_ids)

    monkeypatch.setattr(storage, "tombstones", deleted_first)
    assert client.say("asked") == "answer 1"
    assert (questions[-1].text, list(questions[-1].history)) == ("asked", [])
    assert client.stored == client.shown == []


def test_without_mongodb_a_history_leaves_out_what_the_server_knows_to_be_deleted(client, delete, monkeypatch):
    questions = answering(client.server)
    delete()
    assert client.shown == []
    monkeypatch.setattr(client.server.services.storage, "tombstone", raises(Unreachable(what="away")))
    client.say("after")
    assert [each.content for each in questions[-1].history] == ["after"]
    assert client.shown == ["after", "answer 1"]


def test_without_mongodb_a_history_has_what_the_server_does_not_know_to_be_deleted(client, delete, monkeypatch):
    questions = answering(client.server)
    monkeypatch.setattr(client.server.services.storage, "tombstone", raises(Unreachable(what="away")))
    monkeypatch.setattr(client.server.services.storage, "newest_stored", raises(AssertionError()))
    client.say("asked")
    assert [each.content for each in questions[-1].history] == ["before", "answer 1", "asked"]
    assert client.shown == ["before", "answer 1", "asked", "answer 1"]


def test_during_an_outage_one_answer_in_some_seconds_waits_for_mongodb(client, monkeypatch):
    now = [100.0]
    services = client.server.services
    services.deletion_lookup = DeletionLookup(services.cache, services.storage, services.reading, lambda: now[0])
    asked: list[float] = []
    is_away = True

    def tombstones(session_ids: Collection[str]) -> Mapping[str, Tombstone]:
        asked.append(now[0])
        if is_away:
            raise Unreachable(what="away")
        return {}

    monkeypatch.setattr(client.server.services.storage, "tombstones", tombstones)
    for now[0] in (100.0, 101.0, 104.0, 106.0, 107.0):
        client.say("asked")
    assert asked == [100.0, 106.0]
    is_away = False
    for now[0] in (108.0, 112.0, 113.0):
        client.say("asked")
    assert asked == [100.0, 106.0, 112.0, 113.0]


class Lookups:
    """A storage and its threads. Each look-up ends when the test releases it."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.released = asyncio.Event()

    async def run(self, call: Callable[[], Any], *, seconds: float) -> Any:
        """Make the look-up, and answer when it is released."""
        call()
        await self.released.wait()

    def tombstones(self, session_ids: Collection[str]) -> Mapping[str, Tombstone]:
        """What was asked for is noted."""
        self.asked.append(set(session_ids))
        return {}


async def waiting_for(lookup: DeletionLookup, *sessions: str) -> list[asyncio.Task[None]]:
    """A task for each session, which waits for its look-up."""
    tasks = [asyncio.create_task(lookup.forget_deleted(each, 1.0)) for each in sessions]
    await asyncio.sleep(0)
    return tasks


async def until(has_happened: Callable[[], bool]) -> None:
    """Let the other tasks run until it has."""
    while not has_happened():
        await asyncio.sleep(0)


def test_answers_that_wait_at_the_same_time_share_a_look_up():
    async def main() -> list[set[str]]:
        lookups: Any = Lookups()
        lookup = DeletionLookup(lookups, lookups, lookups)
        tasks = await waiting_for(lookup, "a")
        await until(lambda: bool(lookups.asked))
        tasks += await waiting_for(lookup, "a", "b", "c", "b", "a")
        lookups.released.set()
        await asyncio.gather(*tasks)
        return lookups.asked

    assert asyncio.run(main()) == [{"a"}, {"a", "b", "c"}]


def test_answers_that_waited_for_one_look_up_continue_together():
    """One by one, the last of many would wait as long as the event loop needs for all the others."""

    async def main() -> list[bool]:
        lookups: Any = Lookups()
        lookup = DeletionLookup(lookups, lookups, lookups)
        tasks = await waiting_for(lookup, *(f"s{number}" for number in range(200)))
        lookups.released.set()
        await tasks[0]
        await asyncio.sleep(0)
        return [each.done() for each in tasks]

    assert asyncio.run(main()) == [True] * 200


def test_an_answer_whose_client_is_gone_leaves_its_look_up_to_the_others():
    async def main() -> list[set[str]]:
        lookups: Any = Lookups()
        lookup = DeletionLookup(lookups, lookups, lookups)
        first, gone, other = await waiting_for(lookup, "a", "b", "c")
        await until(lambda: bool(lookups.asked))
        gone.cancel()
        first.cancel()
        lookups.released.set()
        await other
        assert gone.cancelled()
        return lookups.asked

    assert asyncio.run(main()) == [{"a", "b", "c"}]


def raises(error: Exception) -> Callable[..., Any]:
    """A method that raises the error."""

    def method(*_: Any) -> Any:
        raise error

    return method
