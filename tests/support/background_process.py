"""A command as a process of its own, which a test watches and ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.conftest import Chatstore

LONGEST_END_SECONDS = 120.0
"""Long, because a busy machine is not a defect."""

Kind = TypeVar("Kind", bound="BackgroundProcess")


@dataclass
class BackgroundProcess:
    """A running command. It writes to files, so that no pipe fills up."""

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

    def end(self, how: signal.Signals = signal.SIGTERM, within: float = LONGEST_END_SECONDS) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(how)
        return self.process.wait(within)

    def kill(self) -> None:
        """End it like a crash."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(kind: type[Kind], chatstore: Chatstore, *arguments: str | Path, env: Any = None) -> Iterator[Kind]:
    """A process of this kind that runs the command. It is killed at the end of the block if it still runs."""
    name = kind.__name__.lower()
    number = len(list(chatstore.folder.glob(f"{name}-*.err")))
    out_file, err_file = (chatstore.folder / f"{name}-{number}.{end}" for end in ("out", "err"))
    with out_file.open("wb") as out, err_file.open("wb") as err:
        process = kind(chatstore.popen(*arguments, stdout=out, stderr=err, env=env), out_file, err_file)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()
