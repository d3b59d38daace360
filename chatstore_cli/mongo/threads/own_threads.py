"""The conditions that threads and their messages meet, the field of copied messages, and how many messages are read at a time."""

from __future__ import annotations

from typing import Any

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.mongo.own_documents import OwnDocuments, has_all

OWN_THREADS = OwnDocuments(OwnKind("a thread", "threads", "layout threads"), has_all("user_id", "org_id", "name"))
OWN_THREAD_MESSAGES = OwnDocuments(
    OwnKind("a message of a thread", "messages of threads", "layout threads"),
    has_all("chat_thread_id", "sender_role", "content"),
)

COPIED_AT = "copied_at"
"""The time, by the server's clock, at which a fork or an import stored a message before its thread."""

MESSAGES_PER_ANSWER = 1_000
"""Messages of a thread in one answer of the server. An answer of the default size, 16 MiB, would take 150 MiB of memory."""


def after_sequence(number: int) -> dict[str, Any]:
    """The condition that a message comes after this number in the order of `sequence`.

    `{"sequence": {"$gt": number}}` would leave out a text, which the order of the server has after all numbers.
    """
    return {"sequence": {"$ne": None}, "$expr": {"$gt": ["$sequence", number]}}
