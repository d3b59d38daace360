"""The quarantines of folders of journals, and the content of their lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.flush.quarantine_edit import LineEditor
    from chatstore_cli.core.retry import RetryPolicy
    from chatstore_cli.domain.message_store import QuarantinePort
    from chatstore_cli.domain.quarantine import NumberedLine
    from chatstore_cli.files.journals import NamedJournals
    from chatstore_cli.wiring.stores import Stores

_COMMAND = "chatstore cache quarantine"


def line_content(line: NumberedLine) -> Iterator[bytes]:
    """The bytes of a quarantined line, in pieces. Raises ChatstoreError if its file cannot be read."""
    from chatstore_cli.files.quarantine import content_of

    return content_of(line)


@contextmanager
def line_editor(
    stores: Stores, journals: NamedJournals, line: NumberedLine, retry_policy: RetryPolicy
) -> Iterator[LineEditor]:
    """Stores an edited line in place of the line, with the journal folder locked. Raises Locked."""
    from chatstore_cli.core.flush.quarantine_edit import LineEditor
    from chatstore_cli.core.flush.storing import StoringRules
    from chatstore_cli.files.journal_reader import JournalFile
    from chatstore_cli.wiring.journals import field_mapping

    with journals.to_resolve(f"{_COMMAND} edit") as quarantines:
        quarantine = quarantines[line.folder]
        journal = JournalFile(None, field_mapping(stores.settings))
        rules = StoringRules(ttl_days=stores.settings.mongo.ttl_days)
        yield LineEditor(stores.message_store, quarantine, journal.read, rules, retry_policy)


@contextmanager
def locked_quarantines(journals: NamedJournals, command: str) -> Iterator[dict[str, QuarantinePort]]:
    """The quarantines by their folder, with the journal folders locked. Raises Locked."""
    with journals.to_resolve(f"{_COMMAND} {command}") as quarantines:
        yield dict(quarantines)
