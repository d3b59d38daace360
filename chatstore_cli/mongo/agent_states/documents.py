"""The states of a Python agent as they are stored, and their index (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.agent_states import AgentState
from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.bson_values import json_value
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.own_documents import HasType, OwnDocuments, all_of, has_any

OWN_STATES = OwnDocuments(
    OwnKind("a state of a Python agent", "states of Python agents", "this platform"),
    all_of(
        HasType("user_id", "string", (str,)),
        HasType("session_id", "string", (str,)),
        has_any("current_agent_id", "data"),
    ),
)


def state_index_spec(collection: str) -> IndexSpec:
    """The Python agent's own index, with the name that the driver gives to it."""
    return IndexSpec(
        collection,
        "user_id_1_session_id_1",
        (("user_id", 1), ("session_id", 1)),
        unique=True,
        why="allows one state for each user and session, finds it, and lists the states in order",
    )


def to_state(document: Mapping[str, Any]) -> AgentState:
    """The state of a document. Data that is not an object is empty."""
    agent, data = document.get("current_agent_id"), json_value(document.get("data"))
    return AgentState(
        user_id=str(document["user_id"]),
        session_id=str(document["session_id"]),
        current_agent_id=None if agent is None else id_text(agent),
        data=data if isinstance(data, dict) else {},
    )


def new_state(user_id: str, session_id: str, agent_id: str | None, data: Mapping[str, Any]) -> Document:
    """The document of a new state."""
    return {"user_id": user_id, "session_id": session_id, "current_agent_id": agent_id, "data": dict(data)}
