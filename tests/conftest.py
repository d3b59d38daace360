"""Fixtures for every test: servers, databases, the command, an empty home folder."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

from tests.support import fork_server
from tests.support.allowed_skips import SKIPS_ARE_CHECKED, SkipChecker
from tests.support.mongod import FOR_TESTS, Mongod, NoMongod, find_mongod, short_temporary_folder
from tests.support.mongod import start_mongod as start_mongod_in
from tests.support.small_disk import mounted_disk

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection
    from chatstore_cli.postgres.database import PostgresDatabase
    from tests.support.postgres import Postgres

pytest.register_assert_rewrite("chatstore_cli.testing")

MONGOD_IS_REQUIRED = os.environ.get("CHATSTORE_REQUIRE_MONGOD") == "1"
POSTGRES_IS_REQUIRED = os.environ.get("CHATSTORE_REQUIRE_POSTGRES") == "1"
"""Read once, at import: each test runs without the variables of the machine's user."""

VARIABLES_OF_SETTINGS = ("CHATSTORE_", "MONGO_", "MONGODB_", "DB_", "DEFAULT_", "ENABLE_DB_PERSISTENCE")
"""How the names of variables begin that chatstore or its library reads."""

LONG_TESTS = (
    "tests/faults/",
    "tests/test_readme.py",
    "tests/cli/commands/test_demo.py",
    "tests/real/test_embedded.py",
    "tests/real/test_verify_application.py",
)
REAL_FOLDERS = tuple(
    str(folder)
    for folder in {
        platformdirs.user_config_path("chatstore"),
        platformdirs.user_data_path("chatstore"),
        platformdirs.user_state_path("chatstore"),
        platformdirs.user_cache_path("chatstore"),
        platformdirs.user_log_path("chatstore"),
    }
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --soak."""
    parser.addoption("--soak", action="store_true", help="run the tests that are marked soak too")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the settings of property tests: the same examples in every run; with --soak, new examples and more.

    One example has no time limit, because other processes may use the cores.
    """
    if SKIPS_ARE_CHECKED and not hasattr(config, "workerinput"):  # with xdist, all reports reach the controller
        config.pluginmanager.register(SkipChecker(), "skip-checker")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A background job ignores Ctrl-C, and the commands under test would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    from hypothesis import HealthCheck, settings

    unhurried = [HealthCheck.too_slow]
    settings.register_profile("usual", deadline=None, derandomize=True, suppress_health_check=unhurried)
    settings.register_profile("soak", deadline=None, max_examples=2_000, suppress_health_check=unhurried)
    settings.load_profile("soak" if config.getoption("--soak") else "usual")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip soak tests without --soak, mark the tests that use a real server, and put the long tests first.

    A long test that starts last leaves the other workers idle.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_TESTS))
    for item in items:
        if item.get_closest_marker("soak") and not config.getoption("--soak"):
            item.add_marker(pytest.mark.skip(reason="long: only with --soak"))
        if {"mongod", "postgres"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


# --- no test touches the user's home folder --------------------------------------------------------------------------


def _guard_real_folders(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in {"open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "sqlite3.connect"} or not arguments:
        return
    touched = arguments[0]
    if isinstance(touched, bytes):
        touched = os.fsdecode(touched)
    if isinstance(touched, str) and touched.startswith(REAL_FOLDERS):
        raise AssertionError(f"a test touches the user's home folder: {event} {touched}")


sys.addaudithook(_guard_real_folders)


def home_environment(folder: Path) -> dict[str, str]:
    """Variables that place the home, XDG and temporary folders in `folder`. Creates the folders."""
    folders = {
        "HOME": folder,
        "XDG_CONFIG_HOME": folder / "config",
        "XDG_DATA_HOME": folder / "data",
        "XDG_STATE_HOME": folder / "state",
        "XDG_CACHE_HOME": folder / "cache",
        "TMPDIR": folder / "tmp",
    }
    for each in folders.values():
        each.mkdir(parents=True, exist_ok=True)
    return {name: str(each) for name, each in folders.items()}


@pytest.fixture(autouse=True)
def no_real_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the home folder a temporary one, and remove the settings of the machine's user from the environment."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(VARIABLES_OF_SETTINGS) and name != "CHATSTORE_MONGOD":
            monkeypatch.delenv(name)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    for name, path in home_environment(home).items():
        if name != "TMPDIR":  # Python has cached the temporary folder of this process already
            monkeypatch.setenv(name, path)
    return home


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own in memory: `small_disk("size=256k")`; again with other options to change it."""
    with mounted_disk(tmp_path / "disk") as mount:
        yield mount


# --- real servers ----------------------------------------------------------------------------------------------------


def _need_a_mongod() -> None:
    try:
        find_mongod()
    except NoMongod as error:
        if MONGOD_IS_REQUIRED:
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture
def needs_mongod() -> None:
    """Skip the test if no mongod can be run. With CHATSTORE_REQUIRE_MONGOD=1 it fails instead."""
    _need_a_mongod()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for a unix socket."""
    with short_temporary_folder() as folder:
        yield folder


def shared_server(*, replica_set: bool) -> Iterator[Mongod]:
    """A server until the generator is closed. Its data are in memory, because a new collection waits for the disk."""
    _need_a_mongod()
    with short_temporary_folder(in_memory=True) as folder:
        server = start_mongod_in(folder, replica_set=replica_set, extra=FOR_TESTS)
        try:
            yield server
        finally:
            server.remove()


@pytest.fixture(scope="session")
def mongod() -> Iterator[Mongod]:
    """A server (a replica set of one) that all tests of this process share. A test that stops it uses start_mongod."""
    yield from shared_server(replica_set=True)


@pytest.fixture(scope="session")
def standalone() -> Iterator[Mongod]:
    """A server that is not a replica set. A test may restart it, and leaves it running."""
    yield from shared_server(replica_set=False)


@pytest.fixture
def start_mongod() -> Iterator[Callable[..., Mongod]]:
    """Start a server for one test: `start_mongod(folder=None, *, replica_set, tcp, auth, tls, extra)`."""
    _need_a_mongod()
    with contextlib.ExitStack() as stack:

        def start(folder: Path | None = None, *, extra: Sequence[str] = (), **settings: Any) -> Mongod:
            folder = folder or stack.enter_context(short_temporary_folder())
            server = start_mongod_in(folder, extra=[*FOR_TESTS, *extra], **settings)
            stack.callback(server.remove)
            return server

        yield start


def _need_a_postgres() -> None:
    if importlib.util.find_spec("psycopg") is not None:
        from tests.support.postgres import NoPostgres, find_postgres

        try:
            find_postgres()
        except NoPostgres as error:
            reason = str(error)
        else:
            return
    else:
        reason = "no PostgreSQL can be run: psycopg is not installed"
    if POSTGRES_IS_REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that all tests of this process share. A test that stops it uses start_postgres."""
    _need_a_postgres()
    from tests.support.postgres import running_postgres

    with running_postgres() as server:
        yield server


@pytest.fixture
def start_postgres() -> Iterator[Callable[..., Postgres]]:
    """Start a PostgreSQL for one test: `start_postgres(extra=["-c", "name=value"])`."""
    _need_a_postgres()
    from tests.support.postgres import running_postgres

    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running_postgres(**settings))


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[PostgresDatabase]:
    """A new database on the shared server with the tables of threads, dropped after the test."""
    from chatstore_cli.postgres.database import PostgresDatabase

    name = postgres.new_database()
    database = PostgresDatabase(postgres.uri(name), timeout_seconds=10)
    yield database
    database.close()
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def mongo_client(mongod: Mongod) -> MongoClient[dict[str, Any]]:
    """A client of the shared server."""
    return mongod.client()


@pytest.fixture
def mongo_uri(mongod: Mongod) -> str:
    """The shared server's URI."""
    return mongod.uri


@contextlib.contextmanager
def _new_database(client: MongoClient[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield client[name]
    client.drop_database(name)


@pytest.fixture
def database(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    """A new database on the shared server, dropped after the test."""
    with _new_database(mongo_client) as database:
        yield database


@pytest.fixture(scope="module")
def module_database(mongo_client: MongoClient[dict[str, Any]]) -> Iterator[Database[dict[str, Any]]]:
    """A new database on the shared server for the tests of one module. Tests only read it."""
    with _new_database(mongo_client) as database:
        yield database


@pytest.fixture
def connection(mongod: Mongod, database: Database[dict[str, Any]]) -> Iterator[Connection]:
    """A Connection to the test's database, closed after the test."""
    from chatstore_cli.mongo.connection import connect

    connection = connect(mongod.uri, database.name, timeout_seconds=10)
    yield connection
    connection.client.close()


@pytest.fixture
def hangup_ends_processes() -> Iterator[None]:
    """HUP has its effect in this process and in those that it starts, although `nohup` may run the tests."""
    earlier = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, earlier)


@pytest.fixture
def fail_point(mongo_client: MongoClient[dict[str, Any]]) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Make commands fail in the server: `with fail_point(["insert"], times=1, errorCode=91): ...`.

    `times` and `skip` are the server's modes; without them the fail point is always on. The other arguments are the
    `data` of failCommand: errorCode, closeConnection, blockConnection and blockTimeMS, writeConcernError, errorLabels,
    namespace, appName. `client` chooses another server.
    """

    @contextlib.contextmanager
    def failing(
        commands: Sequence[str],
        *,
        times: int | None = None,
        skip: int | None = None,
        client: MongoClient[dict[str, Any]] | None = None,
        **data: Any,
    ) -> Iterator[None]:
        admin = (client if client is not None else mongo_client).admin
        mode: Any = {"times": times} if times is not None else {"skip": skip} if skip is not None else "alwaysOn"
        admin.command("configureFailPoint", "failCommand", mode=mode, data={"failCommands": list(commands), **data})
        try:
            yield
        finally:
            admin.command("configureFailPoint", "failCommand", mode="off")

    return failing


@pytest.fixture(params=["mongomock", pytest.param("real", marks=pytest.mark.real)])
def any_connection(request: pytest.FixtureRequest) -> Connection:
    """A Connection to an empty database: in memory (`.in_memory` is true), then on the real server."""
    if request.param == "real":
        connection: Connection = request.getfixturevalue("connection")
        return connection
    from tests.support.in_memory import connection_in_memory

    return connection_in_memory()


@pytest.fixture
def any_database(any_connection: Connection) -> Database[dict[str, Any]]:
    """An empty database: in memory (mongomock), then on the real server."""
    return any_connection.database


# --- the real command ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """Exit status and outputs of a command."""

    code: int
    out: str
    err: str


@functools.cache
def server() -> fork_server.ForkServer:
    """The server of this process, started when the first command runs."""
    return fork_server.ForkServer()


@dataclass
class Chatstore:
    """The command as a process of its own, in a home of its own; `folder` is its working directory.

    `chatstore(...)` forks a process that has the package imported. `chatstore.popen(...)` starts the real command.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str | bytes | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout: float = 300,
        cwd: Path | None = None,
    ) -> Outcome:
        """Run to the end. `env` adds variables; None removes one. Standard input is empty unless `stdin` is given."""
        given = (stdin.encode() if isinstance(stdin, str) else stdin) or b""
        environment = self._environment(env)
        folder = cwd or self.folder
        if fork_server.suits(environment):
            code, *streams = server().run(
                [*map(str, arguments)], stdin=given, environment=environment, cwd=folder, timeout=timeout
            )
        else:
            done = subprocess.run(
                self.command(*arguments), input=given, capture_output=True, cwd=folder, env=environment, timeout=timeout
            )
            code, streams = done.returncode, [done.stdout, done.stderr]
        out, err = (text.decode("utf-8", "backslashreplace") for text in streams)
        return Outcome(code, out, err)

    run = __call__

    def popen(
        self,
        *arguments: str | Path,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        **settings: Any,
    ) -> subprocess.Popen[bytes]:
        """Start the real command; the test waits for it or kills it. stdout and stderr are pipes unless given."""
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
        return subprocess.Popen(
            self.command(*arguments), cwd=cwd or self.folder, env=self._environment(env), **settings
        )

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line that starts the command."""
        return [sys.executable, "-m", "chatstore_cli", *map(str, arguments)]

    def _environment(self, changes: Mapping[str, str | None] | None) -> dict[str, str]:
        merged: dict[str, str | None] = {**self.environment, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}


def chatstore_in(parent: Path, **variables: str) -> Chatstore:
    """The command in a home of its own below a folder, with these variables beside PATH and the locale."""
    folder = parent / "work"
    folder.mkdir()
    passed_on = {name: os.environ[name] for name in ("PATH", "CHATSTORE_MONGOD") if name in os.environ}
    return Chatstore(folder, {**passed_on, **home_environment(parent / "home"), **fork_server.LOCALE, **variables})


@pytest.fixture
def chatstore(tmp_path: Path, mongo_uri: str, database: Database[dict[str, Any]]) -> Chatstore:
    """The command on the shared server and the test's own database: `chatstore("sessions", "list").out`."""
    return chatstore_in(tmp_path, CHATSTORE_URI=mongo_uri, CHATSTORE_DATABASE=database.name)


@pytest.fixture(scope="module")
def module_chatstore(
    tmp_path_factory: pytest.TempPathFactory, mongod: Mongod, module_database: Database[dict[str, Any]]
) -> Chatstore:
    """The command on the shared server and the module's database. It only reads; nothing in its environment changes."""
    folder = tmp_path_factory.mktemp("module")
    return chatstore_in(folder, CHATSTORE_URI=mongod.uri, CHATSTORE_DATABASE=module_database.name)


@pytest.fixture
def postgres_chatstore(tmp_path: Path, postgres: Postgres) -> Iterator[Chatstore]:
    """The command with threads in a new PostgreSQL database. No MongoDB answers, so a command that asks it fails."""
    name = postgres.new_database()
    yield chatstore_in(
        tmp_path,
        CHATSTORE_URI="mongodb://127.0.0.1:1",
        CHATSTORE_MONGO__TIMEOUT_SECONDS="5",
        CHATSTORE_THREADS__BACKEND="postgresql",
        CHATSTORE_THREADS__URI=postgres.uri(name),
    )
    postgres.drop_database(name)


@pytest.fixture
def chatstore_without_database(tmp_path: Path) -> Chatstore:
    """The command without any setting."""
    return chatstore_in(tmp_path)
