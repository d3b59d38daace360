"""Search in workflow sessions: for a rare word with and without the index of words, against a bare `$regex`.

    python benchmarks/search_sessions.py [--sessions 100000] [--others 20000] [--rounds 3] [--uri URI] [--keep]

Each session has 20 messages; 50 of the sessions have the word. The bare query is a find with `$regex` on
`messages.content` alone, which finds neither text in parts nor in tool calls. `--keep` leaves the database for the next run
with the same URI. No figure has a bound. Calls and sessions of a Python agent, which have no index of words, are searched too.
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
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri

DATABASE = "chatstore_benchmark_search_sessions"
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
MESSAGES = 20
HITS = 50
WORD = "zebrafish"


def main() -> None:
    """Print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--others", type=int, default=20_000, help="calls, and sessions of a Python agent")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep the database")
    chosen = parser.parse_args()
    with server_uri(chosen.uri) as uri:
        measure(uri, chosen)


def measure(uri: str, chosen: argparse.Namespace) -> None:
    """Fill the database if it is empty, and measure."""
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.search.run import MessageSearch
    from chatstore_cli.domain.search.models import SearchQuery
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.workflow.layout import WorkflowLayout

    connection = connect(uri, DATABASE, timeout_seconds=30, answer_seconds=None)
    sessions = connection.database["chat_sessions"]
    if sessions.estimated_document_count() != chosen.sessions:
        connection.client.drop_database(DATABASE)
        fill(sessions, chosen.sessions)

    def search() -> tuple[int, float]:
        began = time.perf_counter()
        found = MessageSearch(
            [WorkflowLayout(connection, Settings()).message_searcher()], SearchQuery(WORD), limit=1000
        )
        return sum(1 for _ in found.hits()), time.perf_counter() - began

    def bare() -> tuple[int, float]:
        began = time.perf_counter()
        rows = sessions.find({"messages.content": {"$regex": WORD, "$options": "i"}}, {"_id": 1})
        return sum(1 for _ in rows), time.perf_counter() - began

    def median(measured: Callable[[], tuple[int, float]]) -> float:
        results = [measured() for _ in range(chosen.rounds)]
        assert {hits for hits, _ in results} == {HITS}, results
        return statistics.median(seconds for _, seconds in results)

    figures = Figures()
    connection.database["chatstore_search_words"].drop()
    regex, scan = median(bare), median(search)
    began = time.perf_counter()
    indexer = WorkflowLayout(connection, Settings()).words_indexer(lambda: NEWEST + timedelta(days=1))
    assert sum(step.read for step in indexer.update(everything=False)) == chosen.sessions
    indexed_in = time.perf_counter() - began
    figures.report("a bare $regex", regex, "s")
    figures.report("search without an index of words", scan, "s", detail=f"{scan / regex:.2f} times the bare $regex")
    indexed = median(search)
    figures.report("search with an index of words", indexed, "s", detail=f"{indexed / regex:.3f} times")
    figures.report("search index from nothing", indexed_in / chosen.sessions * 1000, "ms a session")
    size = connection.database.command("collstats", "chatstore_search_words")["size"] / 1e6
    figures.report("size of the index of words", size, "MB", detail=f"{chosen.sessions:,} sessions")
    measure_others(figures, connection, chosen)
    if not chosen.keep:
        connection.client.drop_database(DATABASE)
    figures.exit()


def measure_others(figures: Figures, connection: Any, chosen: argparse.Namespace) -> None:
    """Search in calls and in the sessions of a Python agent, each with 20 messages."""
    from chatstore_cli.config.settings import AgentSettings, ChatstoreSettings, Settings
    from chatstore_cli.core.search.run import MessageSearch
    from chatstore_cli.domain.search.models import SearchQuery
    from chatstore_cli.mongo.products.agent_sessions import AgentSessionsLayout
    from chatstore_cli.mongo.products.calls import CallsLayout

    database = connection.database
    if database["lk_transcripts"].estimated_document_count() != chosen.others:
        for name in ("lk_transcripts", "sessions", "messages"):
            database[name].drop()
        fill_others(database, chosen.others)
    agents = AgentSettings(sessions="sessions", messages="messages")
    settings = Settings(chatstore=ChatstoreSettings(agents=agents))
    for layout in (CallsLayout, AgentSessionsLayout):
        times = []
        for _ in range(chosen.rounds):
            began = time.perf_counter()
            searcher = layout(connection, settings).message_searcher()
            hits = sum(1 for _ in MessageSearch([searcher], SearchQuery(WORD), limit=1000).hits())
            times.append(time.perf_counter() - began)
            assert hits == HITS, hits
        each = statistics.median(times) / chosen.others * 1000
        figures.report(
            f"search in {chosen.others:,} {layout.layout}", statistics.median(times), "s", detail=f"{each:.3f} ms each"
        )


def fill_others(database: Any, count: int) -> None:
    """Store calls and sessions of a Python agent, of which 50 have the word."""
    from bson import ObjectId

    from chatstore_cli.mongo.agent_sessions.documents import reading_indexes

    dice = random.Random(16)
    texts = texts_of(dice)
    with_word = set(range(0, count, count // HITS))
    calls: list[Any] = []
    sessions: list[Any] = []
    messages: list[Any] = []
    for number in range(count):
        at = NEWEST - timedelta(seconds=number * 30)
        contents = [dice.choice(texts) for _ in range(MESSAGES)]
        if number in with_word:
            contents[7] += f" {WORD.title()}."
        roles = ["assistant", "user"] * (MESSAGES // 2)
        items = [
            {
                "id": f"i{each}",
                "type": "message",
                "role": role,
                "content": [content],
                "created_at": at.timestamp() + each,
            }
            for each, (role, content) in enumerate(zip(roles, contents, strict=True))
        ]
        call_id = ObjectId(f"{int(at.timestamp()):08x}{number:016x}")
        calls.append({"_id": call_id, "sessionId": f"call-{number}", "orgId": "acme", "chatHistory": items})
        sessions.append(
            {"session_id": f"s-{number}", "user_id": "ana", "agent_id": "a", "created_at": at, "updated_at": at}
        )
        messages += [
            {"session_id": f"s-{number}", "role": role, "content": content, "sequence": each, "created_at": at}
            for each, (role, content) in enumerate(zip(roles, contents, strict=True), 1)
        ]
        if len(calls) == 1_000 or number == count - 1:
            for name, rows in (("lk_transcripts", calls), ("sessions", sessions), ("messages", messages)):
                database[name].insert_many(rows)
                rows.clear()
    for spec in reading_indexes("sessions", "messages"):
        database[spec.collection].create_index(list(spec.keys), name=spec.name)


def texts_of(dice: random.Random) -> list[str]:
    """Texts of 40 words, which are as frequent as in a language."""
    letters = "abcdefghijklmnopqrstuvwxy"
    vocabulary = ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    return [" ".join(dice.choices(vocabulary, weights, k=40)) for _ in range(5_000)]


def fill(sessions: Any, count: int) -> None:
    """Store sessions of 20 messages, of which 50 have the word."""
    dice = random.Random(16)
    texts = texts_of(dice)
    with_word = set(range(0, count, count // HITS))
    rows: list[Any] = []
    for number in range(count):
        at = NEWEST - timedelta(seconds=number * 30)
        messages = [_message(dice.choice(texts), each, at) for each in range(MESSAGES)]
        if number in with_word:
            messages[7]["content"] += f" {WORD.title()}."
        session = {"chat_id": f"chat-{number}", "enterprise_id": "acme", "user_id": f"u{number % 500}", "status": 1}
        rows.append({**session, "updated_at": at, "messages": messages, "last_sequence": MESSAGES})
        if len(rows) == 1_000:
            sessions.insert_many(rows)
            rows = []
    if rows:
        sessions.insert_many(rows)
    sessions.create_index([("updated_at", -1)])


def _message(text: str, number: int, at: datetime) -> dict[str, Any]:
    message: dict[str, Any] = {"event_id": f"e{number}", "sender": "agent", "content": text, "sequence": number}
    message |= {"role": "user" if number % 2 else "assistant", "timestamp": at, "event_type": "text"}
    if number % 10 == 5:
        message["content"] = [{"type": "text", "text": text}]
    return message


if __name__ == "__main__":
    main()
