"""The state of an agent, as fluxibly's StateManager creates it."""

from __future__ import annotations

from typing import Any, TypedDict


class AgentState(TypedDict):
    """A dict with the keys that an agent works on. chatstore stores none of them."""

    messages: list[Any]
    plan: list[Any]
    context: dict[str, Any]
    mcp_results: list[Any]
    metadata: dict[str, Any]
    extracted_content: list[Any]
    content_tree: dict[str, Any]
    error: str | None


def initial_state(context: dict[str, Any]) -> AgentState:
    """A state with this context, and all else empty."""
    return AgentState(
        messages=[],
        plan=[],
        context=context,
        mcp_results=[],
        metadata={},
        extracted_content=[],
        content_tree={},
        error=None,
    )
