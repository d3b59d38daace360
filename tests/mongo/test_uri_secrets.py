"""The password of a URI that an application passes to the library is never in an error."""

from __future__ import annotations

import traceback

import pytest

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.mongo.connection import connect, describe


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://ana@corp.com:geheim@h/",
        "ana:geheim@h",
        "ana:geheim",
        "mongodb://u:geheim",
        "mongodb://u:geheim/db",
        "mongodb+srv://u:geheim/",
        " mongodb://u:geheim@h/",
        '"mongodb://u:geheim@h/"',
        "mongodb://u:a%zzgeheim@h/",
        "mongodb://u:geheim@[::1/",
        "mongodb://u:geheim@h,/",
        "mongodb://:geheim@h",
        "mongodb://u:geheim@h/?tlsCertificateKeyFilePassword=geheim&loadBalanced=true&replicaSet=a",
    ],
)
def test_no_form_of_a_uri_shows_its_password_in_an_error_or_its_traceback(uri):
    with pytest.raises(BadValue) as caught:
        connect(uri, "chats", timeout_seconds=1)
    assert "geheim" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.facts)


def test_the_text_of_a_connection_has_no_secret_option():
    uri = "mongodb://u:geheim@h/?authMechanism=PLAIN&authMechanismProperties=SERVICE_NAME:geheim&proxyPassword=geheim"
    connection = connect(uri, "chats", timeout_seconds=1)
    assert "geheim" not in repr(connection)
    connection.client.close()


def test_a_target_is_named_by_position_and_without_options():
    assert describe("mongodb://ana@corp.com:geheim@a:1,b:2/db?x=1", "chats") == "a:1,b:2, database chats"
    assert describe("mongodb://u:geheim@[::1", "chats") == "[::1, database chats"
    assert describe("mongodb://a:1,u:geheim/db", "chats") == "a:1,u:***, database chats"
    assert describe("mongodb://%2Ftmp%2Fm.sock/", "chats") == "/tmp/m.sock, database chats"
    assert describe("mongomock://", "chats") == "memory (mongomock), database chats"


@pytest.mark.parametrize("uri", ["mongodb+srv://u:p/geheim@h/", "mongodb://u:geheim/1@h/", "mongodb://u:p@geheim@h/"])
def test_the_drivers_reason_is_left_out_where_it_quotes_the_password(uri):
    with pytest.raises(BadValue) as caught:
        connect(uri, "chats", timeout_seconds=1)
    assert "geheim" not in caught.value.message
    assert "percent-encoded" in caught.value.message


def test_it_is_told_where_it_is_about_something_else():
    with pytest.raises(BadValue, match="Port must be"):
        connect("mongodb://user:geheim@host:99999/", "chats", timeout_seconds=1)
