"""By how much the usage of AG2 agents' clients has grown since it was last read, in memory only.

AG2 counts per client (`agent.client`), and from the client's creation on, not per chat. A client that is new, or whose
numbers are smaller than before, counts from zero. What was paid counts (`actual_usage_summary`), not what AG2 answered
from its cache.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chatstore_cli.core.usage.reported import shown_name, token_count, valid_cost
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.usage import Usage

Amounts = dict[tuple[str | None, str | None], Usage]
"""Usage per agent and model."""

Warn = Callable[[str], None]
"""Receives each problem, while the clients are locked."""

_KINDS = ("prompt", "completion", "total")


def agents_in(agents: object) -> list[Any]:
    """One agent or several as a list; a group chat's manager is followed by the agents of its group. Raises BadValue."""
    are_several = isinstance(agents, Iterable) and not hasattr(agents, "client") and not isinstance(agents, str)
    waiting: list[Any] = list(agents) if are_several else [agents]  # type: ignore[call-overload]  # it is Iterable
    for agent in waiting:
        if not hasattr(agent, "client") and not isinstance(getattr(agent, "name", None), str):
            expected = "agents of AG2: they have a `name` and a `client`"
            raise BadValue(name="agents", value=f"<{type(agent).__name__}>", expected=expected)
    found: dict[int, Any] = {}
    while waiting:
        agent = waiting.pop(0)
        if id(agent) not in found:
            found[id(agent)] = agent
            members = getattr(getattr(agent, "groupchat", None), "agents", None)
            waiting.extend(members if isinstance(members, list | tuple) else ())
    return list(found.values())


@dataclass(slots=True, eq=False)
class Watched:
    """Agents whose usage belongs to one session, from `begin` to `end`. Holds their clients, also replaced ones."""

    agents: list[Any]
    clients: dict[int, tuple[str | None, Any]] = field(default_factory=dict)
    used: Amounts = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Client:
    """The last usage read from a client. The summaries are AG2's own objects: it adds to them until it replaces them."""

    reference: Callable[[], Any]
    summary: Any = None
    total_summary: Any = None
    counted: dict[Any, Usage] = field(default_factory=dict)
    watched_by: list[Watched] = field(default_factory=list)


class AgentClients:
    """The clients whose usage was read. Each part of their usage is returned once. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By id: clients may be equal to each other, or not hashable. The reference proves that it is still the same one.
        self._clients: dict[int, _Client] = {}

    def reset_after_fork(self) -> None:
        """In the child of a fork: replace the lock, which a thread of the parent may hold."""
        self._lock = threading.Lock()

    def taken(self, agents: Iterable[Any], warn: Warn) -> Amounts:
        """The usage since the clients were last read."""
        used: Amounts = {}
        with self._lock:
            for agent, client in _clients_of(agents):
                self._take(client, agent, used, warn)
        return used

    def begin(self, agents: list[Any], warn: Warn) -> Watched:
        """Watch agents from now on. Their earlier usage belongs to the session that already watches them, if any."""
        watched = Watched(agents)
        with self._lock:
            self._hold(watched, {}, warn)
        return watched

    def look(self, watched: Watched, warn: Warn) -> None:
        """Notice what the present clients of watched agents have used: AG2 may replace or clear them before `end`."""
        with self._lock:
            self._hold(watched, watched.used, warn)

    def end(self, watched: Watched, warn: Warn) -> Amounts:
        """No longer watch agents. Returns their usage since `begin`."""
        with self._lock:
            for agent, client in watched.clients.values():  # also if a later block watches them as well
                self._take(client, agent, watched.used, warn)
            self._hold(watched, watched.used, warn)
            for _, client in watched.clients.values():
                self._known(client).watched_by.remove(watched)
            watched.clients.clear()
            watched.agents.clear()
        return watched.used

    def _hold(self, watched: Watched, used_before: Amounts, warn: Warn) -> None:
        """Hold the agents' present clients. Their use so far belongs to the session that watches them, or to `used_before`."""
        for agent, client in _clients_of(watched.agents):
            known = self._known(client)
            is_held = id(client) in watched.clients
            if is_held and known.summary is _summary(client):
                continue  # `end` counts it, even if AG2 drops the summary
            watchers = known.watched_by
            self._take(client, agent, watchers[-1].used if watchers else used_before, warn)
            if not is_held:
                watchers.append(watched)
                watched.clients[id(client)] = (agent, client)

    def _take(self, client: Any, agent: str | None, used: Amounts, warn: Warn) -> None:
        """Add the usage of a client since it was last read to `used`."""
        known = self._known(client)
        summary, total_summary = _summary(client), getattr(client, "total_usage_summary", None)
        if summary is not None and not isinstance(summary, Mapping):
            warn(f"Usage of agent {agent!r} is not counted: its client's usage summary is not a mapping.")
            return
        if known.summary is not summary:
            _count(known, known.summary, agent, used, warn)  # it may have grown before AG2 dropped it
        if _are_new(known, summary, total_summary):
            known.counted = {}
        _count(known, summary, agent, used, warn)
        known.summary, known.total_summary = summary, total_summary

    def _known(self, client: Any) -> _Client:
        known = self._clients.get(id(client))
        if known is None or known.reference() is not client:
            known = self._clients[id(client)] = _Client(self._reference(client))
        return known

    def _reference(self, client: Any) -> Callable[[], Any]:
        """A reference that does not keep the client alive, as far as its type allows that: AG2's does."""
        clients, key = self._clients, id(client)

        def forget(_: object) -> None:  # called at any instant, maybe with the lock held
            clients.pop(key, None)

        try:
            return weakref.ref(client, forget)
        except TypeError:
            return lambda: client


ALL_CLIENTS = AgentClients()
"""Of this process: agents may live longer than the manager that stores their usage."""

os.register_at_fork(after_in_child=ALL_CLIENTS.reset_after_fork)


def _clients_of(agents: Iterable[Any]) -> Iterator[tuple[str | None, Any]]:
    """Each client once, with the name of the first agent that has it. An agent without a model has no client."""
    seen = set()
    for agent in agents:
        client = getattr(agent, "client", None)
        if client is not None and id(client) not in seen:
            seen.add(id(client))
            yield shown_name(getattr(agent, "name", None)), client


def _summary(client: Any) -> Any:
    """What a client has used and paid since it was made or cleared: per model, None if nothing."""
    return getattr(client, "actual_usage_summary", None)


def _are_new(known: _Client, summary: Any, total_summary: Any) -> bool:
    """Whether both summaries were replaced by others.

    AG2 adds to the same two until `reset()` drops both. So two others are of a client that was cleared, even if it has
    used more than before.
    """
    pairs = (known.summary, summary), (known.total_summary, total_summary)
    return all(before is not None and after is not None and before is not after for before, after in pairs)


def _count(known: _Client, summary: Any, agent: str | None, used: Amounts, warn: Warn) -> None:
    """Add by how much a summary exceeds what was counted to `used`, and count it."""
    now = _usage_of_models(summary, agent, warn)
    if any(_is_smaller(now, model, counted) for model, counted in known.counted.items()):
        known.counted = {}
    for model, usage in now.items():
        if usage is None:
            continue
        counted = known.counted.get(model, Usage())
        growth = usage.exceeding(counted)
        if any(growth[:3]) or growth.cost:
            if usage.cost is not None and growth.cost is None:  # known: it cost nothing more
                growth = growth._replace(cost=Decimal())
            key = (agent, shown_name(model))
            used[key] = used[key].plus(growth) if key in used else growth
        known.counted[model] = usage if usage.cost is not None else usage._replace(cost=counted.cost)


def _is_smaller(now: Mapping[Any, Usage | None], model: Any, counted: Usage) -> bool:
    """Whether a summary lacks a model, or has fewer tokens of it than were counted. Invalid numbers are not smaller."""
    usage = now.get(model)
    if usage is None:
        return model not in now
    return any(new < old for new, old in zip(usage[:3], counted[:3], strict=True))


def _usage_of_models(summary: Any, agent: str | None, warn: Warn) -> dict[Any, Usage | None]:
    """The usage per model in a client's summary, None for a model with an invalid token count.

    A missing count is 0, a missing total the sum of both. An invalid cost is unknown.
    """
    found: dict[Any, Usage | None] = {}
    for model, numbers in list((summary or {}).items()):  # copied at once: another thread may use the client
        if model == "total_cost":
            continue
        subject = f"Usage of agent {agent!r}, model {shown_name(model)!r}"
        found[model] = None
        if not isinstance(numbers, Mapping):
            warn(f"{subject} is not counted: its numbers are not a mapping.")
            continue
        try:
            prompt, completion, total = (token_count(numbers.get(f"{kind}_tokens")) for kind in _KINDS)
        except ValueError as error:
            warn(f"{subject} is not counted: {error}.")
            continue
        cost = None
        try:
            cost = valid_cost(numbers.get("cost"))
        except ValueError as error:
            warn(f"{subject}: the cost is unknown: {error}.")
        summed = (prompt or 0) + (completion or 0)
        found[model] = Usage(prompt or 0, completion or 0, summed if total is None else total, cost)
    return found
