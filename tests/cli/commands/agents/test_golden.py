"""The exact bytes that `agents list|show|history|diff|resolve` print, as in tests/cli/test_golden.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import TABLE_AND_JSON, check_golden
from tests.support.stored_agents import DESK, NUMBER, OLD, store_agents

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

COMMANDS = {
    "agents-list": ("agents", "list", "--limit", "2"),
    "agents-show": ("agents", "show", DESK),
    "agents-history": ("agents", "history", DESK),
    "agents-diff": ("agents", "diff", DESK, OLD),
    "agents-resolve": ("agents", "resolve", "--did", NUMBER),
    "agents-numbers-list": ("agents", "numbers", "list"),
}


@pytest.fixture(scope="module")
def reader(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    """The command over the sample agents."""
    store_agents(module_database)
    return module_chatstore


@pytest.mark.parametrize("output", TABLE_AND_JSON)
@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, name: str, output: OutputFormat) -> None:
    check_golden(reader, name, COMMANDS[name], output)
