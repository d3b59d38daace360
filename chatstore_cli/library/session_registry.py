"""The library's session registry: in MongoDB, or in the memory of the process."""

from __future__ import annotations

import logging

from chatstore_cli.config.settings import (
    ChatstoreSettings,
    GeneralCollections,
    LayoutSettings,
    MongoSettings,
    RegistrySettings,
    Settings,
)
from chatstore_cli.core.session_registry import registry
from chatstore_cli.core.session_registry.memory import MemoryRegistryStore
from chatstore_cli.core.session_registry.prerequisites import HookPrerequisites
from chatstore_cli.domain.session_registry import PrerequisitesHook
from chatstore_cli.library.configured import configured_settings, with_values
from chatstore_cli.wiring.session_registry import registry_indexes, registry_store
from chatstore_cli.wiring.stores import Stores

REGISTRY_LOG = logging.getLogger("chatstore.registry")


class SessionRegistry(registry.SessionRegistry):
    """Tracks which workflows a client session has, and which one of them is active. Thread-safe."""

    def __init__(
        self,
        uri: str | None = None,
        database: str = "chatstore",
        collection: str = "chat_session_registry",
        *,
        prerequisites: str | PrerequisitesHook | None = None,
        keep_days: int = 30,
        timeout_seconds: float = 5.0,
        write_concern: str = "majority",
        journaled: bool = True,
    ) -> None:
        """Without a `uri`, everything is stored in the memory of this object, for tests.

        `prerequisites` is a function, or its name as `module:function`, that may refuse to start a workflow or to switch to
        it. `ensure_indexes` makes MongoDB delete the state of a client session `keep_days` days after its last change. `uri`
        can be `embedded`: a MongoDB that chatstore starts itself, from the extra of that name.
        """
        named = prerequisites if isinstance(prerequisites, str) else None
        kept = with_values(RegistrySettings(), "chatstore.registry", keep_days=keep_days, prerequisites=named)
        if uri is None:
            self._stores: Stores | None = None
            super().__init__(MemoryRegistryStore(), prerequisites=_asked(prerequisites))
            return
        mongo = with_values(
            MongoSettings(uri=uri),
            "mongo",
            database=database,
            timeout_seconds=timeout_seconds,
            write_concern=write_concern,
            journaled=journaled,
        )
        general = with_values(GeneralCollections(), "layouts.general", registry=collection)
        settings = Settings(
            mongo=mongo, layouts=LayoutSettings(general=general), chatstore=ChatstoreSettings(registry=kept)
        )
        self._open(settings, prerequisites)

    @classmethod
    def from_config(
        cls, config_file: str | None = None, *, prerequisites: str | PrerequisitesHook | None = None
    ) -> SessionRegistry:
        """The registry of chatstore's configuration (mongo, layouts.general.registry, chatstore.registry). Raises BadConfig.

        `prerequisites` is as in the constructor, and replaces the setting.
        """
        opened = cls.__new__(cls)
        settings = configured_settings(config_file, _warn)
        configured = settings.chatstore.registry.prerequisites
        if isinstance(prerequisites, str):
            with_values(RegistrySettings(), "chatstore.registry", prerequisites=prerequisites)  # it checks the name
        opened._open(settings, configured if prerequisites is None else prerequisites)
        return opened

    def _open(self, settings: Settings, prerequisites: str | PrerequisitesHook | None) -> None:
        self._stores = stores = Stores(settings, say=_say, warn=_warn)
        super().__init__(registry_store(stores), prerequisites=_asked(prerequisites), clock=stores.server_now)

    def ensure_indexes(self) -> list[str]:
        """Create the missing indexes; returns one line per index: created, or not created with the reason.

        One of them makes MongoDB delete old entries. Raises Unreachable, NotAllowed.
        """
        return [] if self._stores is None else self._stores.create_indexes(registry_indexes(self._stores))

    def __enter__(self) -> SessionRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._stores is not None:
            self._stores.close()


def _asked(hook: str | PrerequisitesHook | None) -> HookPrerequisites | None:
    return None if hook is None else HookPrerequisites(hook)


def _say(text: str) -> None:
    REGISTRY_LOG.info("[SESSION REGISTRY] %s", text)


def _warn(text: str) -> None:
    REGISTRY_LOG.warning("[SESSION REGISTRY] %s", text)
