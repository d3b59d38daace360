"""The states and the sessions of a Python agent, for applications."""

from __future__ import annotations

from chatstore_cli.core.agent_sessions import sessions as agent_sessions
from chatstore_cli.core.agent_states import states as agent_states
from chatstore_cli.domain.agent_sessions import AgentMessage, AgentSession
from chatstore_cli.domain.agent_states import AgentState, StatePage
from chatstore_cli.library.connected import Connected, given_settings
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

    def _begin(self) -> None:
        agent_states.AgentStates.__init__(self, self._on_first_use(agent_state_store))


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

    def _begin(self) -> None:
        agent_sessions.AgentSessions.__init__(self, self._on_first_use(agent_session_store))
