"""flush-cache against a plain loader of the same file: fresh messages, stored messages, and stored messages with a ledger.

    python benchmarks/flush.py [--messages 300000] [--rounds 3] [--uri URI]

The plain loader decodes with orjson and stores with two threads of insert_many, without checks, under the same indexes
and write concern. Loader and flush run in turn, each in its own process. Figures are medians. A missed bound makes
the script exit with status 1.

Lines with a `message_id`, as our own cache writes them, are measured apart: their `_id` does not depend on the text, so
stored messages are read back and compared, and a line with other content is quarantined.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri

DATABASE = "chatstore_benchmark"
BOUNDS = {"fresh": 0.85, "stored": 1.8}
"""The least rates relative to the plain loader."""
BATCH = 1_000


def main() -> None:
    """Run the rounds and print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", nargs=2, metavar=("URI", "FILE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.load:
        print(load_plainly(*chosen.load))
        return
    with server_uri(chosen.uri) as uri:
        measure(uri, chosen)


def measure(uri: str, chosen: argparse.Namespace) -> None:
    """Print the figures of one run, and exit with 1 if one misses its bound."""
    figures = Figures()
    for with_message_id in (False, True):
        measure_lines(uri, chosen, figures, with_message_id=with_message_id)
    figures.exit()


def measure_lines(uri: str, chosen: argparse.Namespace, figures: Figures, *, with_message_id: bool) -> None:
    """Report the figures of lines of one kind."""
    from pymongo import MongoClient

    client: MongoClient[dict[str, object]] = MongoClient(uri)
    rates: dict[str, list[float]] = {"plain": [], "fresh": [], "stored": []}
    ledger_lines = 0.0
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "journals", "all.jsonl")
        journal.parent.mkdir()
        write_journal(journal, chosen.messages, with_message_id=with_message_id)
        for _ in range(chosen.rounds):
            client.drop_database(DATABASE)
            loader = [sys.executable, __file__, "--load", uri, str(journal)]
            rates["plain"].append(float(subprocess.run(loader, capture_output=True, text=True, check=True).stdout))
            client.drop_database(DATABASE)
            remove_memory(journal.parent)
            fresh, memory = flush(uri, journal, folder)
            assert fresh["stored"] == chosen.messages, fresh
            rates["fresh"].append(fresh["messages_per_second"])
            peak = max(peak, memory)
            ledger_lines += flush(uri, journal, folder)[0]["lines"]
            remove_memory(journal.parent)
            stored, _ = flush(uri, journal, folder)
            assert stored["already_stored"] == chosen.messages, stored
            rates["stored"].append(stored["messages_per_second"])
    client.drop_database(DATABASE)
    kind = ", message_id" if with_message_id else ""
    plain = f"plain loader: {statistics.median(rates['plain']):,.0f} messages/s"
    for name, title in (("fresh", "fresh"), ("stored", "stored, no ledger")):
        ratio = statistics.median(a / b for a, b in zip(rates[name], rates["plain"], strict=True))
        ours = f"flush-cache: {statistics.median(rates[name]):,.0f} messages/s, {plain}"
        bound = BOUNDS[name]
        figures.report(f"flush-cache, {title}{kind}: rate / plain loader", ratio, at_least=bound, detail=ours)
    figures.report(f"flush-cache, with ledger{kind}: lines read again", ledger_lines, at_most=0)
    figures.report(f"flush-cache, peak memory{kind}", peak, "MiB", at_most=150)


def flush(uri: str, journal: Path, home: str) -> tuple[dict[str, float], float]:
    """Run the real command; its own result, and the peak memory of its process in MiB."""
    command = [sys.executable, "-m", "chatstore_cli", "flush-cache", str(journal.parent), "-o", "json", "--quiet"]
    environment = os.environ | {"CHATSTORE_URI": uri, "CHATSTORE_DATABASE": DATABASE, "HOME": home}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return json.loads(done.stdout), max(peak, before) / 1024


def remove_memory(folder: Path) -> None:
    """Take away what chatstore remembers about the journals."""
    remembered = folder / ".chatstore"
    if remembered.is_dir():
        for file in remembered.iterdir():
            file.unlink()


def load_plainly(uri: str, file: str) -> float:
    """The plainest loader: messages stored in a second."""
    import orjson
    from pymongo import MongoClient
    from pymongo.write_concern import WriteConcern

    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    database = client[DATABASE]
    messages = database.get_collection("chat_messages", write_concern=WriteConcern("majority", j=True))
    messages.create_index([("session_id", 1), ("created_at", -1)])
    messages.create_index("expires_at", expireAfterSeconds=0)
    messages.create_index([("created_at", -1), ("session_id", 1)])
    batches: queue.Queue[list[dict[str, object]] | None] = queue.Queue(2)

    def store() -> None:
        while (batch := batches.get()) is not None:
            messages.insert_many(batch, ordered=False)

    began = time.perf_counter()
    threads = [threading.Thread(target=store) for _ in range(2)]
    for thread in threads:
        thread.start()
    count = 0
    batch: list[dict[str, object]] = []
    with Path(file).open("rb") as lines:
        for line in lines:
            batch.append(orjson.loads(line))
            count += 1
            if len(batch) == BATCH:
                batches.put(batch)
                batch = []
    if batch:
        batches.put(batch)
    for _ in threads:
        batches.put(None)
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - began)


def write_journal(path: Path, messages: int, *, with_message_id: bool) -> None:
    """Lines of about 430 bytes in sessions of 50, in the order of time, from a seed."""
    chance = random.Random(20260302)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(3_000)]
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    with path.open("w", encoding="utf-8") as stream:
        for number in range(messages):
            moment += timedelta(microseconds=chance.randint(1_000, 900_000))
            line: dict[str, Any] = {
                "session_id": f"session-{number // 50:06d}",
                "role": "assistant" if number % 2 else "user",
                "text": " ".join(chance.choices(words, k=38)),
                "metadata": {"transport": "websocket", "model": "model-1"},
                "vector_ids": [],
                "created_at": moment.isoformat(timespec="microseconds"),
            }
            if with_message_id:
                line["message_id"] = f"{chance.getrandbits(128):032x}"
            stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
