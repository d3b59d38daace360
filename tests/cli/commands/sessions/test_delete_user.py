"""After the sessions of a user were deleted, a notice names what else is stored of the user."""

from __future__ import annotations

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
        f"{NOTICE}{listed} 'ana o'), states (chatstore states list --user 'ana o')." in deleted.err,
    ) == (
        0,
        True,
    )
    plan = str(tmp_path / "plan")
    assert NOTICE not in chatstore("sessions", "delete", "--user", "cy", "--plan", plan).err
    assert f"{NOTICE}{listed} cy).\n" in chatstore("sessions", "delete", "--apply", plan, "--yes").err
    assert NOTICE not in chatstore("sessions", "delete", "--user", "bo", "--yes").err
    assert database["chat_sessions"].count_documents({}) == 0
