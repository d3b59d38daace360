"""The checks of `chatstore verify` that read this machine: configuration and journals."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatstore_cli.core.verify.checklist import Check, Verdict, failed, passed, skipped, warned
from chatstore_cli.domain.cache_status import JournalFolder
from chatstore_cli.domain.checks import CheckStatus
from chatstore_cli.domain.errors import BadConfig, NotFound, Overdue
from chatstore_cli.domain.future_journals import FutureJournals, describe_future
from chatstore_cli.domain.ignored_files import JOURNAL_NAMES, TO_READ_THEM, describe_ignored
from chatstore_cli.domain.indexes.ports import PendingLines
from chatstore_cli.domain.quantities import quantity

CONFIGURATION = "configuration"
WARN_FREE_BYTES = 1024**3
FAIL_FREE_BYTES = 100 * 1024**2


@dataclass(frozen=True, slots=True)
class LocalChecks:
    """The local checks. `broken` is the error of an invalid configuration, `warnings` are its legal but unusual values.

    `files` are the configuration files. `journal_folders` contain the journals, and every file in `whole_folders` should
    be a journal. `scan` lists a folder of journals, `pending` counts the lines of journals that are not stored, and
    `future` finds the journals with lines from the future.
    """

    broken: BadConfig | None
    warnings: Sequence[str]
    files: Sequence[str]
    journal_folders: Sequence[Path]
    whole_folders: Sequence[Path]
    scan: Callable[[Path], JournalFolder]
    pending: Callable[[], PendingLines]
    future: Callable[[], FutureJournals]
    seconds: float
    read_only: bool

    def first(self) -> list[Check]:
        """The checks before those of the database."""
        return [Check(CONFIGURATION, self.configuration)]

    def last(self) -> list[Check]:
        """The checks after those of the database, with which the journals are compared."""
        return [
            Check("journal-folder", self.folder, CONFIGURATION),
            Check("ignored-files", self.ignored, CONFIGURATION),
            Check("journal-times", self.times, CONFIGURATION),
            Check("journal-flushed", self.flushed, "connection"),
        ]

    def configuration(self) -> Verdict:
        """The settings are valid and usual."""
        if self.broken is not None:
            raise self.broken
        read = f"read from {', '.join(self.files)}" if self.files else "no file, only environment and defaults"
        if self.warnings:
            return warned("; ".join(self.warnings), "Run chatstore config check.")
        return passed(read)

    def folder(self) -> Verdict:
        """The journals' folders are readable and writable, and their disks have space."""
        verdicts = [self._folder(folder) for folder in self.journal_folders]
        wrong = [verdict for verdict in verdicts if verdict.status is not CheckStatus.PASS]
        wrong.sort(key=lambda verdict: verdict.status is not CheckStatus.FAIL)
        return wrong[0] if wrong else passed("; ".join(verdict.detail for verdict in verdicts))

    def _folder(self, folder: Path) -> Verdict:
        if not folder.exists():
            return warned(f"{folder} does not exist", "If the journals are elsewhere, set mongo.cache.disk_path.")
        if not folder.is_dir():
            return failed(f"{folder} is not a folder", "Set mongo.cache.disk_path to the folder of the journals.")
        found = self.scan(folder)
        if found.unreadable:
            return failed(
                f"{len(found.unreadable):,} journals cannot be read, for example {found.unreadable[0]}",
                "Give this user read permission.",
            )
        detail = f"{folder}: {quantity(found.journals, 'journal')}"
        if (reason := self._why_not_writable(folder)) is not None:
            return warned(
                f"{detail}; it cannot be written to: {reason}", "The local cache cannot store journals there."
            )
        if found.foreign_bookkeeping is not None:
            return warned(
                f"{detail}; {found.foreign_bookkeeping}",
                "Run the command as the owner, or give the folder to this user (chown -R).",
            )
        free = shutil.disk_usage(folder).free
        detail += f", {free / 1024**3:,.1f} GiB free"
        if free < FAIL_FREE_BYTES:
            return failed(
                detail, "Free disk space. Without it the local cache loses messages that the database does not accept."
            )
        if free < WARN_FREE_BYTES:
            return warned(detail, "Free disk space.")
        return passed(detail)

    def ignored(self) -> Verdict:
        """Every file in the journals' folders is a journal. The folder of a journal that is named is not examined."""
        folders = [folder for folder in self.whole_folders if folder.is_dir()]
        if not folders:
            return skipped("the folder of journals does not exist")
        ignored = [group for folder in folders for group in self.scan(folder).ignored]
        if ignored:
            return warned(describe_ignored(ignored), f"{JOURNAL_NAMES} {TO_READ_THEM}")
        return passed("no file in the journals' folders is ignored")

    def _why_not_writable(self, folder: Path) -> str | None:
        if self.read_only:
            return None if os.access(folder, os.W_OK) else "permission denied"
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"written by chatstore verify")
        except OSError as error:
            return str(error.strerror)
        return None

    def times(self) -> Verdict:
        """No journal has lines from the future."""
        try:
            future = self.future()
        except (NotFound, Overdue) as error:
            return skipped(error.message)
        if future.count:
            detail, _, hint = describe_future(future).partition(". ")
            return warned(detail, hint)
        return passed("no journal has lines from the future")

    def flushed(self) -> Verdict:
        """The journals' lines are stored in the database."""
        try:
            pending = self.pending()
        except NotFound as error:
            return skipped(error.message)
        except Overdue as error:
            return skipped(error.message, "chatstore flush-cache --dry-run counts them without a time limit.")
        if not pending.journals:
            return skipped("no journals were found")
        journals = f"{quantity(pending.lines, 'line')} in {quantity(pending.journals, 'journal')}"
        incomplete = f"; {quantity(pending.incomplete, 'incomplete last line')}" if pending.incomplete else ""
        faults = [
            (pending.to_store, "are not stored yet", "Run chatstore flush-cache to store them."),
            (pending.to_quarantine, "cannot be stored", "chatstore flush-cache quarantines them with the reason."),
            (pending.in_quarantine, "are quarantined", "chatstore cache quarantine list shows the reasons."),
            (
                pending.missing,
                "were stored and no longer exist",
                "Unless they were deleted on purpose, chatstore flush-cache --ignore-ledger stores them again.",
            ),
        ]
        if any(lines for lines, _, _ in faults):
            details = ", ".join(f"{lines:,} {what}" for lines, what, _ in faults if lines)
            hints = " ".join(hint for lines, _, hint in faults if lines)
            return warned(f"{journals}: {details}{incomplete}", hints)
        return passed(f"{journals}, none left to store{incomplete}")
