"""Long output on a terminal goes through the user's pager, and what the pager gets is what a terminal would get."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.cli.pager import pager_command
from tests.support.stored_conversation import CONVERSATION_ID, conversation_document
from tests.support.terminals import on_a_terminal

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


def _shown(chatstore: Chatstore, *arguments: str, **variables: str) -> tuple[str, str]:
    """What a terminal of 80 columns shows, with line feeds alone, and stderr."""
    shown, errors = on_a_terminal(chatstore, *FULL, *arguments, env=variables)
    return shown.replace("\r\n", "\n"), errors


def _pager(tmp_path: Path, code: str) -> str:
    script = tmp_path / "my pager.py"
    script.write_text(f"import sys\n{code}\n", "utf-8")
    return f"{sys.executable} '{script}' --option"


def test_the_pager_gets_sanitized_wrapped_and_coloured_text(reader: Chatstore, tmp_path: Path) -> None:
    pager = _pager(tmp_path, "print(sys.argv[1:]); text = sys.stdin.read(); print(text.upper())")
    shown, errors = _shown(reader, PAGER=pager)
    assert errors == ""
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
    shown, errors = _shown(reader, *arguments, **variables)
    assert errors == ""
    assert "Order 1234567890 is missing" in shown


def test_a_pager_that_is_missing_is_reported_and_the_text_is_shown(reader: Chatstore) -> None:
    shown, errors = _shown(reader, PAGER="/nonexistent/pager -R")
    assert errors == ("The pager '/nonexistent/pager' was not found, so the output is not paged.\n")
    assert "Order 1234567890 is missing" in shown


def test_a_pager_that_is_closed_early_ends_the_command_quietly(
    chatstore: Chatstore, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    document = conversation_document()
    document["messages"] = [{**document["messages"][1], "sequence": n, "event_id": str(n)} for n in range(3000)]
    database["chat_sessions"].insert_one(document)
    pager = _pager(tmp_path, "print(sys.stdin.readline())")
    shown, errors = _shown(chatstore, "--redact", PAGER=pager)
    assert errors.startswith("Redacted: 1 e-mail address, 1 phone number.")  # the notices follow the pager
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
