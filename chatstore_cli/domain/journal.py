"""Journal lines: the fields of a line that can be stored, and the result of flushing a journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from chatstore_cli.domain.field_names import missing_field, unknown_role
from chatstore_cli.domain.identity import content_key
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.storable_values import Alterations
from chatstore_cli.domain.times import recorded_instant

MOST_NAMED = 20
"""Journals that a result names at most."""

RESERVED_FIELDS = frozenset({"_id", "expires_at", "sequence", "extra_fields"})
"""Fields that chatstore writes itself. If a line has one, its value is kept inside `extra_fields`."""

DOCUMENT_LIMIT = 16 * 1024 * 1024
"""Bytes of BSON that one document may have."""

_FORMS_OF_TIMES = "write ISO 8601 such as 2026-03-02T11:41:00.195Z, or epoch seconds or milliseconds"
_LEAST_UNSIGNED = 2**63
_LEAST_SUSPECT_FLOAT = float(2**63)
_CANONICAL_LENGTH = len("2026-03-02T11:41:00.195769+00:00")
_read_time = datetime.fromisoformat


KNOWN_FIELDS = ("session_id", "role", "text", "created_at", "message_id", "metadata", "vector_ids")
"""The fields of a line that chatstore reads."""


class JournalRecord(NamedTuple):
    """A decoded record of a journal. `fields` is None if it is not JSON.

    `flaw` is the reason why it cannot be stored. `alterations` describe values that were replaced to store it.
    """

    fields: dict[str, Any] | None
    flaw: str | None = None
    alterations: tuple[str, ...] = ()


class Entry(NamedTuple):
    """One line that can be stored. `instant` is canonical, `identity` is its `_id`.

    `key` is the key of its content, or empty if the identity comes from a `message_id` (then key_of returns the key).
    `source` is the journal's name, `number` the record's place in it (from 1), `offset` its first byte there.
    """

    source: str
    identity: str
    key: bytes
    instant: str
    fields: dict[str, Any]
    number: int
    offset: int
    raw: bytes

    @property
    def session_id(self) -> str:
        """The session that the line belongs to."""
        return str(self.fields["session_id"])


def is_plain(fields: Any) -> bool:
    """Whether a decoded line is of the usual kind, and needs no other check.

    Nearly every line is, and this check is cheap. Other lines go through flaw_of and may_have_lost_digits, which find
    out whether anything is wrong with them.
    """
    try:
        session_id, role, text = fields["session_id"], fields["role"], fields["text"]
        created_at, vector_ids = fields["created_at"], fields["vector_ids"]
        if not (
            type(session_id) is type(text) is type(created_at) is str
            and role in ROLES
            and session_id
            and len(created_at) == _CANONICAL_LENGTH  # the same as is_canonical, without the cost of a call
            and created_at[10] == "T"
            and created_at[19] == "."
            and created_at[26:] == "+00:00"
            and created_at[5] != "W"
            and created_at[11:13] != "24"
            and not vector_ids
            and type(vector_ids) is list
            and (
                len(fields) == 6
                or (len(fields) == 7 and type(fields["message_id"]) is str and fields["message_id"])
                or (len(fields) == 9 and _is_plain_answer(fields))
            )
        ):
            return False
        _read_time(created_at)
        for value in fields["metadata"].values():
            if type(value) is not str:
                return False
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    return True


def _is_plain_answer(fields: dict[str, Any]) -> bool:
    message_id = fields["message_id"]
    return type(message_id) is type(fields["reply_to"]) is type(fields["reply_to_at"]) is str and message_id != ""


def key_of(entry: Entry) -> bytes:
    """The content key of an entry, even if its identity comes from a message_id."""
    fields = entry.fields
    return entry.key or content_key(entry.session_id, fields["role"], entry.instant, fields["text"])


def flaw_of(fields: object, alterations: Alterations | None = None) -> str | None:
    """Why a decoded line cannot be stored, or None. Replaces `created_at` by its canonical form."""
    if type(fields) is not dict:
        return "not a JSON object"
    for name in ("session_id", "role", "text"):
        value = fields.get(name)
        if type(value) is not str:
            return missing_field(name, fields) if name not in fields else f"{name} is {_kind(value)}, not text"
    if not fields["session_id"]:
        return "session_id is empty"
    if fields["role"] not in ROLES:
        return unknown_role(fields["role"])
    if "created_at" not in fields:
        return missing_field("created_at", fields)
    try:
        fields["created_at"], was_cut = recorded_instant(fields["created_at"])
    except (ValueError, OverflowError):
        return f"created_at {_shown(fields['created_at'])} is not a time: {_FORMS_OF_TIMES}"
    if was_cut and alterations is not None:
        alterations.add("a time with more than six digits of a second, which were cut")
    metadata = fields.get("metadata")
    if metadata is None:
        fields["metadata"] = {}
    elif type(metadata) is not dict:
        return f"metadata is {_kind(metadata)}, not an object"
    vector_ids = fields.get("vector_ids")
    if vector_ids is None:
        fields["vector_ids"] = []
    elif type(vector_ids) is not list:
        return f"vector_ids is {_kind(vector_ids)}, not a list"
    if len(fields) > 6:
        message_id = fields.get("message_id")
        if message_id is None:
            fields.pop("message_id", None)
        elif type(message_id) is not str or not message_id:
            return "message_id is not text" if type(message_id) is not str else "message_id is empty"
    return None


def may_have_lost_digits(fields: dict[str, Any]) -> bool:
    """Whether a number in it may be an integer beyond 64 bits, which the decoder has turned into a float."""
    return any(type(value) is not str and value and _has_huge_float(value) for value in fields.values())


def _has_huge_float(value: Any) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is str:
            continue
        if type(item) is float:
            if item >= _LEAST_SUSPECT_FLOAT or item <= -_LEAST_SUSPECT_FLOAT:
                return True
        elif type(item) is int:
            if item >= _LEAST_UNSIGNED:
                return True
        elif type(item) is dict:
            pending.extend(item.values())
        elif type(item) is list:
            pending.extend(item)
    return False


def _shown(value: object) -> str:
    return repr(value[:60]) if isinstance(value, str) else repr(value)[:60]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a journal has been stored in one collection, with fingerprints of the file at that time.

    `offset` is in bytes of the file (for a compressed file its whole size, once all of it is stored). `records` counts
    the records up to the offset, `latest` is the latest instant among them, `head` and `tail` are the fingerprints.
    """

    offset: int
    records: int
    latest: str
    head: str
    tail: str


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a flush did. lines = stored + already_stored + skipped + quarantined + already_quarantined.

    `altered` counts the lines with values that cannot be stored as they are, by what was done to them; such a line is
    stored. `pending` counts incomplete last lines, which are left for the next flush, and `incomplete` names their
    journals. `skipped` lines were deleted with their session, have expired or were dropped from the quarantine. `expired`
    counts lines whose `expires_at` has already passed.
    """

    files: int = 0
    lines: int = 0
    stored: int = 0
    already_stored: int = 0
    quarantined: int = 0
    already_quarantined: int = 0
    skipped: int = 0
    pending: int = 0
    expired: int = 0
    seconds: float = 0.0
    altered: Mapping[str, int] = field(default_factory=dict)
    incomplete: Sequence[str] = ()

    @property
    def named_incomplete(self) -> Sequence[str]:
        """The first journals with an incomplete last line."""
        return self.incomplete[:MOST_NAMED]

    @property
    def messages_per_second(self) -> float:
        """Lines read per second."""
        return self.lines / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Progress:
    """How far a flush has read: `offset` is in bytes of the journal `name`."""

    name: str
    offset: int
    stored: int
