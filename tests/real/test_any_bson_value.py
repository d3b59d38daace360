"""Any value in any field of a stored document: commands that read exit as documented, and print the rest unchanged.

Every value of tests/support/bson_values.py is stored in every field that is read: in documents of sessions, in messages
of every layout, in threads, and in rows of the usage ledger.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, repeat
from typing import Any

import bson
import pymongo.errors
import pytest
import yaml
from bson import Decimal128
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.database import Database

from chatstore_cli.mongo.general.shape import GENERAL
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.conftest import Chatstore, Outcome
from tests.support.bson_values import VALUES, raw_array, with_value

pytestmark = pytest.mark.real

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FORMATS = ("table", "json", "jsonl", "csv", "yaml", "md")
MOST_OUTPUT = 30_000_000
"""Characters of a result. About 100 values are stored in 100 fields, and one of them has 100,000 characters."""

_TOKENS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "total_cost": 0.1}
_MESSAGE = {
    "role": "user", "content": "hello", "sender": "user", "sequence": 1, "timestamp": NOW, "event_id": "e",
    "metadata": {}, "tool_calls": [{}],
}  # fmt: skip
SESSION = {
    "chat_id": "odd", "enterprise_id": "odd", "status": 1, "updated_at": NOW, "messages": [_MESSAGE],
    "real_time_tracking": {"tokens": _TOKENS},
}  # fmt: skip
CHAT = {
    "app_id": "odd", "session_type": "general", "general_label": "General Chat #1", "general_sequence": 1, "status": 0,
    "last_updated_at": NOW, "messages": [{**_MESSAGE, "metadata": {"source": "general_agent"}}],
    **{f"usage_{name}_final": number for name, number in _TOKENS.items()},
}  # fmt: skip
FLAT = {
    "session_id": "odd", "role": "user", "text": "hello", "metadata": {}, "vector_ids": [], "sequence": 1,
    "created_at": "2026-03-01T00:00:00.000001+00:00", "expires_at": NOW + timedelta(days=20_000), "tool_calls": [{}],
}  # fmt: skip
REPORT = {
    "event_id": "e", "chat_id": "odd", "run": 1, "tenant_id": "odd", "user_id": "u", "workflow": "w", "agent": "A",
    "model": "m", "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": Decimal128("0.5"), "at": NOW,
    "applied": True,
}  # fmt: skip
THREAD = {
    "_id": "odd thread",
    "user_id": "u",
    "org_id": "odd",
    "name": "n",
    "created_at": NOW,
    "updated_at": NOW,
    "last_sequence": 1,
}
THREAD_MESSAGE = {
    "chat_thread_id": "odd thread", "sender_id": "u", "sender_role": "user", "created_at": NOW, "updated_at": NOW, "sequence": 1,
    "content": {"type": "text", "text": "hello", "metadata": {"usage": {**_TOKENS, "cost": 0.5}}}, "edits": [],
}  # fmt: skip

SESSION_FIELDS = [
    *(name for name in WORKFLOW.fact_fields if name != "_id"), "real_time_tracking", "workflow_status.w", "usage_summary",
    "usage_summary.raw.model", "usage_summary.raw.usages", "token_usage.model", "messages", "messages.0",
    "last_sequence", "last_segment", "moved_messages", "current_run", "run_start",
    *(f"{place}.{name}" for place in ("real_time_tracking.tokens", "token_usage") for name in _TOKENS),
]  # fmt: skip
CHAT_FIELDS = [
    *(name for name in GENERAL.fact_fields if name not in ("_id", *SESSION_FIELDS)), *CHAT, "chat_id", "user_id",
    "last_sequence", "last_segment", "moved_messages",
]  # fmt: skip
MESSAGE_FIELDS = [
    *_MESSAGE, "agent_name", "name", "created_at", "message_id", "event_type", "source", "metadata.source",
    "metadata.a", "tool_calls.0.function", "tool_responses", "tool_call_id", "is_user_proxy",
]  # fmt: skip
FLAT_FIELDS = [
    *FLAT,
    "_id",
    "message_id",
    "name",
    "event_type",
    "source",
    "tool_call_id",
    "metadata.source",
    "metadata.a",
]
THREAD_FIELDS = [*THREAD, "forked_from", "forked_from.sequence"]
THREAD_MESSAGE_FIELDS = [
    *THREAD_MESSAGE, "_id", "content.type", "content.text", "content.tool_calls", "content.tool_call_id", "content.parts",
    "content.metadata", "content.metadata.tool_name", "content.metadata.source", "content.metadata.usage", "copied_at",
    *(f"content.metadata.usage.{name}" for name in (*_TOKENS, "input_tokens", "output_tokens", "cost")),
]  # fmt: skip
REPORT_FIELDS = [*REPORT, "_id", "rolled_up", "cached_tokens"]


def store(collection: Collection[Any], documents: list[Any]) -> None:
    """Insert what the server takes: not every value may be an `_id`."""
    try:
        collection.insert_many(documents, ordered=False)
    except pymongo.errors.BulkWriteError as error:
        if len(error.details["writeErrors"]) > len(documents) // 2:
            raise


def store_good(database: Database[Any]) -> None:
    for number in range(3):
        tokens = {**_TOKENS, "total_tokens": number}
        good = {"chat_id": f"good-{number}", "enterprise_id": "good", "real_time_tracking": {"tokens": tokens}}
        database["chat_sessions"].insert_one({**SESSION, **good, "updated_at": NOW + timedelta(days=90_000 + number)})
        for hour in range(2):
            at, prompt = NOW + timedelta(hours=hour), 10 + number + hour
            row = {**REPORT, "chat_id": f"reported-{number}", "tenant_id": "good", "prompt_tokens": prompt, "at": at}
            database["usage_events"].insert_one(row)
        created = f"2030-03-0{number + 1}T00:00:00.000001+00:00"
        database["chat_messages"].insert_one({**FLAT, "session_id": f"flat-{number}", "created_at": created})
        thread = {"_id": f"good-thread-{number}", "org_id": "good", "updated_at": NOW + timedelta(days=80_000 + number)}
        database["chat_threads"].insert_one({**THREAD, **thread})
        chat = {
            "_id": f"good-chat-{number}",
            "app_id": "good",
            "last_updated_at": NOW + timedelta(days=70_000 + number),
        }
        database["GeneralChatSessions"].insert_one({**CHAT, **chat})
        database["chat_thread_messages"].insert_one({**THREAD_MESSAGE, "chat_thread_id": thread["_id"]})


def store_odd(database: Database[Any], step: int) -> None:
    """Store each field with every value, or with each `step`th one: other values for each field."""
    place = cycle(range(step))
    messages = [with_value(_MESSAGE, field, value) for field in MESSAGE_FIELDS for value in VALUES[next(place) :: step]]
    head = bson.encode({**SESSION, "chat_id": "every message"} | {"messages": 0})
    name = b"\x10messages\x00" + bytes(4)
    array = b"\x04messages\x00" + raw_array(messages)
    elements = head[4:-1].replace(name, array)
    database["chat_sessions"].insert_one(
        RawBSONDocument((len(elements) + 5).to_bytes(4, "little") + elements + b"\x00")
    )
    for field in SESSION_FIELDS:
        store(
            database["chat_sessions"],
            [
                with_value({**SESSION, "chat_id": f"odd {field} {number}"}, field, value)
                for number, value in enumerate(VALUES[next(place) :: step])
            ],
        )
    database["GeneralChatSessions"].insert_one({**CHAT, "_id": "odd chat"})
    for collection, document, fields in (
        ("GeneralChatSessions", CHAT, CHAT_FIELDS),
        ("chat_messages", FLAT, FLAT_FIELDS),
        ("usage_events", REPORT, REPORT_FIELDS),
    ):
        for field in fields:
            store(database[collection], [with_value(document, field, value) for value in VALUES[next(place) :: step]])
    database["chat_threads"].insert_one(THREAD)
    number = count(1)
    for field in THREAD_FIELDS:
        threads = [{**THREAD, "_id": f"odd {next(number)}"} for _ in VALUES[::step]]
        values = VALUES[next(place) :: step]
        store(database["chat_threads"], list(map(with_value, threads, repeat(field), values)))
    for field in THREAD_MESSAGE_FIELDS:
        messages = [{**THREAD_MESSAGE, "sequence": next(number)} for _ in VALUES[::step]]
        values = VALUES[next(place) :: step]
        store(database["chat_thread_messages"], list(map(with_value, messages, repeat(field), values)))


LISTS = {
    "sessions list": ("sessions", "list", "--limit", "1000", "--tenant", "good"),
    "usage": ("usage", "--by", "session,agent", "--tenant", "good"),
    "days": ("usage", "--by", "day", "--tenant", "good", "--timezone", "Asia/Tokyo"),
    "all": ("usage", "--by", "session"),
}
COMMANDS = [
    ("sessions", "list", "--limit", "1000"), ("sessions", "list"), ("sessions", "sizes"), ("sessions", "show", "every message"),
    ("sessions", "show", "odd"), ("sessions", "show", "odd thread"), ("sessions", "show", "odd chat"),
    ("history", "odd", "--limit", "500"),
    ("usage",), ("usage", "--by", "session"), ("usage", "--by", "day,agent,model"), ("usage", "--by", "status"),
    ("usage", "--by", "month", "--timezone", "Europe/Berlin"), ("usage", "--since", "2020-01-01"),
    ("usage", "explain", "odd"), ("usage", "reconcile"), ("verify",), ("indexes", "check"), ("ttl", "show"),
]  # fmt: skip


def parsed(outcome: Outcome, output: str) -> Any:
    """The result as its format reads it."""
    if output == "json":
        return json.loads(outcome.out)
    if output == "jsonl":
        return [json.loads(line) for line in outcome.out.split("\n") if line]
    if output == "yaml":
        return list(yaml.load_all(outcome.out, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    return list(csv.reader(io.StringIO(outcome.out), strict=True)) if output == "csv" else outcome.out.splitlines()


def good(outcome: Outcome) -> list[Any]:
    rows = json.loads(outcome.out)["items"]
    return [row for row in rows if str(row.get("session_id", "good")).startswith(("good", "reported", "flat"))]


def test_every_value_in_every_field_is_read(
    chatstore: Chatstore, database: Database[Any], request: pytest.FixtureRequest
) -> None:
    store_good(database)
    assert chatstore("indexes", "apply", "--yes").code == 0
    before = {name: good(chatstore(*command, "-o", "json")) for name, command in LISTS.items()}
    assert all(before.values())
    is_long = request.config.getoption("--soak")
    store_odd(database, 1 if is_long else 5)
    formats = cycle(FORMATS)
    for rolled_up in (False, True):
        for name, command in LISTS.items():
            assert good(chatstore(*command, "-o", "json")) == before[name], (name, rolled_up)
        for command in COMMANDS if not rolled_up or is_long else []:
            for output in FORMATS if is_long else [next(formats)]:
                outcome = chatstore(*command, "-o", output)
                assert outcome.code in (0, 6), (command, output, outcome.err)
                assert parsed(outcome, output) is not None
                assert len(outcome.out) < MOST_OUTPUT, (command, output, len(outcome.out))
                assert len(outcome.err) < 5_000, (command, output, outcome.err)
        if not rolled_up:
            outcome = chatstore("usage", "rollup")
            assert outcome.code == 0, outcome.err
    for form in ("jsonl", "openai", "ag2"):
        for session in ("every message", "odd", "odd thread", "odd chat"):
            outcome = chatstore("resume", session, "--as", form)
            assert outcome.code == 0, (form, outcome.err)
            assert parsed(outcome, "jsonl" if form == "jsonl" else "json")
            assert len(outcome.out) < MOST_OUTPUT
