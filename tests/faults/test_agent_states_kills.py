"""kill -9 and several processes at once while states change and messages are saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from tests.support import state_writers
from tests.support.forked_jobs import ForkedJobs
from tests.support.kill_at_command import INSTANTS
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
_MOST_COMMANDS = 30
_INSTANTS = [each if each == "after" else pytest.param(each, marks=pytest.mark.soak) for each in INSTANTS]


@pytest.fixture(scope="module")
def all_writers() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with state_writers.state_writers() as processes:
        yield processes


@pytest.fixture
def processes(all_writers: ForkedJobs, mongod: Mongod, database: Database[dict[str, Any]]) -> ForkedJobs:
    """Processes that write to that database."""
    all_writers.write_to(mongod.uri, database.name)
    return all_writers


def test_8_processes_that_set_different_paths_lose_none(
    database: Database[dict[str, Any]], processes: ForkedJobs
) -> None:
    """They share objects, and half of the keys cannot be field names of an update."""
    keys = [[f"plain {number}", f"dot.{number}", f"$dollar{number}", str(number)] for number in range(8)]
    jobs = [
        {
            "work": "set",
            "value": number,
            "paths": [*([key] for key in names), *(["shared", "a.b", key] for key in names)],
        }
        for number, names in enumerate(keys)
    ]
    assert processes.run(*jobs) == [0] * 8
    [state] = database["states"].find()
    wanted = {key: number for number, names in enumerate(keys) for key in names}
    assert state["data"].pop("shared") == {"a.b": wanted}
    assert state["data"] == wanted
    assert state["current_agent_id"] is None


@pytest.mark.parametrize("path", [["a", "b"], ["a", "b.c"]], ids=["plain", "guarded"])
@pytest.mark.parametrize("work", ["set", "unset"])
@pytest.mark.parametrize("instant", _INSTANTS)
def test_a_killed_change_is_done_or_not_and_can_be_repeated(
    database: Database[dict[str, Any]], processes: ForkedJobs, instant: str, work: str, path: list[str]
) -> None:
    key = path[-1]
    before = {"a": {"other": 1, key: "old"}}
    after = {"a": {"other": 1, **({key: "new"} if work == "set" else {})}}
    job = {"work": work, "paths": [path], "value": "new", "prepared": True}
    for number in range(1, _MOST_COMMANDS):
        database["states"].delete_many({})
        database["states"].insert_one({"user_id": "ana", "session_id": "s", "current_agent_id": "x", "data": before})
        [code] = processes.run({**job, "kill_at": (instant, number, 0.5)})
        [stored] = database["states"].find()
        assert stored["data"] in (before, after)
        assert processes.run(job) == [0]
        [stored] = database["states"].find()
        assert (stored["data"], stored["current_agent_id"]) == (after, "x")
        if code == 0:
            return
        assert code == -9
    pytest.fail("the change never ended")


@pytest.mark.parametrize("instant", _INSTANTS)
def test_a_killed_first_change_leaves_one_state_or_none(
    database: Database[dict[str, Any]], processes: ForkedJobs, instant: str
) -> None:
    job = {"work": "set", "paths": [["a", "b.c"]], "value": 1}
    for number in range(1, _MOST_COMMANDS):
        database["states"].drop()
        [code] = processes.run({**job, "kill_at": (instant, number, 0.5)})
        assert database["states"].count_documents({}) in (0, 1)
        assert processes.run(job) == [0]
        [stored] = database["states"].find()
        assert stored["data"] == {"a": {"b.c": 1}}
        if code == 0:
            return
        assert code == -9
    pytest.fail("the change never ended")


def test_8_processes_create_one_session_and_append_all_messages_in_their_order(
    database: Database[dict[str, Any]], processes: ForkedJobs
) -> None:
    jobs = [
        {"work": "save", "messages": [{"role": "user", "content": f"{number}.{part}"} for part in range(5)]}
        for number in range(8)
    ]
    assert processes.run(*jobs) == [0] * 8
    assert database["sessions"].count_documents({}) == 1
    stored = list(database["messages"].find().sort([("created_at", 1), ("sequence", 1), ("_id", 1)]))
    assert [each["sequence"] for each in stored] == list(range(1, 41))
    for number in range(8):
        own = [each["content"] for each in stored if each["content"].startswith(f"{number}.")]
        assert own == [f"{number}.{part}" for part in range(5)]


def test_of_8_processes_that_save_the_same_answer_one_stores_it(
    database: Database[dict[str, Any]], processes: ForkedJobs
) -> None:
    job = {"work": "save", "messages": [{"role": "assistant", "content": "Good day"}]}
    assert processes.run(*[job] * 8) == [0] * 8
    assert database["messages"].count_documents({}) == 1


@pytest.mark.parametrize("instant", _INSTANTS)
def test_a_killed_save_stores_the_beginning_of_the_messages_and_no_answer_twice(
    database: Database[dict[str, Any]], processes: ForkedJobs, instant: str
) -> None:
    answer = {"role": "assistant", "content": "Good day"}
    job = {"work": "save", "messages": [answer], "prepared": True}
    for number in range(1, _MOST_COMMANDS):
        database["sessions"].delete_many({})
        database["messages"].delete_many({})
        [code] = processes.run({**job, "kill_at": (instant, number, 0.5)})
        assert database["messages"].count_documents({}) in (0, 1)
        assert processes.run(job) == [0]
        [stored] = database["messages"].find()
        assert (stored["content"], stored["sequence"]) == ("Good day", 1)
        assert database["sessions"].count_documents({}) == 1
        if code == 0:
            return
        assert code == -9
    pytest.fail("the save never ended")
