"""The check of `chatstore verify` that compares threads with their messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from chatstore_cli.core.threads.repair import ThreadExamination
from chatstore_cli.core.verify.checklist import Verdict, passed, skipped, warned
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.foreign import CollectionContents, mainly_foreign
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.threads.copies import LONGEST_COPY
from chatstore_cli.domain.threads.repair import ThreadProblem, ThreadRepairs

_HINT = "To list what would be removed and corrected, run chatstore threads repair. It does so with --yes."


def thread_verdict(
    store: ThreadRepairs,
    contents: CollectionContents,
    now: datetime,
    seconds: float,
    timer: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Every message has a thread, and every `last_sequence` is that of the newest message or a higher one.

    `now` is the server's time. The comparison stops after `seconds`.
    """
    if not store.exist():
        return skipped(f"{store.threads} has no threads")
    if foreign := mainly_foreign(contents, [store.threads, store.messages]):
        names = ", ".join(each.collection for each in foreign)
        return skipped(f"{names} not compared: mainly documents of another product")
    store.require_comparable()
    deadline = timer() + seconds
    examination = ThreadExamination(store, now - LONGEST_COPY, lambda: timer() >= deadline)
    messages = threads = behind = 0
    try:
        for fault in examination.faults():
            is_behind = fault.problem is ThreadProblem.SEQUENCE_BEHIND
            behind += is_behind
            threads += not is_behind
            messages += fault.messages
    except Overdue:  # the server stopped a query at the time limit; the faults found before count
        pass
    if not (examination.is_complete or examination.examined):
        reason = f"comparing {store.threads} and {store.messages} took longer than {seconds:g} seconds"
        return skipped(reason, "Increase verify.seconds_per_check, or run chatstore threads repair.")
    if not examination.examined:
        return skipped(f"{store.threads} has no threads")
    compared = f"{quantity(examination.examined, 'thread')} compared"
    if not examination.is_complete:
        compared = f"the first {compared} within {seconds:g} seconds (chatstore threads repair compares all)"
    recent = recent_notice(examination)
    faults = [f"{quantity(messages, 'message')} of {missing_threads(threads)}"] if messages else []
    faults += [f"{quantity(behind, 'thread')} whose last_sequence is behind the messages"] if behind else []
    if faults:
        return warned("; ".join(filter(None, [compared, *faults, recent])), _HINT)
    return passed("; ".join(filter(None, [compared, recent])))


def missing_threads(number: int) -> str:
    """Threads that are missing, in words."""
    return f"{quantity(number, 'thread')} that {'does' if number == 1 else 'do'} not exist"


def recent_notice(examination: ThreadExamination) -> str:
    """A notice about the recent messages without a thread, without a full stop; empty if there are none."""
    if not examination.recent_messages:
        return ""
    found = f"{quantity(examination.recent_messages, 'message')} of {missing_threads(examination.threads_of_recent)}"
    verb = "was" if examination.recent_messages == 1 else "were"
    return f"{found} {verb} left alone: the newest is less than 1 hour old, or has no date. A fork or an import may be running"
