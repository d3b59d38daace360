"""Runs a chatstore command that waits at a chosen step, so that what has to happen there can be made to happen.

    python -m tests.support.held_command REACHED MODE NUMBER -- flush-cache journals

MODE `forever` waits at the step NUMBER for ever: a test kills the process there. Steps are the moments before and after
every write to the database, the quarantine and the ledger, and the moment in the middle of a write to the quarantine.
MODE `until-stopped` waits after the batch NUMBER until the command was asked to stop. The file REACHED is made when the
command waits. Batches are small, and positions are saved after each one.
"""

from __future__ import annotations

import faulthandler
import itertools
import os
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.conftest import Chatstore

BATCH_MESSAGES = 200
SECONDS_UNTIL_STUCK = 500


def start_held(
    chatstore: Chatstore, reached: Path, mode: str, number: int, *arguments: str | Path, **settings: Any
) -> subprocess.Popen[bytes]:
    """Start the command, and return once it waits or has ended."""
    from tests.support.mongod import poll  # not for the command itself, which starts sooner without it

    reached.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.support.held_command", str(reached), mode, str(number), "--"]
    environment = {**chatstore.environment, "PYTHONPATH": str(ROOT)}
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    process = subprocess.Popen([*command, *map(str, arguments)], cwd=chatstore.folder, env=environment, **settings)
    poll(lambda: reached.exists() or process.poll() is not None, what=f"step {number}", within=600)
    return process


class Hold:
    """Counts the steps of this process, and waits at one of them."""

    def __init__(self, reached: Path, number: int) -> None:
        self._reached = reached
        self._number = number
        self._steps = itertools.count(1)

    def step(self) -> None:
        """One more step."""
        if next(self._steps) == self._number:
            self._reached.touch()
            threading.Event().wait()

    def around(self, owner: Any, name: str) -> None:
        """A step before and after each call of a method."""
        method = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.step()
            result = method(*arguments, **named)
            self.step()
            return result

        setattr(owner, name, call)

    def in_halves(self, module: Any) -> None:
        """A step before, between and after the two halves of each os.write of a module."""
        write = os.write

        def write_half(descriptor: int, content: Any) -> int:
            self.step()
            return write(descriptor, content[: len(content) // 2 + 1])

        module.os = types.SimpleNamespace(**{**vars(os), "write": write_half})


def hold_forever(reached: Path, number: int) -> None:
    """Wait for ever at a step."""
    from chatstore_cli.files import quarantine
    from chatstore_cli.files.ledger import Ledger
    from chatstore_cli.mongo.messages.store import MongoMessageStore

    hold = Hold(reached, number)
    hold.in_halves(quarantine)
    for owner, name in (
        (MongoMessageStore, "insert"),
        (quarantine.Quarantine, "sync"),
        (quarantine.Quarantine, "begin_edit"),
        (quarantine.Quarantine, "remove"),
        (Ledger, "advance"),
        (Ledger, "commit"),
        (Ledger, "close"),
    ):
        hold.around(owner, name)


def hold_until_stopped(reached: Path, number: int) -> None:
    """Let no batch after that number finish before the command was asked to stop."""
    from chatstore_cli.core.flush.batches import FinishedBatches
    from chatstore_cli.core.flush.run import Flush

    stopped = threading.Event()
    numbers = itertools.count(1)
    stop, finish = Flush.stop, FinishedBatches.finish

    def stop_and_note(flush: Flush) -> None:
        stop(flush)
        stopped.set()

    def finish_or_wait(finished: FinishedBatches, *arguments: Any) -> None:
        finish(finished, *arguments)
        if next(numbers) >= number:
            reached.touch()
            stopped.wait()

    Flush.stop = stop_and_note
    FinishedBatches.finish = finish_or_wait


def main() -> None:
    """Change this process, and become the command."""
    from chatstore_cli.__main__ import main as run_command
    from chatstore_cli.core.flush import batches, run
    from chatstore_cli.files import ledger

    faulthandler.dump_traceback_later(SECONDS_UNTIL_STUCK, exit=True)  # neither waits nor ends: show where it is
    reached, mode, number, _, *arguments = sys.argv[1:]
    run._BATCH_MESSAGES = BATCH_MESSAGES
    batches._SECONDS_BETWEEN_POSITIONS = -1.0
    ledger._SECONDS_BETWEEN_COMMITS = -1.0
    {"forever": hold_forever, "until-stopped": hold_until_stopped}[mode](Path(reached), int(number))
    sys.argv = ["chatstore", *arguments]
    run_command()


if __name__ == "__main__":
    main()
