"""The library's manager for AG2 agents: it stores their sessions in MongoDB, event by event."""

from __future__ import annotations

import logging
from collections.abc import Collection

from chatstore_cli.config.settings import LayoutSettings, MongoSettings, Settings, WorkflowCollections
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.library.configured import configured_settings
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.workflow import event_ports

EVENTS_LOG = logging.getLogger("chatstore.events")


class AG2PersistenceManager(AG2Manager):
    """Stores what AG2's agents emit in one MongoDB collection, and returns the history to resume a session."""

    def __init__(
        self,
        uri: str,
        database: str,
        collection: str = "chat_sessions",
        *,
        segment_messages: int | None = None,
        user_names: Collection[str] = (),
        timeout_seconds: float = 5.0,
        write_concern: str = "majority",
        journaled: bool = True,
    ) -> None:
        """`segment_messages` keeps documents small: that many of the oldest messages at a time move into segments. Only
        readers that use chatstore see segments. `user_names` are further speakers with the role user.

        `uri` may be `embedded`: a MongoDB that chatstore starts itself, from the extra of that name.
        """
        mongo = MongoSettings(
            uri=uri,
            database=database,
            timeout_seconds=timeout_seconds,
            write_concern=write_concern,
            journaled=journaled,
        )
        workflow = WorkflowCollections(sessions=collection, segment_messages=segment_messages)
        self._open(Settings(mongo=mongo, layouts=LayoutSettings(workflow=workflow)), user_names)

    @classmethod
    def from_config(cls, config_file: str | None = None, *, user_names: Collection[str] = ()) -> AG2PersistenceManager:
        """A manager for the collections of chatstore's configuration (mongo, layouts.workflow). Raises BadConfig."""
        manager = cls.__new__(cls)
        manager._open(configured_settings(config_file, _warn), user_names)
        return manager

    def _open(self, settings: Settings, user_names: Collection[str]) -> None:
        self.settings = settings
        self._stores = Stores(settings, say=_say, warn=_warn)
        super().__init__(event_ports(self._stores, _warn), user_names=user_names)

    def ensure_indexes(self) -> list[str]:
        """Create the missing indexes; returns one line per index that was created, or left alone and why.

        Without the indexes, each look-up of a session reads the whole collection. Raises Unreachable, NotAllowed.
        """
        return self._stores.create_missing_indexes("workflow")

    def __enter__(self) -> AG2PersistenceManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._stores.close()


def _say(text: str) -> None:
    EVENTS_LOG.info("[CHAT EVENTS] %s", text)


def _warn(text: str) -> None:
    EVENTS_LOG.warning("[CHAT EVENTS] %s", text)
