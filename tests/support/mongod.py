"""MongoDB servers for tests: each is one process, on its own unix socket or TCP port."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

ADMIN = ("admin", "admin secret/1")
READER = ("reader", "reader secret/1")
LONGEST_SOCKET_PATH = 107
STARTS_WITHIN_SECONDS = 120.0

FOR_TESTS = (
    "--journalCommitInterval", "5", "--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=10MB)",
    "--setParameter", "ttlMonitorEnabled=false",
)  # fmt: skip
"""Options of servers with few data and many short tests. Benchmarks do not use them. Expired documents stay: once a minute
the server would delete those of whichever test is running.

To drop a database, the server waits for the next write of its journal to disk: up to 100 ms by default, here 5 ms. The
files of an empty server take 13 MB and not 300.
"""
_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED = 8 * 1024**3


class NoMongod(RuntimeError):
    """This machine cannot run a mongod."""


def find_mongod() -> Path:
    """The server's binary: CHATSTORE_MONGOD, the [embedded] extra's, or the one on PATH. Raises NoMongod."""
    candidates = [os.environ.get("CHATSTORE_MONGOD"), _mongod_of_the_extra(), shutil.which("mongod")]
    reasons = []
    for candidate in filter(None, candidates):
        error = _error_of(candidate)
        if error is None:
            return Path(candidate)
        reasons.append(f"{candidate}: {error}")
    raise NoMongod("no mongod can be run: " + ("; ".join(reasons) or "none found, install '.[embedded]'"))


@functools.cache
def _error_of(binary: str) -> Exception | None:
    """Why a binary cannot be run; None if it can. It is tried once in each process that runs tests."""
    try:
        subprocess.run([binary, "--version"], check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        return error
    return None


def _mongod_of_the_extra() -> str | None:
    spec = importlib.util.find_spec("fiftyone")
    for location in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(location, "db", "bin", "mongod")
        if binary.is_file():
            return str(binary)
    return None


def poll(question: Any, *, within: float = 120.0, every: float = 0.01, what: str = "the condition") -> Any:
    """Call `question` until its answer is true, and return the answer. Fails the test after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not reached within {within} s")
        time.sleep(every)


@dataclass
class Mongod:
    """One server. Its data survive kill(), terminate() and start(); remove() deletes them."""

    folder: Path
    replica_set: bool = True
    tcp: bool = False
    auth: bool = False
    tls: bool = False
    extra: Sequence[str] = ()
    reader_database: str = "chats"
    alone: bool = True
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _clients: list[MongoClient[dict[str, Any]]] = field(default_factory=list)
    _has_users: bool = False

    @property
    def socket_path(self) -> Path:
        """The unix socket. A server on TCP has one too."""
        return self.folder / "m.sock"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "mongod.log"

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the server's certificate, with TLS."""
        return self.folder / "ca.pem"

    @property
    def host(self) -> str:
        """The host name under which the server knows itself."""
        return f"127.0.0.1:{self.port}" if self.tcp else str(self.socket_path)

    @property
    def uri(self) -> str:
        """A URI with all rights (with `auth`, the administrator's)."""
        return self.uri_as(*ADMIN) if self.auth else self.uri_as(None, None)

    @property
    def uri_without_user(self) -> str:
        """A URI without a user."""
        return self.uri_as(None, None)

    @property
    def reader_uri(self) -> str:
        """The URI of a user who can only read `reader_database`."""
        return self.uri_as(*READER)

    def uri_as(self, user: str | None, password: str | None, **options: str) -> str:
        """A URI with this user and these further options."""
        credentials = f"{quote_plus(user)}:{quote_plus(password or '')}@" if user else ""
        settings = {"directConnection": "true", **({"authSource": "admin"} if user else {}), **options}
        if self.tls:
            settings = {"tls": "true", "tlsCAFile": str(self.ca_file), **settings}
        host = self.host if self.tcp else quote(self.host, safe="")
        return f"mongodb://{credentials}{host}/?{urlencode(settings)}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self.process is not None
        return self.process.pid

    def client(self, uri: str | None = None, **settings: Any) -> MongoClient[dict[str, Any]]:
        """A client that is closed with the server. Its times are in UTC, with their zone."""
        settings = {"tz_aware": True, "serverSelectionTimeoutMS": 20_000, **settings}
        client: MongoClient[dict[str, Any]] = MongoClient(uri or self.uri, **settings)
        self._clients.append(client)
        return client

    def start(self) -> Mongod:
        """Start on the existing data. Returns when the server accepts writes."""
        assert self.process is None
        self.data.mkdir(parents=True, exist_ok=True)
        for attempt in range(3):
            self._spawn()
            if self._wait_until_it_answers():
                break
            if not self.tcp or attempt == 2:
                raise RuntimeError(f"mongod did not start:\n{self.log.read_text()[-3000:]}")
        if self.alone:
            self._make_primary()
        if self.auth and not self._has_users:
            self._create_users()
        return self

    def kill(self) -> None:
        """End it with SIGKILL, like a crash."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM: a clean shutdown."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: it takes connections and answers none."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """Kill it and delete everything."""
        for client in self._clients:
            with contextlib.suppress(PyMongoError):
                client.close()
        self._clients.clear()
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_user(self, name: str, password: str, roles: list[dict[str, str]]) -> str:
        """Add a user to a server with `auth`; gives a URI as that user."""
        self.client()["admin"].command("createUser", name, pwd=password, roles=roles)
        return self.uri_as(name, password)

    def _spawn(self) -> None:
        if self.tcp:
            self.port = _free_port()
        bound = f"127.0.0.1,{self.socket_path}" if self.tcp else str(self.socket_path)
        command = [str(find_mongod()), "--dbpath", str(self.data), "--bind_ip", bound]
        command += ["--port", str(self.port)] if self.tcp else []
        command += ["--unixSocketPrefix", str(self.folder), "--wiredTigerCacheSizeGB", "0.25"]
        command += ["--setParameter", "enableTestCommands=1"]
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        if self.replica_set:
            command += ["--replSet", "rs0", "--oplogSize", "64"]
        if self.auth:
            command += ["--keyFile", str(self._key_file())] if self.replica_set else ["--auth"]
        if self.tls:
            _make_certificates(self.folder)
            command += ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(self.folder / "server.pem")]
            command += ["--tlsCAFile", str(self.ca_file), "--tlsAllowConnectionsWithoutCertificates"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=end_with_this_process(),  # noqa: PLW1509 - one call into libc, no lock is taken
            )

    def _wait_until_it_answers(self) -> bool:
        assert self.process is not None
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        family, address = (
            (socket.AF_INET, ("127.0.0.1", self.port)) if self.tcp else (socket.AF_UNIX, str(self.socket_path))
        )
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.process = None
                return False
            with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
                probe.connect(address)
                return True
            time.sleep(0.02)
        self.kill()
        return False

    def _make_primary(self) -> None:
        uri = self.uri if self._has_users else self.uri_without_user
        # A client that saw the server before the initiation keeps the old topology. This one is used only here.
        client: MongoClient[dict[str, Any]]
        with MongoClient(uri, serverSelectionTimeoutMS=20_000) as client:
            if self.replica_set:
                with contextlib.suppress(OperationFailure):  # after a restart the set is initiated already
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": self.host}]})
            poll(lambda: client.admin.command("hello").get("isWritablePrimary"), what="primary")

    def _create_users(self) -> None:
        # The localhost exception allows creating the first user without authentication, also on a unix socket.
        client: MongoClient[dict[str, Any]]
        with MongoClient(self.uri_without_user) as client:
            client["admin"].command("createUser", ADMIN[0], pwd=ADMIN[1], roles=["root"])
        self._has_users = True
        self.create_user(*READER, [{"role": "read", "db": self.reader_database}])

    def _key_file(self) -> Path:
        path = self.folder / "key"
        if not path.exists():
            path.write_text(secrets.token_hex(32))
            path.chmod(0o600)
        return path

    def _end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        if how is not signal.SIGKILL:
            self.process.send_signal(signal.SIGCONT)
        self.process.wait(timeout=300)
        self.process = None


@dataclass
class ReplicaSet:
    """Servers with the same data, on unix sockets. remove() ends them and deletes their data."""

    members: list[Mongod]
    _direct: dict[str, MongoClient[dict[str, Any]]] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """A URI that names all members."""
        hosts = ",".join(quote(member.host, safe="") for member in self.members)
        return f"mongodb://{hosts}/?replicaSet=rs0"

    def client(self, **settings: Any) -> MongoClient[dict[str, Any]]:
        """A client of the whole set, closed with the set."""
        return self.members[0].client(self.uri, **settings)

    def primary(self) -> Mongod:
        """The member that accepts writes. Waits until there is one."""

        def find_primary() -> Mongod | None:
            for member in self.members:
                with contextlib.suppress(PyMongoError):
                    if self._client_of(member).admin.command("hello")["isWritablePrimary"]:
                        return member
            return None

        primary: Mongod = poll(find_primary, what="a primary")
        return primary

    def step_down(self) -> None:
        """Make the primary step down at once, for 5 seconds, whether or not another member is ready."""
        admin = self._client_of(self.primary()).admin
        admin.command({"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 0, "force": True})

    def _client_of(self, member: Mongod) -> MongoClient[dict[str, Any]]:
        if member.host not in self._direct:
            self._direct[member.host] = member.client(serverSelectionTimeoutMS=2_000)
        return self._direct[member.host]

    def remove(self) -> None:
        """Kill all members and delete their data."""
        for member in self.members:
            member.remove()


def start_replica_set(folder: Path, *, members: int = 3) -> ReplicaSet:
    """Start a replica set with its data below `folder`, whose path must be short because sockets are in it."""
    made = ReplicaSet([Mongod(folder / f"{number}", alone=False, extra=FOR_TESTS) for number in range(members)])
    try:
        for member in made.members:
            member.start()
        configuration = {
            "_id": "rs0",
            "members": [{"_id": number, "host": member.host} for number, member in enumerate(made.members)],
            "settings": {"electionTimeoutMillis": 1_000, "heartbeatIntervalMillis": 200},
        }
        client: MongoClient[dict[str, Any]]
        with MongoClient(made.members[0].uri, serverSelectionTimeoutMS=20_000) as client:
            client.admin.command("replSetInitiate", configuration)
            poll(lambda: client.admin.command("hello").get("isWritablePrimary"), what="primary")
            states = ["PRIMARY", *["SECONDARY"] * (members - 1)]
            poll(
                lambda: (
                    sorted(row["stateStr"] for row in client.admin.command("replSetGetStatus")["members"]) == states
                ),
                what="members that follow the primary",
                within=STARTS_WITHIN_SECONDS,
            )
    except BaseException:
        made.remove()
        raise
    return made


def start_mongod(
    folder: Path,
    *,
    replica_set: bool = True,
    tcp: bool = False,
    auth: bool = False,
    tls: bool = False,
    extra: Sequence[str] = (),
    reader_database: str = "chats",
) -> Mongod:
    """Start a server whose data, socket and log are in `folder`. The path of a socket has at most 107 bytes.

    `auth` creates an administrator (`.uri`) and a user who can only read `reader_database` (`.reader_uri`). `tls`
    requires TLS on TCP, with a certificate signed by `.ca_file`. The caller ends it with `remove()`.
    """
    assert len(os.fsencode(folder / "mongodb-27017.sock")) <= LONGEST_SOCKET_PATH, f"too long for a socket: {folder}"
    server = Mongod(
        folder,
        replica_set=replica_set,
        tcp=tcp or tls,
        auth=auth,
        tls=tls,
        extra=extra,
        reader_database=reader_database,
    )
    try:
        return server.start()
    except BaseException:
        server.remove()
        raise


@contextlib.contextmanager
def short_temporary_folder(*, in_memory: bool = False) -> Iterator[Path]:
    """A folder whose path is short enough for a socket, removed afterwards. `in_memory`: in memory, if there is room."""
    parent = _MEMORY if in_memory and _has_room(_MEMORY) else Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix="cs-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room(memory: Path) -> bool:
    try:
        return shutil.disk_usage(memory).free >= _MEMORY_NEEDED and os.access(memory, os.W_OK)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _make_certificates(folder: Path) -> None:
    if (folder / "server.pem").exists():
        return

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=300)

    (folder / "names.cnf").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"]
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *curve, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")
    signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl(
        "x509", "-req", "-in", "server.csr", *signed_by, "-days", "2", "-extfile", "names.cnf", "-out", "server.crt"
    )
    (folder / "server.pem").write_text((folder / "server.crt").read_text() + (folder / "server.key").read_text())


def end_with_this_process() -> Any:
    """Make a server end with the test run, also if that is killed. Only Linux can do this."""
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    set_death_signal = 1  # PR_SET_PDEATHSIG
    return lambda: libc.prctl(set_death_signal, signal.SIGKILL)
