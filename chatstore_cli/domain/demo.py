"""The ports of `chatstore demo`: a database and a folder that hold nothing but samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class SampleStore(Protocol):
    """The database of `chatstore demo`: nothing but samples, so that it can be dropped as a whole."""

    def holds_others(self) -> bool:
        """Whether there is anything in it that the demo did not make."""
        ...

    def contents(self) -> dict[str, int]:
        """Its collections with about how many documents each holds; empty where there is no such database."""
        ...

    def replace(self, sessions: Sequence[Mapping[str, Any]]) -> None:
        """Drop what is there, mark the database as the demo's own and store these workflow sessions."""
        ...

    def drop(self) -> None:
        """Drop the whole database."""
        ...


class SampleFolder(Protocol):
    """The folder of `chatstore demo`: journals and the configuration that leads to them."""

    path: Path

    def holds_others(self) -> bool:
        """Whether there is anything in it that the demo did not make."""
        ...

    def replace(self, files: Mapping[str, str]) -> None:
        """Remove what is there, mark the folder as the demo's own and write these files: relative path -> text."""
        ...

    def remove(self) -> None:
        """Remove the whole folder; it need not exist."""
        ...
