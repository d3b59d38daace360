"""save_event of a text event against a bare `$push` of the same message, into documents of 99 messages (issue 4).

    python benchmarks/save_event.py [--rounds 400] [--uri URI]

The two sides in turn, each into a document of its own, in two ways of acknowledgement: as it is configured by default
(majority, journaled), which is what the bound is for, and by the server's memory alone, which shows what is ours.
"""

from __future__ import annotations

import argparse
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

from chatstore_cli import AG2PersistenceManager

DATABASE = "chatstore_benchmark_save_event"
BOUND = 1.3
WARM = 20
SENTENCE = "The parcel left Lyon this morning and should be with you on Thursday. "


def main() -> None:
    """Print one line a way of acknowledgement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--uri", help="a MongoDB to use; else one is started from the [embedded] extra")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if chosen.uri:
        measure(chosen.uri, chosen.rounds)
        return
    from tests.support.mongod import short_temporary_folder, start_mongod

    with short_temporary_folder() as folder:
        server = start_mongod(folder)
        try:
            measure(server.uri, chosen.rounds)
        finally:
            server.remove()


def measure(uri: str, rounds: int) -> None:
    """Both ways of acknowledgement."""
    for concern, journaled in (("majority", True), ("1", False)):
        client: MongoClient[dict[str, Any]] = MongoClient(uri)
        client.drop_database(DATABASE)
        with AG2PersistenceManager(uri, DATABASE, write_concern=concern, journaled=journaled) as manager:
            manager.ensure_indexes()
            wanted = WriteConcern(w=concern if concern == "majority" else int(concern), j=journaled)
            pushed = client[DATABASE].get_collection("chat_sessions", write_concern=wanted)
            ours, bare = compared(manager, pushed, rounds)
        ratio = ours / bare
        name = f"w: {concern}, j: {str(journaled).lower()}"
        bound = f"(at most {BOUND})" if journaled else "          "
        print(f"save_event, {name:22} {ratio:5.2f} {bound}   {ours * 1e6:6.0f} us against {bare * 1e6:6.0f} us")
        client.drop_database(DATABASE)
        client.close()


def compared(manager: AG2PersistenceManager, pushed: Any, rounds: int) -> tuple[float, float]:
    """Seconds of storing message 100 either way: medians."""
    ours, bare = [], []
    for number in range(rounds + WARM):
        chats = f"ours-{number}", f"bare-{number}"
        for chat in chats:
            manager.create_session(chat, enterprise_id="acme")
            messages = [message_of(text_event(place), place) for place in range(1, 99)]
            pushed.update_one({"chat_id": chat}, {"$set": {"messages": messages, "last_sequence": len(messages)}})
            manager.save_event(text_event(99), chat_id=chat, enterprise_id="acme")
        identity = pushed.find_one({"chat_id": chats[1]}, {"_id": 1})["_id"]
        event = text_event(100)
        message = message_of(event, 100)

        def save(chat: str = chats[0], event: dict[str, Any] = event) -> None:
            manager.save_event(event, chat_id=chat, enterprise_id="acme")

        def push(identity: Any = identity, message: dict[str, Any] = message) -> None:
            pushed.update_one({"_id": identity}, {"$push": {"messages": message}})

        # Which of the two comes first changes, as the second finds the server at work.
        for taken, action in [(ours, save), (bare, push)][:: 1 if number % 2 else -1]:
            began = time.perf_counter()
            action()
            taken.append(time.perf_counter() - began)
    return statistics.median(ours[WARM:]), statistics.median(bare[WARM:])


def text_event(place: int) -> dict[str, Any]:
    """A text event of about 420 bytes."""
    content = f"{place}: " + SENTENCE * 5
    sender = "user" if place % 2 else "Writer"
    return {"type": "text", "content": {"uuid": str(uuid.uuid4()), "content": content, "sender": sender}}


def message_of(event: dict[str, Any], place: int) -> dict[str, Any]:
    """The message that is stored for it."""
    content = event["content"]
    return {
        "sender": content["sender"],
        "content": content["content"],
        "role": "user" if content["sender"] == "user" else "assistant",
        "timestamp": datetime.now(UTC),
        "event_type": "text",
        "event_id": content["uuid"],
        "sequence": place,
    }


if __name__ == "__main__":
    main()
