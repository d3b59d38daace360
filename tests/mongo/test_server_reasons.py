"""What the server reports about a query that it rejects reaches the user, without the values of the query."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pymongo import MongoClient

from tests.conftest import Chatstore

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list"),
        ("sessions", "show", "a-secret-id"),
        ("history", "a-secret-id"),
        ("resume", "a-secret-id"),
        ("usage",),
        ("ttl", "show"),
    ],
    ids=" ".join,
)
def test_a_server_that_rejects_collection_scans_is_named_as_the_reason(
    chatstore: Chatstore, mongo_client: MongoClient[dict[str, Any]], database: Any, command: tuple[str, ...]
) -> None:
    database.chat_sessions.insert_one({"chat_id": "a-secret-id", "enterprise_id": "acme", "messages": [], "status": 0})
    database.chat_messages.insert_one({"session_id": "other", "role": "user", "text": "hello"})
    mongo_client.admin.command("setParameter", 1, notablescan=True)
    try:
        done = chatstore(*command)
    finally:
        mongo_client.admin.command("setParameter", 1, notablescan=False)
    assert done.code == 1
    error = done.err.splitlines()[-1]
    assert "No indexed plans available, and running with 'notablescan'" in error
    assert "without the parameter notablescan" in error
    assert "Tree" not in error
    assert "secret" not in error.partition("error processing query")[2]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        pytest.param(10107, "Run the command again once the server has a primary.", id="stepped down"),
        pytest.param(175, "Run the command again.", id="renamed meanwhile"),
    ],
)
def test_an_error_that_passes_advises_another_run_and_not_to_check_the_uri(
    chatstore: Chatstore, fail_point: Callable[..., AbstractContextManager[None]], code: int, hint: str
) -> None:
    with fail_point(["createIndexes"], errorCode=code):
        outcome = chatstore("indexes", "apply", "--yes")
    assert outcome.code == 5
    assert outcome.err.endswith(f" {hint}\n"), outcome.err
