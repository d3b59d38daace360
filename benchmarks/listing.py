"""Start-up and listing: processes against a bare interpreter and against mongosh, a large database against a small one.

    python benchmarks/listing.py [--sessions 1000000] [--rounds 15] [--uri URI] [--mongosh PATH] [--keep]

Each figure is a ratio, and its two sides are measured in turn. `--version` and `--help` are compared with
`python -c pass`. `sessions list` as a process is compared with the same query through mongosh, if that npm package is
installed. The first page for each filter, in process, is compared between `--sessions` workflow sessions and 10,000, and
so are the first pages of as many flat sessions, threads and general chats. The bounds hold for 1,000,000 sessions. Exits with status 1 if a figure
misses its bound. `--keep` leaves the databases for the next run with the same URI.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri

SMALL = 10_000
DATABASE = "chatstore_benchmark_listing_{}"
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
WORKFLOWS = ("Triage", "Refunds", "Onboarding", "Search", "Handover")
SESSIONS_A_USER = 20
TENANTS = 50


def main() -> None:
    """Print one line for each figure."""
    parser = option_parser(__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000, help="sessions in the large database")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--mongosh", default=shutil.which("mongosh"), help="the shell [default: the one on PATH]")
    parser.add_argument("--keep", action="store_true", help="keep the databases")
    chosen = parser.parse_args()
    with server_uri(chosen.uri) as uri:
        measure(uri, chosen)


def measure(uri: str, chosen: argparse.Namespace) -> None:
    """Print the figures of one run, and exit with status 1 if one misses its bound."""
    figures = Figures()
    measure_start(figures, chosen.rounds)
    from pymongo import MongoClient

    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    sizes = (SMALL, chosen.sessions)
    try:
        for sessions in sizes:
            fill(client[DATABASE.format(sessions)], sessions)
        measure_process(figures, uri, DATABASE.format(SMALL), chosen.mongosh, chosen.rounds)
        measure_filters(figures, uri, sizes, 10 * chosen.rounds)
    finally:
        if not chosen.keep:
            for sessions in sizes:
                client.drop_database(DATABASE.format(sessions))
    figures.exit()


# --- processes -------------------------------------------------------------------------------------------------------


def measure_start(figures: Figures, rounds: int) -> None:
    """`--version` and `--help` against an interpreter that does nothing."""
    bare = [sys.executable, "-c", "pass"]
    for option, bound in (("--version", 3), ("--help", 9)):
        ours, theirs = in_turn(rounds, process([*chatstore(), option]), process(bare))
        report(figures, f"chatstore {option}", ours, "python -c pass", theirs, bound)


def measure_process(figures: Figures, uri: str, database: str, mongosh: str | None, rounds: int) -> None:
    """A page of sessions as a process, by chatstore and by mongosh."""
    ours = [*chatstore(), "sessions", "list", "--limit", "20", "--uri", uri, "--database", database]
    if mongosh is None:
        [times] = in_turn(rounds, process(ours))
        print(f"{'sessions list, as a process':<44} {milliseconds(times)}  not compared: mongosh is not installed")
        return
    query = (
        f"db.getSiblingDB('{database}').chat_sessions.find({{}}, {{messages: 0}}).sort({{updated_at: -1}}).limit(20)"
        ".forEach(session => print(JSON.stringify(session)))"
    )
    theirs = [mongosh, uri, "--quiet", "--norc", "--eval", query]
    our_times, their_times = in_turn(rounds, process(ours), process(theirs))
    report(figures, "sessions list, as a process", our_times, "mongosh", their_times, 0.30)


def chatstore() -> list[str]:
    """The installed command, or the package as a module if it is not installed."""
    script = Path(sys.executable).parent / "chatstore"
    return [sys.executable, str(script)] if script.is_file() else [sys.executable, "-m", "chatstore_cli"]


def process(command: Sequence[str]) -> Callable[[], None]:
    """Run the command to its end, with compiled bytecode, as an installed program does."""
    passed_on = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CHATSTORE_"))}
    home = tempfile.gettempdir()

    def run() -> None:
        surroundings = passed_on | {"HOME": home}
        done = subprocess.run(command, check=False, env=surroundings, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")

    return run


# --- large against small ---------------------------------------------------------------------------------------------


def fill(database: Any, sessions: int) -> None:
    """Store small, realistic sessions. The newest sessions, and those of a user, are alike in both databases."""
    from chatstore_cli.mongo.general.index_specs import index_specs as chat_indexes
    from chatstore_cli.mongo.messages.layout import index_specs as message_indexes
    from chatstore_cli.mongo.threads.index_specs import index_specs as thread_indexes
    from chatstore_cli.mongo.workflow.index_specs import index_specs

    if database["GeneralChatSessions"].estimated_document_count() == sessions:
        return
    database.client.drop_database(database.name)
    started = time.perf_counter()
    choose = random.Random(20260301)
    for first in range(0, sessions, 2_000):
        documents = [session(index, choose) for index in range(first, min(first + 2_000, sessions))]
        database["chat_sessions"].insert_many(documents, ordered=False)
        database["chat_messages"].insert_many([flat_message(document) for document in documents], ordered=False)
        database["chat_threads"].insert_many([thread(document) for document in documents], ordered=False)
        database["GeneralChatSessions"].insert_many([general_chat(document) for document in documents], ordered=False)
        messages = [message for document in documents for message in thread_messages(document)]
        database["chat_thread_messages"].insert_many(messages, ordered=False)
    specs = (*thread_indexes("chat_threads", "chat_thread_messages"), *chat_indexes("GeneralChatSessions"))
    for spec in (*index_specs("chat_sessions"), *message_indexes("chat_messages"), *specs):
        options: dict[str, Any] = {"unique": spec.unique}
        if spec.partial_filter:
            options["partialFilterExpression"] = dict(spec.partial_filter)
        database[spec.collection].create_index(list(spec.keys), name=spec.name, **options)
    print(f"stored {sessions:,} sessions in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def session(index: int, choose: random.Random) -> dict[str, Any]:
    """A session that is one minute older than the one before it."""
    updated = NEWEST - timedelta(minutes=index)
    tokens = choose.randrange(200, 4_000)
    return {
        "chat_id": f"chat-{index:07}",
        "enterprise_id": f"tenant-{index % TENANTS}",
        "user_id": f"user-{index // SESSIONS_A_USER}",
        "workflow_name": WORKFLOWS[index % len(WORKFLOWS)],
        "created_at": updated - timedelta(minutes=20),
        "updated_at": updated,
        "status": (1, 1, 1, 0, -1)[choose.randrange(5)],
        **({"paused": True} if index % 100 == 0 else {}),
        "real_time_tracking": {
            "tokens": {
                "prompt_tokens": tokens,
                "completion_tokens": tokens // 4,
                "total_tokens": tokens + tokens // 4,
                "total_cost": round(tokens * 2e-6, 6),
            }
        },
        "messages": [
            {"sender": "user", "role": "user", "content": "Where is my parcel? " * 3, "sequence": 0},
            {"sender": "Planner", "role": "assistant", "content": "It left Lyon this morning. " * 4, "sequence": 1},
        ],
        "last_sequence": 1,
    }


def flat_message(session: dict[str, Any]) -> dict[str, Any]:
    """The one message of a flat session that is as old as a workflow session."""
    created = session["updated_at"].isoformat(timespec="microseconds")
    return {"session_id": f"flat-{session['chat_id']}", "role": "user", "text": "Hello", "created_at": created}


def thread(session: dict[str, Any]) -> dict[str, Any]:
    """A thread that is as old as a workflow session, and has its owner."""
    owner = {"user_id": session["user_id"], "org_id": session["enterprise_id"]}
    times = {"created_at": session["created_at"], "updated_at": session["updated_at"]}
    return {"_id": f"thread-{session['chat_id']}", **owner, "name": "Parcels", **times, "last_sequence": 2}


def thread_messages(session: dict[str, Any]) -> list[dict[str, Any]]:
    """The two messages of a thread."""
    shared = {"chat_thread_id": f"thread-{session['chat_id']}", "sender_id": None, "created_at": session["created_at"]}
    return [
        {**shared, "sender_role": role, "content": {"type": "text", "text": "Where is my parcel?"}, "sequence": place}
        for place, role in enumerate(("user", "assistant"), 1)
    ]


def general_chat(session: dict[str, Any]) -> dict[str, Any]:
    """A general chat that is as old as a workflow session, and has its owner."""
    chat_id = f"generalchat-{session['chat_id']}"
    return {
        "_id": chat_id,
        "chat_id": chat_id,
        "app_id": session["enterprise_id"],
        "user_id": session["user_id"],
        "session_type": "general",
        "general_label": "General Chat #1",
        "general_sequence": 1,
        "status": session["status"],
        "created_at": session["created_at"],
        "last_updated_at": session["updated_at"],
        "messages": session["messages"],
        "last_sequence": 1,
    }


def measure_filters(figures: Figures, uri: str, sizes: tuple[int, int], rounds: int) -> None:
    """The first page of the use case itself, for each filter, in the large database against the small one."""
    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.core.sessions.listing import list_sessions
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session import SessionStatus
    from chatstore_cli.wiring.stores import Stores

    queries = {
        "no filter": SessionQuery(),
        "tenant": SessionQuery(tenant_id="tenant-7"),
        "user": SessionQuery(user_id="user-7"),
        "workflow": SessionQuery(workflow="Refunds"),
        "status": SessionQuery(status=SessionStatus.FAILED),
        "paused": SessionQuery(paused=True),
        "since": SessionQuery(since=NEWEST - timedelta(days=1)),
        "until": SessionQuery(until=NEWEST - timedelta(days=1)),
        "tenant and workflow": SessionQuery(tenant_id="tenant-7", workflow="Refunds"),
        "tenant and status": SessionQuery(tenant_id="tenant-7", status=SessionStatus.FAILED),
        "flat": SessionQuery(layout="messages"),
        "flat, since": SessionQuery(layout="messages", since=NEWEST - timedelta(days=1)),
        "flat, until": SessionQuery(layout="messages", until=NEWEST - timedelta(days=1)),
        "threads": SessionQuery(layout="threads"),
        "threads, tenant": SessionQuery(layout="threads", tenant_id="tenant-7"),
        "threads, user": SessionQuery(layout="threads", user_id="user-7"),
        "threads, tenant and user": SessionQuery(layout="threads", tenant_id="tenant-7", user_id="user-7"),
        "threads, since": SessionQuery(layout="threads", since=NEWEST - timedelta(days=1)),
        "threads, until": SessionQuery(layout="threads", until=NEWEST - timedelta(days=1)),
        "general": SessionQuery(layout="general"),
        "general, tenant": SessionQuery(layout="general", tenant_id="tenant-7"),
        "general, user": SessionQuery(layout="general", user_id="user-7"),
        "general, tenant and user": SessionQuery(layout="general", tenant_id="tenant-7", user_id="user-7"),
        "general, status": SessionQuery(layout="general", status=SessionStatus.FAILED),
        "general, since": SessionQuery(layout="general", since=NEWEST - timedelta(days=1)),
        "general, until": SessionQuery(layout="general", until=NEWEST - timedelta(days=1)),
    }
    settings = [Settings(mongo=MongoSettings(uri=uri, database=DATABASE.format(size))) for size in sizes]
    small, large = (Stores(each, say=print) for each in settings)
    for name, query in queries.items():

        def page(stores: Stores, query: SessionQuery = query) -> Callable[[], None]:
            def run() -> None:
                list_sessions(stores.session_readers(query.layout), query, cursor=None, limit=20)

            return run

        ours, theirs = in_turn(rounds, page(large), page(small))
        report(figures, f"page, {name}, {sizes[1]:,}", ours, f"{sizes[0]:,}", theirs, 1.2)
    small.close()
    large.close()


# --- measuring -------------------------------------------------------------------------------------------------------


def in_turn(rounds: int, *sides: Callable[[], None]) -> list[list[float]]:
    """Seconds of each side, measured in turn, so that a disturbance affects both; the first round is not counted."""
    durations: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds + 1):
        for side, times in zip(sides, durations, strict=True):
            started = time.perf_counter()
            side()
            times.append(time.perf_counter() - started)
    return [times[1:] for times in durations]


def report(figures: Figures, name: str, ours: list[float], other: str, theirs: list[float], bound: float) -> None:
    """One figure: the ratio of the medians."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    figures.report(name, ratio, "times", at_most=bound, detail=f"{milliseconds(ours)}, {other} {milliseconds(theirs)}")


def milliseconds(times: list[float]) -> str:
    """The median as text."""
    return f"{statistics.median(times) * 1000:>7.1f} ms"


if __name__ == "__main__":
    main()
