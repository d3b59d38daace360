"""Processes that write to threads, also to be killed: forked from one that has everything imported already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from tests.support.forked_jobs import ForkedJobs, forked_jobs, serve

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def writers() -> AbstractContextManager[ForkedJobs]:
    """Processes that write to threads. `work` of a job is a function below; `kill_at`: see KillAtCommand."""
    return forked_jobs(__file__)


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


if __name__ == "__main__":
    import chatstore_cli.core.threads.repository
    import chatstore_cli.mongo.threads.store  # noqa: F401 - imported once, for all that are forked

    serve(_do)
