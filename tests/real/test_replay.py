"""Replays on a real server: turns are appended and moved into segments while the replay runs, and each is given once."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pymongo import MongoClient
from pymongo.database import Database

from chatstore_cli import AG2PersistenceManager, BadValue, NotFound, aio
from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.core.mixed_transcript.merge import mixed_transcript
from chatstore_cli.core.mixed_transcript.replay import replay
from chatstore_cli.core.mixed_transcript.sources import Readers
from chatstore_cli.domain.mixed_transcript import ClientPosition, MixedTurn, ReplayBoundary, TranscriptSource
from chatstore_cli.wiring.mixed_transcript import transcript_readers
from chatstore_cli.wiring.segments import segment_store
from chatstore_cli.wiring.stores import Stores
from tests.support.ag2_events import text
from tests.support.mongod import Mongod
from tests.support.transcript_sources import START, at, turns_of

pytestmark = pytest.mark.real

FIRST, SECOND = TranscriptSource("workflow", "chat-1"), TranscriptSource("workflow", "chat-2")
GENERAL = TranscriptSource("general", "generalchat-acme-ana-0001")
SOURCES = (FIRST, SECOND, GENERAL)
COLLECTIONS = {"workflow": "chat_sessions", "general": "GeneralChatSessions"}


@dataclass
class Chats:
    """The three sessions of a user in one database, and the writers of their turns."""

    database: Database[dict[str, Any]]
    stores: Stores
    appended: dict[TranscriptSource, int] = field(default_factory=lambda: dict.fromkeys(SOURCES, 0))
    clock: int = 0

    @property
    def readers(self) -> Readers:
        return transcript_readers(self.stores)

    def begin(self) -> None:
        """Store the sessions without turns."""
        for name in (*COLLECTIONS.values(), "chat_session_segments", "general_chat_segments"):
            self.database[name].delete_many({})
        for source in SOURCES:
            self.database[COLLECTIONS[source.layout]].insert_one(
                {
                    "_id": source.session_id,
                    "chat_id": source.session_id,
                    "app_id": "acme",
                    "user_id": "ana",
                    "status": 0,
                    "messages": [],
                    "last_sequence": 0,
                }
            )

    def append(self, source: TranscriptSource) -> None:
        """Append the next turn of a session, as writers do: one update with the next sequence."""
        self.clock += 1
        self.appended[source] = number = self.appended[source] + 1
        message = {
            "role": "user",
            "content": number,
            "event_id": f"{source.session_id}-{number}",
            "timestamp": at(self.clock),
            "sequence": number,
            "metadata": {"source": "general_agent"} if source is GENERAL or number % 3 == 0 else {},
        }
        update = {"$push": {"messages": message}, "$set": {"last_sequence": number}}
        self.database[COLLECTIONS[source.layout]].update_one({"_id": source.session_id}, update)

    def move(self, source: TranscriptSource) -> None:
        """Move the oldest turns of a session into a segment."""
        store = segment_store(self.stores, layout=source.layout)
        store.move_oldest(source.session_id, keep_messages=1)


@pytest.fixture
def chats(database: Database[dict[str, Any]], mongo_uri: str) -> Iterator[Chats]:
    stores = Stores(Settings(mongo=MongoSettings(uri=mongo_uri, database=database.name)), say=print)
    chats = Chats(database, stores)
    chats.begin()
    yield chats
    stores.close()


def replayed(
    chats: Chats,
    positions: Mapping[TranscriptSource, ClientPosition] | None,
    meanwhile: Callable[[], None] = lambda: None,
    after: int = 0,
) -> tuple[list[MixedTurn], ReplayBoundary]:
    """One replay, in which something happens after that many turns."""
    records = replay(chats.readers, SOURCES, positions=positions, clock=lambda: START, tenant_id="acme", user_id="ana")
    first = list(islice(records, after))
    if first and isinstance(first[-1], ReplayBoundary):
        return turns_of(first)
    meanwhile()
    return turns_of([*first, *records])


def require_each_once(chats: Chats, given: list[MixedTurn]) -> None:
    """Every turn of each session is given once, in its order, with its place in the session."""
    for source, count in chats.appended.items():
        of_source = [each for each in given if each.source == source]
        assert [each.message.content for each in of_source] == list(range(1, count + 1))
        assert [each.index_in_source for each in of_source] == list(range(count))


APPENDS = some.tuples(some.just("append"), some.sampled_from(SOURCES))
MOVES = some.tuples(some.just("move"), some.sampled_from(SOURCES))
STEPS = some.lists(some.one_of(APPENDS, APPENDS, APPENDS, MOVES), max_size=12)
ROUNDS = some.lists(some.tuples(STEPS, some.integers(0, 6), STEPS), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def one_database(mongo_client: MongoClient[dict[str, Any]], mongod: Mongod) -> Iterator[Chats]:
    """A database for all examples of the property."""
    name = f"test_replay_{uuid.uuid4().hex}"
    stores = Stores(Settings(mongo=MongoSettings(uri=mongod.uri, database=name)), say=print)
    yield Chats(mongo_client[name], stores)
    stores.close()
    mongo_client.drop_database(name)


@given(ROUNDS, some.booleans())
@settings(max_examples=15)
def test_replays_with_writers_at_work_give_each_turn_once(
    one_database: Chats, rounds: list[tuple[list[Any], int, list[Any]]], by_index: bool
):
    chats = Chats(one_database.database, one_database.stores)
    chats.begin()

    def perform(steps: list[Any]) -> None:
        for action, source in steps:
            getattr(chats, action)(source)

    positions: Mapping[TranscriptSource, ClientPosition] | None = None
    given: list[MixedTurn] = []
    for before, place, during in [*rounds, ([], 0, [])]:
        perform(before)
        turns, boundary = replayed(chats, positions, lambda steps=during: perform(steps), place)
        given += turns
        positions = boundary.positions
        if by_index:
            positions = {source: ClientPosition(index=position.index) for source, position in positions.items()}
    require_each_once(chats, given)
    everything = list(mixed_transcript(chats.readers, SOURCES))
    assert [each.message.created_at for each in everything] == [at(second) for second in range(1, chats.clock + 1)]


def test_writers_of_the_library_at_work_lose_and_double_nothing(
    chats: Chats, database: Database[dict[str, Any]], mongo_uri: str
):
    for name in COLLECTIONS.values():
        database[name].delete_many({})
    count = 40
    with AG2PersistenceManager(mongo_uri, database.name, segment_messages=8) as writers:
        general = writers.create_general_chat_session(app_id="acme", user_id="ana")["chat_id"]
        sources = (FIRST, SECOND, TranscriptSource("general", general))

        def write(source: TranscriptSource) -> None:
            for number in range(count):
                if source.layout == "general":
                    of_chat = {"general_chat_id": general, "app_id": "acme"}
                    writers.append_general_message(role="user", content=str(number), **of_chat)
                else:
                    turn = text(str(number), sender="Planner")
                    writers.save_event(turn, chat_id=source.session_id, enterprise_id="acme", user_id="ana")

        for source in (FIRST, SECOND):
            writers.create_session(chat_id=source.session_id, enterprise_id="acme", user_id="ana")
        threads = [threading.Thread(target=write, args=[source]) for source in sources]
        for thread in threads:
            thread.start()
        positions: Mapping[TranscriptSource, ClientPosition] | None = None
        given: list[MixedTurn] = []
        is_last = False
        while not is_last:
            is_last = not any(thread.is_alive() for thread in threads)
            turns, boundary = turns_of(writers.replay(sources, app_id="acme", positions=positions))
            given, positions = given + turns, boundary.positions
    assert database.chat_session_segments.count_documents({}) > 0
    for source in sources:
        of_source = [each for each in given if each.source == source]
        assert [each.message.content for each in of_source] == [str(number) for number in range(count)]
        assert [each.index_in_source for each in of_source] == list(range(count))


def test_moved_turns_count_in_the_position_of_a_client(chats: Chats):
    for _ in range(6):
        chats.append(FIRST)
    chats.move(FIRST)
    assert chats.database["chat_session_segments"].count_documents({}) == 1
    records = replay(chats.readers, [FIRST], positions={FIRST: ClientPosition(index=3)}, clock=lambda: START)
    turns, boundary = turns_of(records)
    assert [(each.message.content, each.index_in_source) for each in turns] == [(5, 4), (6, 5)]
    assert (boundary.chat.message_count, boundary.to_dict()["last_message_index"]) == (6, 5)


def test_a_replay_writes_nothing(chats: Chats):
    for source in SOURCES:
        chats.append(source)
    names = sorted(chats.database.list_collection_names())
    before = {name: list(chats.database[name].find()) for name in names}
    replayed(chats, None)
    assert sorted(chats.database.list_collection_names()) == names
    assert {name: list(chats.database[name].find()) for name in names} == before


# --- the library -----------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(chats: Chats, mongo_uri: str) -> Iterator[AG2PersistenceManager]:
    with AG2PersistenceManager(mongo_uri, chats.database.name) as manager:
        yield manager


def test_the_manager_replays_the_sessions_of_one_owner(chats: Chats, manager: AG2PersistenceManager):
    for source in (FIRST, GENERAL, FIRST):
        chats.append(source)
    turns, boundary = turns_of(manager.replay([FIRST, GENERAL], app_id="acme", user_id="ana"))
    assert [(each.source, each.message.content) for each in turns] == [(FIRST, 1), (GENERAL, 1), (FIRST, 2)]
    assert turns == list(manager.mixed_transcript([FIRST, GENERAL], app_id="acme"))
    chats.append(GENERAL)
    rest, _ = turns_of(manager.replay([FIRST, GENERAL], app_id="acme", positions=boundary.positions))
    assert [(each.source, each.message.content) for each in rest] == [(GENERAL, 2)]
    with pytest.raises(NotFound, match="No session 'chat-1' in workflow"):
        manager.replay([FIRST], app_id="birch")
    with pytest.raises(NotFound):
        manager.mixed_transcript([FIRST], app_id="acme", user_id="ben")
    with pytest.raises(BadValue, match="app_id"):
        manager.replay([FIRST], app_id="")


def test_the_event_diff_has_the_messages_after_a_sequence(chats: Chats, manager: AG2PersistenceManager):
    for _ in range(3):
        chats.append(FIRST)
    assert manager.fetch_event_diff(chat_id="chat-1", app_id="acme", last_sequence=2) == [
        {
            "role": "user",
            "content": 3,
            "timestamp": at(3),
            "event_type": None,
            "event_id": "chat-1-3",
            "sequence": 3,
            "agent_name": None,
            "source": None,
            "metadata": {"source": "general_agent"},
        }
    ]
    for app, chat, after in (
        ("birch", "chat-1", 0),
        ("acme", "chat-9", 0),
        ("acme", "chat-1", 3),
        ("acme", "chat-1", 9),
    ):
        assert manager.fetch_event_diff(chat_id=chat, app_id=app, last_sequence=after) == []


def test_the_awaitable_manager_streams_a_replay(chats: Chats, mongo_uri: str):
    for _ in range(30):
        chats.append(FIRST)

    async def main() -> None:
        async with aio.AG2PersistenceManager(mongo_uri, chats.database.name) as manager:
            records = [record async for record in manager.replay([FIRST], app_id="acme")]
            turns, boundary = turns_of(records)
            assert [each.message.content for each in turns] == list(range(1, 31))
            assert boundary.chat.replayed == 30
            assert await manager.fetch_event_diff(chat_id="chat-1", app_id="acme", last_sequence=30) == []

    asyncio.run(main())
