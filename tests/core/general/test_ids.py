"""The ids of general chats: documented form, and never one id for two chats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.general.ids import checked_owner, general_chat_id, label_of, owners_of, plain_chat_id
from chatstore_cli.domain.errors import InvalidGeneralChat, WrongUse

OWNERS = st.text(
    st.one_of(st.sampled_from("ab-%25D0"), st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8
)
CHATS = st.tuples(OWNERS, OWNERS, st.one_of(st.integers(1, 30), st.integers(9_990, 10_010), st.integers(1, 2**53)))


@pytest.mark.parametrize(
    ("chat", "chat_id"),
    [
        (("acme", "ann", 3), "generalchat-acme-ann-0003"),
        (("acme", "ann", 9_999), "generalchat-acme-ann-9999"),
        (("acme", "ann", 10_000), "generalchat-acme-ann-10000"),
        (("a-b", "c", 1), "generalchat-a%2Db-c-0001"),
        (("a", "b-c", 1), "generalchat-a-b%2Dc-0001"),
        (("a%2Db", "c", 1), "generalchat-a%252Db-c-0001"),
        (("aé b/.@", "c_d", 1), "generalchat-aé b/.@-c_d-0001"),
    ],
)
def test_the_form_of_an_id(chat: tuple[str, str, int], chat_id: str) -> None:
    assert general_chat_id(*chat) == chat_id


@given(CHATS, CHATS)
def test_two_chats_never_share_an_id(first: tuple[str, str, int], second: tuple[str, str, int]) -> None:
    assert (general_chat_id(*first) == general_chat_id(*second)) == (first == second)


@given(st.text("a-%25D", min_size=1, max_size=5), st.text("a-%25D", min_size=1, max_size=5), st.text("a-%", max_size=4))
def test_a_dash_that_moves_from_user_to_tenant_gives_another_id(first: str, second: str, third: str) -> None:
    one, other = (f"{first}-{second}", f"{third}x"), (first, f"{second}-{third}x")
    assert plain_chat_id(*one, 1) == plain_chat_id(*other, 1)
    assert general_chat_id(*one, 1) != general_chat_id(*other, 1)


@given(CHATS)
def test_an_id_without_the_two_characters_has_the_documented_form(chat: tuple[str, str, int]) -> None:
    tenant, user, number = chat
    plain = plain_chat_id(tenant, user, number)
    assert plain == f"generalchat-{tenant}-{user}-{number:04d}"
    assert (general_chat_id(*chat) == plain) == (not {"-", "%"} & {*tenant, *user})


def test_a_label() -> None:
    assert label_of(3) == "General Chat #3"


@pytest.mark.parametrize(
    ("tenant", "user", "text"),
    [
        ("", "ann", "app_id is required"),
        (None, "ann", "app_id is required"),
        ("acme", "", "user_id is required"),
        ("acme", None, "user_id is required"),
        (7, "ann", "app_id: a text is expected, not a number."),
        ("acme", b"ann", "user_id: a text is expected, not bytes."),
        ("a\0b", "ann", "app_id has a NUL character."),
        ("acme", "\ud800", "user_id has a lone surrogate, which MongoDB cannot store."),
        ("é" * 250 + "a", "ann", "app_id has 501 bytes, and at most 500 are allowed."),
    ],
)
def test_an_owner_that_no_chat_can_have(tenant: object, user: object, text: str) -> None:
    with pytest.raises(InvalidGeneralChat) as error:
        checked_owner(tenant, user)
    assert error.value.message == text
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, WrongUse)


def test_the_longest_owner() -> None:
    assert checked_owner("é" * 250, "a") == ("é" * 250, "a")


@pytest.mark.parametrize(
    ("chat_id", "owners"),
    [
        ("generalchat-a-b-0001", ([("a", "b")], 1)),
        ("generalchat-a-b-c-10000", ([("a", "b-c"), ("a-b", "c")], 10_000)),
        ("generalchat-a--c-0001", ([("a", "-c"), ("a-", "c")], 1)),
        ("generalchat-a%2Db-c-0001", ([("a%2Db", "c")], 1)),
        ("generalchat-a-b-001", ([], 0)),
        ("generalchat-a-b-٠٠٠١", ([], 0)),
        ("generalchat-a-0001", ([], 1)),
        ("chat-a-b-0001", ([], 0)),
        ("", ([], 0)),
    ],
)
def test_the_pairs_to_whom_a_plain_id_can_belong(chat_id: str, owners: tuple[list[tuple[str, str]], int]) -> None:
    assert owners_of(chat_id) == owners


@given(CHATS)
def test_the_pair_of_a_plain_id_is_among_those_to_whom_it_can_belong(chat: tuple[str, str, int]) -> None:
    tenant, user, number = chat
    pairs, found = owners_of(plain_chat_id(*chat))
    assert ((tenant, user) in pairs and found == number) or number >= 10**15
