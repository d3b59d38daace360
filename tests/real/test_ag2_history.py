"""Reading a session of AG2 agents without a new run, and the tenant that each method asks for before it does anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from bson import json_util

from chatstore_cli import AG2PersistenceManager, BadValue, NotFound, OtherTenant
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.mongo.connection import Connection
from tests.support.ag2_events import event, new_manager, text

pytestmark = pytest.mark.real

GUARDED: dict[str, Callable[..., Any]] = {
    "history": AG2Manager.history,
    "resume_chat": AG2Manager.resume_chat,
    "start_run": AG2Manager.start_run,
    "pause": AG2Manager.pause,
    "unpause": AG2Manager.unpause,
    "mark_completed": AG2Manager.mark_completed,
    "mark_failed": AG2Manager.mark_failed,
}
"""Every method that uses a stored session, in an order in which one session accepts them all but the last."""


@pytest.fixture
def manager(connection: Connection) -> AG2Manager:
    """A manager whose session `c` has two messages of the tenant acme, and one of the general agent."""
    made = new_manager(connection)
    for said in (text("hello"), text("Good morning.", "Writer")):
        made.save_event(said, chat_id="c", enterprise_id="acme", user_id="ada", workflow_name="Orders")
    return made


@pytest.fixture(scope="module")
def unreachable() -> Iterator[AG2PersistenceManager]:
    """A manager without a server. It is shared, because the driver needs half a second to close its client."""
    with AG2PersistenceManager("mongodb://127.0.0.1:9", "none", timeout_seconds=0.1) as made:
        yield made


def everything(database: Any) -> str:
    """All documents of a database."""
    return json_util.dumps({name: list(database[name].find()) for name in sorted(database.list_collection_names())})


def test_a_history_has_the_messages_and_the_state_and_writes_nothing(manager: AG2Manager, database: Any) -> None:
    general = {"sender": "General", "content": float("nan"), "source": "general_agent", "sequence": 3}
    database.chat_sessions.update_one({}, {"$push": {"messages": general}, "$set": {"last_sequence": 3}})
    before = everything(database)
    stored = manager.history("c", "acme")
    assert everything(database) == before
    facts = (stored.chat_id, stored.user_id, stored.workflow_name, stored.run, stored.status, stored.paused)
    assert facts == ("c", "ada", "Orders", 1, "running", False)
    assert [(each.role, each.name, each.sequence) for each in stored.messages] == [
        ("user", "user", 1),
        ("assistant", "Writer", 2),
        ("assistant", "General", 3),
    ]
    assert isinstance(stored.messages[0].created_at, datetime)
    assert [each.from_general_agent for each in stored.messages] == [False, False, True]
    as_json = json.loads(json.dumps(stored.to_dict(), allow_nan=False))
    assert (as_json["session_id"], as_json["status"], as_json["items"][1]["content"]) == (
        "c",
        "running",
        "Good morning.",
    )


def test_a_history_of_a_long_session_can_be_limited_to_its_newest_messages(connection: Connection) -> None:
    small = new_manager(connection, segment_messages=4)
    for number in range(12):
        small.save_event(text(f"message {number}"), chat_id="long", enterprise_id="acme")
    assert [each.content for each in small.history("long", enterprise_id="acme", limit=10).messages] == [
        f"message {number}" for number in range(2, 12)
    ]
    assert len(small.history("long", any_tenant=True).messages) == 12
    for limit in (0, -1, True, "5", 2.0):
        with pytest.raises(BadValue, match="limit"):
            small.history("long", "acme", limit=limit)
    with pytest.raises(NotFound):
        small.history("elsewhere", "acme")


def test_a_history_between_two_events_changes_neither_the_run_nor_the_expected_echo(
    manager: AG2Manager, connection: Connection
) -> None:
    manager.save_event(event("termination", termination_reason="done"), chat_id="c", enterprise_id="acme")
    assert manager.resume_chat("c", enterprise_id="acme").run == 2
    assert new_manager(connection).history("c", "acme").run == 2
    assert manager.history("c", "acme").status == "completed"
    again = manager.save_event(text("Good morning.", "Writer"), chat_id="c", enterprise_id="acme")
    assert again.saved_as == "echo"


@pytest.mark.parametrize("method", GUARDED)
@pytest.mark.parametrize(
    "tenant",
    [
        {},
        {"enterprise_id": None},
        {"enterprise_id": ""},
        {"enterprise_id": 5},
        {"any_tenant": False},
        {"any_tenant": "yes"},
        {"any_tenant": None},
        {"any_tenant": 1},
        {"enterprise_id": "acme", "any_tenant": True},
    ],
    ids=str,
)
def test_a_missing_tenant_is_rejected_before_the_database_is_asked(
    unreachable: AG2PersistenceManager, method: str, tenant: dict[str, Any]
) -> None:
    with pytest.raises(BadValue, match=r"^(enterprise_id|any_tenant): ") as caught:
        GUARDED[method](unreachable, "c", **tenant)
    if caught.value.message.startswith("enterprise_id: None"):
        assert caught.value.hint == "To use the sessions of every tenant, pass any_tenant=True instead."


@pytest.mark.parametrize("owner", ["harbor", 7, {"name": "acme"}, True, ["acme"]], ids=str)
def test_every_method_rejects_a_session_of_another_tenant_unless_any_tenant_is_allowed(
    manager: AG2Manager, connection: Connection, database: Any, owner: Any
) -> None:
    database.chat_sessions.update_one({}, {"$set": {"enterprise_id": owner}})
    before = everything(database)
    for call in GUARDED.values():
        with pytest.raises(OtherTenant, match="belongs to another tenant than 'acme'"):
            call(manager, "c", enterprise_id="acme")
    with pytest.raises(OtherTenant, match="belongs to another tenant than 'acme'"):
        new_manager(connection).save_event(text("hello"), chat_id="c", enterprise_id="acme")
    assert everything(database) == before
    for name, call in GUARDED.items():
        if name != "mark_failed":
            call(manager, "c", any_tenant=True)
    assert manager.history("c", any_tenant=True).status == "completed"


def test_a_session_without_a_tenant_can_be_used_by_each_tenant(manager: AG2Manager, database: Any) -> None:
    for nobody in (
        {"$unset": {"enterprise_id": 1}},
        {"$set": {"enterprise_id": None}},
        {"$set": {"enterprise_id": ""}},
    ):
        database.chat_sessions.update_one({}, nobody)
        assert len(manager.history("c", "acme").messages) == 2
        assert len(manager.history("c", "harbor").messages) == 2


def test_the_tenant_of_a_session_is_known_by_its_other_field_too(manager: AG2Manager, database: Any) -> None:
    database.chat_sessions.update_one({}, {"$rename": {"enterprise_id": "app_id"}})
    assert manager.history("c", "acme").user_id == "ada"
    with pytest.raises(OtherTenant):
        manager.history("c", "harbor")
