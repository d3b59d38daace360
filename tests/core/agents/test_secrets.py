"""Secrets of agents: what is masked, and that a mask which comes back is the stored value of the same place."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.agents.checks import checked_config
from chatstore_cli.core.agents.secrets import MASK, is_secret_name, masked_config, unmasked_config
from chatstore_cli.core.agents.stored_values import restored
from chatstore_cli.core.agents.versions import differences
from chatstore_cli.domain.errors import InvalidAgent
from tests.support.json_values import CONTENTS, SCALARS

NAMES = st.sampled_from(["api_key", "auth_token", "password", "name", "value", "credentials", "max_tokens", "url"])
CONFIGS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS | st.sampled_from(["k1", "k2", "https://u:p@host/", "Bearer abcdefghij"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=10,
    ),
)


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "API-KEY", "x_api_key", "auth_token", "accessToken", "client_secret", "password", "db_password",
     "Authorization", "private_key", "credentials", "api_keys", "connectionString", "X-Api-Key", "API_KEY_OPENAI", "password2", "Cookie",
     "db_password_prod", "token_value", "credentials_json", "private_key_pem", "smtp_pass", "jwt"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert masked_config({name: "s"}) == {name: MASK}
    assert masked_config({"deep": [{name: {"a": ["s", 5, None, True, ""]}}]}) == {
        "deep": [{name: {"a": [MASK, 5 if name.lower().endswith("s") else MASK, None, True, ""]}}]
    }


@pytest.mark.parametrize(
    "name", ["max_tokens", "tokenizer", "name", "key", "keyboard", "secretary", "tools", "bypass", "compass"]
)
def test_names_that_are_no_secrets(name: str) -> None:
    assert masked_config({name: 4096}) == {name: 4096}


def test_secrets_under_other_names() -> None:
    config = {
        "headers": [{"name": "Authorization", "value": "x"}, {"key": "X-Api-Key", "value": "y"}, {"name": "Accept", "value": "z"}],
        "url": "https://user:pass@host/path", "header": "Bearer 0123456789", "key": "sk-0123456789abcdef0123",
        "prompt": "Write to https://example.org/@me when you have the bearer of news.",
    }  # fmt: skip
    shown = masked_config(config)
    assert [each["value"] for each in shown["headers"]] == [MASK, MASK, "z"]
    assert (shown["url"], shown["header"], shown["key"]) == (MASK, MASK, MASK)
    assert shown["prompt"] == config["prompt"]


@pytest.mark.parametrize(
    "value",
    [
        '{"a": [{"password": "x"}]}', ' [{"api_key": "x"}]', json.dumps({"b": json.dumps({"token": "x"})}), "[" * 5_000,
        "Authorization: Bearer x", "X-Api-Key: x", "OPENAI_API_KEY=x", "--token=x", " mongodb://u:p@h/db ",
        "Server=h;User Id=u;Password=p p;", "-----BEGIN PRIVATE KEY-----\nx", "https://h/?a=1&key=0123456789abcdef",
        "Call it with sk-0123456789abcdef0123, please. " + 5_000 * "x", "Store it in postgres://u:p@h/db, please.",
    ],
)  # fmt: skip
def test_texts_with_a_secret_are_masked(value: str) -> None:
    assert masked_config({"text": value, "texts": [value]}) == {"text": MASK, "texts": [MASK]}


@pytest.mark.parametrize(
    "value",
    [
        '{"a": [{"name": "x"}], "max_tokens": 5}', "[smiles] Hello", "{{ name }}, hello", "Accept: text", "LANG=de", "--n=5",
        "Ask for the password: it has 8 letters.", "Be risk-averse, and keep 2 sk-ip.", "Meet at 10:30 in room:5@home",
    ],
)  # fmt: skip
def test_texts_without_a_secret_are_shown(value: str) -> None:
    assert masked_config({"text": value, "texts": [value]}) == {"text": value, "texts": [value]}


def test_secrets_are_found_by_what_is_beside_them() -> None:
    config = {
        "args": ["--api-key", "x", "--lang", "de"], "steps": ["- Ask for the token", "Read it"],
        "pairs": [{"Name": "X-Api-Key", "Value": "x"}, {"header": "Authorization", "value": "x"}],
        "openaiKey": "0123456789abcdefg", "deepgram_key": "0123456789abcdefg", "translation_key": "greeting.formal.german",
    }  # fmt: skip
    assert masked_config(config) == {
        **config, "args": ["--api-key", MASK, "--lang", "de"],
        "pairs": [{"Name": "X-Api-Key", "Value": MASK}, {"header": "Authorization", "value": MASK}],
        "openaiKey": MASK, "deepgram_key": MASK,
    }  # fmt: skip


@given(CONFIGS, st.sampled_from(["new", 5, None]))
def test_what_is_shown_means_what_is_stored(config: dict[str, Any], value: Any) -> None:
    before = copy.deepcopy(config)
    shown = masked_config(config)
    assert unmasked_config(json.loads(json.dumps(shown)), config) == config
    assert unmasked_config({**shown, "greeting": value}, config) == {**config, "greeting": value}
    assert config == before


@given(CONTENTS, CONTENTS)
def test_a_new_configuration_is_stored_as_it_is_given(given_config: dict[str, Any], stored: dict[str, Any]) -> None:
    assert restored(given_config, stored, stored) == given_config


def test_null_where_output_shows_null_for_a_number_means_the_stored_number() -> None:
    stored = {"a": float("inf"), "b": [{"c": float("-inf")}], "d": 1.0}
    given_config = {"a": None, "b": [{"c": None}], "d": None}
    assert restored(given_config, stored, stored) == {**stored, "d": None}


@pytest.mark.parametrize(
    ("given_config", "stored"),
    [
        ({"api_key": MASK}, {}),
        ({"a": {"b": [1, MASK]}}, {"a": {"b": [1]}}),
        ({"api_key": MASK}, {"other": {"api_key": "s"}}),
        ({"tools": [{"name": "c", "api_key": MASK}]}, {"tools": [{"name": "a", "api_key": "1"}, {"name": "b", "api_key": "2"}]}),
        ({"keys": {"api_keys": [MASK]}}, {"keys": {"api_keys": ["1", "2"]}}),
    ],
)  # fmt: skip
def test_a_mask_without_a_stored_value_is_rejected(given_config: dict[str, Any], stored: dict[str, Any]) -> None:
    with pytest.raises(InvalidAgent, match="no value is stored there"):
        unmasked_config(given_config, stored)


def test_a_mask_follows_its_element_and_no_other() -> None:
    one, two = {"name": "a", "api_key": "1"}, {"name": "b", "api_key": "2"}
    shown_one, shown_two = masked_config(one), masked_config(two)
    stored = {"tools": [one, two]}
    for given_list, expected in (
        ([shown_two], [two]),
        ([shown_two, shown_one], [two, one]),
        ([{"name": "new"}, shown_one, shown_two], [{"name": "new"}, one, two]),
        ([{**shown_one, "name": "A"}, shown_two], [{**one, "name": "A"}, two]),
    ):
        assert unmasked_config({"tools": given_list}, stored) == {"tools": expected}
    with pytest.raises(InvalidAgent, match=r"config.tools\[1\].api_key"):
        unmasked_config({"tools": [shown_two, {**shown_two, "name": "c"}]}, stored)


def test_a_mask_may_stand_for_any_stored_value() -> None:
    assert unmasked_config({"llm": MASK, "x": MASK}, {"llm": {"api_key": "1"}, "x": 5}) == {
        "llm": {"api_key": "1"},
        "x": 5,
    }


def test_differences_compare_secrets_and_show_masks() -> None:
    old = {"api_key": "1", "a": [1, {"b": 2}], "gone": True, "n": 1}
    new = {"api_key": "2", "a": [1, {"b": 3}, 4], "n": 1.0, "added": None}
    found = [(each.path, each.kind, each.old, each.new) for each in differences(old, new)]
    assert found == [
        ("config.api_key", "changed", MASK, MASK),
        ("config.a[1].b", "changed", 2, 3),
        ("config.a[2]", "added", None, 4),
        ("config.gone", "removed", True, None),
        ("config.added", "added", None, None),
    ]
    assert differences(old, new, reveal=True)[0].old == "1"
    assert differences(old, checked_config(old)) == []
