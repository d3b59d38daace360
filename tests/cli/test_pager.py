"""Long output on a terminal goes through the user's pager, and what the pager gets is what a terminal would get."""

from __future__ import annotations

import os
import pty
import select
import sys
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.cli.pager import pager_command
from tests.support.stored_conversation import CONVERSATION_ID, conversation_document

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from tests.conftest import Chatstore

FULL = ("sessions", "show", CONVERSATION_ID, "--full")


@pytest.fixture(scope="module")
def reader(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    """The command over one conversation."""
    module_database["chat_sessions"].insert_one(conversation_document())
    return module_chatstore


def _on_a_terminal(chatstore: Chatstore, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """The status, what a terminal as stdout shows, and stderr."""
    master, terminal = pty.openpty()
    process = chatstore.popen(*arguments, stdout=terminal, env={"TERM": "xterm", **variables})
    os.close(terminal)
    shown = b""
    assert process.stderr is not None
    while select.select([master], [], [], 60)[0]:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # the last process that writes to the terminal has ended
            break
        if not piece:
            break
        shown += piece
    _, errors = process.communicate(timeout=60)
    os.close(master)
    return process.returncode, shown.decode().replace("\r\n", "\n"), errors.decode()


def _pager(tmp_path: Path, code: str) -> str:
    script = tmp_path / "my pager.py"
    script.write_text(f"import sys\n{code}\n", "utf-8")
    return f"{sys.executable} '{script}' --option"


def test_the_pager_gets_sanitized_wrapped_and_coloured_text(reader: Chatstore, tmp_path: Path) -> None:
    pager = _pager(tmp_path, "print(sys.argv[1:]); text = sys.stdin.read(); print(text.upper())")
    code, shown, errors = _on_a_terminal(reader, *FULL, PAGER=pager)
    assert (code, errors) == (0, "")
    assert shown.startswith("['--option']\n")
    assert "ORDER 1234567890 IS MISSING" in shown
    assert "\x1b[36MUSER" in shown
    assert "\\X1B[31MRED\\U202EGNP.EXE" in shown
    plain = [line for line in shown.splitlines() if "\x1b" not in line and "\u6ce8" not in line]
    assert max(map(len, plain)) < 80


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ((), {"PAGER": "cat"}),
        (("--no-pager",), {"PAGER": "false"}),
        ((), {"CHATSTORE_PAGER": "", "PAGER": "false"}),
        ((), {"PAGER": "false", "TERM": "dumb"}),
    ],
)
def test_without_a_pager_the_terminal_gets_the_text(
    reader: Chatstore, arguments: tuple[str, ...], variables: dict[str, str]
) -> None:
    code, shown, errors = _on_a_terminal(reader, *FULL, *arguments, **variables)
    assert (code, errors) == (0, "")
    assert "Order 1234567890 is missing" in shown


def test_a_pager_that_is_missing_is_reported_and_the_text_is_shown(reader: Chatstore) -> None:
    code, shown, errors = _on_a_terminal(reader, *FULL, PAGER="/nonexistent/pager -R")
    assert (code, errors) == (0, "The pager '/nonexistent/pager' was not found, so the output is not paged.\n")
    assert "Order 1234567890 is missing" in shown


def test_a_pager_that_is_closed_early_ends_the_command_quietly(
    chatstore: Chatstore, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    document = conversation_document()
    document["messages"] = [{**document["messages"][1], "sequence": n, "event_id": str(n)} for n in range(3000)]
    database["chat_sessions"].insert_one(document)
    pager = _pager(tmp_path, "print(sys.stdin.readline())")
    code, shown, errors = _on_a_terminal(chatstore, *FULL, PAGER=pager)
    assert (code, errors) == (0, "")
    assert shown.startswith("\x1b[1mSession")
    assert "is missing" not in shown


def test_in_a_pipe_nothing_is_paged(reader: Chatstore) -> None:
    assert reader(*FULL, env={"PAGER": "false"}).out.startswith("Session")


def test_the_own_variable_comes_before_the_common_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("PAGER", raising=False)
    assert pager_command() == ["less", "-FRX"]
    monkeypatch.setenv("PAGER", "more -s")
    assert pager_command() == ["more", "-s"]
    monkeypatch.setenv("CHATSTORE_PAGER", "less -S 'a b'")
    assert pager_command() == ["less", "-S", "a b"]
