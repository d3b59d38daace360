"""The routes of saved agents, calls and numbers while there is no database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.mongod import poll
from tests.support.served_app import served, settings_of

AGENT, VERSION = "f" * 24, "b6a1c2d3-e4f5-4a6b-8c7d-9e0f1a2b3c4d"
NAMED = {"config": {"agent_name": "a"}}
ROUTES = [
    ("GET", "/agents", None),
    ("POST", "/agents", {"name": "a"}),
    ("GET", f"/agents/{AGENT}", None),
    ("PUT", f"/agents/{AGENT}", {}),
    ("PUT", f"/agents/{AGENT}", {"name": "a"}),
    ("DELETE", f"/agents/{AGENT}", None),
    ("POST", "/session", {"userIdentity": "ana"}),
    ("POST", "/session", {"userIdentity": "ana", "agentId": AGENT}),
    ("POST", "/session/end", {"roomName": "r"}),
    ("GET", "/v1/agents", None),
    ("POST", "/v1/agents", NAMED),
    ("GET", f"/v1/agents/{AGENT}", None),
    ("PUT", f"/v1/agents/{AGENT}", NAMED),
    ("DELETE", f"/v1/agents/{AGENT}", None),
    ("GET", f"/v1/agents/{AGENT}/versions", None),
    ("POST", f"/v1/agents/{AGENT}/versions/{VERSION}/activate", None),
    ("POST", "/v1/sessions/start", {"userIdentity": "ana"}),
    ("POST", "/v1/sessions/end", {"sessionId": "s"}),
    ("GET", "/v1/telephony/bindings", None),
    ("DELETE", f"/v1/telephony/bindings/{AGENT}", None),
    ("POST", "/v1/telephony/providers/p/numbers/n/connect", {"e164": "+4930123456"}),
]


def _answers(client):
    """Method, path, status and body of the answer of each route, all asked at the same time."""

    def answer(route):
        method, path, body = route
        answer = client.request(method, path, json=body)
        return method, path, answer.status_code, answer.json()

    with ThreadPoolExecutor(len(ROUTES)) as threads:
        return list(threads.map(answer, ROUTES))


def test_without_a_database_persistence_is_not_configured(off):
    expected = {"error": "Persistence is not configured"}
    for method, path, status, body in _answers(off.client):
        assert (method, path, status, body) == (method, path, 503, expected)
    assert off.client.get("/config/tools").status_code == 200


@pytest.mark.parametrize("how", ["hanging", pytest.param("stopped", marks=pytest.mark.soak)])
def test_a_database_that_does_not_answer_is_503_within_its_time(tmp_path, own_mongod, own_database, how, monkeypatch):
    mongod = own_mongod
    with served(settings_of(tmp_path, mongod.uri, own_database.name)) as server:
        created = server.client.post("/agents", json={"name": "a"}).json()["agent"]
        monkeypatch.setattr(server.services.reading, "_seconds", 1.0)
        mongod.pause() if how == "hanging" else mongod.kill()
        expected = {"error": "Failed to connect to MongoDB"}
        try:
            for method, path, status, body in _answers(server.client):
                assert (method, path, status, body) == (method, path, 503, expected)
            assert server.client.get("/config/tools").status_code == 200
        finally:
            mongod.resume() if how == "hanging" else mongod.start()
        monkeypatch.setattr(server.services.reading, "_seconds", 30.0)
        path = f"/agents/{created['id']}"
        poll(lambda: server.client.get(path).status_code == 200, what="an answer from the database")
        assert server.client.get(path).json()["agent"] == created
