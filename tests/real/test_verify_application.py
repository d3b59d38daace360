"""`chatstore verify --api-url` against a small application written with the library, well and broken in many ways."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.mongod import poll
from tests.support.paths import ROOT

pytestmark = pytest.mark.real

NAMES = [
    "api-connection",
    "api-chat",
    "api-journal",
    "api-mongo",
    "api-log",
    "api-websocket",
    "api-worker",
    "api-status",
    "api-history",
    "api-cleanup",
]
CHECKS = ("--only", ",".join(NAMES[:-1]))


@dataclass
class Application:
    """The application in a process of its own; its database, its journals and its log."""

    url: str
    folder: Path
    database: Any
    uri: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def journals(self) -> list[str]:
        """The journals of verified sessions that are there."""
        return sorted(path.name for path in self.folder.rglob("*verifier-*"))

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The documents of verified sessions that are there, in any collection."""
        return [
            document
            for name in self.database.list_collection_names()
            for document in self.database[name].find({})
            if "verifier-" in repr(document)
        ]

    def forget(self) -> None:
        """Remove what a run was told to leave."""
        self.database["chat_messages"].delete_many({})
        for path in self.folder.rglob("*verifier-*"):
            path.unlink()

    @property
    def environment(self) -> dict[str, str]:
        """The application's own configuration, for chatstore."""
        return {
            "CHATSTORE_URI": self.uri,
            "CHATSTORE_DATABASE": self.database.name,
            "CHATSTORE_MONGO__CACHE__DISK_PATH": str(self.folder),
            "CHATSTORE_MONGO__WORKER__INTERVAL_SECONDS": "0.1",
            "CHATSTORE_VERIFY__APPLICATION__DEADLINE_SECONDS": "10",  # on a busy machine, where it is not waited for
        }


@pytest.fixture(scope="module")
def application(tmp_path_factory, mongod, mongo_client) -> Iterator[Application]:
    """One application for all: single requests are made to go wrong by a header."""
    place = tmp_path_factory.mktemp("application")
    database = mongo_client[f"application_{uuid.uuid4().hex[:12]}"]
    with socket.create_server(("127.0.0.1", 0)) as bound:
        descriptor, port = bound.fileno(), bound.getsockname()[1]
        arguments = [str(descriptor), str(place / "journals"), mongod.uri, database.name, str(place / "app.log")]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.applications.chat_application", *arguments],
            cwd=ROOT,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        httpx.get(url, timeout=30)  # waits in the socket's queue until the application takes it
        yield Application(url, place / "journals", database, mongod.uri, place / "app.log", process)
    finally:
        process.kill()
        process.wait()
        mongo_client.drop_database(database.name)


@dataclass(frozen=True)
class Verified:
    """What a run came to."""

    code: int
    rows: dict[str, dict[str, Any]]
    err: str

    def of(self, status: str) -> list[str]:
        """The names of the checks that ended so."""
        return [name for name, row in self.rows.items() if row["status"] == status]


def verify(
    chatstore, application: Application, *arguments: str, fault: str | None = None, more: dict[str, str] | None = None
) -> Verified:
    """Run the real command."""
    fault_header = ["--header", f"X-Fault: ~{fault}~"] if fault else []
    environment = {**application.environment, **(more or {})}
    url = ["--api-url", application.url]
    outcome = chatstore("verify", "-o", "json", *url, *arguments, *fault_header, env=environment)
    rows = {row["name"]: row for row in json.loads(outcome.out)["items"]} if outcome.out else {}
    return Verified(outcome.code, rows, outcome.err)


FAULTS: dict[str, dict[str, str]] = {
    "no-flush": {
        "api-mongo": r"nothing of session verifier-\w+ in chat_messages, 2\.\d s after",
        "api-websocket": r"nothing of session verifier-\w+-ws in chat_messages",
        "api-worker": "2 of 2 journalled messages of session .* are not stored",
        "api-history": "the message that was sent is missing",
    },
    "no-journal": {
        "api-journal": "nothing of session .* in .*journals, 2",
        "api-worker": "nothing journalled of session",
    },
    "no-assistant": {
        "api-journal": "the assistant's message is missing",
        "api-mongo": "the assistant's message is missing in chat_messages",
        "api-websocket": "the assistant's message is missing in chat_messages",
    },
    "no-assistant-ws": {"api-websocket": "the assistant's message is missing in chat_messages"},
    "no-user": {
        "api-journal": "the user's message is missing",
        "api-mongo": "the user's message is missing",
        "api-websocket": "the user's message is missing",
        "api-history": "the message that was sent is missing",
    },
    "twice": {
        "api-worker": "2 of 2 journalled messages of session .* are stored once too often",
        "api-history": "doubled: .* with the same role, text and created_at, under ids|doubled: the message that was sent",
    },
    "slow": {"api-chat": r"POST /api/chat: no .*answer within 2 seconds"},
    "other-session": {"api-chat": 'answered for session "of-its-own"', "api-cleanup": '"of-its-own"'},
    "down": {"api-status": 'mongo.status is "error" instead of "ok"'},
    "set-otherwise": {"api-status": "cache.max_messages_per_session is 50 there and 75 here"},
    "doubled": {"api-history": r'doubled: message_id "\S+" 2 times, "\S+" 2 times'},
    "doubled-without-ids": {"api-history": "doubled: .* with the same role, text and created_at, under ids"},
    "miscounted": {"api-history": "counts are 3 cache, 0 mongo, and the messages told are 2 cache, 0 mongo"},
    "stale": {"api-history": r"last_persisted_at is stale: .* is earlier than the newest stored message"},
    "never": {"api-history": "last_persisted_at is null, though MongoDB has 2 messages"},
    "unknown-session": {"api-history": "does not know session verifier-"},
    "closing": {"api-websocket": r"closed the connection with code 1011 \(no model today\), before a message"},
    "one-frame": {
        "api-websocket": r'no status frame \(2 frames came: 1 of the type "welcome", 1 of the type "message"'
    },
    "not-json": dict.fromkeys(("api-chat", "api-status", "api-history"), "not with JSON: <html>It works!</html>"),
    "huge": dict.fromkeys(("api-chat", "api-status", "api-history"), "the answer is over 4 MiB"),
    "crashed": dict.fromkeys(("api-chat", "api-status", "api-history"), "answered with 500: Internal Server Error"),
    "redirected": dict.fromkeys(
        ("api-chat", "api-status", "api-history"), r"is redirected to https://elsewhere.example/login \(307\)"
    ),
}
"""What each way of going wrong is told as: the checks that fail, no others, and what they say."""
WAITED_FOR = {"no-flush", "no-journal", "no-assistant", "no-assistant-ws", "no-user", "twice", "slow", "one-frame"}
"""Those that are told once the deadline is over, which is short for them."""


def verify_fault(chatstore, application: Application, fault: str) -> Verified:
    """Run the checks of the application with one thing wrong in it."""
    deadline = ["--deadline", "2"] if fault in WAITED_FOR else []
    return verify(chatstore, application, *CHECKS, *deadline, fault=fault)


def test_an_application_that_does_all_of_it_passes_and_nothing_is_left(chatstore, application):
    quiet = application.log.with_name("quiet.log")  # as of a worker that is a service of its own
    quiet.touch()
    verified = verify(chatstore, application, "--log", str(quiet), "--log", str(application.log))
    assert [name for name in verified.rows if name.startswith("api-")] == NAMES
    assert {name: row for name, row in verified.rows.items() if name in NAMES and row["status"] != "pass"} == {}
    assert verified.code == 0
    assert f"database {application.database.name}\nApplication: {application.url}, sessions verifier-" in verified.err
    assert verified.rows["api-cleanup"]["detail"] == "removed: 4 documents and 2 journals"
    assert (application.journals, application.documents) == ([], [])


@pytest.mark.timeout(120)
def test_each_fault_is_found_and_named_and_nothing_is_left(chatstore, application):
    # At once, for they mostly wait; one application serves them all.
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda fault: verify_fault(chatstore, application, fault), FAULTS)
        runs = dict(zip(FAULTS, found, strict=True))
    for fault, expected in FAULTS.items():
        verified = runs[fault]
        told = json.dumps([row for row in verified.rows.values() if row["status"] != "pass"], indent=1)
        assert verified.code == 6, f"{fault}: {told}{verified.err}"
        also = {"api-mongo", "api-websocket"} if fault == "twice" else set()  # where the second copy comes in time
        assert set(verified.of("fail")) - also == set(expected), f"{fault}: {told}"
        for name, pattern in expected.items():
            assert re.search(pattern, verified.rows[name]["detail"]), f"{fault}: {told}"
            assert verified.rows[name]["hint"]
        assert len(verified.err.splitlines()) == 2, verified.err
        assert "hidden-word" not in told
    left = [row for row in application.documents if row["session_id"] != "of-its-own"]
    assert (application.journals, left) == ([], [])


def test_what_an_application_lacks_is_skipped_with_its_reason(chatstore, application):
    verified = verify(chatstore, application, *CHECKS, fault="no-websocket")
    assert verified.code == 0
    assert verified.of("skip") == ["api-log", "api-websocket"]
    assert verified.rows["api-websocket"]["detail"] == "the application opens no WebSocket /ws (403)"


def test_where_there_is_nothing_to_be_checked_that_is_said(chatstore, application):
    paths = ["--ws-path", "/nowhere", "--ws-path", "/nowhere"]
    verified = verify(chatstore, application, *CHECKS, *paths, fault="absent")
    assert verified.code == 0
    assert verified.rows["api-chat"]["detail"] == "the application has no POST /api/chat (404)"
    assert verified.rows["api-status"]["hint"] == "Where it is elsewhere, set verify.application.status_path."
    assert verified.of("warn") == ["api-worker"]
    expected = "no message could be sent: there is neither POST /api/chat nor WebSocket /nowhere"
    assert verified.rows["api-worker"]["detail"] == expected


def test_an_application_that_only_records_the_users_messages_is_not_blamed_for_that(chatstore, application):
    arguments = ["--only", "api-journal,api-mongo,api-history", "--deadline", "2"]
    verified = verify(chatstore, application, *arguments, fault="record-only")
    assert list(verified.rows) == ["api-chat", "api-journal", "api-mongo", "api-history", "api-cleanup"]
    assert (verified.code, verified.of("pass")) == (0, list(verified.rows))
    assert verified.rows["api-mongo"]["detail"].startswith("1 message in chat_messages: user; seen")


def test_read_only_sends_nothing(chatstore, application):
    verified = verify(chatstore, application, *CHECKS, "--read-only")
    assert verified.code == 0
    assert verified.of("pass") == ["api-connection", "api-status", "api-cleanup"]
    assert verified.rows["api-chat"]["detail"] == "it writes, and --read-only is set"
    assert "Target" not in verified.err


def test_a_log_in_which_nothing_new_appears_fails_whatever_stood_in_it_before(chatstore, application, tmp_path):
    log = tmp_path / "old.log"
    log.write_text("[CHAT CACHE] Recorded\n[CHAT WORKER] Flushed 2/2 chat messages to Mongo (1 ms).\n")
    verified = verify(chatstore, application, "--only", "api-log", "--log", str(log), "--deadline", "1")
    assert verified.of("fail") == ["api-log"]
    assert f"no new line with [CHAT CACHE] or [CHAT WORKER] Flushed in {log}" in verified.rows["api-log"]["detail"]


def test_an_application_that_is_not_there_fails_the_first_check_and_the_rest_is_skipped(chatstore, application):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    verified = verify(chatstore, application, *CHECKS, "--api-url", f"http://127.0.0.1:{port}")
    assert verified.code == 6
    assert verified.of("fail") == ["api-connection"]
    assert "Connection refused" in verified.rows["api-connection"]["detail"]
    assert verified.of("skip") == NAMES[1:-1]
    assert verified.rows["api-cleanup"]["detail"] == "nothing was sent, so there is nothing to remove"


def test_without_a_database_nothing_is_sent_for_it_could_not_be_removed(chatstore, application, short_folder):
    nowhere = f"mongodb://{str(short_folder / 'no.sock').replace('/', '%2F')}"
    before = application.log.read_text()
    verified = verify(
        chatstore, application, *CHECKS, "--uri", nowhere, more={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.3"}
    )
    assert verified.code == 6
    assert verified.of("fail") == ["api-chat", "api-websocket"]
    assert "Nothing is sent" in verified.rows["api-chat"]["hint"]
    assert application.log.read_text() == before


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_written_is_removed_when_the_run_is_ended(chatstore, application, tmp_path, ending):
    log = tmp_path / "empty.log"
    log.touch()  # waited for in vain, so that the run is ended in the middle
    arguments = ["verify", "--only", "api-log", "--log", log, "--api-url", application.url, "--deadline", "60"]
    process = chatstore.popen(*arguments, env=application.environment)
    poll(lambda: len(application.documents) == 2, what="the documents")
    process.send_signal(ending)
    assert process.wait(timeout=30) == 130
    told = process.stderr.read().decode()
    assert "Removing what was written" in told
    assert "Removed: 2 documents and 1 journal." in told
    assert "Traceback" not in told
    assert (application.journals, application.documents) == ([], [])


def test_a_second_interrupt_leaves_what_there_is_and_names_it(chatstore, application):
    arguments = ["verify", *CHECKS, "--api-url", application.url, "--header", "X-Fault: ~no-assistant~"]
    process = chatstore.popen(*arguments, "--deadline", "20", env=application.environment)
    poll(lambda: application.documents, what="a document")
    process.send_signal(signal.SIGINT)
    line = ""
    while "Removing" not in line:
        line = process.stderr.readline().decode()
        assert line
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    told = process.stderr.read().decode()
    if "Exception ignored" in told:  # it fell into a destructor, where Python can raise nothing: so all was removed
        assert "Removed: " in told
    else:
        assert re.search(r"Left: verifier-\w{16}, documents and journals", told)
    application.forget()


def test_a_header_is_never_shown_even_if_the_server_sends_it_back(chatstore, application):
    secret = ["--header", "Authorization: Bearer Zauberwort-77", "--header", "X-Fault: ~echo~"]
    outcome = chatstore(
        "verify", "--only", "api-chat,api-status", "--deadline", "1", "--api-url", application.url.replace("//", "//ana:Geheimnis-88@"), *secret, "-v",
        env=application.environment,
    )  # fmt: skip
    assert outcome.code == 6
    assert "is answered with 500: '***'" in outcome.out
    for word in ("Zauberwort", "Geheimnis", "ana:"):
        assert word not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ws-path", "/ws"], "--ws-path is of no use without --api-url"),
        (["--only", "api-chat"], "--only api-chat is of no use without --api-url"),
        (["--api-url", "http://ana:p@ss/word@host"], "percent-encoded"),
        (["--api-url", "http://host", "--header", "A: Geheim\nnis"], "visible ASCII"),
        (["--api-url", "http://host", "--deadline", "0"], "a number of seconds above 0"),
        (["--api-url", "http://host", "--log", "/nonexistent/app.log"], "No log file"),
        (["--api-url", "http://host", "--only", "api-cleanup"], "api-history"),
    ],
)
def test_what_cannot_be_meant_is_wrong_use_and_shows_no_secret(chatstore_without_database, arguments, told):
    outcome = chatstore_without_database("verify", *arguments, env={"CHATSTORE_URI": "mongodb://127.0.0.1:1"})
    assert outcome.code == (3 if "--log" in arguments else 2)
    assert told in outcome.err
    assert "Geheim" not in outcome.err
    assert "p@ss" not in outcome.err


def test_without_the_extra_the_command_says_how_to_get_it(chatstore, application, tmp_path):
    # A package of that name that cannot be imported, before the one that is installed.
    (tmp_path / "httpx.py").write_text("raise ImportError('not here')")
    outcome = chatstore("verify", "--api-url", application.url, env={"PYTHONPATH": str(tmp_path)})
    assert (outcome.code, outcome.out) == (2, "")
    assert "pip install 'chatstore-cli[api]'" in outcome.err


def test_an_application_that_leaves_storing_to_chatstore_worker_passes_and_nothing_is_left(chatstore, application):
    worker = chatstore.popen("worker", "--interval", "0.1", env=application.environment)
    try:
        # Without its history: this application's last_persisted_at is that of its own worker, which has nothing to do.
        arguments = [*CHECKS, "--skip", "api-history", "--deadline", "20"]
        verified = verify(chatstore, application, *arguments, fault="no-flush")
    finally:
        worker.terminate()
        assert worker.wait(timeout=30) == 0
    assert verified.code == 0
    assert verified.of("skip") == ["api-log"]
    assert verified.rows["api-cleanup"]["detail"] == "removed: 4 documents and 2 journals"
    assert (application.journals, application.documents) == ([], [])
