"""Processes that create general chats and append to them, also to be killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from tests.support.forked_jobs import ForkedJobs, forked_jobs, serve

OWNER = {"app_id": "acme", "user_id": "ann"}


def general_writers() -> AbstractContextManager[ForkedJobs]:
    """Processes that write to general chats. `work` of a job is a function below; `kill_at`: see KillAtCommand."""
    return forked_jobs(__file__)


@contextmanager
def open_chats(uri: str, database: str) -> Iterator[Any]:
    """The general chats of a database, as an application opens them."""
    from chatstore_cli.config.settings import MongoSettings, Settings
    from chatstore_cli.wiring.general import general_chats
    from chatstore_cli.wiring.stores import Stores

    stores = Stores(Settings(mongo=MongoSettings(uri=uri, database=database)), say=print)
    try:
        yield general_chats(stores)
    finally:
        stores.close()


# --- in the processes -------------------------------------------------------------------------------------------------


def append(chats: Any, job: dict[str, Any]) -> None:
    """Append messages with the event ids `<prefix>0`, `<prefix>1`, ... to a chat."""
    for number in range(job["messages"]):
        event_id = f"{job['prefix']}{number}"
        chats.append_general_message(
            general_chat_id=job["chat_id"], app_id="acme", role="user", content=event_id, event_id=event_id
        )


def append_from_threads(chats: Any, job: dict[str, Any]) -> None:
    """The same from several threads at once, each with a prefix of its own."""
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            append(chats, {**job, "prefix": f"{job['prefix']}{number}-"})
        except BaseException as error:  # noqa: BLE001 - the process ends with it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(job["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def create(chats: Any, job: dict[str, Any]) -> None:
    """Create chats."""
    for _ in range(job["chats"]):
        chats.create_general_chat_session(**OWNER)


def create_and_delete(chats: Any, job: dict[str, Any]) -> None:
    """Create chats of several users, note each number in a collection that has it once, and delete every second chat."""
    connection, _, layout = _database(job)
    for place in range(job["chats"]):
        for user in job["users"]:
            chat = chats.create_general_chat_session(app_id="acme", user_id=user)
            connection.database["given"].insert_one({"_id": {"user": user, "number": chat["sequence"]}})
            if place % 2:
                layout.remove(chat["chat_id"], datetime.now(UTC))


def delete(chats: Any, job: dict[str, Any]) -> None:
    """Delete a chat."""
    _, _, layout = _database(job)
    layout.remove(job["chat_id"], datetime.now(UTC))


def merge(chats: Any, job: dict[str, Any]) -> None:
    """Merge doubled counters, again if an application has raised another one meanwhile."""
    from chatstore_cli.domain.errors import Conflict
    from chatstore_cli.mongo.general.counter_merges import MongoCounterMerges

    connection, settings, _ = _database(job)
    merges = MongoCounterMerges(connection, settings)
    while doubled := merges.doubled("app_id"):
        for each in doubled:
            with suppress(Conflict):
                merges.merge(each)


def _database(job: dict[str, Any]) -> tuple[Any, Any, Any]:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.general.layout import GeneralLayout

    connection, settings = connect(job["uri"], job["database"], timeout_seconds=10), Settings()
    return connection, settings, GeneralLayout(connection, settings)


WORK = {
    "append": append,
    "append_from_threads": append_from_threads,
    "create": create,
    "create_and_delete": create_and_delete,
    "delete": delete,
    "merge": merge,
}


def _do(job: dict[str, Any]) -> None:
    from pymongo import monitoring

    from chatstore_cli.core.segments import keeper
    from tests.support.kill_at_command import KillAtCommand

    for name, value in job.get("keeper", {}).items():
        setattr(keeper, name, value)
    killer = KillAtCommand(*job.get("kill_at", ("never", 0)))
    monitoring.register(killer)
    with open_chats(job["uri"], job["database"]) as chats:
        WORK[job["work"]](chats, job)
        killer.wait()


if __name__ == "__main__":
    import chatstore_cli.mongo.general.counter_merges
    import chatstore_cli.mongo.general.layout
    import chatstore_cli.mongo.general.numbers
    import chatstore_cli.mongo.general.writer
    import chatstore_cli.mongo.session_documents.segment_mover
    import chatstore_cli.wiring.general
    import chatstore_cli.wiring.stores  # noqa: F401 - imported once, for all that are forked

    serve(_do)
