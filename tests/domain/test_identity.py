"""Identities are equal only for equal messages, and chatstore's own are recognised."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.identity import (
    content_key,
    identity_by_content,
    identity_by_message_id,
    is_ours,
    session_prefix,
    to_millisecond,
)
from tests.support.journals import START, instant

# Text made of what a careless packing would take for its own separators.
hostile = st.text(alphabet=st.sampled_from("\0:0123456789auser T-+.é𝄞"), max_size=14)
roles = st.sampled_from(["user", "assistant", "system", "tool"])
instants = st.integers(0, 3).map(instant)
contents = st.tuples(hostile, roles, instants, hostile)


@given(contents, contents)
def test_two_contents_share_a_key_only_if_they_are_equal(one: tuple[str, ...], other: tuple[str, ...]):
    assert (content_key(*one) == content_key(*other)) == (one == other)


@given(hostile, hostile)
def test_moving_a_border_between_session_role_and_text_gives_another_key(session: str, text: str):
    keys = {
        content_key(session, "user", instant(0), text),
        content_key(session + "user", "user", instant(0), text),
        content_key(session, "user", instant(0), "\0" + text),
        content_key(session, "user", instant(0), instant(0) + "\0" + text),
        content_key(session + "\0", "user", instant(0), text),
        content_key(f"1:{session}", "user", instant(0), text),
    }
    assert len(keys) == 6


@given(st.tuples(hostile, hostile), st.tuples(hostile, hostile))
def test_a_message_id_belongs_to_its_session(one: tuple[str, str], other: tuple[str, str]):
    same = identity_by_message_id("", *one) == identity_by_message_id("", *other)
    assert same == (one == other)


@given(hostile, hostile, st.integers(0, 40))
def test_every_occurrence_has_an_identity_of_its_own_that_is_recognised_as_ours(
    session: str, text: str, occurrences: int
):
    prefix = session_prefix(session)
    key = content_key(session, "user", instant(0), text)
    identities = [identity_by_content(prefix, key, number) for number in range(occurrences)]
    identities.append(identity_by_message_id(prefix, session, text))
    assert len(set(identities)) == occurrences + 1
    assert all(is_ours(identity, prefix) and len(identity) == 32 for identity in identities)


def test_ids_of_other_writers_are_not_taken_for_ours():
    prefix = session_prefix("s1")
    ours = identity_by_message_id(prefix, "s1", "m1")
    for foreign in (ours.upper(), ours[:-1], ours + "0", ours + "\n", ours.encode(), int(ours, 16), None):
        assert not is_ours(foreign, prefix)
    assert not is_ours(ours, session_prefix("s2"))


def test_identities_stay_what_they_are():
    """They are in databases: if they were made in another way, everything would be stored a second time."""
    prefix = session_prefix("s1")
    key = content_key("s1", "user", instant(0), "hello ☕")
    assert [
        identity_by_content(prefix, key, 0),
        identity_by_content(prefix, key, 1),
        identity_by_message_id(prefix, "s1", "m1"),
    ] == ["eddac171b3ca7de467fb173bbde180da", "eddac171b3ca928ea4d75e4f67570772", "eddac171b3caa8715cff42aacabae2b9"]


def test_a_millisecond_is_cut_not_rounded():
    assert to_millisecond("2026-03-02T11:41:00.195999+00:00") == "2026-03-02T11:41:00.195000+00:00"
    assert START.isoformat().startswith("2026-03-02T11:41:00.195769")
