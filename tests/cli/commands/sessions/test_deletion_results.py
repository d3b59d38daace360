"""Ctrl-C and a lost server while a plan is carried out: the command stops between two sessions, and says how to go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from chatstore_cli.cli.commands.sessions.deletion_results import delete_planned
from chatstore_cli.domain.deletions import Deletion, PlannedSession, Result
from chatstore_cli.domain.errors import Interrupted, Unreachable
from chatstore_cli.domain.labels import SessionRef
from chatstore_cli.domain.removal import SessionState, StoredPart

PLANNED = [PlannedSession(SessionRef("workflow", f"s-{n}"), SessionState(None, None, 1), (), {}) for n in range(3)]


class Deletions:
    """Deletes sessions, and does something while it deletes the second one."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.deleted: list[str] = []
        self._action = action

    def carry_out(self, planned: PlannedSession) -> Deletion:
        if len(self.deleted) == 1:
            self._action()
        self.deleted.append(planned.session.session_id)
        return Deletion(planned.session, Result.DELETED, [StoredPart("chat_sessions", 1)])


def carry_out(deletions: Deletions) -> None:
    invocation: Any = SimpleNamespace(
        counting=lambda *_: nullcontext(lambda _: None), emit=lambda listing: list(listing.rows), say=lambda _: None
    )
    unused: Any = deletions
    delete_planned(invocation, unused, PLANNED, len(PLANNED), "Go on so.")


def test_ctrl_c_stops_between_two_sessions() -> None:
    deletions = Deletions(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match=r"Deleted: 2 sessions \(2 documents of chat_sessions\). Go on so."):
        carry_out(deletions)
    assert deletions.deleted == ["s-0", "s-1"]


def test_a_lost_server_is_reported_with_what_was_done() -> None:
    def lose() -> None:
        raise Unreachable(what="No server.", hint="Start it.")

    with pytest.raises(Unreachable) as raised:
        carry_out(Deletions(lose))
    assert raised.value.hint == "Start it. Deleted: 1 session (1 document of chat_sessions). Go on so."
