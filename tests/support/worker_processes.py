"""`chatstore worker` as a process of its own, for tests."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import Key, stored
from tests.support.mongod import poll

SECONDS_BETWEEN_SCANS = 0.05


@dataclass
class Worker:
    """A running worker; what it writes goes to files, so that no pipe fills up."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        """Its stdout so far."""
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        """Its stderr so far."""
        return self.err_file.read_text()

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

    def end(self, how: signal.Signals = signal.SIGTERM, within: float = 120.0) -> int:
        """Send a signal, and give the exit status."""
        self.process.send_signal(how)
        return self.process.wait(within)

    def kill(self) -> None:
        """As a crash does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running_worker(
    chatstore: Chatstore, *arguments: str | Path, env: Any = None, interval: float = SECONDS_BETWEEN_SCANS
) -> Iterator[Worker]:
    """A worker with `interval` seconds between scans. It is killed at the end if it still runs."""
    number = len(list(chatstore.folder.glob("worker-*.err")))
    out_file, err_file = (chatstore.folder / f"worker-{number}.{end}" for end in ("out", "err"))
    with out_file.open("wb") as out, err_file.open("wb") as err:
        process = chatstore.popen("worker", *arguments, "--interval", str(interval), stdout=out, stderr=err, env=env)
    worker = Worker(process, out_file, err_file)
    try:
        yield worker
    finally:
        if process.poll() is None:
            worker.kill()


def wait_until_stored(database: Database[dict[str, Any]], wanted: Counter[Key], within: float = 120.0) -> None:
    """Wait until every message is stored, and check that each is stored once."""
    count = sum(wanted.values())
    poll(
        lambda: database["chat_messages"].count_documents({}) >= count,
        what=f"{count} messages in the database",
        within=within,
    )
    assert stored(database) == wanted
