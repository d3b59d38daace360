"""`chatstore resume` of 100,000 messages as JSONL, compared with a plain cursor whose documents orjson encodes.

    python benchmarks/resume.py [--messages 100000] [--rounds 5] [--uri URI]

The same messages are stored three times: in one workflow document (as near to 16 MiB as possible), in a workflow
document with its oldest messages in segments, and as flat messages. There are three figures for each layout: the rate
relative to the plain cursor (at least 0.6), the time to the first byte after the connection is established (at most
0.3 s), and the peak memory of the process `chatstore resume` (at most 80 MiB). A missed bound makes the script exit
with status 1.

Resume and plain cursor run in turn, each in its own process. Figures are medians. For the single document a second
rate has no bound: fetching the document whole is faster, and costs the memory that is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri

THIS = [sys.executable, __file__]
DATABASE = "chatstore_benchmark"
START = datetime(2026, 1, 1, tzinfo=UTC)
LARGEST_DOCUMENT = 16 * 1024 * 1024 - 4096
SEGMENT = 10_000
FIRST_BYTE_SECONDS = 0.3
PEAK_MIB = 80
LEAST_RATE = 0.6
Document = dict[str, Any]


def main() -> None:
    """Store the messages, measure, and print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child and chosen.child[0] == "store":
        store(chosen.uri, chosen.child[1], chosen.messages)
    elif chosen.child:
        CHILDREN[chosen.child[0]](chosen.uri, chosen.child[1])
    else:
        # No replica set: a document of 16 MiB and its copy in the oplog do not fit into a test server's cache.
        with server_uri(chosen.uri, replica_set=False) as uri:
            measure(uri, chosen)


def measure(uri: str, chosen: argparse.Namespace) -> None:
    """Print the figures of one run, and exit with 1 if one misses its bound."""
    figures = Figures()
    try:
        for shape in STORED:
            # In its own process: the peak memory of a child starts at the size that its parent had when it forked.
            stored, _ = run([*THIS, "--uri", uri, "--messages", str(chosen.messages), "--child", "store", shape])
            compare(figures, uri, shape, stored["messages"], chosen.rounds)
    finally:
        run([*THIS, "--uri", uri, "--child", "drop", ""])
    figures.exit()


def compare(figures: Figures, uri: str, shape: str, count: int, rounds: int) -> None:
    """Run resume and plain cursors in turn, and report the figures of this layout."""
    baselines = [name for name in CHILDREN if name.startswith(f"plain {shape}")]
    seconds: dict[str, list[float]] = {name: [] for name in ("resume", *baselines)}
    memory: dict[str, list[float]] = {name: [] for name in ("command", *baselines)}
    first_bytes: list[float] = []
    for _ in range(rounds):
        for name in seconds:
            result, peak = run([*THIS, "--uri", uri, "--child", name, shape])
            assert result["messages"] == count, (name, result, count)
            seconds[name].append(result["seconds"])
            if name == "resume":
                first_bytes.append(result["first_byte"])
            else:
                memory[name].append(peak)
        memory["command"].append(command_memory(uri, shape))
    ours = statistics.median(seconds["resume"])
    print(f"resume, {shape}: {count:,} messages, {count / ours:,.0f} messages/s")
    for name in baselines:
        plain = statistics.median(seconds[name])
        figures.report(
            f"resume, {shape}: rate / {name}",
            plain / ours,
            at_least=LEAST_RATE if name == f"plain {shape}" else None,
            detail=f"{name}: {count / plain:,.0f} messages/s, {statistics.median(memory[name]):.0f} MiB",
        )
    figures.report(f"resume, {shape}: first byte", statistics.median(first_bytes), "s", at_most=FIRST_BYTE_SECONDS)
    figures.report(f"resume, {shape}: peak memory", statistics.median(memory["command"]), "MiB", at_most=PEAK_MIB)


# --- processes -------------------------------------------------------------------------------------------------------


def command_memory(uri: str, shape: str) -> float:
    """Peak memory of the real command, in MiB."""
    command = [sys.executable, "-m", "chatstore_cli", "resume", shape, "--uri", uri, "--database", DATABASE, "--quiet"]
    return run(command)[1]


def run(command: list[str]) -> tuple[dict[str, Any], float]:
    """Run a process without its stdout. Returns the JSON that it wrote to stderr, and its peak memory in MiB."""
    with Path(os.devnull).open("wb") as nothing:
        process = subprocess.Popen(command, stdout=nothing, stderr=subprocess.PIPE, cwd=Path(__file__).parent.parent)
        assert process.stderr is not None
        result = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(result.decode())
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return (json.loads(result) if result else {}), usage.ru_maxrss / unit


def write_result(count: int, started: float, **more: float) -> None:
    """Write the result of a child to stderr."""
    sys.stdout.flush()
    sys.stderr.write(json.dumps({"messages": count, "seconds": time.perf_counter() - started, **more}))


def resume(uri: str, shape: str) -> None:
    """Do what the command does after its connection is established."""
    import gc

    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.core.sessions.resume import open_history
    from chatstore_cli.domain.queries import MessageSelection
    from chatstore_cli.wiring.stores import Stores

    gc.set_threshold(400_000, 20, 50)  # as the command does
    stores = Stores(Settings(mongo=MongoSettings(uri=uri, database=DATABASE)), say=print)
    stores.connection.client.admin.command("ping")
    started = time.perf_counter()
    history = open_history(stores.session_readers, shape, MessageSelection(include_general=False), "jsonl")
    pieces = history.pieces()
    write = sys.stdout.buffer.write
    write(next(pieces))
    sys.stdout.buffer.flush()
    first_byte = time.perf_counter() - started
    sys.stdout.buffer.writelines(pieces)
    write_result(history.messages, started, first_byte=first_byte)


def dump(uri: str, documents: Callable[[Any], Iterable[Document]]) -> None:
    """The plainest program that prints the same messages: a client with default options, a cursor, orjson."""
    import orjson
    from pymongo import MongoClient

    client: MongoClient[Document] = MongoClient(uri)
    client.admin.command("ping")
    started = time.perf_counter()
    write = sys.stdout.buffer.write
    count = 0
    for document in documents(client[DATABASE]):
        write(orjson.dumps(document, default=str) + b"\n")
        count += 1
    write_result(count, started)


def unwound(name: str) -> list[Document]:
    """A pipeline that returns a document's messages one by one."""
    return [
        {"$match": {"chat_id": name}},
        {"$sort": {"n": 1}},
        {"$unwind": "$messages"},
        {"$replaceRoot": {"newRoot": "$messages"}},
    ]


def segments_and_document(database: Any) -> Iterator[Document]:
    """Cursors over the segments and then over the document."""
    yield from database.chat_session_segments.aggregate(unwound("segments"))
    yield from database.chat_sessions.aggregate(unwound("segments"))


def whole_document(database: Any) -> Iterator[Document]:
    """The messages of the document, fetched in one piece."""
    for session in database.chat_sessions.find({"chat_id": "document"}):
        yield from session["messages"]


def flat(database: Any) -> Iterable[Document]:
    """A cursor over flat messages in order."""
    messages: Iterable[Document] = database.chat_messages.find({"session_id": "flat"}).sort("created_at", 1)
    return messages


CHILDREN: dict[str, Callable[[str, str], None]] = {
    "resume": resume,
    "plain document": lambda uri, _: dump(uri, lambda database: database.chat_sessions.aggregate(unwound("document"))),
    "plain document, fetched whole": lambda uri, _: dump(uri, whole_document),
    "plain segments": lambda uri, _: dump(uri, segments_and_document),
    "plain flat": lambda uri, _: dump(uri, flat),
    "drop": lambda uri, _: drop(uri),
}


def drop(uri: str) -> None:
    """Drop the database of the benchmark."""
    from pymongo import MongoClient

    MongoClient[Document](uri).drop_database(DATABASE)


# --- what is stored --------------------------------------------------------------------------------------------------


def message(number: int, length: int) -> Document:
    """One message as chatstore writes it (docs/layouts.md)."""
    by_user = number % 2 == 1
    return {
        "sender": "user" if by_user else "Writer",
        "content": ("lorem ipsum dolor " * 20)[:length],
        "role": "user" if by_user else "assistant",
        "timestamp": START + timedelta(seconds=number),
        "event_type": "text",
        "event_id": str(number),
        "sequence": number,
    }


def session(name: str, messages: list[Document]) -> Document:
    """One session as chatstore writes it."""
    return {
        "chat_id": name,
        "enterprise_id": "tenant",
        "user_id": "user",
        "workflow_name": "workflow",
        "created_at": START,
        "updated_at": START,
        "status": 0,
        "messages": messages,
        "last_sequence": len(messages),
    }


def store_document(database: Any, count: int) -> int:
    """Store one document with that many messages, or as many as fit into 16 MiB. Returns their number."""
    import bson

    for length in (200, 100, 50, 25, 12):
        document = session("document", [message(number, length) for number in range(1, count + 1)])
        if len(bson.encode(document)) <= LARGEST_DOCUMENT:
            break
    while len(bson.encode(document)) > LARGEST_DOCUMENT:
        del document["messages"][-count // 50 :]
    database.chat_sessions.create_index("chat_id")
    database.chat_sessions.insert_one(document)
    return len(document["messages"])


def store_segments(database: Any, count: int) -> int:
    """Store one session whose oldest messages are in segments."""
    messages = [message(number, 200) for number in range(1, count + 1)]
    moved = [messages[start : start + SEGMENT] for start in range(0, count, SEGMENT)]
    database.chat_sessions.insert_one(session("segments", moved.pop()))
    database.chat_session_segments.create_index("chat_id")
    for number, part in enumerate(moved):
        segment = {"_id": f"segments:{number}", "chat_id": "segments", "n": number, "messages": part}
        database.chat_session_segments.insert_one(segment)
    return count


def store_flat(database: Any, count: int) -> int:
    """Store the messages one by one."""
    database.chat_messages.create_index([("session_id", 1), ("created_at", -1)], name="session_ts_idx")
    database.chat_messages.create_index([("created_at", -1), ("session_id", 1)], name="recent_idx")
    rows: list[dict[str, Any]] = [
        {
            "_id": f"{number:032x}",
            "session_id": "flat",
            "role": "user" if number % 2 else "assistant",
            "text": ("lorem ipsum dolor " * 20)[:200],
            "metadata": {},
            "vector_ids": [],
            "created_at": (START + timedelta(seconds=number)).isoformat(timespec="microseconds"),
            "expires_at": START + timedelta(days=36500),
            "sequence": number,
        }
        for number in range(1, count + 1)
    ]
    for start in range(0, count, 10_000):
        database.chat_messages.insert_many(rows[start : start + 10_000])
    return count


STORED: dict[str, Callable[[Any, int], int]] = {
    "document": store_document,
    "segments": store_segments,
    "flat": store_flat,
}


def store(uri: str, shape: str, count: int) -> None:
    """Store that many messages in that layout, and write their number as the result."""
    from pymongo import MongoClient

    started = time.perf_counter()
    write_result(STORED[shape](MongoClient[Document](uri)[DATABASE], count), started)


if __name__ == "__main__":
    main()
