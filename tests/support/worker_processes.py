"""`chatstore worker` as a process of its own, for tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.background_process import BackgroundProcess, running
from tests.support.journals import Key, stored
from tests.support.mongod import poll

SECONDS_BETWEEN_SCANS = 0.05


class Worker(BackgroundProcess):
    """A running worker."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of -o jsonl so far."""
        return [json.loads(line) for line in self.out.splitlines()]

    def wait_until_it_follows(self) -> None:
        """It holds the lock, and its handlers are in place."""
        poll(lambda: "Following " in self.err or self.process.poll() is not None, what="the worker")
        assert self.process.poll() is None, self.err

    def wait_until_it_said(self, text: str, within: float = 120.0) -> None:
        """On stderr."""
        poll(lambda: text in self.err, what=f"{text!r} on stderr", within=within)


@contextmanager
def running_worker(
    chatstore: Chatstore, *arguments: str | Path, env: Any = None, interval: float = SECONDS_BETWEEN_SCANS
) -> Iterator[Worker]:
    """A worker with `interval` seconds between scans. It is killed at the end if it still runs."""
    with running(Worker, chatstore, "worker", *arguments, "--interval", str(interval), env=env) as worker:
        yield worker


def wait_until_stored(database: Database[dict[str, Any]], wanted: Counter[Key], within: float = 120.0) -> None:
    """Wait until every message is stored, and check that each is stored once."""
    count = sum(wanted.values())
    poll(
        lambda: database["chat_messages"].count_documents({}) >= count,
        what=f"{count} messages in the database",
        within=within,
    )
    assert stored(database) == wanted
