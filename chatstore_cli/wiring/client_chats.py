"""The workflow sessions that clients of the multi-agent platform start and list."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.workflow.ag2_manager import AG2Manager
    from chatstore_cli.core.workflow.client_chats import ClientChats
    from chatstore_cli.wiring.stores import Stores


def client_chats(stores: Stores, warn: Callable[[str], None]) -> ClientChats:
    """The sessions of the workflow layout."""
    from chatstore_cli.core.workflow.client_chats import ClientChats
    from chatstore_cli.mongo.workflow.newest_created import MongoCreatedChats
    from chatstore_cli.wiring.artifacts import artifact_reader
    from chatstore_cli.wiring.session_registry import prerequisites
    from chatstore_cli.wiring.workflow import event_ports

    ports = event_ports(stores, warn)
    artifacts, writer = artifact_reader(stores), session_writer(stores, warn)
    # What was created last decides about writes, so it is read from the primary.
    created = MongoCreatedChats(stores.connection.reading_from_primary(), stores.settings)
    return ClientChats(ports.reader, created, ports.writer, artifacts, writer, prerequisites=prerequisites(stores))


def session_writer(stores: Stores, warn: Callable[[str], None]) -> AG2Manager:
    """What stores the turns of workflow sessions."""
    from chatstore_cli.core.workflow.ag2_manager import AG2Manager
    from chatstore_cli.wiring.workflow import event_ports

    return AG2Manager(event_ports(stores, warn))
