"""Processes that move messages into segments, to be killed: forked from one that has everything imported already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.support.paths import ROOT


class Movers:
    """Starts one mover at a time: `start(...)`, then `wait()` returns its exit code (-9: killed)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, uri: str, database: str, **settings: Any) -> None:
        """Move messages of the session `chat`. `kill_at` [instant, n, ...]: see KillAtCommand.

        `forever` moves until the kill; with `after_moves` the commands count only after so many own moves.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"uri": uri, "database": database, **settings}) + "\n")
        self._process.stdin.flush()

    def wait(self) -> int:
        """Wait for the end of the mover that was started."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextmanager
def movers() -> Iterator[Movers]:
    """Movers, until the end of the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Movers(process)
        finally:
            process.kill()


# --- in the process that forks them ------------------------------------------------------------------------------------


def _move(settings: dict[str, Any]) -> None:
    from pymongo import monitoring

    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.errors import Conflict
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
    from chatstore_cli.mongo.workflow.shape import WORKFLOW
    from tests.support.kill_at_command import KillAtCommand

    moves_before = settings.get("after_moves", 0)
    killer = KillAtCommand(*settings.get("kill_at", ("never", 0)), is_armed=moves_before == 0)
    monitoring.register(killer)
    store = MongoSegmentStore(WORKFLOW, connect(settings["uri"], settings["database"], timeout_seconds=10), Settings())
    bounds = {"keep_messages": settings.get("keep", 10), "at_most_bytes": settings.get("at_most", 1_500)}
    if not settings.get("forever"):
        store.move_oldest("chat", **bounds)
    while settings.get("forever"):
        try:
            moves_before -= store.move_oldest("chat", **bounds) is not None
        except Conflict:  # another mover was killed, and its lease has not ended
            continue
        if moves_before <= 0:
            killer.arm()


def main() -> None:
    """Fork a mover for each line of stdin; print its exit code."""
    import chatstore_cli.config.settings
    import chatstore_cli.mongo.session_documents.segment_mover  # noqa: F401 - imported once, for all that are forked
    from tests.support.kill_at_command import run_in_fork

    for line in sys.stdin:
        print(run_in_fork(partial(_move, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
