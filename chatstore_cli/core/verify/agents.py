"""The check of `chatstore verify` that counts the active versions of saved agents."""

from __future__ import annotations

from typing import Protocol

from chatstore_cli.core.verify.checklist import Verdict, passed, shorten, skipped, too_slow, warned
from chatstore_cli.domain.agents.models import VersionSample
from chatstore_cli.domain.quantities import quantity

_HINT = (
    "The configuration of the agent itself counts. The next chatstore agents update, or chatstore agents activate of "
    "another version, leaves one version active."
)


class AgentSample(Protocol):
    """Random saved agents of one collection."""

    collection: str

    def versions(self) -> VersionSample | None:
        """How many of their versions are active; None after the time limit."""


def version_verdict(sample: AgentSample, seconds: float) -> Verdict:
    """Every agent that has versions has exactly one active one."""
    found = sample.versions()
    if found is None:
        return too_slow(sample.collection, seconds)
    if not found.looked_at:
        return skipped(f"{sample.collection} has no agents")
    checked = f"{quantity(found.looked_at, 'agent')} checked"
    if found.faults:
        named = shorten([f"{agent_id} has {active} active versions" for agent_id, active in found.faults])
        return warned(f"{named}; {checked}", _HINT)
    return passed(f"{checked}; each has one active version or none stored")
