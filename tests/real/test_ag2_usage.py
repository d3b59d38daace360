"""Usage of agents that live longer than a session: real AG2 clients at a local endpoint, and clients that only count."""

from __future__ import annotations

import collections
import contextlib
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.explain import differing_counters
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.errors import BadValue, Conflict, Unreachable
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import LedgerQuery, UsageGrowth, UsageSnapshot
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from tests.support.ag2_events import event, new_manager, text
from tests.support.model_endpoint import COST, TOTAL, llm_config, model_endpoint
from tests.support.peers import import_peer

pytestmark = pytest.mark.real
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def manager(connection: Connection) -> AG2Manager:
    return new_manager(connection)


@pytest.fixture
def ledger(connection: Connection) -> MongoUsageLedger:
    return MongoUsageLedger(connection, Settings())


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with model_endpoint() as url:
        yield url


@pytest.fixture
def writer(endpoint: str) -> Any:
    return ag2_agent("Writer", endpoint)


def ag2_agent(name: str, endpoint: str, **config: Any) -> Any:
    agents = import_peer("autogen")
    return agents.ConversableAgent(name, llm_config=llm_config(endpoint, **config), human_input_mode="NEVER")


def ask(agent: Any, times: int = 1) -> None:
    for _ in range(times):
        assert agent.generate_reply(messages=HELLO)


class Counter:
    """An agent whose client only counts."""

    def __init__(self, name: str = "Writer") -> None:
        self.name = name
        self.client = SimpleNamespace(actual_usage_summary=None)

    def use(self, tokens: int, model: str = "m") -> None:
        summary = self.client.actual_usage_summary or {}
        before = summary.get(model, {"total_tokens": 0, "cost": 0})
        more = {"total_tokens": before["total_tokens"] + tokens, "cost": before["cost"] + tokens / 1_000}
        self.client.actual_usage_summary = {**summary, model: more}


def save(manager: AG2Manager, agents: Any, chat_id: str = "c", **more: Any) -> Usage:
    return manager.save_usage(agents, chat_id=chat_id, enterprise_id="acme", **more)


def tokens(database: Any, chat_id: str = "c") -> int:
    counted: int = database.chat_sessions.find_one({"chat_id": chat_id})["real_time_tracking"]["tokens"]["total_tokens"]
    return counted


def assert_counted(database: Any, ledger: MongoUsageLedger, expected: dict[str, int]) -> None:
    """The counters and the ledger have these tokens, and every row is marked as counted."""
    assert {chat_id: tokens(database, chat_id) for chat_id in expected} == expected
    assert {chat_id: sums.total_tokens for chat_id, sums in ledger.chats()} == expected
    assert list(differing_counters(ledger)) == []
    assert database.usage_events.count_documents({"applied": False}) == 0


# --- real agents -----------------------------------------------------------------------------------------------------


def test_one_agent_that_serves_three_sessions_is_counted_once_in_each(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger, writer: Any
) -> None:
    for number, chat_id in enumerate(("one", "two", "three"), start=1):
        manager.save_event(text("Hello"), chat_id=chat_id, enterprise_id="acme")
        with manager.usage_of(writer, chat_id=chat_id, enterprise_id="acme"):
            ask(writer, number)
    assert_counted(database, ledger, {"one": TOTAL, "two": 2 * TOTAL, "three": 3 * TOTAL})
    assert writer.get_actual_usage()["model-1"]["total_tokens"] == 6 * TOTAL
    stored = database.chat_sessions.find_one({"chat_id": "three"})["real_time_tracking"]["tokens"]
    assert stored["total_cost"] == pytest.approx(3 * COST)
    assert {(row["agent"], row["model"]) for row in database.usage_events.find()} == {("Writer", "model-1")}


def test_an_agent_that_stays_alive_over_runs_is_counted_once(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger, writer: Any
) -> None:
    manager.create_session("c", enterprise_id="acme")
    for run in (1, 2, 3):
        assert manager.start_run("c", enterprise_id="acme") == run
        for _ in range(2):
            ask(writer)
            assert save(manager, writer).total_tokens == TOTAL
    assert_counted(database, ledger, {"c": 6 * TOTAL})
    per_run = database.usage_events.aggregate([{"$group": {"_id": "$run", "total": {"$max": "$total_tokens"}}}])
    assert {row["_id"]: row["total"] for row in per_run} == dict.fromkeys((1, 2, 3), 2 * TOTAL)


def test_replaced_and_cleared_clients_of_ag2_count_from_zero(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger, writer: Any
) -> None:
    parameters = {"type": "object", "properties": {}}
    function = {"name": "look_up", "description": "Looks up.", "parameters": parameters}
    tool = {"type": "function", "function": function}
    changes: list[Any] = [
        lambda: writer.update_tool_signature(tool, is_remove=False, silent_override=True),
        writer.reset,
        lambda: None,
    ]
    for number, change in enumerate(changes, start=1):  # each uses more than the client did before
        change()
        ask(writer, number)
        assert save(manager, [writer]).total_tokens == number * TOTAL
    with manager.usage_of(writer, chat_id="c", enterprise_id="acme"):
        for change in changes:
            ask(writer)
            manager.save_event(text("Hello"), chat_id="c", enterprise_id="acme")
            change()
        ask(writer)
    assert_counted(database, ledger, {"c": 10 * TOTAL})


def test_ag2_adds_to_its_summaries_until_reset_drops_both(writer: Any) -> None:
    """What chatstore relies on to notice a reset after which more was used than before."""
    ask(writer)
    seen = writer.client.actual_usage_summary, writer.client.total_usage_summary
    ask(writer)
    assert seen[0] is writer.client.actual_usage_summary
    assert seen[1] is writer.client.total_usage_summary
    writer.reset()
    assert (writer.client.actual_usage_summary, writer.client.total_usage_summary) == (None, None)


def test_answers_from_ag2s_cache_cost_nothing(manager: AG2Manager, database: Any, endpoint: str) -> None:
    cache = import_peer("autogen.cache.in_memory_cache").InMemoryCache("seed")
    for number in (1, 2):
        agent = ag2_agent("Writer", endpoint)
        agent.client_cache = cache
        ask(agent, 2)
        assert agent.get_total_usage()["model-1"]["total_tokens"] == 2 * TOTAL
        assert save(manager, agent).total_tokens == (TOTAL if number == 1 else 0)
    assert tokens(database) == TOTAL


def test_a_group_chat_counts_its_manager_and_its_agents_once_each(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger, endpoint: str
) -> None:
    autogen = import_peer("autogen")
    writer, critic = ag2_agent("Writer", endpoint), ag2_agent("Critic", endpoint, model="model-2")
    user = autogen.ConversableAgent("user", llm_config=False, human_input_mode="NEVER", default_auto_reply="Go on.")
    chat = autogen.GroupChat(
        agents=[user, writer, critic], messages=[], max_round=4, speaker_selection_method="round_robin"
    )
    group = autogen.GroupChatManager(groupchat=chat, llm_config=llm_config(endpoint))
    with manager.usage_of([group, writer], chat_id="c", enterprise_id="acme"):
        for given in user.run(group, message="Write.", summary_method="reflection_with_llm").events:
            manager.save_event(given, chat_id="c", enterprise_id="acme")
    used = {(row["agent"], row["model"]): row["total_tokens"] for row in database.usage_events.find()}
    by_manager = {("chat_manager", "model-1"): TOTAL}  # the summary
    assert used == {("Writer", "model-1"): TOTAL, ("Critic", "model-2"): TOTAL, **by_manager}
    assert_counted(database, ledger, {"c": 3 * TOTAL})


# --- storing ---------------------------------------------------------------------------------------------------------


def test_the_session_is_created_and_nothing_is_written_without_usage(manager: AG2Manager, database: Any) -> None:
    agent = Counter()
    assert save(manager, [agent, SimpleNamespace(name="user", client=None)]) == Usage()
    with manager.usage_of(agent, chat_id="c", enterprise_id="acme"):
        pass
    assert database.chat_sessions.count_documents({}) == 0
    agent.use(10)
    stored = save(manager, agent, user_id="ada", workflow_name="Visits")
    assert (stored.total_tokens, float(stored.cost or 0)) == (10, 0.01)
    document = database.chat_sessions.find_one({})
    assert (document["user_id"], document["workflow_name"]) == ("ada", "Visits")
    row = database.usage_events.find_one({})
    assert (row["user_id"], row["workflow"], row["tenant_id"], row["run"]) == ("ada", "Visits", "acme", 1)


def test_usage_is_stored_if_the_block_raises(manager: AG2Manager, database: Any) -> None:
    agent = Counter()
    with pytest.raises(ZeroDivisionError), manager.usage_of(agent, chat_id="c", enterprise_id="acme"):
        agent.use(10)
        raise ZeroDivisionError
    assert tokens(database) == 10


def test_the_error_of_the_block_is_raised_and_not_that_of_storing(
    connection: Connection, database: Any, ledger: MongoUsageLedger
) -> None:
    said: list[str] = []
    manager = new_manager(connection, said.append)
    agent = Counter()
    save(manager, agent, "other")
    manager.create_session("c", enterprise_id="beta")
    with pytest.raises(ZeroDivisionError), manager.usage_of(agent, chat_id="c", enterprise_id="acme"):
        agent.use(10)
        raise ZeroDivisionError
    assert said == ["Usage of session 'c' could not be stored: Session 'c' belongs to another tenant than 'acme'."]
    with (
        pytest.raises(Conflict, match="another tenant"),
        manager.usage_of(agent, chat_id="c", enterprise_id="acme"),
    ):
        agent.use(5)
    manager.save_usage(agent, chat_id="c", enterprise_id="beta")
    assert_counted(database, ledger, {"c": 15})


@pytest.mark.parametrize("command", ["find", "aggregate", "insert", "update"])
@pytest.mark.parametrize("skip", range(4))
def test_usage_that_could_not_be_stored_belongs_to_its_session_until_the_next_call(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger, fail_point: Any, command: str, skip: int
) -> None:
    agent = Counter()
    agent.use(3)
    save(manager, agent, "first")
    agent.use(100)
    with fail_point([command], skip=skip, errorCode=50):
        with contextlib.suppress(Unreachable):
            save(manager, agent)
        agent.use(20)
        with contextlib.suppress(Unreachable):
            save(manager, agent)
    agent.use(50)
    save(manager, agent, "other")
    save(manager, agent)
    assert_counted(database, ledger, {"first": 3, "other": 50, "c": 120})


@pytest.mark.parametrize("command", ["insert", "update"])
def test_a_retry_after_a_lost_acknowledgement_changes_nothing(
    connection: Connection, database: Any, ledger: MongoUsageLedger, fail_point: Any, command: str
) -> None:
    manager = new_manager(connection)
    agent = Counter()
    agent.use(10)
    save(manager, agent)
    lost = {"code": 64, "errmsg": "waiting for replication timed out"}
    for number in range(1, 4):
        agent.use(10, "m")
        agent.use(5, "n")
        with fail_point([command], times=1, writeConcernError=lost), pytest.raises(Unreachable):
            save(manager, agent)
        if number == 2:  # another process adds to the same run in between
            other = Counter()
            other.use(1_000)
            save(new_manager(connection), other)
        assert save(manager, agent).total_tokens == 15
        assert save(manager, agent) == Usage()
    assert_counted(database, ledger, {"c": 10 + 3 * 15 + 1_000})


def test_processes_that_store_usage_of_one_run_at_once_add_up(
    connection: Connection, database: Any, ledger: MongoUsageLedger
) -> None:
    new_manager(connection).create_session("c", enterprise_id="acme")
    begin = threading.Barrier(4)

    def work() -> None:
        manager, agent = new_manager(connection), Counter()
        begin.wait()
        for _ in range(15):
            agent.use(7)
            save(manager, agent)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_counted(database, ledger, {"c": 4 * 15 * 7})
    assert database.usage_events.count_documents({}) == 4 * 15


def test_processes_whose_calls_fail_at_any_step_store_everything_once(
    connection: Connection, database: Any, ledger: MongoUsageLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(5)
    failing = True

    def flaky(original: Any) -> Any:
        def called(*arguments: Any) -> Any:
            is_lost, is_before = failing and chance.random() < 0.1, chance.random() < 0.5
            answer = None if is_lost and is_before else original(*arguments)
            if is_lost:
                raise Unreachable(what="The answer was lost.")
            return answer

        return called

    for step in ("clients", "insert", "sums", "opening_balance", "raise_counters", "mark_applied"):
        monkeypatch.setattr(MongoUsageLedger, step, flaky(getattr(MongoUsageLedger, step)))
    used: collections.Counter[str] = collections.Counter()
    begin = threading.Barrier(3)

    def work(manager: AG2Manager, agent: Counter, chats: list[str]) -> None:
        begin.wait()
        for chat_id in chats:
            agent.use(7)
            with contextlib.suppress(Unreachable):
                save(manager, agent, chat_id)

    workers = []
    for _ in range(3):
        chats = [chance.choice("ab") for _ in range(20)]
        used.update({chat_id: 7 * chats.count(chat_id) for chat_id in "ab"})
        workers.append((new_manager(connection), Counter(), chats))
    threads = [threading.Thread(target=work, args=worker) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failing = False
    for manager, agent, _ in workers:
        for chat_id in "ab":
            save(manager, agent, chat_id)
    assert_counted(database, ledger, dict(used))


def test_a_writer_that_is_overtaken_after_it_has_read_adds_to_the_new_numbers(
    connection: Connection, database: Any, ledger: MongoUsageLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = Counter(), Counter()
    slow.use(10)
    fast.use(10)  # the same numbers, so that only the growth's own id tells the rows apart
    read = MongoUsageLedger.clients

    def overtaken(self: MongoUsageLedger, *arguments: Any) -> Any:
        found = read(self, *arguments)
        monkeypatch.undo()
        save(new_manager(connection), fast)
        return found

    monkeypatch.setattr(MongoUsageLedger, "clients", overtaken)
    save(new_manager(connection), slow)
    assert_counted(database, ledger, {"c": 20})


def test_the_ledger_is_read_from_the_primary_whatever_the_uri_prefers(mongo_uri: str, database: Any) -> None:
    preferring = connect(f"{mongo_uri}&readPreference=secondary", database.name, timeout_seconds=10)
    assert preferring.database.read_preference.name == "Secondary"
    ledger = MongoUsageLedger(preferring, Settings())
    assert ledger._rows.read_preference.name == ledger._sessions.read_preference.name == "Primary"


def test_managers_of_one_process_know_the_same_clients(
    connection: Connection, database: Any, ledger: MongoUsageLedger
) -> None:
    agent = Counter()
    for chat_id in ("one", "two"):
        agent.use(660)
        save(new_manager(connection), agent, chat_id)  # a manager per request
    assert_counted(database, ledger, {"one": 660, "two": 660})


def test_usage_can_be_stored_for_an_earlier_run(manager: AG2Manager, database: Any, ledger: MongoUsageLedger) -> None:
    agent = Counter()
    manager.save_event(text("Hello"), chat_id="c", enterprise_id="acme")
    assert manager.start_run("c", enterprise_id="acme") == 2
    agent.use(10)
    save(manager, agent, run=1)
    with manager.usage_of(agent, chat_id="c", enterprise_id="acme", run=2):
        agent.use(20)
    assert {row["run"]: row["total_tokens"] for row in database.usage_events.find()} == {1: 10, 2: 20}
    assert_counted(database, ledger, {"c": 30})


@pytest.mark.parametrize("rolled_up", [False, True])
def test_each_day_has_the_growth_of_that_day(
    manager: AG2Manager, connection: Connection, monkeypatch: pytest.MonkeyPatch, rolled_up: bool
) -> None:
    agent = Counter()
    for day, used in ((1, 100), (1, 20), (2, 3), (4, 4)):
        monkeypatch.setattr(manager._session_usage, "_clock", lambda day=day: datetime(2026, 3, day, 12, tzinfo=UTC))
        agent.use(used)
        save(manager, agent)
    if rolled_up:
        assert [rolled.rows for rolled in MongoDailySums(connection, "usage_events", "usage_daily").roll_up()] == [4]
    sums = MongoUsageSums(connection, "usage_events", "usage_daily").groups(LedgerQuery(("day", "agent")))
    by_day = {summed.group: summed.usage.total_tokens for summed in sums}
    days = {"2026-03-01": 120, "2026-03-02": 3, "2026-03-04": 4}
    assert by_day == {(day, "Writer"): used for day, used in days.items()}


def test_counters_before_the_first_report_are_kept(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger
) -> None:
    tracking = {"tokens": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 500}}
    database.chat_sessions.insert_one({"chat_id": "c", "enterprise_id": "acme", "real_time_tracking": tracking})
    agent = Counter()
    agent.use(10)
    save(manager, agent)
    assert_counted(database, ledger, {"c": 510})


@pytest.mark.parametrize("keep_usage", [False, True])
def test_usage_of_a_session_that_is_deleted_meanwhile_is_deleted_too(
    connection: Connection, database: Any, monkeypatch: pytest.MonkeyPatch, keep_usage: bool
) -> None:
    manager, agent = new_manager(connection), Counter()
    agent.use(5)
    save(manager, agent)
    insert = MongoUsageLedger.insert

    def deleted_before(*arguments: Any) -> Any:
        monkeypatch.undo()
        WorkflowLayout(connection, Settings()).remove("c", datetime.now(UTC), keep_usage=keep_usage)
        return insert(*arguments)

    monkeypatch.setattr(MongoUsageLedger, "insert", deleted_before)
    agent.use(7)
    with pytest.raises(Conflict, match="deleted"):
        save(manager, agent)
    assert [row["total_tokens"] for row in database.usage_events.find()] == ([5] if keep_usage else [])


def test_clients_that_are_replaced_between_events_are_noticed(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger
) -> None:
    agent, other = Counter(), Counter()
    with manager.usage_of(agent, chat_id="c", enterprise_id="acme"):
        agent.client = other.client
        other.use(10)
        assert manager.save_event(text("Hello"), chat_id="c", enterprise_id="acme").saved_as is SavedAs.MESSAGE
        other.use(20)
        agent.client = SimpleNamespace(actual_usage_summary=None)
    assert_counted(database, ledger, {"c": 30})


@pytest.mark.parametrize(
    "damage",
    [
        {"total_tokens": -5},
        {"total_tokens": "many", "cost": "much"},
        {"at": None},
        {"agent": ["Writer"]},
        {"model": {"name": "m"}},
        {"agent": None, "total_tokens": 0, "cost": None},
        {"total_tokens": 0, "cost": None},
    ],
)
def test_a_row_that_someone_has_changed_stops_nothing(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger, damage: dict[str, Any]
) -> None:
    agent = Counter()
    for tokens_used in (10, 20):
        agent.use(tokens_used)
        save(manager, agent)
    newest = database.usage_events.find_one({"total_tokens": 30})
    database.usage_events.update_one({"_id": newest["_id"]}, {"$set": damage})
    for _ in range(2):
        agent.use(5)
        assert save(manager, agent).total_tokens == 5
    has_moved = "model" in damage or damage == {"agent": ["Writer"]}  # the row is another agent's or model's now
    assert ledger.sums("c").total_tokens == 20 + (30 if has_moved else 0)


def test_an_agent_that_was_renamed_in_the_ledger_can_be_stored_again(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger
) -> None:
    agent = Counter()
    for number in range(1, 4):
        agent.use(10)
        save(manager, agent)
        database.usage_events.update_many({"agent": "Writer"}, {"$set": {"agent": f"Author {number}"}})
    assert_counted(database, ledger, {"c": 30})


def test_a_sum_beyond_the_bound_is_reported_and_not_counted(connection: Connection, database: Any) -> None:
    said: list[str] = []
    manager, agent = new_manager(connection, said.append), Counter()
    for _ in range(2):
        agent.use(10**12)
        save(manager, agent)
        agent.client = SimpleNamespace(actual_usage_summary=None)
    assert tokens(database) == 10**12
    assert len(said) == 1
    assert "is not counted: a token count is not a number from 0 to" in said[0]


@pytest.mark.parametrize(
    "wrong", [{"chat_id": ""}, {"enterprise_id": "\ud800"}, {"run": 0}, {"agents": "Writer"}, {"agents": None}]
)
def test_wrong_arguments_are_rejected_before_the_block(
    manager: AG2Manager, database: Any, wrong: dict[str, Any]
) -> None:
    agent = Counter()
    agent.use(10)
    given: dict[str, Any] = {"agents": agent, "chat_id": "c", "enterprise_id": "acme"} | wrong
    with pytest.raises(BadValue):
        manager.save_usage(**given)
    with pytest.raises(BadValue), manager.usage_of(**given):
        pytest.fail("The block has begun.")
    assert database.chat_sessions.count_documents({}) == 0
    assert save(manager, agent).total_tokens == 10


def test_reports_of_ag2_and_stored_usage_of_other_agents_add_up(
    manager: AG2Manager, database: Any, ledger: MongoUsageLedger
) -> None:
    manager.save_event(event("conversable_agent_usage_summary", recipient="Critic"), chat_id="c", enterprise_id="acme")
    row = {"model": "m", "prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5, "cost": 0.1}
    manager.save_event(event("usage_summary", actual={"usages": [row]}), chat_id="c", enterprise_id="acme")
    agent = Counter()
    agent.use(10)
    save(manager, agent)
    assert_counted(database, ledger, {"c": 15})


def test_a_recorder_that_adds_the_same_growth_again_stores_it_once(ledger: MongoUsageLedger) -> None:
    facts = UsageSnapshot(None, "c", 1, "acme", None, None, None, None, 0, 0, 0, datetime.now(UTC))
    growth = UsageGrowth("growth-1", {("Writer", "m"): Usage(1, 2, 3)})
    for _ in range(3):
        assert UsageRecorder(ledger).add(growth, facts, set()) is not None
    assert ledger.sums("c") == Usage(1, 2, 3)
