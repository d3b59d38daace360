"""Masking the secrets of URIs in texts that are shown or logged."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^:@/\s]*):\S*@")
_OPTIONS = re.compile(r"(?i)([?&;]\w*(?:pass|secret|token|authmechanismproperties)\w*)=[^&;\s]*")


def masked(text: str) -> str:
    """The text with `***` in place of the passwords of URIs and the secrets among their options.

    A password without percent-encoding may contain `@` or `/`, so everything up to the last `@` is masked.
    """
    return _OPTIONS.sub(r"\1=***", _CREDENTIALS.sub(r"\1:***@", text))
