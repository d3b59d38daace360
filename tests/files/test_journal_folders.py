"""Finding journals: which files a path means, each once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatstore_cli.domain.errors import ChatstoreError, NotFound
from chatstore_cli.files import journal_folders
from chatstore_cli.files.journal_folders import find_journals


def names(paths: list[str | Path], below: Path) -> dict[str, list[str]]:
    found = find_journals([str(path) for path in paths])
    return {
        str(folder and folder.relative_to(below)): [str(Path(journal.name).relative_to(below)) for journal in journals]
        for folder, journals in found.items()
    }


def test_a_folder_gives_its_journals_rotated_ones_compressed_ones_and_those_of_its_subfolders(tmp_path: Path):
    for name in (
        "b.jsonl", "a.jsonl", "a.jsonl.1", "a.jsonl.2.gz", "c.jsonl.gz", "sub/deep/d.jsonl",
        "notes.txt", "e.json", "f.jsonl.bak", ".jsonl", ".chatstore/quarantine.jsonl", ".hidden/g.jsonl",
        "sub/.chatstore/quarantine.jsonl",
    ):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert names([tmp_path], tmp_path) == {
        ".": ["a.jsonl", "a.jsonl.1", "a.jsonl.2.gz", "b.jsonl", "c.jsonl.gz", "sub/deep/d.jsonl"]
    }


def test_a_file_may_have_any_name_when_it_is_named_itself(tmp_path: Path):
    (tmp_path / "chat.log").touch()
    assert names([tmp_path / "chat.log"], tmp_path) == {".": ["chat.log"]}


def test_a_journal_that_is_named_several_times_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to("sub/a.jsonl")
    monkeypatch.chdir(tmp_path)
    assert names(["sub/a.jsonl", "sub/../sub/a.jsonl", tmp_path / "sub", "sub"], tmp_path) == {"sub": ["sub/a.jsonl"]}
    found = names([tmp_path, "sub/a.jsonl", "sub"], tmp_path)
    assert sorted(name for journals in found.values() for name in journals) == ["link.jsonl", "sub/a.jsonl"]
    assert names(["link.jsonl", "sub/a.jsonl"], tmp_path) == {"sub": ["sub/a.jsonl"]}


def test_a_folder_without_journals_gives_none(tmp_path: Path):
    assert names([tmp_path], tmp_path) == {".": []}


def test_standard_input_has_no_folder():
    [(folder, [journal])] = find_journals(["-", "-"]).items()
    assert (folder, journal.name, journal.size()) == (None, "stdin", 0)


def test_a_path_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(NotFound, match=r"No journal file or folder '.*missing'\."):
        find_journals([str(tmp_path), str(tmp_path / "missing")])


def test_a_subfolder_that_cannot_be_read_is_no_silent_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Else its journals would be left out silently."""

    def walk(folder: Path, onerror: object) -> object:
        assert callable(onerror)
        onerror(PermissionError(13, "Permission denied", str(folder / "closed")))
        return iter(())

    monkeypatch.setattr(journal_folders.os, "walk", walk)
    with pytest.raises(ChatstoreError, match=r"closed: Permission denied"):
        find_journals([str(tmp_path)])


def test_names_that_are_no_utf8_are_found(tmp_path: Path):
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).touch()
    assert names([tmp_path], tmp_path) == {".": [os.fsdecode(b"caf\xe9.jsonl")]}
