"""`chatstore serve --demo` keeps its keys and journals in the demo's folder, through the real commands."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest

from tests.support.server_processes import running_server

OWN_FOLDERS = {"CHATSTORE_STATE__FOLDER": "own", "CHATSTORE_MONGO__CACHE__DISK_PATH": "journals"}


@pytest.mark.parametrize("own", [{}, OWN_FOLDERS])
def test_keys_of_the_demo_are_not_keys_of_the_users_server(chatstore_without_database, mongod, tmp_path, own):
    """Also if the user's environment names folders, which wins over the demo's configuration file."""
    command, name = chatstore_without_database, f"chatstore_demo_{uuid.uuid4().hex[:8]}"
    command.environment |= {key: str(tmp_path / folder) for key, folder in own.items()}
    users = tmp_path / "own" if own else Path(command.environment["XDG_STATE_HOME"]) / "chatstore"
    demo = ("--uri", mongod.uri, "--database", name)
    try:
        with running_server(command, "--demo", *demo) as server, server.client() as client:
            notice = re.search(r"use the demo after: (.*)", server.err)
            variables = dict(re.findall(r"export (\w+)='?([^;']*)", notice[1]))
            assert client.get("/store/sessions?limit=1").status_code == 200
            created = command("serve", "keys", "create", "--name", "a", "-o", "json", env=variables)
            assert created.code == 0, created.err
            assert client.get("/store/sessions?limit=1").status_code == 401
            headers = {"x-api-key": json.loads(created.out)["key"]}
            assert client.get("/store/sessions?limit=1", headers=headers).status_code == 200
            assert (users / "demo/state/server-keys.json").exists()
            assert json.loads(command("serve", "keys", "list", "-o", "json").out)["items"] == []
        removed = command("demo", *demo, "--remove", "--yes", env=variables)
        assert removed.code == 0, removed.err
        assert [each.name for each in users.rglob("*")] == []
        assert not (tmp_path / "journals").exists()
    finally:
        mongod.client().drop_database(name)
