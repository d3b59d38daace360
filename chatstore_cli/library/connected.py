"""What the services for voice platforms share: a connection of their own, and the settings that applications give to it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Self, TypeVar, cast

from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.library.configured import configured_settings, with_values
from chatstore_cli.library.on_first_use import OnFirstUse
from chatstore_cli.wiring.stores import Stores

_LOG = logging.getLogger("chatstore.agents")
_TIMEOUT_SECONDS = 5.0

Store = TypeVar("Store")


class Connected(ABC):
    """A service with a connection of its own, which its first call opens."""

    settings: Settings
    _stores: Stores
    _opened: list[OnFirstUse]

    @classmethod
    def from_config(cls, config_file: str | None = None) -> Self:
        """The service of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        service = cls.__new__(cls)
        service._connect(settings_of_file(config_file))
        return service

    def _connect(self, settings: Settings) -> None:
        """Make the service usable with these settings. Every constructor ends here."""
        self.settings = settings
        self._stores = Stores(settings, say=_say, warn=_warn)
        self._opened = []
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Give the service its stores."""

    def _on_first_use(self, create: Callable[[Stores], Store]) -> Store:
        """A store that is created for the first call."""
        stores = self._stores
        store = OnFirstUse(lambda: create(stores))
        self._opened.append(store)
        return cast(Store, store)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the time of all operations inside: `with service.within(2): ...` raises Unreachable after two seconds.

        Without it, a call waits `timeout_seconds` for a server that is not found, and up to 30 seconds for an answer.
        """
        return self._stores.within(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. A later use connects again."""
        for store in self._opened:
            store.forget()
        self._stores.close()


def settings_of_file(config_file: str | None) -> Settings:
    """The settings of chatstore's configuration. Raises BadConfig."""
    return configured_settings(config_file, _warn)


def given_settings(
    uri: str | None,
    database: str | None,
    timeout_seconds: float | None,
    *,
    write_concern: str | None = None,
    journaled: bool | None = None,
    **of_agents: str | None,
) -> Settings:
    """The settings that an application gives. Without a `uri`, whatever is None comes from chatstore's configuration.

    `of_agents` are settings of the block `chatstore.agents`. Raises BadConfig and BadValue.
    """
    if uri is None:
        settings = settings_of_file(None)
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
    agents = with_values(settings.chatstore.agents, "chatstore.agents", **of_agents)
    return replace(settings, mongo=mongo, chatstore=replace(settings.chatstore, agents=agents))


def _say(text: str) -> None:
    _LOG.info("[AGENTS] %s", text)


def _warn(text: str) -> None:
    _LOG.warning("[AGENTS] %s", text)
