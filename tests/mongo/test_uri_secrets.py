"""The password of a URI that an application passes to the library is never in an error."""

from __future__ import annotations

import pytest

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.mongo.connection import connect


@pytest.mark.parametrize("uri", ["mongodb+srv://u:p/geheim@h/", "mongodb://u:geheim/1@h/", "mongodb://u:p@geheim@h/"])
def test_the_drivers_reason_is_left_out_where_it_quotes_the_password(uri):
    with pytest.raises(BadValue) as caught:
        connect(uri, "chats", timeout_seconds=1)
    assert "geheim" not in caught.value.message
    assert "percent-encoded" in caught.value.message


def test_it_is_told_where_it_is_about_something_else():
    with pytest.raises(BadValue, match="Port must be"):
        connect("mongodb://user:geheim@host:99999/", "chats", timeout_seconds=1)
