"""Packages of other projects that judge what chatstore writes: AG2 and OpenAI."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

PEERS_ARE_REQUIRED = os.environ.get("CHATSTORE_REQUIRE_PEERS") == "1"
"""Read once, at import: each test runs without the variables of the machine's user."""


def import_peer(package: str) -> Any:
    """The package. If it cannot be imported, the test skips, or fails with CHATSTORE_REQUIRE_PEERS=1."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        if PEERS_ARE_REQUIRED:
            pytest.fail(f"{package} cannot be imported: {error}", pytrace=False)
        pytest.skip(f"{package} cannot be imported (extra [dev])")
