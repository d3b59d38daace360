"""What the lists of the multi-agent platform ask MongoDB: the same number of queries for any page, each with an index."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.served_app import Served, served, settings_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BIG, BUSY = "big", "busy"
"""A tenant with all sessions, and a user who has nine of ten of them."""


def session(number: int, **fields: Any) -> dict[str, Any]:
    at = NOON + timedelta(seconds=number)
    return {
        "chat_id": f"c-{number}", "enterprise_id": BIG, "user_id": BUSY if number % 10 else f"u{number % 70}",
        "workflow_name": "wf", "status": number % 2, "created_at": at, "updated_at": at, "messages": [{"content": "x"}],
        **({"last_artifact": {"ui_tool_id": "x"}} if number % 3 else {}),
    } | fields  # fmt: skip


def general(number: int) -> dict[str, Any]:
    at = NOON + timedelta(seconds=number)
    return {
        "_id": f"g-{number}", "chat_id": f"g-{number}", "app_id": BIG, "user_id": BUSY if number % 10 else "u0",
        "session_type": "general", "general_label": "x", "general_sequence": number, "status": 0, "created_at": at,
        "last_updated_at": at, "messages": [{"content": "x", "sequence": 1}], "last_sequence": 1,
    }  # fmt: skip


class Filled:
    """An application on a database with many sessions, and what it asks the database."""

    def __init__(self, server: Served, database: Any, sessions: int) -> None:
        self.server, self.database = server, database
        for start in range(0, sessions, 10_000):
            numbers = range(start, min(start + 10_000, sessions))
            database.chat_sessions.insert_many(map(session, numbers))
            database.GeneralChatSessions.insert_many(map(general, numbers))
            links = [{"_id": f"c-{n}", "app_id": BIG, "artifact_instance_id": f"a-{n}"} for n in numbers]
            database.WorkflowSessions.insert_many(links)
            database.ArtifactInstances.insert_many([{"_id": f"a-{n}", "app_id": BIG, "state": {}} for n in numbers])

    def asked_for(self, path: str, method: str = "GET", **body: Any) -> list[dict[str, Any]]:
        """The commands on sessions and artifacts of one request, as the server has executed them."""
        self.server.client.request(method, path, json=body or None)  # so that nothing has to be found out any more
        self.database.command("profile", 2)
        answer = self.server.client.request(method, path, json=body or None)
        self.database.command("profile", 0)
        assert answer.status_code == 200, answer.text
        names = [f"{self.database.name}.{name}" for name in self.database.list_collection_names() if name[0] != "s"]
        found = [*self.database["system.profile"].find({"ns": {"$in": names}})]
        self.database["system.profile"].drop()
        assert found
        return found


@pytest.fixture(scope="module", params=[3_000, pytest.param(100_000, marks=pytest.mark.soak)])
def filled(request: Any, tmp_path_factory: pytest.TempPathFactory, mongod: Any, mongo_client: Any) -> Any:
    database = mongo_client[f"queries_{request.param}"]
    with served(settings_of(tmp_path_factory.mktemp("server"), mongod.uri, database.name)) as server:
        server.wait_until_prepared()
        yield Filled(server, database, request.param)
    mongo_client.drop_database(database.name)


ROUTES = {
    f"/api/chats/{BIG}/wf": 130,  # the server compares plans with up to 101 documents
    f"/api/chats/exists/{BIG}/wf/c-7": 3,
    f"/api/chats/meta/{BIG}/wf/c-7": 8,
    f"/api/sessions/list/{BIG}/{BUSY}": 500,
    f"/api/sessions/list/{BIG}/u10": 500,
    f"/api/sessions/recent/{BIG}/{BUSY}": 10,
    f"/api/general_chats/list/{BIG}/{BUSY}?limit=200": 420,
    f"/api/general_chats/transcript/{BIG}/g-7": 6,
    "/api/chats/nobody/wf": 0,
    "/api/sessions/list/nobody/nobody": 0,
    "/api/sessions/recent/nobody/nobody": 0,
    "/api/general_chats/list/nobody/nobody": 0,
}
"""How many documents each route may read, of however many sessions."""


@pytest.mark.parametrize("path", ROUTES)
def test_each_query_has_an_index_and_reads_no_more_than_the_page(filled: Filled, path: str) -> None:
    found = filled.asked_for(path)
    for each in found:
        assert "COLLSCAN" not in each.get("planSummary", ""), each
    assert sum(each.get("docsExamined", 0) for each in found) <= ROUTES[path], [
        (each["ns"], each.get("planSummary"), each.get("docsExamined"), each.get("command")) for each in found
    ]


def test_a_start_reads_no_more_either(filled: Filled) -> None:
    # No index has both the user and the age. So the server may read all sessions of a user who has few.
    for user in (BUSY, "u10", "somebody new"):
        found = filled.asked_for(f"/api/chats/{BIG}/wf/start", "POST", user_id=user)
        of_user = 0 if user == BUSY else filled.database.chat_sessions.count_documents({"user_id": user})
        assert all("COLLSCAN" not in each.get("planSummary", "") for each in found)
        assert sum(each.get("docsExamined", 0) for each in found) <= max(250, of_user)


def test_a_page_of_one_and_of_a_hundred_ask_the_same(filled: Filled) -> None:
    one, many = session(10**6, user_id="one"), [session(10**6 + n, user_id="many", status=0) for n in range(1, 101)]
    filled.database.chat_sessions.insert_many([one | {"status": 0}, *many])
    asked = [
        Counter(each["ns"] for each in filled.asked_for(f"/api/sessions/list/{BIG}/{user}")) for user in ("one", "many")
    ]
    assert asked[0].keys() == asked[1].keys()
    assert max(sum(each.values()) for each in asked) <= 8  # one of them may also look up what has just been cached
    assert filled.server.client.get(f"/api/sessions/list/{BIG}/many").json()["count"] == 100
    filled.database.GeneralChatSessions.insert_one(general(10**6) | {"user_id": "one"})
    lists = [
        Counter(each["ns"] for each in filled.asked_for(f"/api/general_chats/list/{BIG}/{user}?limit=20"))
        for user in ("one", BUSY)
    ]
    assert sum(lists[0].values()) <= sum(lists[1].values()) <= 4
