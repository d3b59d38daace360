"""The data of a user outside sessions, which a deletion of the user's sessions does not delete by itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import ChatstoreError

if TYPE_CHECKING:
    from chatstore_cli.domain.user_data import UserData
    from chatstore_cli.wiring.stores import Stores


def user_data(stores: Stores, user_id: str, tenant_id: str | None, *, keep_usage: bool) -> UserData | None:
    """What is stored about a user outside sessions, to delete it; None if MongoDB, which stores all of it, is not used."""
    if not stores.uses_mongo():
        return None
    from chatstore_cli.mongo.user_data import MongoUserData

    return MongoUserData(stores.connection, stores.settings, user_id, tenant_id, keep_usage=keep_usage)


def left_of_user(stores: Stores, user_id: str, tenant_id: str | None, *, everything: bool = False) -> list[str]:
    """The kinds of data that exist, each with the command that lists it. Data that cannot be read is left out.

    If `everything` was deleted, only states can be left: they have no tenant, so a deletion with a tenant keeps them.
    """
    if not stores.uses_mongo() or (everything and tenant_id is None):
        return []
    from chatstore_cli.mongo.session_registry.store import MongoRegistryStore
    from chatstore_cli.wiring.agent_states import agent_state_store

    user = shlex.quote(user_id)

    def client_sessions() -> list[str]:
        tenants = MongoRegistryStore(stores.connection, stores.settings).tenants_of(user_id)
        return [
            f"client sessions (chatstore workflows list --tenant {shlex.quote(each)} --user {user})"
            for each in tenants
            if tenant_id is None or each == tenant_id
        ]

    def states() -> list[str]:
        found = agent_state_store(stores).page(user_id, None, 1, with_data=False)
        return [f"states (chatstore states list --user {user})"] if found else []

    parts: tuple[Callable[[], list[str]], ...] = (states,) if everything else (client_sessions, states)
    left: list[str] = []
    for part in parts:
        with suppress(ChatstoreError):  # the sessions are deleted: a missing right here is not a failure of the command
            left += part()
    return left
