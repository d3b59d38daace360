"""States of a Python agent as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.listing import Column
from chatstore_cli.render.rows.agents import CONFIG_COLUMNS

if TYPE_CHECKING:
    from chatstore_cli.domain.agent_states import AgentState


def state_row(state: AgentState) -> dict[str, Any]:
    """One state without its data."""
    return {
        "user_id": state.user_id,
        "session_id": state.session_id,
        "current_agent_id": state.current_agent_id,
    }


def state_view_row(state: AgentState, data: Mapping[str, Any]) -> dict[str, Any]:
    """One state with its data, in which secrets may be masked."""
    return {**state_row(state), "data": data}


def value_row(user_id: str, session_id: str, path: str, value: Any) -> dict[str, Any]:
    """One value of a state."""
    return {"user_id": user_id, "session_id": session_id, "path": path, "value": value}


def change_row(user_id: str, session_id: str, path: str | None, agent_id: str | None, result: str) -> dict[str, Any]:
    """A change of a state. `result` is set or unset. Without a `path`, the current agent was changed."""
    ids = {"user_id": user_id, "session_id": session_id}
    return {**ids, "path": path, "current_agent_id": agent_id, "result": result}


_OWNER = (Column("user_id", "User"), Column("session_id", "Session"))
STATE_COLUMNS = (
    Column("user_id", "USER", whole=True),
    Column("session_id", "SESSION", whole=True),
    Column("current_agent_id", "CURRENT AGENT", spare=1),
)
STATE_FIELDS = (*_OWNER, Column("current_agent_id", "Current agent"))
VALUE_FIELDS = (
    *_OWNER,
    Column("path", "Path"),
    Column("value", "Value", show=lambda value: as_json(value, indented=False)),
)
CHANGE_FIELDS = (
    *_OWNER,
    Column("path", "Path"),
    Column("current_agent_id", "Current agent"),
    Column("result", "Result"),
)
DATA_COLUMNS = CONFIG_COLUMNS
