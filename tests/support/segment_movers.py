"""Processes that move messages into segments, to be killed: forked from one that has everything imported already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.paths import ROOT


class Movers:
    """Starts a mover at a time: `start(...)` gives its pid, `wait()` how it ended (-9: killed)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, uri: str, database: str, **settings: Any) -> int:
        """Move messages of the session `chat`. `kill_at` [when, n]: die before or after the n-th command; `forever`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"uri": uri, "database": database, **settings}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self) -> int:
        """Wait for the end of the one that was started."""
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
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.workflow.segment_mover import MongoSegmentStore

    when, number = settings.get("kill_at") or ("never", 0)

    class Killer(monitoring.CommandListener):
        """Ends this process at a command, as `kill -9` does."""

        seen = 0

        def started(self, event: monitoring.CommandStartedEvent) -> None:
            """The command is about to be sent."""
            Killer.seen += 1
            if (when, number) == ("before", Killer.seen):
                os.kill(os.getpid(), 9)

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            """The server has answered, and nobody has heard of it yet."""
            if (when, number) == ("after", Killer.seen):
                os.kill(os.getpid(), 9)

        def failed(self, event: monitoring.CommandFailedEvent) -> None:
            """The same for a refusal."""

    monitoring.register(Killer())
    store = MongoSegmentStore(connect(settings["uri"], settings["database"], timeout_seconds=10), Settings())
    bounds = {"keep_messages": settings.get("keep", 10), "at_most_bytes": settings.get("at_most", 1_500)}
    store.move_oldest("chat", **bounds)
    while settings.get("forever"):
        store.move_oldest("chat", **bounds)


def main() -> None:
    """Fork a mover for each line of stdin; say its pid, and later how it ended."""
    import chatstore_cli.config.settings
    import chatstore_cli.mongo.workflow.segment_mover  # noqa: F401 - imported once, for all that are forked

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _move(json.loads(line))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
