"""Speakers, recipients, runs and owners of usage, in sessions of several agents, processes and threads."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.segments.keeper import SegmentKeeper
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.errors import BadValue, Conflict, Unreachable
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.domain.workflow.events import AgentTurn
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.writer import MongoChatWriter
from tests.support.ag2_agents import speaker
from tests.support.ag2_events import event, new_manager, text
from tests.support.peers import import_peer

pytestmark = pytest.mark.real


@pytest.fixture
def manager(connection: Connection) -> AG2Manager:
    return new_manager(connection)


def saved(manager: AG2Manager, given: Any, chat_id: str = "c", **more: Any) -> SavedAs:
    return manager.save_event(given, chat_id=chat_id, enterprise_id="acme", **more).saved_as


def contents(database: Any, chat_id: str = "c") -> list[Any]:
    document = database.chat_sessions.find_one({"chat_id": chat_id})
    return [message["content"] for message in document["messages"]]


def total(database: Any, chat_id: str = "c") -> int:
    document = database.chat_sessions.find_one({"chat_id": chat_id})
    counted: int = document["real_time_tracking"]["tokens"]["total_tokens"]
    return counted


def usage(tokens: int, model: str = "m-1", cost: float | None = 0.5) -> dict[str, Any]:
    row = {"model": model, "prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens, "cost": cost}
    return event("usage_summary", actual={"usages": [row], "total_cost": cost}, mode="both")


def owner(agent: str) -> dict[str, Any]:
    return event("conversable_agent_usage_summary", recipient=agent)


# --- nested chats, and whom AG2 speaks as ----------------------------------------------------------------------------


def nested_group(autogen: Any, history: list[Any], rounds: int) -> tuple[Any, Any]:
    """A user and the manager of a group chat in which Writer asks Expert, in a chat of their own, before it answers."""
    user = speaker(autogen, "user", ["first", "second", "third"], history)
    expert = autogen.ConversableAgent("Expert", llm_config=False, human_input_mode="NEVER", default_auto_reply="")
    expert.register_reply([autogen.Agent, None], lambda *_, **__: (True, "Expert's answer"), position=0)
    writer = autogen.ConversableAgent("Writer", llm_config=False, human_input_mode="NEVER")
    asked = [{"recipient": expert, "message": "between us", "max_turns": 1, "summary_method": "last_msg"}]
    writer.register_nested_chats(asked, trigger=lambda _: True)
    chat = autogen.GroupChat(
        agents=[user, writer], messages=history, max_round=rounds, speaker_selection_method="round_robin"
    )
    return user, autogen.GroupChatManager(groupchat=chat, llm_config=False)


def test_a_group_chat_with_nested_chats_is_stored_whole_and_resumed_as_the_group_had_it(
    connection: Connection, database: Any
) -> None:
    autogen = import_peer("autogen")
    held: list[Any] = []
    first = new_manager(connection)
    user, group = nested_group(autogen, held, rounds=4)
    states = []
    for given in user.run(group, message="first").events:
        states.append(first.save_event(given, chat_id="c", enterprise_id="acme").saved_as)
    # The end of each nested chat is not the end of the run.
    assert states.count(SavedAs.STATUS) == 1
    document = database.chat_sessions.find_one({})
    assert document["status"] == 1
    assert [one["content"] for one in document["messages"]].count("between us") == 2

    second = new_manager(connection)
    resumed = second.resume_chat("c", enterprise_id="acme")
    assert [(one["name"], one["content"]) for one in resumed.messages] == [
        (one["name"], one["content"]) for one in held
    ]
    assert any("nested" in note for note in resumed.notes)
    _, group = nested_group(autogen, [], rounds=3)
    agent, message = group.resume(messages=resumed.messages, silent=True)
    outcomes = [
        second.save_event(given, chat_id="c", enterprise_id="acme").saved_as
        for given in agent.run(group, message=message, clear_history=False).events
    ]
    assert outcomes.count(SavedAs.ECHO) == 1
    names = [one["name"] for one in second.resume_chat("c", enterprise_id="acme").messages]
    assert names == ["user", "Writer"] * 3


def test_a_message_that_ag2_repeats_in_the_managers_name_is_recognised(connection: Connection, database: Any) -> None:
    """The admin of a group chat is not one of its agents, so AG2 continues in the name of the manager (groupchat.admin_name)."""
    autogen = import_peer("autogen")
    first = new_manager(connection)
    for sender in ("user", "Writer", "Admin"):
        saved(first, text(f"{sender} speaks", sender))
    second = new_manager(connection)
    resumed = second.resume_chat("c", enterprise_id="acme")
    _, group = nested_group(autogen, [], rounds=2)
    agent, message = group.resume(messages=resumed.messages, silent=True)
    assert agent is group
    outcomes = [
        saved(second, text(message["content"], group.name)),
        saved(second, text(message["content"], group.name)),
    ]
    assert outcomes == [SavedAs.ECHO, SavedAs.MESSAGE]


def test_a_session_begun_with_a_text_alone_is_resumed_without_the_user_that_ag2_added(
    manager: AG2Manager,
) -> None:
    saved(manager, text("hello", "_User"))
    saved(manager, text("hi", "Writer"))
    assert [one.get("name") for one in manager.resume_chat("c", enterprise_id="acme").messages] == [None, "Writer"]
    saved(manager, text("and now?", "_User"))
    last = manager.resume_chat("c", enterprise_id="acme").messages[-1]
    assert last == {"role": "user", "content": "and now?"}
    assert saved(manager, text("and now?", "_User")) is SavedAs.ECHO


# --- runs ------------------------------------------------------------------------------------------------------------


def test_a_late_turn_does_not_make_the_echo_a_turn(connection: Connection, database: Any) -> None:
    first, second = new_manager(connection), new_manager(connection)
    for given in (text("question"), text("answer", "Writer")):
        saved(first, given)
    assert second.resume_chat("c", enterprise_id="acme").run == 2
    saved(first, text("late", "Writer"))
    echo = text("answer", "Writer")
    assert [saved(second, echo) for _ in range(2)] == [SavedAs.ECHO, SavedAs.DUPLICATE]
    assert saved(second, text("answer", "Writer")) is SavedAs.MESSAGE  # said again for good
    assert contents(database) == ["question", "answer", "late", "answer"]


def test_a_turn_of_an_earlier_run_leaves_the_echo_awaited_by_whoever_stores_it(
    connection: Connection, database: Any
) -> None:
    saved(new_manager(connection), text("answer", "Writer"))
    assert new_manager(connection).resume_chat("c", enterprise_id="acme").run == 2
    consumer = new_manager(connection)
    saved(consumer, text("late", "Writer"), run=1)
    assert saved(consumer, text("answer", "Writer"), run=2) is SavedAs.ECHO
    assert contents(database) == ["answer", "late"]


def test_two_that_resume_a_chat_each_have_their_echo(connection: Connection, database: Any) -> None:
    saved(new_manager(connection), text("answer", "Writer"))
    one, other = new_manager(connection), new_manager(connection)
    assert [each.resume_chat("c", enterprise_id="acme").run for each in (one, other)] == [2, 3]
    assert [saved(each, text("answer", "Writer")) for each in (other, one)] == [SavedAs.ECHO, SavedAs.ECHO]
    assert contents(database) == ["answer"]
    assert saved(one, text("answer", "Writer")) is SavedAs.MESSAGE


def test_an_echo_that_another_process_has_stored_is_no_longer_expected(connection: Connection, database: Any) -> None:
    saved(new_manager(connection), text("answer", "Writer"))
    resumer, consumer = new_manager(connection), new_manager(connection)
    resumer.resume_chat("c", enterprise_id="acme")
    assert saved(consumer, text("answer", "Writer")) is SavedAs.ECHO
    assert saved(resumer, text("answer", "Writer")) is SavedAs.MESSAGE
    assert contents(database) == ["answer", "answer"]


def test_a_run_that_has_used_tokens_has_begun(manager: AG2Manager, database: Any) -> None:
    saved(manager, text("hello"))
    saved(manager, usage(100))
    assert manager.start_run("c", enterprise_id="acme") == 2
    assert manager.start_run("c", enterprise_id="acme") == 2
    saved(manager, usage(50))
    assert manager.start_run("c", enterprise_id="acme") == 3
    saved(manager, usage(40))
    assert total(database) == 190


# --- usage -----------------------------------------------------------------------------------------------------------


def test_threads_that_deliver_the_same_events_each_know_the_owner_of_usage(
    connection: Connection, database: Any
) -> None:
    manager = new_manager(connection)
    saved(manager, text("hello"))
    events = []
    for number in range(1, 6):
        events += [owner("A"), usage(100 * number), owner("B"), usage(1_000 * number)]
    begin = threading.Barrier(8)

    def deliver() -> None:
        begin.wait()
        for given in events:
            saved(manager, given)

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(database) == 5_500
    agents = {(row["agent"], row["total_tokens"]) for row in database.usage_events.find()}
    assert agents == {("A", 100 * number) for number in range(1, 6)} | {("B", 1_000 * number) for number in range(1, 6)}


def test_the_owner_of_usage_out_of_order_can_be_passed(manager: AG2Manager, database: Any) -> None:
    saved(manager, owner("A"))
    saved(manager, usage(10))
    saved(manager, usage(7), agent="B")
    assert total(database) == 17


def test_a_model_twice_in_one_report_counts_with_its_highest_numbers(manager: AG2Manager, database: Any) -> None:
    rows = [{"model": "m", "prompt_tokens": number, "total_tokens": number, "cost": number} for number in (5, 7, 6)]
    saved(manager, event("usage_summary", actual={"usages": rows}))
    assert total(database) == 7


# --- owners and arguments --------------------------------------------------------------------------------------------


def test_a_user_and_a_workflow_that_are_passed_later_are_stored(connection: Connection, database: Any) -> None:
    saved(new_manager(connection), text("hello"))
    for _ in range(2):
        one = new_manager(connection)
        saved(one, text("more"), user_id="ada")
        saved(one, text("more"), user_id="eve", workflow_name="Orders")
    document = database.chat_sessions.find_one({})
    assert (document["user_id"], document["workflow_name"], len(document["messages"])) == ("ada", "Orders", 5)


def test_an_id_that_reads_like_the_key_of_another_session_is_a_session_of_its_own(
    manager: AG2Manager, database: Any
) -> None:
    saved(manager, text("hello"))
    key = str(database.chat_sessions.find_one({})["_id"])
    saved(manager, text("other"), key)
    assert contents(database, "c") == ["hello"]
    assert contents(database, key) == ["other"]


class Unspeakable(Exception):
    """A value whose text cannot be computed."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_value_whose_str_raises_is_stored_by_its_type(manager: AG2Manager, database: Any) -> None:
    saved(manager, text({"odd": Unspeakable()}))
    assert contents(database) == [{"odd": "<Unspeakable>"}]
    saved(manager, event("error", error=Unspeakable()))
    assert database.chat_sessions.find_one({})["failure_reason"] == "Unspeakable: <Unspeakable>"


@pytest.mark.parametrize("wrong", [b"x", object(), "a\ud800", "", 7])
def test_an_invalid_event_id_is_rejected_for_usage_too(manager: AG2Manager, wrong: Any) -> None:
    for given in (usage(5), text("hello")):
        given["content"].pop("uuid")
        with pytest.raises(BadValue, match="event_id"):
            saved(manager, given, event_id=wrong)


def test_a_function_can_remove_the_termination_string(manager: AG2Manager) -> None:
    saved(manager, text("Done. TERMINATE", "Writer"))
    taken = manager.resume_chat(
        "c", enterprise_id="acme", remove_termination_string=lambda said: said.removesuffix("TERMINATE")
    )
    assert taken.messages[-1]["content"] == "Done. "
    assert saved(manager, text("Done. ", "Writer")) is SavedAs.ECHO
    with pytest.raises(BadValue, match="remove_termination_string"):
        manager.resume_chat("c", remove_termination_string=5, enterprise_id="acme")


@pytest.mark.parametrize(
    "field", [{"last_sequence": 2**63 - 1}, {"messages": [{"sequence": 2**62}]}, {"echoes": 5}, {"run_ends": "x"}]
)
def test_a_document_that_cannot_be_changed_is_named(
    connection: Connection, database: Any, field: dict[str, Any]
) -> None:
    database.chat_sessions.insert_one({"chat_id": "c", "enterprise_id": "acme", "status": 0, "messages": [], **field})
    manager = new_manager(connection)
    given = {
        "echoes": lambda: manager._writer.note_echo(
            manager._chats.existing("c", None), AgentTurn("e", "text", "user", "user", "hi"), 1, "e", manager._clock()
        ),
        "run_ends": lambda: saved(manager, event("termination", termination_reason="done")),
    }.get(next(iter(field)), lambda: saved(manager, text("hello")))
    with pytest.raises(Conflict, match="'c'") as refused:
        given()
    assert str(refused.value.hint).startswith("Nothing was written. Repair ")


@pytest.mark.parametrize("step", ["insert", "raise_counters"])
@pytest.mark.parametrize("keep_usage", [False, True])
def test_usage_that_is_stored_while_its_session_is_deleted_is_deleted_too(
    connection: Connection, database: Any, monkeypatch: pytest.MonkeyPatch, step: str, keep_usage: bool
) -> None:
    manager = new_manager(connection)
    saved(manager, text("hello"))
    saved(manager, usage(5))
    layout = WorkflowLayout(connection, Settings())
    original = getattr(MongoUsageLedger, step)

    def deleted_before(*arguments: Any) -> Any:
        monkeypatch.undo()
        layout.remove("c", datetime.now(UTC), keep_usage=keep_usage)
        return original(*arguments)

    monkeypatch.setattr(MongoUsageLedger, step, deleted_before)
    with pytest.raises(Conflict, match="deleted"):
        saved(manager, usage(7))
    assert [row["total_tokens"] for row in database.usage_events.find()] == ([5] if keep_usage else [])
    assert database.chat_sessions.count_documents({}) == 0


def test_the_end_of_a_nested_chat_is_known_to_every_process_and_in_every_run(connection: Connection) -> None:
    first, other = new_manager(connection), new_manager(connection)
    saved(first, text("hello"))
    assert first.start_run("c", enterprise_id="acme") == 2
    saved(first, text("again"))
    nested = event("termination", termination_reason="done", sender="Writer", recipient="Expert")
    assert [saved(each, nested) for each in (first, other)] == [SavedAs.IGNORED, SavedAs.IGNORED]
    own = event("termination", termination_reason="done", sender="chat_manager", recipient="user")
    assert saved(other, own) is SavedAs.STATUS


def test_a_move_in_progress_makes_the_error_retryable(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = new_manager(connection)
    saved(manager, text("hello"))

    def in_the_way(*_: Any) -> None:
        raise Conflict(what="A move is in progress.", hint="")

    monkeypatch.setattr(SegmentKeeper, "make_room", in_the_way)
    monkeypatch.setattr(MongoChatWriter, "append", lambda *_, **__: DocumentFull(10))
    with pytest.raises(Unreachable, match="A move is in progress"):
        saved(manager, text("more"))
