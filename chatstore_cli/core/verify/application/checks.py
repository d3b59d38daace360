"""The checks of `chatstore verify --api-url`: a message goes through a running application, and its traces are looked at.

The application need not be ours. What it lacks is skipped, what it does wrong is named, what it wrote for us is removed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from chatstore_cli.core.verify.application.cleanup import HURRY_SECONDS, Cleanup
from chatstore_cli.core.verify.application.history import history_verdict
from chatstore_cli.core.verify.application.run import (
    BOTH_ROLES,
    ApplicationRun,
    Sent,
    brief,
    counted,
    faults_of,
    is_unsent,
    lacks,
    read_json,
)
from chatstore_cli.core.verify.application.status import status_verdict
from chatstore_cli.core.verify.application.websocket import websocket_verdict
from chatstore_cli.core.verify.checklist import Check, Verdict, chosen, failed, passed, skipped, warned
from chatstore_cli.domain.checked_application import JournalledTurns, Turn
from chatstore_cli.domain.errors import ChatstoreError, Overdue

SERVER, CHAT, JOURNAL, MONGO, LOG = "api-connection", "api-chat", "api-journal", "api-mongo", "api-log"
SOCKET, WORKER, STATUS, HISTORY = "api-websocket", "api-worker", "api-status", "api-history"
CLEANUP = "api-cleanup"
POST, WEBSOCKET = "POST", "WebSocket"

_CACHE, _WORKER = "[CHAT CACHE]", "[CHAT WORKER] Flushed"
_FLUSHED_NONE = re.compile(r"\[CHAT WORKER\] Flushed 0/")
_ANSWERS = ("reply", "response", "answer", "assistant")
"""Keys under which an answer's text is the assistant's message, and nothing else (`message` may be anything)."""
_WORKER_HINT = (
    "Is the worker started, and told of each message? What is journalled is not lost: chatstore flush-cache stores it."
)
_NOTHING_WRITTEN = "it writes, and --read-only is set"
_NONE_WAS_TAKEN = "no message was taken, so there is none to look for"
_RECORD_HINT = "Record each message of both roles once, as it was said."
_PLACE_HINT = "See that the application records each message, and that its folder is mongo.cache.disk_path."
_FOLDER_HINT = "Run it on the application's machine, with mongo.cache.disk_path set to its journals."


class ApplicationChecks:
    """The checklist of one application. Where it is interrupted, `clean_up_soon` is to be called."""

    def __init__(self, run: ApplicationRun) -> None:
        self._run = run
        self._cleanup = Cleanup(run)

    @property
    def announcement(self) -> str:
        """Where the messages go, and under which sessions, in words."""
        run = self._run
        return f"Application: {run.application.url}, sessions {run.session_id} and {run.websocket_session_id}"

    @property
    def sessions(self) -> str:
        """The sessions that something was sent for, in words."""
        return " and ".join(self._cleanup.sessions)

    def chosen(self, checks: Sequence[Check], only: Sequence[str], skip: Sequence[str]) -> list[Check]:
        """Those named by `only`, with the one that sends where they look for what was sent, without those of `skip`.

        What removes is there whenever one that sends is. Raises BadValue for names that are none.
        """
        sending, looking = {CHAT, SOCKET}, {JOURNAL, MONGO, LOG, WORKER, HISTORY}
        if looking & set(only) and not sending & set(only):
            only = [*only, CHAT]
        taken = chosen([check for check in checks if check.name != CLEANUP], only, skip)
        if sending & {check.name for check in taken}:
            taken += [check for check in checks if check.name == CLEANUP]
        return taken

    @property
    def writes(self) -> bool:
        """Whether anything will be sent that is written somewhere."""
        return not self._run.read_only

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing left to be removed."""
        return self._cleanup.is_done or not self._run.sent

    def all(self) -> list[Check]:
        """In the order in which a message passes; the last one removes what was written, and is never left out."""
        checks: list[tuple[str, Callable[[], Verdict], str | None]] = [
            (SERVER, self.connection, "configuration"),
            (CHAT, self.chat, SERVER),
            (JOURNAL, self.journal, CHAT),
            (MONGO, self.mongo, CHAT),
            (LOG, self.log, CHAT),
            (SOCKET, self.websocket, SERVER),
            (WORKER, self.worker, SERVER),
            (STATUS, self.status, SERVER),
            (HISTORY, self.history, SERVER),
            (CLEANUP, self._cleanup.clean_up, None),
        ]
        return [Check(name, partial(self._without_secrets, check), needs) for name, check, needs in checks]

    def _without_secrets(self, check: Callable[[], Verdict]) -> Verdict:
        """A server may send back what it was sent, and what is told goes into pull requests."""
        try:
            verdict = check()
        except ChatstoreError as error:
            verdict = failed(error.message, error.hint or "The application's own log says more.")
        hide = self._run.application.without_secrets
        return Verdict(verdict.status, hide(verdict.detail), verdict.hint and hide(verdict.hint))

    def connection(self) -> Verdict:
        """Something answers there, whatever it is."""
        answer = self._run.application.ask("HEAD", "/", seconds=self._run.deadline)
        return passed(f"{self._run.application.url} answers ({answer.status})")

    def chat(self) -> Verdict:
        """A message is taken, and the answer is JSON."""
        run = self._run
        if (verdict := run.why_nothing_is_sent()) is not None:
            return verdict
        path = run.path(run.settings.chat_path, run.session_id)
        asked = f"POST {path}"
        sent = run.new_message(run.session_id, POST)
        try:
            answer = run.application.ask("POST", path, seconds=run.deadline, payload=run.payload(sent))
        except ChatstoreError as error:
            if is_unsent(error):
                run.sent.remove(sent)
            sent.returned = not isinstance(error, Overdue)
            raise
        if answer.status == 404:
            run.sent.remove(sent)
            return lacks(run, asked, "verify.application.chat_path")
        sent.returned, taken_after = True, run.timer() - sent.at
        body = read_json(answer, asked)
        if (named := _other_session(body, run.settings.session_key, sent.session_id)) is not None:
            run.strays.append(named)
            what = f"{asked} was for session {sent.session_id}, and is answered for session {named}"
            return failed(what, "Use the session_id that comes with a message; see verify.application.session_key.")
        sent.answered, sent.assistant = True, _has_assistant(body, sent)
        what = "the assistant's message" if sent.assistant else "JSON"
        return passed(f"{asked} is answered with {what} ({answer.status}) after {taken_after:.2f} s")

    def journal(self) -> Verdict:
        """The cache has put the message on disk."""
        run = self._run
        if (sent := run.over(POST)) is None:
            return skipped(_NOTHING_WRITTEN if run.read_only else _NONE_WAS_TAKEN)
        if not run.journals.is_there:
            return skipped(f"{run.journals.folder} is not on this machine", _FOLDER_HINT)
        roles = BOTH_ROLES if sent.assistant else BOTH_ROLES[:1]

        def faults(found: JournalledTurns) -> list[str]:
            unreadable = [f"{counted(found.unreadable, 'line')} of no message of it"] if found.unreadable else []
            return faults_of(found.turns, sent, roles) + unreadable

        found = run.wait(lambda: run.journalled(sent.session_id), lambda seen: not faults(seen), sent.at + run.deadline)
        if wrong := faults(found):
            where = f"{run.journals.folder}, {run.since(sent)}"
            return failed(f"{'; '.join(wrong)} in {where}", _RECORD_HINT if found.turns else _PLACE_HINT)
        return passed(f"{counted(len(found.turns), 'message')} in {run.journals.folder}: {_roles(found.turns)}")

    def mongo(self) -> Verdict:
        """The message is in MongoDB, whole and once."""
        run = self._run
        if (sent := run.over(POST)) is None:
            return skipped(_NOTHING_WRITTEN if run.read_only else _NONE_WAS_TAKEN)
        roles = BOTH_ROLES if sent.assistant else BOTH_ROLES[:1]
        stored = run.wait(
            lambda: run.stored(sent.session_id),
            lambda seen: not faults_of(seen, sent, roles),
            sent.at + run.deadline,
        )
        where = run.documents().where
        if wrong := faults_of(stored, sent, roles):
            hint = _RECORD_HINT if stored else _WORKER_HINT
            return failed(f"{'; '.join(wrong)} in {where}, {run.since(sent)}", hint)
        return passed(f"{counted(len(stored), 'message')} in {where}: {_roles(stored)}; seen {run.since(sent)}")

    def log(self) -> Verdict:
        """Cache and worker say what they did."""
        run = self._run
        if run.log is None:
            return skipped(
                "no log file was given", "--log FILE names a file that the application, or its worker, logs to."
            )
        if (sent := run.over(POST)) is None:
            return skipped(_NOTHING_WRITTEN if run.read_only else _NONE_WAS_TAKEN)
        log, lines = run.log, list[str]()

        def look() -> list[str]:
            lines.extend(log.read((_CACHE, _WORKER)))
            return lines

        def missing(seen: list[str]) -> list[str]:
            flushed = any(_WORKER in line and not _FLUSHED_NONE.search(line) for line in seen)
            cached = any(_CACHE in line for line in seen)
            return [word for word, is_there in ((_CACHE, cached), (_WORKER, flushed)) if not is_there]

        if absent := missing(run.wait(look, lambda seen: not missing(seen), sent.at + run.deadline)):
            none = "; it says Flushed 0" if any(_FLUSHED_NONE.search(line) for line in lines) else ""
            what = f"no new line with {' or '.join(absent)} in {log.name}, {run.since(sent)}{none}"
            hint = "See that the application logs there, also what is INFO."
            if absent == [_WORKER]:
                hint += " Where `chatstore worker` is its worker, give that one's log too: --log is repeatable."
            elif absent == [_CACHE]:
                hint += " If this is the log of `chatstore worker`, give the application's too: --log is repeatable."
            return failed(what, hint)
        return passed(f"{_CACHE} and {_WORKER} in {log.name}")

    def websocket(self) -> Verdict:
        """Welcome and status frames come, a message is taken, and both roles are stored."""
        if (verdict := self._run.why_nothing_is_sent()) is not None:
            return verdict
        return websocket_verdict(self._run, WEBSOCKET)

    def worker(self) -> Verdict:
        """All that was journalled in this run is stored within the deadline, each message once."""
        run = self._run
        if run.read_only:
            return skipped(_NOTHING_WRITTEN)
        answered = [sent for sent in run.sent if sent.answered]
        if not answered and len(run.lacking) > 1:
            what = f"no message could be sent: there is neither {' nor '.join(run.lacking)}"
            hint = "Set verify.application.chat_path or --ws-path, and see that --api-url has the whole base path."
            return warned(what, hint)
        if not answered:
            return skipped(_NONE_WAS_TAKEN)

        def look() -> list[str]:
            return [fault for sent in answered for fault in self._unstored(sent)]

        until = max(sent.at for sent in answered) + run.deadline
        if wrong := run.wait(look, lambda seen: not seen, until):
            return failed(f"{'; '.join(wrong)}, {run.since(answered[-1])}", _WORKER_HINT)
        sessions = [sent.session_id for sent in answered]
        stored = sum(len(run.stored(session)) for session in sessions)
        if not run.journals.is_there:
            return passed(
                f"{counted(stored, 'message')} stored by {run.since(answered[-1])}; the journals are not on this machine"
            )
        journalled = sum(len(run.journalled(session).turns) for session in sessions)
        return passed(f"each of {journalled} journalled messages is stored once, seen {run.since(answered[-1])}")

    def _unstored(self, sent: Sent) -> list[str]:
        """What the journals of a message's session and MongoDB do not have in common, in words."""
        session = sent.session_id
        journalled, stored = self._run.journalled(session).turns, self._run.stored(session)
        if not self._run.journals.is_there:
            return faults_of(stored, sent, ())
        if not journalled:
            return [f"nothing journalled of session {session}"]
        # Not by ids: a message that is stored again under another one is stored again.
        lines, documents = (Counter((turn.role, turn.text) for turn in turns) for turns in (journalled, stored))
        told = [((lines - documents).total(), "not stored"), ((documents - lines).total(), "stored once too often")]
        of = f"of {len(journalled)} journalled messages of session {session}"
        return [f"{count} {of} {'is' if count == 1 else 'are'} {what}" for count, what in told if count]

    def status(self) -> Verdict:
        """The application's storage is well, and set as ours is."""
        run = self._run
        path = run.path(run.settings.status_path, run.session_id)
        answer = run.application.ask("GET", path, seconds=run.deadline)
        if answer.status == 404:
            return lacks(run, f"GET {path}", "verify.application.status_path")
        return status_verdict(read_json(answer, f"GET {path}"), run.expected)

    def history(self) -> Verdict:
        """What the application tells of a session is each message once, and its figures agree."""
        run = self._run
        if run.read_only:
            return skipped("it needs a session of its own, and --read-only is set")
        if (sent := next((sent for sent in run.sent if sent.answered), None)) is None:
            return skipped(_NONE_WAS_TAKEN)
        return history_verdict(run, sent)

    def clean_up_soon(self) -> Verdict:
        """Remove what an interrupted run wrote; may itself be interrupted, and called again."""
        self._run.reconnect()  # the interrupt may have struck in the middle of the driver
        return self._without_secrets(partial(self._cleanup.clean_up, patience=HURRY_SECONDS))


def _other_session(body: Any, key: str, session_id: str) -> str | None:
    """The session that an answer is for, where it names another one than was asked."""
    named = body.get(key) if isinstance(body, dict) else None
    return None if named is None or named == session_id else brief(named)


def _has_assistant(body: Any, sent: Sent) -> bool:
    """Whether an answer holds the assistant's message: an object with that role, or a text under a key that says so."""
    if not isinstance(body, dict):
        return False
    pending: list[Any] = [body, *body.values()]
    pending += [item for value in body.values() if isinstance(value, list) for item in value]
    if any(isinstance(item, dict) and item.get("role") == "assistant" for item in pending):
        return True
    texts = (body.get(key) for key in _ANSWERS)
    return any(isinstance(text, str) and text.strip() and text != sent.text for text in texts)


def _roles(turns: list[Turn]) -> str:
    return ", ".join(sorted({turn.role for turn in turns}, reverse=True))
