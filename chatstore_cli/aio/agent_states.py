"""The awaitable faces of the states and the sessions of a Python agent."""

from __future__ import annotations

from typing import Any

from chatstore_cli.aio.connected import ConnectedFace
from chatstore_cli.aio.face import OrderedFace, arguments_of, awaitable
from chatstore_cli.library import agent_states

_States = agent_states.AgentStates
_Sessions = agent_states.AgentSessions


class AgentStates(ConnectedFace[agent_states.AgentStates]):
    """`chatstore_cli.AgentStates` for an event loop. Up to 16 calls are made at a time, in no order."""

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


class AgentSessions(OrderedFace[agent_states.AgentSessions], ConnectedFace[agent_states.AgentSessions]):
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
