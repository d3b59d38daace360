"""The checks of `chatstore verify` that look at this machine: configuration and journals."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatstore_cli.core.verify.checklist import Check, Verdict, failed, passed, skipped, warned
from chatstore_cli.domain.errors import BadConfig, NotFound, Overdue
from chatstore_cli.domain.indexes.ports import PendingJournal

CONFIGURATION = "configuration"
LITTLE_SPACE = 1024**3
NO_SPACE = 100 * 1024**2


@dataclass(frozen=True, slots=True)
class LocalChecks:
    """`broken` is what is wrong with the configuration, `warnings` what is odd about it, `files` were read for it.

    `pending` gives the journals against the database.
    """

    broken: BadConfig | None
    warnings: Sequence[str]
    files: Sequence[str]
    journal_folder: Path
    pending: Callable[[], PendingJournal]
    seconds: float
    read_only: bool

    def first(self) -> list[Check]:
        """Before those of the database."""
        return [Check(CONFIGURATION, self.configuration)]

    def last(self) -> list[Check]:
        """After those of the database, which the journals are compared with."""
        return [
            Check("journal-folder", self.folder, CONFIGURATION),
            Check("journal-flushed", self.flushed, "connection"),
        ]

    def configuration(self) -> Verdict:
        """The settings are valid, and none is odd."""
        if self.broken is not None:
            raise self.broken
        read = f"read from {', '.join(self.files)}" if self.files else "no file: environment and defaults"
        if self.warnings:
            return warned("; ".join(self.warnings), "See chatstore config check.")
        return passed(read)

    def folder(self) -> Verdict:
        """The journals' folder can be read and written to, and its disk has space."""
        folder = self.journal_folder
        if not folder.exists():
            return warned(f"{folder} is not there", "Where journals are kept elsewhere, set mongo.cache.disk_path.")
        if not folder.is_dir():
            return failed(f"{folder} is no folder", "Set mongo.cache.disk_path to the folder of the journals.")
        try:
            with os.scandir(folder) as entries:
                journals = [entry.path for entry in entries if entry.name.endswith((".jsonl", ".jsonl.gz"))]
        except OSError as error:
            return failed(f"{folder} cannot be read: {error.strerror}", "Give this user the right to read it.")
        unreadable = [path for path in journals if not os.access(path, os.R_OK)]
        if unreadable:
            return failed(f"{len(unreadable):,} journals cannot be read, such as {unreadable[0]}", "Give the right to.")
        detail = f"{folder}: {len(journals):,} journals"
        if (reason := self._why_not_writable()) is not None:
            return warned(f"{detail}; it cannot be written to: {reason}", "The local cache can store nothing there.")
        free = shutil.disk_usage(folder).free
        detail += f", {free / 1024**3:,.1f} GiB free"
        if free < NO_SPACE:
            return failed(detail, "Make space: the local cache will soon lose what the database does not take.")
        if free < LITTLE_SPACE:
            return warned(detail, "Make space.")
        return passed(detail)

    def _why_not_writable(self) -> str | None:
        if self.read_only:
            return None if os.access(self.journal_folder, os.W_OK) else "no right to"
        try:
            with tempfile.TemporaryFile(dir=self.journal_folder) as file:
                file.write(b"written by chatstore verify")
        except OSError as error:
            return str(error.strerror)
        return None

    def flushed(self) -> Verdict:
        """What stands in the journals is in the database."""
        try:
            found = self.pending().count(self.seconds)
        except NotFound as error:
            return skipped(error.message)
        except Overdue as error:
            return skipped(error.message, "chatstore flush-cache --dry-run says it all, however long that takes.")
        if not found.journals:
            return passed("there are no journals")
        journals = f"{found.lines:,} lines in {found.journals:,} journals"
        torn = f"; {found.torn:,} unfinished last lines" if found.torn else ""
        told = [
            (found.to_store, "are not stored yet", "chatstore flush-cache stores them."),
            (found.to_quarantine, "cannot be stored as they are", "chatstore flush-cache keeps them with the reason."),
            (found.in_quarantine, "are in quarantine", "chatstore cache quarantine list says why."),
            (
                found.missing,
                "were stored once and are gone",
                "Deleted on purpose? Else chatstore flush-cache --ignore-ledger stores them again.",
            ),
        ]
        if any(lines for lines, _, _ in told):
            details = " and ".join(f"{lines:,} {what}" for lines, what, _ in told if lines)
            return warned(f"of {journals} {details}{torn}", " ".join(hint for lines, _, hint in told if lines))
        return passed(f"all of {journals} are dealt with{torn}")
