"""The check of `chatstore verify` that looks up the current agents of the states of a Python agent."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from chatstore_cli.core.verify.checklist import Verdict, passed, shorten, skipped, too_slow, warned
from chatstore_cli.domain.agents.ports import AgentStore
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.quantities import quantity

_HINT = "Set the agent that answers, or none: chatstore states set USER_ID SESSION_ID --agent ID, or --no-agent."
_AGENT_ID = re.compile("[0-9a-fA-F]{24}")


def current_agent_verdict(
    sampled: Mapping[str, int] | None,
    collection: str,
    fault_of: Callable[[str], str | None],
    seconds: float,
    timer: Callable[[], float] = time.monotonic,
) -> Verdict:
    """The current agent of each sampled state exists. The comparison stops after `seconds`.

    `sampled` has the ids of agents, and how many of the sampled states have each; None if reading took too long.
    """
    deadline = timer() + seconds
    if sampled is None:
        return too_slow(collection, seconds)
    if not sampled:
        return skipped(f"{collection} has no state with a current agent")
    faults: list[str] = []
    compared = states = 0
    try:
        for agent_id, count in sampled.items():
            if timer() >= deadline:
                break
            fault = fault_of(agent_id)
            compared, states = compared + 1, states + count
            if fault is not None:
                faults.append(f"{fault} ({quantity(count, 'state')})")
    except Overdue:  # the server stopped a look-up; what was found before counts
        pass
    looked_up = f"{quantity(compared, 'current agent')} of {quantity(states, 'state')} looked up"
    if faults:
        return warned(f"{looked_up}; {shorten(faults)}", _HINT)
    if compared < len(sampled):
        return passed(f"only {looked_up} within {seconds:g} seconds") if compared else too_slow(collection, seconds)
    return passed(looked_up)


def fault_of_agent(agents: AgentStore, agent_id: str) -> str | None:
    """What is wrong with the current agent of a state, as a part of a sentence; None if it exists.

    It is the id of an agent of the platform, or the key of an agent of lyzr-agent.
    """
    is_object_id = _AGENT_ID.fullmatch(agent_id) is not None
    if is_object_id and agents.find(agent_id.lower(), None, with_version=False) is not None:
        return None
    if agents.find_keyed(agent_id, None) is not None:
        return None
    if is_object_id and agents.find(agent_id.lower(), None, deleted=True, with_version=False) is not None:
        return f"agent {agent_id} is deleted"
    return f"agent {agent_id[:100]!r} does not exist"
