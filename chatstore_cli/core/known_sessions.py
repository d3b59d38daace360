"""The last known states of the sessions that a process writes to, so that an append does not read the session first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import Conflict

_LOCKS = 64

State = TypeVar("State")
Result = TypeVar("Result")


class KnownSessions(Generic[State]):
    """The last known states of the sessions that were written to last. May be used from several threads."""

    def __init__(self) -> None:
        self._states: LruMap[str, State] = LruMap()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def lock(self, session_id: str) -> threading.Lock:
        """The lock to hold while a session is written to, so that threads of one process do not make each other retry."""
        return self._locks[hash(session_id) % _LOCKS]

    def known(self, session_id: str) -> State | None:
        """The last known state; None if the session must be loaded."""
        return self._states.get(session_id)

    def remember(self, session_id: str, state: State) -> None:
        """Use this state from now on."""
        self._states.put(session_id, state)

    def forget(self, session_id: str) -> None:
        """Load the session again the next time."""
        self._states.pop(session_id)

    def until_done(self, session_id: str, attempt: Callable[[], Result | None]) -> Result:
        """The first result of `attempt` that is not None. None means that another writer has changed the session.

        The session is loaded again before each further attempt. Raises Conflict after too many attempts.
        """

        def failure() -> Conflict:
            what = f"Session {session_id!r} was changed by other writers at each attempt."
            return Conflict(what=what, hint="Try again.")

        return attempt_until_done(attempt, failure, between=lambda: self.forget(session_id))
