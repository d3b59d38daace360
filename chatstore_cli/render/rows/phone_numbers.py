"""Phone numbers that are routed to agents as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column

if TYPE_CHECKING:
    from chatstore_cli.domain.phone_numbers import PhoneBinding


def number_row(binding: PhoneBinding) -> dict[str, Any]:
    """The route of one number. `agent_id` is null if the number has no agent."""
    return {
        "number": binding.number,
        "agent_id": binding.agent_id,
        "tenant_id": binding.tenant_id,
        "enabled": binding.enabled,
        "provider": binding.provider,
        "provider_number_id": binding.provider_number_id,
        "created_at": rfc3339(binding.created_at),
        "updated_at": rfc3339(binding.updated_at),
        "binding_id": binding.binding_id,
    }


NUMBER_COLUMNS = (
    Column("number", "NUMBER", whole=True),
    Column("agent_id", "AGENT", whole=True),
    Column("tenant_id", "TENANT"),
    Column("enabled", "ENABLED"),
    Column("provider", "PROVIDER", spare=4),
    Column("provider_number_id", "PROVIDER NUMBER", in_table=False),
    Column("created_at", "CREATED", is_time=True, in_table=False),
    Column("updated_at", "UPDATED", is_time=True, whole=True, spare=3),
    Column("binding_id", "BINDING", in_table=False),
)
NUMBER_FIELDS = (
    Column("number", "Phone number"),
    Column("agent_id", "Agent"),
    Column("tenant_id", "Tenant"),
    Column("enabled", "Enabled"),
    Column("provider", "Provider"),
    Column("created_at", "Created", is_time=True),
    Column("updated_at", "Updated", is_time=True),
    Column("binding_id", "Binding"),
)
