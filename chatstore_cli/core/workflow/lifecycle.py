"""The states of a chat, and which of them leads to which: asked for again, a change is none; what makes no sense is refused.

    running    -> completed, failed, paused
    completed  -> running (a new run, a new message)
    failed     -> running (a new run, a new message)
    paused     -> failed, unpaused

`paused` is a flag beside the status: somebody has to do something before the chat goes on.
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

_ATTEMPTS = 50
_LONGEST_REASON = 2_000


class Step(StrEnum):
    """A change of state that can be asked for; the value is its past participle."""

    COMPLETE = "completed"
    FAIL = "failed"
    PAUSE = "paused"
    UNPAUSE = "unpaused"


def change_of(step: Step, state: ChatState, reason: str | None) -> StatusChange | None:
    """What the step changes; None where the chat is there already. Raises Conflict where it makes no sense."""
    open_ended = state.status in (SessionStatus.RUNNING, SessionStatus.UNKNOWN)
    match step:
        case Step.COMPLETE:
            if state.status is SessionStatus.COMPLETED and not state.paused:
                return None
            if open_ended and not state.paused:
                return StatusChange(SessionStatus.COMPLETED)
        case Step.FAIL:
            if state.status is SessionStatus.FAILED and not state.paused:
                return None
            if open_ended:
                return StatusChange(SessionStatus.FAILED, paused=False if state.paused else None, reason=reason)
        case Step.PAUSE:
            if state.paused:
                return None
            if open_ended:
                return StatusChange(paused=True, reason=reason)
        case Step.UNPAUSE:
            return StatusChange(paused=False) if state.paused else None
    raise Conflict(
        what=f"Session {state.chat_id!r} is {state_in_words(state.status, state.paused)}, and cannot be {step}.",
        hint="Unpause it first." if state.paused else "It runs again with its next run, or its next message.",
    )


def end_of_run(state: ChatState, end: RunEnded | RunFailed) -> StatusChange:
    """What the end of a run does to a chat: that of a paused or failed one leaves it so."""
    noted = StatusChange(ends_run=end.event_id)
    if isinstance(end, RunFailed):
        paused = False if state.paused else None
        failed = replace(noted, status=SessionStatus.FAILED, reason=end.reason, paused=paused)
        return noted if state.status is SessionStatus.FAILED else failed
    if state.paused or state.status not in (SessionStatus.RUNNING, SessionStatus.UNKNOWN):
        return noted
    return replace(noted, status=SessionStatus.COMPLETED)


class ChatLifecycle:
    """Changes the states of chats, one at a time."""

    def __init__(self, writer: ChatWriter, chats: KnownChats, clock: Clock) -> None:
        self._writer = writer
        self._chats = chats
        self._clock = clock

    def take(self, step: Step, chat_id: str, tenant_id: str | None = None, reason: str | None = None) -> Transition:
        """Take the step. Raises NotFound, and Conflict for an illegal step, naming the state that the chat is in."""
        checked_id("chat_id", chat_id)
        if reason is not None and not isinstance(reason, str):
            raise BadValue(name="reason", value=f"<{type(reason).__name__}>", expected="text")
        for _ in range(_ATTEMPTS):
            state = self._chats.existing(chat_id, tenant_id)
            change = change_of(step, state, _storable(reason))
            if change is None:
                return Transition(state.chat_id, state.status, state.paused, changed=False)
            after = self._writer.change(state, change, self._clock())
            self._chats.forget(chat_id)
            if after is not None:
                return Transition(after.chat_id, after.status, after.paused, changed=True)
        raise Conflict(what=f"Session {chat_id!r} keeps being changed by others.", hint="Try again.")


def lifecycle(writer: ChatWriter, clock: Clock = utc_now) -> ChatLifecycle:
    """The lifecycle of chats that nobody in this process writes to."""
    return ChatLifecycle(writer, KnownChats(writer, clock), clock)


def _storable(reason: str | None) -> str | None:
    return None if reason is None else reason.encode("utf-8", "replace").decode()[:_LONGEST_REASON]
