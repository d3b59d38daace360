"""The log file of an unexpected error."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from chatstore_cli.cli.errors import _private_file, write_crash_log


def test_a_crash_log_has_the_command_line_without_secrets():
    arguments = ["verify", "--api-url", "http://Geheim1@host/app", "--header", "Authorization: Bearer Geheim2"]
    more = ["--header=X-Key: Geheim3", "--header=Geheim4", "--uri", "mongodb://ana:Geheim5@host", "--log", "app.log"]
    text = Path(write_crash_log(RuntimeError("what went wrong"), [*arguments, *more])).read_text()
    assert "Geheim" not in text
    first = (
        "chatstore verify --api-url http://***@host/app --header Authorization: *** --header=X-Key: *** --header=***"
    )
    assert f"{first} --uri mongodb://***@host --log app.log" in text
    assert "RuntimeError: what went wrong" in text


def test_a_crash_log_is_private_in_either_folder(no_real_home, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = Path(write_crash_log(RuntimeError("x"), []))
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")  # no folder can be made there
    temporary = Path(write_crash_log(RuntimeError("x"), []))
    assert own.is_relative_to(no_real_home)
    assert temporary.parent == tmp_path
    assert [stat.S_IMODE(path.stat().st_mode) for path in (own, temporary)] == [0o600, 0o600]


def test_a_crash_log_never_writes_through_a_link_that_somebody_made(tmp_path):
    with pytest.raises(OSError, match="exists"):
        (tmp_path / "log").symlink_to(tmp_path / "victim")
        _private_file(str(tmp_path / "log"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert not (tmp_path / "victim").exists()
