"""What commands print, byte for byte: a file for each output format in tests/golden/.

After a change that is meant, write them again and look at the difference:

    CHATSTORE_UPDATE_GOLDEN=1 pytest tests/cli/test_golden.py && git diff tests/golden
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.render.output_format import OutputFormat
from tests.support.journals import write_journal
from tests.support.paths import GOLDEN
from tests.support.stored_sessions import journal_of, store_chats

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

UPDATE = os.environ.get("CHATSTORE_UPDATE_GOLDEN") == "1"  # read before the settings of the user are taken away
COMMANDS = {
    "sessions-list": ("sessions", "list", "--limit", "6"),
    "sessions-show-workflow": ("sessions", "show", "triage-0", "--first", "1", "--last", "2"),
    "sessions-show-messages": ("sessions", "show", "journal-a"),
    "history": ("history", "journal-a", "--limit", "4"),
    "usage": ("usage",),
    "usage-by-day": ("usage", "--by", "day"),
}


@pytest.fixture
def stored_chats(database: Database[dict[str, Any]], chatstore: Chatstore) -> None:
    store_chats(database)
    journal = chatstore.folder / "data/cache/chat_sessions/journal-a.jsonl"
    write_journal(journal, journal_of(database["chat_messages"], "journal-a"))


@pytest.mark.usefixtures("stored_chats")
@pytest.mark.parametrize("output", list(OutputFormat))
@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_byte_for_byte_what_it_was(chatstore: Chatstore, name: str, output: OutputFormat) -> None:
    outcome = chatstore(*COMMANDS[name], "-o", output.value)
    assert outcome.code == 0, outcome.err
    golden = GOLDEN / f"{name}.{output.value if output is not OutputFormat.TABLE else 'txt'}"
    if UPDATE:
        GOLDEN.mkdir(exist_ok=True)
        golden.write_bytes(outcome.out.encode())

    assert outcome.out.encode() == golden.read_bytes()


@pytest.mark.usefixtures("stored_chats")
def test_a_table_is_what_a_pipe_gets_unasked(chatstore: Chatstore) -> None:
    assert chatstore(*COMMANDS["usage"]).out.encode() == (GOLDEN / "usage.txt").read_bytes()
