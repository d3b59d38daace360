"""The check of `chatstore verify` that looks up the sessions that have titles and tags."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from chatstore_cli.core.verify.checklist import Verdict, passed, shorten, skipped, too_slow, warned
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.quantities import quantity

if TYPE_CHECKING:
    from chatstore_cli.core.labels.orphans import OrphanedLabels

_HINT = "Delete the titles and tags of sessions that no longer exist: chatstore sessions prune-labels."


def label_verdict(
    orphans: OrphanedLabels,
    collection: str,
    most: int,
    seconds: float,
    timer: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Every session that has labels exists. At most `most` are looked up, and none after `seconds`."""
    deadline = timer() + seconds
    missing: list[str] = []
    examined = 0
    try:
        for ref, exists in islice(orphans.examined(), most):
            examined += exists is not None
            if exists is False:
                missing.append(f"{ref.layout} session {ref.session_id} does not exist")
            if timer() >= deadline:
                break
    except Overdue:  # the server stopped a look-up; what was found before counts
        if not examined:
            return too_slow(collection, seconds)
    detail = f"{quantity(examined, 'session')} with labels looked up"
    if missing:
        return warned(f"{detail}; {shorten(missing)}", _HINT)
    return passed(detail) if examined else skipped(f"{collection} has no labels of sessions that can be looked up")
