"""The verdicts on any behaviour of an application."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.verify.application.checks import ApplicationChecks
from chatstore_cli.core.verify.application.history import history_faults, missing_fields
from chatstore_cli.core.verify.application.run import ApplicationRun, SentMessage, brief, message_faults, read_json
from chatstore_cli.core.verify.application.status import status_verdict
from chatstore_cli.core.verify.application.websocket import Frames
from chatstore_cli.core.verify.checklist import run_checks
from chatstore_cli.domain.checked_application import ApplicationSettings, FoundMessage, JournalledMessages, Response
from chatstore_cli.domain.checks import CheckResult, CheckStatus
from chatstore_cli.domain.errors import ChatstoreError, Locked, Overdue, Unreachable
from chatstore_cli.files.log_tail import LogTail, LogTails

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SENT = SentMessage("verifier-1", "Hello 1: Grüße", 0.0)
USER = FoundMessage("user", SENT.text, NOW, "m-1")
ASSISTANT = FoundMessage("assistant", "You said: " + SENT.text, NOW + timedelta(milliseconds=5), "m-2")
EXPECTED = {"max_messages_per_session": 75, "ttl_days": 30, "database": "chats", "fsync": "never"}

KEYS = [
    "mongo",
    "cache",
    "status",
    "messages",
    "items",
    "counts",
    "last_persisted_at",
    "role",
    "text",
    "source",
    "message_id",
    "created_at",
    "total",
    "type",
    "event",
    "session_id",
    "max_messages_per_session",
    "ttl_days",
    "database",
    "fsync",
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["user", "cache", "ok"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=6),
    max_leaves=20,
)


def row(turn: FoundMessage, **others: Any) -> dict[str, Any]:
    """A message as an application returns it."""
    fields = {"message_id": turn.message_id, "role": turn.role, "text": turn.text, "source": "cache"}
    return {**fields, "created_at": str(turn.created_at), **others}


def body(*rows: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A correct history, except for `others`."""
    rows = rows or (row(USER), row(ASSISTANT))
    counts = {name: sum(one["source"] == name for one in rows) for name in ("cache", "mongo")}
    return {"messages": list(rows), "counts": counts, "last_persisted_at": str(NOW + timedelta(seconds=1)), **others}


def faults(
    history: Any, before: list[FoundMessage] | None = None, after: list[FoundMessage] | None = None
) -> list[str]:
    """What is wrong with a history."""
    before = [USER, ASSISTANT] if before is None else before
    return list(history_faults(history, SENT, before, before if after is None else after, NOW + timedelta(seconds=2)))


# --- traces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER, ASSISTANT], []),
        ([ASSISTANT, USER], []),
        ([], ["no message of session verifier-1"]),
        ([USER], ["the assistant's message is missing"]),
        ([ASSISTANT], ["the user's message is missing"]),
        ([USER, USER, ASSISTANT], ["the sent message was found 2 times"]),
        ([USER._replace(role="human"), ASSISTANT], ['the sent message has the role "human" instead of \'user\'']),
        ([USER._replace(text="Hello 1: Gr??e"), ASSISTANT], ['the text was changed: "Hello 1: Gr??e" instead of "Hello 1: Grüße"']),
        ([USER, FoundMessage("assistant", "yes", NOW), FoundMessage("assistant", "yes", NOW)], ["a message of assistant was found 2 times"]),
        ([USER, FoundMessage("assistant", "yes", NOW), FoundMessage("assistant", "yes", None)], []),
        ([USER, ASSISTANT, ASSISTANT._replace(message_id="m-3")], ["a message of assistant was found 2 times"]),
        ([USER._replace(text=f"  {SENT.text}\n"), ASSISTANT], []),
    ],
)  # fmt: skip
def test_faults_in_the_traces_of_a_message_are_described(messages, expected):
    assert message_faults(messages, SENT, ("user", "assistant")) == expected


# --- responses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response(302, b"", "http://b"), r"is redirected to http://b \(302\)"),
        (Response(304, b""), r"is redirected \(304\)"),
        (Response(401, b"no"), r"is not allowed \(401\)"),
        (Response(422, b'{"detail":  "field\n required"}'), 'returned status 422: {"detail": "field required"}'),
        (Response(503, b"x" * 1000), "returned status 503: x{120}…"),
        (Response(100, b""), r"returned status 100 \(empty\)"),
        (Response(200, b"\xff"), "without valid JSON"),
        (Response(200, b"[" * 100_000), "without valid JSON"),
        (Response(200, b"9" * 100_000), "without valid JSON"),
    ],
)
def test_an_unusable_response_is_described(response, expected):
    with pytest.raises(ChatstoreError, match=expected) as raised:
        read_json(response, "GET /x")
    assert raised.value.hint
    assert len(raised.value.message) < 250


@given(anything)
def test_the_description_of_any_value_is_short(value):
    assert 0 < len(brief(value)) < 800


# --- status ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "status", "detail"),
    [
        ({"mongo": {"status": "ok"}, "cache": {"ttl_days": 30}}, "pass", "equal to the configuration: cache.ttl_days"),
        ({"mongo": {"status": "ok", "cache": {"ttl_days": 30.0}}}, "pass", "mongo.cache.ttl_days"),
        ({"mongo": {"status": "ok"}}, "warn", "no setting of the cache is reported"),
        ({"mongo": {"status": "OK"}}, "fail", 'mongo.status is "OK" instead of "ok"'),
        ({"mongo": {"status": ["ok"]}}, "fail", "mongo.status is a list"),
        ({"mongo": {"status": "down", "error": "no primary"}}, "fail", 'instead of "ok": "no primary"'),
        ({"mongo": {}}, "fail", "mongo.status is missing instead of"),
        ({"mongo": "ok"}, "fail", "no object mongo (its keys are \"mongo\")"),
        ([], "fail", "no object mongo, but is a list"),
        ({"mongo": {"status": "ok", "ttl_days": "30"}}, "fail", 'mongo.ttl_days is "30" in the application and 30 here'),
        ({"mongo": {"status": "ok", "ttl_days": True}}, "fail", "mongo.ttl_days is true in the application and 30 here"),
        ({"mongo": {"status": "ok", "ttl_days": None}}, "fail", "mongo.ttl_days is null in the application and 30 here"),
        (
            {"mongo": {"status": "ok", "database": "b"}, "cache": {"deep": {"fsync": "always"}}},
            "fail",
            'mongo.database is "b" in the application and "chats" here; cache.deep.fsync is "always" in the application and "never" here',
        ),
    ],
)  # fmt: skip
def test_a_status_is_compared_with_the_configuration(report, status, detail):
    verdict = status_verdict(report, EXPECTED)
    assert verdict.status == status
    assert detail in verdict.detail


def test_true_is_not_one_and_one_is_not_true():
    report = {"mongo": {"status": "ok", "ttl_days": True}, "cache": {"journaled": 1}}
    detail = status_verdict(report, {"ttl_days": 1, "journaled": True}).detail
    assert (
        detail
        == "mongo.ttl_days is true in the application and 1 here; cache.journaled is 1 in the application and true here"
    )


@pytest.mark.parametrize(
    ("reported", "configured", "is_same"),
    [
        ("/srv/app/data/cache", "data/cache", True),
        ("data/cache/", "./data/cache", True),
        ("/data/cache", "/data/cache/", True),
        ("cache", "/srv/cache", True),
        ("/srv/app/data/other", "data/cache", False),
        ("/data/cache", "/other/data/cache", False),
        ("", "data/cache", False),
        (5, "data/cache", False),
    ],
)
def test_a_relative_folder_may_be_reported_as_an_absolute_one(reported, configured, is_same):
    from pathlib import PurePosixPath

    report = {"mongo": {"status": "ok"}, "cache": {"disk_path": reported}}
    verdict = status_verdict(report, {"disk_path": PurePosixPath(configured)})
    assert verdict.status == ("pass" if is_same else "fail"), verdict


@given(anything)
def test_any_status_has_a_verdict(report):
    assert status_verdict(report, EXPECTED).detail


# --- history ---------------------------------------------------------------------------------------------------------


def test_a_correct_history_has_no_faults():
    assert faults(body()) == []
    assert faults(body(row(USER, source="mongo"), row(ASSISTANT))) == []
    assert faults({"items": body()["messages"]}) == []
    assert faults(body(last_persisted_at=None), before=[]) == []
    assert faults(body()["messages"]) == []
    assert missing_fields(body()) == []
    assert missing_fields([]) == ["counts", "last_persisted_at"]


@pytest.mark.parametrize(
    ("history", "fault"),
    [
        (body(row(USER), row(USER), row(ASSISTANT)), 'duplicate message_id "m-1" 2 times'),
        (
            body(row(USER), row(USER, message_id="m-9", source="mongo"), row(ASSISTANT)),
            "duplicates: a message of \"user\" 2 times with the same role, text and created_at, but different ids",
        ),
        (
            body(row(USER), row(USER, message_id=None, created_at="2026-03-02T14:00:00.000+02:00"), row(ASSISTANT)),
            'duplicates: a message of "user" 2 times',
        ),
        (
            body(row(USER), row(ASSISTANT, message_id="m-8", created_at="2026-03-02T12:00:00.005Z"),
                 row(ASSISTANT, message_id="m-9", created_at="2026-03-02T12:00:00.005123Z")),
            'duplicates: a message of "assistant" 2 times',
        ),
        (
            body(row(USER), row(USER, message_id="m-9", created_at="2026-03-02T12:00:01Z"), row(ASSISTANT)),
            "duplicates: the sent message 2 times",
        ),
        (body(row(ASSISTANT)), "the sent message is missing"),
        (body(row(USER)), '1 of 2 stored messages are missing, one of "assistant"'),
        (body(row(USER), row(ASSISTANT), row(USER, role=None)), "1 of 3 messages have no role or no text"),
        (body(*[row(USER, message_id=str(n), text=str(n)) for n in range(51)]), "51 messages, though limit was 50"),
        (body(row(USER, source="disk"), row(ASSISTANT)), 'source is "disk" instead of cache or mongo'),
        (body(counts={"cache": 1, "mongo": 1}), "counts are 1 cache, 1 mongo, but the messages are 2 cache, 0 mongo"),
        (body(counts={"cache": 2}), None),
        (body(counts={"cache": 2, "mongo": 0, "total": 3}), "counts.total is 3, but there are 2 messages"),
        (body(counts={"cache": -1, "mongo": "0"}), 'counts.cache is -1 and counts.mongo is "0" instead of a number'),
        (body(counts=[2, 0]), "counts is a list instead of an object"),
        (
            body(row(USER, source=None), row(ASSISTANT, source=None), counts={"cache": 1, "mongo": 0}),
            "counts are 1 cache, 0 mongo, but there are 2 messages, none with a source",
        ),
        (body(last_persisted_at=None), "last_persisted_at is null, though MongoDB has 2 messages"),
        (body(last_persisted_at="soon"), 'last_persisted_at is "soon", which is not a time'),
        (body(last_persisted_at=str(NOW - timedelta(seconds=1))), "earlier than the newest stored message"),
        (body(last_persisted_at=str(NOW + timedelta(minutes=1))), "which is in the future"),
        (body(last_persisted_at="2026-03-02T12:00:00Z"), None),
        (body(last_persisted_at="2026-03-02T12:00:00.005Z"), None),
        (body(last_persisted_at=(NOW + timedelta(milliseconds=5)).timestamp()), None),
        ({"data": []}, 'no list of messages under messages, items, history (found: "data")'),
        ("x", 'no list of messages under messages, items, history (found: "x")'),
    ],
)  # fmt: skip
def test_the_fault_of_a_history_is_described_and_no_other(history, fault):
    found = faults(history)
    assert len(found) == (fault is not None) or fault in found[0], found
    assert fault is None or fault in found[0]


def test_a_last_persisted_at_without_a_stored_message_is_a_fault():
    assert faults(body(), before=[]) == [
        f'last_persisted_at is "{NOW + timedelta(seconds=1)}", though MongoDB has no message of the session'
    ]
    assert faults(body(), before=[], after=[USER]) == []


@given(anything)
def test_any_history_has_a_verdict(history):
    assert all(isinstance(fault, str) for fault in [*faults(history), *missing_fields(history)])


# --- frames ----------------------------------------------------------------------------------------------------------


def missing(*frames: Any) -> list[str]:
    """Which of the two frames are not among these."""
    received = Frames()
    for frame in frames:
        received.add(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    return received.missing


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([{"type": "welcome"}, {"type": "status"}], []),
        ([{"event": "storage_status"}, {"kind": "Connected"}], []),
        ([{"welcome": {"to": "us"}}, {"mongo_status": "ok"}], []),
        ([{"status": "connected"}, {"status": "ready"}], []),
        ([{"type": "connection_status"}, {"type": "connection_status"}], []),
        ([{"type": "connection_status"}], ["status"]),
        ([{"type": "welcome", "status": "ok"}, {"type": "message", "status": "sent"}], ["status"]),
        ([{"type": "status"}, {"type": "status"}], ["welcome"]),
        ([{"type": "message"}], ["welcome", "status"]),
        ([{"type": "system", "message": "Hi", "session_status": "new"}, {"type": "status"}], []),
        ([{"type": "chat_meta"}], ["status"]),
        (["welcome", b"status", "[]", "{", {"type": 5}], ["welcome", "status"]),
        ([], ["welcome", "status"]),
    ],
)
def test_a_welcome_and_a_status_frame_are_two_frames(frames, expected):
    assert missing(*frames) == expected


@given(st.lists(anything | st.text() | st.binary(), max_size=12))
def test_any_frames_are_accepted(frames):
    received = Frames()
    for frame in frames:
        received.add(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    assert received.summary
    assert set(received.missing) <= {"welcome", "status"}


# --- all checks, without a real application ------------------------------------------------------------------------------------


@dataclass
class World:
    """A simulated application with its traces and its clock. `responses` are by path; `late` are writes that come later."""

    responses: dict[str, Any] = field(default_factory=dict)
    stored: list[tuple[str, FoundMessage]] = field(default_factory=list)
    journal: dict[str, list[FoundMessage]] = field(default_factory=dict)
    late: list[tuple[float, str, FoundMessage]] = field(default_factory=list)
    now: float = 0.0
    exists: bool = True
    folder: str = "journals"
    collection: str = "chat_messages"
    url: str = "http://made.up"
    records: bool = True
    stuck: Exception | None = None
    reads: int = 0
    duplicates_at_read: int = 0
    requests: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, *, seconds: float, query: Any = None, payload: Any = None) -> Response:
        """Record both roles of a message, then respond."""
        self.requests.append(f"{method} {path}")
        response = self.responses.get(path, Response(200, b'{"reply": "yes"}'))
        if isinstance(response, Exception):
            raise response
        if payload is not None and self.records:
            self.write(payload["session_id"], FoundMessage("user", payload["message"], NOW, "m-1"))
            self.write(payload["session_id"], FoundMessage("assistant", "yes", NOW, "m-2"))
        return response

    def write(self, session_id: str, message: FoundMessage) -> None:
        """Journal and store."""
        self.journal.setdefault(session_id, []).append(message)
        self.stored.append((session_id, message))

    @contextmanager
    def open_websocket(self, path: str, seconds: float) -> Any:
        """There is no WebSocket."""
        yield Response(404, b"")

    def without_secrets(self, text: str) -> str:
        """The text without the one secret."""
        return text.replace("Geheimnis", "***")

    def pause(self, seconds: float) -> None:
        """Advance the clock, and write what is due."""
        self.now += seconds
        for late in [late for late in self.late if late[0] <= self.now]:
            self.late.remove(late)
            self.write(*late[1:])

    def read(self, session_id: str) -> list[FoundMessage]:
        """Documents."""
        self.reads += 1
        if self.reads == self.duplicates_at_read:
            self.stored += self.stored[:1]
        return [message for name, message in self.stored if name == session_id]

    def remove(self, session_ids: Any) -> int:
        """Documents."""
        before = len(self.stored)
        self.stored = [(name, message) for name, message in self.stored if name not in session_ids]
        return before - len(self.stored)


class Journals:
    """The journals of a World."""

    def __init__(self, world: World) -> None:
        self.world, self.folder = world, world.folder

    @property
    def exists(self) -> bool:
        return self.world.exists

    def read(self, session_id: str) -> JournalledMessages:
        messages = self.world.journal.get(session_id, [])
        return JournalledMessages(int(bool(messages)), list(messages), 0)

    def remove(self, session_id: str) -> int:
        if self.world.stuck is not None:
            raise self.world.stuck
        return int(self.world.journal.pop(session_id, None) is not None)


def checked(world: World, *names: str, read_only: bool = False, log: LogTails | None = None) -> dict[str, CheckResult]:
    """The results of the checks, or of some, by name."""
    run = ApplicationRun(
        application=world,
        documents=lambda: world,
        journals=Journals(world),
        log=log,
        settings=ApplicationSettings(deadline_seconds=5.0),
        expected=EXPECTED,
        interval=0.1,
        read_only=read_only,
        token="abc",
        timer=lambda: world.now,
        pause=world.pause,
        clock=lambda: NOW,
    )
    checks = ApplicationChecks(run)
    return {result.name: result for result in run_checks(checks.select(checks.all(), names, []))}


def test_the_expected_log_lines_may_be_in_several_files(tmp_path: Path):
    paths = [tmp_path / "app.log", tmp_path / "worker.log"]
    lines = ["[CHAT CACHE] Recorded 1", "[CHAT WORKER] Flushed 2/2 chat messages to Mongo (3 ms)."]
    for number, path in enumerate(paths):
        path.touch()
        one = LogTails([LogTail(path)])
        path.write_text(lines[number] + "\n")
        result = checked(World(), "api-log", log=one)["api-log"]
        assert result.status is CheckStatus.FAIL
        assert "--log is repeatable" in (result.hint or "")
        path.write_text("")
    both = LogTails([LogTail(path) for path in paths])
    for path, line in zip(paths, lines, strict=True):
        path.write_text(line + "\n")
    result = checked(World(), "api-log", log=both)["api-log"]
    assert result.status is CheckStatus.PASS
    assert result.detail.endswith(f"in {paths[0]}, {paths[1]}")


def test_late_writes_are_removed_too():
    world = World(late=[(0.2, "verifier-abc", ASSISTANT), (0.35, "verifier-abc", USER)])
    results = checked(world, "api-mongo")
    assert results["api-cleanup"].status is CheckStatus.PASS
    assert results["api-cleanup"].detail == "removed 4 documents and 3 journals"
    assert (world.stored, world.journal) == ([], {})


def test_an_application_that_does_not_stop_writing_is_reported():
    world = World(late=[(number / 20, "verifier-abc", USER) for number in range(1000)])
    result = checked(world, "api-mongo")["api-cleanup"]
    assert result.status is CheckStatus.FAIL
    assert "the application is still writing for verifier-abc" in result.detail
    assert world.now < 15


def test_a_request_without_a_response_is_waited_for_and_reported():
    slow = Overdue(what="POST /api/chat: no answer", hint="wait")
    world = World(responses={"/api/chat": slow}, late=[(8.0, "verifier-abc", USER)])
    results = checked(world, "api-chat")
    assert results["api-chat"].status is CheckStatus.FAIL
    assert results["api-cleanup"].status is CheckStatus.WARN
    assert "the application may still write an answer for verifier-abc" in results["api-cleanup"].detail
    world.pause(60)
    assert (world.stored, world.journal) == ([], {})


@pytest.mark.parametrize(
    "error",
    [Locked(what="journals/a.jsonl", holder="another"), PermissionError(13, "Permission denied", "journals/a.jsonl")],
)
def test_a_journal_that_cannot_be_removed_is_reported(error):
    result = checked(World(stuck=error), "api-chat")["api-cleanup"]
    assert result.status is CheckStatus.FAIL
    assert "left: the journal of verifier-abc (journals/a.jsonl" in result.detail


def test_journals_on_another_machine_are_reported_as_left():
    results = checked(World(exists=False), "api-journal", "api-worker")
    assert results["api-journal"].status is CheckStatus.SKIP
    assert results["api-worker"].status is CheckStatus.PASS
    assert results["api-cleanup"].status is CheckStatus.WARN
    assert "no journal of verifier-abc was in journals" in results["api-cleanup"].detail


@pytest.mark.parametrize(
    ("exists", "expected"),
    [
        (True, "1 of 2 journalled messages of session verifier-abc is stored more than once"),
        (False, "the sent message was found 2 times"),
    ],
)
def test_a_message_that_is_stored_again_later_is_found_with_and_without_journals(exists, expected):
    results = checked(World(exists=exists, duplicates_at_read=3), "api-mongo", "api-worker")
    assert results["api-mongo"].status is CheckStatus.PASS
    assert expected in results["api-worker"].detail


def test_a_request_that_never_arrived_leaves_nothing_to_remove():
    world = World(responses={"/api/chat": Unreachable(what="gone", hint="check")})
    assert checked(world, "api-chat")["api-cleanup"].detail == "nothing was sent, so there is nothing to remove"


def test_results_contain_no_secret():
    world = World(
        responses={"/api/chat": Response(500, b"Geheimnis"), "/api/storage/status": Response(200, b'["Geheimnis"]')}
    )
    results = repr(checked(world))
    assert "Geheimnis" not in results
    assert "returned status 500: ***" in results


@pytest.mark.parametrize(
    ("reply", "has_reply"),
    [
        ({"reply": "yes"}, True),
        ({"messages": [{"role": "user"}, {"role": "assistant", "text": "yes"}]}, True),
        ({"message": {"role": "assistant", "content": "yes"}}, True),
        ({"message": "recorded"}, False),
        ({"reply": ""}, False),
        ({"reply": None}, False),
        ([{"role": "assistant"}], False),
        ("yes", False),
        (None, False),
    ],
)
def test_an_assistants_message_is_expected_if_the_response_has_one(reply, has_reply):
    world = World(responses={"/api/chat": Response(200, json.dumps(reply).encode())}, records=False)
    world.late = [
        (
            0.1,
            "verifier-abc",
            FoundMessage("user", "Hello from chatstore verify abc-1: nothing is to be done. Grüße 👋"),
        )
    ]
    results = checked(world, "api-mongo")
    assert results["api-mongo"].status is (CheckStatus.FAIL if has_reply else CheckStatus.PASS)


@given(anything)
def test_any_response_has_a_verdict(content):
    responses = dict.fromkeys(
        ("/api/chat", "/api/storage/status", "/api/chat/history"), Response(200, json.dumps(content).encode())
    )
    results = checked(World(responses=responses))
    assert results["api-cleanup"].status in (CheckStatus.PASS, CheckStatus.WARN, CheckStatus.FAIL)


def test_read_only_requests_only_the_status():
    world = World()
    results = checked(world, read_only=True)
    assert world.requests == ["HEAD /", "GET /api/storage/status"]
    assert results["api-history"].status is CheckStatus.SKIP
