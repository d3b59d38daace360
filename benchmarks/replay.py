"""A replay of 10,000 mixed turns, compared with a plain cursor over the same documents.

    python benchmarks/replay.py [--turns 10000] [--rounds 15] [--uri URI]

The turns are in three sessions of one user: a workflow session with its oldest messages in segments, a workflow session
of one document, and a general chat. A replay reads all of them from the beginning and merges them. The plain program is
one aggregation over the same documents, which the server sorts by time. Both encode each turn with all its fields with
orjson, and write to /dev/null.

The first figure is the rate of a replay relative to the plain cursor (at least 0.6). A missed bound makes the script exit
with status 1. Two figures have no bound: the same relative to cursors over one session after the other, which merge
nothing, and the time of a replay from positions that leave 10 turns, relative to the whole replay.

Replays and cursors run in turn, in one process. A ratio is the median of the ratios of the rounds.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri

DATABASE = "chatstore_benchmark"
START = datetime(2026, 1, 1, tzinfo=UTC)
LEAST_RATE = 0.6
REST = 10
SEGMENT = 1_000
COLLECTIONS = {
    "segments": ("chat_sessions", "chat_session_segments"),
    "document": ("chat_sessions", "chat_session_segments"),
    "general": ("GeneralChatSessions", "general_chat_segments"),
}
Document = dict[str, Any]


def main() -> None:
    """Store the turns, measure, and print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    with server_uri(chosen.uri) as uri:
        measure(uri, chosen.turns, chosen.rounds)


def measure(uri: str, turns: int, rounds: int) -> None:
    """Print the figures of one run, and exit with 1 if one misses its bound."""
    from pymongo import MongoClient

    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.wiring.stores import Stores

    figures = Figures()
    client: MongoClient[Document] = MongoClient(uri)
    stores = Stores(Settings(mongo=MongoSettings(uri=uri, database=DATABASE)), say=print)
    client.drop_database(DATABASE)
    try:
        last = store(client[DATABASE], turns)
        nearly_all = {name: number - REST // len(last) for name, number in last.items()}
        seconds: dict[str, list[float]] = {"replay": [], "plain": [], "unmerged": [], "rest": []}
        with Path(os.devnull).open("wb") as nothing:
            ways: dict[str, Callable[[], int]] = {
                "replay": lambda: replayed(stores, nothing.write, None),
                "plain": lambda: dump(in_time_order(client[DATABASE]), nothing.write),
                "unmerged": lambda: dump(one_after_the_other(client[DATABASE]), nothing.write),
                "rest": lambda: replayed(stores, nothing.write, nearly_all),
            }
            for way in ways.values():
                way()  # connections, plans and the server's cache
            for _ in range(rounds):
                for name, way in ways.items():
                    gc.collect()
                    started = time.perf_counter()
                    count = way()
                    seconds[name].append(time.perf_counter() - started)
                    assert count == (turns if name != "rest" else REST // len(last) * len(last)), (name, count)
    finally:
        client.drop_database(DATABASE)
        stores.close()
    report(figures, seconds, turns)
    figures.exit()


def report(figures: Figures, seconds: Mapping[str, list[float]], turns: int) -> None:
    """Report the ratios of the rounds."""
    ours = turns / statistics.median(seconds["replay"])
    for name, words, bound in (("plain", "plain cursor", LEAST_RATE), ("unmerged", "unmerged cursors", None)):
        rates = [theirs / ours for ours, theirs in zip(seconds["replay"], seconds[name], strict=True)]
        detail = f"{ours:,.0f} and {turns / statistics.median(seconds[name]):,.0f} turns/s"
        figures.report(f"replay: rate / {words}", statistics.median(rates), at_least=bound, detail=detail)
    rest = [rest / ours for ours, rest in zip(seconds["replay"], seconds["rest"], strict=True)]
    detail = f"{statistics.median(seconds['rest']) * 1000:.1f} ms"
    figures.report(f"replay of the last {REST} turns / of all", statistics.median(rest), detail=detail)


def replayed(stores: Any, write: Callable[[bytes], Any], sequences: Mapping[str, int] | None) -> int:
    """Replay the sessions, and encode every turn with its source and all its fields."""
    import orjson

    from chatstore_cli.core.mixed_transcript.replay import replay
    from chatstore_cli.domain.mixed_transcript import ClientPosition, MixedTurn, TranscriptSource
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.wiring.mixed_transcript import transcript_readers

    sources = {name: TranscriptSource("general" if name == "general" else "workflow", name) for name in COLLECTIONS}
    shown = {source: source.to_dict() for source in sources.values()}
    positions = None
    if sequences is not None:
        positions = {sources[name]: ClientPosition(sequence=number) for name, number in sequences.items()}
    count = 0
    for record in replay(transcript_readers(stores), sources.values(), positions=positions, clock=utc_now):
        if isinstance(record, MixedTurn):
            write(orjson.dumps(row_of(record, shown[record.source]), default=str) + b"\n")
            count += 1
        else:
            write(orjson.dumps(record.to_dict()) + b"\n")
    return count


def row_of(turn: Any, source: Document) -> Document:
    """One turn with all its fields."""
    (
        _, role, content, message_id, sequence, name, created_at, event_type, stored_source, tool_calls, tool_call_id,
        metadata, _,
    ) = turn.message  # fmt: skip
    return {
        "transcript_source": source,
        "index": turn.index_in_source,
        "message_id": message_id,
        "sequence": sequence,
        "role": role,
        "name": name,
        "content": content,
        "created_at": created_at,
        "event_type": event_type,
        "source": stored_source,
        "tool_calls": tool_calls,
        "tool_call_id": tool_call_id,
        "metadata": metadata,
    }


def dump(documents: Iterable[Document], write: Callable[[bytes], Any]) -> int:
    """Encode stored documents with orjson. Returns their number."""
    import orjson

    count = 0
    for document in documents:
        write(orjson.dumps(document, default=str) + b"\n")
        count += 1
    return count


def in_time_order(database: Any) -> Iterable[Document]:
    """One cursor over the messages of all sessions: the plainest program with the same turns in the same order."""
    first, *others = [(collection, name) for name in COLLECTIONS for collection in COLLECTIONS[name]]
    unions = [{"$unionWith": {"coll": collection, "pipeline": unwound(name)}} for collection, name in others]
    pipeline = [*unwound(first[1]), *unions, {"$sort": {"timestamp": 1}}]
    documents: Iterable[Document] = database[first[0]].aggregate(pipeline)
    return documents


def one_after_the_other(database: Any) -> Iterator[Document]:
    """Cursors over the messages of one session after the other: of its segments, and then of its document."""
    for name, (sessions, segments) in COLLECTIONS.items():
        yield from database[segments].aggregate(unwound(name))
        yield from database[sessions].aggregate(unwound(name))


def unwound(name: str) -> list[Document]:
    """A pipeline that returns the messages of a session one by one, with the name of the session."""
    return [
        {"$match": {"chat_id": name}},
        {"$sort": {"n": 1}},
        {"$unwind": "$messages"},
        {"$replaceRoot": {"newRoot": {"$mergeObjects": ["$messages", {"session": "$chat_id"}]}}},
    ]


# --- what is stored --------------------------------------------------------------------------------------------------


def store(database: Any, turns: int) -> dict[str, int]:
    """Store the turns in rotation over the sessions. Returns the last sequence of each."""
    messages: dict[str, list[Document]] = {name: [] for name in COLLECTIONS}
    names = list(COLLECTIONS)
    for number in range(turns):
        name = names[number % len(names)]
        messages[name].append(message(name, number, len(messages[name]) + 1))
    for name, stored in messages.items():
        sessions, segments = COLLECTIONS[name]
        database[sessions].create_index("chat_id")
        database[segments].create_index("chat_id")
        moved = (
            [stored[first : first + SEGMENT] for first in range(0, len(stored), SEGMENT)] if name == "segments" else []
        )
        rest = moved.pop() if moved else stored
        for n, part in enumerate(moved):
            database[segments].insert_one({"_id": f"{name}:{n}", "chat_id": name, "n": n, "messages": part})
        counted = {"last_segment": len(moved) - 1, "moved_messages": len(stored) - len(rest)} if moved else {}
        database[sessions].insert_one(
            {
                **counted,
                "_id": name,
                "chat_id": name,
                "app_id": "tenant",
                "user_id": "user",
                "status": 0,
                "created_at": START,
                "last_updated_at": START,
                "messages": rest,
                "last_sequence": len(stored),
            }
        )
    return {name: len(stored) for name, stored in messages.items()}


def message(name: str, number: int, sequence: int) -> Document:
    """One message as chatstore writes it (docs/layouts.md); in a general chat with the metadata of its platform."""
    by_user = number % 2 == 1
    stored: Document = {
        "role": "user" if by_user else "assistant",
        "content": ("lorem ipsum dolor " * 20)[:200],
        "timestamp": START + timedelta(seconds=number),
        "event_type": "text",
        "event_id": f"{name}-{sequence}",
        "sequence": sequence,
        "agent_name": "user" if by_user else "Writer",
    }
    if name == "general":
        stored["metadata"] = {"source": "general_agent", "ui_context": {}, "workflows": [], "user_id": "user"}
    return stored


if __name__ == "__main__":
    main()
