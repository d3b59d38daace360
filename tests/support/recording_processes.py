"""The recording processes of the fault tests. Each runs one of these functions until it is killed."""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import orjson

# Children come from a process that has imported the library once, and has no thread: a round costs milliseconds.
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["chatstore_cli.library", "chatstore_cli.core.recording.storing", "pymongo", "tests.support.recording_processes"])  # fmt: skip


def record_for_ever(acknowledge: Connection, folder: str, seed: int, **settings: Any) -> None:
    """Record into a few sessions, and send each id once its call has returned."""
    from chatstore_cli import LocalChatCache

    _record(LocalChatCache(disk_path=folder, **settings), acknowledge, random.Random(seed), 600_000)


def record_and_store_for_ever(acknowledge: Connection, folder: str, seed: int, uri: str, database: str) -> None:
    """The same with a worker, after storing what an earlier process left, as an application does at its start."""
    from chatstore_cli import ChatPersistenceWorker, LocalChatCache, MongoChatStorage

    storage = MongoChatStorage(uri, database)
    storage.flush_journals(folder)
    cache = LocalChatCache(disk_path=folder, max_pending_messages=40)
    cache.load_journals()
    ChatPersistenceWorker(cache, storage, batch_size=25, interval=0.01).start()
    _record(cache, acknowledge, random.Random(seed), 60_000)


def _record(cache: Any, acknowledge: Connection, chance: random.Random, longest: int) -> None:
    descriptor = acknowledge.fileno()
    while True:
        [size] = chance.choices((1, 30, 300, 3_000, longest // 20, longest), (10, 30, 20, 10, 3, 1))
        text = chance.choice("xé☕𝄞\x01") * size
        message = cache.record_chat_event(f"s{chance.randrange(3)}", "user", text)
        os.write(descriptor, f"{message.message_id}\n".encode())


def start(life: Any, *arguments: Any, **settings: Any) -> tuple[ForkServerProcess, Connection]:
    """Start a process; its acknowledgements come through the connection."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=life, args=(sender, *arguments), kwargs=settings, daemon=True)
    process.start()
    sender.close()
    return process, receiver


def kill(process: ForkServerProcess, acknowledgements: Connection) -> list[str]:
    """Send SIGKILL; returns the ids that were acknowledged."""
    process.kill()
    process.join()
    assert process.exitcode == -9, f"it ended by itself: {process.exitcode}"
    content = b""
    while piece := os.read(acknowledgements.fileno(), 1 << 20):
        content += piece
    acknowledgements.close()
    return content.decode().split("\n")[:-1]


def recorded_ids(folder: Path) -> Counter[str]:
    """How often each message_id is in a complete line of the journals, including rotated ones; damaged lines are omitted."""
    ids: Counter[str] = Counter()
    for path in folder.glob("*.jsonl*"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            try:
                ids[orjson.loads(line)["message_id"]] += 1
            except ValueError:
                assert not re.search(rb'"message_id":"[0-9a-f-]+"\}$', line), (
                    "a line is damaged though its end is there"
                )
    return ids
