"""The cost of one append to a long session in small segments, as ratios that are measured in one run.

    python benchmarks/append.py [--messages 100000] [--rounds 600] [--uri URI]

Three sessions are appended to in turn with `AG2Manager.save_event`: one with `--messages` messages and one
with 1,000, both in segments of 200, and one of about 100 messages without segments (after every 100 appends a new one).
Noise on the machine therefore disturbs all three alike, and each figure is a ratio of medians. Exits with status 1 if a
figure misses its bound. Two lines have no bound: the ratio of the sums, which include every move into a segment, and a
bare `$push` into one document with 10,000 messages, which shows what small segments save.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._server import option_parser, server_uri

DATABASE = "chatstore_benchmark_append"
SEGMENT_MESSAGES = 200
MEDIUM = 1_000
MEDIUM_BOUND = 1.1
SHORT = 100
SHORT_BOUND = 1.6
WARM_UP_ROUNDS = 20
TEXT = "Where is my parcel? It was to come this morning. " * 6
START = datetime(2026, 3, 1, tzinfo=UTC)


def main() -> int:
    """Print one line per figure; return 1 if a bound is missed."""
    parser = option_parser(__doc__)
    parser.add_argument("--messages", type=int, default=100_000, help="messages in the long session (default 100000)")
    parser.add_argument("--rounds", type=int, default=600, help="appends to each session (default 600)")
    options = parser.parse_args()
    with server_uri(options.uri) as uri:
        return measure(uri, options.messages, options.rounds)


def measure(uri: str, messages: int, rounds: int) -> int:
    """Measure and print every figure; return 1 if a bound is missed."""
    from chatstore_cli.core.workflow.ag2_manager import AG2Manager
    from chatstore_cli.wiring.segments import segment_store
    from chatstore_cli.wiring.workflow import event_ports

    stores = open_stores(uri, SEGMENT_MESSAGES)
    unsegmented = open_stores(uri, None)
    database = stores.connection.database
    database.client.drop_database(DATABASE)
    try:
        make_indexes(stores)
        for name, count in (("long", messages), ("medium", MEDIUM)):
            store_segmented(database, name, count)
            # As after an append: the oldest messages of a document with two segments' worth have moved.
            segment_store(stores).move_oldest(name, keep_messages=SEGMENT_MESSAGES)
        manager = AG2Manager(event_ports(stores, print))
        plain_manager = AG2Manager(event_ports(unsegmented, print))
        sides = (
            Appender(manager, lambda: "long", changes_after=None),
            Appender(manager, lambda: "medium", changes_after=None),
            Appender(plain_manager, lambda: store_short(database), changes_after=SHORT),
        )
        collection = database["one_document"]
        collection.insert_one({"_id": "large", "messages": [message(number) for number in range(10_000)]})

        def push() -> None:
            collection.update_one({"_id": "large"}, {"$push": {"messages": message(0)}})

        long_times, medium_times, short_times = in_turn(rounds, *sides)
        (push_times,) = in_turn(rounds // 10, push)  # not in turn with the others: what it writes would slow them down
        name = f"append at message {messages:,}"
        reached = [
            report(name, long_times, f"message {MEDIUM:,}", medium_times, MEDIUM_BOUND),
            report(name, long_times, f"message {SHORT}, no segments", short_times, SHORT_BOUND),
        ]
        sums = sum(long_times) / sum(medium_times), sum(long_times) / sum(short_times)
        print(f"{name}, moves included: {sums[0]:.2f} and {sums[1]:.2f} (no bound)", flush=True)
        median = statistics.median(push_times)
        print(f"bare $push, 10,000 messages in one document: {median * 1000:.2f} ms (no bound)", flush=True)
        return 0 if all(reached) else 1
    finally:
        database.client.drop_database(DATABASE)
        stores.close()
        unsegmented.close()


def open_stores(uri: str, segment_messages: int | None) -> Any:
    """The benchmark's database, as an application with this setting opens it."""
    from chatstore_cli.config.settings import LayoutSettings, MongoSettings, Settings, WorkflowCollections
    from chatstore_cli.wiring.stores import Stores

    layouts = LayoutSettings(workflow=WorkflowCollections(segment_messages=segment_messages))
    return Stores(Settings(mongo=MongoSettings(uri=uri, database=DATABASE), layouts=layouts), say=print)


class Appender:
    """Appends a message each time it is called, to a session that it gets from `sessions`."""

    def __init__(self, manager: Any, sessions: Callable[[], str], changes_after: int | None) -> None:
        """`changes_after` appends the next session is used; None stays with the first one."""
        self._manager, self._sessions, self._changes_after = manager, sessions, changes_after
        self._appends_left = 0
        self._session_id = ""
        self._event: dict[str, Any] = {}

    def prepare(self) -> None:
        """Do what is not measured: make an event, and if it is due, change to the next session."""
        if not self._session_id or (self._changes_after is not None and self._appends_left == 0):
            self._session_id = self._sessions()
            self._appends_left = self._changes_after or 0
            self._event = event()
            self()  # the first append to a session also loads its state
        self._appends_left -= 1
        self._event = event()

    def __call__(self) -> None:
        """Append once, and move messages into a segment if that is due."""
        self._manager.save_event(self._event, chat_id=self._session_id, enterprise_id="acme")


def event() -> dict[str, Any]:
    """A text event of AG2."""
    content = {"uuid": str(uuid4()), "content": TEXT, "sender": "user", "recipient": "chat_manager"}
    return {"type": "text", "content": content}


def make_indexes(stores: Any) -> None:
    """Create the indexes of the layout."""
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


def store_segmented(database: Any, name: str, messages: int) -> None:
    """Store a session of so many messages as it is if it was written with small segments."""
    count = max(0, messages // SEGMENT_MESSAGES - 2)
    for number in range(1, count + 1):
        first = (number - 1) * SEGMENT_MESSAGES + 1
        moved = [message(sequence) for sequence in range(first, first + SEGMENT_MESSAGES)]
        database["chat_session_segments"].insert_one(
            {"_id": f"{name}:{number}", "chat_id": name, "segment": number, "move": number, "messages": moved}
        )
    moved_messages = count * SEGMENT_MESSAGES
    more = {"last_segment": count, "moved_messages": moved_messages} if count else {}
    database["chat_sessions"].insert_one(head(name, moved_messages + 1, messages, **more))


def store_short(database: Any) -> str:
    """Store a new session whose next appends are around its hundredth message; return its id."""
    name = str(uuid4())
    database["chat_sessions"].insert_one(head(name, 1, SHORT // 2))
    return name


def in_turn(rounds: int, *sides: Callable[[], None]) -> list[list[float]]:
    """The seconds that each side took in each round. Which side is first changes, and the first rounds only warm up."""
    times: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + WARM_UP_ROUNDS):
        for offset in range(len(sides)):
            position = (number + offset) % len(sides)
            side = sides[position]
            if isinstance(side, Appender):
                side.prepare()
            started = time.perf_counter()
            side()
            if number >= WARM_UP_ROUNDS:
                times[position].append(time.perf_counter() - started)
    return times


def report(name: str, times: list[float], other: str, other_times: list[float], bound: float) -> bool:
    """Print one figure, the ratio of two medians; return whether it reaches its bound."""
    median, other_median = statistics.median(times), statistics.median(other_times)
    ratio = median / other_median
    against = f"{median * 1000:.2f} ms against {other_median * 1000:.2f} ms at {other}"
    print(f"{name:<26} {against:<48} ratio {ratio:.2f} (at most {bound})", flush=True)
    return ratio <= bound


if __name__ == "__main__":
    sys.exit(main())
