"""Adds the ids that may have been meant to an error about a thread, an agent or a session that was not found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.core.readers import WHOLE_ID
from chatstore_cli.core.similar import QUESTION, similar_names, suggestion
from chatstore_cli.core.similar_sessions import SECONDS, layouts_with, similar_sessions
from chatstore_cli.domain.errors import AgentNotFound, ChatstoreError, NotFound, ThreadNotFound

if TYPE_CHECKING:
    from chatstore_cli.wiring.stores import Stores

_MOST_AGENTS = 200


def add_suggestion(error: NotFound, stores: Stores, layout: str | None) -> None:
    """Put the layout that has the id before the hint of the error, or else similar ids.

    A hint that has similar ids already stays as it is, unless a layout has the id. An error about a session without a hint
    gets the usual one.
    """
    session_id = _session_id(error)
    if session_id is not None and (elsewhere := _elsewhere(session_id, stores, layout)) is not None:
        error.hint = f"{elsewhere} {_without_whole_id(error.hint or '')}".rstrip()
        return
    if session_id is not None and not error.hint:
        error.hint = WHOLE_ID
    if QUESTION in (error.hint or ""):
        return
    try:
        meant = suggestion(_similar(error, stores, layout))
    except ChatstoreError:  # the error about the missing thing is what counts
        return
    if meant is not None:
        error.hint = f"{meant} {error.hint or ''}".rstrip()


def _session_id(error: NotFound) -> str | None:
    if isinstance(error, ThreadNotFound):
        return str(error.facts["thread_id"])
    return str(error.facts["name"]) if error.facts.get("kind_of_thing") == "session" else None


def _elsewhere(session_id: str, stores: Stores, layout: str | None) -> str | None:
    """A sentence that names the layouts with the id, which the command did not find; None if no layout has it."""
    try:
        found = layouts_with(stores.readers_beside(layout), session_id)
    except ChatstoreError:
        return None
    if not found:
        return None
    return f"A session with this id is in the layout{'s' * (len(found) > 1)} {' and '.join(found)}."


def _without_whole_id(hint: str) -> str:
    """The hint without the advice for an id that no layout has, and without the ids that may have been meant."""
    return hint.partition(WHOLE_ID)[2].lstrip() if WHOLE_ID in hint else hint


def _similar(error: NotFound, stores: Stores, layout: str | None) -> list[str]:
    facts = error.facts
    if isinstance(error, AgentNotFound):
        return _similar_agents(str(facts["agent_id"]), stores)
    if isinstance(error, ThreadNotFound):
        return similar_sessions(stores.session_readers("threads"), str(facts["thread_id"]))
    if facts.get("kind_of_thing") == "session":
        # Commands without --layout name the layout `messages` as their target, which says nothing about the session.
        return similar_sessions(stores.session_readers(None if layout == "messages" else layout), str(facts["name"]))
    return []


def _similar_agents(agent_id: str, stores: Stores) -> list[str]:
    from chatstore_cli.wiring.agents import agent_registry

    with stores.within(SECONDS):
        page = agent_registry(stores).list_agents(limit=_MOST_AGENTS, with_config=False)
    return similar_names(agent_id, (agent.agent_id for agent in page.agents))
