"""The orders of a list of sessions: by a time, a number or a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.quantities import alternatives
from chatstore_cli.domain.queries import SessionKey
from chatstore_cli.domain.session import Session

_NUMBERS: dict[str, Callable[[Session], Any]] = {
    "updated": lambda session: session.updated_at,
    "created": lambda session: session.created_at,
    "messages": lambda session: session.message_count,
    "tokens": lambda session: session.usage and session.usage.total_tokens,
    "cost": lambda session: session.usage and session.usage.cost,
}
_TEXTS: dict[str, Callable[[Session], str | None]] = {
    "title": lambda session: session.title or session.workflow,
    "workflow": lambda session: session.workflow,
    "tenant": lambda session: session.tenant_id,
    "user": lambda session: session.user_id,
    "session": lambda session: session.session_id,
    "layout": lambda session: session.layout,
    "status": lambda session: session.status.value,
}
SORT_FIELDS = (*_NUMBERS, *_TEXTS)
THREAD_SORT_FIELDS = ("updated", "created", "messages", "title", "tenant", "user")
"""The fields by which threads can be sorted."""
_DIRECTIONS = {"asc": False, "desc": True}


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """An order of sessions. Times and numbers begin with the highest one, texts with A, unless a direction is given.

    A session without the value is at the end in both directions. Of equal ones the most recently updated is first.
    """

    field: str
    descending: bool

    @classmethod
    def parse(cls, text: str, fields: Sequence[str] = SORT_FIELDS) -> SessionOrder:
        """The order of a text such as `cost` or `created:asc`, by one of the fields. Raises BadValue."""
        field, colon, direction = text.partition(":")
        if field not in fields or (colon and direction not in _DIRECTIONS):
            from chatstore_cli.core.choices import not_one_of

            expected = f"{alternatives(fields)}, with :asc or :desc at its end if needed"
            if field not in fields:
                raise not_one_of("--sort", field, fields, expected=expected)
            raise BadValue(name="--sort", value=text, expected=expected, hint="Write :asc or :desc.")
        return cls(field, _DIRECTIONS[direction] if colon else field in _NUMBERS)

    @property
    def is_usual(self) -> bool:
        """Whether this is the order of every list, which an index has."""
        return self.field == "updated" and self.descending

    @property
    def needs_usage(self) -> bool:
        """Whether the order depends on tokens or cost."""
        return self.field in ("tokens", "cost")

    def sorted(self, sessions: Iterable[Session]) -> list[Session]:
        """The sessions in this order."""
        newest_first = sorted(sessions, key=SessionKey.of, reverse=True)
        value: Callable[[Session], Any] = _NUMBERS.get(self.field) or _folded(_TEXTS[self.field])
        known = [session for session in newest_first if value(session) is not None]
        unknown = [session for session in newest_first if value(session) is None]
        known.sort(key=value, reverse=self.descending)  # a stable sort, also in reverse
        return [*known, *unknown]


def _folded(text_of: Callable[[Session], str | None]) -> Callable[[Session], str | None]:
    def folded(session: Session) -> str | None:
        text = text_of(session)
        return text.casefold() if text else None

    return folded
