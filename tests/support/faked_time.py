"""Runs the command line under libfaketime, which replaces the system's clock for the whole process, and for file times.

With the monotonic clock left as it is (otherwise Python's waits do not end), libfaketime breaks the call behind
`time.sleep`, so that is replaced.
"""

from __future__ import annotations

import select
import time
from pathlib import Path

_FOLDERS = ("lib", "lib64", "lib/*-linux-gnu", "local/lib")


def faketime(days_ahead: int) -> dict[str, str] | None:
    """The variables that start a process with another clock; None if libfaketime is not installed."""
    found = [path for folder in _FOLDERS for path in Path("/usr").glob(f"{folder}/faketime/libfaketimeMT.so.1")]
    if not found:
        return None
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": f"{days_ahead:+}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


if __name__ == "__main__":
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None

    from chatstore_cli.__main__ import main

    main()
