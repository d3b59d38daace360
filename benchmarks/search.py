"""Search in flat messages: a rare word with and without a text index, and the first page of a common word.

    python benchmarks/search.py [--messages 1000000] [--rounds 5]

50 messages have the rare word, and a tenth of all have the common one. Bounds: the rare word with an index at most 60 ms in
process; without one at least the rate of a bare find with `$regex`, which ignores case too; the first page of the common word, with and
without an index, at most 200 ms.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures

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
    chosen = parser.parse_args()
    from tests.support.mongod import short_temporary_folder, start_mongod

    with short_temporary_folder() as folder:
        server = start_mongod(folder)
        try:
            measure(server.uri, chosen.messages, chosen.rounds)
        finally:
            server.remove()


def measure(uri: str, messages: int, rounds: int) -> None:
    """Fill the database, and measure without and then with a text index."""
    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.core.indexes import perform
    from chatstore_cli.wiring.search_indexes import search_steps
    from chatstore_cli.wiring.stores import Stores

    stores = Stores(Settings(mongo=MongoSettings(uri=uri, database="search", ttl_days=0)), say=lambda _: None)
    collection = stores.connection.database["chat_messages"]
    stores.create_missing_indexes("messages")
    fill(collection, messages)
    figures = Figures()
    bare = median(rounds, lambda: list(collection.find({"text": {"$regex": RARE, "$options": "i"}})))
    scanned = median(rounds, lambda: hits(stores, RARE, HITS))
    detail = f"{scanned * 1000:.0f} ms against {bare * 1000:.0f} ms"
    figures.report("rate of a scan / bare $regex", bare / scanned, at_least=1, detail=detail)
    common = median(rounds, lambda: hits(stores, COMMON, 20))
    figures.report("first page, common word, no index", common * 1000, "ms", at_most=200)
    steps, _ = search_steps(stores, "messages")
    for step in steps:
        perform(step, stores.index_store)
    rare = median(rounds, lambda: hits(stores, RARE, HITS))
    figures.report("rare word with an index", rare * 1000, "ms", at_most=60)
    common = median(rounds, lambda: hits(stores, COMMON, 20))
    figures.report("first page, common word, with an index", common * 1000, "ms", at_most=200)
    figures.exit()


def hits(stores: Stores, text: str, expected: int) -> None:
    """One search in process, with new readers as a command has them."""
    from chatstore_cli.core.search.run import MessageSearch
    from chatstore_cli.domain.search.models import SearchQuery
    from chatstore_cli.wiring.search import message_searchers

    searchers = message_searchers(stores, "messages")
    found = sum(1 for _ in MessageSearch(searchers, SearchQuery(text), limit=expected).hits())
    if found != expected:
        sys.exit(f"{found} hits of {text!r} instead of {expected}")


def median(rounds: int, call: Callable[[], Any]) -> float:
    """The median seconds of a call, after one that warms up."""
    call()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def fill(collection: Any, messages: int) -> None:
    """Store flat messages of 20 words, 50 in a session, one a second."""
    dice = random.Random(7)
    rare = set(dice.sample(range(messages), HITS))
    for first in range(0, messages, _BATCH):
        rows = []
        for number in range(first, min(first + _BATCH, messages)):
            words = dice.choices(_WORDS, k=20)
            if number % 10 == 0:
                words[3] = COMMON
            if number in rare:
                words[7] = RARE
            at = (NEWEST - timedelta(seconds=messages - number)).isoformat(timespec="microseconds")
            row = {"session_id": f"s-{number // 50}", "role": "user", "text": " ".join(words), "metadata": {}}
            rows.append({"_id": f"m-{number}", **row, "vector_ids": [], "created_at": at, "sequence": number % 50 + 1})
        collection.insert_many(rows, ordered=False)


if __name__ == "__main__":
    main()
