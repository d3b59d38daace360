"""Threads in MongoDB, as ratios that are measured in one run on the same data.

    python benchmarks/threads.py [--messages 100000] [--rounds 300] [--uri URI]

Adding one message to a thread of `--messages` messages is compared with a thread of about 100 (after every 100 messages a
new one). Reading the long thread with `get_messages` is compared with a plain cursor over the same documents, and
`add_messages` of 1,000 messages with a bare `insert_many` in a transaction. The two sides of a figure run in turn, and
each figure is a ratio of medians. Exits with status 1 if a figure misses its bound.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures

DATABASE = "chatstore_benchmark_threads"
SHORT = 100
BULK = 1_000
WARM_UP_ROUNDS = 20
TEXT = "Where is my parcel? It was to come this morning. " * 6
NOON = datetime(2026, 3, 1, tzinfo=UTC)


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000, help="messages in the long thread (default 100000)")
    parser.add_argument("--rounds", type=int, default=300, help="messages that are added to each thread (default 300)")
    parser.add_argument("--uri", help="the MongoDB to use (default: one from the [embedded] extra is started)")
    chosen = parser.parse_args()
    if chosen.uri:
        measure(chosen.uri, chosen)
        return
    from tests.support.mongod import short_temporary_folder, start_mongod

    with short_temporary_folder() as folder:
        server = start_mongod(folder)
        try:
            measure(server.uri, chosen)
        finally:
            server.remove()


def measure(uri: str, chosen: argparse.Namespace) -> None:
    """Print the figures of one run, and exit with status 1 if one misses its bound."""
    from pymongo import MongoClient

    figures = Figures()
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    client.drop_database(DATABASE)
    stores = open_stores(uri)
    try:
        threads = Threads(stores, client)
        long = threads.filled(chosen.messages)
        threads.measure_adding(figures, long, chosen.rounds)
        threads.measure_reading(figures, long)
        threads.measure_bulk(figures)
    finally:
        stores.close()
        client.drop_database(DATABASE)
    figures.exit()


def open_stores(uri: str) -> Any:
    """The benchmark's database, as an application opens it."""
    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.wiring.stores import Stores

    return Stores(Settings(mongo=MongoSettings(uri=uri, database=DATABASE)), say=print)


class Threads:
    """The figures of threads in one database."""

    def __init__(self, stores: Any, client: Any) -> None:
        """`client` is a plain client of the same server, for the other side of each figure."""
        from chatstore_cli.wiring.threads import conversations

        self._conversations = conversations(stores)
        self._client = client
        self._messages = client[DATABASE][stores.settings.layouts.threads.messages]

    def filled(self, messages: int) -> str:
        """The id of a new thread with so many messages."""
        from chatstore_cli.domain.threads.models import CreateChatThreadRequest

        request = CreateChatThreadRequest(user_id="ada", org_id="acme", name="Parcels")
        thread_id = self._conversations.create_thread(request).id
        for first in range(0, messages, BULK):
            self._conversations.create_messages(requests(thread_id, min(BULK, messages - first)))
        return thread_id

    def measure_adding(self, figures: Figures, long: str, rounds: int) -> None:
        """One message to the long thread against one to a short thread."""
        short = [self.filled(SHORT // 2)]
        left = [SHORT]

        def add_to_long() -> None:
            self._conversations.create_message(requests(long, 1)[0])

        def add_to_short() -> None:
            self._conversations.create_message(requests(short[0], 1)[0])

        def next_round() -> None:
            left[0] -= 1
            if left[0] == 0:
                short[0], left[0] = self.filled(SHORT // 2), SHORT

        long_times, short_times = in_turn(rounds, add_to_long, add_to_short, between=next_round)
        report(figures, f"adding to a long thread / one of {SHORT}", long_times, short_times, at_most=1.2)

    def measure_reading(self, figures: Figures, long: str) -> None:
        """`get_messages` against a plain cursor: rates, so the plain cursor's time is divided by the other."""

        def read() -> None:
            self._conversations.get_messages(long)

        def read_plainly() -> None:
            list(self._messages.find({"chat_thread_id": long}).sort("sequence", 1))

        times, plain_times = in_turn(7, read, read_plainly, warm_up=1)
        report(figures, "get_messages, rate / plain cursor's", plain_times, times, at_least=0.6)

    def measure_bulk(self, figures: Figures) -> None:
        """`create_messages` of 1,000 against a bare insertion of as many documents in a transaction."""
        from pymongo import WriteConcern

        thread_id = self.filled(0)
        bare_id = str(uuid4())
        prepared: list[Any] = []
        last = [0]

        def prepare() -> None:
            prepared[:] = [requests(thread_id, BULK), documents(bare_id, BULK, last[0] + 1)]
            last[0] += BULK

        def add() -> None:
            self._conversations.create_messages(prepared[0])

        def insert() -> None:
            with (
                self._client.start_session() as session,
                session.start_transaction(write_concern=WriteConcern("majority", j=True)),
            ):
                self._messages.insert_many(prepared[1], session=session)

        prepare()
        times, bare_times = in_turn(40, add, insert, between=prepare, warm_up=5)
        report(figures, f"create_messages of {BULK:,}, rate / insert_many's", bare_times, times, at_least=0.6)


def requests(thread_id: str, number: int) -> list[Any]:
    """Messages to add to a thread."""
    from chatstore_cli.domain.threads.models import CreateChatMessageRequest

    return [
        CreateChatMessageRequest(
            chat_thread_id=thread_id,
            sender_role="user",
            content={"type": "text", "text": TEXT, "metadata": {}},
        )
        for _ in range(number)
    ]


def documents(thread_id: str, number: int, first: int) -> list[dict[str, Any]]:
    """The documents of as many messages, for a bare insertion."""
    return [
        {
            "_id": str(uuid4()),
            "chat_thread_id": thread_id,
            "sender_id": None,
            "sender_role": "user",
            "content": {"type": "text", "text": TEXT, "metadata": {}},
            "created_at": NOON,
            "updated_at": NOON,
            "sequence": first + place,
        }
        for place in range(number)
    ]


def in_turn(
    rounds: int,
    *sides: Callable[[], None],
    between: Callable[[], None] = lambda: None,
    warm_up: int = WARM_UP_ROUNDS,
) -> list[list[float]]:
    """The seconds that each side took in each round. Which side is first changes, and the first rounds only warm up."""
    times: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + warm_up):
        for offset in range(len(sides)):
            position = (number + offset) % len(sides)
            started = time.perf_counter()
            sides[position]()
            if number >= warm_up:
                times[position].append(time.perf_counter() - started)
        between()
    return times


def report(figures: Figures, name: str, times: list[float], others: list[float], **bounds: float) -> None:
    """Print the ratio of two medians."""
    median, other = statistics.median(times), statistics.median(others)
    detail = f"{median * 1000:.2f} ms / {other * 1000:.2f} ms"
    figures.report(name, median / other, detail=detail, **bounds)


if __name__ == "__main__":
    main()
