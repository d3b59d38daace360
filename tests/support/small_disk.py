"""A small file system in memory, to be filled or made read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted_disk(folder: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a tmpfs with the given options on `folder`, or changes the options of a mounted one.

    Skips the test if the user may not mount. CI runs as root, and this skip is not allowed there.
    """
    folder.mkdir()

    def mount(options: str) -> Path:
        all_options = f"remount,{options}" if folder.is_mount() else options
        command = ["mount", "-t", "tmpfs", "-o", all_options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    try:
        yield mount
    finally:
        if folder.is_mount():
            subprocess.run(["umount", "-l", str(folder)], check=True)
