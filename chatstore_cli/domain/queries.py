"""Queries: which sessions, which messages, and from which position."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.times import as_utc, format_instant

EPOCH_TEXT = "0001-01-01T00:00:00.000000+00:00"


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Filters on sessions; None means no filter. `since` is inclusive, `until` exclusive, both on `updated_at`.

    `paused` selects only paused sessions. With `without_ledger` a reader may leave out sessions that are known to have rows
    in the usage ledger. No layout stores tags: core/labels/ answers `tag`, and readers never see it. `among` has the ids of
    the sessions that `all_facts` returns, at most some thousand: their number decides what it costs.

    No index has `title` (a part of the shown title, in any case), `model` (a model in the session's stored usage) and the
    minimum numbers. Sessions are read one by one for them: see `indexed` and core/sessions/bounded_list.py.
    """

    layout: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    workflow: str | None = None
    status: SessionStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    without_ledger: bool = False
    paused: bool = False
    tag: str | None = None
    among: frozenset[str] | None = None
    title: str | None = None
    model: str | None = None
    min_messages: int | None = None
    min_tokens: int | None = None
    min_cost: Decimal | None = None

    @property
    def indexed(self) -> SessionQuery:
        """The query without the filters that no index has."""
        return replace(self, title=None, model=None, min_messages=None, min_tokens=None, min_cost=None)

    @property
    def needs_usage(self) -> bool:
        """Whether the tokens or the cost of a session decide whether it matches."""
        return self.min_tokens is not None or self.min_cost is not None

    def matches(self, session: Session) -> bool:
        """Whether a session passes every filter except `model`. Layouts may prefilter, but this decides.

        A number that is unknown, or an unknown title, does not pass a filter on it.
        """
        return (
            (self.layout is None or session.layout == self.layout)
            and (self.tenant_id is None or session.tenant_id == self.tenant_id)
            and (self.among is None or session.session_id in self.among)
            and (self.user_id is None or session.user_id == self.user_id)
            and (self.workflow is None or session.workflow == self.workflow)
            and (self.status is None or session.status == self.status)
            and (not self.paused or session.paused)
            and (self.since is None or (session.updated_at is not None and session.updated_at >= self.since))
            and (self.until is None or (session.updated_at is not None and session.updated_at < self.until))
            and (self.title is None or self.title.casefold() in (session.title or "").casefold())
            and (self.min_messages is None or session.message_count >= self.min_messages)
            and (self.min_tokens is None or _at_least(session.usage and session.usage.total_tokens, self.min_tokens))
            and (self.min_cost is None or _at_least(session.usage and session.usage.cost, self.min_cost))
        )


def _at_least(value: Decimal | int | None, least: Decimal | int) -> bool:
    return value is not None and value >= least


@dataclass(frozen=True, slots=True, order=True)
class SessionKey:
    """A session's position in the list, for keyset paging: newest first is the descending order of this key."""

    updated_at: str
    layout: str
    session_id: str

    @classmethod
    def of(cls, session: Session) -> SessionKey:
        """The key of a session. A session without an update time sorts last."""
        updated_at = session.updated_at
        return cls(EPOCH_TEXT if updated_at is None else format_instant(updated_at), session.layout, session.session_id)

    @property
    def instant(self) -> datetime:
        """`updated_at` as an instant."""
        return as_utc(datetime.fromisoformat(self.updated_at))

    def to_cursor(self) -> str:
        """The key as an opaque text for URLs and shell words."""
        packed = json.dumps([self.updated_at, self.layout, self.session_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> SessionKey:
        """The key of a cursor. Raises BadValue for an invalid cursor."""
        try:
            packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            updated_at, layout, session_id = json.loads(packed)
            key = cls(str(updated_at), str(layout), str(session_id))
            _ = key.instant
        except (binascii.Error, ValueError, TypeError, UnicodeError) as error:
            raise BadValue(name="--cursor", value=cursor, expected="the next_cursor of an earlier page") from error
        return key


@dataclass(frozen=True, slots=True)
class MessageSelection:
    """Which messages of a session: the newest `last`, those after `after_sequence`, with or without the general agent's.

    `first` ends the selection after so many of these, so that a reader fetches no more than a page of a long session.
    """

    last: int | None = None
    after_sequence: int | None = None
    include_general: bool = True
    first: int | None = None
