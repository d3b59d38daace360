"""Tenants and users with the number of their sessions, as rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, count
from chatstore_cli.render.rows.usage import key_words

if TYPE_CHECKING:
    from chatstore_cli.domain.named_sessions import NamedSessions
    from chatstore_cli.domain.session_reader import NameField


def name_row(named: NamedSessions, by: NameField) -> dict[str, Any]:
    """A tenant or a user; `layouts` has the same numbers for each layout. The id is null for sessions without one."""
    return {
        f"{by}_id": named.name,
        "sessions": named.sessions,
        "updated_at": rfc3339(named.updated_at),
        "layouts": {
            layout: {"sessions": total.sessions, "updated_at": rfc3339(total.updated_at)}
            for layout, total in named.layouts.items()
        },
    }


def _layouts(value: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{layout} {of_layout['sessions']:,}" for layout, of_layout in value.items())


def name_columns(by: NameField) -> tuple[Column, ...]:
    """The columns of tenants or of users."""
    return (
        Column(f"{by}_id", by.upper(), whole=True, show=key_words),
        Column("sessions", "SESSIONS", align="right", show=count),
        Column("updated_at", "UPDATED", is_time=True, whole=True),
        Column("layouts", "LAYOUTS", show=_layouts, spare=1),
    )
