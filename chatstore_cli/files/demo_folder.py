"""The folder of `chatstore demo`, which has a mark: the demo never changes a folder without it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

MARK = ".made-by-chatstore-demo"


def demo_folder(state: Path) -> Path:
    """The demo's folder in this state folder. If `state` is the state folder of a demo itself, that demo's folder.

    With the demo's configuration, `state` is inside the demo's folder, and `demo --remove` must find this folder.
    """
    return state.parent if (state.parent / MARK).exists() else state / "demo"


class MarkedFolder:
    """A SampleFolder at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has_foreign_content(self) -> bool:
        """Whether the path has content but not the demo's mark."""
        if not self.path.is_dir():
            return self.path.exists()
        return not (self.path / MARK).exists() and any(self.path.iterdir())

    def replace(self, files: Mapping[str, str]) -> None:
        """Remove the content and write the files. Raises OSError if the folder cannot be written."""
        self.remove()
        self.path.mkdir(parents=True, mode=0o700)
        (self.path / MARK).touch()
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def remove(self) -> None:
        """Remove the folder, which need not exist."""
        if self.path.exists():
            shutil.rmtree(self.path)
