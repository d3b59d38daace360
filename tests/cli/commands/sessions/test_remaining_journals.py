"""`chatstore sessions delete` reports the journals that still have the text of deleted sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli import LocalChatCache
from tests.cli.commands.sessions.test_delete_many import store_flat, store_workflow

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
FOLDER = "data/cache/chat_sessions"
PRUNE = ("cache", "prune", "--deleted", "--older-than", "0s")


@pytest.fixture
def cache(chatstore: Chatstore, database: Database[dict[str, Any]]) -> LocalChatCache:
    """Sessions `Ana/1` and `b`, recorded and stored; `b` has a rotated journal too."""
    cache = LocalChatCache(disk_path=chatstore.folder / FOLDER)
    for session in ("Ana/1", "b"):
        cache.record_chat_event(session, "user", "my secret")
    assert chatstore("flush-cache").code == 0
    line = (chatstore.folder / FOLDER / "b.jsonl").read_bytes()
    (chatstore.folder / FOLDER / "b.jsonl.1").write_bytes(line)
    (chatstore.folder / FOLDER / "b.jsonl.2").write_bytes(b"")
    return cache


def test_a_deleted_session_has_a_notice_whose_command_removes_its_journal(
    chatstore: Chatstore, cache: LocalChatCache
) -> None:
    planned = chatstore("sessions", "delete", "Ana/1", "--dry-run")
    command = "chatstore " + " ".join(PRUNE)
    assert (
        f"The text would remain in 1 journal in {FOLDER}. After the deletion, remove it with: {command}" in planned.err
    )
    deleted = chatstore("sessions", "delete", "Ana/1", "--yes")
    assert (deleted.code, deleted.err.count("journal")) == (0, 1)
    assert f"The text remains in 1 journal in {FOLDER}. To remove it, run: {command}" in deleted.err
    pruned = chatstore("-o", "json", *PRUNE, "--yes")
    assert [row["action"] for row in json.loads(pruned.out)["items"]].count("pruned") == 1
    assert not list((chatstore.folder / FOLDER).glob("%41na*"))


@pytest.mark.parametrize("way", [["Ana/1", "b"], ["--layout", "messages"], ["--stdin"]], ids=lambda way: way[0])
def test_journals_of_several_sessions_are_counted_with_rotated_ones(
    chatstore: Chatstore, cache: LocalChatCache, way: list[str]
) -> None:
    names = "Ana/1\nb\n" if way == ["--stdin"] else None
    planned = chatstore("sessions", "delete", *way, "--dry-run", stdin=names)
    assert "The text would remain in 3 journals" in planned.err
    assert "The text remains in 3 journals" in chatstore("sessions", "delete", *way, "--yes", stdin=names).err


def test_sessions_without_journals_have_no_notice(
    chatstore: Chatstore, database: Database[dict[str, Any]], cache: LocalChatCache
) -> None:
    store_workflow(database, "b-workflow")
    cache.record_chat_event("b-workflow", "user", "of another layout")
    store_flat(database, "m-1", 1)
    for session in ("b-workflow", "m-1"):
        assert "journal" not in chatstore("sessions", "delete", session, "--dry-run").err
        deleted = chatstore("sessions", "delete", session, "--yes")
        assert (deleted.code, "journal" in deleted.err) == (0, False)


def test_many_sessions_are_counted_in_the_same_way_as_a_few(chatstore: Chatstore, cache: LocalChatCache) -> None:
    long = "long " * 100  # whose journal is in a folder
    cache.record_chat_event(long, "user", "hello")
    for number in range(25):
        cache.record_chat_event(f"Many/{number}", "user", "hello")
    plain = json.loads((chatstore.folder / FOLDER / "b.jsonl").read_text()) | {"session_id": "Plain"}
    (chatstore.folder / FOLDER / "Plain.jsonl").write_text(json.dumps(plain) + "\n")
    assert chatstore("flush-cache").code == 0
    for names, journals in (([long, "Plain", "Ana/1", "b"], 5), ([f"Many/{number}" for number in range(25)], 25)):
        planned = chatstore("sessions", "delete", *names, "--dry-run")
        assert f"The text would remain in {journals} journals" in planned.err
    assert (
        "The text would remain in 30 journals"
        in chatstore("sessions", "delete", "--layout", "messages", "--dry-run").err
    )
