"""The tables of threads, as the newest migration leaves them.

Ids have the collation "C": their order is that of their bytes on every server, and equal means byte by byte.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Function,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

METADATA = MetaData()


def _exact_text() -> Text:
    return Text(collation="C")


THREADS = Table(
    "chat_threads",
    METADATA,
    Column("id", _exact_text(), primary_key=True),
    Column("user_id", _exact_text(), nullable=False),
    Column("org_id", _exact_text(), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("last_sequence", BigInteger, nullable=False, server_default="0"),
    Column("forked_from_thread_id", _exact_text()),
    Column("forked_from_sequence", BigInteger),
)

MESSAGES = Table(
    "chat_messages",
    METADATA,
    Column("id", _exact_text(), primary_key=True),
    Column("chat_thread_id", _exact_text(), ForeignKey("chat_threads.id", ondelete="CASCADE"), nullable=False),
    Column("sender_id", _exact_text()),
    Column("sender_role", _exact_text(), nullable=False),
    Column("content", JSONB, nullable=False),
    Column("key_order", JSON(none_as_null=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("edits", JSON(none_as_null=True)),
    UniqueConstraint("chat_thread_id", "sequence", name="chat_messages_thread_sequence_key"),
)


def indexed_owner(owner: Any) -> Function[str]:
    """What the indexes have of a user or organisation: imported ones may be longer than PostgreSQL can index."""
    return func.left(owner, text("200"), type_=_exact_text())


_NEWEST_FIRST = (THREADS.c.updated_at.desc(), THREADS.c.id.desc())
Index("chat_threads_updated_idx", *_NEWEST_FIRST)
Index("chat_threads_org_updated_idx", indexed_owner(THREADS.c.org_id), *_NEWEST_FIRST)
Index("chat_threads_user_updated_idx", indexed_owner(THREADS.c.user_id), *_NEWEST_FIRST)
