"""Replaces personal data in what is printed by numbered stand-ins, such as `[email 1]`.

The same value has the same number within one Redactor, which belongs to one output. Nothing can be computed back from a
number: it is the order in which the values appeared. Names are not recognised.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate
from typing import Any

from chatstore_cli.core.agents.secrets import is_secret_name
from chatstore_cli.core.personal_data import emails, ibans, numbers, secrets
from chatstore_cli.core.personal_data.finder import find_personal_data
from chatstore_cli.core.personal_data.spans import Span
from chatstore_cli.domain.content import bytes_text, text_of_part
from chatstore_cli.domain.media import media_of, without_data, without_data_in_text
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.session import Session

KINDS = {
    emails.KIND: ("e-mail address", "e-mail addresses"),
    numbers.PHONE: ("phone number", "phone numbers"),
    numbers.CARD: ("card number", "card numbers"),
    ibans.KIND: ("IBAN", "IBANs"),
    secrets.KIND: ("key or password", "keys or passwords"),
}
_PHONE_NAME = re.compile(
    r"(^|[_ -])(phone|telephone|tel|mobile|cell|cellphone|fax|whatsapp|msisdn|caller|callee)s?([_ -]?(number|no|nr|id))?$"
)
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
_LONGEST_KEY = 200
_SHORT = 60
"""Roles, ids and keys of metadata are shorter, and are the same in many messages. Their results are remembered."""


class Redactor:
    """Replaces personal data, and counts the different values of each kind. It is for one output in one thread."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self._short = lru_cache(maxsize=4096)(self._redacted)

    @property
    def counts(self) -> dict[str, int]:
        """How many different values of each kind were replaced; only the kinds that were found."""
        return {kind: len(known) for kind, known in self._numbers.items() if known}

    def notice(self) -> str:
        """What was replaced, as a sentence."""
        found = ", ".join(f"{count:,} {KINDS[kind][count != 1]}" for kind, count in self.counts.items())
        return f"Redacted: {found or 'nothing'}. Names and other personal data are not recognised."

    def text(self, text: str) -> str:
        """The text with stand-ins. Redact a text before it is cut: half an address is not recognised."""
        return self._short(text) if len(text) <= _SHORT else self._redacted(text)

    def _redacted(self, text: str) -> str:
        text = without_data_in_text(text)
        spans = find_personal_data(text)
        return _replaced(text, [(span.start, span.end, self._stand_in(span)) for span in spans]) if spans else text

    def optional(self, text: str | None) -> str | None:
        """The text with stand-ins; None for None."""
        return None if text is None else self.text(text)

    def value(self, value: Any, name: str = "") -> Any:
        """A copy of any JSON value with stand-ins in its texts and keys. `name` is the key under which it is stored."""
        if isinstance(value, Mapping):
            media = media_of(value)
            if media is not None and media.size is not None:
                return {"type": "text", "text": self.text(media.as_text())}
            return self._object(value, name)
        if isinstance(value, list | tuple):
            return self._parts([self.value(each, name) for each in value])
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, bytes):
            value = bytes_text(value)
        if isinstance(value, str):
            return self._named_text(without_data(value), name)
        if isinstance(value, int):
            text = str(value)
            redacted = self._named_text(text, name)
            return value if redacted == text else redacted
        text = str(value)
        redacted = self.text(text)
        return value if redacted == text else redacted

    def message(self, message: Message) -> Message:
        """The message with stand-ins in its content, tool calls, metadata, names and ids. Pictures become their size."""
        return message._replace(
            session_id=self.text(message.session_id),
            role=self.text(message.role),
            content=self.value(message.content),
            message_id=self.optional(message.message_id),
            name=self.optional(message.name),
            event_type=self.optional(message.event_type),
            source=self.optional(message.source),
            tool_calls=self.value(message.tool_calls),
            tool_call_id=self.optional(message.tool_call_id),
            metadata=self.value(message.metadata),
        )

    def session(self, session: Session) -> Session:
        """The session with stand-ins in its texts. Its id is exact unless it contains personal data."""
        texts: dict[str, Any] = {"tags": tuple(map(self.text, session.tags))}
        for field in fields(session):
            text = getattr(session, field.name)
            if type(text) is str:
                texts[field.name] = self.text(text)
        return replace(session, **texts)

    def _named_text(self, text: str, name: str) -> str:
        is_count = name.lower().endswith("s") and _NUMBER.fullmatch(text)  # for example total_tokens
        if is_secret_name(name) and text and not is_count:
            return self._stand_in(Span(0, len(text), secrets.KIND, text))
        snake_case = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        if _PHONE_NAME.search(snake_case) and numbers.is_phone_number(text):
            return self._stand_in(Span(0, len(text), numbers.PHONE, re.sub(r"[^\d+]", "", text)))
        return self.text(text)

    def _object(self, value: Mapping[Any, Any], name: str) -> dict[Any, Any]:
        shown: dict[Any, Any] = {}
        # {"name": "Authorization", "value": ...} is a secret too.
        labels = [value[key] for key in ("name", "key", "header") if isinstance(value.get(key), str)]
        for key, item in value.items():
            redacted = self.text(key) if isinstance(key, str) else key
            number = 2
            while redacted in shown:  # two spellings of one address are two keys
                redacted = f"{self.text(key)} ({number})"
                number += 1
            is_labelled = str(key).lower() == "value" and any(map(is_secret_name, labels))
            shown[redacted] = self.value(item, name if is_secret_name(name) else "secret" if is_labelled else str(key))
        return shown

    def _parts(self, parts: list[Any]) -> list[Any]:
        """The parts, in which what is divided between two texts is replaced too: its stand-in is in the first one."""
        texts = [text_of_part(part) for part in parts]
        if sum(text is not None for text in texts) < 2:
            return parts
        known = [text or "" for text in texts]
        joined = "".join(known)
        ends = list(accumulate(map(len, known)))
        divided = [
            (span.start, span.end, self._stand_in(span))
            for span in find_personal_data(joined)
            if bisect_right(ends, span.start) != bisect_left(ends, span.end)  # an end is inside the span
        ]
        if not divided:
            return parts
        return [
            part if text is None else _with_text(part, _replaced_within(text, end - len(text), divided))
            for part, text, end in zip(parts, texts, ends, strict=True)
        ]

    def _stand_in(self, span: Span) -> str:
        known = self._numbers[span.kind]
        key = (
            span.key if len(span.key) <= _LONGEST_KEY else sha256(span.key.encode("utf-8", "surrogatepass")).hexdigest()
        )
        return f"[{span.kind} {known.setdefault(key, len(known) + 1)}]"


def _replaced(text: str, replacements: Sequence[tuple[int, int, str]]) -> str:
    pieces = []
    position = 0
    for start, end, stand_in in replacements:
        pieces += [text[position:start], stand_in]
        position = end
    return "".join([*pieces, text[position:]])


def _replaced_within(text: str, offset: int, replacements: Sequence[tuple[int, int, str]]) -> str:
    """One of several joined texts. A replacement that begins in an earlier one only removes characters here."""
    within = [
        (max(start - offset, 0), min(end - offset, len(text)), stand_in if start >= offset else "")
        for start, end, stand_in in replacements
        if start - offset < len(text) and end > offset
    ]
    return _replaced(text, within)


def _with_text(part: Any, text: str) -> Any:
    if isinstance(part, str):
        return text
    key = "refusal" if part.get("type") == "refusal" else "text"
    return {**part, key: text}
