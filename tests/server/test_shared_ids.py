"""An id that two documents have, by HTTP and on the page: reading names them, and a change is rejected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.served_app import Served, served, settings_of


@pytest.fixture(scope="module")
def shared(tmp_path_factory, mongod, module_database) -> Iterator[tuple[Served, list[Any]]]:
    """An application over two workflow sessions of two tenants with one id, and their `_id`s, that of acme first."""
    common = {"chat_id": "d-1", "workflow_name": "orders", "messages": [], "status": 0, "last_sequence": 0}
    rows = [{**common, "enterprise_id": tenant} for tenant in ("acme", "other")]
    ids = module_database["chat_sessions"].insert_many(rows).inserted_ids
    with served(settings_of(tmp_path_factory.mktemp("shared"), mongod.uri, module_database.name)) as server:
        yield server, ids


def test_a_session_has_a_note_for_keys_that_see_every_tenant(shared):
    server, (first, second) = shared
    notes = server.client.get("/store/sessions/d-1", headers=server.key()).json()["notes"]
    assert [f"Only the one with the _id {first} is shown. All _ids: {first}, {second}." in each for each in notes] == [
        True
    ]
    assert server.client.get("/store/sessions/d-1", headers=server.key("acme")).json()["notes"] == []


def test_the_page_shows_the_note_to_keys_that_see_every_tenant(shared):
    server, (_, second) = shared
    pages = [server.client.get("/page/session?id=d-1", headers=key) for key in (server.key(), server.key("acme"))]
    assert [(each.status_code, str(second) in each.text) for each in pages] == [(200, True), (200, False)]


def test_the_page_does_not_plan_a_deletion(shared):
    server, (_, second) = shared
    path = "/page/session/delete?id=d-1&layout=workflow"
    answers = [server.client.get(path, headers=key) for key in (server.key(), server.key("acme"))]
    assert [(each.status_code, str(second) in each.text) for each in answers] == [(409, True), (409, False)]
