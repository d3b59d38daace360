"""A turn counts once, at whatever command the process that reports it is killed, and however many processes report it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.core.usage.explain import differing_counters
from chatstore_cli.mongo.connection import connect
from tests.support.general_sessions import count_turn, final, ledger_of, metrics_of, store_both
from tests.support.kill_at_command import KillAtCommand, fork, run_in_fork, wait_for

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection

pytestmark = pytest.mark.real
PROCESSES = 8


@pytest.mark.parametrize(
    ("session_type", "turns_before"), [("general", 0), ("workflow", 0), ("general", 1), ("workflow", 1)]
)
# Before a command, the server has what it had after the last one.
@pytest.mark.parametrize("instant", [pytest.param("before", marks=pytest.mark.soak), "after"])
def test_a_turn_whose_process_is_killed_at_any_command_counts_once_when_it_is_reported_again(
    connection: Connection,
    database: Database[dict[str, Any]],
    mongo_uri: str,
    session_type: str,
    instant: str,
    turns_before: int,
) -> None:
    store_both(database)
    turn: dict[str, Any] = {"turn_id": "t", "session_type": session_type}
    database["GeneralChatSessions"].update_one({}, {"$set": {"usage_total_tokens_final": 100}})
    database["chat_sessions"].update_one({}, {"$set": {"usage_total_tokens_final": 100}})

    for _ in range(turns_before):
        count_turn(metrics_of(connection), 1_000, 0, session_type=session_type)

    def report(number: int) -> None:
        killer = KillAtCommand(instant, number)
        count_turn(metrics_of(connect(mongo_uri, database.name, timeout_seconds=10, listener=killer)), 40, 2, **turn)

    number = 1
    while run_in_fork(partial(report, number)) == -9:
        number += 1
    assert number > 6
    count_turn(metrics_of(connection), 7, 1, turn_id="u", session_type=session_type)
    ledger = ledger_of(connection, session_type)
    [(_, sums)] = ledger.chats()
    before = 1_000 * turns_before
    assert (sums.prompt_tokens, sums.completion_tokens, sums.total_tokens) == (before + 47, 3, before + 150)
    assert list(differing_counters(ledger)) == []
    assert database["usage_events"].count_documents({"applied": False}) == 0
    collection = "GeneralChatSessions" if session_type == "general" else "chat_sessions"
    assert (database[collection].find_one() or {})["usage_total_tokens_final"] == before + 150


def test_eight_processes_that_report_the_same_turns_count_each_once(
    connection: Connection, database: Database[dict[str, Any]], mongo_uri: str
) -> None:
    store_both(database)

    def report(first: int) -> None:
        metrics = metrics_of(connect(mongo_uri, database.name, timeout_seconds=20))
        for number in range(5):
            turn = (first + number) % 5
            count_turn(metrics, 10 * turn, turn, turn_id=f"turn-{turn}")
        count_turn(metrics, 1, 0)

    processes = [fork(lambda first=first: report(first)) for first in range(PROCESSES)]
    assert [wait_for(process) for process in processes] == [0] * PROCESSES
    assert final(database) == (100 + PROCESSES, 10, 110 + PROCESSES, 0.0)
