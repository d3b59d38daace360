"""A revoked key ends what it opened: sockets and event streams."""

from __future__ import annotations

import pytest
from starlette.websockets import WebSocketDisconnect

from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.server import services as services_module
from tests.support.served_app import served, settings_of


def test_the_sockets_of_a_revoked_key_are_closed_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(services_module, "_SECONDS_BETWEEN_KEY_CHECKS", 0.02)
    with served(settings_of(tmp_path)) as server:
        kept, revoked = server.key(), server.key()
        with server.socket("/ws/chat", kept) as one, server.socket("/ws/chat", revoked) as other:
            assert one.receive_json()["type"] == other.receive_json()["type"] == "system"
            server.services.keys.revoke(server.services.keys.access(revoked["x-api-key"]).key_id)
            with pytest.raises(WebSocketDisconnect) as caught:
                other.receive_json()
            assert (caught.value.code, caught.value.reason) == (1008, "The key is not valid any more.")
            one.send_json({"command": "help"})
            assert one.receive_json()["type"] == "system"


def test_a_minute_is_enough_to_notice():
    assert services_module._SECONDS_BETWEEN_KEY_CHECKS <= 30


def test_who_would_still_be_let_in(off, tmp_path):
    keys, services = off.services.keys, off.services
    assert services.still_grants(Access(Right.ADMIN))
    access = keys.access(off.key("a")["x-api-key"])
    assert services.still_grants(access)
    assert not services.still_grants(Access(Right.ADMIN))  # since there are keys, one is required
    assert not services.still_grants(Access(Right.READ, access.tenants, access.key_id))  # other rights than let in with
    (tmp_path / "state/server-keys.json").write_text("{")
    assert not services.still_grants(access)
