"""The demo's saved agent with two versions and a phone number, stored by the use cases that an application calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.core.demo.sample_general import TENANT
from chatstore_cli.core.phone_numbers.routing import PhoneNumbers

SAMPLE_NUMBER = "+493023125042"
"""A number that is reserved for stories."""

_FIRST: dict[str, Any] = {
    "engine": {"kind": "pipeline", "llm": "openai/gpt-4o-mini", "language": "en"},
    "tools": ["get_weather", "add_note"],
    "greeting": "Oakline Travel, how can I help?",
    "api_key": "key-of-the-demo-0001",
}


@dataclass(frozen=True, slots=True)
class AgentSamples:
    """Stores the samples."""

    agents: AgentRegistryService
    numbers: PhoneNumbers

    def store(self) -> None:
        """Store the agent, change it, and route the number to it."""
        agent = self.agents.create_agent("Front desk", description="Answers calls", config=_FIRST, tenant_id=TENANT)
        engine = {**_FIRST["engine"], "llm": "openai/gpt-4o"}
        changed = {**_FIRST, "engine": engine, "knowledge_base": {"enabled": True}}
        self.agents.update_agent(agent.agent_id, config=changed, tenant_id=TENANT)
        self.numbers.bind(SAMPLE_NUMBER, agent.agent_id, tenant_id=TENANT)
