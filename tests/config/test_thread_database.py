"""DatabaseConfig and StateConfig: the documented variables and defaults, errors of one line, no password in any text."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import ValidationError

from chatstore_cli.config.thread_database import DatabaseConfig, StateConfig
from chatstore_cli.domain.errors import BadConfig, BadVariable, ExitCode

SECRET = "ge/heim:@?#[]%ü"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_variables_the_values_are_the_documented_defaults() -> None:
    assert StateConfig.from_env() == StateConfig()
    assert StateConfig().model_dump() == {
        "enable_persistence": False,
        "user_id": "default_user",
        "org_id": "default_org",
        "database": {
            "backend": "mock",
            "host": "localhost",
            "port": 5432,
            "database": "fluxibly",
            "user": "postgres",
            "password": "",
            "pool_size": 5,
            "max_overflow": 10,
        },
    }
    assert DatabaseConfig().get_connection_string() == "postgresql://postgres:@localhost:5432/fluxibly"


def test_every_variable_sets_its_field_and_the_environment_overrides_dotenv(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text(
        "DB_BACKEND=postgresql\nDB_HOST=db.example\nDB_PORT=1\nDB_NAME=chats\nDB_USER=ana\nDB_PASSWORD=of-file\n"
        "DB_POOL_SIZE=2\nDB_MAX_OVERFLOW=0\nENABLE_DB_PERSISTENCE=TRUE\nDEFAULT_USER_ID=u\nDEFAULT_ORG_ID=o\n"
    )
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    monkeypatch.setenv("DB_PORT", "65535")
    monkeypatch.setenv("DB_NAME", "")  # an empty variable counts as unset
    database = DatabaseConfig(
        backend="postgresql",
        host="db.example",
        port=65_535,
        database="chats",
        user="ana",
        password=SECRET,
        pool_size=2,
        max_overflow=0,
    )
    assert StateConfig.from_env() == StateConfig(enable_persistence=True, user_id="u", org_id="o", database=database)


def test_an_empty_variable_has_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DB_BACKEND", "DB_PORT", "DB_USER", "DB_POOL_SIZE", "ENABLE_DB_PERSISTENCE", "DEFAULT_USER_ID"):
        monkeypatch.setenv(name, "")
    assert StateConfig.from_env() == StateConfig()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DB_BACKEND", "mysql", "one of mock, postgresql and mongodb"),
        ("DB_BACKEND", "PostgreSQL", "one of mock, postgresql and mongodb"),
        ("DB_PORT", "abc", "a port from 1 to 65535"),
        ("DB_PORT", "0", "a port from 1 to 65535"),
        ("DB_PORT", "65536", "a port from 1 to 65535"),
        ("DB_PORT", "1e400", "a port from 1 to 65535"),
        ("DB_POOL_SIZE", "0", "a whole number from 1 to 10000"),
        ("DB_POOL_SIZE", "5.5", "a whole number from 1 to 10000"),
        ("DB_MAX_OVERFLOW", "-1", "a whole number from 0 to 10000"),
    ],
)
@pytest.mark.parametrize("origin", ["environment", ".env"])
def test_a_wrong_value_is_one_line_that_names_its_variable(
    name: str, value: str, expected: str, origin: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", SECRET)
    if origin == ".env":
        (folder / ".env").write_text(f"{name}={value}\n")
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(BadVariable) as caught:
        StateConfig.from_env()
    assert str(caught.value) == f"{origin} {name}: {value!r} is not {expected}."
    assert isinstance(caught.value, ValueError)  # like the errors of the original
    assert isinstance(caught.value, BadConfig)
    assert caught.value.exit_code == ExitCode.WRONG_USE
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "heim" not in "".join(shown.format())


def test_an_unreadable_dotenv_is_an_error_of_one_line(folder: Path) -> None:
    (folder / ".env").write_bytes(b"DB_PORT=1\n\xff\n")
    with pytest.raises(BadConfig, match=r"^\.env:2: not UTF-8"):
        StateConfig.from_env()
    (folder / ".env").unlink()
    (folder / ".env").mkdir()  # a virtual environment
    assert StateConfig.from_env() == StateConfig()


def test_with_the_backend_mongodb_the_other_variables_have_no_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_BACKEND", "mongodb")
    monkeypatch.setenv("DB_PORT", "not a port")
    assert DatabaseConfig.from_env() == DatabaseConfig(backend="mongodb")


@pytest.mark.parametrize(
    ("value", "is_enabled", "warnings"),
    [
        ("true", True, 0),
        ("True", True, 0),
        ("FALSE", False, 0),
        ("1", False, 1),
        ("yes", False, 1),
        ("true ", False, 1),
    ],
)
def test_only_true_enables_persistence_and_another_word_is_a_warning(
    value: str, is_enabled: bool, warnings: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ENABLE_DB_PERSISTENCE", value)
    with caplog.at_level(logging.WARNING, "chatstore.threads"):
        assert StateConfig.from_env().enable_persistence is is_enabled
    assert [f"ENABLE_DB_PERSISTENCE: {value!r} does not enable" in line for line in caplog.messages] == [
        True
    ] * warnings


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("db.example", "db.example"),
        ("::1", "[::1]"),
        ("[fe80::1%eth0]", "[fe80::1%25eth0]"),
        ("/run/postgresql", "%2Frun%2Fpostgresql"),
        ("a@evil", "a%40evil"),
    ],
)
def test_the_connection_string_is_percent_encoded(host: str, shown: str) -> None:
    config = DatabaseConfig(host=host, user="a:b@c", password=SECRET, database="a/b?c#d")
    parts = urlsplit(config.get_connection_string())
    account, _, server = parts.netloc.rpartition("@")
    assert server == f"{shown}:5432"
    assert [unquote(each) for each in account.split(":")] == ["a:b@c", SECRET]
    assert (unquote(parts.path), parts.query, parts.fragment) == ("/a/b?c#d", "", "")


def test_bytes_of_a_password_that_are_not_utf_8_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", b"\xff\xe9".decode("utf-8", "surrogateescape"))
    assert ":%FF%E9@" in DatabaseConfig.from_env().get_connection_string()


def test_the_password_is_in_the_dump_and_in_no_text() -> None:
    config = StateConfig(database=DatabaseConfig(password=SECRET))
    assert StateConfig.model_validate(config.model_dump()) == config
    assert StateConfig.model_validate_json(config.model_dump_json()) == config
    for text in (repr(config), str(config), f"{config.database}", repr([config.database])):
        assert "heim" not in text
    with pytest.raises(ValidationError) as caught:
        StateConfig.model_validate({"database": {"password": SECRET, "port": SECRET}})
    assert "heim" not in str(caught.value)
