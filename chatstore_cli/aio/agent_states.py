"""The awaitable faces of the states and the sessions of a Python agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chatstore_cli.aio.face import AT_A_TIME, ClosingFace, OrderedFace, arguments_of, awaitable
from chatstore_cli.config.settings import Settings
from chatstore_cli.library import agent_states

_States = agent_states.AgentStates
_Sessions = agent_states.AgentSessions


class AgentStates(ClosingFace[agent_states.AgentStates]):
    """`chatstore_cli.AgentStates` for an event loop. Up to 16 calls are made at a time, in no order."""

    _calls_at_a_time = AT_A_TIME

    @arguments_of(_States)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_States(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> AgentStates:
        """The states of chatstore's configuration (mongo, chatstore.agents.states). Raises BadConfig."""
        return cls._of(_States.from_config(config_file))

    get_state = awaitable(_States.get_state)
    get_value = awaitable(_States.get_value)
    set_value = awaitable(_States.set_value)
    unset_value = awaitable(_States.unset_value)
    set_current_agent = awaitable(_States.set_current_agent)
    list_states = awaitable(_States.list_states)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of all calls inside: `async with service.within(2): ...` raises Unreachable after two seconds."""
        with self.synchronous.within(seconds):  # a context variable, which every call copies
            yield

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self.synchronous.settings


class AgentSessions(OrderedFace[agent_states.AgentSessions]):
    """`chatstore_cli.AgentSessions` for an event loop. The calls for one session are made one at a time, in their order."""

    @arguments_of(_Sessions)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Sessions(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> AgentSessions:
        """The sessions of chatstore's configuration (mongo, chatstore.agents.sessions and .messages). Raises BadConfig."""
        return cls._of(_Sessions.from_config(config_file))

    get_session = awaitable(_Sessions.get_session)
    save_messages = awaitable(_Sessions.save_messages)
    messages = awaitable(_Sessions.messages)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of all calls inside: `async with service.within(2): ...` raises Unreachable after two seconds."""
        with self.synchronous.within(seconds):  # a context variable, which every call copies
            yield

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self.synchronous.settings
