"""The deterministic `_id` of a message in the messages layout.

An `_id` has 32 hexadecimal digits. The first 12 stand for the session, so that a session's messages are neighbours in
the index; the other 20 stand for the message. They are a hash of the `message_id` if the journal line has one, else of
role, instant, text and the occurrence number among equal lines of the same file.
"""

from __future__ import annotations

import re
from hashlib import blake2b

_OURS = re.compile(r"[0-9a-f]{32}")
_KEY_BYTES = 10


def session_prefix(session_id: str) -> str:
    """The part of the `_id` that all messages of a session share."""
    return blake2b(session_id.encode(), digest_size=6).hexdigest()


def content_key(session_id: str, role: str, instant: str, text: str) -> bytes:
    """A hash of 10 bytes of what makes two lines equal: session, role, canonical instant and text.

    The hashed text starts with the session's length, and neither roles nor canonical instants contain a NUL, so the
    hashed texts of different lines differ.
    """
    packed = f"{len(session_id)}:{session_id}{role}\0{instant}\0{text}".encode()
    return blake2b(packed, digest_size=_KEY_BYTES).digest()


def identity_by_content(prefix: str, key: bytes, occurrence: int) -> str:
    """The `_id` of a line without `message_id`. The first of equal lines has the occurrence 0."""
    if occurrence == 0:
        return prefix + key.hex()
    return prefix + blake2b(key + b"%d" % occurrence, digest_size=_KEY_BYTES, person=b"occurrence").hexdigest()


def identity_by_message_id(prefix: str, session_id: str, message_id: str) -> str:
    """The `_id` of a line with a `message_id`."""
    # The first letter differs from that of a content, which begins with a digit.
    packed = f"m{len(session_id)}:{session_id}{message_id}".encode()
    return prefix + blake2b(packed, digest_size=_KEY_BYTES).hexdigest()


def is_ours(stored_id: object, prefix: str) -> bool:
    """Whether a stored `_id` is one that chatstore gave to a message of the session with this prefix."""
    return isinstance(stored_id, str) and stored_id.startswith(prefix) and _OURS.fullmatch(stored_id) is not None


def to_millisecond(instant: str) -> str:
    """A canonical instant cut to the milliseconds that a BSON date keeps."""
    return instant[:23] + "000" + instant[26:]
