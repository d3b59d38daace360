"""`from_config` of the library warns if the configuration names no server."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from chatstore_cli import AG2PersistenceManager, MongoChatStorage


@pytest.mark.parametrize("kind", [MongoChatStorage, AG2PersistenceManager])
def test_an_application_reads_in_its_log_that_no_server_is_configured(
    kind: type[MongoChatStorage | AG2PersistenceManager],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    kind.from_config()
    assert [record.levelno for record in caplog.records if "No server is configured" in record.message] == [
        logging.WARNING
    ]
    caplog.clear()
    monkeypatch.setenv("MONGO_URI", "mongodb://127.0.0.1:9")
    assert kind.from_config().settings.mongo.uri == "mongodb://127.0.0.1:9"
    assert caplog.records == []
