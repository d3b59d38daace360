"""The states of a Python agent: the rules over any AgentStateStore."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from chatstore_cli.core.agent_states.paths import StatePath, checked_path, shown_path, value_under
from chatstore_cli.core.agents.checks import LARGEST_PAGE, checked_key, checked_value
from chatstore_cli.domain.agent_states import AgentState, AgentStateStore, StatePage
from chatstore_cli.domain.errors import BadValue

_PAGE = 50


class AgentStates:
    """Reads and changes the states of a Python agent: for each user and session, the current agent and any JSON data.

    A path is a text such as `cart.items[0].name`, or a list of its keys and indexes. In a text, a key with one of the
    characters .[]=" is in brackets and quotes: `prices["a.b"]`. A list needs no quotes: `["prices", "a.b"]`.

    Each change is one update of one value, so writers of different paths never undo each other. Methods raise
    InvalidAgent for a wrong value, and WrongUse for a wrong path, before anything is looked up.
    """

    def __init__(self, store: AgentStateStore) -> None:
        self._store = store

    def get_state(self, user_id: str, session_id: str) -> AgentState | None:
        """The whole state of a user in a session, or None."""
        return self._store.find(*_owner(user_id, session_id))

    def get_value(self, user_id: str, session_id: str, path: StatePath, default: Any = None) -> Any:
        """The value under a path; `default` if the state has no such value."""
        steps = checked_path(path)
        state = self._store.find(*_owner(user_id, session_id), steps)
        return default if state is None else value_under(state.data, steps, default)

    def set_value(self, user_id: str, session_id: str, path: StatePath, value: Any) -> None:
        """Set the value under a path. A state that does not exist is created, once, and so are the objects on the way.

        Raises Conflict if a value on the way is neither an object nor a list.
        """
        steps = checked_path(path)
        checked = checked_value(value, shown_path(steps), "state", level=len(steps))
        self._store.set_value(*_owner(user_id, session_id), steps, checked)

    def unset_value(self, user_id: str, session_id: str, path: StatePath) -> bool:
        """Remove the value under a path. Returns whether it existed. In a list, the values after it move up."""
        return self._store.unset_value(*_owner(user_id, session_id), checked_path(path))

    def set_current_agent(self, user_id: str, session_id: str, agent_id: str | None) -> None:
        """Set which agent answers in a session; None: no agent. A state that does not exist is created, once."""
        agent = None if agent_id is None else checked_key(agent_id, "current_agent_id")
        self._store.set_current_agent(*_owner(user_id, session_id), agent)

    def list_states(
        self, user_id: str | None = None, *, limit: int = _PAGE, cursor: str | None = None, with_data: bool = False
    ) -> StatePage:
        """States of all users, or of one, in the order of their users and sessions.

        `cursor` is the `next_cursor` of an earlier page, and `limit` is from 1 to 200. Without `with_data`, the data is not
        read and is empty here: it can have 16 MiB a state.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
            raise BadValue(name="--limit", value=limit, expected=f"from 1 to {LARGEST_PAGE}")
        user = None if user_id is None else checked_key(user_id, "user_id")
        found = self._store.page(user, None if cursor is None else _position(cursor), limit + 1, with_data=with_data)
        page = found[:limit]
        is_end = len(found) <= limit
        return StatePage(tuple(page), None if is_end else _cursor(page))


def _owner(user_id: str, session_id: str) -> tuple[str, str]:
    return checked_key(user_id, "user_id"), checked_key(session_id, "session_id")


def _cursor(page: Sequence[AgentState]) -> str:
    packed = json.dumps([page[-1].user_id, page[-1].session_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[str, str]:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        user_id, session_id = json.loads(packed)
        return checked_key(user_id), checked_key(session_id)
    except (binascii.Error, ValueError, TypeError) as error:  # InvalidAgent is a ValueError too
        raise BadValue(name="--cursor", value=cursor, expected="the next_cursor of an earlier page") from error
