"""The check of `chatstore verify` that compares the session registry with the stored sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from chatstore_cli.core.verify.checklist import Verdict, passed, skipped, warned
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_registry import ACTIVE, PAUSED, RegistryEntry, WorkflowContext

JUST_STARTED = timedelta(minutes=5)
"""A workflow may be in the registry shortly before its session is stored."""

_SHOWN = 3
_LONGEST_ID = 60
_TOO_SLOW_HINT = "Increase verify.seconds_per_check."
_HINT = (
    "Nobody can continue these workflows. To show them, run chatstore workflows list; to complete them, chatstore "
    "workflows complete."
)


class RegistrySample(Protocol):
    """Entries of the session registry that have an active or paused workflow."""

    collection: str

    def open_entries(self) -> Sequence[RegistryEntry] | None:
        """Random entries, or all if there are few; None after the time limit. Raises Conflict for an unreadable entry."""


def registry_verdict(
    sample: RegistrySample,
    find: Callable[[str], Session | None],
    now: datetime,
    seconds: float,
    timer: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Every active or paused workflow has a session of the same tenant that has not ended.

    `find` returns the session with an id. `now` is the server's time. The comparison stops after `seconds`.
    """
    deadline = timer() + seconds
    try:
        entries = sample.open_entries()
    except Overdue:
        entries = None
    if entries is None:
        return skipped(f"reading {sample.collection} took longer than {seconds:g} seconds", _TOO_SLOW_HINT)
    opened = [(entry, each) for entry in entries for each in entry.workflows if each.status in (ACTIVE, PAUSED)]
    if not opened:
        return skipped(f"{sample.collection} has no active or paused workflow")
    faults: list[str] = []
    compared = 0
    try:
        for entry, workflow in opened:
            if timer() >= deadline:
                break
            fault = _fault(workflow, find(workflow.chat_id), now)
            compared += 1
            if fault is not None:
                faults.append(
                    f"{_short(workflow.chat_id)} of client session {_short(entry.session.session_key)} {fault}"
                )
    except Overdue:  # the server stopped a look-up; what was found before counts
        pass
    if not compared:
        return skipped(f"looking up one session took longer than {seconds:g} seconds", _TOO_SLOW_HINT)
    detail = f"{quantity(compared, 'active or paused workflow')} compared"
    if compared < len(opened):
        detail = f"only {detail} within {seconds:g} seconds"
    if not faults:
        return passed(detail)
    more = f", and {len(faults) - _SHOWN:,} more" if len(faults) > _SHOWN else ""
    return warned(f"{detail}; {', '.join(faults[:_SHOWN])}{more}", _HINT)


def _fault(workflow: WorkflowContext, session: Session | None, now: datetime) -> str | None:
    """The fault of an active or paused workflow; None if its session can be continued."""
    if session is None:
        is_recent = now - workflow.created_at < JUST_STARTED
        return None if is_recent else f"is {workflow.status}, and has no session"
    if session.tenant_id not in (None, workflow.app_id):
        return f"is {workflow.status}, and its session belongs to another tenant"
    if session.status in (SessionStatus.COMPLETED, SessionStatus.FAILED):
        return f"is {workflow.status}, and its session is {session.status}"
    return None


def _short(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_ID else f"{name[:_LONGEST_ID]}…")
