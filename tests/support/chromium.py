"""Finds a chromium that starts. `python3 tests/support/chromium.py` prints it, or exits with 1 and says why there is none.

It needs nothing but Python, because .ci/run calls it before anything is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 120.0


def find() -> tuple[str | None, str]:
    """The program, and the reason if there is none. A program that does not start, such as a stub for a snap, does not count."""
    reason = "chromium is not installed"
    for name in NAMES:
        program = shutil.which(name)
        if program is None:
            continue
        try:
            subprocess.run([program, "--version"], check=True, capture_output=True, timeout=_SECONDS)
        except (OSError, subprocess.SubprocessError):
            reason = f"chromium is not installed: {program} does not start"
        else:
            return program, ""
    return None, reason


if __name__ == "__main__":
    found, why = find()
    if found is None:
        sys.exit(why)
    print(found)
