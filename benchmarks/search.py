"""Search: a rare word with and without a text index, and the first page of a common word.

    python benchmarks/search.py [--messages 1000000] [--rounds 5] [--backend mongodb|postgresql]

50 messages have the rare word, and a tenth of all have the common one. MongoDB has flat messages, and PostgreSQL threads of
50 messages. Bounds: the rare word with an index at most 60 ms in process; without one at least the rate of a bare find with
`$regex`, which ignores case and returns the newest messages first too; the first page of the common word, with and without
an index, at most 200 ms. PostgreSQL has the same bounds except for the rate: it reads a bare query with several processes.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import server_uri

if TYPE_CHECKING:
    from chatstore_cli.wiring.stores import Stores

NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
HITS = 50
RARE, COMMON = "zebrafish", "refund"
_WORDS = [
    "order",
    "parcel",
    "address",
    "payment",
    "late",
    "card",
    "shop",
    "return",
    "invoice",
    "colour",
    "size",
    "thank",
    "please",
    "today",
    "week",
    "help",
]
_BATCH = 10_000


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", choices=["mongodb", "postgresql"], help="the database (default: both, in turn)")
    chosen = parser.parse_args()
    figures = Figures()
    if chosen.backend != "postgresql":
        measure_mongodb(figures, chosen.messages, chosen.rounds)
    if chosen.backend != "mongodb":
        measure_postgresql(figures, chosen.messages, chosen.rounds)
    figures.exit()


def measure_mongodb(figures: Figures, messages: int, rounds: int) -> None:
    """Start a server for flat messages."""
    print("mongodb:")
    with server_uri(None) as uri:
        measure(figures, uri, messages, rounds)


def measure(figures: Figures, uri: str, messages: int, rounds: int) -> None:
    """Fill the database, and measure without and then with a text index."""
    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.core.indexes import perform
    from chatstore_cli.wiring.search_indexes import search_steps
    from chatstore_cli.wiring.stores import Stores

    stores = Stores(Settings(mongo=MongoSettings(uri=uri, database="search", ttl_days=0)), say=lambda _: None)
    collection = stores.connection.database["chat_messages"]
    stores.create_missing_indexes("messages")
    fill(collection, messages)
    wanted = {"text": {"$regex": RARE, "$options": "i"}}
    sides = [
        lambda: list(collection.find(wanted).sort("created_at", -1)),
        lambda: list(collection.find(wanted)),
        lambda: hits(stores, RARE, HITS),
    ]
    bare, unsorted, scanned = medians(rounds, sides)
    detail = f"{scanned * 1000:.0f} ms against {bare * 1000:.0f} ms"
    figures.report("rate of a scan / bare $regex", bare / scanned, at_least=1, detail=detail)
    figures.report("the same, if the bare find does not sort", unsorted / scanned, detail=f"{unsorted * 1000:.0f} ms")
    report_pages(figures, stores, rounds, "messages", has_index=False)
    before = collection.database.command("collStats", "chat_messages")["size"]
    steps, _ = search_steps(stores, "messages")
    print(steps[0].detail)
    for step in steps:
        perform(step, stores.index_store)
    size = collection.database.command("collStats", "chat_messages")["indexSizes"]["search_text_idx"]
    figures.report("size of the text index / documents", size / before, detail=f"{size / 2**20:.0f} MiB")
    report_pages(figures, stores, rounds, "messages", has_index=True)
    stores.close()


def measure_postgresql(figures: Figures, messages: int, rounds: int) -> None:
    """The same for threads on PostgreSQL."""
    import psycopg

    from chatstore_cli.config.settings import ChatstoreSettings, MongoSettings, Settings, ThreadSettings
    from chatstore_cli.postgres.migrate import migrate
    from chatstore_cli.wiring.postgres import search_index
    from chatstore_cli.wiring.stores import Stores
    from tests.support.postgres import DURABLE, running_postgres

    print("postgresql:")
    with running_postgres(in_memory=False, extra=DURABLE) as server:
        uri = server.uri(server.new_database(migrated=False))
        threads = ThreadSettings(backend="postgresql", uri=uri)
        chatstore = ChatstoreSettings(threads=threads)
        stores = Stores(Settings(mongo=MongoSettings(enabled=False), chatstore=chatstore), say=lambda _: None)
        migrate(stores.postgres)
        with psycopg.connect(uri, autocommit=True) as connection:
            fill_threads(connection, messages)
            statement = "SELECT * FROM chat_messages WHERE CAST(content AS text) ~* %s ORDER BY created_at DESC"
            sides = [
                lambda: connection.execute(statement, [RARE]).fetchall(),
                lambda: hits(stores, RARE, HITS, "threads"),
            ]
            bare, scanned = medians(rounds, sides)
            detail = f"{scanned * 1000:.0f} ms against {bare * 1000:.0f} ms"
            figures.report("rate of a scan / a bare ~*", bare / scanned, detail=detail)
            report_pages(figures, stores, rounds, "threads", has_index=False)
            print(search_index(stores.postgres).plan())
            search_index(stores.postgres).create()
            report_pages(figures, stores, rounds, "threads", has_index=True)
        stores.close()


def report_pages(figures: Figures, stores: Stores, rounds: int, layout: str, *, has_index: bool) -> None:
    """Print the figures that a person waits for."""
    words = "with an index" if has_index else "no index"
    common, rare = medians(
        rounds,
        [lambda: hits(stores, COMMON, 20, layout), lambda: hits(stores, RARE, HITS, layout) if has_index else None],
    )
    figures.report(f"first page, common word, {words}", common * 1000, "ms", at_most=200)
    if has_index:
        figures.report("rare word with an index", rare * 1000, "ms", at_most=60)


def hits(stores: Stores, text: str, expected: int, layout: str = "messages") -> None:
    """One search in process, with new readers as a command has them."""
    from chatstore_cli.core.search.run import MessageSearch
    from chatstore_cli.domain.search.models import SearchQuery
    from chatstore_cli.wiring.search import message_searchers

    searchers = message_searchers(stores.session_readers(layout))
    found = sum(1 for _ in MessageSearch(searchers, SearchQuery(text), limit=expected).hits())
    if found != expected:
        sys.exit(f"{found} hits of {text!r} instead of {expected}")


def medians(rounds: int, sides: Sequence[Callable[[], Any]]) -> list[float]:
    """The median seconds of each call. They take turns, after a round that warms up."""
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for times, call in zip(taken, sides, strict=True):
            began = time.perf_counter()
            call()
            if number:
                times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in taken]


def texts(messages: int) -> Iterator[str]:
    """Texts of 20 words, the oldest first."""
    dice = random.Random(7)
    rare = set(dice.sample(range(messages), HITS))
    for number in range(messages):
        words = dice.choices(_WORDS, k=20)
        if number % 10 == 0:
            words[3] = COMMON
        if number in rare:
            words[7] = RARE
        yield " ".join(words)


def fill(collection: Any, messages: int) -> None:
    """Store flat messages, 50 in a session, one a second."""
    remaining = enumerate(texts(messages))
    while some := list(islice(remaining, _BATCH)):
        rows = []
        for number, text in some:
            at = (NEWEST - timedelta(seconds=messages - number)).isoformat(timespec="microseconds")
            row = {"session_id": f"s-{number // 50}", "role": "user", "text": text, "metadata": {}}
            rows.append({"_id": f"m-{number}", **row, "vector_ids": [], "created_at": at, "sequence": number % 50 + 1})
        collection.insert_many(rows, ordered=False)


def fill_threads(connection: Any, messages: int) -> None:
    """Store threads of 50 messages, one a second."""
    begin = NEWEST - timedelta(seconds=messages)
    threads = """INSERT INTO chat_threads (id, user_id, org_id, name, created_at, updated_at)
        SELECT 't-' || n, 'u', 'o', 'A thread', %s, %s + n * interval '50 seconds' FROM generate_series(0, %s) AS n"""
    columns = "id, chat_thread_id, sender_role, content, created_at, updated_at, sequence"
    with connection.cursor() as cursor:
        cursor.execute(threads, [begin, begin + timedelta(seconds=50), (messages - 1) // 50])
        with cursor.copy(f"COPY chat_messages ({columns}) FROM STDIN") as copy:
            for number, text in enumerate(texts(messages)):
                at = begin + timedelta(seconds=number)
                content = json.dumps({"type": "text", "text": text, "metadata": {}})
                copy.write_row((f"m-{number}", f"t-{number // 50}", "user", content, at, at, number % 50 + 1))
    connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    main()
