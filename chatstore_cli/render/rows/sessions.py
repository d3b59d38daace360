"""Sessions, messages and usage as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.content import content_text
from chatstore_cli.domain.foreign import shown_each
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.domain.usage import UNKNOWN_USAGE
from chatstore_cli.render.listing import Column, Row, count, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from chatstore_cli.domain.foreign import ForeignDocuments
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.removal import StoredPart
    from chatstore_cli.domain.session import Expiry, Session
    from chatstore_cli.domain.usage import KnownUsage, Usage
    from chatstore_cli.domain.usage_ledger import UsageSnapshot
    from chatstore_cli.domain.workflow.chats import Transition
    from chatstore_cli.render.times import TimeDisplay

_STATUS_STYLES = {
    "running": "cyan", "completed": "green", "failed": "red",
    "pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim",
}  # fmt: skip


def status_style(value: Any) -> str:
    """The colour of a status."""
    return _STATUS_STYLES.get(str(value), "")


def money(value: Any) -> str:
    """A cost, or `unknown`. An unknown cost is never shown as 0, which would be a false sum."""
    return "unknown" if value is None else str(value)


def foreign_row(found: ForeignDocuments) -> dict[str, Any]:
    """Documents that were left out. `expected` is what the collection is for; `sampled` if not all were examined."""
    return {
        "collection": found.collection,
        "expected": f"{found.kind.plural} of {found.kind.owner}",
        "foreign": found.foreign,
        "looked_at": found.looked_at,
        "sampled": not found.is_complete,
        "fields": shown_each(found.fields),
    }


def decimal_text(value: Decimal | None) -> str | None:
    """A decimal without exponent and without trailing zeros after the point; None for None."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def usage_row(usage: KnownUsage | Usage | UsageSnapshot) -> dict[str, Any]:
    """`{prompt_tokens, completion_tokens, total_tokens, cost}`. Cost is a decimal as text. What is unknown is null."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cost": decimal_text(usage.cost),
    }


def session_row(session: Session) -> dict[str, Any]:
    """One session. With `message_count_capped` it has more messages than `message_count`."""
    return {
        "session_id": session.session_id,
        "layout": session.layout,
        "tenant_id": session.tenant_id,
        "user_id": session.user_id,
        "title": session.title,
        "tags": list(session.tags),
        "workflow": session.workflow,
        "status": session.status.value,
        "paused": session.paused,
        "created_at": rfc3339(session.created_at),
        "updated_at": rfc3339(session.updated_at),
        "message_count": session.message_count,
        "message_count_capped": session.message_count_capped,
        "usage": usage_row(session.usage or UNKNOWN_USAGE),
    }


def message_row(message: Message) -> dict[str, Any]:
    """One message."""
    return {
        "message_id": message.message_id,
        "sequence": message.sequence,
        "role": message.role,
        "name": message.name,
        "content": message.content,
        "created_at": rfc3339(message.created_at),
        "event_type": message.event_type,
        "source": message.source,
        "tool_calls": message.tool_calls,
        "tool_call_id": message.tool_call_id,
        "metadata": message.metadata,
    }


def session_view_row(
    session: Session, first: list[Message], last: list[Message], expiry: Expiry | None
) -> dict[str, Any]:
    """One session with its first and last messages. `expires_at` is null if its messages do not expire."""
    expires_at = None if expiry is None else {"oldest": rfc3339(expiry.oldest), "newest": rfc3339(expiry.newest)}
    return {
        **session_row(session),
        "reason": session.reason,
        "expires_at": expires_at,
        "first_messages": [message_row(message) for message in first],
        "last_messages": [message_row(message) for message in last],
    }


def removal_row(part: StoredPart) -> dict[str, Any]:
    """Documents deleted from one collection."""
    return {"collection": part.collection, "deleted": part.documents}


def transition_row(transition: Transition) -> dict[str, Any]:
    """The session's state, and whether it was changed."""
    return {
        "session_id": transition.chat_id,
        "status": transition.status.value,
        "paused": transition.paused,
        "changed": transition.changed,
    }


def _expires(value: Any, times: TimeDisplay) -> str:
    """The first and last expiry of the session's messages, which MongoDB deletes one at a time."""
    if value is None:
        return ""
    oldest, newest = (times.text(value[end]) or "never" for end in ("oldest", "newest"))
    return oldest if oldest == newest else f"{oldest} (oldest message) to {newest} (newest)"


def content_cell(row: Row) -> str:
    """The cell of a message's content: its texts, a picture as its type and size, or else its tool calls."""
    content = content_text(row["content"])
    return content or (plain(row["tool_calls"]) if row["tool_calls"] else "")


def known_count(value: Any) -> str:
    """The cell of a number of tokens; `-` if it is unknown."""
    return "-" if value is None else count(value)


def _tokens(name: str) -> Callable[[Row], str]:
    return lambda row: known_count(row["usage"][name])


def _cost(row: Row) -> str:
    """The cell of a cost: `unknown` beside tokens, `-` if nothing is known or nothing was used."""
    usage = row["usage"]
    has_tokens = any(usage[name] for name in ("total_tokens", "prompt_tokens", "completion_tokens"))
    return money(usage["cost"]) if has_tokens or usage["cost"] is not None else "-"


def status_in_words(row: Row) -> str:
    """The status of a session as it is shown, such as `running, paused`."""
    return f"{row['status']}, paused" if row["paused"] else str(row["status"])


def _tags(value: Any) -> str:
    """The cell of a list of tags."""
    return ", ".join(value)


def message_count(row: Row) -> str:
    """The cell of a number of messages; `+` if there are more."""
    return f"{row['message_count']}+" if row["message_count_capped"] else count(row["message_count"])


SESSION_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("layout", "LAYOUT", whole=True, spare=6),
    Column("tenant_id", "TENANT"),
    Column("user_id", "USER", spare=7),
    Column("title", "TITLE OR WORKFLOW", show_row=lambda row: plain(row["title"] or row["workflow"]), spare=4),
    Column("workflow", "WORKFLOW", in_table=False),
    Column("status", "STATUS", style=status_style, whole=True, show_row=status_in_words, spare=2),
    Column("paused", "PAUSED", in_table=False),
    Column("message_count", "MESSAGES", align="right", show_row=message_count, spare=3),
    Column("message_count_capped", "CAPPED", in_table=False),
    Column("usage.prompt_tokens", "PROMPT", align="right", show=count, in_table=False),
    Column("usage.completion_tokens", "COMPLETION", align="right", show=count, in_table=False),
    Column("usage.total_tokens", "TOKENS", align="right", show_row=_tokens("total_tokens"), spare=5),
    Column("usage.cost", "COST", align="right", show_row=_cost),
    Column("created_at", "CREATED", is_time=True, in_table=False),
    Column("updated_at", "UPDATED", is_time=True, whole=True, spare=1),
    Column("tags", "TAGS", show=_tags, in_table=False, spare=3),
)


def session_columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns of a list of sessions. A table has a column of tags if any of the rows has one."""
    have_tags = any(row["tags"] for row in rows)
    return tuple(replace(each, in_table=have_tags) if each.key == "tags" else each for each in SESSION_COLUMNS)


SESSION_FIELDS = (
    Column("session_id", "Session"),
    Column("layout", "Layout"),
    Column("tenant_id", "Tenant"),
    Column("user_id", "User"),
    Column("title", "Title"),
    Column("tags", "Tags", show=_tags),
    Column("workflow", "Workflow"),
    Column("status", "Status"),
    Column("paused", "Paused"),
    Column("reason", "Reason"),
    Column("created_at", "Created", is_time=True),
    Column("updated_at", "Updated", is_time=True),
    Column("message_count", "Messages", show_row=message_count),
    Column("message_count_capped", "Capped", in_table=False),
    Column("usage.prompt_tokens", "Prompt tokens", show_row=_tokens("prompt_tokens")),
    Column("usage.completion_tokens", "Completion tokens", show_row=_tokens("completion_tokens")),
    Column("usage.total_tokens", "Total tokens", show_row=_tokens("total_tokens")),
    Column("usage.cost", "Cost", show_row=_cost),
    Column("expires_at", "Expires", is_time=True, show_time=_expires),
    Column("first_messages", "First messages", in_table=False),
    Column("last_messages", "Last messages", in_table=False),
)
MESSAGE_COLUMNS = (
    Column("sequence", "SEQUENCE", align="right", spare=2),
    Column("created_at", "TIME", is_time=True, whole=True, spare=1),
    Column("role", "ROLE", whole=True),
    Column("name", "NAME", spare=3),
    Column("content", "CONTENT", show_row=content_cell),
)
WHOLE_MESSAGE_COLUMNS = (
    Column("message_id", "MESSAGE"),
    *MESSAGE_COLUMNS[:4],
    Column("content", "CONTENT"),
    Column("event_type", "EVENT"),
    Column("source", "SOURCE"),
    Column("tool_calls", "TOOL CALLS"),
    Column("tool_call_id", "TOOL CALL"),
    Column("metadata", "METADATA"),
)
"""Everything that a message has, for CSV."""
TRANSITION_COLUMNS = (
    Column("session_id", "SESSION"),
    Column("status", "STATUS"),
    Column("paused", "PAUSED"),
    Column("changed", "CHANGED"),
)
