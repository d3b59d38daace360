"""Finding journals: which files a path means, each once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatstore_cli.domain.errors import ChatstoreError, NotFound, WrongUse
from chatstore_cli.files import journal_folders
from chatstore_cli.files.journal_folders import find_journals


def names(paths: list[str | Path], below: Path) -> dict[str, list[str]]:
    found = find_journals([str(path) for path in paths]).by_folder
    return {
        str(folder and folder.relative_to(below)): [str(Path(journal.name).relative_to(below)) for journal in journals]
        for folder, journals in found.items()
    }


def test_a_folder_gives_its_journals_rotated_ones_compressed_ones_and_those_of_its_subfolders(tmp_path: Path):
    for name in (
        "b.jsonl", "a.jsonl", "a.jsonl.1", "a.jsonl.2.gz", "c.jsonl.gz", "sub/deep/d.jsonl",
        "A.JSONL", "a.jsonl-20261128", "a.jsonl.2026-11-28.gz", "line\nfeed.jsonl",
        "notes.txt", "e.json", "f.jsonl.bak", ".jsonl", ".chatstore/quarantine.jsonl", ".hidden/g.jsonl",
        "sub/.chatstore/quarantine.jsonl",
    ):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert names([tmp_path], tmp_path) == {
        ".": [
            "A.JSONL", "a.jsonl", "a.jsonl-20261128", "a.jsonl.1", "a.jsonl.2.gz", "a.jsonl.2026-11-28.gz", "b.jsonl",
            "c.jsonl.gz", "line\nfeed.jsonl", "sub/deep/d.jsonl",
        ]
    }  # fmt: skip


def ignored(path: Path) -> list[tuple[str, int, list[str]]]:
    found = find_journals([str(path)]).ignored.by_reason()
    return [(str(group.reason), group.files, list(group.examples)) for group in found]


def test_what_is_not_read_is_counted_by_reason_and_ours_is_not(tmp_path: Path):
    for name in (
        "a.jsonl", "a.json", "sub/b.log", "c.tar.gz", "d.jsonl.bak", ".hidden/e.jsonl", "sub/.git/f.jsonl",
        ".chatstore/quarantine.jsonl", "sub/.chatstore/ledger.sqlite3", ".made-by-chatstore-demo",
    ):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("gone")
    assert ignored(tmp_path) == [
        ("other_name", 5, ["a.json", "c.tar.gz", "d.jsonl.bak"]),
        ("hidden_folder", 2, [".hidden", "sub/.git"]),
        ("not_regular", 1, ["pipe"]),
    ]
    assert ignored(tmp_path / ".hidden") == []


def test_linked_folders_are_scanned_once_and_circles_are_not_followed(tmp_path: Path):
    outside, journals = tmp_path / "outside", tmp_path / "journals"
    for file in (
        outside / "o.jsonl",
        outside / "deep" / "p.jsonl",
        journals / "z" / "s.jsonl",
        tmp_path / "above.jsonl",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (journals / "a").symlink_to(outside)
    (journals / "b").symlink_to(outside / "deep")
    (journals / "c").symlink_to("z")
    (journals / "round").symlink_to(journals)
    (journals / "up").symlink_to(tmp_path)
    (outside / "back").symlink_to(journals / "z")
    (outside / "deep" / "up").symlink_to(outside)
    assert names([journals], tmp_path) == {
        "journals": ["journals/z/s.jsonl", "journals/a/o.jsonl", "journals/a/deep/p.jsonl"]
    }
    assert ignored(journals) == []
    assert names([journals, outside], tmp_path) == {
        "journals": ["journals/z/s.jsonl", "journals/b/p.jsonl"],
        "outside": ["outside/o.jsonl", "outside/deep/p.jsonl"],
    }


def test_a_pipe_that_is_named_is_wrong_use(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(WrongUse, match=r"pipe\.jsonl is not a regular file"):
        find_journals([str(tmp_path / "pipe.jsonl")])


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
    [(folder, [journal])] = find_journals(["-", "-"]).by_folder.items()
    assert (folder, journal.name, journal.size()) == (None, "stdin", 0)


def test_a_path_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(NotFound, match=r"No journal file or folder '.*missing'\."):
        find_journals([str(tmp_path), str(tmp_path / "missing")])


def test_a_subfolder_that_cannot_be_read_is_no_silent_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Else its journals would be left out silently."""

    def scandir(folder: Path) -> object:
        raise PermissionError(13, "Permission denied", str(folder / "closed"))

    monkeypatch.setattr(journal_folders.os, "scandir", scandir)
    with pytest.raises(ChatstoreError, match=r"closed: Permission denied"):
        find_journals([str(tmp_path)])


def test_names_that_are_no_utf8_are_found(tmp_path: Path):
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).touch()
    (tmp_path / os.fsdecode(b"caf\xe9.json")).touch()
    assert names([tmp_path], tmp_path) == {".": [os.fsdecode(b"caf\xe9.jsonl")]}
    assert ignored(tmp_path) == [("other_name", 1, [r"caf\xe9.json"])]
