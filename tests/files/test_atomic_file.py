"""A new file appears whole, or not at all."""

from __future__ import annotations

import os

import pytest

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.files.atomic_file import new_file


def test_it_appears_when_it_is_done_with_an_ordinary_files_rights(tmp_path):
    path = tmp_path / "out"
    before = os.umask(0o027)
    try:
        with new_file(path, force=False) as stream:
            stream.write(b"half")
            assert not path.exists()
            stream.write(b" and half")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"half and half"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_where_writing_breaks_off_nothing_is_left(tmp_path):
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "out", force=True) as stream:
        stream.write(b"half")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays_unless_forced(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(Conflict, match="exists"), new_file(path, force=False):
        pass
    assert path.read_text() == "old"
    with new_file(path, force=True) as stream:
        stream.write(b"new")
    assert path.read_text() == "new"


def test_a_file_that_came_there_meanwhile_stays(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(Conflict, match="exists"), new_file(path, force=False) as stream:
        stream.write(b"ours")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_nowhere_is_something(tmp_path):
    path = tmp_path / "out"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Conflict), new_file(path, force=False):
        pass
