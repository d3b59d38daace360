"""Secrets stay secret (DESIGN section 4, promise 7): URIs as they may be shown."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^:@/\s]*):\S*@")
_OPTIONS = re.compile(r"(?i)([?&;]\w*(?:pass|secret|token|authmechanismproperties)\w*)=[^&;\s]*")


def masked(text: str) -> str:
    """Any text with the passwords of URIs in it, and the secrets among their options, replaced by `***`.

    A password that was not percent-encoded may hold `@` or `/`: everything up to the last `@` is taken for it.
    """
    return _OPTIONS.sub(r"\1=***", _CREDENTIALS.sub(r"\1:***@", text))
