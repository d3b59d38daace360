"""Which names are a journal's, and which of two journals is older."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatstore_cli.files.journal_names import is_compressed, read_journal_name
from chatstore_cli.files.session_names import journals_of, session_of

ROTATIONS = (
    "", ".1", ".12", "-20261128", ".20261128", "_20261128", "-2026112813", "-20261128-1732771200", "-1732771200",
    ".2026-11-28", ".2026-11-28_13", ".2026-11-28_13-45-01", ".2026-11-28T13:45:01Z", ".2026-11-28.1",
)  # fmt: skip


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("compression", ["", ".gz"])
def test_a_rotated_journal_is_a_journal_of_its_session(rotation: str, compression: str):
    for name in (f"chat.jsonl{rotation}{compression}", f"chat.JSONL{rotation}{compression.upper()}"):
        assert session_of(Path("/j"), Path("/j") / name) == "chat"
        assert is_compressed(Path(name)) == bool(compression)


def test_a_name_may_have_line_feeds_and_dots():
    assert [getattr(read_journal_name(name), "stem", None) for name in ("a\nb.jsonl", "a.jsonl.jsonl", "2026-11-28.jsonl")] == [
        "a\nb", "a.jsonl", "2026-11-28",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "a.json", "a.log", "a.tar.gz", "a.ndjson", "a.jsonl.bak", "a.jsonl~", "a.jsonl.zst", "a.jsonl-", "a.jsonl.1.",
        "a.jsonl.1b", "a.jsonl.tmp1", ".jsonl", "jsonl", "a.jsonl\n", "",
    ],
)  # fmt: skip
def test_other_names_are_not_a_journals(name: str):
    assert read_journal_name(name) is None


def test_the_journals_of_a_session_are_in_chains_that_begin_with_the_oldest(tmp_path: Path):
    numbered = ["a.jsonl.10", "a.jsonl.2.gz", "a.jsonl.1", "a.jsonl"]
    dated = [
        "a.jsonl-20261127", "a.jsonl.2026-11-28", "a.jsonl.2026-11-28.2", "a.jsonl.2026-11-28.10", "a.jsonl-2026112913",
    ]  # fmt: skip
    for name in [*numbered, *dated, "ab.jsonl", "a.json", "b.jsonl"]:
        (tmp_path / name).touch()
    assert [path.name for path in journals_of(tmp_path, "a")] == numbered + dated
