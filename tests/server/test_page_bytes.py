"""Pages of lists are bounded in bytes: one with a cursor ends earlier, and one without a cursor is refused as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

from chatstore_cli.core.agents.streams import agents_from, versions_of
from chatstore_cli.domain.agents.models import Agent, AgentVersion
from chatstore_cli.server.routes import page_text

NOW = datetime(2026, 2, 1, tzinfo=UTC)
LONG = "x" * 1_000
ID = "65f000000000000000000001"


@pytest.fixture
def three_rows(monkeypatch):
    """A page has room for three rows with a long text."""
    monkeypatch.setattr(page_text, "MOST_BYTES", 4_500)


def workflow_session(number: int, **more: Any) -> dict[str, Any]:
    at = NOW + timedelta(minutes=number)
    fields = {"enterprise_id": "acme", "user_id": "ana", "workflow_name": "w", "status": 0, "messages": []}
    return {"_id": f"c-{number}", "chat_id": f"c-{number}", "created_at": at, "last_updated_at": at, **fields, **more}


def message(number: int) -> dict[str, Any]:
    return {
        "role": "user",
        "content": f"{number} {LONG}",
        "timestamp": NOW + timedelta(seconds=number),
        "sequence": number,
    }


def pages(client, path: str) -> list[list[Any]]:
    """The rows of every page."""
    found, cursor = [], ""
    while True:
        answer = client.get(path + cursor)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found.append(body["items"])
        if body["next_cursor"] is None:
            return found
        cursor = f"&cursor={body['next_cursor']}"


@pytest.mark.parametrize("path", ["/agents", "/v1/agents"])
def test_a_page_of_agents_that_is_too_large_is_refused_with_the_limit_that_fits(emptied, three_rows, path):
    client = emptied.client
    for number in range(5):
        client.post("/v1/agents", json={"config": {"agent_name": f"{number}", "text": LONG}})
    refused = client.get(path)
    assert refused.status_code == 413
    assert list(refused.json()) == ["error"]
    assert "Use limit=3, and offset for the following agents." in refused.json()["error"]
    found = [client.get(f"{path}?limit=3&offset={offset}").json()["agents"] for offset in (0, 3)]
    assert [each["config"]["agent_name"] for page in found for each in page] == ["4", "3", "2", "1", "0"]
    assert client.get("/page/agents", headers={"accept": "text/html"}).status_code == 413


def test_a_row_that_is_larger_than_a_page_is_a_page_of_its_own(emptied, module_database, monkeypatch):
    monkeypatch.setattr(page_text, "MOST_BYTES", 10)
    module_database.chat_sessions.insert_one(workflow_session(1, messages=[message(1), message(2)]))
    found = pages(emptied.client, "/store/sessions/c-1/messages?limit=5")
    assert [[each["sequence"] for each in page] for page in found] == [[1], [2]]


def test_versions_end_before_there_are_too_many_bytes(emptied, three_rows):
    client = emptied.client
    agent = client.post("/v1/agents", json={"config": {"agent_name": "0", "text": LONG}}).json()["agent"]["id"]
    for number in range(1, 6):
        client.put(f"/v1/agents/{agent}", json={"config": {"agent_name": f"{number}", "text": LONG}})
    answer = client.get(f"/v1/agents/{agent}/versions").json()
    assert list(answer) == ["agent_id", "versions"]
    assert answer["agent_id"] == agent
    assert [each["config"]["agent_name"] for each in answer["versions"]] == ["5", "4", "3"]


@pytest.mark.parametrize("layout", ["workflow", "messages"])
def test_pages_of_messages_end_earlier_and_the_next_one_continues(emptied, module_database, three_rows, layout):
    if layout == "workflow":
        module_database.chat_sessions.insert_one(workflow_session(1, messages=[message(n) for n in range(1, 8)]))
    else:
        for n in range(1, 8):
            at = f"2026-02-01T10:00:0{n}.000000+00:00"
            row = {"session_id": "c-1", "role": "user", "text": f"{n} {LONG}", "metadata": {}, "created_at": at}
            module_database.chat_messages.insert_one({"_id": f"m-{n}", "sequence": n, **row})
    client = emptied.client
    found = pages(client, f"/store/sessions/c-1/messages?layout={layout}&limit=100")
    assert [[each["sequence"] for each in page] for page in found] == [[1, 2, 3], [4, 5, 6], [7]]
    newest = client.get("/store/sessions/c-1/messages?last=5")
    assert newest.status_code == 413
    assert newest.json()["error"]["kind"] == "too_large"
    assert len(client.get("/store/sessions/c-1/messages?last=3").json()["items"]) == 3
    assert client.get("/store/sessions/c-1").status_code == 413
    assert client.get("/store/sessions/c-1?first=1&last=1").status_code == 200


def test_pages_of_sessions_end_earlier_and_the_next_one_continues(emptied, module_database, three_rows):
    module_database.chat_sessions.insert_many([workflow_session(n, workflow_name=LONG) for n in range(1, 8)])
    client = emptied.client
    found = pages(client, "/store/sessions?layout=workflow&limit=100")
    assert [each["session_id"] for page in found for each in page] == [f"c-{n}" for n in range(7, 0, -1)]
    assert [len(page) for page in found] == [3, 3, 1]
    refused = client.get("/store/sessions?layout=workflow&sort=created").json()["error"]
    assert (refused["code"], "use limit=3" in refused["message"]) == (413, True)
    grouped = client.get("/store/usage?by=session,workflow&layout=workflow").json()["error"]
    assert (grouped["code"], "Use top=" in grouped["message"]) == (413, True)


def test_pages_of_hits_end_earlier_and_the_next_one_continues(emptied, module_database, three_rows):
    # A hit has only a part of a long text, but the whole id of its session.
    module_database.chat_sessions.insert_many(
        [
            workflow_session(n, chat_id=f"{n}-{'x' * 900}", messages=[{**message(n), "content": "parcel"}])
            for n in range(8)
        ]
    )
    found = pages(emptied.client, "/store/search?text=parcel&layout=workflow&limit=100")
    assert [each["session_id"][0] for page in found for each in page] == list("76543210")
    assert [len(page) for page in found] == [3, 3, 2]


def test_running_sessions_end_before_their_artifacts_have_too_many_bytes(emptied, module_database, three_rows):
    artifact = {"ui_tool_id": "t", "event_id": "e", "display": "artifact", "workflow_name": "w", "payload": LONG}
    artifact |= {"updated_at": NOW}
    module_database.chat_sessions.insert_many([workflow_session(n, last_artifact=artifact) for n in range(1, 8)])
    answer = emptied.client.get("/api/sessions/list/acme/ana").json()
    assert ([each["chat_id"] for each in answer["sessions"]], answer["count"]) == (["c-7", "c-6", "c-5"], 3)


def test_a_transcript_that_is_too_large_is_refused_with_the_limit_that_fits(emptied, three_rows):
    chats, client = emptied.services.general, emptied.client
    chat = chats.create_general_chat_session(app_id="acme", user_id="ana")["chat_id"]
    for _ in range(5):
        chats.append_general_message(general_chat_id=chat, app_id="acme", role="user", content=LONG, user_id="ana")
    path = f"/api/general_chats/transcript/acme/{chat}"
    refused = client.get(f"{path}?limit=0")
    assert refused.status_code == 413
    assert "Use limit=3, and after_sequence for the following messages" in refused.json()["detail"]
    found = [client.get(f"{path}?limit=3&after_sequence={after}").json()["messages"] for after in (0, 3)]
    assert [[each["sequence"] for each in page] for page in found] == [[1, 2, 3], [4, 5]]


def test_a_history_has_the_newest_messages_that_fit(off, three_rows):
    for number in range(5):
        off.client.post("/api/chat", json={"message": f"{number} {LONG}", "session_id": "s-1"})
    answer = off.client.get("/api/chat/history?session_id=s-1").json()
    whole = off.client.get("/api/conversation/history/s-1").json()
    assert [each["role"] for each in answer["messages"]] == ["user", "assistant", "user", "assistant"][-3:]
    assert answer["messages"][-2]["text"].startswith("4 ")
    assert answer["counts"]["cache"] == 3
    assert (whole["messages"], whole["total_messages"]) == (answer["messages"], 3)


def test_agents_and_archived_versions_are_read_as_they_are_asked_for():
    """So a page that is refused, or ends early, has read little more than it holds."""
    read: list[int] = []

    def agents(*_: Any):
        for number in range(200):
            read.append(number)
            yield Agent(ID, "a", None, {}, NOW, NOW - timedelta(minutes=number))

    def versions(*_: Any):
        for number in range(100):
            read.append(number)
            yield AgentVersion(f"{number}", {}, False, NOW)

    store: Any = SimpleNamespace(stream=agents, versions=versions)
    for stream in (agents_from(store, ["acme", "globex"], 0, 200), versions_of(store, ID, None)):
        read.clear()
        assert len(list(islice(stream, 3))) == 3
        assert len(read) <= 6
