"""The checks of `chatstore verify --api-url`: send messages through a running application and read their traces.

The application need not use chatstore. An endpoint that it does not have is skipped, a fault is described, and what it
wrote for the run is removed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from chatstore_cli.core.verify.application.cleanup import INTERRUPTED_SECONDS, Cleanup
from chatstore_cli.core.verify.application.history import history_verdict
from chatstore_cli.core.verify.application.run import (
    BOTH_ROLES,
    ApplicationRun,
    SentMessage,
    brief,
    message_faults,
    missing_endpoint,
    read_json,
)
from chatstore_cli.core.verify.application.status import status_verdict
from chatstore_cli.core.verify.application.websocket import websocket_verdict
from chatstore_cli.core.verify.checklist import (
    READ_ONLY,
    Check,
    Verdict,
    failed,
    passed,
    selected,
    skipped,
    warned,
)
from chatstore_cli.domain.checked_application import FoundMessage, JournalledMessages
from chatstore_cli.domain.errors import ChatstoreError, Overdue, Unreachable
from chatstore_cli.domain.quantities import quantity

SERVER, CHAT, JOURNAL, MONGO, LOG = "api-connection", "api-chat", "api-journal", "api-mongo", "api-log"
SOCKET, WORKER, STATUS, HISTORY = "api-websocket", "api-worker", "api-status", "api-history"
CLEANUP = "api-cleanup"

_CACHE, _WORKER = "[CHAT CACHE]", "[CHAT WORKER] Flushed"
_FLUSHED_NONE = re.compile(r"\[CHAT WORKER\] Flushed 0/")
_REPLY_KEYS = ("reply", "response", "answer", "assistant")
"""Keys under which a text is the assistant's message (`message` may be anything)."""
_NOTHING_ACCEPTED = "no message was accepted, so no trace can be checked"
_WORKER_HINT = (
    "Check that the worker runs and is notified of each message. Nothing journalled is lost: run chatstore flush-cache."
)
_RECORD_HINT = "The application must record each message of both roles once and unchanged."
_JOURNAL_HINT = "Check that the application records each message, and that its folder is mongo.cache.disk_path."
_FOLDER_HINT = "Run verify on the application's machine, with mongo.cache.disk_path set to its journals."


class ApplicationChecks:
    """The checklist of one application, with further checks of it. After an interrupt, call `clean_up_soon`."""

    def __init__(self, run: ApplicationRun, further: Sequence[Check] = ()) -> None:
        self._run = run
        self._further = further
        self._cleanup = Cleanup(run)

    @property
    def announcement(self) -> str:
        """The application and the sessions that are used, in words."""
        run = self._run
        return f"Application: {run.application.url}, sessions {run.session_id} and {run.websocket_session_id}"

    @property
    def sessions(self) -> str:
        """The sessions that something was sent for, in words."""
        return " and ".join(self._cleanup.sessions)

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing left to remove."""
        return self._cleanup.is_done or not self._run.sent

    def select(self, checks: Sequence[Check], only: Sequence[str], skip: Sequence[str]) -> list[Check]:
        """The checks named by `only` without those named by `skip`. Raises BadValue for unknown names.

        `api-chat` is added if the others need a message that no selected check sends. The cleanup is added to every
        check that sends.
        """
        sending, reading = {CHAT, SOCKET}, {JOURNAL, MONGO, LOG, WORKER, HISTORY}
        if reading & set(only) and not sending & set(only):
            only = [*only, CHAT]
        selection = selected([check for check in checks if check.name != CLEANUP], only, skip)
        if sending & {check.name for check in selection}:
            selection += [check for check in checks if check.name == CLEANUP]
        return selection

    def all(self) -> list[Check]:
        """The checks in the order in which a message passes. The last one removes what was written."""
        checks: list[tuple[str, Callable[[], Verdict], str | None]] = [
            (SERVER, self.connection, "configuration"),
            (CHAT, self.chat, SERVER),
            (JOURNAL, partial(self._after_post, self.journal), CHAT),
            (MONGO, partial(self._after_post, self.mongo), CHAT),
            (LOG, partial(self._after_post, self.log), CHAT),
            (SOCKET, self.websocket, SERVER),
            (WORKER, self.worker, SERVER),
            (STATUS, self.status, SERVER),
            (HISTORY, self.history, SERVER),
            *((check.name, check.run, check.needs) for check in self._further),
            (CLEANUP, self._cleanup.clean_up, None),
        ]
        return [Check(name, partial(self._without_secrets, check), needs) for name, check, needs in checks]

    def clean_up_soon(self) -> Verdict:
        """Remove what an interrupted run wrote. It may be interrupted itself, and called again."""
        self._run.reconnect()  # the interrupt may have left the driver in the middle of an operation
        return self._without_secrets(partial(self._cleanup.clean_up, INTERRUPTED_SECONDS))

    def _without_secrets(self, check: Callable[[], Verdict]) -> Verdict:
        """The verdict without secrets: a server may return what it received, and results are published."""
        try:
            verdict = check()
        except ChatstoreError as error:
            verdict = failed(error.message, error.hint or "See the application's own log.")
        hide = self._run.application.without_secrets
        return Verdict(verdict.status, hide(verdict.detail), verdict.hint and hide(verdict.hint))

    def _after_post(self, check: Callable[[SentMessage], Verdict]) -> Verdict:
        run = self._run
        sent = next((sent for sent in run.sent if sent.accepted and sent.session_id == run.session_id), None)
        if sent is None:
            return skipped(READ_ONLY if run.read_only else _NOTHING_ACCEPTED)
        return check(sent)

    def connection(self) -> Verdict:
        """The application responds to a request, whatever the status."""
        response = self._run.application.request("HEAD", "/", seconds=self._run.deadline)
        return passed(f"{self._run.application.url} answers with status {response.status}")

    def chat(self) -> Verdict:
        """The application accepts a message and returns JSON."""
        run = self._run
        if (verdict := run.why_nothing_is_sent()) is not None:
            return verdict
        path = run.path(run.settings.chat_path, run.session_id)
        request = f"POST {path}"
        sent = run.new_message(run.session_id)
        try:
            response = run.application.request("POST", path, seconds=run.deadline, payload=run.payload(sent))
        except ChatstoreError as error:
            if type(error) is Unreachable:  # the request never reached the application
                run.sent.remove(sent)
            sent.finished = not isinstance(error, Overdue)
            raise
        if response.status == 404:
            run.sent.remove(sent)
            return missing_endpoint(run, request, "verify.application.chat_path")
        sent.finished, seconds = True, run.timer() - sent.sent_at
        body = read_json(response, request)
        if (other := _other_session(body, run.settings.session_key, sent.session_id)) is not None:
            run.foreign_sessions.append(other)
            what = f"{request} was sent for session {sent.session_id}, but the response names session {other}"
            return failed(what, "Use the session_id of the request; see verify.application.session_key.")
        sent.accepted, sent.has_reply = True, _has_reply(body, sent)
        content = "the assistant's message" if sent.has_reply else "JSON"
        return passed(f"{request} returned {content} with status {response.status} after {seconds:.2f} s")

    def journal(self, sent: SentMessage) -> Verdict:
        """The message is in the session's journal."""
        run = self._run
        if not run.journals.exists:
            return skipped(f"{run.journals.folder} is not on this machine", _FOLDER_HINT)

        def faults(found: JournalledMessages) -> list[str]:
            lines = quantity(found.unreadable, "line")
            unreadable = [f"{lines} without a message of the session"] if found.unreadable else []
            return message_faults(found.messages, sent, _roles(sent)) + unreadable

        found = run.wait(
            lambda: run.journalled(sent.session_id), lambda found: not faults(found), sent.sent_at + run.deadline
        )
        if wrong := faults(found):
            detail = f"{'; '.join(wrong)} in {run.journals.folder}, {run.age(sent)}"
            return failed(detail, _RECORD_HINT if found.messages else _JOURNAL_HINT)
        return passed(f"{_summary(found.messages)} in {run.journals.folder}")

    def mongo(self, sent: SentMessage) -> Verdict:
        """The message is in MongoDB, complete and once."""
        run = self._run
        stored = run.wait(
            lambda: run.stored(sent.session_id),
            lambda stored: not message_faults(stored, sent, _roles(sent)),
            sent.sent_at + run.deadline,
        )
        collection = run.documents().collection
        if wrong := message_faults(stored, sent, _roles(sent)):
            hint = _RECORD_HINT if stored else _WORKER_HINT
            return failed(f"{'; '.join(wrong)} in {collection}, {run.age(sent)}", hint)
        return passed(f"{_summary(stored)} in {collection}, {run.age(sent)}")

    def log(self, sent: SentMessage) -> Verdict:
        """Cache and worker have written their log lines."""
        run, log = self._run, self._run.log
        if log is None:
            return skipped("no log file was given", "Add --log FILE, a log of the application or its worker.")
        lines: list[str] = []

        def read() -> list[str]:
            lines.extend(log.read((_CACHE, _WORKER)))
            has_cache = any(_CACHE in line for line in lines)
            has_worker = any(_WORKER in line and not _FLUSHED_NONE.search(line) for line in lines)
            return [word for word, is_found in ((_CACHE, has_cache), (_WORKER, has_worker)) if not is_found]

        if missing := run.wait(read, lambda missing: not missing, sent.sent_at + run.deadline):
            none = "; the log contains Flushed 0" if any(_FLUSHED_NONE.search(line) for line in lines) else ""
            what = f"no new line with {' or '.join(missing)} in {log.name}, {run.age(sent)}{none}"
            hint = "Check that the application writes this log, and that its level includes INFO."
            if missing == [_WORKER]:
                hint += " If `chatstore worker` is its worker, add that log too: --log is repeatable."
            elif missing == [_CACHE]:
                hint += " If this is the log of `chatstore worker`, add the application's too: --log is repeatable."
            return failed(what, hint)
        return passed(f"{_CACHE} and {_WORKER} in {log.name}")

    def websocket(self) -> Verdict:
        """Welcome and status frames arrive, a message is accepted, and both roles are stored."""
        if (verdict := self._run.why_nothing_is_sent()) is not None:
            return verdict
        return websocket_verdict(self._run)

    def worker(self) -> Verdict:
        """Everything journalled in this run is stored within the deadline, each message once."""
        run = self._run
        if run.read_only:
            return skipped(READ_ONLY)
        accepted = [sent for sent in run.sent if sent.accepted]
        if not accepted and len(run.missing_endpoints) > 1:
            what = f"no message could be sent: the application has neither {' nor '.join(run.missing_endpoints)}"
            hint = "Set verify.application.chat_path or --ws-path, and check that --api-url has the whole base path."
            return warned(what, hint)
        if not accepted:
            return skipped(_NOTHING_ACCEPTED)

        def faults() -> list[str]:
            return [fault for sent in accepted for fault in self._storing_faults(sent)]

        deadline = max(sent.sent_at for sent in accepted) + run.deadline
        if wrong := run.wait(faults, lambda faults: not faults, deadline):
            return failed(f"{'; '.join(wrong)}, {run.age(accepted[-1])}", _WORKER_HINT)
        sessions = [sent.session_id for sent in accepted]
        if not run.journals.exists:
            stored = quantity(sum(len(run.stored(session)) for session in sessions), "message")
            return passed(f"{stored} stored, {run.age(accepted[-1])}; the journals are not on this machine")
        journalled = sum(len(run.journalled(session).messages) for session in sessions)
        return passed(f"each of {journalled} journalled messages is stored once, {run.age(accepted[-1])}")

    def _storing_faults(self, sent: SentMessage) -> list[str]:
        """The differences between journals and MongoDB in the session of a message, in words."""
        session = sent.session_id
        journalled, stored = self._run.journalled(session).messages, self._run.stored(session)
        if not self._run.journals.exists:
            return message_faults(stored, sent, ())
        if not journalled:
            return [f"no journalled message of session {session}"]
        # Not by ids: a message that is stored again under another id is a duplicate.
        lines, documents = (Counter((one.role, one.text) for one in messages) for messages in (journalled, stored))
        counts = {"not stored": (lines - documents).total(), "stored more than once": (documents - lines).total()}
        total = f"of {len(journalled)} journalled messages of session {session}"
        return [f"{count} {total} {'is' if count == 1 else 'are'} {fault}" for fault, count in counts.items() if count]

    def status(self) -> Verdict:
        """The application's storage is healthy, and its settings equal the configuration."""
        run = self._run
        path = run.path(run.settings.status_path, run.session_id)
        response = run.application.request("GET", path, seconds=run.deadline)
        if response.status == 404:
            return missing_endpoint(run, f"GET {path}", "verify.application.status_path")
        return status_verdict(read_json(response, f"GET {path}"), run.expected)

    def history(self) -> Verdict:
        """The application's history has each message once, and its figures agree."""
        run = self._run
        if run.read_only:
            return skipped("it needs a session of its own, and --read-only is set")
        if (sent := next((sent for sent in run.sent if sent.accepted), None)) is None:
            return skipped(_NOTHING_ACCEPTED)
        return history_verdict(run, sent)


def _other_session(body: Any, key: str, session_id: str) -> str | None:
    """The session that a response names instead of the requested one, if any."""
    named = body.get(key) if isinstance(body, dict) else None
    return None if named is None or named == session_id else brief(named)


def _has_reply(body: Any, sent: SentMessage) -> bool:
    """Whether a response contains the assistant's message: an object with that role, or a text under a reply key."""
    if not isinstance(body, dict):
        return False
    values: list[Any] = [body, *body.values()]
    values += [item for value in body.values() if isinstance(value, list) for item in value]
    if any(isinstance(item, dict) and item.get("role") == "assistant" for item in values):
        return True
    texts = (body.get(key) for key in _REPLY_KEYS)
    return any(isinstance(text, str) and text.strip() and text != sent.text for text in texts)


def _roles(sent: SentMessage) -> tuple[str, ...]:
    return BOTH_ROLES if sent.has_reply else BOTH_ROLES[:1]


def _summary(messages: list[FoundMessage]) -> str:
    roles = sorted({message.role for message in messages}, reverse=True)
    return f"{quantity(len(messages), 'message')} ({', '.join(roles)})"
