"""Makes a server the primary of its replica set of one, also after its data folder was moved."""

from __future__ import annotations

import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

_NOT_YET_INITIATED = 94


def make_primary(uri: str, host: str, name: str, *, seconds: float) -> str:
    """Initiate or reconfigure the set, and wait until the server at `host` accepts writes. Returns its version.

    The member's host is the socket's path. After the folder was moved, the set would wait for a member that no longer
    exists, so a forced reconfiguration sets the new path. Raises PyMongoError if the server is not primary in time.
    """
    deadline = time.monotonic() + seconds
    # The client is not used again: a client that saw the server before the initiation keeps the old topology.
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri, serverSelectionTimeoutMS=int(seconds * 1000), appname="chatstore") as client:
        last_error: OperationFailure | None = None
        while not client.admin.command("hello").get("isWritablePrimary"):
            if time.monotonic() > deadline:
                raise last_error or ServerSelectionTimeoutError(f"it is not primary after {seconds:.0f} s")
            try:
                _configure(client, host, name)
            except OperationFailure as error:
                last_error = error  # the state may be changing: only the last error counts
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
