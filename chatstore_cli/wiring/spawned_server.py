"""A server of chatstore's own for `chatstore verify --spawn`, with a database and folders that exist only for the run."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import ChatstoreError, WrongUse
from chatstore_cli.wiring.system import interrupts_deferred

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.wiring.stores import Stores

_SECONDS_TO_START = 60.0
_SECONDS_TO_STOP = 15.0
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class SpawnedServer:
    """A running server. `settings` are those that it works with, for reading what it stored."""

    url: str
    settings: Settings
    log: Path


@contextmanager
def spawned_server(
    stores: Stores, source: tuple[str | None, str | None], say: Callable[[str], None]
) -> Iterator[SpawnedServer]:
    """Start a server on a free port of loopback. At the end it is stopped, and its database and folder are removed.

    `source` has the values of --config and --profile. Raises Unreachable or NotAllowed if no database can be created on MongoDB, and
    ChatstoreError, with the end of its log, if the server does not start. An interrupt during the start or the removal
    takes effect after it. Otherwise a server, a database or a folder would remain.
    """
    if stores.settings.mongo.uri.startswith("mongomock"):
        raise WrongUse(what="--spawn needs a MongoDB server.", hint="Set mongo.uri: embedded, or the URI of a server.")
    database = f"chatstore_verify_{secrets.token_hex(4)}"
    _require_database(stores, database)
    with ExitStack() as stack:
        with interrupts_deferred():
            folder = Path(stack.enter_context(_temporary_folder()))
            settings = _scratch_settings(stores.settings, database, folder)
            log = folder / "server.log"
            process = _start(_environment(settings, os.environ), source, log)
            stack.callback(_remove, process, stores, database, say)
        yield SpawnedServer(_url_of(process, log), settings, log)


def _require_database(stores: Stores, database: str) -> None:
    """Raise Unreachable or NotAllowed, as any command does, if the database cannot be created and removed."""
    from chatstore_cli.mongo.scratch_database import prove_database

    seconds = stores.settings.mongo.timeout_seconds
    stores.connection.reach(seconds)
    with interrupts_deferred():
        prove_database(stores.connection, database, seconds)


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder that is removed at the end, also after an interrupt."""
    folder = tempfile.mkdtemp(prefix="chatstore-verify-")
    try:
        yield folder
    finally:
        with interrupts_deferred():
            shutil.rmtree(folder, ignore_errors=True)


def _remove(process: subprocess.Popen[str], stores: Stores, database: str, say: Callable[[str], None]) -> None:
    with interrupts_deferred():
        _stop(process)
        _drop(stores, database, say)


def _scratch_settings(settings: Settings, database: str, folder: Path) -> Settings:
    cache = replace(settings.mongo.cache, disk_path=str(folder / "journals"))
    worker = replace(settings.mongo.worker, interval_seconds=0.1)
    server = replace(settings.chatstore.server, responder="echo", dispatch=None)
    return replace(
        settings,
        mongo=replace(settings.mongo, database=database, cache=cache, worker=worker, enabled=True),
        state=replace(settings.state, folder=str(folder / "state")),
        chatstore=replace(settings.chatstore, server=server),
    )


def _environment(settings: Settings, outer: Mapping[str, str]) -> dict[str, str]:
    """The variables that give another process these settings. A password in the URI is in no argument and no file."""
    of_run = {
        "CHATSTORE_URI": settings.mongo.uri,
        "CHATSTORE_DATABASE": settings.mongo.database,
        "CHATSTORE_MONGO__ENABLED": "true",
        "CHATSTORE_MONGO__CACHE__DISK_PATH": settings.mongo.cache.disk_path,
        "CHATSTORE_MONGO__WORKER__INTERVAL_SECONDS": str(settings.mongo.worker.interval_seconds),
        "CHATSTORE_STATE__FOLDER": str(settings.state.folder),
        "CHATSTORE_SERVER__RESPONDER": "echo",
        "CHATSTORE_SERVER__DISPATCH": "",
        "CHATSTORE_THREADS__BACKEND": "mongodb",
    }
    return {**outer, **of_run}


def _start(environment: Mapping[str, str], source: tuple[str | None, str | None], log: Path) -> subprocess.Popen[str]:
    options = zip(("--config", "--profile"), source, strict=True)
    named = [word for option, value in options if value for word in (option, value)]
    command = [
        sys.executable,
        "-m",
        "chatstore_cli",
        *named,
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "-o",
        "jsonl",
    ]
    with log.open("wb") as stderr:
        # A session of its own: Ctrl-C is for this process, which then stops the server.
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


def _url_of(process: subprocess.Popen[str], log: Path) -> str:
    """The URL that the server prints when it accepts requests."""
    assert process.stdout is not None
    # Not in a thread: two interrupts while a thread starts are an error of Python's own lock.
    has_output, _, _ = select.select([process.stdout], [], [], _SECONDS_TO_START)
    with suppress(ValueError, KeyError):
        return str(json.loads(process.stdout.readline() if has_output else "")["url"])
    reason = " ".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
    if not reason:
        status = process.poll()
        reason = "it printed nothing" if status is None else f"its process ended with status {status}"
    raise ChatstoreError(what=f"The server did not start: {reason}", hint="Run chatstore serve to see its log.")


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _drop(stores: Stores, database: str, say: Callable[[str], None]) -> None:
    from chatstore_cli.mongo.scratch_database import drop_database

    try:
        drop_database(stores.connection, database)
    except ChatstoreError as error:  # the results of the checks are worth more than this error
        say(f"The database {database} was not removed, if it exists. {error.as_text()}")
