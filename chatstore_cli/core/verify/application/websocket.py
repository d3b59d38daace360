"""A message through WebSocket: welcome and status frames come, and both sides of the conversation are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from chatstore_cli.core.verify.application.run import (
    BOTH_ROLES,
    ApplicationRun,
    Sent,
    brief,
    counted,
    faults_of,
    lacks,
    read_json,
)
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, skipped
from chatstore_cli.domain.checked_application import Answer, Conversation, Turn
from chatstore_cli.domain.errors import ChatstoreError

_NAMING = ("type", "event", "kind", "action", "message_type", "name", "topic", "op")
"""Keys whose text says what a frame is. Where there is none, its other keys, and what its status says, have to."""
_WORDS = {
    "welcome": ("welcome", "connect", "hello", "greeting"),
    "status": ("status", "state", "ready", "health"),
}
_NAMED = 8
_GREETING_SECONDS = 1.0
"""How long both frames are waited for before the message is sent: some servers tell their status only then."""
_LOOKS_APART = 0.1


class Frames:
    """The frames that came: which of the two that are wanted are among them, and what the others were."""

    def __init__(self) -> None:
        self.count = 0
        self._candidates: list[set[str]] = []
        self._seen: dict[str, int] = {}

    def add(self, frame: str | bytes) -> None:
        """Take note of one."""
        self.count += 1
        if self.are_complete:
            return
        kinds, named = _kinds(frame)
        if kinds and len(self._candidates) < _NAMED:
            self._candidates.append(kinds)
        if named in self._seen or len(self._seen) < _NAMED:
            self._seen[named] = self._seen.get(named, 0) + 1

    @property
    def are_complete(self) -> bool:
        """Whether there is a welcome frame and, as another one, a status frame."""
        return not self.missing

    @property
    def missing(self) -> list[str]:
        """Which of the two are not there; one frame is not both."""
        for place, kinds in enumerate(self._candidates):
            if "welcome" in kinds and any("status" in other for other in _without(self._candidates, place)):
                return []
        there = next((kind for kind in _WORDS if any(kind in kinds for kinds in self._candidates)), None)
        return [kind for kind in _WORDS if kind != there]

    @property
    def told(self) -> str:
        """What came, in words."""
        if not self.count:
            return "no frame came"
        seen = ", ".join(f"{count} {named}" for named, count in self._seen.items())
        return f"{counted(self.count, 'frame')} came: {seen}"


def websocket_verdict(run: ApplicationRun, over: str) -> Verdict:
    """Connect, be welcomed, send a message, and see both roles in MongoDB."""
    session_id = run.websocket_session_id
    path = run.path(run.settings.ws_path, session_id)
    asked = f"WebSocket {path.partition('?')[0]}"
    with run.application.converse(path, run.deadline) as conversation:
        if isinstance(conversation, Answer):
            return _refused(run, conversation, asked)
        frames = Frames()
        try:
            _listen(run, conversation, frames, run.timer() + min(_GREETING_SECONDS, run.deadline))
        except ChatstoreError as error:
            return failed(f"{asked}: {error.message}, before a message was sent; {frames.told}", str(error.hint))
        sent = run.new_message(session_id, over)
        payload = json.dumps(run.payload(sent), ensure_ascii=False)
        try:
            conversation.send(payload, run.deadline)
        except ChatstoreError as error:
            return failed(f"{asked}: {error.message}, while a message was sent; {frames.told}", str(error.hint))
        closed, stored = _follow(run, conversation, frames, sent)
    return _judged(run, asked, sent, frames, closed, stored)


def _refused(run: ApplicationRun, answer: Answer, asked: str) -> Verdict:
    if answer.status == 404:
        return lacks(run, asked, "verify.application.ws_path", "--ws-path")
    if answer.status in (403, 426):
        run.lacking.append(asked)
        hint = "Where it is elsewhere, set --ws-path; where it wants to know who asks, give --header 'Name: value'."
        return skipped(f"the application opens no {asked} ({answer.status})", hint)
    if 200 <= answer.status < 300:
        what = f"{asked} is answered with {answer.status}, and no connection is opened"
        return failed(what, "Set --ws-path to where the application takes WebSocket connections.")
    read_json(answer, asked)
    raise AssertionError("what is no success has been raised")


def _listen(run: ApplicationRun, conversation: Conversation, frames: Frames, until: float) -> None:
    """Take frames until both that are wanted have come, or the time is over."""
    while not frames.are_complete and (left := until - run.timer()) > 0:
        frame = conversation.receive(left)
        if frame is not None:
            frames.add(frame)


def _follow(
    run: ApplicationRun, conversation: Conversation, frames: Frames, sent: Sent
) -> tuple[ChatstoreError | None, list[Turn]]:
    """Take frames, so that the server can go on, and look into MongoDB, until all is there or the time is over.

    Gives how the connection was closed, if it was, and what is stored.
    """
    closed: ChatstoreError | None = None
    until = sent.at + run.deadline
    next_look = run.timer()
    stored: list[Turn] = []
    while True:
        now = run.timer()
        if now >= next_look or now >= until:
            stored = run.stored(sent.session_id)
            took = run.timer() - now
            next_look = run.timer() + max(_LOOKS_APART, 4 * took)
            is_settled = frames.are_complete or closed is not None
            if (is_settled and not faults_of(stored, sent, BOTH_ROLES)) or now >= until:
                return closed, stored
        waiting = max(0.001, min(next_look, until) - run.timer())
        if closed is not None:
            run.pause(waiting)
            continue
        try:
            frame = conversation.receive(waiting)
        except ChatstoreError as error:
            closed = error
        else:
            if frame is not None:
                frames.add(frame)


def _judged(
    run: ApplicationRun, asked: str, sent: Sent, frames: Frames, closed: ChatstoreError | None, stored: Sequence[Turn]
) -> Verdict:
    faults = []
    # Even where it was not stored as it should be: that it was taken is what the other checks go on from.
    sent.answered = sent.assistant = not faults_of(stored, sent, BOTH_ROLES[:1])
    sent.returned = closed is not None or not faults_of(stored, sent, BOTH_ROLES)
    if missing := frames.missing:
        faults.append(f"no {' and no '.join(f'{kind} frame' for kind in missing)} ({frames.told})")
    if wrong := faults_of(stored, sent, BOTH_ROLES):
        where = run.documents().where
        faults.append(f"{'; '.join(wrong)} in {where}, {run.since(sent)}")
        if closed is not None:
            faults.append(closed.message)
    if faults:
        hint = "Record the user's message and the assistant's, each once, and see that the worker stores them."
        if frames.missing:
            hint = 'Send {"type": "welcome"} and {"type": "status"}, as JSON frames, once the connection is open.'
        return failed(f"{asked}: {'; '.join(faults)}", hint)
    return passed(f"{asked}: welcome and status came, both roles are stored, seen {run.since(sent)}")


def _kinds(frame: str | bytes) -> tuple[set[str], str]:
    """Which of the wanted frames this one may be, and what it is in words."""
    if isinstance(frame, bytes):
        return set(), "binary"
    body: Any = None
    with suppress(ValueError, RecursionError):
        body = json.loads(frame)
    if not isinstance(body, dict):
        return set(), "not a JSON object"
    named = next((str(body[key]) for key in _NAMING if isinstance(body.get(key), str)), None)
    words = named
    if words is None:
        said = (body[key] for key in ("status", "state", "message") if isinstance(body.get(key), str))
        words = " ".join([*(str(key) for key in body), *said])
    lowered = words[:1000].lower()
    kinds = {kind for kind, signs in _WORDS.items() if any(sign in lowered for sign in signs)}
    return kinds, f"of the type {brief(named[:40])}" if named is not None else "without a type"


def _without(candidates: Sequence[set[str]], place: int) -> list[set[str]]:
    return [*candidates[:place], *candidates[place + 1 :]]
