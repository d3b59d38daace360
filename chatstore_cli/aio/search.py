"""The awaitable face of a search in all sessions."""

from __future__ import annotations

from typing import Any

from chatstore_cli.aio.connected import ConnectedFace
from chatstore_cli.aio.face import arguments_of, awaitable
from chatstore_cli.library import search as synchronous

_Search = synchronous.SessionSearch


class SessionSearch(ConnectedFace[synchronous.SessionSearch]):
    """`chatstore_cli.SessionSearch` for an event loop. Up to 16 calls are made at a time, in no order."""

    @arguments_of(_Search)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Search(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> SessionSearch:
        """The search in the database of chatstore's configuration. Raises BadConfig."""
        return cls._of(_Search.from_config(config_file))

    search = awaitable(_Search.search)
