"""kill -9 and several processes at once while calls begin and end, and while phone numbers are bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from tests.support import agent_writers, call_writers
from tests.support.forked_jobs import ForkedJobs
from tests.support.kill_at_command import INSTANTS
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
_MOST_COMMANDS = 30


@pytest.fixture(scope="module")
def all_writers() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with call_writers.call_writers() as processes:
        yield processes


@pytest.fixture
def processes(all_writers: ForkedJobs, mongod: Mongod, database: Database[dict[str, Any]]) -> ForkedJobs:
    """Processes that write to that database."""
    all_writers.write_to(mongod.uri, database.name)
    return all_writers


def test_of_8_processes_that_start_a_call_in_one_room_one_wins(
    database: Database[dict[str, Any]], processes: ForkedJobs, mongod: Mongod
) -> None:
    jobs = [{"work": "start", "room": "r", "session_id": f"s{number}"} for number in range(8)]
    codes = processes.run(*jobs)
    assert sorted(codes) == [0] + [call_writers.TAKEN] * 7
    [call] = database["call_sessions"].find()
    assert (call["_id"], call["open"]) == (f"s{codes.index(0)}", True)
    calls, _ = call_writers.services(mongod.uri, database.name)
    calls.end(room="r")
    assert sorted(processes.run(*({**job, "session_id": job["session_id"] + "b"} for job in jobs))) == sorted(codes)
    assert database["call_sessions"].count_documents({"open": True}) == 1


@pytest.mark.parametrize("tenants", [8, 1])
def test_8_processes_that_bind_one_number_leave_one_live_route(
    database: Database[dict[str, Any]], processes: ForkedJobs, mongod: Mongod, tenants: int
) -> None:
    agents = agent_writers.registry(mongod.uri, database.name)
    ids = [agents.create_agent("a", tenant_id=f"t{number % tenants}").agent_id for number in range(8)]
    codes = processes.run(*({"work": "bind", "number": "+4930123456", "agent_id": each} for each in ids))
    assert sorted(codes) == ([0] + [call_writers.TAKEN] * 7 if tenants == 8 else [0] * 8)
    [binding] = database["lk_telephony_bindings"].find()
    assert binding["agentId"] in [each for each, code in zip(ids, codes, strict=True) if code == 0]


@pytest.mark.parametrize("instant", INSTANTS)
def test_a_killed_start_is_done_or_not_and_can_be_repeated(
    database: Database[dict[str, Any]], processes: ForkedJobs, instant: str
) -> None:
    outcomes = set()
    for number in range(1, _MOST_COMMANDS):
        database["call_sessions"].drop()
        job = {"work": "start", "room": "r", "session_id": "s"}
        [code] = processes.run({**job, "kill_at": (instant, number, 0.5)})
        stored = list(database["call_sessions"].find())
        outcomes.add(bool(stored))
        assert processes.run(job) == [0]
        assert processes.run({**job, "session_id": "other"}) == [call_writers.TAKEN]
        [call] = database["call_sessions"].find()
        assert stored in ([], [call])
        if code == 0:
            assert stored
            break
        assert code == -9
    else:
        pytest.fail("the start never ended")
    assert outcomes == {True, False}


@pytest.mark.parametrize("instant", INSTANTS)
def test_a_killed_end_is_done_or_not_and_can_be_repeated(
    database: Database[dict[str, Any]], processes: ForkedJobs, instant: str
) -> None:
    assert processes.run({"work": "start", "room": "r", "session_id": "s"}) == [0]
    [begun] = database["call_sessions"].find()
    for number in range(1, _MOST_COMMANDS):
        database["call_sessions"].replace_one({}, begun)
        [code] = processes.run({"work": "end", "session_id": "s", "kill_at": (instant, number, 0.5)})
        [after] = database["call_sessions"].find()
        assert after == begun or (after["open"], after["close_reason"]) == (False, "hung up")
        assert processes.run({"work": "end", "session_id": "s"}) == [0]
        [ended] = database["call_sessions"].find()
        assert ended["open"] is False
        assert after in (begun, ended)
        if code == 0:
            return
        assert code == -9
    pytest.fail("the end never ended")
