"""The state that a Python agent keeps for a user in a session, and the port of its store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Path = tuple[str | int, ...]
"""The steps to a value in the data of a state: keys of objects, and indexes of lists."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """The state of one user in one session. `data` has JSON values. `current_agent_id` is the agent that answers."""

    user_id: str
    session_id: str
    current_agent_id: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StatePage:
    """States in the order of their users and sessions. `next_cursor` is None at the end."""

    states: tuple[AgentState, ...]
    next_cursor: str | None = None


class AgentStateStore(Protocol):
    """The states of one database, one for each user and session. core/agent_states/ has checked all values.

    A method that sets something stores a missing state. Methods raise Unreachable, NotAllowed and
    ForeignCollection.
    """

    collection: str

    def find(self, user_id: str, session_id: str, path: Path = ()) -> AgentState | None:
        """A state, or None. With a path, `data` may lack what is not on it."""

    def page(
        self, user_id: str | None, after: tuple[str, str] | None, limit: int, *, with_data: bool
    ) -> list[AgentState]:
        """At most `limit` states of all users or of one, after the one with this user and session."""

    def set_value(self, user_id: str, session_id: str, path: Path, value: Any) -> None:
        """Set the value under a path and nothing else. Raises Conflict if a value on the way is not an object or a list."""

    def unset_value(self, user_id: str, session_id: str, path: Path) -> bool:
        """Remove the value under a path, and return whether it existed."""

    def set_current_agent(self, user_id: str, session_id: str, agent_id: str | None) -> None:
        """Set which agent answers."""
