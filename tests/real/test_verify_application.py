"""`chatstore verify --api-url` with a small application, correct and with many faults."""

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

from chatstore_cli.config.settings import CacheSettings, MongoSettings, Settings, WorkerSettings
from chatstore_cli.core.verify.checklist import run_checks
from chatstore_cli.domain.checks import CheckResult, CheckStatus
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.verify_application import ApplicationOptions, application_checks
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
    """The application in its own process, with its database, journals and log."""

    url: str
    folder: Path
    database: Any
    uri: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def journals(self) -> list[str]:
        """The remaining journals of verified sessions."""
        return sorted(path.name for path in self.folder.rglob("*verifier-*"))

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The remaining documents of verified sessions, in any collection."""
        return [
            document
            for name in self.database.list_collection_names()
            for document in self.database[name].find({})
            if "verifier-" in repr(document)
        ]

    def clean(self) -> None:
        """Remove what an interrupted run left."""
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
            "CHATSTORE_VERIFY__APPLICATION__DEADLINE_SECONDS": "60",  # enough for a busy machine
        }


@pytest.fixture(scope="module")
def application(tmp_path_factory, mongod, mongo_client) -> Iterator[Application]:
    """One application for all tests: a header selects the fault of a request."""
    folder = tmp_path_factory.mktemp("application")
    database = mongo_client[f"application_{uuid.uuid4().hex[:12]}"]
    with socket.create_server(("127.0.0.1", 0)) as bound:
        descriptor, port = bound.fileno(), bound.getsockname()[1]
        arguments = [str(descriptor), str(folder / "journals"), mongod.uri, database.name, str(folder / "app.log")]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.applications.chat_application", *arguments],
            cwd=ROOT,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        httpx.get(url, timeout=120)  # waits in the socket's queue until the application accepts it
        yield Application(url, folder / "journals", database, mongod.uri, folder / "app.log", process)
    finally:
        process.kill()
        process.wait()
        mongo_client.drop_database(database.name)


@dataclass(frozen=True)
class Verified:
    """The outcome of a run."""

    code: int
    rows: dict[str, dict[str, Any]]
    err: str

    def of(self, status: str) -> list[str]:
        """The names of the checks with this status."""
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
        "api-mongo": r"no message of session verifier-\w+ in chat_messages, \d+\.\d s after sending",
        "api-websocket": r"no message of session verifier-\w+-ws in chat_messages",
        "api-worker": "2 of 2 journalled messages of session .* are not stored",
        "api-history": "the sent message is missing",
    },
    "no-journal": {
        "api-journal": "no message of session .* in .*journals, ",
        "api-worker": "no journalled message of session",
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
        "api-history": "the sent message is missing",
    },
    "twice": {
        "api-worker": "2 of 2 journalled messages of session .* are stored more than once",
        "api-history": "duplicates: .* with the same role, text and created_at|duplicates: the sent message",
    },
    "other-session": {"api-chat": 'but the response names session "of-its-own"', "api-cleanup": '"of-its-own"'},
    "down": {"api-status": 'mongo.status is "error" instead of "ok"'},
    "set-otherwise": {"api-status": "cache.max_messages_per_session is 50 in the application and 75 here"},
    "doubled": {"api-history": r'duplicate message_id "\S+" 2 times, "\S+" 2 times'},
    "doubled-without-ids": {"api-history": "duplicates: .* with the same role, text and created_at, but different ids"},
    "miscounted": {"api-history": "counts are 3 cache, 0 mongo, but the messages are 2 cache, 0 mongo"},
    "stale": {"api-history": r"last_persisted_at is .*, earlier than the newest stored message"},
    "never": {"api-history": "last_persisted_at is null, though MongoDB has 2 messages"},
    "unknown-session": {"api-history": "does not know session verifier-"},
    "closing": {"api-websocket": r"closed the connection with code 1011 \(no model today\) before the message"},
    "no-frames": {"api-websocket": "WebSocket /ws/chat: no frame arrived"},
    "not-json": dict.fromkeys(("api-chat", "api-status", "api-history"), "without valid JSON: <html>It works!</html>"),
    "huge": dict.fromkeys(("api-chat", "api-status", "api-history"), "the response is over 4 MiB"),
    "crashed": dict.fromkeys(("api-chat", "api-status", "api-history"), "returned status 500: Internal Server Error"),
    "redirected": dict.fromkeys(
        ("api-chat", "api-status", "api-history"), r"is redirected to https://elsewhere.example/login \(307\)"
    ),
}
"""The failed checks of each fault, and no others, with their details."""
UNKNOWN_FRAMES = {
    "one-frame": r'no status frame was recognised \(2 frames arrived: 1 of the type "welcome", 1 of the type "resp',
    "odd-frames": r"no welcome frame and no status frame was recognised \(4 frames arrived: 2 not a JSON object",
}
"""Faults that are a warning of api-websocket, with the end of its detail."""
WAITING = {
    "no-flush",
    "no-journal",
    "no-assistant",
    "no-assistant-ws",
    "no-user",
    "twice",
    "no-frames",
    "one-frame",
    "odd-frames",
}
"""Faults that are found when the deadline is over, which is short for them."""


def failed_checks(application: Application, fault: str, deadline: float = 60.0) -> dict[str, CheckResult]:
    """Run the checks in this process with one fault in the application. Returns those that did not pass."""
    settings = Settings(
        mongo=MongoSettings(
            uri=application.uri,
            database=application.database.name,
            cache=CacheSettings(disk_path=str(application.folder)),
            worker=WorkerSettings(interval_seconds=0.1),
        )
    )
    options = ApplicationOptions([f"X-Fault: ~{fault}~"], deadline=deadline)
    checks = application_checks(Stores(settings, say=print), application.url, options)
    results = run_checks(checks.select(checks.all(), [], ["api-log"]))
    return {result.name: result for result in results if result.status is not CheckStatus.PASS}


def test_a_correct_application_passes_and_nothing_is_left(chatstore, application):
    quiet = application.log.with_name("quiet.log")  # like the log of a separate worker
    quiet.touch()
    verified = verify(chatstore, application, "--log", str(quiet), "--log", str(application.log))
    assert [name for name in verified.rows if name.startswith("api-")] == NAMES
    assert {name: row for name, row in verified.rows.items() if name in NAMES and row["status"] != "pass"} == {}
    assert verified.code == 0
    assert f"database {application.database.name}\nApplication: {application.url}, sessions verifier-" in verified.err
    assert verified.rows["api-cleanup"]["detail"] == "removed 4 documents and 2 journals"
    assert (application.journals, application.documents) == ([], [])


def failed_checks_soon(application: Application, fault: str) -> dict[str, CheckResult]:
    """The same with a short deadline, unless that is too short for other checks, as on a busy machine."""
    expected = set(FAULTS.get(fault, {"api-websocket": ""}))
    results = failed_checks(application, fault, 4.0 if fault in WAITING else 60.0)
    if fault in WAITING and set(results) - expected:
        results = failed_checks(application, fault, 40.0)
    return results


@pytest.fixture(scope="module")
def runs(application: Application) -> dict[str, dict[str, CheckResult]]:
    """The checks that did not pass, of a run with each fault. The runs are made at once, because many of them wait."""
    faults = sorted([*FAULTS, *UNKNOWN_FRAMES], key=WAITING.__contains__, reverse=True)
    with ThreadPoolExecutor(len(WAITING) + 1) as pool:
        return dict(zip(faults, pool.map(lambda fault: failed_checks_soon(application, fault), faults), strict=True))


def test_each_fault_is_described_and_nothing_is_left(application, runs):
    for fault, expected in FAULTS.items():
        results = runs[fault]
        failed = {name for name, result in results.items() if result.status is CheckStatus.FAIL}
        also = {"api-mongo", "api-websocket"} if fault == "twice" else set()  # if the second copy arrives in time
        assert failed - also == set(expected), f"{fault}: {results}"
        for name, pattern in expected.items():
            assert re.search(pattern, results[name].detail), f"{fault}: {results}"
            assert results[name].hint
        assert "hidden-word" not in repr(results)
    left = [row for row in application.documents if row["session_id"] != "of-its-own"]
    assert (application.journals, left) == ([], [])


@pytest.mark.parametrize("words", ["other-words", "platform"])
def test_a_welcome_and_a_status_in_other_words_pass(application, words):
    assert failed_checks(application, words) == {}


@pytest.mark.parametrize("fault", UNKNOWN_FRAMES)
def test_frames_that_are_unknown_are_named_and_do_not_fail(runs, fault):
    [(name, result)] = runs[fault].items()
    assert (name, result.status) == ("api-websocket", CheckStatus.WARN)
    assert re.search(f"both roles are stored, .*; {UNKNOWN_FRAMES[fault]}", result.detail), result


def test_a_failed_check_gives_status_6_and_two_lines_on_stderr(chatstore, application):
    verified = verify(chatstore, application, *CHECKS, fault="crashed")
    assert verified.code == 6
    assert set(verified.of("fail")) == set(FAULTS["crashed"])
    assert len(verified.err.splitlines()) == 2, verified.err


def test_a_slow_response_fails_and_its_late_messages_are_reported(chatstore, application):
    verified = verify(chatstore, application, "--only", "api-chat", "--deadline", "0.5", fault="slow")
    assert verified.of("fail") == ["api-chat"]
    assert re.search(r"POST /api/chat: no .*response within 0.5 seconds", verified.rows["api-chat"]["detail"])
    # The application writes after the end of the run, which api-cleanup announces.
    assert "the application may still write an answer for verifier-" in verified.rows["api-cleanup"]["detail"]
    answers = application.folder.with_name("slow-answers")
    answers.touch()
    poll(lambda: len(application.documents) == 2, what="the late messages")
    answers.unlink()
    application.clean()


def test_a_missing_endpoint_is_skipped_with_the_reason(chatstore, application):
    verified = verify(chatstore, application, *CHECKS, fault="no-websocket")
    assert verified.code == 0
    assert verified.of("skip") == ["api-log", "api-websocket"]
    assert verified.rows["api-websocket"]["detail"] == "the application does not open WebSocket /ws/chat (403)"


def test_an_application_without_endpoints_is_a_warning(chatstore, application):
    paths = ["--ws-path", "/nowhere", "--ws-path", "/nowhere"]
    verified = verify(chatstore, application, *CHECKS, *paths, fault="absent")
    assert verified.code == 0
    assert verified.rows["api-chat"]["detail"] == "the application has no POST /api/chat (404)"
    assert verified.rows["api-status"]["hint"] == "If it has another path, set verify.application.status_path."
    assert verified.of("warn") == ["api-worker"]
    expected = "no message could be sent: the application has neither POST /api/chat nor WebSocket /nowhere"
    assert verified.rows["api-worker"]["detail"] == expected


def test_an_application_that_only_records_the_users_messages_passes(chatstore, application):
    for deadline in ("4", "40"):  # which is waited for; on a busy machine the shorter one may be too short
        arguments = ["--only", "api-journal,api-mongo,api-history", "--deadline", deadline]
        verified = verify(chatstore, application, *arguments, fault="record-only")
        if verified.code == 0:
            break
    assert list(verified.rows) == ["api-chat", "api-journal", "api-mongo", "api-history", "api-cleanup"]
    assert (verified.code, verified.of("pass")) == (0, list(verified.rows))
    assert verified.rows["api-mongo"]["detail"].startswith("1 message (user) in chat_messages, ")


def test_read_only_sends_nothing(chatstore, application):
    verified = verify(chatstore, application, *CHECKS, "--read-only")
    assert verified.code == 0
    assert verified.of("pass") == ["api-connection", "api-status"]
    assert verified.rows["api-chat"]["detail"] == "it writes, and --read-only is set"
    assert "Target" not in verified.err


def test_a_log_without_new_lines_fails_whatever_it_contained_before(chatstore, application, tmp_path):
    log = tmp_path / "old.log"
    log.write_text("[CHAT CACHE] Recorded\n[CHAT WORKER] Flushed 2/2 chat messages to Mongo (1 ms).\n")
    verified = verify(chatstore, application, "--only", "api-log", "--log", str(log), "--deadline", "3")
    assert verified.of("fail") == ["api-log"]
    assert f"no new line with [CHAT CACHE] or [CHAT WORKER] Flushed in {log}" in verified.rows["api-log"]["detail"]


def test_an_unreachable_application_fails_the_first_check_and_the_rest_is_skipped(chatstore, application):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    verified = verify(chatstore, application, *CHECKS, "--api-url", f"http://127.0.0.1:{port}")
    assert verified.code == 6
    assert verified.of("fail") == ["api-connection"]
    assert "Connection refused" in verified.rows["api-connection"]["detail"]
    assert verified.of("skip") == NAMES[1:]
    assert verified.rows["api-cleanup"]["detail"] == "nothing was sent, so there is nothing to remove"


def test_without_a_database_no_message_is_sent(chatstore, application, short_folder):
    nowhere = f"mongodb://{str(short_folder / 'no.sock').replace('/', '%2F')}"
    before = application.log.read_text()
    verified = verify(
        chatstore, application, *CHECKS, "--uri", nowhere, more={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.3"}
    )
    assert verified.code == 6
    assert verified.of("fail") == ["api-chat", "api-websocket"]
    assert "No message is sent" in verified.rows["api-chat"]["hint"]
    assert application.log.read_text() == before


@pytest.mark.usefixtures("hangup_ends_processes")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_removes_what_was_written(chatstore, application, tmp_path, ending):
    log = tmp_path / "empty.log"
    log.touch()  # no line comes, so the run is interrupted while it waits
    arguments = ["verify", "--only", "api-log", "--log", log, "--api-url", application.url, "--deadline", "60"]
    process = chatstore.popen(*arguments, env=application.environment)
    poll(lambda: len(application.documents) == 2, what="the documents")
    process.send_signal(ending)
    code, err = process.wait(timeout=120), process.stderr.read().decode()
    assert (application.journals, application.documents) == ([], [])
    assert code == 130
    # If the signal arrived in a destructor, which cannot raise, the run went on to its end and removed all as a check.
    if "Exception ignored" not in err and "Removing what was written" in err:
        assert "Removed 2 documents and 1 journal." in err
        assert "Traceback" not in err
    assert (application.journals, application.documents) == ([], [])


def test_a_second_interrupt_keeps_what_was_written_and_names_it(chatstore, application):
    arguments = ["verify", *CHECKS, "--api-url", application.url, "--header", "X-Fault: ~no-assistant~"]
    process = chatstore.popen(*arguments, "--deadline", "60", env=application.environment)
    poll(lambda: application.documents, what="a document")
    process.send_signal(signal.SIGINT)
    line = ""
    while "Removing" not in line:
        line = process.stderr.readline().decode()
        assert line
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    err = process.stderr.read().decode()
    if "Exception ignored" in err:  # the signal arrived in a destructor, which cannot raise, so all was removed
        assert "Removed " in err
    else:
        assert re.search(r"Not removed: documents and journals of verifier-\w{16}", err)
    application.clean()


def test_a_header_is_never_shown_even_if_the_server_sends_it_back(chatstore, application):
    secret = ["--header", "Authorization: Bearer Zauberwort-77", "--header", "X-Fault: ~echo~"]
    outcome = chatstore(
        "verify", "--only", "api-chat,api-status", "--api-url", application.url.replace("//", "//ana:Geheimnis-88@"), *secret, "-v",
        env=application.environment,
    )  # fmt: skip
    assert outcome.code == 6
    assert "returned status 500: '***'" in outcome.out
    for word in ("Zauberwort", "Geheimnis", "ana:"):
        assert word not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--ws-path", "/ws"], "--ws-path requires --api-url"),
        (["--only", "api-chat"], "--only api-chat requires --api-url"),
        (["--api-url", "http://ana:p@ss/word@host"], "percent-encoded"),
        (["--api-url", "http://host", "--header", "A: Geheim\nnis"], "visible ASCII"),
        (["--api-url", "http://host", "--deadline", "0"], "a number of seconds above 0"),
        (["--api-url", "http://host", "--log", "/nonexistent/app.log"], "No log file"),
        (["--api-url", "http://host", "--only", "api-cleanup"], "api-history"),
    ],
)
def test_invalid_options_are_wrong_use_and_show_no_secret(chatstore_without_database, arguments, text):
    outcome = chatstore_without_database("verify", *arguments, env={"CHATSTORE_URI": "mongodb://127.0.0.1:1"})
    assert outcome.code == (3 if "--log" in arguments else 2)
    assert text in outcome.err
    assert "Geheim" not in outcome.err
    assert "p@ss" not in outcome.err


def test_without_the_extra_the_error_names_it(chatstore, application, tmp_path):
    # A package of that name that cannot be imported hides the installed one.
    (tmp_path / "httpx.py").write_text("raise ImportError('not here')")
    outcome = chatstore("verify", "--api-url", application.url, env={"PYTHONPATH": str(tmp_path)})
    assert (outcome.code, outcome.out) == (2, "")
    assert "pip install 'chatstore-cli[api]'" in outcome.err


def test_an_application_with_chatstore_worker_passes_and_nothing_is_left(chatstore, application):
    worker = chatstore.popen("worker", "--interval", "0.1", env=application.environment)
    try:
        # Without the history: this application's last_persisted_at is that of its own worker, which is idle.
        arguments = [*CHECKS, "--skip", "api-history", "--deadline", "60"]
        verified = verify(chatstore, application, *arguments, fault="no-flush")
    finally:
        worker.terminate()
        assert worker.wait(timeout=300) == 0
    assert verified.code == 0
    assert verified.of("skip") == ["api-log"]
    assert verified.rows["api-cleanup"]["detail"] == "removed 4 documents and 2 journals"
    assert (application.journals, application.documents) == ([], [])
