"""Ports of the workflow layout: the writer of its documents, and everything that an AG2Manager needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.workflow.ag2_manager import EventPorts
    from chatstore_cli.domain.workflow.chats import ChatWriter
    from chatstore_cli.wiring.stores import Stores


def chat_writer(stores: Stores, warn: Callable[[str], None] = lambda _: None) -> ChatWriter:
    """The writer of the workflow layout's documents. `warn` is called once if their collection has a collation."""
    from chatstore_cli.mongo.workflow.writer import MongoChatWriter

    return MongoChatWriter(stores.connection, stores.settings, warn)


def event_ports(stores: Stores, warn: Callable[[str], None]) -> EventPorts:
    """The ports of an AG2Manager. `warn` is called with each warning once."""
    from chatstore_cli.core.segments.keeper import SegmentKeeper
    from chatstore_cli.core.workflow.ag2_manager import EventPorts
    from chatstore_cli.mongo.workflow.layout import WorkflowLayout
    from chatstore_cli.wiring.segments import segment_store
    from chatstore_cli.wiring.usage import usage_recorder

    # A session is resumed from its newest state, so reads go to the primary whatever the URI prefers.
    reader = WorkflowLayout(stores.connection.reading_from_primary(), stores.settings)
    segment_messages = stores.settings.layouts.workflow.segment_messages
    keeper = SegmentKeeper(segment_store(stores, warn), segment_messages=segment_messages, warn=warn)
    return EventPorts(chat_writer(stores, warn), reader, usage_recorder(stores, warn), keeper, warn)
