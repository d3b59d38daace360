"""The settings of `chatstore serve`: invalid lists are rejected, and unusual values get advice."""

from __future__ import annotations

import pytest

from chatstore_cli.config.server_advice import unusual_server_settings
from chatstore_cli.config.settings import ServerSettings
from chatstore_cli.config.values import RULES


def _advised(**changed: object) -> list[str]:
    return [key for key, _, _ in unusual_server_settings(ServerSettings(**changed))]


@pytest.mark.parametrize(
    ("key", "value", "is_valid"),
    [
        ("allowed_hosts", "chat.example, LOCALHOST, 10.0.0.1, [::1], fe80::1", True),
        ("allowed_hosts", "*", True),
        ("allowed_hosts", "", True),
        ("allowed_hosts", "chat.example:8000", False),
        ("allowed_hosts", "https://chat.example", False),
        ("cors_origins", "https://chat.example, http://localhost:3000/, tauri://localhost, null", True),
        ("cors_origins", "*", True),
        ("cors_origins", "chat.example", False),
        ("cors_origins", "https://chat.example/chat", False),
    ],
)
def test_lists_of_names(key: str, value: str, is_valid: bool) -> None:
    assert RULES[f"chatstore.server.{key}"].holds(value) is is_valid


def test_the_defaults_need_no_advice() -> None:
    assert _advised() == []


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("host", {"host": "0.0.0.0"}),
        ("host", {"host": "chat.example"}),
        ("allowed_hosts", {"allowed_hosts": "localhost, *"}),
        ("cors_origins", {"cors_origins": "*"}),
        ("responder", {"responder": "openai", "responder_url": "https://model.example/v1"}),
        ("responder_url", {"responder_url": "http://model.example/v1", "responder_key": "secret"}),
    ],
)
def test_unusual_values_get_advice(key: str, changed: dict[str, object]) -> None:
    assert _advised(**changed) == [key]


def test_a_model_on_this_machine_may_be_without_encryption() -> None:
    assert _advised(responder_url="http://127.0.0.1:11434/v1", responder_key="secret") == []
    assert _advised(host="::1") == _advised(host="localhost") == []
