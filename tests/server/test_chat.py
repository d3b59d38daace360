"""The chat application over HTTP, on a real database: each status, field and order."""

from __future__ import annotations

from datetime import datetime

import pytest

from chatstore_cli.server import services
from chatstore_cli.server.routes import chat
from tests.support.mongod import poll
from tests.support.responders import answering
from tests.support.served_app import served, settings_of


def _post(server, text, session="s", **more):
    return server.client.post("/api/chat", json={"message": text, "session_id": session, **more})


def _history(server, session="s", query=""):
    answer = server.client.get(f"/api/chat/history?session_id={session}{query}")
    assert answer.status_code == 200
    return answer.json()


def _flush(server):
    poll(lambda: server.services.worker is not None and not server.services.cache.pending.depth, what="the worker")


# --- POST /api/chat --------------------------------------------------------------------------------------------------


def test_an_answer_has_exactly_three_fields_and_both_turns_are_stored(emptied, module_database):
    answer = _post(emptied, "  hello  ", "three", metadata={"ignored": True}, timestamp="2026-01-01T00:00:00")
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["response", "status", "timestamp"]
    assert body["response"] == "Echo (no responder is configured):   hello  "
    assert body["status"] == "completed"
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is None
    _flush(emptied)
    rows = list(module_database["chat_messages"].find({"session_id": "three"}).sort("sequence"))
    assert [(row["role"], row["text"], row["metadata"]) for row in rows] == [
        ("user", "  hello  ", {"transport": "rest"}),
        ("assistant", body["response"], {"transport": "rest", "status": "completed"}),
    ]


def test_without_a_session_the_turns_are_those_of_default(off):
    for body in ({"message": "a"}, {"message": "b", "session_id": ""}, {"message": "c", "session_id": None}):
        assert off.client.post("/api/chat", json=body).status_code == 200
    assert [each["text"] for each in _history(off, "default")["messages"] if each["role"] == "user"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "body", ["{}", '{"message": null}', '{"message": 5}', '{"message": "a", "session_id": 5}', "[]", '"a"', "{", ""]
)
def test_a_body_without_a_message_is_422(off, body):
    answer = off.client.post("/api/chat", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)
    assert off.services.cache.messages(None) == []


def test_an_empty_message_is_answered_and_not_recorded(off):
    assert _post(off, " ").status_code == 200
    assert [each["role"] for each in _history(off)["messages"]] == ["assistant"]


def test_clear_starts_a_new_context_for_the_responder(off):
    questions = answering(off)
    _post(off, "before")
    answer = _post(off, "/Clear").json()
    assert (answer["response"], answer["status"]) == ("✨ Context cleared. Starting a new session.", "cleared")
    _post(off, "after")
    assert [each.content for each in questions[-1].history] == ["after"]
    assert len(questions) == 2
    assert [each["metadata"] for each in _history(off)["messages"]][2:4] == [
        {"transport": "rest"},
        {"transport": "rest", "status": "cleared"},
    ]


def test_a_responder_gets_the_mode_the_session_and_the_history_up_to_the_message(off):
    questions = answering(off)
    _post(off, "one")
    _post(off, "two")
    question = questions[1]
    assert (question.mode, question.session_id, question.text) == ("chat", "s", "two")
    assert [each.content for each in question.history] == ["one", "answer 1", "two"]


def test_if_the_responder_fails_the_users_turn_stays(off):
    answering(off, RuntimeError("secret-host:27017"))
    answer = _post(off, "hello")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "The responder did not answer: it failed (RuntimeError)."}
    assert [(each["role"], each["text"]) for each in _history(off)["messages"]] == [("user", "hello")]


@pytest.mark.parametrize("session", ["a/b", "../../x", "a\0b", "é" * 300, "\u202e", " "])
def test_unusual_session_ids_keep_their_messages(off, tmp_path, session):
    assert _post(off, "hello", session).status_code == 200
    found = off.client.get("/api/chat/history", params={"session_id": session}).json()
    assert [each["role"] for each in found["messages"]] == ["user", "assistant"]
    assert all(path.is_relative_to(tmp_path / "journals") for path in tmp_path.rglob("*.jsonl"))


def test_an_id_that_is_too_long_is_refused_and_named_in_part(off):
    answer = _post(off, "hello", "x" * 10_000)
    assert answer.status_code == 400
    assert "session_id" in answer.json()["detail"]
    assert len(answer.text) < 500
    assert off.client.get("/api/chat/history", params={"session_id": "x" * 10_000}).status_code in (200, 400)


@pytest.mark.parametrize(("text", "session"), [("\\ud800", "s"), ("hello", "\\ud800")])
def test_half_characters_are_refused_with_a_detail(off, text, session):
    body = f'{{"message": "{text}", "session_id": "{session}"}}'
    answer = off.client.post("/api/chat", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


def test_a_message_is_recorded_while_the_database_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "_STORE_SECONDS", 0.1)  # how long the end waits for the database
    monkeypatch.setattr(chat, "_STATUS_SECONDS", 0.2)
    settings = settings_of(tmp_path, "mongodb://secret-host.invalid:1/", timeout=0.2, read_seconds=0.5)
    with served(settings) as server:
        assert _post(server, "hello").status_code == 200
        found = _history(server)
        assert [each["source"] for each in found["messages"]] == ["cache", "cache"]
        assert (found["counts"], found["last_persisted_at"]) == ({"cache": 2, "mongo": 0}, None)
        status = server.client.get("/api/storage/status").json()
        assert status["mongo"]["status"] == "error"
        assert set(status["mongo"]) == {"enabled", "status", "error"}
        assert "secret-host" not in str(status)


# --- the history -----------------------------------------------------------------------------------------------------


def test_the_history_has_its_fields_in_order(emptied):
    _post(emptied, " hello ", "fields")
    _flush(emptied)
    found = _history(emptied, "fields")
    assert list(found) == ["session_id", "messages", "counts", "last_persisted_at"]
    first, second = found["messages"]
    assert list(first) == ["session_id", "role", "text", "created_at", "metadata", "source"]
    assert (first["session_id"], first["role"], first["text"]) == ("fields", "user", "hello")
    assert first["metadata"] == {"transport": "rest"}
    assert found["counts"] == {"cache": 2, "mongo": 0}
    assert found["last_persisted_at"] == second["created_at"]


def test_what_only_mongodb_has_comes_from_mongo(emptied, module_database):
    _post(emptied, "hello", "older")
    _flush(emptied)
    module_database["chat_messages"].insert_one(
        {
            "session_id": "older",
            "role": "user",
            "text": "older",
            "metadata": {},
            "created_at": "2020-01-01T00:00:00+00:00",
        }
    )
    found = _history(emptied, "older")
    first = found["messages"][0]
    assert (first["text"], first["source"]) == ("older", "mongo")
    assert found["counts"] == {"cache": 2, "mongo": 1}


def test_counts_and_the_last_persisted_time_are_those_of_the_window(server):
    _post(server, "stored")
    _flush(server)
    server.services.worker.stop(5)
    _post(server, "not stored")
    newest = _history(server, query="&limit=2")
    assert newest["counts"] == {"cache": 2, "mongo": 0}
    assert newest["last_persisted_at"] is None
    everything = _history(server, query="&limit=4")
    assert everything["last_persisted_at"] == everything["messages"][1]["created_at"]


def test_an_unknown_session_has_an_empty_history(emptied):
    assert _history(emptied, "unknown") == {
        "session_id": "unknown",
        "messages": [],
        "counts": {"cache": 0, "mongo": 0},
        "last_persisted_at": None,
    }
    assert emptied.client.get("/api/conversation/history/unknown").json() == {
        "session_id": "unknown",
        "total_messages": 0,
        "messages": [],
        "last_active_at": None,
    }


def test_a_missing_session_is_422_and_an_empty_one_400(off):
    missing = off.client.get("/api/chat/history")
    assert missing.status_code == 422
    assert missing.json()["detail"][0]["loc"] == ["query", "session_id"]
    for path in ("/api/chat/history?session_id=", "/api/conversation/history/"):
        empty = off.client.get(path)
        assert (empty.status_code, empty.json()) == (400, {"detail": "session_id is required"})


@pytest.mark.parametrize(
    ("limit", "shown"), [("0", 1), ("-5", 1), ("1", 1), ("3", 3), ("501", 6), ("9" * 30, 6), ("5&limit=2", 2)]
)
def test_the_limit_is_clamped(off, limit, shown):
    for text in "abc":
        _post(off, text)
    assert len(_history(off, query=f"&limit={limit}")["messages"]) == shown


@pytest.mark.parametrize("limit", ["abc", "1.5", ""])
def test_a_limit_that_is_not_a_number_is_422(off, limit):
    answer = off.client.get(f"/api/chat/history?session_id=s&limit={limit}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


def test_the_conversation_of_an_id_with_slashes(off):
    _post(off, "hello", "a/b c")
    found = off.client.get("/api/conversation/history/a%2Fb%20c").json()
    assert list(found) == ["session_id", "total_messages", "messages", "last_active_at"]
    assert (found["session_id"], found["total_messages"]) == ("a/b c", 2)
    assert found["last_active_at"] == found["messages"][-1]["created_at"]


# --- the storage -----------------------------------------------------------------------------------------------------


def test_the_status_of_the_storage(emptied, off, module_database):
    found = emptied.client.get("/api/storage/status").json()
    assert found["mongo"] == {
        "enabled": True,
        "status": "ok",
        "database": module_database.name,
        "collection": "chat_messages",
    }
    assert set(found) == {"mongo", "cache"}
    assert list(found["cache"]) == ["max_messages_per_session", "disk_path", "flush_enabled"]
    disabled = off.client.get("/api/storage/status").json()
    assert disabled["mongo"] == {"enabled": False, "status": "disabled"}
    assert disabled["cache"]["flush_enabled"] is False


def test_the_log_has_the_lines_that_operators_look_for(emptied, caplog):
    caplog.set_level("INFO")
    _post(emptied, "hello", "logged")
    _flush(emptied)
    assert "[CHAT CACHE] Recording session 'logged'." in caplog.text
    assert "[CHAT WORKER] Flushed" in caplog.text
