"""The exact bytes that `agents list|show|history|diff|resolve` print, as in tests/cli/test_golden.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.render.output_format import OutputFormat
from tests.cli.test_golden import UPDATE
from tests.support.paths import GOLDEN
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


# The formats are those of every list, which tests/cli/test_golden.py compares. Here two show that the rows are the same.
OUTPUTS = [
    each if each in (OutputFormat.TABLE, OutputFormat.JSON) else pytest.param(each, marks=pytest.mark.soak)
    for each in OutputFormat
]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, name: str, output: OutputFormat) -> None:
    outcome = reader(*COMMANDS[name], "-o", output.value)
    assert outcome.code == 0, outcome.err
    golden = GOLDEN / f"{name}.{output.value if output is not OutputFormat.TABLE else 'txt'}"
    if UPDATE:
        golden.write_bytes(outcome.out.encode())

    assert outcome.out.encode() == golden.read_bytes()
