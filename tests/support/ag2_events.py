"""Hand-made events in AG2's shape, and a manager that stores them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.segments.keeper import SegmentKeeper
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.core.workflow.ag2_manager import AG2Manager, EventPorts
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from chatstore_cli.mongo.workflow.writer import MongoChatWriter


def new_manager(
    connection: Connection, warn: Callable[[str], None] = lambda _: None, *, segment_messages: int | None = None
) -> AG2Manager:
    """A manager that knows no session yet, like one in another process."""
    settings = Settings()
    ports = EventPorts(
        writer=MongoChatWriter(connection, Settings()),
        reader=LAYOUTS["workflow"](connection, settings),
        usage=UsageRecorder(MongoUsageLedger(connection, Settings()), warn),
        keeper=SegmentKeeper(
            MongoSegmentStore(WORKFLOW, connection, settings, warn), segment_messages=segment_messages, warn=warn
        ),
        warn=warn,
    )
    return AG2Manager(ports)


def event(kind: str, **content: Any) -> dict[str, Any]:
    """The dump of an event; without a given uuid it gets a new one."""
    return {"type": kind, "content": {"uuid": str(uuid.uuid4()), **content}}


def text(content: Any, sender: str | None = "user", **more: Any) -> dict[str, Any]:
    """The dump of a text event."""
    return event("text", content=content, sender=sender, recipient="chat_manager", **more)
