"""Journals on disk, built from the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.flush.pending import PendingLinesCounter
    from chatstore_cli.domain.message_store import MessageStore
    from chatstore_cli.files.followed_folders import FollowedFolders
    from chatstore_cli.files.journals import NamedJournals
    from chatstore_cli.files.prunable_journals import PrunableJournals


def named_journals(settings: Settings, paths: list[str] | None) -> NamedJournals:
    """The journals that paths name, by default mongo.cache.disk_path. Raises NotFound for a path that does not exist."""
    from chatstore_cli.files.journals import NamedJournals

    return NamedJournals(paths or [settings.mongo.cache.disk_path], settings.state.folder)


def prunable_journals(settings: Settings, paths: list[str] | None) -> PrunableJournals:
    """The journals that paths name, to be removed. Raises NotFound for a path that does not exist."""
    from chatstore_cli.files.prunable_journals import PrunableJournals

    return PrunableJournals(paths or [settings.mongo.cache.disk_path], settings.state.folder)


def followed_folders(settings: Settings, paths: list[str] | None, command: str) -> FollowedFolders:
    """The journals that paths name, to be followed. Entering it as a context manager raises Locked."""
    from chatstore_cli.files.followed_folders import FollowedFolders

    return FollowedFolders(paths or [settings.mongo.cache.disk_path], settings.state.folder, command)


def pending_lines_counter(settings: Settings, message_store: Callable[[], MessageStore]) -> PendingLinesCounter:
    """Counts the lines of the journals in mongo.cache.disk_path that are not stored yet."""
    from chatstore_cli.core.flush.pending import PendingLinesCounter

    return PendingLinesCounter(lambda: named_journals(settings, None), message_store, settings.mongo.ttl_days)
