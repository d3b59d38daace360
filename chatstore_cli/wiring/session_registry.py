"""The session registry, for the collection in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.session_registry.administration import RegistryAdministration
    from chatstore_cli.core.session_registry.registry import SessionRegistry
    from chatstore_cli.domain.indexes.specs import IndexSpec
    from chatstore_cli.domain.session_registry import Prerequisites, RegistryStore
    from chatstore_cli.wiring.stores import Stores


def session_registry(stores: Stores) -> SessionRegistry:
    """The session registry of the settings, with the prerequisites that they name. The first command connects."""
    from chatstore_cli.core.session_registry.registry import SessionRegistry

    return SessionRegistry(registry_store(stores), prerequisites=prerequisites(stores), clock=stores.server_now)


def prerequisites(stores: Stores) -> Prerequisites | None:
    """The hook of the settings that may refuse workflows; None without one."""
    hook = stores.settings.chatstore.registry.prerequisites
    if hook is None:
        return None
    from chatstore_cli.core.session_registry.prerequisites import HookPrerequisites

    return HookPrerequisites(hook)


def registry_administration(stores: Stores) -> RegistryAdministration:
    """The client sessions of the settings, for the commands of `chatstore workflows`."""
    from chatstore_cli.core.session_registry.administration import RegistryAdministration

    return RegistryAdministration(session_registry(stores), registry_store(stores), "chatstore workflows")


def registry_store(stores: Stores) -> RegistryStore:
    """The entries of the session registry."""
    from chatstore_cli.mongo.session_registry.store import MongoRegistryStore

    return MongoRegistryStore(stores.connection, stores.settings)


def registry_indexes(stores: Stores) -> list[IndexSpec]:
    """The indexes of the session registry."""
    from chatstore_cli.mongo.session_registry.documents import registry_index_specs

    settings = stores.settings
    return list(registry_index_specs(settings.layouts.general.registry, settings.chatstore.registry.keep_days))
