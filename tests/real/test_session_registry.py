"""The collection of the session registry: its documents, its indexes and expiry, and what `verify` finds in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.monitoring import CommandListener, CommandStartedEvent

import chatstore_cli
from chatstore_cli.config.settings import Settings
from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.domain.errors import BadValue, Conflict, ForeignCollection, PrerequisiteRefused
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.session_registry.store import MongoRegistryStore
from tests.support.mongod import Mongod
from tests.support.registry_stores import NOON, Ticking, statuses

pytestmark = pytest.mark.real
NAME = "chat_session_registry"
DAY = 86_400
OLD = datetime.now(UTC) - timedelta(days=40)
Documents = Database[dict[str, Any]]


@pytest.fixture
def registry(connection: Connection) -> SessionRegistry:
    """A registry with c1 (paused) and c2 (active) in the client session `laptop`."""
    registry = SessionRegistry(MongoRegistryStore(connection, Settings()), clock=Ticking())
    registry.attach("ws", "acme", "ann", "laptop")
    registry.add_workflow("ws", "c1", "Generator", "acme", "ann", "artifact-1")
    registry.add_workflow("ws", "c2", "Investor", "acme", "ann")
    return registry


def test_one_document_has_the_state_and_the_switches(registry: SessionRegistry, database: Documents) -> None:
    registry.switch_workflow("ws", "missing")
    (document,) = database[NAME].find()
    workflow = {
        "artifact_id": None,
        "created_at": NOON + timedelta(minutes=2),
        "last_active": NOON + timedelta(minutes=2),
    }
    switch = {"by": "ws", "from": "c1", "to": "c2", "at": NOON + timedelta(minutes=2)}
    assert len(document.pop("_id")) == 64
    assert document["workflows"][1] == {
        "chat_id": "c2", "workflow_name": "Investor", **workflow, "status": "active",
    }  # fmt: skip
    assert document["switches"][1] == {"version": 2, "action": "start", **switch}
    assert document["switches"][2]["refused"] == "the workflow is not in this client session"
    del document["workflows"], document["switches"]
    assert document == {
        "app_id": "acme",
        "user_id": "ann",
        "session_key": "laptop",
        "general_mode": False,
        "version": 2,
        "created_at": NOON + timedelta(minutes=1),
        "updated_at": NOON + timedelta(minutes=2),
    }


def test_what_a_later_version_stores_is_kept(registry: SessionRegistry, database: Documents) -> None:
    later = {
        "pinned": {"a.b": 1},
        "workflows.0.color": "red",
        "workflows.0.created_at": 1_772_000_000.5,
        "workflows.1.status": "archived",
        "workflows.1.last_active": "noon",
        "switches.0.reason": {"$x": 2},
        "switches.1.action": "merge",
    }
    database[NAME].update_one({}, {"$set": later})
    database[NAME].update_one({}, {"$push": {"workflows": 7}})
    assert statuses(registry, "ws") == {"c1": "paused", "c2": "archived"}
    assert registry.switch_workflow("ws", "c1") is not None
    document = database[NAME].find_one({})
    assert document is not None
    assert document["pinned"] == {"a.b": 1}
    assert document["workflows"][0] == 7
    assert (document["workflows"][1]["color"], document["workflows"][1]["status"]) == ("red", "active")
    assert document["workflows"][1]["created_at"] == 1_772_000_000.5
    assert (document["workflows"][2]["status"], document["workflows"][2]["last_active"]) == ("archived", "noon")
    assert document["switches"][0]["reason"] == {"$x": 2}
    assert [each.action for each in registry.history("ws")] == ["switch", "merge", "start"]


@pytest.mark.parametrize(
    "damage", [{"version": "two"}, {"version": -1}, {"version": 1.5}, {"workflows": None}, {"workflows": {"a": 1}}]
)
def test_a_document_that_cannot_be_read_is_left_alone(
    registry: SessionRegistry, database: Documents, damage: dict[str, Any]
) -> None:
    database[NAME].update_one({}, {"$set": damage})
    before = database[NAME].find_one({})
    for call in (lambda: registry.switch_workflow("ws", "c1"), lambda: registry.get_all_workflows("ws")):
        with pytest.raises(Conflict, match="of the session registry: `version` or `workflows` is not valid"):
            call()
    assert database[NAME].find_one({}) == before


def test_documents_of_others_are_never_touched(connection: Connection, database: Documents) -> None:
    database[NAME].insert_many([{"_id": number, "app_id": "acme", "user_id": "ann"} for number in range(3)])
    registry = SessionRegistry(MongoRegistryStore(connection, Settings()))
    registry.attach("ws", "acme", "ann", "laptop")
    with pytest.raises(ForeignCollection, match=f"{NAME} holds 3 documents"):
        registry.add_workflow("ws", "c1", "Generator", "acme", "ann")
    assert database[NAME].count_documents({}) == 3
    assert registry.client_sessions("acme", "ann") == []


def test_a_few_documents_of_others_are_left_out(registry: SessionRegistry, database: Documents) -> None:
    database[NAME].insert_one({"_id": 1, "app_id": "acme", "user_id": "ann", "updated_at": OLD})
    assert registry.switch_workflow("ws", "c1") is not None
    assert [each.session.session_key for each in registry.client_sessions("acme", "ann")] == ["laptop"]


def test_ids_are_exact_under_a_collation(connection: Connection, database: Documents) -> None:
    database.create_collection(NAME, collation={"locale": "en", "strength": 1})
    registry = SessionRegistry(MongoRegistryStore(connection, Settings()))
    for key in ("Ann", "ann", "ánn"):
        registry.attach(key, key, key, key)
        registry.add_workflow(key, key, "Generator", key, key)
    for key in ("Ann", "ann", "ánn"):
        assert statuses(registry, key) == {key: "active"}
        assert [each.session.session_key for each in registry.client_sessions(key, key)] == [key]


class Counted(CommandListener):
    """Counts commands."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: object) -> None:
        """Not counted."""

    failed = succeeded


def test_a_switch_takes_two_round_trips(mongod: Mongod, database: Documents) -> None:
    counted = Counted()
    connection = connect(mongod.uri, database.name, timeout_seconds=10, listener=counted)
    registry = SessionRegistry(MongoRegistryStore(connection, Settings()))
    for chat_id in ("c1", "c2"):
        registry.add_workflow("ws", chat_id, "Generator", "acme", "ann")
    for call in (lambda: registry.switch_workflow("ws", "c1"), lambda: registry.switch_workflow("ws", "missing")):
        counted.names.clear()
        call()
        assert counted.names == ["find", "update"]
    counted.names.clear()
    registry.attach("ws-2", "acme", "ann", "ws")
    registry.remove_session("ws-2")
    assert counted.names == []


# --- the public class --------------------------------------------------------------------------------------------------


def refuse_investor(request: chatstore_cli.WorkflowRequest) -> object:
    """A hook."""
    return "Investor is closed." if request.workflow_name == "Investor" else True


def test_the_public_class_uses_the_server_and_the_hook(mongo_uri: str, database: Documents, tmp_path: Any) -> None:
    with chatstore_cli.SessionRegistry(mongo_uri, database.name, "clients", prerequisites=refuse_investor) as registry:
        registry.add_workflow("ws", "c1", "Generator", "acme", "ann")
        with pytest.raises(PrerequisiteRefused, match=r"Workflow 'c2' was refused: Investor is closed\."):
            registry.add_workflow("ws", "c2", "Investor", "acme", "ann")
        created = registry.ensure_indexes()
        assert [line.split(".")[1] for line in created] == ["registry_expiry_idx", "registry_user_idx"]
        assert registry.ensure_indexes() == []
    assert database["clients"].index_information()["registry_expiry_idx"]["expireAfterSeconds"] == 30 * DAY
    config = tmp_path / "chatstore.yaml"
    hook = f"{__name__}:refuse_investor"
    settings = {
        "mongo": {"uri": mongo_uri, "database": database.name},
        "layouts": {"general": {"registry": "clients"}},
        "chatstore": {"registry": {"prerequisites": hook}},
    }
    config.write_text(json.dumps(settings))
    with chatstore_cli.SessionRegistry.from_config(str(config)) as registry:
        registry.attach("ws-2", "acme", "ann", "ws")
        assert statuses(registry, "ws-2") == {"c1": "active"}
        with pytest.raises(PrerequisiteRefused, match="Investor is closed"):
            registry.add_workflow("ws-2", "c2", "Investor", "acme", "ann")
    own_hook = chatstore_cli.SessionRegistry.from_config(str(config), prerequisites=lambda _: "Not today.")
    with own_hook as registry, pytest.raises(PrerequisiteRefused, match="Not today"):
        registry.add_workflow("ws-2", "c1", "Generator", "acme", "ann")
    with pytest.raises(BadValue):
        chatstore_cli.SessionRegistry.from_config(str(config), prerequisites="no function")


def test_without_a_uri_everything_is_in_memory() -> None:
    first, second = chatstore_cli.SessionRegistry(), chatstore_cli.SessionRegistry()
    first.add_workflow("ws", "c1", "Generator", "acme", "ann")
    second.attach("ws", "acme", "ann")
    assert second.get_all_workflows("ws") == []
    assert first.ensure_indexes() == []
    first.close()


@pytest.mark.parametrize("wrong", [{"keep_days": 0}, {"collection": "a$b"}, {"prerequisites": "no function"}])
def test_wrong_settings_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        chatstore_cli.SessionRegistry("mongomock://", "test", **wrong)


# --- expiry ------------------------------------------------------------------------------------------------------------


def test_indexes_apply_asks_before_old_entries_expire(
    chatstore: Any, registry: SessionRegistry, database: Documents
) -> None:
    database[NAME].update_one({}, {"$set": {"updated_at": OLD}})
    database[NAME].insert_one({"updated_at": OLD})  # another's
    left = chatstore("indexes", "apply", "--layout", "general", "-o", "json")
    (row,) = [row for row in json.loads(left.out)["items"] if row["name"] == "registry_expiry_idx"]
    assert (left.code, row["outcome"], row["expiring"]) == (6, "left", 1)
    assert chatstore("indexes", "apply", "--layout", "general", "--yes").code == 0
    index = database[NAME].index_information()["registry_expiry_idx"]
    assert (index["expireAfterSeconds"], index["key"]) == (30 * DAY, [("updated_at", 1)])
    assert index["partialFilterExpression"] == {"session_key": {"$exists": True}}
    assert chatstore("indexes", "check").code == 0
    drifted = chatstore("indexes", "check", "-o", "json", env={"CHATSTORE_REGISTRY__KEEP_DAYS": "7"})
    (row,) = [row for row in json.loads(drifted.out)["items"] if row["state"] == "drifted"]
    assert row["detail"] == f"its expireAfterSeconds is {30 * DAY}, and should be {7 * DAY}"


def test_ttl_shows_the_registry_and_changes_it_only_if_it_is_named(
    chatstore: Any, registry: SessionRegistry, database: Documents
) -> None:
    now = datetime.now(UTC)
    database[NAME].update_one({}, {"$set": {"updated_at": now - timedelta(days=10)}})
    chatstore("indexes", "apply", "--layout", "general", "--yes")
    (row,) = [
        row for row in json.loads(chatstore("ttl", "show", "-o", "json").out)["items"] if row["collection"] == NAME
    ]
    assert row == {
        "layout": "general",
        "collection": NAME,
        "field": "updated_at",
        "index": "registry_expiry_idx",
        "expire_after_seconds": 30 * DAY,
        "ttl_days": 30,
        "documents": 1,
        "expired": 0,
        "next_expiry": row["next_expiry"],
        "without_date": 0,
        "never_expiring": {},
        "sampled": None,
    }
    assert row["next_expiry"] > (now + timedelta(days=19)).isoformat()

    def seconds() -> float:
        return float(database[NAME].index_information()["registry_expiry_idx"]["expireAfterSeconds"])

    for arguments in (["--days", "7"], ["--days", "0"]):
        done = chatstore("ttl", "set", "--yes", *arguments)
        assert "The session registry is not changed: its entries are kept for 30 days" in done.err
        assert seconds() == 30 * DAY
    never = chatstore("ttl", "set", "--days", "0", "--layout", "general")
    assert never.code == 2
    assert "--days: 0 is not 1 or more: entries of the session registry" in never.err
    asked = chatstore("ttl", "set", "--days", "7", "--layout", "general")
    assert asked.code == 2
    assert "MongoDB would delete 1 document at once" in asked.err
    longer = chatstore("ttl", "set", "--days", "60", "--layout", "general")
    assert longer.code == 6
    assert "To keep entries for 60 days, set chatstore.registry.keep_days: 60. It is 30 (default)." in longer.err
    assert seconds() == 60 * DAY
    variable = {"CHATSTORE_REGISTRY__KEEP_DAYS": "7"}
    assert chatstore("ttl", "set", "--days", "7", "--layout", "general", "--yes", env=variable).code == 0
    assert seconds() == 7 * DAY


# --- verify ------------------------------------------------------------------------------------------------------------


def test_verify_names_workflows_that_nobody_can_continue(
    chatstore: Any, registry: SessionRegistry, database: Documents
) -> None:
    sessions = [
        {"_id": "c1", "chat_id": "c1", "app_id": "acme", "user_id": "ann", "status": 0, "messages": []},
        {"_id": "c2", "chat_id": "c2", "app_id": "acme", "user_id": "ann", "status": 0, "messages": []},
    ]
    for each in sessions:
        each["workflow_name"] = "Generator"
    database["chat_sessions"].insert_many(sessions)

    def row() -> dict[str, Any]:
        outcome = chatstore("verify", "--only", "session-registry", "-o", "json")
        (row,) = json.loads(outcome.out)["items"]
        assert outcome.code == 0
        return dict(row)

    assert row()["status"] == "pass"
    database["chat_sessions"].update_one({"_id": "c1"}, {"$set": {"status": 1}})
    database["chat_sessions"].update_one({"_id": "c2"}, {"$set": {"app_id": "other"}})
    assert row()["status"] == "warn"
    assert row()["detail"] == (
        "2 active or paused workflows compared; 'c1' of client session 'laptop' is paused, and its session is completed, "
        "'c2' of client session 'laptop' is active, and its session belongs to another tenant"
    )
    database["chat_sessions"].delete_one({"_id": "c2"})
    assert "'c2' of client session 'laptop' is active, and has no session" in row()["detail"]
