"""The application in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.served_app import Served, served, settings_of


@pytest.fixture
def off(tmp_path: Path) -> Iterator[Served]:
    """An application whose database is disabled."""
    with served(settings_of(tmp_path)) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, mongo_uri: str, database: Any) -> Iterator[Served]:
    """An application on the shared MongoDB."""
    with served(settings_of(tmp_path, mongo_uri, database.name)) as server:
        yield server
