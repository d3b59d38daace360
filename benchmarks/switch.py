"""What a switch between workflows costs: the commands that are sent to MongoDB, and the time.

    python benchmarks/switch.py [--rounds 300] [--uri URI]

A client session has `--workflows` workflows, and 500 switches already. Each round is one switch, and every tenth is one that
is refused. The time is compared with the same two commands, sent by the bare driver. Exits with status 1 if any switch takes
more than 3 round trips.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pymongo import MongoClient, WriteConcern, monitoring

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri
from chatstore_cli import SessionRegistry

DATABASE = "chatstore_benchmark_switch"
MOST_ROUND_TRIPS = 3
HISTORY = 500
TWIN = "twin"
"""A copy of the document, which the bare driver changes."""


class Counted(monitoring.CommandListener):
    """Counts the commands of all clients that are made after it is registered."""

    def __init__(self) -> None:
        self.commands = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """One more command."""
        self.commands += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not counted."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not counted."""


def main() -> None:
    """Print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="switches to measure (default 300)")
    parser.add_argument("--workflows", type=int, default=20, help="workflows of the client session (default 20)")
    chosen = parser.parse_args()
    figures = Figures()
    with server_uri(chosen.uri) as uri:
        measure(figures, uri, chosen.rounds, chosen.workflows)
    figures.exit()


def measure(figures: Figures, uri: str, rounds: int, workflows: int) -> None:
    """Print the round trips and the time of a switch."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    client.drop_database(DATABASE)
    counted = Counted()
    monitoring.register(counted)
    with SessionRegistry(uri, DATABASE) as registry:
        registry.ensure_indexes()
        registry.attach("socket", "acme", "ann", "laptop")
        for number in range(workflows):
            registry.add_workflow("socket", f"chat-{number}", "Generator", "acme", "ann", f"artifact-{number}")
        for number in range(HISTORY):
            registry.switch_workflow("socket", f"chat-{number % workflows}")
        round_trips, taken, bare = [], [], []
        concern = WriteConcern(w="majority", j=True)  # the registry's
        documents = client.get_database(DATABASE, write_concern=concern)["chat_session_registry"]
        documents.insert_one({**(documents.find_one() or {}), "_id": TWIN})
        for number in range(rounds):
            target = "missing" if number % 10 == 9 else f"chat-{number % workflows}"
            before = counted.commands
            taken.append(seconds(partial(registry.switch_workflow, "socket", target)))
            round_trips.append(counted.commands - before)
            bare.append(seconds(partial(bare_switch, documents)))
    client.drop_database(DATABASE)
    figures.report("round trips of a switch", max(round_trips), at_most=MOST_ROUND_TRIPS)
    ratio = statistics.median(taken) / statistics.median(bare)
    detail = f"median {statistics.median(taken) * 1000:.2f} ms, 500 switches kept, {workflows} workflows"
    figures.report("a switch, against two bare commands", ratio, "times", detail=detail)


def bare_switch(documents: Any) -> None:
    """A read and a guarded update of the same size."""
    found = documents.find_one({"_id": TWIN}, {"switches": 0})
    update = {
        "$set": {"workflows": found["workflows"], "version": found["version"] + 1},
        "$push": {"switches": {"$each": [{"from": "chat-1", "to": "chat-2"}], "$slice": -HISTORY}},
    }
    documents.update_one({"_id": TWIN, "version": found["version"]}, update)


def seconds(call: Callable[[], object]) -> float:
    """The time of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
