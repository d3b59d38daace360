"""The sample chats depend only on the seed, differ from each other, and have valid stored shapes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from chatstore_cli.core.demo.sample_chats import RESUMED, SampleChats, sample_chats
from chatstore_cli.core.usage.reported import reason_not_countable
from chatstore_cli.domain.message import GENERAL_AGENT

NOW = datetime(2026, 3, 2, 11, 41, tzinfo=UTC)
JOURNAL_KEYS = ["session_id", "role", "text", "metadata", "vector_ids", "created_at"]


@pytest.fixture(scope="module")
def samples() -> SampleChats:
    return sample_chats(NOW)


def _ours(samples: SampleChats) -> list[dict[str, Any]]:
    return [session for session in samples.sessions if "last_sequence" in session]


def _records(text: str) -> Iterator[dict[str, Any]]:
    """Every record of a journal, including both of a line with two."""
    decoder = json.JSONDecoder()
    for line in text.splitlines():
        offset = 0
        while offset < len(line):
            record, offset = decoder.raw_decode(line, offset)
            yield record


def test_the_same_seed_and_present_give_the_same_chats(samples: SampleChats) -> None:
    assert sample_chats(NOW) == samples


def test_another_seed_gives_other_chats(samples: SampleChats) -> None:
    assert sample_chats(NOW, seed=8).journals != samples.journals


def test_everything_happened_before_now(samples: SampleChats) -> None:
    moments = [session.get("updated_at") or session["last_updated_at"] for session in samples.sessions]
    written = [datetime.fromisoformat(record["created_at"]) for text in samples.journals.values() for record in _records(text)]  # fmt: skip
    assert max(moments + written) <= NOW


def test_sessions_differ_in_tenant_workflow_ending_and_length(samples: SampleChats) -> None:
    ours = _ours(samples)
    assert len({session["enterprise_id"] for session in ours}) >= 3
    assert len({session["workflow_name"] for session in ours}) >= 4
    assert {session["status"] for session in ours} == {-1, 0, 1}
    assert [session["chat_id"] for session in ours if session.get("paused")] == ["chat-e81d20f6"]
    assert max(len(session["messages"]) for session in ours) > 400


def test_one_session_has_tokens_of_unknown_cost(samples: SampleChats) -> None:
    tokens = [session["real_time_tracking"]["tokens"] for session in _ours(samples)]
    assert [sorted(count) for count in tokens if "total_cost" not in count] == [
        ["completion_tokens", "prompt_tokens", "total_tokens"]
    ]


def test_reported_usage_is_cumulative_and_its_chats_have_counters_of_0(samples: SampleChats) -> None:
    chats = {session["chat_id"]: session for session in _ours(samples)}
    reported = {report.chat_id for report in samples.usage}
    assert RESUMED in reported
    assert 3 <= len(reported) < len(chats)
    assert {chats[name]["real_time_tracking"]["tokens"]["total_tokens"] for name in reported} == {0}
    highest: dict[tuple[str, str | None], int] = {}
    for report in samples.usage:
        assert reason_not_countable(report) is None
        assert report.total_tokens >= highest.get((report.chat_id, report.agent), 1)
        assert chats[report.chat_id]["created_at"] <= report.at <= NOW
        highest[report.chat_id, report.agent] = report.total_tokens
    assert len({report.model for report in samples.usage}) == 2
    assert len({report.event_id for report in samples.usage}) == len(samples.usage)


def test_every_tool_call_is_answered_right_after_it(samples: SampleChats) -> None:
    for session in _ours(samples):
        messages = session["messages"]
        for message, following in pairwise(messages):
            for call in message.get("tool_calls", []):
                assert following["role"] == "tool"
                assert following["tool_call_id"] == call["id"]
                assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_messages_are_numbered_without_gaps_and_in_the_order_of_time(samples: SampleChats) -> None:
    for session in _ours(samples):
        numbers = [message["sequence"] for message in session["messages"]]
        assert numbers == list(range(1, session["last_sequence"] + 1))
        moments = [message["timestamp"] for message in session["messages"]]
        assert moments == sorted(moments)


def test_the_session_to_resume_has_several_agents_and_an_aside_with_the_general_one(samples: SampleChats) -> None:
    session = next(session for session in _ours(samples) if session["chat_id"] == RESUMED)
    assert len({message["sender"] for message in session["messages"] if message["role"] == "assistant"}) >= 3
    sources = [message.get("source") or message.get("metadata", {}).get("source") for message in session["messages"]]
    assert sources.count(GENERAL_AGENT) == 2


def test_no_event_id_is_used_twice(samples: SampleChats) -> None:
    ids = [message["event_id"] for session in samples.sessions for message in session["messages"]]
    assert len(set(ids)) == len(ids)


def test_older_variants_are_among_them(samples: SampleChats) -> None:
    older = [session for session in samples.sessions if "last_sequence" not in session]
    assert [session.get("status") for session in older] == ["completed", 1, 0, 2]
    assert [("app_id" in session, "enterprise_id" in session) for session in older] == [
        (False, True), (False, True), (True, False), (True, False),
    ]  # fmt: skip


def test_journals_have_the_keys_that_an_application_writes(samples: SampleChats) -> None:
    assert len(samples.journals) == 12
    for session_id, text in samples.journals.items():
        assert text.endswith("\n")
        for record in _records(text):
            assert list(record) == JOURNAL_KEYS
            assert record["session_id"] == session_id


def test_two_journal_messages_on_one_line_are_counted(samples: SampleChats) -> None:
    lines = sum(len(text.splitlines()) for text in samples.journals.values())
    assert samples.journal_messages == sum(len(list(_records(text))) for text in samples.journals.values())
    assert samples.journal_messages == lines + 1
