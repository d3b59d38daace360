"""Appending to long sessions (DESIGN section 8): at message 100,000 against message 100, with small segments.

    python benchmarks/append.py [--messages 100000] [--rounds 600] [--uri URI]

Two sessions are appended to in turn, with `AG2PersistenceManager.save_event`: one that is new and has about
100 messages (after every 100 appends, another one), and one with `--messages` in segments of 200. Both move messages
out as they grow, and each append is followed by that where it is due. The first figure is the ratio of the medians; the
second that of the sums, which has every move in it. For comparison the same message as a bare `$push` into one
document with 10,000 messages: what small segments spare.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

DATABASE = "chatstore_benchmark_append"
SEGMENT_MESSAGES = 200
BEGINNING = 100
TEXT = "Where is my parcel? It was to come this morning. " * 6
START = datetime(2026, 3, 1, tzinfo=UTC)


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000, help="messages in the long session")
    parser.add_argument("--rounds", type=int, default=600, help="appends to each")
    parser.add_argument("--uri", help="a MongoDB to use; else one is started from the [embedded] extra")
    chosen = parser.parse_args()
    if chosen.uri:
        measure(chosen.uri, chosen.messages, chosen.rounds)
        return
    from tests.support.mongod import short_temporary_folder, start_mongod

    with short_temporary_folder() as folder:
        server = start_mongod(folder)
        try:
            measure(server.uri, chosen.messages, chosen.rounds)
        finally:
            server.remove()


def measure(uri: str, messages: int, rounds: int) -> None:
    """Every figure of one run."""
    from chatstore_cli.config.settings import LayoutSettings, MongoSettings, Settings, WorkflowCollections
    from chatstore_cli.core.workflow.ag2_manager import AG2PersistenceManager
    from chatstore_cli.wiring.segments import segment_store
    from chatstore_cli.wiring.stores import Stores
    from chatstore_cli.wiring.workflow import event_ports

    workflow = WorkflowCollections(segment_messages=SEGMENT_MESSAGES)
    layouts = LayoutSettings(workflow=workflow)
    stores = Stores(Settings(mongo=MongoSettings(uri=uri, database=DATABASE), layouts=layouts), say=print)
    database = stores.connection.database
    database.client.drop_database(DATABASE)
    try:
        make_indexes(stores)
        store_long(database, messages)
        segment_store(stores).move_oldest("long", keep_messages=SEGMENT_MESSAGES)  # as if it had been written by us
        manager = AG2PersistenceManager(event_ports(stores, print))
        long_one = Appender(manager, lambda: "long", changes_after=None)
        short_one = Appender(manager, lambda: store_short(database), changes_after=BEGINNING)
        large = database["one_document"]
        large.insert_one({"_id": "large", "messages": [message(number) for number in range(10_000)]})

        def push() -> None:
            large.update_one({"_id": "large"}, {"$push": {"messages": message(0)}})

        ours, theirs = in_turn(rounds, long_one, short_one)
        [bare] = in_turn(rounds // 10, push)  # not in turn with the others: what it writes would slow down the next one
        report(f"append at message {messages:,}", statistics.median(ours), f"at {BEGINNING}", statistics.median(theirs))
        report("all of them, moves included", sum(ours) / rounds, f"at {BEGINNING}", sum(theirs) / rounds)
        print(f"{'bare $push, 10,000 in one document':<38} {statistics.median(bare) * 1000:>7.2f} ms", flush=True)
    finally:
        database.client.drop_database(DATABASE)
        stores.close()


class Appender:
    """Appends a message each time it is called, to a session that it takes from `sessions`."""

    def __init__(self, manager: Any, sessions: Callable[[], str], changes_after: int | None) -> None:
        self._manager, self._sessions, self._changes_after = manager, sessions, changes_after
        self._left = 0
        self._name = ""
        self._event: dict[str, Any] = {}

    def prepare(self) -> None:
        """What is not measured: the next session where it is time for it, with its first event, and an event."""
        if not self._name or (self._changes_after is not None and self._left == 0):
            self._name = self._sessions()
            self._left = self._changes_after or 0
            self._event = event()
            self()  # who has appended to a session before knows how it stands
        self._left -= 1
        self._event = event()

    def __call__(self) -> None:
        """One append, and what is due after it."""
        self._manager.save_event(self._event, chat_id=self._name, enterprise_id="acme")


def event() -> dict[str, Any]:
    """What AG2 emits when somebody says something."""
    said = {"uuid": str(uuid4()), "content": TEXT, "sender": "user", "recipient": "chat_manager"}
    return {"type": "text", "content": said}


def make_indexes(stores: Any) -> None:
    """Those of the layout."""
    for spec in stores.index_specs("workflow")["workflow"]:
        options: dict[str, Any] = {"unique": spec.unique}
        if spec.partial_filter:
            options["partialFilterExpression"] = dict(spec.partial_filter)
        stores.connection.collection(spec.collection).create_index(list(spec.keys), name=spec.name, **options)


def message(number: int) -> dict[str, Any]:
    """A message as it is stored."""
    return {
        "sender": "user",
        "content": TEXT,
        "role": "user",
        "timestamp": START + timedelta(seconds=number),
        "event_type": "text",
        "event_id": str(uuid4()),
        "sequence": number,
    }


def head(name: str, first: int, last: int, **more: Any) -> dict[str, Any]:
    """A session's document with messages from `first` to `last`."""
    return {
        "chat_id": name,
        "enterprise_id": "acme",
        "user_id": "ada",
        "workflow_name": "Triage",
        "created_at": START,
        "updated_at": START,
        "status": 0,
        "messages": [message(number) for number in range(first, last + 1)],
        "last_sequence": last,
        **more,
    }


def store_long(database: Any, messages: int) -> None:
    """The long session, as it is when it was written with small segments."""
    count = max(0, messages // SEGMENT_MESSAGES - 2)
    for number in range(1, count + 1):
        first = (number - 1) * SEGMENT_MESSAGES + 1
        moved = [message(sequence) for sequence in range(first, first + SEGMENT_MESSAGES)]
        database["chat_session_segments"].insert_one(
            {"_id": f"long:{number}", "chat_id": "long", "segment": number, "move": number, "messages": moved}
        )
    moved_messages = count * SEGMENT_MESSAGES
    more = {"last_segment": count, "moved_messages": moved_messages} if count else {}
    database["chat_sessions"].insert_one(head("long", moved_messages + 1, messages, **more))


def store_short(database: Any) -> str:
    """A new session just before its hundredth message; gives its id."""
    name = str(uuid4())
    database["chat_sessions"].insert_one(head(name, 1, BEGINNING // 2))
    return name


def in_turn(rounds: int, *sides: Callable[[], None]) -> list[list[float]]:
    """Seconds that each side took, round after round, so that what disturbs one disturbs the other; the first are for warmth."""
    taken: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 20):
        for side, times in zip(sides, taken, strict=True):
            if isinstance(side, Appender):
                side.prepare()
            started = time.perf_counter()
            side()
            if turn >= 20:
                times.append(time.perf_counter() - started)
    return taken


def report(name: str, ours: float, other: str, theirs: float) -> None:
    """One figure, and the ratio."""
    times = f"{ours * 1000:>7.2f} ms  {other} {theirs * 1000:.2f} ms"
    print(f"{name:<38} {times}  ratio {ours / theirs:.2f} (at most 1.3)", flush=True)


if __name__ == "__main__":
    main()
