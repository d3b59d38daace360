"""save_event of a text event against a bare `$push` of the same message, into documents of 99 messages.

    python benchmarks/save_event.py [--rounds 400] [--uri URI]

The two sides take turns, each with a document of its own, under two write concerns: the default (majority, journaled),
for which the bound is, and acknowledgement from the server's memory alone, which shows chatstore's own share. Exits with
status 1 if the figure misses its bound.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pymongo import MongoClient, WriteConcern

from benchmarks._server import option_parser, server_uri
from chatstore_cli import AG2PersistenceManager

DATABASE = "chatstore_benchmark_save_event"
BOUND = 1.3
WARM_UP_ROUNDS = 20
SENTENCE = "The parcel left Lyon this morning and should be with you on Thursday. "


def main() -> int:
    """Print one line per write concern; return 1 if the bound is missed."""
    parser = option_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=400, help="events to store (default 400)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with server_uri(options.uri) as uri:
        return measure(uri, options.rounds)


def measure(uri: str, rounds: int) -> int:
    """Measure and print both write concerns; return 1 if the bound is missed."""
    status = 0
    for concern, journaled in (("majority", True), ("1", False)):
        client: MongoClient[dict[str, Any]] = MongoClient(uri)
        client.drop_database(DATABASE)
        with AG2PersistenceManager(uri, DATABASE, write_concern=concern, journaled=journaled) as manager:
            manager.ensure_indexes()
            acknowledged = WriteConcern(w=concern if concern == "majority" else int(concern), j=journaled)
            collection = client[DATABASE].get_collection("chat_sessions", write_concern=acknowledged)
            ours, bare = compared(manager, collection, rounds)
        ratio = ours / bare
        if journaled and ratio > BOUND:
            status = 1
        name = f"w: {concern}, j: {str(journaled).lower()}"
        bound = f"(at most {BOUND})" if journaled else "          "
        print(f"save_event, {name:22} {ratio:5.2f} {bound}   {ours * 1e6:6.0f} us against {bare * 1e6:6.0f} us")
        client.drop_database(DATABASE)
        client.close()
    return status


def compared(manager: AG2PersistenceManager, collection: Any, rounds: int) -> tuple[float, float]:
    """The median seconds for storing message 100: with save_event, and with a bare $push."""
    ours: list[float] = []
    bare: list[float] = []
    for number in range(rounds + WARM_UP_ROUNDS):
        chats = f"ours-{number}", f"bare-{number}"
        for chat in chats:
            manager.create_session(chat, enterprise_id="acme")
            messages = [message_of(text_event(sequence), sequence) for sequence in range(1, 99)]
            collection.update_one({"chat_id": chat}, {"$set": {"messages": messages, "last_sequence": len(messages)}})
            manager.save_event(text_event(99), chat_id=chat, enterprise_id="acme")
        identity = collection.find_one({"chat_id": chats[1]}, {"_id": 1})["_id"]
        event = text_event(100)
        message = message_of(event, 100)

        def save(chat: str = chats[0], event: dict[str, Any] = event) -> None:
            manager.save_event(event, chat_id=chat, enterprise_id="acme")

        def push(identity: Any = identity, message: dict[str, Any] = message) -> None:
            collection.update_one({"_id": identity}, {"$push": {"messages": message}})

        # The first one changes each round, because the second one meets a server that is already at work.
        for taken, action in [(ours, save), (bare, push)][:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            action()
            taken.append(time.perf_counter() - began)
    return statistics.median(ours[WARM_UP_ROUNDS:]), statistics.median(bare[WARM_UP_ROUNDS:])


def text_event(sequence: int) -> dict[str, Any]:
    """A text event of about 420 bytes."""
    content = f"{sequence}: " + SENTENCE * 5
    sender = "user" if sequence % 2 else "Writer"
    return {"type": "text", "content": {"uuid": str(uuid.uuid4()), "content": content, "sender": sender}}


def message_of(event: dict[str, Any], sequence: int) -> dict[str, Any]:
    """The message that is stored for it."""
    content = event["content"]
    return {
        "sender": content["sender"],
        "content": content["content"],
        "role": "user" if content["sender"] == "user" else "assistant",
        "timestamp": datetime.now(UTC),
        "event_type": "text",
        "event_id": content["uuid"],
        "sequence": sequence,
    }


if __name__ == "__main__":
    sys.exit(main())
