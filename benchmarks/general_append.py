"""Appending to a general chat against appending to a workflow session, and counting a turn in a long chat against a short one.

    python benchmarks/general_append.py [--rounds 600] [--uri URI]

The two sides take turns. Appends are to documents of about 100 messages: after every 100 appends each side continues with
a new session. Turns are counted in a chat that has 10,000 turns in the usage ledger, and in one that has 100. All collections have all indexes
of their layouts. One figure compares messages of the same text. For the other one the general message also carries the
context of three workflows, as the platform stores it, and the text of the workflow's message is longer by as many bytes.
Both are measured under two write concerns: the default (majority, journaled), for which the bound is, and acknowledgement
from the server's memory alone, which shows chatstore's own share. A figure is a ratio of medians. Exits with status 1 if
one misses its bound.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._figures import Figures
from benchmarks._server import option_parser, server_uri

if TYPE_CHECKING:
    from chatstore_cli.core.usage.metrics import SessionMetrics

DATABASE = "chatstore_benchmark_general_append"
BOUND = 1.2
MESSAGES = 100
TURNS_OF_A_LONG_CHAT, TURNS_OF_A_SHORT_CHAT = 10_000, 100
WARM_UP_ROUNDS = 20
TEXT = "Where is my parcel? It was to come this morning. " * 6
CONTEXT = {
    "ui_context": {"route": "/orders", "selection": ["order-1", "order-2"]},
    "workflows": [
        {
            "chat_id": f"chat_Orders_{number:08x}",
            "workflow_name": "Orders",
            "app_id": "acme",
            "user_id": "ann",
            "artifact_id": None,
            "status": "paused",
            "created_at": "2026-03-02T12:00:00+00:00",
            "last_active": "2026-03-02T12:00:00+00:00",
        }
        for number in range(3)
    ],
}


def main() -> None:
    """Print one line for each write concern."""
    parser = option_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=600, help="appends to each side (default 600)")
    options = parser.parse_args()
    figures = Figures()
    with server_uri(options.uri) as uri:
        for concern, journaled, bound in (("majority", True, BOUND), ("1", False, None)):
            for words, context in (("the same text", {}), ("with three workflows", CONTEXT)):
                with open_sides(uri, concern, journaled, context) as sides:
                    workflow, general = map(statistics.median, in_turn(options.rounds, *sides))
                name = f"general append, {words}, w={concern}"
                detail = f"{general * 1000:.2f} against {workflow * 1000:.2f} ms"
                figures.report(name, general / workflow, at_most=bound, detail=detail)
            with open_chats_with_turns(uri, concern, journaled) as chats:
                long, short = map(statistics.median, in_turn(options.rounds, *chats))
            detail = f"{long * 1000:.2f} against {short * 1000:.2f} ms"
            figures.report(
                f"turn counted, long chat / short one, w={concern}", long / short, at_most=bound, detail=detail
            )
    figures.exit()


@contextlib.contextmanager
def open_sides(uri: str, concern: str, journaled: bool, context: dict[str, Any]) -> Iterator[list[Side]]:
    """The two sides on an empty database, as an application opens them. `context` is in each general message."""
    from bson import encode

    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.core.workflow.ag2_manager import AG2Manager
    from chatstore_cli.wiring.general import general_chats
    from chatstore_cli.wiring.stores import Stores
    from chatstore_cli.wiring.workflow import event_ports

    mongo = MongoSettings(uri=uri, database=DATABASE, write_concern=concern, journaled=journaled)
    stores = Stores(Settings(mongo=mongo), say=lambda _: None)
    # The same content as text, which the server's journal compresses about as well.
    text = TEXT + json.dumps(context).ljust(size := len(encode(context)))[:size]
    client = stores.connection.client
    client.drop_database(DATABASE)
    try:
        for layout in ("workflow", "general"):
            stores.create_missing_indexes(layout)
        manager, chats = AG2Manager(event_ports(stores, print)), general_chats(stores, print)

        def save_event(session_id: str) -> None:
            content = {"uuid": str(uuid4()), "content": text, "sender": "user", "recipient": "chat_manager"}
            manager.save_event({"type": "text", "content": content}, chat_id=session_id, enterprise_id="acme")

        def append_message(session_id: str) -> None:
            chats.append_general_message(
                general_chat_id=session_id, app_id="acme", user_id="ann", role="user", content=TEXT, metadata=context
            )

        def new_session() -> str:
            session_id = str(uuid4())
            manager.create_session(session_id, enterprise_id="acme", user_id="ann")
            return session_id

        def new_chat() -> str:
            return str(chats.create_general_chat_session(app_id="acme", user_id="ann")["chat_id"])

        yield [Side(new_session, save_event), Side(new_chat, append_message)]
    finally:
        client.drop_database(DATABASE)
        stores.close()


@contextlib.contextmanager
def open_chats_with_turns(uri: str, concern: str, journaled: bool) -> Iterator[list[ChatWithTurns]]:
    """The long chat and the short one on an empty database, each counted by the library's own object."""
    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.core.usage.recorder import UsageRecorder
    from chatstore_cli.domain.usage_ledger import UsageSnapshot
    from chatstore_cli.wiring.general import general_chats
    from chatstore_cli.wiring.stores import Stores
    from chatstore_cli.wiring.usage import session_metrics, usage_ledger

    mongo = MongoSettings(uri=uri, database=DATABASE, write_concern=concern, journaled=journaled)
    stores = Stores(Settings(mongo=mongo), say=lambda _: None)
    client = stores.connection.client
    client.drop_database(DATABASE)

    def chat_with(turns: int, metrics: SessionMetrics) -> ChatWithTurns:
        chat = general_chats(stores, print).create_general_chat_session(app_id="acme", user_id="ann")
        facts: dict[str, Any] = dict.fromkeys(("event_id", "workflow", "agent", "model"))
        facts |= {"chat_id": chat["chat_id"], "run": 1, "tenant_id": "acme", "user_id": "ann", "at": datetime.now(UTC)}
        counts: dict[str, Any] = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
        stored = [UsageSnapshot(**facts, **counts, turn_id=str(number)) for number in range(turns)]
        UsageRecorder(usage_ledger(stores, "general")).record(stored)
        return ChatWithTurns(chat["chat_id"], metrics)

    try:
        for layout in ("workflow", "general"):  # the ledger has its indexes from the first one
            stores.create_missing_indexes(layout)
        yield [chat_with(turns, session_metrics(stores)) for turns in (TURNS_OF_A_LONG_CHAT, TURNS_OF_A_SHORT_CHAT)]
    finally:
        client.drop_database(DATABASE)
        stores.close()


class MeasuredSide(Protocol):
    """One of the two things that are compared."""

    def prepare(self) -> None:
        """What is not measured."""

    def __call__(self) -> None:
        """What is measured."""


class ChatWithTurns:
    """Counts a turn of one chat each time it is called."""

    def __init__(self, chat_id: str, metrics: SessionMetrics) -> None:
        self._chat_id, self._metrics = chat_id, metrics

    def prepare(self) -> None:
        """Do nothing."""

    def __call__(self) -> None:
        """Count one turn."""
        self._metrics.update_session_metrics(self._chat_id, "ann", None, 20, 5, None, "acme", session_type="general")


class Side:
    """Appends a message each time it is called, to sessions that have between 50 and 150 messages."""

    def __init__(self, new_session: Callable[[], str], append: Callable[[str], None]) -> None:
        self._new_session, self._append = new_session, append
        self._session_id = ""
        self._appends_left = 0

    def prepare(self) -> None:
        """Change to the next session if that is due, which is not measured."""
        if self._appends_left == 0:
            self._session_id, self._appends_left = self._new_session(), MESSAGES
            for _ in range(MESSAGES // 2):
                self._append(self._session_id)
        self._appends_left -= 1

    def __call__(self) -> None:
        """Append once."""
        self._append(self._session_id)


def in_turn(rounds: int, *sides: MeasuredSide) -> list[list[float]]:
    """The seconds that each side took in each round. Which side is first changes, and the first rounds only warm up."""
    times: list[list[float]] = [[] for _ in sides]
    for number in range(rounds + WARM_UP_ROUNDS):
        for offset in range(len(sides)):
            position = (number + offset) % len(sides)
            sides[position].prepare()
            started = time.perf_counter()
            sides[position]()
            if number >= WARM_UP_ROUNDS:
                times[position].append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
