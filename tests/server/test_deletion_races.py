"""A session that is deleted while a message of it is being answered: the answer does not bring it back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.mongod import poll
from tests.support.platform_server import PlatformServer, running
from tests.support.served_app import settings_of


@pytest.fixture(scope="module")
def platform(mongod: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformServer]:
    """One server for both tests."""
    database = f"test_{uuid.uuid4().hex[:12]}"
    settings = settings_of(tmp_path_factory.mktemp("platform"), mongod.uri, database, responder_seconds=15.0)
    with running(settings) as server:
        yield server
    mongod.client().drop_database(database)


@pytest.mark.parametrize(
    ("layout", "collection", "code"),
    [
        ("workflow", "chat_sessions", "USER_MESSAGE_FAILED"),
        ("general", "GeneralChatSessions", "GENERAL_MODE_FAILED"),
    ],
)
def test_the_answer_to_a_deleted_session_is_reported_and_not_stored(platform, layout, collection, code):
    platform.responder.released.clear()
    platform.responder.asked.clear()
    path = platform.start_chat("acme")
    with platform.client(path) as client:
        client.until("chat.resume_boundary")
        session_id = path.split("/")[4]
        if layout == "general":
            client.send("chat.enter_general_mode")
            session_id = client.data("chat.mode_changed")["general_chat_id"]
        client.send("user.input.submit", text="wait")
        client.text("wait")
        poll(lambda: platform.responder.asked, what="the question")
        address = f"http://127.0.0.1:{platform.port}/page/session/delete"
        deleted = httpx2.post(address, json={"layout": layout, "id": session_id}, timeout=300)
        assert deleted.status_code == 200, deleted.text
        platform.responder.released.set()
        client.until("chat.error", lambda data: data["error_code"] == code and "stays deleted" in data["message"])
    rows = platform.services.stores.connection.database[collection]
    assert rows.count_documents({"$or": [{"_id": session_id}, {"chat_id": session_id}]}) == 0
