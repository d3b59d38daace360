"""The protocol of a MongoDB layout whose changes a change stream can report."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from chatstore_cli.mongo.watch.messages import MessageChanges
from chatstore_cli.mongo.watch.sessions import SessionChanges


@runtime_checkable
class StreamedLayout(Protocol):
    """A reader of sessions with a feed of its own. The sessions of a reader without one are polled."""

    def session_changes(self) -> SessionChanges:
        """How its sessions change, from now on."""

    def message_changes(self, session_id: str) -> MessageChanges:
        """How the messages of one of its sessions change. Raises Unreachable."""
