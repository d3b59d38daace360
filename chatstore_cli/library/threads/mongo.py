"""The threads of an application in two collections of a MongoDB database."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import cast

from chatstore_cli.config.settings import MongoSettings, Settings, ThreadSettings
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.threads.ports import ThreadStore
from chatstore_cli.library.configured import configured_settings, with_values
from chatstore_cli.library.on_first_use import OnFirstUse
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.threads import thread_store

THREADS_LOG = logging.getLogger("chatstore.threads")
_TIMEOUT_SECONDS = 5.0


class MongoConversationRepository(StoredConversations):
    """Stores threads and their messages in MongoDB. It connects on first use, and is thread-safe."""

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        *,
        threads_collection: str | None = None,
        messages_collection: str | None = None,
        timeout_seconds: float | None = None,
        write_concern: str | None = None,
        journaled: bool | None = None,
        strict_roles: bool = True,
    ) -> None:
        """Without a `uri`, whatever is None comes from chatstore's configuration, as in `from_config`.

        With a `uri`, no configuration is read, and what is None has its default: the database `chatstore`, the collections
        `chat_threads` and `chat_thread_messages`, 5 seconds to find a server, and writes that a majority of the nodes has
        in its journals. `uri` can be `embedded`: a MongoDB that chatstore starts itself, from the extra of that name.

        With `strict_roles` False a message may have any role, otherwise only user, assistant, system and tool. Raises
        BadConfig and BadValue.
        """
        if uri is None:
            settings = configured_settings(None, _warn)
        else:
            settings = Settings(mongo=MongoSettings(uri=uri, timeout_seconds=_TIMEOUT_SECONDS))
        mongo = with_values(
            settings.mongo,
            "mongo",
            database=database,
            timeout_seconds=timeout_seconds,
            write_concern=write_concern,
            journaled=journaled,
        )
        threads = with_values(
            settings.layouts.threads, "layouts.threads", threads=threads_collection, messages=messages_collection
        )
        if threads.threads == threads.messages:
            expected = "another collection than that of the threads"
            raise BadValue(name="layouts.threads.messages", value=threads.messages, expected=expected)
        self._use(replace(settings, mongo=mongo, layouts=replace(settings.layouts, threads=threads)), strict_roles)

    @classmethod
    def from_config(cls, config_file: str | None = None, *, strict_roles: bool = True) -> MongoConversationRepository:
        """The threads of chatstore's configuration (mongo, layouts.threads). Raises BadConfig."""
        repository = cls.__new__(cls)
        repository._use(configured_settings(config_file, _warn), strict_roles)
        return repository

    def _use(self, settings: Settings, strict_roles: bool) -> None:
        self.settings = settings = replace(settings, chatstore=replace(settings.chatstore, threads=ThreadSettings()))
        self._stores = Stores(settings, say=_say, warn=_warn)
        self._on_first_use = OnFirstUse(lambda: thread_store(self._stores))
        super().__init__(cast(ThreadStore, self._on_first_use), strict_roles=strict_roles)

    def ensure_indexes(self) -> list[str]:
        """Create the missing indexes. Returns one line per index that was created, or was not created, with the reason.

        Without the indexes, a list reads the whole collection. The unique index that gives messages their order
        is created before the first message is stored. Raises Unreachable, NotAllowed.
        """
        return self._stores.create_missing_indexes("threads")

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the time of all operations inside: `with repository.within(2): ...` raises Unreachable after two seconds.

        Without it, a call waits `timeout_seconds` for a server that is not found, and up to 30 seconds for an answer.
        """
        return self._stores.within(seconds)

    def close(self) -> None:
        """Close the connections. A later use connects again."""
        self._on_first_use.forget()
        self._stores.close()


def _say(text: str) -> None:
    THREADS_LOG.info("[CHAT THREADS] %s", text)


def _warn(text: str) -> None:
    THREADS_LOG.warning("[CHAT THREADS] %s", text)
