"""Paths of journals in tables: below the folder that contains all of them, which is named once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def common_folder(paths: Sequence[str]) -> str:
    """The folder that contains all paths; empty if there is none, for example for standard input."""
    folders = {Path(path).parent for path in paths}
    if not folders or not all(folder.is_absolute() for folder in folders):
        return ""
    return os.path.commonpath(folders)


def below(path: str, folder: str) -> str:
    """The path as it is shown below the folder."""
    return path.removeprefix(folder.rstrip("/") + "/") if folder else path
