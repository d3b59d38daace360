"""A tenant or user that no session has: an error with a suggestion, in each command that filters sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bson import json_util

from tests.support.paths import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
COMMANDS = (
    ("sessions", "list"),
    ("sessions", "list", "--all"),
    ("sessions", "delete"),
    ("sessions", "delete", "--yes"),
    ("sessions", "delete", "--layout", "workflow", "--yes"),
    ("search", "hello"),
    ("usage",),
    ("usage", "--this-month", "--budget", "0.0001"),
    ("general", "list", "--tenant", "acme"),
)
"""Commands that filter by a name, each with its options except the name."""


@pytest.fixture
def stored(chatstore: Chatstore, database: Database[dict[str, Any]]) -> Chatstore:
    """The command with one workflow session of the user ömer of acme."""
    message = {"role": "user", "content": "hello", "sequence": 1}
    facts = {"chat_id": "w-1", "enterprise_id": "acme", "user_id": "ömer", "status": 1, "last_sequence": 1}
    database["chat_sessions"].insert_one({**facts, "messages": [message], "created_at": NOON, "updated_at": NOON})
    return chatstore


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_mistyped_user_is_an_error(stored: Chatstore, command: tuple[str, ...]) -> None:
    typo = stored(*command, "--user", "ömr")
    assert (typo.code, typo.out) == (3, "")
    assert "No user 'ömr' in " in typo.err
    assert "Did you mean 'ömer'?" in typo.err


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
def test_a_mistyped_tenant_is_an_error(stored: Chatstore, command: tuple[str, ...]) -> None:
    typo = stored(*command, "--tenant", "acmee", "--user", "ömer")
    assert (typo.code, typo.out) == (3, "")
    assert "No tenant 'acmee' in " in typo.err
    assert "Did you mean 'acme'?" in typo.err


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "delete", "--status", "failed", "--yes"),
        ("sessions", "delete", "--tag", "junk", "--yes"),
        ("sessions", "delete", "--layout", "threads", "--yes"),
        ("search", "goodbye"),
        ("usage", "--since", "2031-01-01"),
        ("usage", "--layout", "general", "--budget", "1"),
    ],
    ids=" ".join,
)
def test_a_known_user_without_a_match_is_not_an_error(
    stored: Chatstore, database: Database[dict[str, Any]], command: tuple[str, ...]
) -> None:
    assert stored(*command, "--user", "ömer", "--tenant", "acme").code == 0
    assert database["chat_sessions"].count_documents({}) == 1


def test_no_plan_is_written_for_an_unknown_name(stored: Chatstore, tmp_path: Path) -> None:
    plan = tmp_path / "plan.jsonl"
    typo = stored("sessions", "delete", "--user", "ömr", "--plan", str(plan))
    assert (typo.code, plan.exists()) == (3, False)
    known = stored("sessions", "delete", "--user", "ömer", "--status", "failed", "--plan", str(plan))
    assert (known.code, plan.exists()) == (0, True)


def test_a_user_that_only_a_read_layout_has_is_known(stored: Chatstore, database: Database[dict[str, Any]]) -> None:
    sample = json_util.loads((SAMPLES / "calls.json").read_text())
    for collection, documents in sample["collections"].items():
        database[collection].insert_many(documents)
    assert stored("sessions", "list", "--user", "ana").code == 0
    deleted = stored("sessions", "delete", "--user", "ana", "--yes")
    assert deleted.code == 0
    assert "Sessions of the layout calls are left out: chatstore only reads it." in deleted.err


def test_a_tenant_of_the_ledger_alone_is_known_to_usage(stored: Chatstore, database: Database[dict[str, Any]]) -> None:
    """Its sessions were deleted with --keep-usage. A monthly budget check must not fail after that."""
    database["chat_sessions"].update_one(
        {},
        {"$set": {"usage_total_tokens_final": 7, "usage_prompt_tokens_final": 7, "usage_completion_tokens_final": 0}},
    )
    assert stored("sessions", "delete", "w-1", "--keep-usage", "--yes").code == 0
    for names in (("--tenant", "acme"), ("--user", "ömer"), ("--tenant", "acme", "--user", "ömer")):
        assert stored("usage", "--budget", "1", "--since", "2031-01-01", *names).code == 0
    assert stored("usage", "--tenant", "acmee").code == 3
    assert stored("sessions", "list", "--tenant", "acme").code == 3


@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["", "quiet"])
def test_watch_reports_an_unknown_name_and_waits(stored: Chatstore, quiet: tuple[str, ...]) -> None:
    watched = stored("sessions", "watch", "--user", "ömr", "--for", "0", *quiet)
    assert watched.code == 0
    assert "No user 'ömr' in " in watched.err
    assert "Did you mean 'ömer'? Waiting for the first session." in watched.err
    assert "No user" not in stored("sessions", "watch", "--user", "ömer", "--for", "0", *quiet).err
