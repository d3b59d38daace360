"""`chatstore sessions watch` as a process of its own, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.conftest import Chatstore
from tests.support.background_process import BackgroundProcess, running
from tests.support.mongod import poll


class Watcher(BackgroundProcess):
    """A running watch."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The complete rows of -o jsonl so far."""
        return [json.loads(line) for line in self.out.splitlines(keepends=True) if line.endswith("\n")]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The session and the change of every row."""
        return [(row["session_id"], row["change"]) for row in self.rows]

    @property
    def contents(self) -> list[Any]:
        """The message content of every row."""
        return [row["content"] for row in self.rows]

    @property
    def failures(self) -> int:
        """The reported outages, without those that a busy machine may cause: no answer for 2 s."""
        return self.err.count("Waiting for the server.") - self.err.count("The server has not answered for")

    def wait_for_rows(self, number: int, within: float = 120.0) -> list[dict[str, Any]]:
        """Wait for that many rows or more, and return all."""
        poll(lambda: len(self.rows) >= number, what=f"{number} rows, beside {self.err!r}", within=within)
        return self.rows

    def wait_for_notice(self, text: str, within: float = 120.0) -> None:
        """Wait for a text on stderr."""
        poll(lambda: text in self.err or self.process.poll() is not None, what=f"{text!r} on stderr", within=within)
        assert text in self.err


@contextmanager
def watching(
    chatstore: Chatstore,
    *arguments: str,
    output: str | None = "jsonl",
    first_notice: str = "TERM or INT stops it.",
) -> Iterator[Watcher]:
    """A watch that has begun. It is killed at the end of the block if the test has not stopped it."""
    shape = ("-o", output) if output is not None else ()
    with running(Watcher, chatstore, "sessions", "watch", *arguments, *shape) as watcher:
        watcher.wait_for_notice(first_notice)
        yield watcher
