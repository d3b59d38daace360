"""URIs are shown without what is secret in them."""

from __future__ import annotations

import pytest

from chatstore_cli.domain.secrets import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://user:geheim@host/db", "mongodb://user:***@host/db"),
        ("mongodb+srv://user:geheim@host", "mongodb+srv://user:***@host"),
        ("mongodb://user:g@e/h?eim@host/db", "mongodb://user:***@host/db"),
        ("other://user:geheim@host", "other://user:***@host"),
        ("mongodb://:geheim@host", "mongodb://:***@host"),
        ("mongodb://user@host/db", "mongodb://user@host/db"),
        ("mongodb://host:27017/db?tls=true", "mongodb://host:27017/db?tls=true"),
        ("mongodb://%2Ftmp%2Fm.sock/?directConnection=true", "mongodb://%2Ftmp%2Fm.sock/?directConnection=true"),
        ("a mongodb://u:x@h, b mongodb://v:y@i", "a mongodb://u:***@h, b mongodb://v:***@i"),
        ("x://h/?tls=1&tlsCertificateKeyFilePassword=g&w=1", "x://h/?tls=1&tlsCertificateKeyFilePassword=***&w=1"),
        ("x://h/?authMechanismProperties=AWS_SESSION_TOKEN:g", "x://h/?authMechanismProperties=***"),
        ("nothing to hide: user@host", "nothing to hide: user@host"),
    ],
)
def test_passwords_and_secret_options_are_masked_and_nothing_else(text, shown):
    assert masked(text) == shown
