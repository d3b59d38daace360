"""What keeping the chats of agents needs: the writer of their documents, and what moves the oldest messages out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.chat_writing import ChatWriter
    from chatstore_cli.wiring.stores import Stores


def chat_writer(stores: Stores) -> ChatWriter:
    """The documents of the workflow layout, to be written to."""
    from chatstore_cli.mongo.workflow_writer import MongoChatWriter

    settings = stores.settings
    return MongoChatWriter(stores.connection, settings.sessions_collection, settings.layouts.workflow.segments)
