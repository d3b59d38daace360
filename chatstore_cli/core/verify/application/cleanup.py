"""Removing what a run wrote: once the application has written all of it, and again what it writes late."""

from __future__ import annotations

from math import inf

from chatstore_cli.core.verify.application.run import ApplicationRun, counted
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, warned
from chatstore_cli.domain.errors import ChatstoreError

_QUIET_SECONDS = 0.3
"""How long nothing more must come where all that was sent was taken, and all that was journalled had been stored."""
_UNSURE_SECONDS = 1.0
"""The same where that is not known; or two of the worker's intervals, where these are longer."""
HURRY_SECONDS = 4.0
"""How long whoever has interrupted a run is made to wait for what the application may still write, twice."""
_LOOKS_APART = 0.05
_LONGEST_PAUSE = 1.0
_BY_HAND = "chatstore sessions delete removes the documents of a session; its journal is a file."


class Cleanup:
    """Removes documents and journals of a run's sessions. It may be interrupted, and called again."""

    def __init__(self, run: ApplicationRun) -> None:
        self._run = run
        self._documents = self._journals = 0
        self._with_journals: set[str] = set()
        self._obstacles: dict[str, str] = {}  # by what is left for them
        self.is_done = False

    @property
    def sessions(self) -> list[str]:
        """The sessions that something was sent for."""
        return list(dict.fromkeys(sent.session_id for sent in self._run.sent))

    def clean_up(self, patience: float = inf) -> Verdict:
        """Wait until the application has written what it had, remove it, and stay until nothing more comes.

        `patience` in seconds bounds both, where the deadline does not.
        """
        if not self._run.sent:
            self.is_done = True
            return passed("nothing was sent, so there is nothing to remove")
        self._obstacles.clear()
        until = max(sent.at for sent in self._run.sent) + self._run.deadline
        is_written = self._run.wait(self._is_written, bool, min(until, self._run.timer() + patience))
        pending = [] if is_written else self._pending()
        is_quiet = self._remove_until_quiet(is_written, patience)
        verdict = self._verdict(pending, is_quiet)
        self.is_done = True
        return verdict

    def _is_written(self) -> bool:
        """Whether all that was journalled is stored, both roles of what was taken."""
        taken = {sent.session_id for sent in self._run.sent if sent.answered or not sent.returned}
        for session in self.sessions:
            stored, journalled = self._counts(session)
            # Where only the user's message is there, an answer to it may still be under way.
            wanted = max(journalled or 0, 2 if session in taken else 0)
            if stored is None or journalled is None or stored < wanted:
                return False
        return all(sent.returned for sent in self._run.sent)

    def _pending(self) -> list[str]:
        """What the application may still store, in words."""
        told = []
        for session in self.sessions:
            stored, journalled = self._counts(session)
            if stored is not None and journalled is not None and stored < journalled:
                told.append(f"{counted(journalled - stored, 'message')} of {session}, journalled and not stored")
        told += [f"an answer for {sent.session_id}" for sent in self._run.sent if not sent.returned]
        return told

    def _remove_until_quiet(self, is_written: bool, patience: float) -> bool:
        """Whether nothing more came for a while."""
        run = self._run
        is_sure = is_written and all(sent.answered for sent in run.sent)
        quiet = _QUIET_SECONDS if is_sure else max(_UNSURE_SECONDS, 2 * run.interval)
        if not all(sent.returned for sent in run.sent):
            quiet = max(quiet, run.deadline)  # what is still being worked on will be written when it is done
        began = last = run.timer()
        quiet = min(quiet, patience)
        until = began + min(max(run.deadline, 2 * quiet), max(patience, quiet))
        while True:
            looked = run.timer()
            # The journal first: whoever follows it then finds no more in it.
            if self._remove_journals() + self._remove_documents():
                last = run.timer()
            now = run.timer()
            if now - last >= quiet or now >= until:
                return now - last >= quiet
            run.pause(min(max(_LOOKS_APART, 4 * (now - looked)), _LONGEST_PAUSE))

    def _remove_journals(self) -> int:
        removed = 0
        for session in self.sessions:
            where = f"the journal of {session}"
            if self._run.journals.is_there and where not in self._obstacles:
                try:
                    if files := self._run.journals.remove(session):
                        self._with_journals.add(session)
                        removed += files
                except ChatstoreError as error:
                    self._obstacles[where] = error.message
                except OSError as error:
                    self._obstacles[where] = f"{error.filename}: {error.strerror or error}"
        self._journals += removed
        return removed

    def _remove_documents(self) -> int:
        where = f"documents of {' and '.join(self.sessions)}"
        if where in self._obstacles:
            return 0
        try:
            removed = self._run.documents().remove(self.sessions)
        except ChatstoreError as error:
            self._obstacles[where] = error.message
            return 0
        self._documents += removed
        return removed

    def _verdict(self, pending: list[str], is_quiet: bool) -> Verdict:
        removed = f"removed: {counted(self._documents, 'document')} and {counted(self._journals, 'journal')}"
        left = [f"{where} ({reason})" for where, reason in self._obstacles.items()]
        if not left:
            for session in self.sessions:
                stored, journalled = self._counts(session)
                if stored or journalled:
                    left.append(
                        f"{counted(stored or 0, 'document')} and {counted(journalled or 0, 'journalled message')} of {session}"
                    )
        if left:
            return failed(f"{removed}; left are {' and '.join(left)}", f"Remove them by hand: {_BY_HAND}")
        if not is_quiet:
            what = f"{removed}; the application goes on writing for {' and '.join(self.sessions)}"
            return failed(what, f"Stop it, and remove by hand what it wrote: {_BY_HAND}")
        if self._run.strays:
            named = ", ".join(self._run.strays)
            what = f"{removed}; what was recorded for session {named}, which the application chose itself, is left"
            return failed(what, f"Look whether it is ours: chatstore sessions show. {_BY_HAND}")
        if pending:
            what = f"{removed}; the application may yet write: {', '.join(pending)}"
            return warned(what, f"Look again later: chatstore sessions show. {_BY_HAND}")
        answered = dict.fromkeys(sent.session_id for sent in self._run.sent if sent.answered)
        if unseen := [session for session in answered if session not in self._with_journals]:
            what = f"{removed}; no journal of {' and '.join(unseen)} was in {self._run.journals.folder}"
            return warned(what, "Where the application keeps it elsewhere, remove it there.")
        return passed(removed)

    def _counts(self, session: str) -> tuple[int | None, int | None]:
        """Stored and journalled messages of a session; None where nobody can look."""
        stored: int | None = None
        journalled: int | None = None
        try:
            stored = len(self._run.stored(session))
            journalled = len(self._run.journalled(session).turns)
        except (ChatstoreError, OSError):
            pass
        return stored, journalled
