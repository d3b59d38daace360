"""The exact bytes that `threads list|show|messages` print, as in tests/cli/test_golden.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import TABLE_AND_JSON, check_golden
from tests.support.stored_threads import store_threads

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

COMMANDS = {
    "threads-list": ("threads", "list", "--limit", "3"),
    "threads-show": ("threads", "show", "t-ferry", "--first", "1", "--last", "2"),
    "threads-messages": ("threads", "messages", "t-ferry"),
}


@pytest.fixture(scope="module")
def reader(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    """The command over the sample threads."""
    store_threads(module_database)
    return module_chatstore


@pytest.mark.parametrize("output", TABLE_AND_JSON)
@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, name: str, output: OutputFormat) -> None:
    check_golden(reader, name, COMMANDS[name], output)
