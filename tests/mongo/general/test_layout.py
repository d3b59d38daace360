"""The layout `general` where it differs from the layout `workflow`."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from chatstore_cli.config.settings import GeneralCollections, LayoutSettings, Settings
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.layout import GeneralLayout
from chatstore_cli.mongo.layouts.contents import own_documents_of
from chatstore_cli.mongo.layouts.registry import LAYOUTS, used_layouts
from tests.support.mongod import Mongod


class SentCommands(monitoring.CommandListener):
    """Keeps the names of the commands that were sent."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to keep."""


@pytest.mark.real
def test_an_absent_collection_costs_no_query(mongod: Mongod, database: Database[dict[str, Any]]) -> None:
    sent = SentCommands()
    client: MongoClient[dict[str, Any]] = MongoClient(mongod.uri, tz_aware=True, event_listeners=[sent])
    reader = GeneralLayout(Connection(client, client[database.name], "test").for_one_command(), Settings())
    assert list(reader.newest_first(SessionQuery(), None, 10)) == []
    assert reader.find("generalchat-acme-ana-0001") is None
    assert list(reader.all_facts(SessionQuery())) == []
    assert (reader.foreign, reader.unaddressable) == (None, 0)
    assert sent.names == ["listCollections"]
    client.close()


def test_without_a_collection_the_layout_is_left_out_everywhere() -> None:
    off = Settings(layouts=LayoutSettings(general=GeneralCollections(sessions=None)))
    have_names = [name for name in LAYOUTS if name != "agent_sessions"]  # whose collections have no default
    assert used_layouts(Settings()) == have_names
    assert used_layouts(off) == ["workflow", "messages", "threads", "calls"]
    assert "GeneralChatSessions" not in (*off.collections, *own_documents_of(off))
    assert off.segments_of_sessions == {"chat_sessions": "chat_session_segments"}


def test_only_the_filter_by_workflow_cannot_be_answered(any_connection: Connection) -> None:
    reader = GeneralLayout(any_connection, Settings())
    assert reader.unanswerable(SessionQuery(workflow="Trips")) == ["workflow"]
    assert reader.unanswerable(SessionQuery(tenant_id="a", user_id="b", paused=True)) == []
