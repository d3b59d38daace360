"""The layout of a Python agent's sessions: stored values of every type, pages, and the commands over it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS

from chatstore_cli.config.settings import AgentSettings, ChatstoreSettings, Settings
from chatstore_cli.config.sources import variable_of
from chatstore_cli.core.agent_sessions.sessions import AgentSessions
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.agent_sessions.store import MongoAgentSessionStore
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.layouts.registry import used_layouts
from chatstore_cli.mongo.products.agent_sessions import AgentSessionsLayout
from tests.support.bson_values import NUMBERS, OTHERS
from tests.support.samples import store_sample

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
AGENTS = AgentSettings(sessions="sessions", messages="messages")
SETTINGS = Settings(chatstore=ChatstoreSettings(agents=AGENTS))
NAMES = {variable_of(f"chatstore.agents.{name}"): name for name in ("sessions", "messages")}
EVERYTHING = SessionQuery()


def store_sessions(connection: Connection, *documents: dict[str, Any]) -> AgentSessionsLayout:
    """A reader over these sessions, with the indexes."""
    sessions = AgentSessions(MongoAgentSessionStore(connection, "sessions", "messages", server_now=lambda: NOON))
    if not connection.in_memory:
        sessions.get_session("prepared", "nobody")
        connection.database["sessions"].delete_many({})
        connection.database["sessions"].drop_index("agent_sessions_id_idx")
    connection.database["sessions"].insert_many([{"_id": ObjectId(), "user_id": "ana", **each} for each in documents])
    return AgentSessionsLayout(connection, SETTINGS)


def pages(reader: AgentSessionsLayout, query: SessionQuery, size: int) -> list[Session]:
    found: list[Session] = []
    after = None
    while page := list(reader.newest_first(query, after, size)):
        found += page
        after = SessionKey.of(page[-1])
    return found


def test_the_layout_is_used_only_if_both_collections_are_named() -> None:
    for sessions, messages in ((None, None), ("s", None), (None, "m")):
        agents = AgentSettings(sessions=sessions, messages=messages)
        assert "agent_sessions" not in used_layouts(Settings(chatstore=ChatstoreSettings(agents=agents)))
    assert used_layouts(SETTINGS)[-1] == "agent_sessions"


@pytest.mark.real
@pytest.mark.parametrize("seed", range(2))
def test_pages_have_every_session_once_whatever_types_it_has(connection: Connection, seed: int) -> None:
    choose = random.Random(seed)
    times = [NOON + timedelta(minutes=minute) for minute in range(4)]
    odd = [*NUMBERS, *OTHERS, DatetimeMS(2**60), DatetimeMS(-(2**60)), [*times], [], None, "2026-03-02T12:00:01Z"]
    documents: list[dict[str, Any]] = [
        {"session_id": f"s-{number}", "updated_at": choose.choice(times), "created_at": times[0]}
        for number in range(30)
    ]
    documents += [{"session_id": f"array {number}", "updated_at": [*times][: number + 1]} for number in range(3)]
    if seed:
        documents += [{"session_id": f"o-{place}", "updated_at": value} for place, value in enumerate(odd)]
        documents += [{"session_id": f"u-{place}", "user_id": value} for place, value in enumerate(odd)]
        documents += [{"session_id": value, "updated_at": times[1]} for value in odd]
    choose.shuffle(documents)
    reader = store_sessions(connection, *documents)
    whole = list(reader.newest_first(EVERYTHING, None, 1_000))
    keys = [SessionKey.of(session) for session in whole]
    assert keys == sorted(keys, reverse=True)
    assert {f"s-{number}" for number in range(30)} <= {session.session_id for session in whole}
    assert len({session.session_id for session in reader.all_facts(EVERYTHING)}) == len(
        {key.session_id for key in keys}
    )
    assert bool(reader.remarks) == bool(seed)
    if not seed:
        assert len(whole) == 33
    unique = list(dict.fromkeys(keys))  # without the index on session_id, 0 and 0.0 are two sessions with one id
    for size in (23, 64) if seed else (1, 4, 7):
        paged = list(map(SessionKey.of, pages(reader, EVERYTHING, size)))
        assert (list(dict.fromkeys(paged)) if seed else paged) == unique
    for query in (SessionQuery(since=times[1]), SessionQuery(until=times[2]), SessionQuery(user_id="ana")):
        expected = dict.fromkeys(SessionKey.of(session) for session in whole if query.matches(session))
        assert list(dict.fromkeys(map(SessionKey.of, pages(reader, query, 41 if seed else 5)))) == list(expected)


@pytest.mark.real
def test_messages_of_any_type_are_read(connection: Connection) -> None:
    reader = store_sessions(connection, {"session_id": "s", "updated_at": NOON})
    values = [*NUMBERS, *OTHERS]
    for place, value in enumerate(values):
        fields = ("role", "content", "sequence", "created_at", "name", "tool_calls", "tool_call_id", "metadata")
        message = {"session_id": "s", **dict.fromkeys(fields, value), "sequence": {"odd": value, "place": place}}
        connection.database["messages"].insert_one(message)
    found = list(reader.messages("s", MessageSelection()))
    assert len(found) == len(values)
    assert [message.to_dict() for message in found]
    assert list(reader.messages("s", MessageSelection(last=3))) == found[-3:] or found[-3:] != found[-3:]
    session = reader.find("s")
    assert session is not None
    assert session.message_count == len(values)


@pytest.mark.real
def test_commands_read_the_layout_and_never_write_it(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_sample(database, "agent_sessions")
    before = [list(database[name].find()) for name in ("sessions", "messages")]
    off = chatstore("sessions", "list", "--layout", "agent_sessions", "-o", "json")
    assert off.code == 2
    assert "set chatstore.agents.sessions" in off.err
    listed = chatstore("sessions", "list", "-o", "json", env=NAMES)
    assert listed.code == 0, listed.err
    assert len(json.loads(listed.out)["items"]) == 6
    assert "1 document" in listed.err  # of another product
    shown = json.loads(chatstore("sessions", "show", "a-1", "-o", "json", env=NAMES).out)
    assert (shown["layout"], shown["message_count"]) == ("agent_sessions", 5)
    resumed = json.loads(chatstore("resume", "a-1", "--as", "openai", env=NAMES).out)
    assert [message["role"] for message in resumed] == ["user", "assistant", "tool", "assistant"]
    assert resumed[1]["tool_calls"][0]["id"] == "c1"
    assert chatstore("sessions", "delete", "a-1", "--yes", env=NAMES).code == 4
    assert chatstore("sessions", "complete", "a-1", env=NAMES).code == 3
    assert [list(database[name].find()) for name in ("sessions", "messages")] == before
    assert list(database["sessions"].list_indexes())[1:] == []
    assert chatstore("indexes", "apply", env=NAMES).code == 0
    assert list(database["sessions"].list_indexes())[1:] == []
    assert chatstore("indexes", "apply", "--layout", "agent_sessions", env=NAMES).code == 0
    assert len(list(database["sessions"].list_indexes())) == 3
