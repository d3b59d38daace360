"""A session's id becomes a file name from which it can be read back, and which never leads out of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.files.session_names import LONGEST_SESSION_ID, journal_path, journals_of, session_of

FOLDER = Path("/journals")
STORABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
    lambda text: len(text.encode()) <= LONGEST_SESSION_ID
)


@given(STORABLE | st.text("./~%Aa0\0", min_size=1, max_size=900))
def test_any_id_can_be_read_back_from_its_file(session_id: str) -> None:
    path = journal_path(FOLDER, session_id)
    assert session_of(FOLDER, path) == session_id
    for rotation in (".12.gz", "-20261128", ".2026-11-28.gz"):
        assert session_of(FOLDER, path.with_name(path.name + rotation)) == session_id


@given(STORABLE, STORABLE)
def test_two_ids_never_share_a_file_whatever_the_file_system_folds(one: str, other: str) -> None:
    if one != other:
        assert str(journal_path(FOLDER, one)).casefold() != str(journal_path(FOLDER, other)).casefold()


@given(STORABLE | st.text("./~%Aa0\0", min_size=1, max_size=900))
def test_no_id_leads_out_of_the_folder_or_into_a_name_that_is_too_long(session_id: str) -> None:
    path = journal_path(FOLDER, session_id)
    inside = path.relative_to(FOLDER)
    assert all(not part.startswith(".") and len(part.encode()) <= 220 for part in inside.parts)
    assert ".." not in inside.parts
    assert "\0" not in str(path)
    assert len(str(path)) < 3_500


@pytest.mark.parametrize(
    ("session_id", "name"),
    [
        ("chat-1", "chat-1.jsonl"),
        ("..", "%2e..jsonl"),
        ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd.jsonl"),
        ("a\0b", "a%00b.jsonl"),
        ("Chat", "%43hat.jsonl"),
        ("50%", "50%25.jsonl"),
        ("☕", "%e2%98%95.jsonl"),
        (".chatstore", "%2echatstore.jsonl"),
    ],
)
def test_a_name_is_what_one_would_expect(session_id: str, name: str) -> None:
    assert journal_path(FOLDER, session_id) == FOLDER / name


@pytest.mark.parametrize("session_id", ["", "a" * (LONGEST_SESSION_ID + 1), "\ud800"])
def test_an_id_that_can_have_no_file_is_refused(session_id: str) -> None:
    with pytest.raises(BadValue, match="session_id"):
        journal_path(FOLDER, session_id)


@pytest.mark.parametrize("name", ["Chat.jsonl", "a%zz.jsonl", "%ff.jsonl", "%61.jsonl", "a.txt", "sub/a.jsonl"])
def test_a_name_that_is_not_ours_is_nobodys(name: str) -> None:
    assert session_of(FOLDER, FOLDER / name) is None


def test_rotated_compressed_and_unescaped_journals_of_a_session_are_found_oldest_first(tmp_path: Path) -> None:
    names = ["Chat.jsonl", "%43hat.jsonl.2.gz", "%43hat.jsonl.1", "%43hat.jsonl", "%43hat2.jsonl", "chat.jsonl"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in journals_of(tmp_path, "Chat")] == names[:4]
    assert journals_of(tmp_path, "../Chat") == []
