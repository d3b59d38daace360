"""Journals on disk, built from the settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.cache_status import JournalFolder
    from chatstore_cli.domain.field_mapping import FieldMapping
    from chatstore_cli.domain.indexes.ports import PendingLines
    from chatstore_cli.files.followed_folders import FollowedFolders
    from chatstore_cli.files.journals import NamedJournals
    from chatstore_cli.files.prunable_journals import PrunableJournals
    from chatstore_cli.wiring.stores import Stores


def named_journals(settings: Settings, paths: list[str] | None) -> NamedJournals:
    """The journals that paths name, by default mongo.cache.disk_path. Raises NotFound for a path that does not exist."""
    from chatstore_cli.files.journals import NamedJournals

    return NamedJournals(paths or [settings.mongo.cache.disk_path], settings.state.folder, field_mapping(settings))


def prunable_journals(settings: Settings, paths: list[str] | None) -> PrunableJournals:
    """The journals that paths name, to be removed. Raises NotFound for a path that does not exist."""
    from chatstore_cli.files.prunable_journals import PrunableJournals

    return PrunableJournals(paths or [settings.mongo.cache.disk_path], settings.state.folder, field_mapping(settings))


def followed_folders(settings: Settings, paths: list[str] | None, command: str) -> FollowedFolders:
    """The journals that paths name, to be followed. Entering it as a context manager raises Locked."""
    from chatstore_cli.files.followed_folders import FollowedFolders

    folders = paths or [settings.mongo.cache.disk_path]
    return FollowedFolders(folders, settings.state.folder, command, field_mapping(settings))


def field_mapping(settings: Settings) -> FieldMapping | None:
    """How journals of another application are read; None for chatstore's own."""
    from chatstore_cli.domain.field_mapping import FieldMapping

    return None if not settings.mongo.cache.mapping else FieldMapping(settings.mongo.cache.mapping)


def journal_folder(folder: Path) -> JournalFolder:
    """What a folder of journals contains. Raises ChatstoreError if a part of it cannot be read."""
    from chatstore_cli.domain.cache_status import JournalFolder
    from chatstore_cli.domain.ignored_files import IgnoredCount
    from chatstore_cli.files.journal_folders import scan_folder
    from chatstore_cli.files.state_folder import unusable_bookkeeping

    ignored = IgnoredCount()
    journals = scan_folder(folder.resolve(), ignored)
    unreadable = [str(path) for path in journals if not os.access(path, os.R_OK)]
    return JournalFolder(len(journals), unreadable, ignored.by_reason(), unusable_bookkeeping(folder))


def journals_by_session(settings: Settings) -> Mapping[str, int]:
    """How many journals each session has in mongo.cache.disk_path, by their names. No journal is read."""
    from chatstore_cli.files.journal_folders import journals_by_session as count

    return count(Path(settings.mongo.cache.disk_path))


def number_of_journals(settings: Settings, session_id: str) -> int:
    """The same for one session: that is quicker, unless many sessions are asked for."""
    from chatstore_cli.domain.errors import BadValue
    from chatstore_cli.files.journal_folders import is_empty
    from chatstore_cli.files.session_names import journals_of

    try:
        return sum(not is_empty(path) for path in journals_of(Path(settings.mongo.cache.disk_path), session_id))
    except BadValue:  # an id that no journal can have
        return 0


def bookkeeping_notices(folders: Iterable[str]) -> list[str]:
    """For each folder of journals whose bookkeeping belongs to another user: where this user's ledger is, and why."""
    from chatstore_cli.files.state_folder import unusable_bookkeeping

    return [notice for folder in folders if (notice := unusable_bookkeeping(Path(folder))) is not None]


def pending_lines(stores: Stores, seconds: float, paths: list[str]) -> PendingLines:
    """The lines of the journals that paths name that are not stored yet. Raises NotFound for a path that does not exist.

    Raises Overdue if it takes longer than `seconds`.
    """
    from chatstore_cli.core.flush.pending import count_pending_lines

    journals = named_journals(stores.settings, paths)
    return count_pending_lines(journals, stores.message_store, stores.settings.mongo.ttl_days, seconds)
