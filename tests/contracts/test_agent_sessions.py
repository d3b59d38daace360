"""The contract of the sessions of a Python agent, in memory and on a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.core.agent_sessions.sessions import AgentSessions
from chatstore_cli.domain.errors import BadValue, Conflict, ForeignCollection, InvalidAgent, NotFound
from chatstore_cli.mongo.agent_sessions.store import MongoAgentSessionStore
from chatstore_cli.mongo.connection import Connection

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HELLO = {"role": "user", "content": "Hello"}
ANSWER = {"role": "assistant", "content": "Good day"}


def sessions_of(connection: Connection, now: Callable[[], datetime] = lambda: NOON) -> AgentSessions:
    return AgentSessions(MongoAgentSessionStore(connection, "sessions", "messages", server_now=now))


@pytest.fixture
def sessions(any_connection: Connection) -> AgentSessions:
    return sessions_of(any_connection)


def texts(sessions: AgentSessions, session_id: str = "s") -> list[Any]:
    return [message.content for message in sessions.messages(session_id)]


def test_a_session_is_created_once(sessions: AgentSessions, any_connection: Connection) -> None:
    created = sessions.get_session("s", "ana", agent_id="sales")
    assert sessions.get_session("s", "ana", agent_id="other") == created
    assert (created.session_id, created.user_id, created.agent_id) == ("s", "ana", "sales")
    assert (created.created_at, created.updated_at) == (NOON, NOON)
    with pytest.raises(Conflict, match="another user's"):
        sessions.get_session("s", "ben")
    assert any_connection.database["sessions"].count_documents({}) == 1


def test_messages_are_appended_in_their_order(sessions: AgentSessions, any_connection: Connection) -> None:
    sessions.get_session("s", "ana")
    sessions.get_session("other", "ana")
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "f", "$x.y": 1}}]}
    assert [each.sequence for each in sessions.save_messages("s", [HELLO, call])] == [1, 2]
    assert [each.sequence for each in sessions.save_messages("other", [HELLO])] == [1]
    assert [each.sequence for each in sessions.save_messages("s", [{"role": "tool", "content": {"a": [1]}}])] == [3]
    assert sessions.save_messages("s", []) == []
    assert texts(sessions) == ["Hello", None, {"a": [1]}]
    assert sessions.messages("s")[1].more == {"tool_calls": call["tool_calls"]}
    assert [each.sequence for each in sessions.messages("s", last=2)] == [2, 3]
    stored = any_connection.database["messages"].find_one({"session_id": "s", "sequence": 1}, {"_id": 0})
    assert stored == {"session_id": "s", **HELLO, "sequence": 1, "created_at": NOON}


def test_a_retry_of_the_assistant_is_not_stored_and_a_repetition_is(sessions: AgentSessions) -> None:
    sessions.get_session("s", "ana")
    assert len(sessions.save_messages("s", [HELLO, ANSWER])) == 2
    assert sessions.save_messages("s", [ANSWER]) == []
    assert len(sessions.save_messages("s", [ANSWER, HELLO, ANSWER])) == 2
    assert texts(sessions) == ["Hello", "Good day"] * 2
    assert len(sessions.save_messages("s", [HELLO])) == 1
    assert len(sessions.save_messages("s", [HELLO])) == 1  # a user can say the same twice
    assert len(sessions.save_messages("s", [ANSWER])) == 1
    assert len(sessions.save_messages("s", [{**ANSWER, "content": "Good day."}])) == 1
    assert len(sessions.save_messages("s", [ANSWER])) == 1
    assert len(sessions.save_messages("s", [{**ANSWER, "name": "sales"}])) == 1
    assert len(sessions.save_messages("s", [{**ANSWER, "content": [1]}, {**ANSWER, "content": [True]}])) == 2


def test_a_clock_that_goes_back_does_not_change_the_order(any_connection: Connection) -> None:
    times = iter([NOON, NOON + timedelta(hours=1), NOON, NOON + timedelta(hours=2)])
    sessions = sessions_of(any_connection, lambda: next(times))
    sessions.get_session("s", "ana")
    for text in "abc":
        sessions.save_messages("s", [{"role": "user", "content": text}])
    assert texts(sessions) == ["a", "b", "c"]
    assert sessions.get_session("s", "ana").updated_at == NOON + timedelta(hours=2)


@pytest.mark.real
def test_messages_of_another_program_count(connection: Connection) -> None:
    sessions = sessions_of(connection)
    connection.database["sessions"].insert_one({"session_id": "s", "user_id": "ana"})
    others = [{**HELLO, "session_id": "s", "created_at": NOON}, {**ANSWER, "session_id": "s", "created_at": NOON}]
    connection.database["messages"].insert_many(others)
    assert sessions.get_session("s", "ana").created_at is None
    assert sessions.save_messages("s", [ANSWER]) == []
    assert [each.sequence for each in sessions.save_messages("s", [HELLO])] == [1]
    assert texts(sessions) == ["Hello", "Good day", "Hello"]


def test_another_writer_that_takes_the_place_is_first(any_connection: Connection) -> None:
    first, second = sessions_of(any_connection), sessions_of(any_connection)
    first.get_session("s", "ana")
    second.save_messages("s", [HELLO])
    store: Any = first._store
    look = store._last

    def late(session_id: str) -> Any:
        found = look(session_id)
        if len(second.messages(session_id)) == 1:
            second.save_messages(session_id, [ANSWER])
        return found

    store._last = late
    assert [each.content for each in first.save_messages("s", [ANSWER, {**HELLO, "content": "And?"}])] == ["And?"]
    assert texts(first) == ["Hello", "Good day", "And?"]


def test_wrong_values_are_rejected(sessions: AgentSessions) -> None:
    with pytest.raises(NotFound):
        sessions.save_messages("s", [HELLO])
    with pytest.raises(NotFound):
        sessions.messages("s")
    sessions.get_session("s", "ana")
    wrong: list[Any] = [
        "text", {"role": "user"}, [3], [{"content": "a"}], [{"role": "", "content": "a"}], [{"role": "user"}],
        [{**HELLO, "sequence": 3}], [{**HELLO, "_id": 3}], [{**HELLO, "$set": 3}], [{**HELLO, "a.b": 3}],
        [{**HELLO, "x": object()}], [{**HELLO, "content": "a" * (13 << 20)}], [HELLO] * 1001,
        [{**HELLO, "created_at": "x"}], [{**HELLO, "session_id": "t"}], [{"role": "user", "content": "\ud800"}],
    ]  # fmt: skip
    for messages in wrong:
        with pytest.raises(InvalidAgent):
            sessions.save_messages("s", messages)
    for last in (0, True, "5"):
        with pytest.raises(BadValue):
            sessions.messages("s", last=last)
    for session_id, user in (("", "ana"), ("s", ""), (None, "ana"), ("s", 3)):
        with pytest.raises(InvalidAgent):
            sessions.get_session(session_id, user)
    assert texts(sessions) == []


def test_another_products_collections_are_left_alone(sessions: AgentSessions, any_connection: Connection) -> None:
    foreign = [{"expires": NOON, "session": "{}", "n": number} for number in range(30)]
    any_connection.database["sessions"].insert_many(foreign)
    with pytest.raises(ForeignCollection):
        sessions.get_session("s", "ana")
    assert any_connection.database["sessions"].count_documents({}) == 30
