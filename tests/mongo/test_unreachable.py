"""The hints of errors about an unreachable server, with the driver's own errors."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.mongo.connection import connect, driver_errors
from chatstore_cli.mongo.embedded.folders import SOCKET_NAME, uri_of


def hint(uri: str) -> str:
    collection = connect(uri, "chat", timeout_seconds=0.2).collection("things")
    with pytest.raises(Unreachable) as unreachable, driver_errors("reading"):
        collection.find_one({})
    return unreachable.value.hint or ""


def test_only_the_embedded_server_is_looked_after_by_db_status(tmp_path: Path) -> None:
    assert "chatstore db status" in hint(uri_of(str(tmp_path / SOCKET_NAME)))
    for other in ("mongodb://127.0.0.1:9", f"mongodb://{quote(str(tmp_path / 'mongodb-27017.sock'), safe='')}"):
        assert "db status" not in hint(other)
        assert "mongo.uri" in hint(other)
