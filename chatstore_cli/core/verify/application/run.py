"""One run against an application: what was sent to it under which sessions, and the looks at what became of that."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from chatstore_cli.core.verify.checklist import Verdict, skipped
from chatstore_cli.domain.checked_application import (
    Answer,
    Application,
    ApplicationSettings,
    JournalledTurns,
    NewLogLines,
    SessionDocuments,
    SessionJournals,
    Turn,
)
from chatstore_cli.domain.errors import ChatstoreError, Unreachable
from chatstore_cli.domain.times import Clock, utc_now

Seen = TypeVar("Seen")

BOTH_ROLES = ("user", "assistant")
_LONGEST_PAUSE = 1.0
_EXCERPT = 120


@dataclass
class Sent:
    """A message that was sent, at an instant of the run's timer.

    `returned` says that the application is done with it, `answered` that it took it, `assistant` that a message of the
    assistant's is known to belong to it.
    """

    session_id: str
    text: str
    at: float
    over: str
    assistant: bool = False
    answered: bool = False
    returned: bool = False


@dataclass
class ApplicationRun:
    """What the checks of one run share. `documents` connects when it is first asked, and anew after `reconnect`.

    `token` is the run's own. `expected` are the settings that a status may report, `interval` is the worker's. `timer`,
    `pause` and `clock` are time itself.
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
    sent: list[Sent] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    _database_error: ChatstoreError | None = None

    @property
    def deadline(self) -> float:
        """Seconds within which a request is answered, and a message has arrived."""
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
        """None where a message may be sent: what it leaves behind can then be looked up and removed.

        Raises the database's error, the second time without asking again.
        """
        if self.read_only:
            return skipped("it writes, and --read-only is set")
        if self._database_error is None:
            try:
                self.documents().read(self.session_id)
            except ChatstoreError as error:
                hint = "Nothing is sent as long as what it leaves behind cannot be removed."
                self._database_error = ChatstoreError(what=error.message, hint=hint)
        if self._database_error is not None:
            raise self._database_error
        return None

    def new_message(self, session_id: str, over: str) -> Sent:
        """A message of this run, noted before it is sent: from then on there may be something to remove."""
        number = len(self.sent) + 1
        text = f"Hello from chatstore verify {self.token}-{number}: nothing is to be done. Grüße 👋"
        sent = Sent(session_id, text, self.timer(), over)
        self.sent.append(sent)
        return sent

    def payload(self, sent: Sent) -> dict[str, str]:
        """A message as the application takes it."""
        return {self.settings.message_key: sent.text, self.settings.session_key: sent.session_id}

    def path(self, path: str, session_id: str) -> str:
        """A path of the application, for one session."""
        return path.replace("{session_id}", quote(session_id, safe=""))

    def over(self, over: str) -> Sent | None:
        """The message that was sent like this and taken, if any."""
        return next((sent for sent in self.sent if sent.over == over and sent.answered), None)

    def wait(self, look: Callable[[], Seen], is_good: Callable[[Seen], bool], until: float) -> Seen:
        """Look until it is good, or the time is over; gives what was seen last."""
        while True:
            began = self.timer()
            seen = look()
            now = self.timer()
            if is_good(seen) or now >= until:
                return seen
            # A look that takes long (no index, a busy server) must not become the load that it waits for.
            self.pause(min(max(0.05, 4 * (now - began)), _LONGEST_PAUSE, until - now))

    def since(self, sent: Sent) -> str:
        """How long ago it was sent, in words."""
        return f"{self.timer() - sent.at:.1f} s after it was sent"

    def journalled(self, session_id: str) -> JournalledTurns:
        """What stands in the journals of a session; nothing where the folder is not here."""
        return self.journals.read(session_id) if self.journals.is_there else JournalledTurns(0, [], 0)

    def stored(self, session_id: str) -> list[Turn]:
        """What MongoDB holds of a session."""
        return self.documents().read(session_id)


def faults_of(turns: Sequence[Turn], sent: Sent, roles: Sequence[str]) -> list[str]:
    """What is wrong with the traces of a sent message, in words; nothing where all is well.

    `roles` are those that must be there. The user's message is known by its text, which is like no other.
    """
    if not turns:
        return [f"nothing of session {sent.session_id}"]
    faults = []
    copies = [turn for turn in turns if turn.role == "user" and sent.text in turn.text]
    if not copies:
        # An assistant may repeat what it was told: that is no copy of the user's message.
        named = [turn for turn in turns if turn.role != "assistant" and sent.text in turn.text]
        users = [turn for turn in turns if turn.role == "user"]
        if named:
            faults.append(f"the message that was sent has the role {brief(named[0].role)} instead of 'user'")
        elif users:
            faults.append(f"the text was changed: {brief(users[0].text)} instead of {brief(sent.text)}")
        else:
            faults.append("the user's message is missing")
    elif len(copies) > 1:
        faults.append(f"the message that was sent is there {len(copies)} times")
    if "assistant" in roles and not any(turn.role == "assistant" for turn in turns):
        faults.append("the assistant's message is missing")
    others = Counter((turn.role, turn.text, turn.created_at) for turn in turns if turn not in copies)
    faults += [f"a message of {role} is there {count} times" for (role, _, _), count in others.items() if count > 1]
    return faults


def read_json(answer: Answer, asked: str) -> Any:
    """The JSON of an answer that is one of success. Raises ChatstoreError that says what it is instead."""
    status = answer.status
    if 300 <= status < 400:
        where = f" to {answer.location}" if answer.location else ""
        hint = "Redirects are not followed: give --api-url, or the path in verify.application, as it is in the end."
        raise ChatstoreError(what=f"{asked} is redirected{where} ({status})", hint=hint)
    if status in (401, 403, 407):
        hint = "Give what authorises with --header 'Authorization: …'."
        raise ChatstoreError(what=f"{asked} is not allowed ({status})", hint=hint)
    if not 200 <= status < 300:
        hint = "The application's own log says more."
        if status in (400, 405, 415, 422):
            hint = "Set paths and keys in verify.application as the application has them."
        raise ChatstoreError(what=f"{asked} is answered with {status}{excerpt(answer.body)}", hint=hint)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        hint = "The answer is JSON: see docs/operations.md, what is asked of an application."
        what = f"{asked} is answered with {status}, and not with JSON{excerpt(answer.body)}"
        raise ChatstoreError(what=what, hint=hint) from error


def excerpt(body: bytes) -> str:
    """The beginning of an answer, to be put behind what is said about it."""
    text = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    if not text:
        return " (nothing)"
    return f": {text[:_EXCERPT]}…" if len(text) > _EXCERPT else f": {text}"


def brief(value: object) -> str:
    """Any decoded value in a few words: a message is to name it, not to be filled by it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and len(value) > _EXCERPT:
        return json.dumps(value[:_EXCERPT], ensure_ascii=False) + "…"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a very long number"
    return json.dumps(value, ensure_ascii=False, default=str)


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def lacks(run: ApplicationRun, asked: str, setting: str, option: str = "") -> Verdict:
    """An application that has no such path."""
    run.lacking.append(asked)
    also = f" (or {option})" if option else ""
    return skipped(f"the application has no {asked} (404)", f"Where it is elsewhere, set {setting}{also}.")


def is_unsent(error: ChatstoreError) -> bool:
    """Whether a request that failed like this never got to the application."""
    return type(error) is Unreachable
