"""Removes the traces of a run once the application has written all of them, and again those that it writes late."""

from __future__ import annotations

from math import inf

from chatstore_cli.core.verify.application.run import LONGEST_PAUSE, ApplicationRun
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, skipped, warned
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.quantities import quantity

_QUIET_SECONDS = 0.3
"""Seconds without new lines or documents that end the cleanup, if all messages were accepted and stored."""
_UNSURE_SECONDS = 1.0
"""The same for all other runs; or two of the worker's intervals, if these are longer."""
INTERRUPTED_SECONDS = 4.0
"""Limit of each of the two waits after an interrupt."""
_READ_INTERVAL = 0.05
_BY_HAND = "chatstore sessions delete removes the documents of a session; its journal is a file."


class Cleanup:
    """Removes documents and journals of a run's sessions. It may be interrupted and called again."""

    def __init__(self, run: ApplicationRun) -> None:
        self._run = run
        self._documents = self._journals = 0
        self._with_journals: set[str] = set()
        self._obstacles: dict[str, str] = {}  # reasons, by what could not be removed
        self.is_done = False

    @property
    def sessions(self) -> list[str]:
        """The sessions that something was sent for."""
        return list(dict.fromkeys(sent.session_id for sent in self._run.sent))

    def clean_up(self, longest_wait: float = inf) -> Verdict:
        """Wait until the application has written what it had, then remove it until nothing more arrives.

        Each of the two waits ends after `longest_wait` seconds, or earlier by the deadline.
        """
        run = self._run
        if not run.sent:
            self.is_done = True
            return skipped("nothing was sent, so there is nothing to remove")
        self._obstacles.clear()
        deadline = max(sent.sent_at for sent in run.sent) + run.deadline
        is_written = run.wait(self._is_written, bool, min(deadline, run.timer() + longest_wait))
        pending = [] if is_written else self._pending()
        is_quiet = self._remove_until_quiet(is_written, longest_wait)
        verdict = self._verdict(pending, is_quiet)
        self.is_done = True
        return verdict

    def _is_written(self) -> bool:
        """Whether everything journalled is stored, and both roles of every accepted message."""
        accepted = {sent.session_id for sent in self._run.sent if sent.accepted or not sent.finished}
        for session in self.sessions:
            stored, journalled = self._counts(session)
            # If only the user's message is there, the assistant's may still follow.
            expected = max(journalled or 0, 2 if session in accepted else 0)
            if stored is None or journalled is None or stored < expected:
                return False
        return all(sent.finished for sent in self._run.sent)

    def _pending(self) -> list[str]:
        """What the application may still store, in words."""
        pending = []
        for session in self.sessions:
            stored, journalled = self._counts(session)
            if stored is not None and journalled is not None and stored < journalled:
                pending.append(f"{quantity(journalled - stored, 'message')} of {session}, journalled and not stored")
        return pending + [f"an answer for {sent.session_id}" for sent in self._run.sent if not sent.finished]

    def _remove_until_quiet(self, is_written: bool, longest_wait: float) -> bool:
        """Remove documents and journals. Returns whether nothing more arrived for a while."""
        run = self._run
        is_sure = is_written and all(sent.accepted for sent in run.sent)
        quiet = _QUIET_SECONDS if is_sure else max(_UNSURE_SECONDS, 2 * run.interval)
        if not all(sent.finished for sent in run.sent):
            quiet = max(quiet, run.deadline)  # what the application still works on will be written at its end
        quiet = min(quiet, longest_wait)
        last_removal = run.timer()
        deadline = last_removal + min(max(run.deadline, 2 * quiet), max(longest_wait, quiet))
        while True:
            began = run.timer()
            # The journal first, so that a process that follows it finds no more lines in it.
            if self._remove_journals() + self._remove_documents():
                last_removal = run.timer()
            now = run.timer()
            if now - last_removal >= quiet or now >= deadline:
                return now - last_removal >= quiet
            run.pause(min(max(_READ_INTERVAL, 4 * (now - began)), LONGEST_PAUSE))

    def _remove_journals(self) -> int:
        removed = 0
        for session in self.sessions:
            subject = f"the journal of {session}"
            if self._run.journals.exists and subject not in self._obstacles:
                try:
                    if files := self._run.journals.remove(session):
                        self._with_journals.add(session)
                        removed += files
                except ChatstoreError as error:
                    self._obstacles[subject] = error.message
                except OSError as error:
                    self._obstacles[subject] = f"{error.filename}: {error.strerror or error}"
        self._journals += removed
        return removed

    def _remove_documents(self) -> int:
        subject = f"documents of {' and '.join(self.sessions)}"
        if subject in self._obstacles:
            return 0
        try:
            removed = self._run.documents().remove(self.sessions)
        except ChatstoreError as error:
            self._obstacles[subject] = error.message
            return 0
        self._documents += removed
        return removed

    def _verdict(self, pending: list[str], is_quiet: bool) -> Verdict:
        removed = f"removed {quantity(self._documents, 'document')} and {quantity(self._journals, 'journal')}"
        left = [f"{subject} ({reason})" for subject, reason in self._obstacles.items()]
        if not left:
            for session in self.sessions:
                stored, journalled = self._counts(session)
                if stored or journalled:
                    documents, lines = (
                        quantity(stored or 0, "document"),
                        quantity(journalled or 0, "journalled message"),
                    )
                    left.append(f"{documents} and {lines} of {session}")
        if left:
            return failed(f"{removed}; left: {' and '.join(left)}", f"Remove them by hand: {_BY_HAND}")
        if not is_quiet:
            what = f"{removed}; the application is still writing for {' and '.join(self.sessions)}"
            return failed(what, f"Stop the application and remove by hand what it wrote: {_BY_HAND}")
        if self._run.foreign_sessions:
            sessions = ", ".join(self._run.foreign_sessions)
            what = f"{removed}; left: the messages of session {sessions}, which the application chose itself"
            return failed(what, f"Check with chatstore sessions show whether they belong to this run. {_BY_HAND}")
        if pending:
            what = f"{removed}; the application may still write {', '.join(pending)}"
            return warned(what, f"Check later with chatstore sessions show. {_BY_HAND}")
        accepted = dict.fromkeys(sent.session_id for sent in self._run.sent if sent.accepted)
        if without_journal := [session for session in accepted if session not in self._with_journals]:
            what = f"{removed}; no journal of {' and '.join(without_journal)} was in {self._run.journals.folder}"
            return warned(what, "If the application keeps its journals elsewhere, remove them there.")
        return passed(removed)

    def _counts(self, session: str) -> tuple[int | None, int | None]:
        """The numbers of stored and journalled messages of a session; None if they cannot be read."""
        stored: int | None = None
        journalled: int | None = None
        try:
            stored = len(self._run.stored(session))
            journalled = len(self._run.journalled(session).messages)
        except (ChatstoreError, OSError):
            pass
        return stored, journalled
