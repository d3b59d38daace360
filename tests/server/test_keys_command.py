"""`chatstore serve keys` and the addresses that `chatstore serve` listens on, through the real commands."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.files.api_keys import ApiKeyFile
from chatstore_cli.server import run
from tests.cli.test_output_contract import modules_of

SERVER = ("fastapi", "starlette", "uvicorn", "prometheus_client", "httpx2", "jinja2", "chatstore_cli.server")


@pytest.fixture
def command(chatstore_without_database, tmp_path):
    """The command without a database; its keys are in a folder of the test."""
    chatstore_without_database.environment["CHATSTORE_MONGO__ENABLED"] = "false"
    chatstore_without_database.environment["CHATSTORE_STATE__FOLDER"] = str(tmp_path / "state")
    return chatstore_without_database


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "state/server-keys.json"


def create(command, *arguments: str) -> dict[str, object]:
    done = command("serve", "keys", "create", *arguments, "-o", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_a_key_is_shown_once_and_only_its_digest_is_kept(command, file):
    created = create(command, "--name", "support", "--right", "write", "--tenant", "acme", "--tenant", "globex")
    text = created["key"]
    assert re.fullmatch(r"chatstore_[0-9a-f]{12}_[0-9a-f]{64}", text)
    assert (created["right"], created["tenants"]) == ("write", ["acme", "globex"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0
    kept = "".join(each.read_text() for each in file.parent.iterdir())
    assert text not in kept
    assert text.rpartition("_")[2] not in kept
    for output in ("table", "json", "jsonl", "csv", "yaml", "md"):
        listed = command("serve", "keys", "list", "-o", output)
        assert listed.code == 0
        assert created["key_id"] in listed.out
        assert text.rpartition("_")[2] not in listed.out + listed.err
    [row] = json.loads(command("serve", "keys", "list", "-o", "json").out)["items"]
    assert {row["key_id"], row["name"]} == {created["key_id"], "support"}
    assert not set(row) & {"key", "digest", "sha256"}
    assert command("serve", "keys", "revoke", created["key_id"]).code == 0
    again = command("serve", "keys", "revoke", created["key_id"])
    assert (again.code, "No key" in again.err) == (3, True)
    assert json.loads(command("serve", "keys", "list", "-o", "json").out)["items"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", ""],
        ["--name", "  "],
        ["--name", "x" * 201],
        ["--name", "x", "--tenant", ""],
        ["--name", "x", "--right", "root"],
        [],
    ],
)
def test_a_key_without_a_name_or_with_an_empty_tenant_is_not_created(command, file, arguments):
    """An empty tenant is most likely an unset variable, and no tenant means all of them."""
    done = command("serve", "keys", "create", *arguments)
    assert (done.code, done.out) == (2, "")
    assert not file.exists()


def test_names_and_tenants_of_any_characters_are_kept(command):
    name, tenant = "Ünï \x1b[31m\u202e 'quoted'", "acme/€ $where"
    create(command, "--name", name, "--tenant", tenant)
    [row] = json.loads(command("serve", "keys", "list", "-o", "json").out)["items"]
    assert (row["name"], row["tenants"]) == (name, [tenant])
    assert "\x1b" not in command("serve", "keys", "list").out


def test_processes_that_create_keys_at_once_lose_none(command, file):
    arguments = [["serve", "keys", "create", "--name", f"n{number}", "-o", "json"] for number in range(4)]
    started = [command.popen(*each) for each in arguments]
    created = {json.loads(each.communicate(timeout=120)[0])["key_id"] for each in started}
    assert {key.key_id for key in ApiKeyFile(file).all()} == created
    assert len(created) == 4
    assert {each.name for each in file.parent.iterdir()} <= {"server-keys.json", "server-keys.json.lock"}


GOOD = {"key_id": "a", "name": "n", "right": "read", "tenants": None, "created_at": "2026-02-01T10:00:00Z"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"keys": []}',
        '{"version": 2, "keys": []}',
        '{"version": 1, "keys": {}}',
        '{"version": 1, "keys": null}',
        '{"version": 1, "keys": ""}',
        '{"version": 1, "keys": [{}]}',
        "[" * 100_000,
        json.dumps({"version": 1, "keys": [{**GOOD, "sha256": "é" * 64}]}),
        json.dumps({"version": 1, "keys": [{**GOOD, "sha256": 1}]}),
        json.dumps({"version": 1, "keys": [{**GOOD, "sha256": "0" * 64, "right": "root"}]}),
        json.dumps({"version": 1, "keys": [{**GOOD, "sha256": "0" * 64, "tenants": "acme"}]}),
        "apiVersion: v1\n",
    ],
)
def test_a_file_that_is_not_one_of_keys_is_an_error_and_stays_as_it_is(file, content):
    """An empty list in its place would open the server to everybody."""
    file.parent.mkdir(mode=0o700)
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(ChatstoreError) as caught:
        ApiKeyFile(file).all()
    assert str(file) in caught.value.as_text()
    assert file.read_text() == content


def test_no_command_replaces_a_file_that_is_not_one_of_keys(command, file):
    content = '{"version": 2, "keys": []}'
    file.parent.mkdir(mode=0o700)
    file.write_text(content)
    file.chmod(0o600)
    for arguments in (["list"], ["create", "--name", "x"], ["revoke", "a"]):
        done = command("serve", "keys", *arguments)
        assert (arguments, done.code) == (arguments, 1)
        assert str(file) in done.err
        assert "Traceback" not in done.err
    assert file.read_text() == content


def test_a_file_that_others_can_read_or_own_or_that_is_none_is_not_used(command, file, monkeypatch):
    create(command, "--name", "x")
    for mode in (0o640, 0o604, 0o620, 0o602):
        file.chmod(mode)
        done = command("serve", "keys", "list")
        assert (done.code, f"chmod 600 {file}" in done.err) == (4, True)
    file.chmod(0o600)
    assert command("serve", "keys", "list").code == 0
    content = file.read_bytes()
    file.unlink()
    os.mkfifo(file, 0o600)
    assert command("serve", "keys", "list").code == 4
    file.unlink()
    file.mkdir(mode=0o700)
    assert command("serve", "keys", "list").code == 4
    file.rmdir()
    file.write_bytes(content)
    file.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file, 12_345, 12_345)
        done = command("serve", "keys", "list")
        assert (done.code, "another user" in done.err) == (4, True)


def test_a_read_only_run_creates_and_revokes_nothing(command, file):
    created = create(command, "--name", "x")
    before = file.read_bytes()
    for arguments in (["create", "--name", "y"], ["revoke", str(created["key_id"])]):
        assert command("serve", "keys", *arguments, "--read-only").code == 4
    assert file.read_bytes() == before


def test_a_second_key_of_a_name_is_created_with_a_notice(command):
    first = create(command, "--name", "support")
    assert "name" not in command("serve", "keys", "create", "--name", "other").err
    done = command("serve", "keys", "create", "--name", "support", "-o", "json")
    assert (done.code, f"1 other key has the name 'support': {first['key_id']}." in done.err) == (0, True), done.err
    assert json.loads(done.out)["key_id"] != first["key_id"]


def test_a_key_cannot_be_revoked_by_its_name_and_the_error_lists_the_ids(command):
    """Several keys may have the name, so it must not revoke one of them."""
    first = create(command, "--name", "support")["key_id"]
    done = command("serve", "keys", "revoke", "support")
    assert (done.code, f"This is the name of 1 key. The id is {first}." in done.err) == (3, True), done.err
    second = create(command, "--name", "support")["key_id"]
    done = command("serve", "keys", "revoke", "support")
    assert (done.code, f"This is the name of 2 keys. The ids are {first}, {second}." in done.err) == (3, True), done.err
    assert len(json.loads(command("serve", "keys", "list", "-o", "json").out)["items"]) == 2


def test_a_tenant_that_no_session_has_is_a_notice_with_a_suggestion(chatstore, database):
    now = datetime(2026, 2, 1, tzinfo=UTC)
    row = {"chat_id": "s", "enterprise_id": "acme", "user_id": "u", "status": 0, "created_at": now, "updated_at": now}
    database.chat_sessions.insert_one({"_id": "s", **row, "messages": []})
    arguments = ("serve", "keys", "create", "--name", "a", "--tenant", "acme")
    assert "tenant" not in chatstore(*arguments).err
    done = chatstore(*arguments, "--tenant", "acmee", "-o", "json")
    created = json.loads(done.out)
    assert (done.code, created["tenants"]) == (0, ["acme", "acmee"])
    assert "No session has the tenant 'acmee'. Did you mean 'acme'?" in done.err
    assert f"chatstore serve keys revoke {created['key_id']}" in done.err
    away = chatstore(*arguments, "--tenant", "acmee", "--uri", "mongodb://127.0.0.1:9")
    assert (away.code, "No session has" in away.err, "Traceback" in away.err) == (0, False, False)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0"])
def test_an_address_that_others_can_reach_is_rejected_without_keys(command, host):
    done = command("serve", "--host", host, "--port", "0", timeout=300)
    assert (host, done.code) == (host, 4)
    assert "no keys" in done.err
    assert "serve keys create" in done.err


def test_the_address_and_not_its_name_decides(monkeypatch):
    """`localhost` may be the name of an address that others can reach."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("0.0.0.0", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    listening = run.listen("localhost", 0)
    assert not run.is_loopback(listening.getsockname()[0])
    listening.close()


def test_a_revoked_last_key_is_no_key_for_the_next_start(command):
    created = create(command, "--name", "x")
    done = command("serve", "keys", "revoke", str(created["key_id"]))
    assert "No key is left" in done.err
    assert command("serve", "--host", "0.0.0.0", "--port", "0", timeout=300).code == 4


# --- what is imported ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["serve", "--help"], ["serve", "keys", "list"]])
def test_commands_beside_the_server_do_not_import_it(command, arguments):
    assert not modules_of(command, *arguments) & set(SERVER)


def test_lists_of_sessions_do_not_import_the_server(chatstore):
    assert not modules_of(chatstore, "sessions", "list") & set(SERVER)


WITHOUT_EXTRA = """
import sys
for name in ("fastapi", "uvicorn"):
    sys.modules[name] = None
from chatstore_cli.__main__ import main
main()
"""


def test_without_the_extra_the_error_names_how_to_install_it(command):
    done = subprocess.run(
        [command.command()[0], "-c", WITHOUT_EXTRA, "serve"],
        capture_output=True,
        text=True,
        env=command.environment,
        cwd=command.folder,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "fastapi, uvicorn" in done.stderr
    assert "pip install 'chatstore-cli[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_whose_keys_cannot_be_read_does_not_start_and_says_why(command, file):
    """On loopback, where no key is needed to start, it must not run without knowing whether one is required."""
    file.parent.mkdir(mode=0o700)
    file.write_text("{")
    file.chmod(0o600)
    done = command("serve", "--port", "0")
    assert done.code != 0
    assert str(file) in done.err
    assert "Traceback" not in done.err
