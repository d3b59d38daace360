"""The complete table of states and actions of a session."""

from __future__ import annotations

from typing import Any

import pytest

from chatstore_cli.core.workflow.lifecycle import StatusAction, change_of
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.workflow.chats import ChatState, StatusChange

NOTHING, REFUSED = "nothing", "refused"
COMPLETED = StatusChange(SessionStatus.COMPLETED)
FAILED = StatusChange(SessionStatus.FAILED, reason="lost")
TABLE: dict[tuple[str, bool], dict[StatusAction, Any]] = {
    ("running", False): {StatusAction.COMPLETE: COMPLETED, StatusAction.FAIL: FAILED, StatusAction.PAUSE: StatusChange(paused=True, reason="lost"), StatusAction.UNPAUSE: NOTHING},
    ("unknown", False): {StatusAction.COMPLETE: COMPLETED, StatusAction.FAIL: FAILED, StatusAction.PAUSE: StatusChange(paused=True, reason="lost"), StatusAction.UNPAUSE: NOTHING},
    ("running", True): {StatusAction.COMPLETE: REFUSED, StatusAction.FAIL: StatusChange(SessionStatus.FAILED, paused=False, reason="lost"), StatusAction.PAUSE: NOTHING, StatusAction.UNPAUSE: StatusChange(paused=False)},
    ("completed", False): {StatusAction.COMPLETE: NOTHING, StatusAction.FAIL: REFUSED, StatusAction.PAUSE: REFUSED, StatusAction.UNPAUSE: NOTHING},
    ("failed", False): {StatusAction.COMPLETE: REFUSED, StatusAction.FAIL: NOTHING, StatusAction.PAUSE: REFUSED, StatusAction.UNPAUSE: NOTHING},
}  # fmt: skip


def state(status: str, paused: bool) -> ChatState:
    return ChatState("c", "acme", False, None, None, SessionStatus(status), paused, 1, None, 0, 0, None, None, None)


@pytest.mark.parametrize("found", TABLE)
@pytest.mark.parametrize("step", StatusAction)
def test_each_action_in_each_state_changes_it_or_changes_nothing_or_is_rejected(
    found: tuple[str, bool], step: StatusAction
) -> None:
    wanted = TABLE[found][step]
    if wanted is REFUSED:
        with pytest.raises(Conflict, match=f"is {found[0]}.*cannot be {step}"):
            change_of(step, state(*found), "lost")
    else:
        assert change_of(step, state(*found), "lost") == (None if wanted is NOTHING else wanted)
