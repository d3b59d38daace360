"""The awaitable face of the manager for AG2 agents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from inspect import BoundArguments
from typing import Any

from chatstore_cli import library
from chatstore_cli.aio.calls import Calls
from chatstore_cli.aio.face import OrderedFace, arguments_of, awaitable, in_context, streamed
from chatstore_cli.config.settings import Settings

_Manager = library.AG2PersistenceManager


class AG2PersistenceManager(OrderedFace[library.AG2PersistenceManager]):
    """`chatstore_cli.AG2PersistenceManager` for an event loop: every method that uses the database is awaitable.

    The calls for one session are made one at a time, in their order, so that usage belongs to the agent that AG2 named.
    """

    @arguments_of(_Manager)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Manager(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None, *, user_names: Collection[str] = ()) -> AG2PersistenceManager:
        """A manager for the collections of chatstore's configuration (mongo, layouts). Raises BadConfig."""
        return cls._of(_Manager.from_config(config_file, user_names=user_names))

    save_event = awaitable(_Manager.save_event)
    save_usage = awaitable(_Manager.save_usage)
    usage_of = in_context(_Manager.usage_of)
    create_session = awaitable(_Manager.create_session)
    start_run = awaitable(_Manager.start_run)
    history = awaitable(_Manager.history)
    resume_chat = awaitable(_Manager.resume_chat)
    mark_completed = awaitable(_Manager.mark_completed)
    mark_failed = awaitable(_Manager.mark_failed)
    pause = awaitable(_Manager.pause)
    unpause = awaitable(_Manager.unpause)
    mixed_transcript = streamed(_Manager.mixed_transcript)
    replay = streamed(_Manager.replay)
    create_general_chat_session = awaitable(_Manager.create_general_chat_session)
    append_general_message = awaitable(_Manager.append_general_message)
    list_general_chats = awaitable(_Manager.list_general_chats)
    fetch_general_chat_transcript = awaitable(_Manager.fetch_general_chat_transcript)
    update_session_metrics = awaitable(_Manager.update_session_metrics)
    session_artifacts = awaitable(_Manager.session_artifacts)
    fetch_event_diff = awaitable(_Manager.fetch_event_diff)
    ensure_indexes = awaitable(_Manager.ensure_indexes)

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self.synchronous.settings

    @property
    def unknown_events(self) -> Counter[str]:
        """The number of events of each unknown type."""
        return self.synchronous.unknown_events

    def _calls_for(self, bound: BoundArguments) -> Calls:
        return self._calls_of(bound.arguments.get("general_chat_id", bound.arguments.get("chat_id")))
