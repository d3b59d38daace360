"""`chatstore sessions`, as a process on a real server, over all layouts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, Int64, ObjectId

from tests.support.stored_sessions import OBJECT_ID_TENANT, store_chats

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

EVERY_SESSION = ["triage-0", "journal-a", "triage-1", "写作-2", "journal-b", "mail-3", "old-4"]
LEFT_OUT = "The layout messages has no"


@pytest.fixture(autouse=True)
def stored_chats(database: Database[dict[str, Any]]) -> None:
    store_chats(database)


def listed(chatstore: Chatstore, *arguments: str) -> list[str]:
    outcome = chatstore("sessions", "list", "-o", "json", *arguments)
    assert outcome.code == 0, outcome.err
    return [item["session_id"] for item in json.loads(outcome.out)["items"]]


def test_all_layouts_are_one_list_newest_first(chatstore: Chatstore) -> None:
    assert listed(chatstore) == EVERY_SESSION


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--layout", "messages"], ["journal-a", "journal-b"]),
        (["--tenant", "acme"], ["triage-0", "triage-1"]),
        (["--tenant", str(OBJECT_ID_TENANT)], ["写作-2"]),
        (["--user", "ada"], ["triage-0", "写作-2"]),
        (["--workflow", "Triage", "--status", "completed"], ["triage-1", "old-4"]),
        (["--status", "unknown"], ["journal-a", "journal-b"]),
        (["--since", "2026-03-01T12:00:00Z", "--until", "2026-03-02T06:00:00Z"], ["triage-1", "写作-2", "journal-b"]),
    ],
)
def test_filters_select_sessions(chatstore: Chatstore, filters: list[str], expected: list[str]) -> None:
    assert listed(chatstore, *filters) == expected


def test_since_accepts_a_duration(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database["chat_sessions"].insert_one(
        {"chat_id": "now", "messages": [], "updated_at": datetime.now(UTC) - timedelta(hours=1)}
    )

    assert listed(chatstore, "--since", "2h") == ["now"]


def test_a_layout_without_the_filtered_field_is_named_only_on_stderr(chatstore: Chatstore) -> None:
    outcome = chatstore("sessions", "list", "--tenant", "acme")

    assert f"{LEFT_OUT} tenant, so its sessions are left out." in outcome.err
    assert LEFT_OUT not in outcome.out
    assert LEFT_OUT not in chatstore("sessions", "list", "--tenant", "acme", "--quiet").err


def test_the_cursor_leads_through_all_pages_while_sessions_are_added(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    session_ids: list[str] = []
    cursor: list[str] = []
    for page in range(4):
        outcome = json.loads(chatstore("sessions", "list", "--limit", "2", "-o", "json", *cursor).out)
        session_ids += [item["session_id"] for item in outcome["items"]]
        database["chat_sessions"].insert_one(
            {"chat_id": f"new-{page}", "messages": [], "updated_at": datetime.now(UTC)}
        )
        if outcome["next_cursor"] is None:
            break
        cursor = ["--cursor", outcome["next_cursor"]]

    assert session_ids == EVERY_SESSION


def test_the_cursor_of_a_table_is_on_stderr(chatstore: Chatstore) -> None:
    outcome = chatstore("sessions", "list", "--limit", "2")

    cursor = outcome.err.split("--cursor ")[1].split(" ")[0]
    assert listed(chatstore, "--cursor", cursor) == EVERY_SESSION[2:]


def test_nothing_found_is_an_empty_list_and_no_error(chatstore: Chatstore) -> None:
    nothing = ("sessions", "list", "--tenant", "acme", "--until", "2001-01-01")
    table = chatstore(*nothing)

    assert (table.code, table.out) == (0, "")
    assert "No sessions with these options in " in table.err
    unknown = chatstore("sessions", "fail", "nope")
    hint = "The whole id is required. To list session ids, run: chatstore sessions list."
    assert (unknown.code, unknown.err.endswith(f"No session 'nope' of an agent workflow. {hint}\n")) == (3, True)
    assert json.loads(chatstore(*nothing, "-o", "json").out) == {
        "items": [],
        "next_cursor": None,
        "foreign_documents": [],
        "unaddressable_sessions": 0,
    }


def test_listing_without_its_index_works_and_names_the_index(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    database["chat_messages"].drop_index("recent_idx")

    outcome = chatstore("sessions", "list", "--layout", "messages")

    assert "chatstore indexes apply" in outcome.err
    assert "journal-a" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--limit", "0"], 2, "--limit"),
        (["--limit", "1001"], 2, "--limit"),
        (["--status", "done"], 2, "--status: 'done' is not running, completed, failed or unknown."),
        (["--since", "next week"], 2, "--since"),
        (["--cursor", "abc"], 2, "--cursor"),
        (["--layout", "thread"], 2, "Did you mean 'threads'? Layouts are workflow, messages, "),
    ],
)
def test_wrong_use_is_one_line(chatstore: Chatstore, arguments: list[str], code: int, message: str) -> None:
    outcome = chatstore("sessions", "list", *arguments)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
    assert message in outcome.err


def test_show_prints_the_session_and_whole_messages(chatstore: Chatstore) -> None:
    shown = json.loads(chatstore("sessions", "show", "journal-a", "-o", "json").out)

    assert shown["expires_at"] == {"oldest": "2026-04-01T06:00:00Z", "newest": "2026-04-01T06:00:00Z"}
    assert [message["content"] for message in shown["first_messages"]] == [
        "Where is my parcel?",
        "It left Lyon\nthis morning.",
    ]


def test_show_limits_the_number_of_messages(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database["chat_messages"].insert_many(
        {"session_id": "long", "role": "user", "text": index, "created_at": f"2026-03-01T00:{index:02}:00Z"}
        for index in range(60)
    )

    shown = json.loads(chatstore("sessions", "show", "long", "--first", "1", "--last", "2", "-o", "json").out)

    assert [message["content"] for message in shown["first_messages"]] == [0]
    assert [message["content"] for message in shown["last_messages"]] == [58, 59]


def test_any_metadata_is_valid_json(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    metadata = {
        "price": Decimal128("1.50"),
        "reference": ObjectId("65e1a0b2c3d4e5f601234567"),
        "raw": b"\x00\xff",
        "not a number": float("nan"),
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "wide": Int64(2**62),
    }
    row = {
        "session_id": "odd",
        "role": "user",
        "text": "\x1b[31m\x00",
        "created_at": datetime.now(UTC),
        "metadata": metadata,
    }
    database["chat_messages"].insert_one(row)

    [message] = json.loads(chatstore("sessions", "show", "odd", "-o", "json").out)["first_messages"]

    assert message["content"] == "\x1b[31m\x00"
    assert message["metadata"] == {
        "price": "1.50",
        "reference": "65e1a0b2c3d4e5f601234567",
        "raw": "AP8=",
        "not a number": None,
        "at": "2026-03-01T00:00:00Z",
        "wide": 2**62,
    }


def test_an_unknown_id_is_status_3(chatstore: Chatstore) -> None:
    outcome = chatstore("sessions", "show", "nobody", "-o", "json")

    error = json.loads(outcome.err)["error"]
    assert (outcome.code, outcome.out, error["code"], error["kind"]) == (3, "", 3, "not_found")


def test_an_id_in_two_layouts_is_decided_by_layout(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database["chat_sessions"].insert_one({"chat_id": "journal-a", "messages": [], "updated_at": datetime.now(UTC)})

    outcome = chatstore("sessions", "show", "journal-a")

    assert outcome.code == 8
    assert "workflow and messages" in outcome.err
    assert "--layout" in outcome.err
    for layout in ("workflow", "messages"):
        shown = chatstore("sessions", "show", "journal-a", "--layout", layout, "-o", "json")
        assert json.loads(shown.out)["layout"] == layout


@pytest.mark.parametrize("session_id", ["../../etc/passwd", "$where", "a\nb", "\udcff"])
def test_a_strange_id_is_an_ordinary_value(chatstore: Chatstore, session_id: str) -> None:
    outcome = chatstore("sessions", "show", session_id)

    assert outcome.code == 3
    assert outcome.err.count("\n") == 1


def test_an_empty_period_is_rejected(chatstore: Chatstore) -> None:
    outcome = chatstore("sessions", "list", "--since", "1w", "--until", "30d")

    assert (outcome.code, outcome.out) == (2, "")
    assert "--since 1w (" in outcome.err
    assert "is not earlier than --until 30d (" in outcome.err
