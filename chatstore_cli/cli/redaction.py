"""The redactor of a command with --redact. Its patterns are compiled only if it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.redaction import Redactor


def redactor_if(wanted: bool) -> Redactor | None:
    """A new redactor, for one output; None without --redact."""
    if not wanted:
        return None
    from chatstore_cli.core.redaction import Redactor

    return Redactor()
