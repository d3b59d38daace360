"""The exact bytes that `general list|show|transcript` and `workflows list|history` print, as in tests/cli/test_golden.py."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.session_registry.store import MongoRegistryStore
from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import TABLE_AND_JSON, check_golden
from tests.support.stored_general_chats import CHAT, FIRST, message, store

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore
    from tests.support.mongod import Mongod

ANA = ("--tenant", "acme", "--user", "ana")
COMMANDS = {
    "general-list": ("general", "list", *ANA),
    "general-show": ("general", "show", CHAT, "--first", "1", "--last", "1"),
    "general-transcript": ("general", "transcript", CHAT, "--after-sequence", "0", "--limit", "2"),
    "workflows-list": ("workflows", "list", *ANA),
    "workflows-history": ("workflows", "history", *ANA, "--session-key", "laptop"),
}


@pytest.fixture(scope="module")
def reader(module_database: Database[dict[str, Any]], module_chatstore: Chatstore, mongod: Mongod) -> Chatstore:
    """The command over two chats and a client session."""
    store(module_database, [message(1), message(2, content="=1+1, then \x1b[2J and \u202eevil"), message(3)])
    store(module_database, [], _id="generalchat-acme-ana-0002", chat_id="generalchat-acme-ana-0002",
          general_label="General | Chat #2", general_sequence=2, created_at=FIRST + timedelta(days=1))  # fmt: skip
    instants = (FIRST + timedelta(minutes=number) for number in range(100))
    settings = module_chatstore.environment["CHATSTORE_DATABASE"]
    connection = connect(mongod.uri, settings, timeout_seconds=10)
    registry = SessionRegistry(MongoRegistryStore(connection, Settings()), clock=lambda: next(instants))
    registry.attach("tab-1", "acme", "ana", "laptop")
    registry.add_workflow("tab-1", "chat-1", "refund", "acme", "ana")
    registry.complete_workflow("tab-1", "chat-1")
    registry.add_workflow("tab-1", "chat-2", "trip", "acme", "ana", "artifact_1")
    registry.switch_workflow("tab-1", "chat-1")
    registry.enter_general_mode("tab-1")
    connection.client.close()
    return module_chatstore


@pytest.mark.parametrize("output", TABLE_AND_JSON)
@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, name: str, output: OutputFormat) -> None:
    check_golden(reader, name, COMMANDS[name], output)
