"""What is made of what an application answers, whatever that is."""

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
from chatstore_cli.core.verify.application.history import history_faults, history_remarks
from chatstore_cli.core.verify.application.run import ApplicationRun, Sent, brief, faults_of, read_json
from chatstore_cli.core.verify.application.status import status_verdict
from chatstore_cli.core.verify.application.websocket import Frames
from chatstore_cli.core.verify.checklist import run_checks
from chatstore_cli.domain.checked_application import Answer, ApplicationSettings, JournalledTurns, Turn
from chatstore_cli.domain.checks import CheckResult, CheckStatus
from chatstore_cli.domain.errors import ChatstoreError, Locked, Overdue, Unreachable
from chatstore_cli.files.log_tail import LogTail, LogTails

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SENT = Sent("verifier-1", "Hello 1: Grüße", 0.0, "POST")
USER = Turn("user", SENT.text, NOW, "m-1")
ASSISTANT = Turn("assistant", "You said: " + SENT.text, NOW + timedelta(milliseconds=5), "m-2")
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


def row(turn: Turn, **others: Any) -> dict[str, Any]:
    """A turn as an application tells it."""
    told = {"message_id": turn.message_id, "role": turn.role, "text": turn.text, "source": "cache"}
    return {**told, "created_at": str(turn.created_at), **others}


def body(*rows: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A history that is as it should be, but for `others`."""
    rows = rows or (row(USER), row(ASSISTANT))
    counts = {name: sum(one["source"] == name for one in rows) for name in ("cache", "mongo")}
    return {"messages": list(rows), "counts": counts, "last_persisted_at": str(NOW + timedelta(seconds=1)), **others}


def faults(told: Any, before: list[Turn] | None = None, after: list[Turn] | None = None) -> list[str]:
    """What is wrong with a history."""
    before = [USER, ASSISTANT] if before is None else before
    return list(history_faults(told, SENT, before, before if after is None else after, NOW + timedelta(seconds=2)))


# --- traces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([USER, ASSISTANT], []),
        ([ASSISTANT, USER], []),
        ([], ["nothing of session verifier-1"]),
        ([USER], ["the assistant's message is missing"]),
        ([ASSISTANT], ["the user's message is missing"]),
        ([USER, USER, ASSISTANT], ["the message that was sent is there 2 times"]),
        ([USER._replace(role="human"), ASSISTANT], ['the message that was sent has the role "human" instead of \'user\'']),
        ([USER._replace(text="Hello 1: Gr??e"), ASSISTANT], ['the text was changed: "Hello 1: Gr??e" instead of "Hello 1: Grüße"']),
        ([USER, Turn("assistant", "yes", NOW), Turn("assistant", "yes", NOW)], ["a message of assistant is there 2 times"]),
        ([USER, Turn("assistant", "yes", NOW), Turn("assistant", "yes", None)], []),
        ([USER, ASSISTANT, ASSISTANT._replace(message_id="m-3")], ["a message of assistant is there 2 times"]),
        ([USER._replace(text=f"  {SENT.text}\n"), ASSISTANT], []),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_traces_of_a_message_is_named(turns, told):
    assert faults_of(turns, SENT, ("user", "assistant")) == told


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(302, b"", "http://b"), r"is redirected to http://b \(302\)"),
        (Answer(304, b""), r"is redirected \(304\)"),
        (Answer(401, b"no"), r"is not allowed \(401\)"),
        (Answer(422, b'{"detail":  "field\n required"}'), 'answered with 422: {"detail": "field required"}'),
        (Answer(503, b"x" * 1000), "answered with 503: x{120}…"),
        (Answer(100, b""), r"answered with 100 \(nothing\)"),
        (Answer(200, b"\xff"), "not with JSON"),
        (Answer(200, b"[" * 100_000), "not with JSON"),
        (Answer(200, b"9" * 100_000), "not with JSON"),
    ],
)
def test_an_answer_that_is_none_is_named(answer, told):
    with pytest.raises(ChatstoreError, match=told) as raised:
        read_json(answer, "GET /x")
    assert raised.value.hint
    assert len(raised.value.message) < 250


@given(anything)
def test_any_value_is_told_in_a_few_words(value):
    assert 0 < len(brief(value)) < 800


# --- status ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "status", "detail"),
    [
        ({"mongo": {"status": "ok"}, "cache": {"ttl_days": 30}}, "pass", "as configured: cache.ttl_days"),
        ({"mongo": {"status": "ok", "cache": {"ttl_days": 30.0}}}, "pass", "mongo.cache.ttl_days"),
        ({"mongo": {"status": "ok"}}, "warn", "no setting of the cache is reported"),
        ({"mongo": {"status": "OK"}}, "fail", 'mongo.status is "OK" instead of "ok"'),
        ({"mongo": {"status": ["ok"]}}, "fail", "mongo.status is a list"),
        ({"mongo": {"status": "down", "error": "no primary"}}, "fail", 'instead of "ok": "no primary"'),
        ({"mongo": {}}, "fail", "there is no mongo.status"),
        ({"mongo": "ok"}, "fail", "no object mongo (its keys are \"mongo\")"),
        ([], "fail", "no object mongo, but is a list"),
        ({"mongo": {"status": "ok", "ttl_days": "30"}}, "fail", 'mongo.ttl_days is "30" there and 30 here'),
        ({"mongo": {"status": "ok", "ttl_days": True}}, "fail", "mongo.ttl_days is true there and 30 here"),
        ({"mongo": {"status": "ok", "ttl_days": None}}, "fail", "mongo.ttl_days is null there and 30 here"),
        (
            {"mongo": {"status": "ok", "database": "b"}, "cache": {"deep": {"fsync": "always"}}},
            "fail",
            'mongo.database is "b" there and "chats" here; cache.deep.fsync is "always" there and "never" here',
        ),
    ],
)  # fmt: skip
def test_a_status_is_compared_with_the_configuration(told, status, detail):
    verdict = status_verdict(told, EXPECTED)
    assert verdict.status == status
    assert detail in verdict.detail


def test_true_is_not_one_and_one_is_not_true():
    told = {"mongo": {"status": "ok", "ttl_days": True}, "cache": {"journaled": 1}}
    detail = status_verdict(told, {"ttl_days": 1, "journaled": True}).detail
    assert detail == "mongo.ttl_days is true there and 1 here; cache.journaled is 1 there and true here"


@pytest.mark.parametrize(
    ("there", "here", "same"),
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
def test_a_relative_folder_may_be_told_as_an_absolute_one(there, here, same):
    from pathlib import PurePosixPath

    told = {"mongo": {"status": "ok"}, "cache": {"disk_path": there}}
    verdict = status_verdict(told, {"disk_path": PurePosixPath(here)})
    assert verdict.status == ("pass" if same else "fail"), verdict


@given(anything)
def test_any_status_is_judged(told):
    assert status_verdict(told, EXPECTED).detail


# --- history ---------------------------------------------------------------------------------------------------------


def test_a_history_as_it_should_be_has_no_faults():
    assert faults(body()) == []
    assert faults(body(row(USER, source="mongo"), row(ASSISTANT))) == []
    assert faults({"items": body()["messages"]}) == []
    assert faults(body(last_persisted_at=None), before=[]) == []
    assert faults(body()["messages"]) == []
    assert list(history_remarks(body())) == []
    assert list(history_remarks([])) == ["no counts is told", "no last_persisted_at is told"]


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (body(row(USER), row(USER), row(ASSISTANT)), 'doubled: message_id "m-1" 2 times'),
        (
            body(row(USER), row(USER, message_id="m-9", source="mongo"), row(ASSISTANT)),
            "doubled: a message of \"user\" 2 times with the same role, text and created_at, under ids of their own",
        ),
        (
            body(row(USER), row(USER, message_id=None, created_at="2026-03-02T14:00:00.000+02:00"), row(ASSISTANT)),
            'doubled: a message of "user" 2 times',
        ),
        (
            body(row(USER), row(ASSISTANT, message_id="m-8", created_at="2026-03-02T12:00:00.005Z"),
                 row(ASSISTANT, message_id="m-9", created_at="2026-03-02T12:00:00.005123Z")),
            'doubled: a message of "assistant" 2 times',
        ),
        (
            body(row(USER), row(USER, message_id="m-9", created_at="2026-03-02T12:00:01Z"), row(ASSISTANT)),
            "doubled: the message that was sent is told 2 times",
        ),
        (body(row(ASSISTANT)), "the message that was sent is missing"),
        (body(row(USER)), '1 of 2 stored messages are missing, one of "assistant"'),
        (body(row(USER), row(ASSISTANT), row(USER, role=None)), "1 of 3 messages have no role or no text"),
        (body(*[row(USER, message_id=str(n), text=str(n)) for n in range(51)]), "51 messages, though limit was 50"),
        (body(row(USER, source="disk"), row(ASSISTANT)), 'source is "disk" instead of cache or mongo'),
        (body(counts={"cache": 1, "mongo": 1}), "counts are 1 cache, 1 mongo, and the messages told are 2 cache, 0 mongo"),
        (body(counts={"cache": 2}), None),
        (body(counts={"cache": 2, "mongo": 0, "total": 3}), "counts.total is 3, and 2 messages are told"),
        (body(counts={"cache": -1, "mongo": "0"}), 'counts.cache is -1 and counts.mongo is "0" instead of a number'),
        (body(counts=[2, 0]), "counts is a list instead of an object"),
        (
            body(row(USER, source=None), row(ASSISTANT, source=None), counts={"cache": 1, "mongo": 0}),
            "counts are 1 cache, 0 mongo, and 2 messages are told, none with a source",
        ),
        (body(last_persisted_at=None), "last_persisted_at is null, though MongoDB has 2 messages"),
        (body(last_persisted_at="soon"), 'last_persisted_at is "soon", which is no time'),
        (body(last_persisted_at=str(NOW - timedelta(seconds=1))), "last_persisted_at is stale: "),
        (body(last_persisted_at=str(NOW + timedelta(minutes=1))), "which is in the future"),
        (body(last_persisted_at="2026-03-02T12:00:00Z"), None),
        (body(last_persisted_at="2026-03-02T12:00:00.005Z"), None),
        (body(last_persisted_at=(NOW + timedelta(milliseconds=5)).timestamp()), None),
        ({"data": []}, 'no list of messages under messages, items, history (there is: "data")'),
        ("x", 'no list of messages under messages, items, history (there is: "x")'),
    ],
)  # fmt: skip
def test_a_fault_of_a_history_is_named_and_no_other(told, fault):
    found = faults(told)
    assert len(found) == (fault is not None) or fault in found[0], found
    assert fault is None or fault in found[0]


def test_a_last_persisted_at_of_what_is_not_stored_is_a_fault():
    assert faults(body(), before=[]) == [
        f'last_persisted_at is "{NOW + timedelta(seconds=1)}", though MongoDB has no message of the session'
    ]
    assert faults(body(), before=[], after=[USER]) == []


@given(anything)
def test_any_history_is_judged(told):
    assert all(isinstance(fault, str) for fault in [*faults(told), *history_remarks(told)])


# --- frames ----------------------------------------------------------------------------------------------------------


def missing(*frames: Any) -> list[str]:
    """Which of the wanted frames are not among these."""
    taken = Frames()
    for frame in frames:
        taken.add(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    return taken.missing


@pytest.mark.parametrize(
    ("frames", "lacking"),
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
        (["welcome", b"status", "[]", "{", {"type": 5}], ["welcome", "status"]),
        ([], ["welcome", "status"]),
    ],
)
def test_a_welcome_and_a_status_frame_are_two_frames(frames, lacking):
    assert missing(*frames) == lacking


@given(st.lists(anything | st.text() | st.binary(), max_size=12))
def test_any_frames_are_taken(frames):
    taken = Frames()
    for frame in frames:
        taken.add(frame if isinstance(frame, str | bytes) else json.dumps(frame))
    assert taken.told
    assert set(taken.missing) <= {"welcome", "status"}


# --- the whole, with nothing real ------------------------------------------------------------------------------------


@dataclass
class World:
    """An application with its traces, and the time, all made up; `answers` are by path, `late` writes come later."""

    answers: dict[str, Any] = field(default_factory=dict)
    stored: list[tuple[str, Turn]] = field(default_factory=list)
    journal: dict[str, list[Turn]] = field(default_factory=dict)
    late: list[tuple[float, str, Turn]] = field(default_factory=list)
    now: float = 0.0
    is_there: bool = True
    folder: str = "journals"
    where: str = "chat_messages"
    url: str = "http://made.up"
    records: bool = True
    stuck: Exception | None = None
    looks: int = 0
    doubles_at_look: int = 0
    asked: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, *, seconds: float, query: Any = None, payload: Any = None) -> Answer:
        """Answer, after having recorded both roles of a message."""
        self.asked.append(f"{method} {path}")
        answer = self.answers.get(path, Answer(200, b'{"reply": "yes"}'))
        if isinstance(answer, Exception):
            raise answer
        if payload is not None and self.records:
            self.write(payload["session_id"], Turn("user", payload["message"], NOW, "m-1"))
            self.write(payload["session_id"], Turn("assistant", "yes", NOW, "m-2"))
        return answer

    def write(self, session_id: str, turn: Turn) -> None:
        """Journal and store."""
        self.journal.setdefault(session_id, []).append(turn)
        self.stored.append((session_id, turn))

    @contextmanager
    def converse(self, path: str, seconds: float) -> Any:
        """There is no WebSocket."""
        yield Answer(404, b"")

    def without_secrets(self, text: str) -> str:
        """There is one."""
        return text.replace("Geheimnis", "***")

    def pause(self, seconds: float) -> None:
        """Time goes on, and what comes late comes."""
        self.now += seconds
        for late in [late for late in self.late if late[0] <= self.now]:
            self.late.remove(late)
            self.write(*late[1:])

    def read(self, session_id: str) -> list[Turn]:
        """Documents."""
        self.looks += 1
        if self.looks == self.doubles_at_look:
            self.stored += self.stored[:1]
        return [turn for name, turn in self.stored if name == session_id]

    def remove(self, session_ids: Any) -> int:
        """Documents."""
        before = len(self.stored)
        self.stored = [(name, turn) for name, turn in self.stored if name not in session_ids]
        return before - len(self.stored)


class Journals:
    """The journals of a World."""

    def __init__(self, world: World) -> None:
        self.world, self.folder = world, world.folder

    @property
    def is_there(self) -> bool:
        return self.world.is_there

    def read(self, session_id: str) -> JournalledTurns:
        turns = self.world.journal.get(session_id, [])
        return JournalledTurns(int(bool(turns)), list(turns), 0)

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
    chosen = checks.chosen(checks.all(), names, [])
    return {result.name: result for result in run_checks(chosen)}


def test_what_a_log_is_to_say_may_stand_in_several_of_them(tmp_path: Path):
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


def test_what_comes_late_is_removed_too():
    world = World(late=[(0.2, "verifier-abc", ASSISTANT), (0.35, "verifier-abc", USER)])
    results = checked(world, "api-mongo")
    assert results["api-cleanup"].status is CheckStatus.PASS
    assert results["api-cleanup"].detail == "removed: 4 documents and 3 journals"
    assert (world.stored, world.journal) == ([], {})


def test_what_goes_on_being_written_is_named_in_the_end():
    world = World(late=[(number / 20, "verifier-abc", USER) for number in range(1000)])
    result = checked(world, "api-mongo")["api-cleanup"]
    assert result.status is CheckStatus.FAIL
    assert "the application goes on writing for verifier-abc" in result.detail
    assert world.now < 15


def test_a_request_that_was_not_answered_is_waited_for_and_said():
    slow = Overdue(what="POST /api/chat: no answer", hint="wait")
    world = World(answers={"/api/chat": slow}, late=[(8.0, "verifier-abc", USER)])
    results = checked(world, "api-chat")
    assert results["api-chat"].status is CheckStatus.FAIL
    assert results["api-cleanup"].status is CheckStatus.WARN
    assert "the application may yet write: an answer for verifier-abc" in results["api-cleanup"].detail
    world.pause(60)
    assert (world.stored, world.journal) == ([], {})


@pytest.mark.parametrize(
    "error",
    [Locked(what="journals/a.jsonl", holder="another"), PermissionError(13, "Permission denied", "journals/a.jsonl")],
)
def test_a_journal_that_cannot_be_removed_is_named(error):
    result = checked(World(stuck=error), "api-chat")["api-cleanup"]
    assert result.status is CheckStatus.FAIL
    assert "left are the journal of verifier-abc (journals/a.jsonl" in result.detail


def test_journals_that_are_on_another_machine_are_said_to_be_left():
    results = checked(World(is_there=False), "api-journal", "api-worker")
    assert results["api-journal"].status is CheckStatus.SKIP
    assert results["api-worker"].status is CheckStatus.PASS
    assert results["api-cleanup"].status is CheckStatus.WARN
    assert "no journal of verifier-abc was in journals" in results["api-cleanup"].detail


@pytest.mark.parametrize(
    ("is_there", "told"),
    [
        (True, "1 of 2 journalled messages of session verifier-abc is stored once too often"),
        (False, "the message that was sent is there 2 times"),
    ],
)
def test_a_message_that_is_stored_again_later_is_noticed_with_and_without_journals(is_there, told):
    results = checked(World(is_there=is_there, doubles_at_look=3), "api-mongo", "api-worker")
    assert results["api-mongo"].status is CheckStatus.PASS
    assert told in results["api-worker"].detail


def test_a_request_that_never_got_there_leaves_nothing_to_remove():
    world = World(answers={"/api/chat": Unreachable(what="gone", hint="check")})
    assert checked(world, "api-chat")["api-cleanup"].detail == "nothing was sent, so there is nothing to remove"


def test_what_is_told_holds_no_secret():
    world = World(
        answers={"/api/chat": Answer(500, b"Geheimnis"), "/api/storage/status": Answer(200, b'["Geheimnis"]')}
    )
    told = repr(checked(world))
    assert "Geheimnis" not in told
    assert "answered with 500: ***" in told


@pytest.mark.parametrize(
    ("told", "roles"),
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
def test_an_assistants_message_is_demanded_where_the_answer_has_one(told, roles):
    world = World(answers={"/api/chat": Answer(200, json.dumps(told).encode())}, records=False)
    world.late = [
        (0.1, "verifier-abc", Turn("user", "Hello from chatstore verify abc-1: nothing is to be done. Grüße 👋"))
    ]
    results = checked(world, "api-mongo")
    assert results["api-mongo"].status is (CheckStatus.FAIL if roles else CheckStatus.PASS)


@given(anything)
def test_any_answer_is_judged(told):
    answers = dict.fromkeys(
        ("/api/chat", "/api/storage/status", "/api/chat/history"), Answer(200, json.dumps(told).encode())
    )
    results = checked(World(answers=answers))
    assert results["api-cleanup"].status in (CheckStatus.PASS, CheckStatus.WARN, CheckStatus.FAIL)


def test_reading_only_asks_for_the_status_alone():
    world = World()
    results = checked(world, read_only=True)
    assert world.asked == ["HEAD /", "GET /api/storage/status"]
    assert results["api-history"].status is CheckStatus.SKIP
