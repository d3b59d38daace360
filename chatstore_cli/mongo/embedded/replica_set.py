"""Making one server the primary of its replica set of one, also when its data folder has been moved."""

from __future__ import annotations

import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

_NOT_YET_INITIATED = 94


def make_primary(uri: str, host: str, name: str, *, seconds: float) -> str:
    """Wait until the server at `host` takes writes, initiating or re-addressing its set where needed; its version.

    The member's host is the socket's path, so a set whose folder was moved waits for a member that will never come: it
    is given its new address by force (FACTS A). Raises PyMongoError when it is no primary in time.
    """
    deadline = time.monotonic() + seconds
    # This client is thrown away: one that saw the server before the initiation keeps the old topology (FACTS A).
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri, serverSelectionTimeoutMS=int(seconds * 1000), appname="chatstore") as client:
        refusal: OperationFailure | None = None
        while not client.admin.command("hello").get("isWritablePrimary"):
            if time.monotonic() > deadline:
                raise refusal or ServerSelectionTimeoutError(f"it is no primary after {seconds:.0f} s")
            try:
                _configure(client, host, name)
            except OperationFailure as error:
                refusal = error  # the state may just be changing: only the last refusal counts
            time.sleep(0.01)
        return str(client.server_info()["version"])


def _configure(client: MongoClient[dict[str, Any]], host: str, name: str) -> None:
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIATED:
            raise
        client.admin.command("replSetInitiate", {"_id": name, "members": [{"_id": 0, "host": host}]})
        return
    members = config["members"]
    if [member["host"] for member in members] != [host]:
        config["members"] = [{**members[0], "host": host, "priority": 1, "votes": 1, "hidden": False}]
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
