"""One run against an application: the messages that were sent, and what can be read of their traces."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from chatstore_cli.core.verify.checklist import READ_ONLY, Verdict, skipped
from chatstore_cli.domain.checked_application import (
    Application,
    ApplicationSettings,
    FoundMessage,
    JournalledMessages,
    NewLogLines,
    Response,
    SessionDocuments,
    SessionJournals,
)
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.times import Clock, utc_now

State = TypeVar("State")

BOTH_ROLES = ("user", "assistant")
LONGEST_PAUSE = 1.0
"""Seconds between two reads."""
_EXCERPT = 120


@dataclass
class SentMessage:
    """A message that was sent, at an instant of the run's timer.

    `finished`: the application no longer works on it. `accepted`: the application took it. `has_reply`: the assistant
    has answered it.
    """

    session_id: str
    text: str
    sent_at: float
    has_reply: bool = False
    accepted: bool = False
    finished: bool = False


@dataclass
class ApplicationRun:
    """What the checks of one run share. `documents` connects at the first call, and again after `reconnect`.

    `token` is unique to the run. `expected` are the settings that a status may report, `interval` is the worker's.
    """

    application: Application
    documents: Callable[[], SessionDocuments]
    journals: SessionJournals
    log: NewLogLines | None
    settings: ApplicationSettings
    expected: Mapping[str, Any]
    interval: float
    read_only: bool
    token: str
    timer: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    clock: Clock = utc_now
    reconnect: Callable[[], None] = lambda: None
    sent: list[SentMessage] = field(default_factory=list)
    foreign_sessions: list[str] = field(default_factory=list)
    missing_endpoints: list[str] = field(default_factory=list)
    _database_error: ChatstoreError | None = None

    @property
    def deadline(self) -> float:
        """Seconds within which a request must be answered, and a message stored."""
        return self.settings.deadline_seconds

    @property
    def session_id(self) -> str:
        """The session of what is sent by POST."""
        return f"verifier-{self.token}"

    @property
    def websocket_session_id(self) -> str:
        """The session of what is sent through WebSocket."""
        return f"verifier-{self.token}-ws"

    def why_nothing_is_sent(self) -> Verdict | None:
        """None if a message may be sent, because its traces can be read and removed afterwards.

        Raises the database's error; the second time without another attempt.
        """
        if self.read_only:
            return skipped(READ_ONLY)
        if self._database_error is None:
            try:
                self.documents().read(self.session_id)
            except ChatstoreError as error:
                hint = f"No message is sent, because its documents could not be removed. {error.hint or ''}".rstrip()
                self._database_error = ChatstoreError(what=error.message, hint=hint)
        if self._database_error is not None:
            raise self._database_error
        return None

    def new_message(self, session_id: str) -> SentMessage:
        """A message of this run, recorded before it is sent: from then on there may be something to remove."""
        number = len(self.sent) + 1
        text = f"Hello from chatstore verify {self.token}-{number}: nothing is to be done. Grüße 👋"
        message = SentMessage(session_id, text, self.timer())
        self.sent.append(message)
        return message

    def payload(self, message: SentMessage) -> dict[str, str]:
        """A message as the application takes it."""
        return {self.settings.message_key: message.text, self.settings.session_key: message.session_id}

    def path(self, path: str, session_id: str) -> str:
        """A path of the application for one session."""
        return path.replace("{session_id}", quote(session_id, safe=""))

    def wait(self, read: Callable[[], State], is_done: Callable[[State], bool], deadline: float) -> State:
        """Read until the state is done or the deadline is over. Returns the state that was read last."""
        while True:
            began = self.timer()
            state = read()
            now = self.timer()
            if is_done(state) or now >= deadline:
                return state
            # A slow read (no index, a busy server) must not become the load that it waits for.
            self.pause(min(max(0.05, 4 * (now - began)), LONGEST_PAUSE, deadline - now))

    def age(self, message: SentMessage) -> str:
        """The time since a message was sent, in words."""
        return f"{self.timer() - message.sent_at:.1f} s after sending"

    def journalled(self, session_id: str) -> JournalledMessages:
        """The content of a session's journals; nothing if their folder is not on this machine."""
        return self.journals.read(session_id) if self.journals.exists else JournalledMessages(0, [], 0)

    def stored(self, session_id: str) -> list[FoundMessage]:
        """The messages of a session in MongoDB."""
        return self.documents().read(session_id)


def message_faults(messages: Sequence[FoundMessage], sent: SentMessage, roles: Sequence[str]) -> list[str]:
    """What is wrong with the traces of a sent message, in words.

    `roles` are those that must be there. The user's message is recognised by its text, which is unique.
    """
    if not messages:
        return [f"no message of session {sent.session_id}"]
    faults = []
    copies = [message for message in messages if message.role == "user" and sent.text in message.text]
    if not copies:
        # An assistant may repeat the user's text: that is not a copy of the message.
        of_other_role = [message for message in messages if message.role != "assistant" and sent.text in message.text]
        of_user = [message for message in messages if message.role == "user"]
        if of_other_role:
            faults.append(f"the sent message has the role {brief(of_other_role[0].role)} instead of 'user'")
        elif of_user:
            faults.append(f"the text was changed: {brief(of_user[0].text)} instead of {brief(sent.text)}")
        else:
            faults.append("the user's message is missing")
    elif len(copies) > 1:
        faults.append(f"the sent message was found {len(copies)} times")
    if "assistant" in roles and not any(message.role == "assistant" for message in messages):
        faults.append("the assistant's message is missing")
    others = Counter((other.role, other.text, other.created_at) for other in messages if other not in copies)
    faults += [f"a message of {role} was found {count} times" for (role, _, _), count in others.items() if count > 1]
    return faults


def read_json(response: Response, request: str) -> Any:
    """The JSON of a successful response. Raises ChatstoreError that describes any other response."""
    status = response.status
    if 300 <= status < 400:
        target = f" to {response.location}" if response.location else ""
        hint = "Redirects are not followed. Set --api-url, or the path in verify.application, to the final address."
        raise ChatstoreError(what=f"{request} is redirected{target} ({status})", hint=hint)
    if status in (401, 403, 407):
        hint = "Add --header 'Authorization: …'."
        raise ChatstoreError(what=f"{request} is not allowed ({status})", hint=hint)
    if not 200 <= status < 300:
        hint = "See the application's own log."
        if status in (400, 405, 415, 422):
            hint = "Set the application's paths and keys in verify.application."
        raise ChatstoreError(what=f"{request} returned status {status}{excerpt(response.body)}", hint=hint)
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError) as error:
        hint = "The response must be JSON: see docs/operations.md, Verify your own application."
        what = f"{request} returned status {status} without valid JSON{excerpt(response.body)}"
        raise ChatstoreError(what=what, hint=hint) from error


def excerpt(body: bytes) -> str:
    """The beginning of a response body, to be appended to a message."""
    text = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    if not text:
        return " (empty)"
    return f": {text[:_EXCERPT]}…" if len(text) > _EXCERPT else f": {text}"


def brief(value: object) -> str:
    """A short description of any decoded value."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and len(value) > _EXCERPT:
        return json.dumps(value[:_EXCERPT], ensure_ascii=False) + "…"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a very long number"
    return json.dumps(value, ensure_ascii=False, default=str)


def missing_endpoint(run: ApplicationRun, request: str, setting: str, option: str = "") -> Verdict:
    """The skipped check of an endpoint that the application does not have."""
    run.missing_endpoints.append(request)
    alternative = f" or {option}" if option else ""
    return skipped(f"the application has no {request} (404)", f"If it has another path, set {setting}{alternative}.")
