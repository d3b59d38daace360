"""Threads in MongoDB or PostgreSQL, as ratios that are measured in one run on the same data.

    python benchmarks/threads.py [--backend mongodb|postgresql] [--messages 100000] [--rounds 300] [--uri URI]

Adding one message to a thread of `--messages` messages is compared with a thread of about 100 (after every 100 messages a
new one). Reading the long thread with `get_messages` is compared with a plain cursor over the same documents, and
`add_messages` of 1,000 messages with a bare `insert_many` in a transaction. On PostgreSQL the other side is psycopg with
the same statements, and the first page of many threads is compared with that of few. The two sides of a figure run in turn,
and each figure is a ratio of medians. Exits with status 1 if a figure misses its bound.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import server_uri

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
    parser.add_argument("--backend", choices=list(OPENED), help="the database (default: both, one after the other)")
    parser.add_argument("--threads", type=int, default=1_000_000, help="threads of the long list (default 1000000)")
    parser.add_argument("--uri", help="the server to use (default: one is started from the [embedded] or [dev] extra)")
    chosen = parser.parse_args()
    figures = Figures()
    for backend in OPENED if chosen.backend is None else [chosen.backend]:
        print(f"{backend}:")
        measure(figures, backend, chosen)
    figures.exit()


def measure(figures: Figures, backend: str, chosen: argparse.Namespace) -> None:
    """Print the figures of one database."""
    with OPENED[backend](chosen.uri) as (conversations, bare):
        threads = Threads(conversations, bare)
        long = threads.filled(chosen.messages)
        threads.measure_adding(figures, long, chosen.rounds)
        threads.measure_reading(figures, long)
        threads.measure_bulk(figures)
        if isinstance(bare, BarePostgreSQL):
            threads.measure_listing(figures, bare, chosen.threads)


@contextlib.contextmanager
def open_mongodb(uri: str | None) -> Iterator[tuple[Any, Any]]:
    """The benchmark's database, as an application opens it, and a plain client."""
    from pymongo import MongoClient

    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.wiring.stores import Stores
    from chatstore_cli.wiring.threads import conversations

    with contextlib.ExitStack() as stack:
        uri = stack.enter_context(server_uri(uri))
        client: MongoClient[dict[str, Any]] = MongoClient(uri)
        client.drop_database(DATABASE)
        stack.callback(client.drop_database, DATABASE)
        stores = Stores(Settings(mongo=MongoSettings(uri=uri, database=DATABASE)), say=print)
        stack.callback(stores.close)
        yield conversations(stores), BareMongoDB(client, stores.settings.layouts.threads.messages)


@contextlib.contextmanager
def open_postgresql(uri: str | None) -> Iterator[tuple[Any, Any]]:
    """A store over an empty database, in which the tables are made, and a plain connection."""
    import psycopg

    from chatstore_cli.core.threads.repository import StoredConversations
    from chatstore_cli.postgres.database import PostgresDatabase
    from chatstore_cli.postgres.migrate import migrate
    from chatstore_cli.postgres.threads.store import PostgresThreadStore
    from tests.support.postgres import DURABLE, running_postgres

    with contextlib.ExitStack() as stack:
        if uri is None:
            server = stack.enter_context(running_postgres(in_memory=False, extra=DURABLE))
            uri = server.uri(server.new_database(migrated=False))
        database = PostgresDatabase(uri, timeout_seconds=60)
        stack.callback(database.close)
        migrate(database)
        yield (
            StoredConversations(PostgresThreadStore(database)),
            BarePostgreSQL(stack.enter_context(psycopg.connect(uri))),
        )


OPENED = {"mongodb": open_mongodb, "postgresql": open_postgresql}


class BareMongoDB:
    """The other side of each figure: a plain client."""

    bulk = "insert_many's"

    def __init__(self, client: Any, messages: str) -> None:
        self._client = client
        self._messages = client[DATABASE][messages]

    def read(self, thread_id: str) -> None:
        """All messages of a thread."""
        list(self._messages.find({"chat_thread_id": thread_id}).sort("sequence", 1))

    def insert(self, rows: list[dict[str, Any]]) -> None:
        """The same messages in one transaction."""
        from pymongo import WriteConcern

        for row in rows:
            row["_id"] = row.pop("id")
        concern = WriteConcern("majority", j=True)
        with self._client.start_session() as session, session.start_transaction(write_concern=concern):
            self._messages.insert_many(rows, session=session)


class BarePostgreSQL:
    """The other side of each figure: psycopg."""

    bulk = "psycopg's"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def read(self, thread_id: str) -> None:
        """All messages of a thread, over a server-side cursor."""
        with self._connection.transaction(), self._connection.cursor("plain") as cursor:
            cursor.itersize = 1_000
            cursor.execute("SELECT * FROM chat_messages WHERE chat_thread_id = %s ORDER BY sequence", [thread_id])
            list(cursor)

    def insert(self, rows: list[dict[str, Any]]) -> None:
        """The same messages in one transaction, with the statements that psycopg runs fastest."""
        from psycopg.types.json import Jsonb

        columns = list(rows[0])
        values = [[Jsonb(row[name]) if name == "content" else row[name] for name in columns] for row in rows]
        marks = ", ".join(["%s"] * len(columns))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(
                "UPDATE chat_threads SET last_sequence = last_sequence + %s WHERE id = %s RETURNING last_sequence",
                [len(rows), rows[0]["chat_thread_id"]],
            )
            cursor.executemany(f"INSERT INTO chat_messages ({', '.join(columns)}) VALUES ({marks})", values)

    def add_threads(self, first: int, last: int) -> None:
        """Many threads of one user, with one statement."""
        with self._connection.transaction():
            self._connection.execute(
                """INSERT INTO chat_threads (id, user_id, org_id, name, created_at, updated_at)
                   SELECT 't' || n, 'u' || n %% 10, 'o', 'A thread', now(), now() + n * interval '1 ms'
                   FROM generate_series(%s::int, %s::int) AS n""",
                [first, last],
            )
        self._connection.autocommit = True
        self._connection.execute("VACUUM ANALYZE chat_threads")
        self._connection.autocommit = False


class Threads:
    """The figures of threads in one database."""

    def __init__(self, conversations: Any, bare: Any) -> None:
        """`bare` is a plain client of the same server, for the other side of each figure."""
        self._conversations = conversations
        self._bare = bare

    def filled(self, messages: int) -> str:
        """The id of a new thread with so many messages."""
        from chatstore_cli.domain.threads.models import CreateChatThreadRequest

        request = CreateChatThreadRequest(user_id="ada", org_id="acme", name="Parcels")
        thread_id: str = self._conversations.create_thread(request).id
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
            self._bare.read(long)

        times, plain_times = in_turn(7, read, read_plainly, warm_up=1)
        report(figures, "get_messages, rate / plain cursor's", plain_times, times, at_least=0.6)

    def measure_bulk(self, figures: Figures) -> None:
        """`create_messages` of 1,000 against a bare insertion of as many documents in a transaction."""
        thread_id = self.filled(0)
        bare_id = self.filled(0)
        prepared: list[Any] = []
        last = [0]

        def prepare() -> None:
            prepared[:] = [requests(thread_id, BULK), documents(bare_id, BULK, last[0] + 1)]
            last[0] += BULK

        def add() -> None:
            self._conversations.create_messages(prepared[0])

        def insert() -> None:
            self._bare.insert(prepared[1])

        prepare()
        times, bare_times = in_turn(40, add, insert, between=prepare, warm_up=5)
        name = f"create_messages of {BULK:,}, rate / {self._bare.bulk}"
        report(figures, name, bare_times, times, at_least=0.6)

    def measure_listing(self, figures: Figures, bare: BarePostgreSQL, threads: int) -> None:
        """The first page of many threads against that of 10,000."""
        pages = []
        for first, last in ((1, 10_000), (10_001, threads)):
            bare.add_threads(first, last)
            pages.append(in_turn(100, lambda: self._conversations.list_threads(user_id="u1", limit=50))[0])
        report(figures, f"first page of {threads:,} threads / 10,000", pages[1], pages[0], at_most=1.2)


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
    """The rows or documents of as many messages, for a bare insertion."""
    return [
        {
            "id": str(uuid4()),
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


def report(
    figures: Figures,
    name: str,
    times: list[float],
    others: list[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> None:
    """Print the ratio of two medians."""
    median, other = statistics.median(times), statistics.median(others)
    detail = f"{median * 1000:.2f} ms / {other * 1000:.2f} ms"
    figures.report(name, median / other, detail=detail, at_most=at_most, at_least=at_least)


if __name__ == "__main__":
    main()
