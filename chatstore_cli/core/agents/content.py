"""The content of an agent after an update. A name is at the top of the agent, or only in its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.core.agents.checks import checked_description, checked_name
from chatstore_cli.core.agents.secrets import unmasked_config
from chatstore_cli.core.agents.stored_values import same
from chatstore_cli.domain.agents.models import UNCHANGED, Agent, AgentContent, Unchanged

NAME, DESCRIPTION = "agent_name", "agent_description"
"""The keys of name and description in the configuration of an agent that has them only there."""


def next_content(
    agent: Agent,
    name: str | Unchanged,
    description: str | Unchanged | None,
    config: Mapping[str, Any] | Unchanged,
) -> AgentContent | None:
    """The content of an agent after an update of checked values; None if the update changes nothing."""
    given = dict(agent.config) if config is UNCHANGED else unmasked_config(config, agent.config)
    if agent.names_in_config:
        if name is not UNCHANGED:
            given[NAME] = name
        if description is not UNCHANGED:
            given[DESCRIPTION] = description
    content = AgentContent(
        name=agent.name if name is UNCHANGED else name,
        description=agent.description if description is UNCHANGED else description,
        config=given,
    )
    names_differ = (content.name, content.description) != (agent.name, agent.description)
    if not names_differ and same(given, dict(agent.config)):
        return None
    if agent.names_in_config:
        _check_names(given, agent.config)
    return content


def _check_names(config: dict[str, Any], stored: Mapping[str, Any]) -> None:
    """Check name and description in a configuration, unless they are as they were stored."""
    if NAME not in config or config[NAME] != stored.get(NAME):
        config[NAME] = checked_name(config.get(NAME, ""), f"config.{NAME}")
    if config.get(DESCRIPTION) != stored.get(DESCRIPTION):
        checked_description(config.get(DESCRIPTION), f"config.{DESCRIPTION}")
