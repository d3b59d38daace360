"""The question on a terminal before documents are deleted: only a typed yes deletes them."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

PROMPT = "[y/N]"
END_OF_INPUT = "\x04"


def _delete_on_a_terminal(chatstore: Chatstore, typed: str, *options: str) -> tuple[int, str]:
    """Run `sessions delete` with a terminal as standard input, on which somebody types. Status and stderr."""
    keyboard, terminal = pty.openpty()
    process = chatstore.popen("sessions", "delete", "w-1", *options, stdin=terminal)
    os.close(terminal)
    try:
        os.write(keyboard, typed.encode(errors="surrogateescape"))
        _, errors = process.communicate(timeout=300)
    finally:
        os.close(keyboard)
    return process.returncode, errors.decode()


@pytest.fixture
def session(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The database with one session in it."""
    database["chat_sessions"].insert_one({"chat_id": "w-1", "messages": [], "status": 1})
    return database


@pytest.mark.parametrize("typed", ["y\n", "YES\n"])
def test_a_yes_deletes(chatstore: Chatstore, session: Database[dict[str, Any]], typed: str) -> None:
    code, errors = _delete_on_a_terminal(chatstore, typed)
    assert PROMPT in errors
    assert (code, session["chat_sessions"].count_documents({})) == (0, 0), errors


@pytest.mark.parametrize(
    "typed", ["\n", END_OF_INPUT, "n\n", "yesterday\n", "\udcff\n"], ids=["Enter", "Ctrl-D", "n", "other", "no UTF-8"]
)
def test_every_other_answer_deletes_nothing(
    chatstore: Chatstore, session: Database[dict[str, Any]], typed: str
) -> None:
    code, errors = _delete_on_a_terminal(chatstore, typed)
    assert PROMPT in errors
    assert (code, session["chat_sessions"].count_documents({})) == (2, 1), errors


def test_with_no_input_nobody_is_asked_and_nothing_is_deleted(
    chatstore: Chatstore, session: Database[dict[str, Any]]
) -> None:
    code, errors = _delete_on_a_terminal(chatstore, "y\n", "--no-input")
    assert PROMPT not in errors
    assert "--yes" in errors
    assert (code, session["chat_sessions"].count_documents({})) == (2, 1), errors


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_standard_input_confirms_nothing(
    chatstore: Chatstore, session: Database[dict[str, Any]], closed: str
) -> None:
    command = chatstore.command("sessions", "delete", "w-1")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        capture_output=True,
        cwd=chatstore.folder,
        env=chatstore.environment,
        timeout=300,
    )
    assert (done.returncode, session["chat_sessions"].count_documents({})) == (2, 1), done.stderr
    assert ("Run it again with --yes" in done.stderr.decode()) == ("2>" not in closed)
