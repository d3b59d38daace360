"""All personal data of a text, without overlaps."""

from __future__ import annotations

from chatstore_cli.core.personal_data.emails import find_emails
from chatstore_cli.core.personal_data.ibans import find_ibans
from chatstore_cli.core.personal_data.numbers import find_numbers
from chatstore_cli.core.personal_data.secrets import find_secrets
from chatstore_cli.core.personal_data.spans import Span, blanked

_FINDERS = (find_secrets, find_emails, find_ibans, find_numbers)
"""In this order: the digits of a key are no phone number, and a password before `@` is no e-mail address."""


def find_personal_data(text: str) -> list[Span]:
    """The spans in the order of the text."""
    found: list[Span] = []
    for find in _FINDERS:
        spans: list[Span] = []
        end = 0
        for span in sorted(find(text), key=lambda span: (span.start, -span.end)):
            if span.start >= end:
                spans.append(span)
                end = span.end
        found += spans
        text = blanked(text, spans)
    return sorted(found)
