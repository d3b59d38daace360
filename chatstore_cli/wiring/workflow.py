"""What keeping the chats of agents needs: the writer of their documents, and what moves the oldest messages out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.workflow.ag2_manager import EventPorts
    from chatstore_cli.domain.workflow.chats import ChatWriter
    from chatstore_cli.wiring.stores import Stores


def chat_writer(stores: Stores) -> ChatWriter:
    """The documents of the workflow layout, to be written to."""
    from chatstore_cli.mongo.workflow.writer import MongoChatWriter

    settings = stores.settings
    return MongoChatWriter(stores.connection, settings.sessions_collection, settings.layouts.workflow.segments)


def event_ports(stores: Stores, warn: Callable[[str], None]) -> EventPorts:
    """What an AG2PersistenceManager works on. `warn` is told what is odd, each thing once."""
    from chatstore_cli.core.workflow.ag2_manager import EventPorts
    from chatstore_cli.core.workflow.segment_keeper import SegmentKeeper
    from chatstore_cli.mongo.workflow.layout import WorkflowLayout
    from chatstore_cli.mongo.workflow.writer import reading_from_primary
    from chatstore_cli.wiring.segments import segment_store
    from chatstore_cli.wiring.usage import usage_recorder

    # A chat is resumed from the newest that there is, whatever the URI prefers to read from.
    reader = WorkflowLayout(reading_from_primary(stores.connection), stores.settings)
    wanted = stores.settings.layouts.workflow.segment_messages
    keeper = SegmentKeeper(segment_store(stores, warn), segment_messages=wanted, warn=warn)
    return EventPorts(chat_writer(stores), reader, usage_recorder(stores, warn), keeper, warn)
