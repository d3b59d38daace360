"""Saved agents: the first page of many agents against that of few, and the resolver against a bare look-up.

    python benchmarks/agents.py [--agents 100000] [--rounds 300] [--uri URI]

The first page for each filter, in process, is compared between `--agents` agents and 1,000. `resolve` with overrides is
compared with a bare `find_one` by `_id` of the same fields, through the same client. The two sides of a figure run in turn, and each
figure is a ratio of medians. It also counts the commands of a call of `resolve`. Exits with status 1 if a figure misses its
bound.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri

SMALL = 1_000
DATABASE = "chatstore_benchmark_agents_{}"
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
TENANTS = 10
VERSIONS = 5


def main() -> None:
    """Print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--agents", type=int, default=100_000, help="agents in the large database (default 100000)")
    parser.add_argument("--rounds", type=int, default=300, help="calls of each side of a figure (default 300)")
    chosen = parser.parse_args()
    with server_uri(chosen.uri) as uri:
        measure(uri, chosen)


def measure(uri: str, chosen: argparse.Namespace) -> None:
    """Print the figures of one run, and exit with status 1 if one misses its bound."""
    from pymongo import MongoClient

    from chatstore_cli import AgentRegistryService

    figures = Figures()
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    names = [DATABASE.format(number) for number in (SMALL, chosen.agents)]
    try:
        for name, number in zip(names, (SMALL, chosen.agents), strict=True):
            client.drop_database(name)
            fill(client[name]["lk_agent_configs"], number)
        services = [AgentRegistryService(uri, name) for name in names]
        for service in services:
            service.ensure_indexes()
        measure_pages(figures, services, chosen.rounds)
        measure_resolver(figures, uri, client[names[1]]["lk_agent_configs"], chosen.rounds)
    finally:
        for name in names:
            client.drop_database(name)
    figures.exit()


def fill(collection: Any, number: int) -> None:
    """Store agents of the platform. The newest ones are alike in both databases."""
    choose = random.Random(20260301)
    for first in range(0, number, 1_000):
        collection.insert_many([agent(index, choose) for index in range(first, first + 1_000)], ordered=False)


def agent(index: int, choose: random.Random) -> dict[str, Any]:
    """A realistic agent, the older the higher its index. One of eleven is deleted."""
    changed_at = NEWEST - timedelta(seconds=index)
    config = {
        "agent_name": f"Agent {index}", "agent_description": "Answers calls about parcels.", "prompt": "You are helpful. " * 60,
        "engine": {"kind": "pipeline", "stt": "assemblyai", "tts": "cartesia/sonic-3", "llm": "openai/gpt-4o-mini"},
        "tools": ["get_weather", "add_note"], "knowledge_base": {"enabled": True, "lyzr_rag": {"base": choose.random()}},
        "dynamic_variables": {f"variable_{number}": str(choose.random()) for number in range(10)},
    }  # fmt: skip
    versions = [
        {"versionId": str(uuid4()), "config": config, "active": number == VERSIONS - 1, "createdAt": changed_at}
        for number in range(VERSIONS)
    ]
    return {
        "orgId": f"tenant-{index % TENANTS}", "createdByUserId": "u", "config": config, "versions": versions,
        "deletedAt": changed_at if index % 11 == 0 else None, "createdAt": changed_at, "updatedAt": changed_at, "__v": 0,
    }  # fmt: skip


def measure_pages(figures: Figures, services: list[Any], rounds: int) -> None:
    """The first page of the large database against that of the small one, and a page in the middle."""
    for name, arguments in (
        ("first page", {}),
        ("first page, without configurations", {"with_config": False}),
        ("first page of a tenant", {"tenant_id": "tenant-1"}),
    ):
        calls = [lambda service=service, arguments=arguments: service.list_agents(**arguments) for service in services]
        small, large = in_turn(rounds, *calls)
        figures.report(name, large / small, "times", at_most=1.2, detail=f"{large:.2f} ms, {small:.2f} ms")
    cursors = [middle(service) for service in services]
    calls = [
        lambda service=service, cursor=cursor: service.list_agents(cursor=cursor)
        for service, cursor in zip(services, cursors, strict=True)
    ]
    small, large = in_turn(rounds, *calls)
    figures.report(
        "a page in the middle", large / small, "times", at_most=1.2, detail=f"{large:.2f} ms, {small:.2f} ms"
    )


def middle(service: Any) -> str:
    """The position after half of the agents."""
    from chatstore_cli.domain.agents.models import AgentCursor

    agents = service._stores.connection.database["lk_agent_configs"]
    number = agents.estimated_document_count() // 2
    [document] = agents.find({"updatedAt": NEWEST - timedelta(seconds=number)}).limit(1)
    return AgentCursor(int(document["updatedAt"].timestamp() * 1000), str(document["_id"])).to_text()


def measure_resolver(figures: Figures, uri: str, collection: Any, rounds: int) -> None:
    """`resolve` against one bare look-up."""
    from pymongo.monitoring import CommandListener, CommandStartedEvent, register

    from chatstore_cli import AgentConfigResolverService
    from chatstore_cli.mongo.agents.documents import FIELDS

    commands: list[str] = []

    class Listener(CommandListener):
        def started(self, event: CommandStartedEvent) -> None:
            commands.append(event.command_name)

        def succeeded(self, event: Any) -> None:
            pass

        def failed(self, event: Any) -> None:
            pass

    ids = [document["_id"] for document in collection.find({"deletedAt": None}, {"_id": 1}).limit(rounds)]
    overrides = {"engine": {"llm": "openai/gpt-4o"}, "greeting": "Hello", "tools": ["*"]}
    resolver = AgentConfigResolverService(uri, collection.database.name)
    ours, theirs = cycle(ids), cycle(ids)
    resolver.resolve(str(ids[0]))
    bare_collection = resolver._stores.connection.database[collection.name]  # of the same client, as idle as ours
    resolved, bare = in_turn(
        rounds,
        lambda: resolver.resolve(str(next(ours)), overrides, tenant_id=None),
        lambda: bare_collection.find_one({"_id": next(theirs)}, FIELDS),
    )
    figures.report(
        "resolve, against a bare look-up",
        resolved / bare,
        "times",
        at_most=1.5,
        detail=f"{resolved:.3f} ms, {bare:.3f} ms",
    )
    register(Listener())
    counting = AgentConfigResolverService(uri, collection.database.name)
    counting.resolve(str(ids[0]))
    commands.clear()
    counting.resolve(str(ids[0]), overrides)
    figures.report("commands of a call of resolve", len(commands), at_most=1, detail=", ".join(commands))


def in_turn(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """The median milliseconds of each call; the calls take turns."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 20):
        for place, call in enumerate(calls):
            started = time.perf_counter()
            call()
            if number >= 20:  # the first rounds warm up
                times[place].append((time.perf_counter() - started) * 1000)
    return [statistics.median(each) for each in times]


if __name__ == "__main__":
    main()
