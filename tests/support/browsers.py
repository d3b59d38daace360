"""The chromium of this machine, in which the page is tested."""

from __future__ import annotations

import os
import shutil

import pytest

CHROMIUM_IS_REQUIRED = os.environ.get("CHATSTORE_REQUIRE_CHROMIUM") == "1"
"""Read once, at import: each test runs without the variables of the machine's user."""

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """The program. Without one the test skips, or fails with CHATSTORE_REQUIRE_CHROMIUM=1."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    reason = "chromium is not installed"
    if CHROMIUM_IS_REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
