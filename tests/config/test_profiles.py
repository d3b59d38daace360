"""Profiles: which settings they override, and what is a profile in a file that an application shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatstore_cli.config.loading import Configuration, load_configuration, load_settings
from chatstore_cli.domain.errors import BadConfig, BadValue

FILE = """\
mongo: {uri: "mongodb://dev", database: dev, ttl_days: 9}
profiles:
  prod:
    mongo:
      uri: "${PROD_URI}"
      database: chats
  staging:
    mongo: {database: stage}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a configuration file."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(FILE)
    return tmp_path


def load(profile: str | None = None, *, uri: str | None = None) -> Configuration:
    """The configuration with this --profile."""
    return load_configuration(None, uri=uri, database=None, profile=profile)


def test_a_profile_overrides_the_settings_of_the_file_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_URI", "mongodb://prod")
    loaded = load("prod").valid()
    mongo = loaded.settings.mongo
    assert (mongo.uri, mongo.database, mongo.ttl_days) == ("mongodb://prod", "chats", 9)
    assert [loaded.sources[f"mongo.{key}"] for key in ("uri", "database", "ttl_days")] == [
        "config.yaml:5 (profile prod) $PROD_URI",
        "config.yaml:6 (profile prod)",
        "config.yaml:1",
    ]
    assert (loaded.profile, loaded.profiles) == (("prod", "--profile", ()), ("prod", "staging"))
    assert load("prod", uri="mongodb://option").settings.mongo.uri == "mongodb://option"


def test_the_variable_of_a_profile_that_is_not_in_use_need_not_be_set() -> None:
    assert load().problems == load("staging").problems == ()
    assert load("staging").settings.mongo.database == "stage"
    [problem] = load("prod").problems
    assert (problem.where, problem.serious, problem.unset_variable) == ("config.yaml:5 (profile prod)", True, True)


def test_the_environment_and_dotenv_choose_and_override_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("CHATSTORE_PROFILE=staging\nCHATSTORE_DATABASE=of-dotenv\n")
    loaded = load()
    assert loaded.settings.mongo.database == "of-dotenv"
    overridden = (".env CHATSTORE_DATABASE overrides mongo.database",)
    assert loaded.profile == ("staging", "CHATSTORE_PROFILE", overridden)
    monkeypatch.setenv("PROD_URI", "mongodb://prod")
    assert load("prod").settings.mongo.uri == "mongodb://prod"
    monkeypatch.setenv("CHATSTORE_PROFILE", "")
    assert load().profile is None
    assert load_settings(None).mongo.uri == "mongodb://dev"
    with pytest.raises(BadValue, match="--profile"):
        load("")


def test_a_profile_of_the_user_overrides_the_file_of_the_working_folder(no_real_home: Path) -> None:
    own = no_real_home / "config/chatstore/config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("profiles: {mine: {mongo: {database: mine}}, staging: {mongo: {database: other, ttl_days: 1}}}")
    assert load("mine").settings.mongo.database == "mine"
    both = load("staging").settings.mongo
    assert (both.database, both.ttl_days) == ("stage", 1)
    assert load().profiles == ("prod", "staging", "mine")


@pytest.mark.parametrize(
    ("profile", "hint"),
    [
        ("stagin", "Did you mean staging? Profiles: prod, staging."),
        ("\x1b[31m" * 100, "Profiles: prod, staging."),
    ],
)
def test_an_unknown_profile_is_the_first_error_and_the_others_are_listed(profile: str, hint: str) -> None:
    with pytest.raises(BadConfig) as caught:
        load(profile).valid()
    assert caught.value.hint == hint
    assert caught.value.message.startswith(f"--profile: no profile is named {profile[:5]!r}"[:-1])
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "block",
    [
        "[admin, guest]",
        "admin",
        "~",
        "{ada: {name: Ada, state: happy, verify: true}, eve: [1], 3: null}",
        "{ada: {<<: {name: Ada, mongo: {uri: x}}, mongo: mongodb://x}}",
        "{base: &base {name: x}, " + ", ".join(f"p{number}: {{<<: *base}}" for number in range(200)) + "}",
    ],
)
def test_a_block_profiles_of_the_application_is_left_alone(block: str) -> None:
    Path("config.yaml").write_text(f"mongo: {{database: dev}}\nprofiles: {block}\n")
    loaded = load()
    assert (loaded.problems, loaded.profiles, loaded.settings.mongo.database) == ((), (), "dev")
    with pytest.raises(BadConfig) as caught:
        load("ada").valid()
    assert "A profile is an entry of profiles that has a block of settings" in str(caught.value.hint)


def test_mistakes_in_a_profile_are_errors_if_it_is_in_use() -> None:
    Path("config.yaml").write_text(
        "profiles:\n"
        "  a: {mongo: {ttl_dyas: 3}, redis: {}, profiles: {}}\n"
        "  b: {<<: {verify: {sample: 7}}, mongo: {ttl_days: 3}}\n"
        "  a b: {mongo: {}}\n"
        "  b: {mongo: {ttl_days: 4}}\n"
    )
    of_file = [("config.yaml:4", False), ("config.yaml:5", True)]
    assert [(problem.where, problem.serious) for problem in load().problems] == of_file
    of_profile = [("config.yaml:2 (profile a)", serious) for serious in (True, False, False)]
    assert [(problem.where, problem.serious) for problem in load("a").problems] == [*of_file, *of_profile]
    assert load("b").settings.mongo.ttl_days == 4


def test_a_profile_can_merge_and_repeat_another_one() -> None:
    Path("config.yaml").write_text(
        "profiles:\n"
        "  a: &a {mongo: &mongo {database: a}, verify: {sample: 7}}\n"
        "  b: {<<: *a, mongo: {<<: *mongo, ttl_days: 3}}\n"
        "  c: *a\n"
    )
    mongo = load("b").settings.mongo
    assert (mongo.database, mongo.ttl_days, load("b").settings.verify.sample) == ("a", 3, 7)
    assert load("c").settings.mongo.database == "a"
    assert load("b").problems == ()
