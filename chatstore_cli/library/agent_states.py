"""The states and the sessions of a Python agent, for applications."""

from __future__ import annotations

from typing import Self

from chatstore_cli.core.agent_sessions import sessions as agent_sessions
from chatstore_cli.core.agent_states import states as agent_states
from chatstore_cli.domain.agent_sessions import AgentMessage, AgentSession
from chatstore_cli.domain.agent_states import AgentState, StatePage
from chatstore_cli.library.connected import Connected, given_settings, settings_of_file
from chatstore_cli.wiring.agent_sessions import agent_session_store
from chatstore_cli.wiring.agent_states import agent_state_store

__all__ = ["AgentMessage", "AgentSession", "AgentSessions", "AgentState", "AgentStates", "StatePage"]


class AgentStates(Connected, agent_states.AgentStates):
    """Reads and changes the states of a Python agent in MongoDB. It connects on first use, and is thread-safe."""

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        *,
        collection: str | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Without a `uri`, whatever is None comes from chatstore's configuration, as in `from_config`.

        With a `uri`, no configuration is read, and what is None has its default: the database `chatstore`, the collection
        `states`, and 5 seconds to find a server. Raises BadConfig and BadValue.
        """
        self._connect(given_settings(uri, database, timeout_seconds, states=collection))
        super().__init__(self._on_first_use(agent_state_store))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> Self:
        """The states of chatstore's configuration (mongo, chatstore.agents.states). Raises BadConfig."""
        service = cls.__new__(cls)
        service._connect(settings_of_file(config_file))
        agent_states.AgentStates.__init__(service, service._on_first_use(agent_state_store))
        return service


class AgentSessions(Connected, agent_sessions.AgentSessions):
    """Reads and writes the sessions of a Python agent in MongoDB. It connects on first use, and is thread-safe.

    Other products use the names of its collections, so they have no default: the first call raises BadConfig if one of
    them is not given and not configured.
    """

    def __init__(
        self,
        uri: str | None = None,
        database: str | None = None,
        *,
        sessions: str | None = None,
        messages: str | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Values that are None are as those of AgentStates. `sessions` and `messages` are the names of collections."""
        self._connect(given_settings(uri, database, timeout_seconds, sessions=sessions, messages=messages))
        super().__init__(self._on_first_use(agent_session_store))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> Self:
        """The sessions of chatstore's configuration (mongo, chatstore.agents.sessions and .messages). Raises BadConfig."""
        service = cls.__new__(cls)
        service._connect(settings_of_file(config_file))
        agent_sessions.AgentSessions.__init__(service, service._on_first_use(agent_session_store))
        return service
