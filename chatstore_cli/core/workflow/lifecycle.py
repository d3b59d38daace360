"""The states of a session and the changes between them.

    running    -> completed, failed, paused
    completed  -> running (by a new run or message)
    failed     -> running (by a new run or message)
    paused     -> failed, unpaused

A change that the session already has is not an error; any other change is rejected. `paused` is a flag beside the status:
a person must act before the session continues.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from chatstore_cli.core.workflow.open_chats import KnownChats, checked_id
from chatstore_cli.domain.errors import BadValue, Conflict
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.domain.workflow.chats import ChatState, ChatWriter, StatusChange, Transition, state_in_words
from chatstore_cli.domain.workflow.events import RunEnded, RunFailed

_MAX_REASON_LENGTH = 2_000


class StatusAction(StrEnum):
    """A change of state that can be requested; the value is its past participle."""

    COMPLETE = "completed"
    FAIL = "failed"
    PAUSE = "paused"
    UNPAUSE = "unpaused"


def change_of(action: StatusAction, state: ChatState, reason: str | None) -> StatusChange | None:
    """The change of status; None if the session already has it. Raises Conflict if the change is not allowed."""
    open_ended = state.status in (SessionStatus.RUNNING, SessionStatus.UNKNOWN)
    match action:
        case StatusAction.COMPLETE:
            if state.status is SessionStatus.COMPLETED and not state.paused:
                return None
            if open_ended and not state.paused:
                return StatusChange(SessionStatus.COMPLETED)
        case StatusAction.FAIL:
            if state.status is SessionStatus.FAILED and not state.paused:
                return None
            if open_ended:
                return StatusChange(SessionStatus.FAILED, paused=False if state.paused else None, reason=reason)
        case StatusAction.PAUSE:
            if state.paused:
                return None
            if open_ended:
                return StatusChange(paused=True, reason=reason)
        case StatusAction.UNPAUSE:
            return StatusChange(paused=False) if state.paused else None
    raise Conflict(
        what=f"Session {state.chat_id!r} is {state_in_words(state.status, state.paused)}, and cannot be {action}.",
        hint="Unpause it first." if state.paused else "Its next run or message sets it to running again.",
    )


def end_of_run(state: ChatState, end: RunEnded | RunFailed) -> StatusChange:
    """The change at the end of a run: a paused or failed session stays paused or failed."""
    ended = StatusChange(ends_run=end.event_id)
    if isinstance(end, RunFailed):
        paused = False if state.paused else None
        failed = replace(ended, status=SessionStatus.FAILED, reason=end.reason, paused=paused)
        return ended if state.status is SessionStatus.FAILED else failed
    if state.paused or state.status not in (SessionStatus.RUNNING, SessionStatus.UNKNOWN):
        return ended
    return replace(ended, status=SessionStatus.COMPLETED)


class ChatLifecycle:
    """Changes the states of sessions."""

    def __init__(self, writer: ChatWriter, chats: KnownChats, clock: Clock) -> None:
        self._writer = writer
        self._chats = chats
        self._clock = clock

    def apply(
        self, action: StatusAction, chat_id: str, tenant_id: str | None = None, reason: str | None = None
    ) -> Transition:
        """Apply the action. Raises NotFound, and Conflict if it is not allowed, or if several documents have the id."""
        checked_id("chat_id", chat_id)
        if reason is not None and not isinstance(reason, str):
            raise BadValue(name="reason", value=f"<{type(reason).__name__}>", expected="text")

        def attempt() -> Transition | None:
            state = self._chats.existing(chat_id, tenant_id)
            if state.shared_id is not None:
                raise state.shared_id.rejection()
            change = change_of(action, state, _storable(reason))
            if change is None:
                return Transition(state.chat_id, state.status, state.paused, changed=False)
            after = self._writer.change(state, change, self._clock())
            self._chats.forget(chat_id)
            return None if after is None else Transition(after.chat_id, after.status, after.paused, changed=True)

        return self._chats.until_done(chat_id, attempt)


def lifecycle(writer: ChatWriter, clock: Clock = utc_now) -> ChatLifecycle:
    """The lifecycle of sessions that this process does not write to otherwise."""
    return ChatLifecycle(writer, KnownChats(writer, clock), clock)


def _storable(reason: str | None) -> str | None:
    return None if reason is None else reason.encode("utf-8", "replace").decode()[:_MAX_REASON_LENGTH]
