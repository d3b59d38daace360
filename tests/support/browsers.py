"""The chromium of this machine, in which the page is tested."""

from __future__ import annotations

import os
from functools import cache

import pytest

from tests.support import chromium

CHROMIUM_IS_REQUIRED = os.environ.get("CHATSTORE_REQUIRE_CHROMIUM") == "1"
"""Read once, at import: each test runs without the variables of the machine's user."""

MILLISECONDS = 120_000
"""The time for each step of a page. Long, because a busy machine is not a defect."""

_find = cache(chromium.find)


def find_chromium() -> str:
    """The program. Without one the test skips, or fails with CHATSTORE_REQUIRE_CHROMIUM=1."""
    program, reason = _find()
    if program is not None:
        return program
    if CHROMIUM_IS_REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
