"""--timezone, --relative and chatstore.timezone, in every table; and days that --until includes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

UPDATED = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)


@pytest.fixture
def stored(chatstore: Chatstore, database: Database[dict[str, Any]]) -> Chatstore:
    chat = {"chat_id": "late", "enterprise_id": "acme", "user_id": "ann", "workflow_name": "triage", "status": 0}
    database["chat_sessions"].insert_one(chat | {"created_at": UPDATED, "updated_at": UPDATED, "messages": []})
    return chatstore


def test_tables_have_the_zone_and_json_stays_in_utc(stored: Chatstore) -> None:
    table = stored("sessions", "list", "--timezone", "europe/berlin").out
    assert "UPDATED (Europe/Berlin)" in table
    assert "2026-03-10 00:30:00" in table
    before_the_command = stored("--timezone", "Asia/Kolkata", "sessions", "show", "late", "-o", "md").out
    assert "| Updated (Asia/Kolkata) | 2026-03-10 05:00:00 |" in before_the_command
    rows = json.loads(stored("sessions", "list", "--timezone", "Europe/Berlin", "-o", "json").out)
    assert rows["items"][0]["updated_at"] == "2026-03-09T23:30:00Z"


def test_the_setting_is_the_default(stored: Chatstore) -> None:
    stored.environment["CHATSTORE_TIMEZONE"] = "Pacific/Auckland"
    assert "2026-03-10 12:30:00" in stored("sessions", "list").out
    assert "UPDATED (UTC)" in stored("sessions", "list", "--timezone", "UTC").out
    stored.environment["CHATSTORE_TIMEZONE"] = "Mars/Base"
    refused = stored("sessions", "list")
    assert refused.code == 2
    assert "chatstore.timezone: 'Mars/Base' is not the name of a time zone" in refused.err


def test_relative_times_are_seen_from_now(stored: Chatstore, database: Database[dict[str, Any]]) -> None:
    database["chat_sessions"].update_one({}, {"$set": {"updated_at": datetime(1926, 3, 9, tzinfo=UTC)}})
    header, row, *_ = stored("sessions", "list", "--relative").out.splitlines()
    assert header.split()[-1] == "UPDATED"
    assert row.endswith(" y ago")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--until", "2026-03-09"), 1),
        (("--until", "2026-03-09", "--timezone", "Europe/Berlin"), 0),
        (("--since", "2026-03-10", "--until", "2026-03-10", "--timezone", "Europe/Berlin"), 1),
        (("--until", "2026-03-09T23:30"), 0),
        (("--until", "2026-03-09T23:30:01"), 1),
    ],
)
def test_until_a_day_includes_that_day_in_the_zone(stored: Chatstore, options: tuple[str, ...], found: int) -> None:
    assert len(json.loads(stored("sessions", "list", *options, "-o", "json").out)["items"]) == found
