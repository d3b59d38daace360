"""What the log of the server shows of an unexpected error."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

from chatstore_cli.config.settings import Settings
from chatstore_cli.server.entrance.masked_log import MaskingFormatter, secrets_of

KEY = f"chatstore_0123456789ab_{'0' * 64}"


def test_passwords_and_keys_are_masked_in_messages_and_tracebacks():
    formatter = MaskingFormatter("%(levelname)s %(message)s", ["responders-own-key"])
    try:
        raise RuntimeError(f"mongodb://ana:geheim@host {KEY} /ws/chat?access_token=abc responders-own-key")
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "Failed with %s", (KEY,), sys.exc_info())
    text = formatter.format(record)
    assert text.startswith("ERROR Failed with chatstore_0123456789ab_***\nTraceback")
    assert "RuntimeError: mongodb://***@host chatstore_0123456789ab_*** /ws/chat?access_token=*** ***" in text
    assert not {
        word for word in ("geheim", "0" * 64, "abc", "responders") if word in text.rpartition("RuntimeError:")[2]
    }


def test_the_secrets_are_those_of_the_settings():
    default = Settings()
    server = replace(default.chatstore.server, responder_key="secret-key")
    settings = replace(default, chatstore=replace(default.chatstore, server=server))
    assert "secret-key" in secrets_of(settings)
    assert "embedded" not in secrets_of(replace(default, mongo=replace(default.mongo, uri="embedded")))
