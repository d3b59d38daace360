"""Processes that write, also to be killed: forked from one that has everything imported already. Those below write threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tests.support.paths import ROOT

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Writers:
    """Runs jobs at the same time, each in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._target: dict[str, str] = {}

    def write_to(self, uri: str, database: str) -> None:
        """The database of the next jobs."""
        self._target = {"uri": uri, "database": database}

    def run(self, *jobs: dict[str, Any]) -> list[int]:
        """The exit codes of the jobs (-9: killed). `work` of a job is a function below; `kill_at`: see KillAtCommand.

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
        """The exit codes of the jobs that were started, once all of them have ended."""
        assert self._process.stdout is not None
        codes: list[int] = json.loads(self._process.stdout.readline())
        return codes


@contextmanager
def writers(script: str = __file__) -> Iterator[Writers]:
    """Writers, until the end of the block. The script is a module like this one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Writers(process)
        finally:
            process.kill()


# --- in the processes -------------------------------------------------------------------------------------------------


def conversations(uri: str, database: str) -> Any:
    """The threads of a database, for each process its own."""
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.threads.repository import StoredConversations
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.threads.store import MongoThreadStore

    return StoredConversations(MongoThreadStore(connect(uri, database, timeout_seconds=10), Settings()))


def add(threads: Any, job: dict[str, Any]) -> None:
    """Add messages with the ids `<prefix>0`, `<prefix>1`, ... to a thread, `size` at once."""
    from chatstore_cli.domain.errors import ThreadNotFound
    from chatstore_cli.domain.threads.models import CreateChatMessageRequest

    def request(number: int) -> CreateChatMessageRequest:
        content = {"type": "text", "text": str(number)}
        return CreateChatMessageRequest(
            chat_thread_id="t", sender_role="user", content=content, message_id=f"{job['prefix']}{number}"
        )

    size = job.get("size", 1)
    try:
        for first in range(0, job["messages"], size):
            threads.create_messages([request(number) for number in range(first, first + size)])
    except ThreadNotFound:
        if not job.get("until_deleted"):
            raise


def copy(threads: Any, job: dict[str, Any]) -> None:
    """Fork the thread."""
    threads.fork_thread("t")


def bring_in(threads: Any, job: dict[str, Any]) -> None:
    """Import a thread `w` of five messages."""
    from chatstore_cli.domain.threads.models import ChatMessage, ChatThread

    times = {"created_at": NOON, "updated_at": NOON}
    thread = ChatThread(id="w", user_id="alice", org_id="acme", name="imported", **times)
    messages = [
        ChatMessage(id=f"w{number}", chat_thread_id="w", sender_role="user", content={}, sequence=number, **times)
        for number in range(1, 6)
    ]
    threads.import_thread(thread, messages)


def delete(threads: Any, job: dict[str, Any]) -> None:
    """Delete the thread."""
    threads.delete_thread("t")


def _do(job: dict[str, Any]) -> None:
    from pymongo import monitoring

    from chatstore_cli.mongo.threads import batches, whole_threads
    from tests.support.kill_at_command import KillAtCommand

    batches._MESSAGES_AT_ONCE = whole_threads._MESSAGES_AT_ONCE = job.get("at_once", 2)
    killer = KillAtCommand(*job.get("kill_at", ("never", 0)), is_armed=False)
    monitoring.register(killer)
    threads = conversations(job["uri"], job["database"])
    threads.delete_message("none")  # after this the collections have been examined, which changes nothing
    killer.arm()
    {"add": add, "fork": copy, "import": bring_in, "delete": delete}[job["work"]](threads, job)
    killer.wait()


def serve(do: Callable[[dict[str, Any]], None]) -> None:
    """Fork a process for each job of a line; print their exit codes once all have ended."""
    from tests.support.kill_at_command import fork

    for line in sys.stdin:
        processes = [fork(partial(do, job)) for job in json.loads(line)]
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in processes]), flush=True)


def main() -> None:
    """Do the jobs of threads."""
    import chatstore_cli.core.threads.repository
    import chatstore_cli.mongo.threads.store  # noqa: F401 - imported once, for all that are forked

    serve(_do)


if __name__ == "__main__":
    main()
