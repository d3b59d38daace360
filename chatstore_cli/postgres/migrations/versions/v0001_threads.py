"""Tables of threads and messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON, JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. They are written out here, because schema.py changes with the newest version."""
    exact, instant = sa.Text(collation="C"), sa.DateTime(timezone=True)
    op.create_table(
        "chat_threads",
        sa.Column("id", exact, primary_key=True),
        sa.Column("user_id", exact, nullable=False),
        sa.Column("org_id", exact, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("forked_from_thread_id", exact),
        sa.Column("forked_from_sequence", sa.BigInteger),
    )
    op.create_table(
        "chat_messages",
        sa.Column("id", exact, primary_key=True),
        sa.Column("chat_thread_id", exact, sa.ForeignKey("chat_threads.id", ondelete="CASCADE"), nullable=False),
        sa.Column("sender_id", exact),
        sa.Column("sender_role", exact, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("key_order", JSON),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("edits", JSON),
        sa.UniqueConstraint("chat_thread_id", "sequence", name="chat_messages_thread_sequence_key"),
    )
    newest = [sa.text("updated_at DESC"), sa.text("id DESC")]
    op.create_index("chat_threads_updated_idx", "chat_threads", newest)
    op.create_index("chat_threads_org_updated_idx", "chat_threads", [sa.text('"left"(org_id, 200)'), *newest])
    op.create_index("chat_threads_user_updated_idx", "chat_threads", [sa.text('"left"(user_id, 200)'), *newest])
