"""A message through WebSocket: welcome and status frames arrive, and both roles are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from chatstore_cli.core.verify.application.run import (
    BOTH_ROLES,
    ApplicationRun,
    SentMessage,
    brief,
    message_faults,
    missing_endpoint,
    read_json,
)
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, skipped, warned
from chatstore_cli.domain.checked_application import FoundMessage, Response, WebSocketConnection
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.quantities import quantity

_TYPE_KEYS = ("type", "event", "kind", "action", "message_type", "name", "topic", "op")
"""Keys whose text is the type of a frame. Without one, its other keys and its status text are searched."""
_KIND_WORDS = {
    "welcome": ("welcome", "connect", "hello", "greeting"),
    "status": ("status", "state", "ready", "health"),
}
_FIRST_FRAMES = frozenset({"chat_meta"})
"""Types of first frames that are a welcome under another name: a multi-agent platform describes the chat first."""
_FRAMES_KEPT = 8
_GREETING_SECONDS = 1.0
"""Wait for both frames before the message is sent. Some servers report their status only after it."""
_READ_INTERVAL = 0.1
_FRAMES_HINT = 'Check that the application greets a client and reports its status, for example {"type": "status"}.'


class Frames:
    """The frames that arrived: whether a welcome and a status frame are among them, and the types of the others."""

    def __init__(self) -> None:
        self.count = 0
        self._candidates: list[set[str]] = []
        self._seen: dict[str, int] = {}

    def add(self, frame: str | bytes) -> None:
        """Add a frame."""
        self.count += 1
        if self.are_complete:
            return
        kinds, description = _kinds(frame)
        if kinds and len(self._candidates) < _FRAMES_KEPT:
            self._candidates.append(kinds)
        if description in self._seen or len(self._seen) < _FRAMES_KEPT:
            self._seen[description] = self._seen.get(description, 0) + 1

    @property
    def are_complete(self) -> bool:
        """Whether there is a welcome frame and, as another one, a status frame."""
        return not self.missing

    @property
    def missing(self) -> list[str]:
        """Which of the two did not arrive. One frame is not both."""
        for index, kinds in enumerate(self._candidates):
            others = [*self._candidates[:index], *self._candidates[index + 1 :]]
            if "welcome" in kinds and any("status" in other for other in others):
                return []
        found = next((kind for kind in _KIND_WORDS if any(kind in kinds for kinds in self._candidates)), None)
        return [kind for kind in _KIND_WORDS if kind != found]

    @property
    def summary(self) -> str:
        """What arrived, in words."""
        if not self.count:
            return "no frame arrived"
        types = ", ".join(f"{count} {description}" for description, count in self._seen.items())
        return f"{quantity(self.count, 'frame')} arrived: {types}"


def websocket_verdict(run: ApplicationRun) -> Verdict:
    """Connect, wait for the first frames, send a message, and wait for both roles in MongoDB."""
    session_id = run.websocket_session_id
    path = run.path(run.settings.ws_path, session_id)
    request = f"WebSocket {path.partition('?')[0]}"
    with run.application.open_websocket(path, run.deadline) as connection:
        if isinstance(connection, Response):
            return _refused(run, connection, request)
        frames = Frames()
        try:
            _listen(run, connection, frames, run.timer() + min(_GREETING_SECONDS, run.deadline))
        except ChatstoreError as error:
            return failed(f"{request}: {error.message} before the message was sent; {frames.summary}", str(error.hint))
        sent = run.new_message(session_id)
        payload = json.dumps(run.payload(sent), ensure_ascii=False)
        try:
            connection.send(payload, run.deadline)
        except ChatstoreError as error:
            return failed(f"{request}: {error.message} while the message was sent; {frames.summary}", str(error.hint))
        closed, stored = _wait_for_storage(run, connection, frames, sent)
    return _verdict(run, request, sent, frames, closed, stored)


def _refused(run: ApplicationRun, response: Response, request: str) -> Verdict:
    if response.status == 404:
        return missing_endpoint(run, request, "verify.application.ws_path", "--ws-path")
    if response.status in (403, 426):
        run.missing_endpoints.append(request)
        hint = "If it has another path, set --ws-path. If it requires authorisation, add --header 'Name: value'."
        return skipped(f"the application does not open {request} ({response.status})", hint)
    if 200 <= response.status < 300:
        what = f"{request} returned status {response.status} and opened no connection"
        return failed(what, "Set --ws-path to the application's WebSocket path.")
    read_json(response, request)
    raise AssertionError("read_json raises for every status that is not a success")


def _listen(run: ApplicationRun, connection: WebSocketConnection, frames: Frames, deadline: float) -> None:
    """Receive frames until both have arrived or the time is over."""
    while not frames.are_complete and (left := deadline - run.timer()) > 0:
        frame = connection.receive(left)
        if frame is not None:
            frames.add(frame)


def _wait_for_storage(
    run: ApplicationRun, connection: WebSocketConnection, frames: Frames, sent: SentMessage
) -> tuple[ChatstoreError | None, list[FoundMessage]]:
    """Receive frames, so that the server can continue, and read MongoDB until all is there or the time is over.

    Returns how the connection was closed, if it was, and what is stored.
    """
    closed: ChatstoreError | None = None
    deadline = sent.sent_at + run.deadline
    next_read = run.timer()
    stored: list[FoundMessage] = []
    while True:
        now = run.timer()
        if now >= next_read or now >= deadline:
            stored = run.stored(sent.session_id)
            next_read = run.timer() + max(_READ_INTERVAL, 4 * (run.timer() - now))
            is_settled = frames.are_complete or closed is not None
            if (is_settled and not message_faults(stored, sent, BOTH_ROLES)) or now >= deadline:
                return closed, stored
        wait_seconds = max(0.001, min(next_read, deadline) - run.timer())
        if closed is not None:
            run.pause(wait_seconds)
            continue
        try:
            frame = connection.receive(wait_seconds)
        except ChatstoreError as error:
            closed = error
        else:
            if frame is not None:
                frames.add(frame)


def _verdict(
    run: ApplicationRun,
    request: str,
    sent: SentMessage,
    frames: Frames,
    closed: ChatstoreError | None,
    stored: Sequence[FoundMessage],
) -> Verdict:
    faults = []
    # Accepted even if it was not stored correctly: the other checks need an accepted message.
    sent.accepted = sent.has_reply = not message_faults(stored, sent, BOTH_ROLES[:1])
    sent.finished = closed is not None or not message_faults(stored, sent, BOTH_ROLES)
    missing = frames.missing
    if missing and not frames.count:
        faults.append(frames.summary)
    if wrong := message_faults(stored, sent, BOTH_ROLES):
        faults.append(f"{'; '.join(wrong)} in {run.documents().collection}, {run.age(sent)}")
        if closed is not None:
            faults.append(closed.message)
    named = f"no {' and no '.join(f'{kind} frame' for kind in missing)} was recognised ({frames.summary})"
    if faults:
        hint = "Record the user's and the assistant's message once each, and check that the worker stores them."
        if missing:
            hint = _FRAMES_HINT
            faults += [named] if frames.count else []
        return failed(f"{request}: {'; '.join(faults)}", hint)
    if missing:
        return warned(f"{request}: both roles are stored, {run.age(sent)}; {named}", _FRAMES_HINT)
    return passed(f"{request}: welcome and status arrived, both roles are stored, {run.age(sent)}")


def _kinds(frame: str | bytes) -> tuple[set[str], str]:
    """The kinds (welcome, status) that a frame may be, and a description of it."""
    if isinstance(frame, bytes):
        return set(), "binary"
    body: Any = None
    with suppress(ValueError, RecursionError):
        body = json.loads(frame)
    if not isinstance(body, dict):
        return set(), "not a JSON object"
    named = next((str(body[key]) for key in _TYPE_KEYS if isinstance(body.get(key), str)), None)
    text = named
    if text is None:
        values = (body[key] for key in ("status", "state", "message") if isinstance(body.get(key), str))
        text = " ".join([*(str(key) for key in body), *values])
    lowered = text[:1000].lower()
    kinds = {kind for kind, words in _KIND_WORDS.items() if any(word in lowered for word in words)}
    if "session_status" in body or named in _FIRST_FRAMES:
        kinds.add("welcome")
    return kinds, f"of the type {brief(named[:40])}" if named is not None else "without a type"
