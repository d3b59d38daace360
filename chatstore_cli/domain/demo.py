"""The ports of `chatstore demo`: a database and a folder that have only samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class SampleStore(Protocol):
    """The database of `chatstore demo`. It has only samples, so that it can be dropped as a whole."""

    def has_foreign_content(self) -> bool:
        """Whether it has content that the demo did not create."""

    def contents(self) -> dict[str, int]:
        """The approximate number of documents of each collection; empty if the database does not exist."""

    def replace(self, sessions: Sequence[Mapping[str, Any]]) -> None:
        """Drop the content, mark the database as the demo's, and store these workflow sessions."""

    def drop(self) -> None:
        """Drop the whole database."""


class SampleFolder(Protocol):
    """The folder of `chatstore demo`: journals, and the configuration of its commands."""

    path: Path

    def has_foreign_content(self) -> bool:
        """Whether it has content that the demo did not create."""

    def replace(self, files: Mapping[str, str]) -> None:
        """Remove the content, mark the folder as the demo's, and write these files: relative path -> text."""

    def remove(self) -> None:
        """Remove the folder, which need not exist."""
