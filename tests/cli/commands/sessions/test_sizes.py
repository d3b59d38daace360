"""`chatstore sessions sizes` and `split`: large documents are found, foretold and made smaller."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatstore_cli.core.segments.splitting import growth_of, reads_the_same
from chatstore_cli.domain.byte_sizes import format_bytes, read_bytes
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.segments import DocumentSize, Growth
from chatstore_cli.domain.session import Session, SessionStatus
from tests.support.mongod import poll

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
KIBIBYTE = "x" * 1_000


def messages(count: int, *, hours: float = 1.0, padding: str = KIBIBYTE) -> list[dict[str, Any]]:
    """So many messages of a good kilobyte, one an hour."""
    return [
        {
            "role": "user",
            "content": f"{number} {padding}",
            "event_id": f"e{number}",
            "sequence": number,
            "timestamp": FIRST + timedelta(hours=hours * number),
        }
        for number in range(count)
    ]


def rows(outcome: Any) -> list[dict[str, Any]]:
    """The items of -o json."""
    assert outcome.code == 0, outcome.err
    return list(json.loads(outcome.out)["items"])


def histories(chatstore: Any, *names: str) -> list[str]:
    """What `resume` gives of each session."""
    return [chatstore("resume", name, "--as", "jsonl").out for name in names]


@pytest.mark.real
def test_sizes_lists_large_documents_and_when_they_are_full(chatstore: Any, database: Any) -> None:
    database.chat_sessions.insert_many(
        [
            {"chat_id": "small", "enterprise_id": "acme", "messages": messages(2), "status": 0},
            {"_id": "large", "app_id": "acme", "messages": messages(49, hours=1), "status": 0},
            {"chat_id": "ended", "messages": messages(8), "status": 1},
            {"chat_id": "undated", "messages": [{"content": KIBIBYTE * 9}] * 2},
            {"chat_id": "empty", "messages": None},
        ]
    )
    chatstore("sessions", "split", "large", "--keep", "30kB", "--yes")
    found = rows(chatstore("sessions", "sizes", "-o", "json"))
    assert [row["session_id"] for row in found] == ["large", "undated", "ended", "small", "empty"]
    large = found[0]
    assert (large["message_count"], large["segments"], large["tenant_id"], large["status"]) == (
        49,
        1,
        "acme",
        "running",
    )
    assert 22 <= large["messages_in_document"] <= 27 and 22_000 < large["size_bytes"] < 30_000
    assert large["last_message_at"] == "2026-03-03T00:00:00Z"
    age = (datetime.now(UTC) - datetime.fromisoformat(large["first_message_at"])) / timedelta(days=1)
    assert large["bytes_per_day"] == pytest.approx(large["size_bytes"] / age, rel=0.01, abs=1)
    days = (datetime.fromisoformat(large["full_at"]) - datetime.now(UTC)) / timedelta(days=1)
    assert days == pytest.approx(((16 << 20) / large["size_bytes"] - 1) * age, rel=0.01)
    assert [row["full_at"] is None for row in found] == [False, True, True, True, True]
    assert [row["session_id"] for row in rows(chatstore("sessions", "sizes", "--over", "15kB", "-o", "json"))] == [
        "large",
        "undated",
    ]
    table = {line.split()[0]: line.split() for line in chatstore("sessions", "sizes").out.splitlines()}
    assert "KiB" in table["large"] and "unknown" in table["undated"]
    assert table["ended"][-1] == "-"


@pytest.mark.real
def test_split_plans_then_moves_and_the_session_reads_the_same(chatstore: Any, database: Any) -> None:
    database.chat_sessions.insert_many(
        [
            {"chat_id": "a", "messages": messages(100)},
            {"_id": "c", "status": 0, "messages": messages(80)},
            {"chat_id": "small", "messages": messages(3)},
        ]
    )
    before = histories(chatstore, "a", "c", "small")
    refused = chatstore("sessions", "split", "--over", "40kB")
    assert refused.code == 2 and refused.out == ""
    assert "Session 'a'" in refused.err and "100 messages" in refused.err and "'c'" in refused.err
    assert "small" not in refused.err and "--yes" in refused.err
    assert database.chat_session_segments.count_documents({}) == 0
    done = rows(chatstore("sessions", "split", "--over", "40kB", "--yes", "-o", "json"))
    assert [(row["session_id"], row["message_count"], row["reads_the_same"]) for row in done] == [
        ("a", 100, True),
        ("c", 80, True),
    ]
    assert all(row["size_bytes"] <= 20_000 and row["segments_added"] >= 1 for row in done)
    assert histories(chatstore, "a", "c", "small") == before
    listed = rows(chatstore("sessions", "list", "-o", "json"))
    assert {row["session_id"]: row["message_count"] for row in listed} == {"a": 100, "c": 80, "small": 3}
    again = chatstore("sessions", "split", "a")
    assert again.code == 0 and "no message needs to be moved" in again.err


@pytest.mark.real
def test_split_while_an_application_appends_loses_none_of_its_messages(chatstore: Any, database: Any) -> None:
    database.chat_sessions.insert_one({"chat_id": "a", "messages": messages(3_000)})
    stop = threading.Event()
    pushed = [3_000]

    def append() -> None:
        while not stop.wait(0.002):
            entry = {"role": "user", "content": f"late {pushed[0]}"}
            database.chat_sessions.update_one({"chat_id": "a"}, {"$push": {"messages": entry}})
            pushed[0] += 1

    thread = threading.Thread(target=append)
    thread.start()
    try:
        (done,) = rows(chatstore("sessions", "split", "a", "--keep", "200kB", "--yes", "-o", "json"))
    finally:
        stop.set()
        thread.join()
    assert done["reads_the_same"] and 3_000 <= done["message_count"] <= pushed[0]
    told = [json.loads(line)["content"].split(" x")[0] for line in histories(chatstore, "a")[0].splitlines()]
    assert told == [*map(str, range(3_000)), *(f"late {number}" for number in range(3_000, pushed[0]))]


@pytest.mark.real
def test_a_document_that_cannot_be_split_is_reported_and_does_not_stop_the_others(
    chatstore: Any, database: Any
) -> None:
    database.chat_sessions.insert_many(
        [
            {"chat_id": "first", "messages": messages(90)},
            {"_id": 5.5, "messages": messages(80)},
            {"_id": {"no": "text"}, "messages": messages(75)},
            {"_id": "shadowed", "messages": messages(70)},
            {"_id": 1, "chat_id": "shadowed", "messages": messages(60)},
            {"_id": "foreign", "last_segment": 0, "messages": messages(50)},
            {"_id": "last", "messages": messages(40)},
        ]
    )
    database.chat_session_segments.insert_one({"_id": "foreign:1", "messages": []})
    names = ["first", "last"]
    before = histories(chatstore, *names)
    outcome = chatstore("sessions", "split", "--over", "30kB", "--yes", "-o", "json")
    assert outcome.code == 1
    found = [(row["session_id"], row["result"], row["messages_moved"] > 0) for row in json.loads(outcome.out)["items"]]
    assert found == [
        ("first", "done", True),
        ("5.5", "done", True),
        ("{'no': 'text'}", "failed", False),
        ("shadowed", "failed", False),
        ("shadowed", "done", True),
        ("foreign", "failed", False),
        ("last", "done", True),
    ]
    told = [line for line in outcome.err.splitlines() if "was not split" in line]
    assert len(told) == 3
    assert "No session" in told[0] and "Another document has the same id (1)" in told[1]
    assert "did not write" in told[2]
    assert histories(chatstore, *names) == before
    assert len(database.chat_sessions.find_one({"_id": "shadowed"})["messages"]) == 70
    named = chatstore("sessions", "split", "foreign", "--keep", "10kB", "--yes", "-o", "json")
    assert named.code == 8 and json.loads(named.out)["items"] == []


@pytest.mark.real
def test_an_interrupt_reports_the_finished_documents_and_the_next_run_continues(
    chatstore: Any, database: Any, fail_point: Any
) -> None:
    database.chat_sessions.insert_many(
        [{"_id": f"s{number}", "messages": messages(60 - number)} for number in range(3)]
    )
    slow = {"blockConnection": True, "blockTimeMS": 4_000, "namespace": f"{database.name}.chat_session_segments"}
    inserting = {"command.insert": "chat_session_segments", "command.$db": database.name}
    with fail_point(["insert"], skip=1, appName="chatstore", **slow):
        process = chatstore.popen("sessions", "split", "--over", "30kB", "--keep", "20kB", "--yes", "-o", "jsonl")
        poll(lambda: (database.chat_sessions.find_one({"_id": "s0"}) or {}).get("last_segment") == 1)
        poll(lambda: database.client.admin.command("currentOp", **inserting)["inprog"])
        process.send_signal(signal.SIGINT)
        out, err = (text.decode() for text in process.communicate(timeout=120))
    assert process.returncode == 130
    assert [json.loads(line)["result"] for line in out.splitlines()] == ["done"]
    assert "1 of 3 documents are done. Run the same command again to continue." in err
    rest = rows(chatstore("sessions", "split", "--over", "30kB", "--keep", "20kB", "--yes", "-o", "json"))
    assert {row["reads_the_same"] for row in rest} == {True}


@pytest.mark.real
def test_deleting_a_session_deletes_its_segments_too(chatstore: Any, database: Any) -> None:
    database.chat_sessions.insert_one({"chat_id": "a", "messages": messages(60)})
    database.chat_session_segments.insert_one({"_id": "a:b:1", "messages": []})
    chatstore("sessions", "split", "a", "--keep", "10kB", "--yes")
    assert database.chat_session_segments.count_documents({"chat_id": "a"}) > 0
    deleted = chatstore("sessions", "delete", "a", "--yes")
    assert deleted.code == 0
    assert database.chat_session_segments.distinct("_id") == ["a:b:1"]
    assert database.chat_sessions.count_documents({}) == 0


@pytest.mark.real
def test_general_chats_are_measured_and_split_too(chatstore: Any, database: Any) -> None:
    owner = {"app_id": "acme", "user_id": "ana", "status": 0}
    database.chat_sessions.insert_many(
        [{"chat_id": "w", "messages": messages(50)}, {"chat_id": "both", "messages": messages(2)}]
    )
    general = [{"_id": "g", "messages": messages(70)}, {"_id": "both", "messages": messages(2)}]
    database.GeneralChatSessions.insert_many([{**each, **owner, "chat_id": each["_id"]} for each in general])

    listed = rows(chatstore("sessions", "sizes", "--over", "40kB", "-o", "json"))
    assert [(row["session_id"], row["layout"]) for row in listed] == [("g", "general"), ("w", "workflow")]
    listed = rows(chatstore("sessions", "sizes", "--layout", "general", "-o", "json"))
    assert [row["session_id"] for row in listed] == ["g", "both"]
    largest = rows(chatstore("sessions", "sizes", "--limit", "1", "-o", "json"))
    assert [row["session_id"] for row in largest] == ["g"]

    refused = chatstore("sessions", "split", "both", "--keep", "1kB", "--yes")
    assert refused.code == 8
    assert "is in the layouts workflow and general. Choose one: --layout workflow." in refused.err

    before = histories(chatstore, "g", "w")
    done = rows(chatstore("sessions", "split", "--over", "40kB", "--yes", "-o", "json"))
    moved = [(row["session_id"], row["layout"], row["reads_the_same"], row["result"]) for row in done]
    assert moved == [("g", "general", True, "done"), ("w", "workflow", True, "done")]
    assert histories(chatstore, "g", "w") == before
    assert database.general_chat_segments.distinct("chat_id") == ["g"]
    assert database.chat_session_segments.distinct("chat_id") == ["w"]
    one = rows(chatstore("sessions", "split", "both", "--layout", "general", "--keep", "1kB", "--yes", "-o", "json"))
    assert [(row["layout"], row["segments_added"]) for row in one] == [("general", 1)]
    assert database.general_chat_segments.distinct("chat_id") == ["both", "g"]


@pytest.mark.real
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody"], 3, "No session 'nobody' in workflow or general"),
        ([], 2, "Name one session"),
        (["a", "--over", "1MiB"], 2, "Name one session"),
        (["a", "--layout", "threads"], 2, "--layout: 'threads' is not a layout whose documents grow"),
        (["--over", "large"], 2, "a size such as 8MiB"),
        (["a", "--read-only"], 4, "--read-only"),
    ],
)
def test_split_rejects_invalid_arguments(chatstore: Any, arguments: list[str], code: int, words: str) -> None:
    outcome = chatstore("sessions", "split", *arguments)
    assert outcome.code == code and words in outcome.err and outcome.out == ""


def test_a_session_that_reads_differently_is_reported() -> None:
    def message(number: int, text: str = "hello") -> Message:
        return Message("a", "user", text, f"e{number}", number)

    from chatstore_cli.core.segments.splitting import _digests

    stored = [message(number) for number in range(5)]
    seen = [digest for digest, _ in _digests(stored)]
    late = message(9, "late")
    same_text = Message("a", "user", "ok")
    assert reads_the_same(seen, stored) == 5
    assert reads_the_same(seen, [*stored, late]) == 6
    assert reads_the_same(seen, [*stored[:3], late, *stored[3:]]) == 6
    assert reads_the_same([seen_of(same_text)], [same_text, same_text]) == 2
    assert reads_the_same([], []) == 0
    for wrong in (
        stored[1:],
        stored[:4],
        [*stored, stored[0]],
        [stored[0], *stored],
        [*stored[:2], stored[3], stored[2], stored[4]],
        [*stored[:4], message(4, "edited")],
        [],
    ):
        assert reads_the_same(seen, wrong) < 0


def seen_of(message: Message) -> bytes:
    """What a message is known by."""
    from chatstore_cli.core.segments.splitting import _digests

    return next(_digests([message]))[0]


def test_growth_is_measured_up_to_now_and_shown_only_if_it_is_known() -> None:
    def growth(
        size: int, age: timedelta, count: int = 9, status: SessionStatus = SessionStatus.RUNNING, last: Any = FIRST
    ) -> Any:
        document = DocumentSize(Session("a", "workflow", status=status), size, count, 0, FIRST, last)
        return growth_of(document, FIRST + age)

    day = timedelta(days=1)
    assert growth(1 << 20, day).full_at == FIRST + timedelta(days=16)
    assert growth(1 << 20, 2 * day).bytes_per_day == 1 << 19
    assert growth(1 << 20, 30 * day, last=FIRST + day).bytes_per_day == 34_953  # silent since the first day
    assert growth(17 << 20, day).full_at == FIRST + day
    assert growth(1, 9_000 * day).full_at is None
    for age, count, status in (
        (timedelta(0), 9, SessionStatus.RUNNING),
        (-day, 9, SessionStatus.RUNNING),
        (day, 1, SessionStatus.RUNNING),
        (day, 9, SessionStatus.COMPLETED),
        (day, 9, SessionStatus.FAILED),
    ):
        assert growth(1 << 20, age, count, status) == Growth(None, None)
    undated = DocumentSize(Session("a", "workflow"), 1 << 20, 9, 0, None, FIRST)
    assert growth_of(undated, FIRST + day) == Growth(None, None)


def test_sizes_are_read_as_they_are_written() -> None:
    assert [read_bytes(text, "--over") for text in ("8MiB", "8 mib", "1.5 kB", "12", "0", "2GiB", "1 B")] == [
        8 << 20,
        8 << 20,
        1_500,
        12,
        0,
        2 << 30,
        1,
    ]
    for text in ("", "MiB", "-1", "8 MiBs", "1e3", "nan", "8,5MiB", "٣"):
        with pytest.raises(BadValue, match="--over"):
            read_bytes(text, "--over")
    assert [format_bytes(size) for size in (0, 999, 1024, 10_240, 1 << 20, 5 << 40)] == [
        "0 bytes",
        "999 bytes",
        "1.0 KiB",
        "10 KiB",
        "1.0 MiB",
        "5.0 TiB",
    ]
