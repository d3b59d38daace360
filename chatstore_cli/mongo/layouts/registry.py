"""Every layout, by name. To add one, add its file, a line here, and tests/samples/<layout>.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.general.layout import GeneralLayout
from chatstore_cli.mongo.messages.layout import MessagesLayout
from chatstore_cli.mongo.products.agent_sessions import AgentSessionsLayout
from chatstore_cli.mongo.products.calls import CallsLayout
from chatstore_cli.mongo.threads.layout import ThreadsLayout
from chatstore_cli.mongo.workflow.layout import WorkflowLayout

LAYOUTS: dict[str, Callable[[Any, Any], SessionReader]] = {
    "workflow": WorkflowLayout,
    "messages": MessagesLayout,
    "threads": ThreadsLayout,
    "general": GeneralLayout,
    "calls": CallsLayout,
    "agent_sessions": AgentSessionsLayout,
}

OTHER_PRODUCTS = frozenset({"calls", "agent_sessions"})
"""Layouts that chatstore never writes. Their indexes are checked and created only if the layout is named."""


def collections_of(layout: str, settings: Settings) -> list[str]:
    """The collections from which the sessions of a layout, and their messages, are read."""
    names, agents = settings.layouts, settings.chatstore.agents
    own = {
        "workflow": (settings.sessions_collection, names.workflow.segments),
        "messages": (settings.messages_collection,),
        "threads": (names.threads.threads, names.threads.messages),
        "general": (names.general.sessions, names.general.segments),
        "calls": (agents.transcripts,),
        "agent_sessions": (agents.sessions, agents.messages),
    }
    return [name for name in own[layout] if name is not None]


def used_layouts(settings: Settings) -> list[str]:
    """The layouts that a database has by its settings: all but those whose collections no setting names."""
    agents = settings.chatstore.agents
    is_off = {
        "general": settings.layouts.general.sessions is None,
        "agent_sessions": agents.sessions is None or agents.messages is None,
    }
    return [name for name in LAYOUTS if not is_off.get(name)]
