"""The stored flat messages of a session, in order and in pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from pymongo.collection import Collection

from chatstore_cli.domain.message import GENERAL_AGENT, Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.messages.ordering import BATCH, EXTRA_ROWS, MessagesInOrder, newest_in_order
from chatstore_cli.mongo.messages.rows import to_message


class StoredMessages:
    """Reads the messages of sessions from their collection."""

    def __init__(self, messages: Collection[Document]) -> None:
        self._messages = messages

    def selected(self, session_id: str, selection: MessageSelection) -> Iterator[Message] | None:
        """The selected messages in order of (instant, sequence), streamed; None if no document has the session's id."""
        ordered = self._in_order(session_id, selection.first if selection.last is None else selection.last)
        if ordered.is_empty:
            return None
        extra: Document = {}
        if selection.after_sequence is not None:
            count_after = ordered.count_after_restarted_numbers(selection.after_sequence)
            if count_after is not None:
                return islice(_newest_numbered(ordered, count_after, selection), selection.first)
            extra["sequence"] = {"$gt": selection.after_sequence}
        if not selection.include_general:
            extra["source"] = extra["metadata.source"] = {"$ne": GENERAL_AGENT}
        if selection.last is not None:
            newest = newest_in_order(ordered.newest_first(extra), selection.last)
            return map(to_message, islice(newest, selection.first))
        return map(to_message, islice(ordered.oldest_first(extra), selection.first))

    def from_second(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages from the second of this instant on, oldest first; None if the stored times have several forms."""
        rows = self._in_order(session_id, at_once).from_second(instant)
        return None if rows is None else map(to_message, rows)

    def until_second(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages up to the end of this instant's second, newest first; None as for `from_second`."""
        rows = self._in_order(session_id, at_once).until_second(instant)
        return None if rows is None else map(to_message, rows)

    def _in_order(self, session_id: str, count: int | None) -> MessagesInOrder:
        """The session's messages, of which `count` are expected to be read; None for all."""
        batch = BATCH if count is None else min(BATCH, count + EXTRA_ROWS)
        return MessagesInOrder(
            self._messages, session_id, f"reading session {session_id!r} in {self._messages.name}", batch
        )


def _newest_numbered(ordered: MessagesInOrder, count: int, selection: MessageSelection) -> Iterator[Message]:
    """The selected ones of the newest `count` messages with a sequence."""
    rows = newest_in_order(ordered.newest_first({"sequence": {"$type": "number"}}), count)
    messages = map(to_message, rows)
    selected = [message for message in messages if selection.include_general or not message.from_general_agent]
    return iter(selected if selection.last is None else selected[max(0, len(selected) - selection.last) :])
