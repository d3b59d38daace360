"""The editor of a quarantined line: VISUAL before EDITOR, words as in a shell, and a failure changes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.cli.editor import edit_in_editor, require_terminal
from chatstore_cli.domain.errors import ChatstoreError, WrongUse


def editor(tmp_path: Path, code: str) -> str:
    script = tmp_path / "my editor.py"
    script.write_text(f"import sys, pathlib\nfile = pathlib.Path(sys.argv[-1])\n{code}\n", "utf-8")
    return f"{sys.executable} '{script}'"


def test_the_editor_gets_the_bytes_in_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = "assert file.stat().st_mode & 0o077 == 0\nfile.write_bytes(file.read_bytes().replace(b'bot', b'tool'))"
    monkeypatch.setenv("VISUAL", editor(tmp_path, code))
    monkeypatch.setenv("EDITOR", "false")
    edited = edit_in_editor([b"\xff bot", b"\n"])
    assert edited.read_bytes() == b"\xff tool\n"
    edited.unlink()


@pytest.mark.parametrize("command", ["false", "/nonexistent/editor", "an 'open quote"])
def test_an_editor_that_fails_leaves_no_file(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", command)
    with pytest.raises(ChatstoreError, match="editor"):
        edit_in_editor([b"x"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("code", "kept"), [("", []), ("file.write_text('changed')", ["changed"])])
def test_ctrl_c_keeps_only_what_was_edited(code: str, kept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drafts, run = tmp_path / "drafts", subprocess.run
    drafts.mkdir()

    def interrupted(*arguments: Any, **options: Any) -> None:
        run(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("tempfile.tempdir", str(drafts))
    monkeypatch.setattr(subprocess, "run", interrupted)
    monkeypatch.setenv("VISUAL", editor(tmp_path, code))
    with pytest.raises(KeyboardInterrupt):
        edit_in_editor([b"x"])
    assert [each.read_text() for each in drafts.iterdir()] == kept


def test_without_a_terminal_the_other_options_are_named():
    with pytest.raises(WrongUse) as error:
        require_terminal("Give --set.", no_input=True)
    assert error.value.hint == "Give --set."
