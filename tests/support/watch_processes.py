"""`chatstore sessions watch` as a process of its own, for tests."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Chatstore
from tests.support.mongod import poll


@dataclass
class Watcher:
    """A running watch that writes to files, so that no pipe fills up."""

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

    def stop(self, how: signal.Signals = signal.SIGTERM, within: float = 120.0) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(how)
        return self.process.wait(within)


@contextmanager
def watching(
    chatstore: Chatstore,
    *arguments: str,
    output: str | None = "jsonl",
    first_notice: str = "TERM or INT stops it.",
) -> Iterator[Watcher]:
    """A watch that has begun. It is killed at the end of the block if the test has not stopped it."""
    number = len(list(chatstore.folder.glob("watch-*.err")))
    out_file, err_file = (chatstore.folder / f"watch-{number}.{end}" for end in ("out", "err"))
    shape = ("-o", output) if output is not None else ()
    with out_file.open("wb") as out, err_file.open("wb") as err:
        process = chatstore.popen("sessions", "watch", *arguments, *shape, stdout=out, stderr=err)
    watcher = Watcher(process, out_file, err_file)
    try:
        watcher.wait_for_notice(first_notice)
        yield watcher
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
