"""The exact bytes that commands print. tests/golden/ has a file for each command and output format.

To write the files again, see tests/support/golden.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.render.output_format import ROW_FORMATS, OutputFormat
from tests.support.golden import check_golden
from tests.support.paths import GOLDEN
from tests.support.stored_sessions import store_chats_and_journal

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

COMMANDS = {
    "sessions-list": ("sessions", "list", "--limit", "6"),
    "sessions-show-workflow": ("sessions", "show", "triage-0", "--first", "1", "--last", "2"),
    "sessions-show-messages": ("sessions", "show", "journal-a"),
    "search": ("search", "bold turn", "--limit", "3"),
    "search-substring": ("search", "--substring", "parc", "--layout", "messages"),
    "history": ("history", "journal-a", "--limit", "4"),
    "usage": ("usage",),
    "usage-by-day": ("usage", "--by", "day"),
}


@pytest.fixture(scope="module")
def reader(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    """The command over the sample chats."""
    store_chats_and_journal(module_database, module_chatstore.folder)
    return module_chatstore


@pytest.mark.parametrize("output", ROW_FORMATS)
@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, name: str, output: OutputFormat) -> None:
    check_golden(reader, name, COMMANDS[name], output)


def test_a_table_is_what_a_pipe_gets_unasked(reader: Chatstore) -> None:
    assert reader(*COMMANDS["usage"]).out.encode() == (GOLDEN / "usage.txt").read_bytes()
