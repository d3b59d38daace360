"""The files that this process has open. Descriptors of other kinds belong to threads that come and go."""

from __future__ import annotations

import contextlib
from pathlib import Path


def open_files(folder: Path) -> list[str]:
    """What this process has open below a folder. Only Linux can tell."""
    descriptors = Path("/proc/self/fd")
    found = []
    for descriptor in descriptors.iterdir() if descriptors.exists() else ():
        with contextlib.suppress(OSError):
            found.append(str(descriptor.readlink()))
    return sorted(path for path in found if path.startswith(str(folder)))
