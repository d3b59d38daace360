"""The position of a hit among all hits, and the cursor that continues a search after it."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.queries import EPOCH_TEXT
from chatstore_cli.domain.search.models import SearchHit
from chatstore_cli.domain.times import as_utc, format_instant

_ABOVE_ALL_LAYOUTS = "\U0010ffff"


@dataclass(frozen=True, slots=True, order=True)
class HitKey:
    """Newest first is the descending order of this key. Hits without any time are last."""

    place: str
    layout: str
    session_id: str
    sequence: int
    message_id: str

    @classmethod
    def of(cls, hit: SearchHit) -> HitKey:
        """The key of a hit."""
        message = hit.message
        place = EPOCH_TEXT if hit.place is None else format_instant(hit.place)
        sequence = -1 if message.sequence is None else message.sequence
        return cls(place, hit.layout, message.session_id, sequence, message.message_id or "")

    @classmethod
    def above(cls, place: datetime | None) -> HitKey:
        """A key above those of all hits at an instant, for a search that was interrupted there."""
        return cls(EPOCH_TEXT if place is None else format_instant(place), _ABOVE_ALL_LAYOUTS, "", 0, "")

    @property
    def instant(self) -> datetime:
        """The place as an instant."""
        return as_utc(datetime.fromisoformat(self.place))

    def to_cursor(self) -> str:
        """The key as an opaque text for shell words."""
        values = [self.place, self.layout, self.session_id, self.sequence, self.message_id]
        return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> HitKey:
        """The key of a cursor. Raises BadValue for an invalid cursor."""
        try:
            packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            place, layout, session_id, sequence, message_id = json.loads(packed)
            key = cls(str(place), str(layout), str(session_id), int(sequence), str(message_id))
            _ = key.instant
        except (binascii.Error, ValueError, TypeError, UnicodeError, OverflowError) as error:
            raise BadValue(name="--cursor", value=cursor, expected="a cursor that an earlier search printed") from error
        return key
