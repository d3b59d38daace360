"""URIs are shown without what is secret in them."""

from __future__ import annotations

import pytest

from chatstore_cli.domain.secrets import hosts_of, masked, masked_uri


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://user:geheim@host/db", "mongodb://***@host/db"),
        ("mongodb+srv://user:geheim@host", "mongodb+srv://***@host"),
        ("mongodb://user:g@e/h?eim@host/db", "mongodb://***@host/db"),
        ("mongodb://ana@corp.com:geheim@host/db", "mongodb://***@host/db"),
        ("mongodb://ana%40corp.com:geheim@a:1,b:2/db", "mongodb://***@a:1,b:2/db"),
        ("mongodb://u:geheim@[::1]:27017/db", "mongodb://***@[::1]:27017/db"),
        ("other://user:geheim@host", "other://***@host"),
        ("mongodb://:geheim@host", "mongodb://***@host"),
        ("mongodb://user@host/db", "mongodb://***@host/db"),
        ("mongodb://user:geheim", "mongodb://user:***"),
        ("mongodb://user:geheim/db?tls=true", "mongodb://user:***/db?tls=true"),
        ("mongodb://host:27017/db?tls=true", "mongodb://host:27017/db?tls=true"),
        ("mongodb://a:27017,b:27018/?authSource=admin", "mongodb://a:27017,b:27018/?authSource=admin"),
        ("'mongodb://host:27017'", "'mongodb://host:27017'"),
        ("mongodb://%2Ftmp%2Fm.sock/?directConnection=true", "mongodb://%2Ftmp%2Fm.sock/?directConnection=true"),
        ("a mongodb://u:x@h, b mongodb://v:y@i", "a mongodb://***@h, b mongodb://***@i"),
        ("x://h/?tls=1&tlsCertificateKeyFilePassword=g&w=1", "x://h/?tls=1&tlsCertificateKeyFilePassword=***&w=1"),
        ("x://h/?authMechanismProperties=AWS_SESSION_TOKEN:g", "x://h/?authMechanismProperties=***"),
        ("x://h/?proxyPassword=g&api_key=g&apikey=g", "x://h/?proxyPassword=***&api_key=***&apikey=***"),
        ("key sk-proj-0123456789abcdef", "key sk-***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        (f"key chatstore_0123456789ab_{'0' * 64}", "key chatstore_0123456789ab_***"),
        ("/ws/chat?session_id=a&access_token=b", "/ws/chat?session_id=a&access_token=***"),
        ("nothing to hide: user@host", "nothing to hide: user@host"),
        ("session task-0123456789abcdefgh", "session task-0123456789abcdefgh"),
    ],
)
def test_passwords_and_secret_options_are_masked_and_nothing_else(text, shown):
    assert masked(text) == shown


def test_a_whole_uri_is_masked_even_if_its_password_has_blanks():
    assert masked_uri("mongodb://ana:ge heim@host/db?a=1") == "mongodb://***@host/db?a=1"
    assert masked_uri("mongodb://host/db") == "mongodb://host/db"
    assert masked_uri("embedded") == "embedded"


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        ("mongodb://ana@corp.com:geheim@a:1,b:2/db?x=1", "a:1,b:2"),
        ("mongodb://host?x=1", "host"),
        ("mongodb://u:p@[::1]:27017", "[::1]:27017"),
        ("mongodb+srv://u:p@cluster.example/", "cluster.example"),
    ],
)
def test_hosts_follow_the_last_at_sign(uri, hosts):
    assert hosts_of(uri) == hosts
