"""Files in folders of journals that are not read, as a value in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatstore_cli.domain.ignored_files import IgnoredFiles


def ignored_rows(ignored: Sequence[IgnoredFiles]) -> list[dict[str, Any]]:
    """The files by reason, with the paths of the first ones."""
    return [{"reason": str(group.reason), "count": group.files, "examples": list(group.examples)} for group in ignored]


def ignored_count(rows: Any) -> str:
    """How many files were ignored, for a table."""
    return f"{sum(group['count'] for group in rows):,}"
