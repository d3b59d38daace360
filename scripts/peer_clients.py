"""Checks `chatstore serve` with clients that are not part of this project: curl, jq, and the npm package wscat.

    npm install -g wscat
    .venv/bin/python scripts/peer_clients.py [--uri URI]

WSCAT is the command line of wscat. Without it, `npx wscat` downloads one. The script starts a server of its own on a free
port, with a database and folders that it removes at the end. It runs the curl lines that the documentation of the chat
application has, in which only the port differs, and it talks to both sockets. It prints each command and its answer.
Exits with status 1 if an answer is not the expected one.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.web.time_limit import run_within
from chatstore_cli.wiring.spawned_server import SpawnedServer, spawned_server
from chatstore_cli.wiring.stores import Stores

Frame = dict[str, Any]

POST_MESSAGE = """curl -X POST http://localhost:8000/api/chat \\
  -H "Content-Type: application/json" \\
  -d '{"message":"ping from rest","session_id":"verifier"}'"""
STORAGE_STATUS = "curl http://localhost:8000/api/storage/status | jq"
READ_HISTORY = 'curl "http://localhost:8000/api/chat/history?session_id=default&limit=50"'
START_SESSION = (
    "curl -X POST http://localhost:8000/api/chats/acme/research/start"
    """ -H "Content-Type: application/json" -d '{"user_id":"ana"}'"""
)
SECONDS = 30.0
"""Time limit of one answer."""


class Checks:
    """Prints one line for each comparison, and counts those that failed."""

    def __init__(self) -> None:
        self.failed = 0

    def same(self, what: str, expected: Any, found: Any) -> None:
        """Compare two values."""
        is_same = expected == found
        self.failed += not is_same
        print(f"{'same' if is_same else 'DIFFERENT'}  {what}: {found!r}{'' if is_same else f', not {expected!r}'}")


def run(server: SpawnedServer, line: str) -> Any:
    """The JSON that a shell prints for this command line, in which only the port is replaced."""
    line = line.replace("localhost:8000", f"localhost:{server.url.rpartition(':')[2]}")
    print(f"\n$ {line}")
    done = subprocess.run(line, shell=True, check=False, capture_output=True, text=True, timeout=SECONDS)
    print(done.stdout.strip())
    try:
        return json.loads(done.stdout)
    except ValueError:
        sys.exit(f"The command exits with status {done.returncode} and prints no JSON: {done.stderr.strip()}")


class Wscat:
    """A running wscat. A line that is typed is sent as a frame, and each frame that arrives is printed on a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def type(self, line: str) -> None:
        """Send a frame."""
        assert self._process.stdin is not None
        print(f"> {line}")
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def next(self) -> Frame:
        """The next frame."""
        assert self._process.stdout is not None
        try:
            line = run_within(SECONDS, "wscat", self._process.stdout.readline)
        except Overdue as error:
            sys.exit(error.as_text())
        line = line[line.find("{") :].strip()  # a prompt may come first
        print(f"< {line}")
        if not line:
            sys.exit("wscat has ended.")
        frame: Frame = json.loads(line)
        return frame

    def until(self, kind: str) -> list[Frame]:
        """The frames up to the first of this type."""
        frames = [self.next()]
        while frames[-1]["type"] != kind:
            frames.append(self.next())
        return frames


@contextmanager
def wscat(server: SpawnedServer, path: str) -> Iterator[Wscat]:
    """wscat on this socket. At the end its input is closed, as with Ctrl-D, and it must exit with status 0."""
    url = f"{server.url.replace('http://', 'ws://')}{path}"
    command = [*shlex.split(os.environ.get("WSCAT", "npx --yes wscat")), "--connect", url]
    print(f"\n$ {shlex.join(command)}")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Wscat(process)
            assert process.stdin is not None
            process.stdin.close()
            if process.wait(SECONDS):
                sys.exit(f"wscat exits with status {process.returncode}.")
        finally:
            process.kill()


def check_the_chat_application(server: SpawnedServer, checks: Checks) -> None:
    """The documented checklist: a message over HTTP, one over the socket, the history, and the status of the storage."""
    answer = run(server, POST_MESSAGE)
    checks.same("the fields of the answer", ["response", "status", "timestamp"], list(answer))
    checks.same("its status", "completed", answer["status"])
    checks.same("the text is in the answer of the echo", True, answer["response"].endswith("ping from rest"))

    with wscat(server, "/ws/chat?session_id=default") as socket:
        welcome = socket.next()
        checks.same("the welcome", ("system", "default", "new"), _of(welcome, "type session_id session_status"))
        socket.type("hello")
        checks.same("a frame that is not JSON", "error", socket.next()["type"])
        socket.type('{"message": "ping"}')
        frames = [_of(socket.next(), "type status") for _ in range(3)]
        expected = [("status", "processing"), ("response", "completed"), ("status", "complete")]
        checks.same("the frames of a message", expected, frames)
        for command, kind in (("help", "system"), ("clear", "clear")):
            socket.type(json.dumps({"command": command}))
            checks.same(f"the command {command}", kind, socket.next()["type"])
        socket.type('{"command": "stop"}')
        checks.same("the command stop", ("status", "idle"), _of(socket.next(), "type status"))

    history = run(server, READ_HISTORY)
    keys = ["session_id", "messages", "counts", "last_persisted_at"]
    checks.same("the fields of the history", keys, list(history))
    keys = ["session_id", "role", "text", "created_at", "metadata", "source"]
    checks.same("the fields of its messages", keys, list(history["messages"][0]))
    turns = [_of(each, "role text") for each in history["messages"][:1]]
    checks.same("the message of the socket", [("user", "ping")], turns)

    status = run(server, STORAGE_STATUS)
    checks.same("the storage", "ok", status["mongo"]["status"])
    keys = ["max_messages_per_session", "disk_path", "flush_enabled"]
    checks.same("the fields of its cache", keys, list(status["cache"]))


def check_the_platform(server: SpawnedServer, checks: Checks) -> None:
    """A session is started, used through its socket, and replayed to a second client."""
    started = run(server, START_SESSION)
    checks.same(
        "a session is started", (True, "research", "acme", "ana"), _of(started, "success workflow_name app_id user_id")
    )
    path = str(started["websocket_url"])
    with wscat(server, path) as socket:
        first = socket.until("chat.resume_boundary")
        checks.same(
            "the first frame", ("chat_meta", started["chat_id"]), (first[0]["type"], first[0]["data"]["chat_id"])
        )
        socket.type('{"type": "user.input.submit", "text": "ping", "request_id": "r-1"}')
        frames: list[Frame] = []
        while len(_texts(frames)) < 2:  # the message and its answer
            frames.append(socket.next())
        checks.same("the message comes back as a turn", "ping", _texts(frames)[0])
        checks.same("it is acknowledged", True, "chat.input_ack" in [frame["type"] for frame in frames])
        turns = _texts(frames)
        socket.type('{"type": "nothing"}')
        error = socket.until("chat.error")[-1]
        checks.same("a frame of another type", "SCHEMA_VALIDATION_FAILED", error["data"]["error_code"])
    with wscat(server, path) as socket:
        frames = socket.until("chat.resume_boundary")
        checks.same("a second client gets the same turns", turns, _texts(frames))


def check_what_is_stored(stores: Stores, server: SpawnedServer, checks: Checks) -> None:
    """The server has stored both roles of a session, and its log has the lines of the checklist."""
    rows = stores.connection.client[server.settings.mongo.database]["chat_messages"]
    roles: list[str] = []
    ends = time.monotonic() + SECONDS  # messages are stored in the background
    while len(roles) < 2 and time.monotonic() < ends:
        roles = [row["role"] for row in rows.find({"session_id": "verifier"}).sort("sequence")]
    checks.same("the stored rows of the session verifier", ["user", "assistant"], roles)
    log = server.log.read_text()
    for words in ("[CHAT CACHE]", "[CHAT WORKER] Flushed"):
        checks.same(f"the log has {words}", True, words in log)


def _of(mapping: Frame, keys: str) -> tuple[Any, ...]:
    return tuple(mapping.get(key) for key in keys.split())


def _texts(frames: list[Frame]) -> list[str]:
    return [frame["data"]["content"] for frame in frames if frame["type"] == "chat.text"]


def main() -> int:
    """Run all clients. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Check the server with curl, jq and wscat.")
    parser.add_argument("--uri", default="embedded", help="a MongoDB URI [default: the embedded MongoDB]")
    given = parser.parse_args()
    checks = Checks()
    stores = Stores(Settings(mongo=MongoSettings(uri=given.uri)), say=print)
    try:
        with spawned_server(stores, (None, None), print) as server:
            check_the_chat_application(server, checks)
            check_the_platform(server, checks)
            print()
            check_what_is_stored(stores, server, checks)
    finally:
        stores.close()
    print(f"\n{checks.failed} comparisons failed." if checks.failed else "\nEvery answer is as expected.")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
