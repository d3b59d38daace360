"""Processes that do jobs at the same time, also to be killed: forked from one that has everything imported already.

A script calls `serve`, and a test runs it with `forked_jobs`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pymongo import MongoClient

from tests.support.mongod import poll
from tests.support.paths import ROOT


class ForkedJobs:
    """Runs jobs at the same time, each in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._server = ""
        self._target: dict[str, str] = {}
        self._application = f"jobs-{os.getpid()}-{process.pid}"

    def write_to(self, uri: str, database: str) -> None:
        """The database of the next jobs."""
        self._server = uri
        self._target = {"uri": f"{uri}&appName={self._application}", "database": database}

    def run(self, *jobs: dict[str, Any]) -> list[int]:
        """The exit codes of the jobs (-9: killed). The script decides what a job means.

        Only the commands of the work itself are counted.
        """
        self.start(*jobs)
        return self.wait()

    def start(self, *jobs: dict[str, Any]) -> None:
        """Start the jobs; wait() returns their exit codes."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([{**self._target, **job} for job in jobs]) + "\n")
        self._process.stdin.flush()

    def wait(self) -> list[int]:
        """The exit codes of the jobs that were started, once all of them have ended.

        What a killed job has sent is carried out too by then, or never: the server can begin it after the process has
        ended.
        """
        assert self._process.stdout is not None
        codes: list[int] = json.loads(self._process.stdout.readline())
        if -signal.SIGKILL in codes:
            self._wait_until_disconnected()
        return codes

    def _wait_until_disconnected(self) -> None:
        connections = [
            # Without idle sessions: the transaction of a killed job outlives its connection.
            {"$currentOp": {"allUsers": True, "idleConnections": True, "idleSessions": False}},
            {"$match": {"appName": self._application}},
        ]
        client: MongoClient[dict[str, Any]]
        with MongoClient(self._server) as client:
            poll(lambda: not list(client.admin.aggregate(connections)), what="the end of the killed jobs' connections")


@contextmanager
def forked_jobs(script: str) -> Iterator[ForkedJobs]:
    """Processes that do the jobs of a script, until the end of the block."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield ForkedJobs(process)
        finally:
            process.kill()


def serve(do: Callable[[dict[str, Any]], None]) -> None:
    """Fork a process for each job of a line; print their exit codes once all have ended. The script has its imports."""
    from tests.support.kill_at_command import fork

    for line in sys.stdin:
        processes = [fork(partial(do, job)) for job in json.loads(line)]
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in processes]), flush=True)
