"""After the sessions of a user were deleted, a notice names what else is stored of the user."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli import SessionRegistry

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOTICE = "Not deleted, because it belongs to the user and not to a session: "


def store(database: Database[dict[str, Any]], user: str, tenant: str = "acme") -> None:
    """A workflow session, whose id is the user's."""
    facts = {"chat_id": user, "enterprise_id": tenant, "user_id": user, "status": 1, "last_sequence": 0}
    database["chat_sessions"].insert_one({**facts, "messages": [], "created_at": NOON, "updated_at": NOON})


def test_client_sessions_and_states_of_the_user_are_named(
    chatstore: Chatstore, database: Database[dict[str, Any]], mongo_uri: str, tmp_path: Path
) -> None:
    for user in ("ana o", "bo", "cy"):
        store(database, user)
    with SessionRegistry(mongo_uri, database.name) as registry:
        for user in ("ana o", "cy"):
            registry.attach(f"tab of {user}", "acme", user, "laptop")
            registry.add_workflow(f"tab of {user}", user, "refund", "acme", user)
    assert chatstore("states", "set", "ana o", "s-1", "x", "1").code == 0

    listed = "client sessions (chatstore workflows list --tenant acme --user"
    deleted = chatstore("sessions", "delete", "--user", "ana o", "--yes")
    assert (
        deleted.code,
        f"{NOTICE}{listed} 'ana o'), states (chatstore states list --user 'ana o'). To delete it too: chatstore sessions "
        "delete --user 'ana o' --everything\n" in deleted.err,
    ) == (
        0,
        True,
    )
    plan = str(tmp_path / "plan")
    assert NOTICE not in chatstore("sessions", "delete", "--user", "cy", "--plan", plan).err
    assert f"{NOTICE}{listed} cy). To delete it too: " in chatstore("sessions", "delete", "--apply", plan, "--yes").err
    assert NOTICE not in chatstore("sessions", "delete", "--user", "bo", "--yes").err
    assert database["chat_sessions"].count_documents({}) == 0


# --- everything that is stored about a user --------------------------------------------------------------------------


def store_everything(database: Database[dict[str, Any]], user: str, tenant: str) -> None:
    """A session of each layout that has users, usage with and without a session, and the data that no session has."""
    name = f"{user}-{tenant}"
    facts = {"user_id": user, "created_at": NOON, "updated_at": NOON, "last_sequence": 0}
    chat = {**facts, "chat_id": name, "enterprise_id": tenant, "messages": [], "status": 1}
    general = {**facts, "chat_id": f"g-{name}", "app_id": tenant, "messages": [], "general_label": "x", "sequence": 1}
    usage = {"run": 1, "tenant_id": tenant, "user_id": user, "total_tokens": 5, "at": NOON}
    entry = {"app_id": tenant, "user_id": user, "session_key": "k", "workflows": [], "switches": [], "version": 1}
    for collection, document in {
        "chat_sessions": chat,
        "GeneralChatSessions": {**general, "last_updated_at": NOON},
        "chat_threads": {**facts, "_id": f"t-{name}", "org_id": tenant, "name": "n"},
        "chat_session_registry": {"_id": f"r-{name}", **entry},
        "GeneralChatCounters": {"app_id": tenant, "user_id": user, "sequence": 1},
        "states": {"user_id": user, "session_id": tenant, "data": {"x": 1}},
        "usage_daily": {"_id": {"chat_id": f"gone-{name}", "layout": "workflow"}, "days": []},
    }.items():
        database[collection].insert_one(document)
    database["usage_events"].insert_many(
        {"_id": f"{each}-{name}", "chat_id": f"{each}{name}", **usage} for each in ("", "gone-")
    )


def contents(database: Database[dict[str, Any]], user: str, tenant: str = "") -> dict[str, int]:
    """How many documents name a user, by collection."""
    text = f"{user}-{tenant}"
    found = {}
    for collection in database.list_collection_names():
        if collection != "chatstore_tombstones":
            rows = map(str, database[collection].find())
            found[collection] = sum(text in row if tenant else user in row for row in rows)
    return {name: number for name, number in found.items() if number}


def test_everything_of_a_user_is_planned_and_deleted_and_nothing_of_others(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    for user, tenant in (("ana", "acme"), ("ana", "other"), ("bo", "acme")):
        store_everything(database, user, tenant)
    before, others = contents(database, "ana"), contents(database, "bo")
    words = ("sessions", "delete", "--user", "ana", "--everything")
    planned = chatstore(*words, "--dry-run", "-o", "json")
    assert (planned.code, contents(database, "ana")) == (0, before)
    unconfirmed = chatstore(*words, "-o", "json")
    assert (unconfirmed.code, unconfirmed.out, contents(database, "ana")) == (2, "", before)
    deleted = chatstore(*words, "--yes", "-o", "json")
    assert deleted.code == 0, deleted.err
    assert contents(database, "ana") == {}
    assert contents(database, "bo") == others
    numbers = {each["collection"]: each["documents"] for each in json.loads(deleted.out)["totals"]["documents"]}
    assert numbers == before
    assert {each["collection"]: each["documents"] for each in json.loads(planned.out)["totals"]["documents"]} == before
    again = chatstore(*words, "--yes")
    assert (again.code, "No user 'ana'" in again.err) == (3, True), again.err


def test_with_a_tenant_states_are_left_and_named_and_usage_is_kept_on_request(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    for tenant in ("acme", "other"):
        store_everything(database, "ana", tenant)
    database["chat_threads"].delete_many({})  # their usage cannot be kept
    others = contents(database, "ana", "other")
    words = ("sessions", "delete", "--user", "ana", "--tenant", "acme", "--everything", "--keep-usage", "--yes")
    deleted = chatstore(*words)
    assert deleted.code == 0, deleted.err
    assert "Not deleted, because it has no tenant: states (chatstore states list --user ana)." in deleted.err
    assert contents(database, "ana", "other") == others
    assert contents(database, "ana", "acme") == {"usage_events": 2, "usage_daily": 1}
    assert database["states"].count_documents({}) == 2
    assert database["GeneralChatCounters"].distinct("app_id") == ["other"]


def test_what_an_interrupted_deletion_left_of_a_user_is_deleted_without_any_session(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_everything(database, "ana", "acme")
    assert chatstore("sessions", "delete", "--user", "ana", "--yes").code == 0
    assert set(contents(database, "ana")) >= {"chat_session_registry", "GeneralChatCounters", "states"}
    done = chatstore("sessions", "delete", "--user", "ana", "--everything", "--yes")
    assert (done.code, "Deleted: 0 sessions (" in done.err) == (0, True), done.err
    assert contents(database, "ana") == {}


def test_a_plan_file_can_be_for_everything(
    chatstore: Chatstore, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    store_everything(database, "ana", "acme")
    plan = str(tmp_path / "plan")
    made = chatstore("sessions", "delete", "--user", "ana", "--everything", "--plan", plan, "-o", "json")
    assert "states" in {each["collection"] for each in json.loads(made.out)["documents"]}
    database["chat_sessions"].update_one({}, {"$set": {"updated_at": NOON.replace(hour=13)}})
    changed = chatstore("sessions", "delete", "--apply", plan, "--yes")
    assert (changed.code, "The other data of the user was not deleted either" in changed.err) == (8, True)
    assert database["GeneralChatCounters"].count_documents({}) == 1
    database["chat_sessions"].update_one({}, {"$set": {"updated_at": NOON}})
    assert chatstore("sessions", "delete", "--apply", plan, "--yes").code == 0
    assert contents(database, "ana") == {}


@pytest.mark.parametrize(
    "words",
    [
        ["x"],
        ["--stdin"],
        ["--tenant", "acme"],
        ["--user", "ana", "--layout", "workflow"],
        ["--user", "a", "--tag", "x"],
    ],
)
def test_everything_is_for_one_user(chatstore: Chatstore, words: list[str]) -> None:
    result = chatstore("sessions", "delete", *words, "--everything", "--yes")
    assert (result.code, "--everything deletes all data of one user" in result.err) == (2, True), result.err
