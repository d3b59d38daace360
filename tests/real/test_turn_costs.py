"""Counting a turn takes the same in a session of any length, and stays right whatever happens in the session meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, Int64
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.core.usage.explain import differing_counters, explain_usage, repair_counters
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.usage import Usage
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.usage.rows import usage_index_specs
from tests.support.general_sessions import CHAT, count_turn, ledger_of, metrics_of, store_both
from tests.support.usage_snapshots import snapshot

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection

    Documents = Database[dict[str, Any]]

pytestmark = pytest.mark.real

STEPS = ("counters_from_ledger", "insert", "unapplied", "set_counters", "mark_applied")
"""The steps of a turn that is not the first one of its session."""


class Commands(CommandListener):
    """The names of all commands that were sent."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.mark.parametrize("session_type", ["general", "workflow"])
def test_a_turn_sends_as_many_commands_and_reads_as_many_documents_after_2000_turns_as_after_10(
    database: Documents, connection: Connection, mongo_uri: str, session_type: str
) -> None:
    store_both(database)
    for spec in usage_index_specs("usage_events", "usage_daily"):
        options = {} if spec.partial_filter is None else {"partialFilterExpression": dict(spec.partial_filter)}
        database[spec.collection].create_index(list(spec.keys), name=spec.name, **options)
    recorder = UsageRecorder(ledger_of(connection, session_type))
    costs = []
    for first, end in ((0, 10), (10, 2_000)):
        of_turn = [snapshot(number, 5, chat_id=CHAT, turn_id=f"turn-{number}") for number in range(first, end)]
        recorder.record(of_turn)
        commands = Commands()
        own = connect(mongo_uri, database.name, timeout_seconds=20, listener=commands)
        own.own_collections.update(("usage_events", "GeneralChatSessions", "chat_sessions"))  # looks at a few documents
        metrics = metrics_of(own)
        for turn in ("new", "new", "next"):  # by a new process, again, and by a process that has counted before
            commands.names.clear()
            database.command("profile", 2)
            count_turn(metrics, 3, 1, turn_id=f"{turn}-{end}", session_type=session_type)
            database.command("profile", 0)
            reads = database["system.profile"].find({"ns": {"$ne": f"{database.name}.system.profile"}})
            read = [(each.get("docsExamined"), each.get("keysExamined")) for each in reads]
            costs.append(([name for name in commands.names if name != "listCollections"], read))
            database["system.profile"].drop()
    few, many = costs[:3], costs[3:]
    assert few == many
    turn, repeated = ["aggregate", "aggregate", "insert", "find", "aggregate", "update", "update"], few[1][0]
    assert [few[0][0], few[2][0]] == [turn, turn]
    assert repeated == ["aggregate", "aggregate", "insert", "find", "find"]


def other_turn(connection: Connection, database: Documents) -> None:
    count_turn(metrics_of(connection), 50, 5, turn_id="other")


def same_turn(connection: Connection, database: Documents) -> None:
    count_turn(metrics_of(connection), 3, 1, 0.5, turn_id="t")


def running_total(connection: Connection, database: Documents) -> None:
    UsageRecorder(ledger_of(connection)).record([snapshot(1, 700, chat_id=CHAT)])


def killed_report(connection: Connection, database: Documents) -> None:
    """Only its row is stored."""
    ledger_of(connection).insert({"killed": snapshot(2, 900, chat_id=CHAT, turn_id="killed")})


def reconciled(connection: Connection, database: Documents) -> None:
    ledger = ledger_of(connection)
    for finding in differing_counters(ledger):
        repair_counters(ledger, finding)


def counters_lost(connection: Connection, database: Documents) -> None:
    """An application replaces the document by one without counters and note."""
    document = database["GeneralChatSessions"].find_one() or {}
    others = {name: value for name, value in document.items() if not name.startswith("usage_")}
    database["GeneralChatSessions"].replace_one({}, others)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "event",
    [other_turn, same_turn, running_total, killed_report, reconciled, counters_lost],
    ids=lambda each: each.__name__,
)
def test_counters_equal_the_ledger_whatever_happens_between_two_steps_of_a_turn(
    connection: Connection,
    database: Documents,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    event: Callable[[Connection, Documents], None],
) -> None:
    store_both(database)
    metrics = metrics_of(connection)
    count_turn(metrics, 20, 5, turn_id="before")
    original = getattr(MongoUsageLedger, step)

    def interrupted(*arguments: Any) -> Any:
        monkeypatch.setattr(MongoUsageLedger, step, original)
        result = original(*arguments)
        event(connection, database)
        return result

    monkeypatch.setattr(MongoUsageLedger, step, interrupted)
    count_turn(metrics, 3, 1, 0.5, turn_id="t")
    monkeypatch.setattr(MongoUsageLedger, step, original)
    count_turn(metrics, 1, 0, turn_id="last")  # counts what a killed process left
    explanation = explain_usage(ledger_of(connection), CHAT)
    assert explanation.sums == explanation.counters
    turns = {row.row.snapshot.turn_id for row in explanation.rows}
    assert {"before", "t", "last"} <= turns
    assert explanation.sums.cost is not None
    assert database["usage_events"].count_documents({"applied": False}) == 0


@pytest.mark.parametrize("step", STEPS[:3])
def test_a_session_that_is_deleted_between_two_steps_of_a_turn_keeps_no_row_of_it(
    connection: Connection, database: Documents, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store_both(database)
    metrics = metrics_of(connection)
    count_turn(metrics, 20, 5, turn_id="before")
    original = getattr(MongoUsageLedger, step)

    def deleted_after(*arguments: Any) -> Any:
        result = original(*arguments)
        database["GeneralChatSessions"].delete_one({"_id": CHAT})
        return result

    monkeypatch.setattr(MongoUsageLedger, step, deleted_after)
    with pytest.raises(NotFound, match="No session"):
        count_turn(metrics, 3, 1, turn_id="t")
    assert [row["turn_id"] for row in database["usage_events"].find()] == ["before"]


COUNTS = (20, 20.0, Int64(20), Decimal128("20"), "20", None, "many", -3, 20.5, True)
COSTS = (0.1, Decimal128("0.1"), "0.1", None, "much", float("nan"), -1)


@pytest.mark.parametrize("session_type", ["general", "workflow"])
def test_counters_of_any_type_are_the_sums_after_the_next_turn(
    connection: Connection, database: Documents, session_type: str
) -> None:
    store_both(database)
    metrics, ledger = metrics_of(connection), ledger_of(connection, session_type)
    count_turn(metrics, 20, 5, 0.1, turn_id="before", session_type=session_type)
    sessions = database["GeneralChatSessions" if session_type == "general" else "chat_sessions"]
    original = sessions.find_one() or {}
    prompt, cost = (
        ("usage_prompt_tokens_final", "usage_total_cost_final")
        if session_type == "general"
        else ("real_time_tracking.tokens.prompt_tokens", "real_time_tracking.tokens.total_cost")
    )
    for number, stored in enumerate([*({prompt: count} for count in COUNTS), *({cost: amount} for amount in COSTS)]):
        sessions.replace_one({}, original)
        database["usage_events"].delete_many({"turn_id": {"$ne": "before"}})
        sessions.update_one({}, {"$set": stored})
        count_turn(metrics, 3, 1, 0.2, turn_id=f"turn-{number}", session_type=session_type)
        count_turn(metrics, 10, 1, 0.2, turn_id=f"next-{number}", session_type=session_type)
        assert ledger.counters(CHAT) == Usage(33, 7, 40, Decimal("0.5")), stored
        assert list(differing_counters(ledger)) == []
