"""`chatstore verify --spawn`: a server with a database of its own is started, checked and removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SENT = [
    "api-connection", "api-chat", "api-journal", "api-mongo", "api-log", "api-websocket", "api-worker", "api-status",
    "api-history", "api-replay", "api-general", "api-agent", "api-page", "api-cleanup",
]  # fmt: skip


def remains(mongo_client: Any, folder: Path) -> list[object]:
    """Databases and folders of runs that were not removed."""
    databases = [name for name in mongo_client.list_database_names() if name.startswith("chatstore_verify_")]
    return [*databases, *folder.glob("chatstore-verify-*")]


def test_every_interface_is_checked_and_nothing_remains(chatstore: Any, mongo_client: Any, tmp_path: Path) -> None:
    outcome = chatstore("verify", "--spawn", "-o", "json", env={"TMPDIR": str(tmp_path)})
    rows = {row["name"]: row for row in json.loads(outcome.out)["items"]}
    assert {name: rows[name]["status"] for name in SENT} == dict.fromkeys(SENT, "pass"), outcome.out
    assert outcome.code == 0
    assert remains(mongo_client, tmp_path) == []


def test_a_server_that_does_not_start_is_reported_and_nothing_remains(
    chatstore: Any, mongo_client: Any, tmp_path: Path
) -> None:
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    (tmp_path / "fastapi").mkdir()
    (tmp_path / "fastapi" / "__init__.py").write_text("raise ImportError('broken installation')\n")
    outcome = chatstore("verify", "--spawn", env=environment)
    assert outcome.code == 1
    assert "The server did not start" in outcome.err
    assert remains(mongo_client, tmp_path) == []


def test_options_that_name_another_application_are_rejected(chatstore: Any) -> None:
    outcome = chatstore("verify", "--spawn", "--api-url", "http://127.0.0.1:9")
    assert outcome.code == 2
    assert "--spawn cannot be combined with --api-url" in outcome.err
    assert chatstore("--read-only", "verify", "--spawn").code == 2
