"""`chatstore agents edit`: secrets stay as they are stored, and an edit that cannot be stored is kept."""

from __future__ import annotations

import json
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bson import encode

from chatstore_cli.cli.editor import edit_in_editor
from chatstore_cli.cli.main import run
from chatstore_cli.mongo.collection_facts import KnownCollections
from chatstore_cli.mongo.connection import connect
from tests.support.stored_agents import COLLECTION, DESK, FOREIGN, SECRET, store_agents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any


@pytest.fixture(scope="module")
def clients() -> Iterator[list[Connection]]:
    """The connection of all commands in this process: a command leaves it to the end of its process."""
    opened: list[Connection] = []
    yield opened
    for connection in opened:
        connection.client.close()


@pytest.fixture
def agents(
    database: Documents, mongo_uri: str, clients: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> Documents:
    """The sample agents, for commands in this process, which believe that they have a terminal."""

    def shared(uri: str, name: str, **options: Any) -> Connection:
        if not clients:
            clients.append(connect(uri, name, **options))
        own = clients[0].client.get_database(name, write_concern=clients[0].database.write_concern)
        return replace(clients[0], database=own, known_collections=KnownCollections(), own_collections=set())

    monkeypatch.setattr("chatstore_cli.mongo.connection.connect", shared)
    monkeypatch.setattr("chatstore_cli.cli.commands.agents.edit.require_terminal", lambda *_, **__: None)
    monkeypatch.setenv("CHATSTORE_URI", mongo_uri)
    monkeypatch.setenv("CHATSTORE_DATABASE", database.name)
    store_agents(database)
    return database


class Editor:
    """Runs the command with an editor that is a shell script."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._script, self._capsys = folder / "my editor", capsys
        self.drafts = folder / "drafts"
        self.drafts.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(self.drafts))
        monkeypatch.setenv("VISUAL", f"'{self._script}' --wait")

    def edit(self, script: str, code: int = 0, agent_id: str = DESK, *options: str) -> tuple[Any, str]:
        """The JSON and the notices of the command. The file is `$2` in the script."""
        self._script.write_text(f'#!/bin/sh\nset -e\n[ "$1" = --wait ]\n{script}\n')
        self._script.chmod(0o700)
        assert run(["agents", "edit", agent_id, "-o", "json", *options]) == code
        captured = self._capsys.readouterr()
        return json.loads(captured.out or "null"), captured.err


@pytest.fixture
def editor(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Editor:
    return Editor(tmp_path, capsys, monkeypatch)


def stored(database: Documents) -> list[bytes]:
    """All agents, byte by byte."""
    return [encode(each) for each in database[COLLECTION].find().sort("_id", 1)]


@pytest.mark.parametrize(
    "script", ["true", 'cp "$2" "$2.x"; mv "$2.x" "$2"', 'sed -i "s/^  tools:/  # mine\\n  tools:/" "$2"']
)
def test_an_edit_without_a_change_changes_no_byte(agents: Documents, editor: Editor, script: str) -> None:
    before = stored(agents)
    _, notices = editor.edit(script)
    assert "The agent was not changed." in notices
    assert stored(agents) == before
    assert list(editor.drafts.iterdir()) == []


def test_the_editor_sees_no_secret_and_what_is_not_changed_stays(agents: Documents, editor: Editor) -> None:
    changed, _ = editor.edit(
        '[ "$(stat -c %a "$2")" = 600 ]; if grep -q sk-live "$2"; then exit 9; fi; grep -q "a.b: x" "$2"\n'
        'sed -i s/openai/groq/ "$2"'
    )
    before, document = changed["version_id"], agents[COLLECTION].find_one({"config.engine.llm": "groq/gpt-4o-mini"})
    assert document is not None
    assert (document["config"]["avatar"]["api_key"], document["shared"]) == (SECRET, ["x"])
    assert encode({"x": document["config"]["engine"]["turns"]}) == encode(
        {"x": document["versions"][1]["config"]["engine"]["turns"]}
    )
    assert len(document["versions"]) == 3

    editor.edit('sed -i "s/api_key: .*/api_key: sk-new/; s/agent_name: .*/agent_name: Desk/" "$2"')
    document = agents[COLLECTION].find_one({"config.agent_name": "Desk"})
    assert document is not None
    assert document["config"]["avatar"]["api_key"] == "sk-new"
    assert before in [each["versionId"] for each in document["versions"]]


@pytest.mark.parametrize(
    ("script", "code", "problem"),
    [
        ("exit 3", 1, "failed with status 3"),
        ('echo x >> "$2"; exit 1', 1, "failed with status 1"),
        ('echo "config: {" > "$2"', 2, "not YAML or JSON"),
        ('printf "\\377" > "$2"', 2, "not UTF-8"),
        (': > "$2"', 2, "is not an object"),
        ('echo "config: [1]" > "$2"', 2, "is not an object"),
        ('echo "config: {agent_name: x}\nother: 1" > "$2"', 2, "unknown key 'other'"),
        ('echo "other: 1" > "$2"', 2, "has no config"),
        ('echo "config: {agent_name: \' \'}" > "$2"', 2, "config.agent_name is required"),
        ('echo "config: {agent_name: x, b: \'********\'}" > "$2"', 2, "config.b: the value is the mask"),
        ('sed -i "s/^config:/config: \\&x/" "$2"', 2, "anchors"),
        ('head -c 17000000 /dev/zero | tr "\\0" x > "$2"', 2, "more than 16 MiB"),
        ('rm "$2"', 1, "Cannot read"),
    ],
)
def test_an_edit_that_cannot_be_stored_is_kept(
    agents: Documents, editor: Editor, script: str, code: int, problem: str
) -> None:
    before = stored(agents)
    _, notices = editor.edit(script, code)
    assert problem in notices
    assert stored(agents) == before
    kept = list(editor.drafts.iterdir())
    if script in ("exit 3", 'rm "$2"'):
        assert (kept, "is kept in" in notices) == ([], False)
    else:
        assert len(kept) == 1
        assert f"The edited text is kept in {kept[0]}." in notices
        assert stat.S_IMODE(kept[0].stat().st_mode) == 0o600


def test_a_change_of_another_writer_is_not_overwritten(
    agents: Documents, editor: Editor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit_while_another_writes(*arguments: Any, **options: Any) -> Path:
        path = edit_in_editor(*arguments, **options)
        assert run(["agents", "update", DESK, "--set", "agent_name=B", "-q"]) == 0
        capsys.readouterr()
        return path

    monkeypatch.setattr("chatstore_cli.cli.commands.agents.draft.edit_in_editor", edit_while_another_writes)
    editor.edit('sed -i "s/agent_name: .*/agent_name: C/" "$2"', 8)
    [kept] = editor.drafts.iterdir()
    assert "agent_name: C" in kept.read_text()
    assert agents[COLLECTION].count_documents({"config.agent_name": "B"}) == 1


def test_nobody_edits_the_agent_of_another_tenant(agents: Documents, editor: Editor) -> None:
    editor.edit(f"touch {editor.drafts}/opened", 3, FOREIGN, "--tenant", "acme")
    assert list(editor.drafts.iterdir()) == []
