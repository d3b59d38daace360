"""Entries of edited lines, which replace quarantined lines of a journal."""

from __future__ import annotations

from typing import Any

from chatstore_cli.domain.identity import content_key
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message_store import QuarantinePort
from chatstore_cli.domain.quarantine import Resolution


def final_resolution(quarantine: QuarantinePort, source: str, offset: int, resolution: Resolution) -> Resolution:
    """The last of the resolutions that follow each other: an edited line may have been rejected, and edited again."""
    followed = {resolution.quarantine_id}
    while resolution.edited is not None:
        following = quarantine.resolution(source, offset, resolution.edited)
        if following is None or following.quarantine_id in followed:  # an edit can restore an earlier line
            break
        followed.add(following.quarantine_id)
        resolution = following
    return resolution


def edited_entry(source: str, number: int, offset: int, resolution: Resolution, fields: dict[str, Any]) -> Entry:
    """The entry of an edited line. It has the `_id` under which the edit stored it."""
    session, instant = fields["session_id"], fields["created_at"]
    key = b"" if "message_id" in fields else content_key(session, fields["role"], instant, fields["text"])
    return Entry(source, str(resolution.identity), key, instant, fields, number, offset, resolution.edited or b"")
