"""Reading messages with a key leaves a row, in every route and socket that returns messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chatstore_cli.core.audit.readings import ReadAudit, window_of
from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.domain.audit import Reading
from chatstore_cli.domain.errors import ForeignCollection, UnsuitableCollection
from chatstore_cli.mongo.audit.store import MongoAudit
from chatstore_cli.server.entrance import auditing
from tests.support.mongod import poll
from tests.support.served_app import served, settings_of

NOW = datetime(2026, 2, 1, 10, 17, 59, 123, tzinfo=UTC)
READING = Reading("k", "general", "s", window_of(NOW))
UNREACHABLE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50"


def test_a_window_has_ten_minutes():
    assert window_of(NOW) == datetime(2026, 2, 1, 10, 10, tzinfo=UTC)
    assert window_of(datetime(2026, 2, 1, 10, 20, tzinfo=UTC)) == datetime(2026, 2, 1, 10, 20, tzinfo=UTC)


def test_a_reading_is_stored_once_in_a_window_also_by_several_processes(connection, database):
    moments = [NOW]
    first = ReadAudit(lambda: MongoAudit(connection, "audit"), lambda: moments[0])
    second = ReadAudit(lambda: MongoAudit(connection, "audit"), lambda: moments[0])
    access = Access(Right.READ, frozenset({"t"}), "k")
    missing = first.missing(access, [("general", "s"), ("general", "s"), ("workflow", "s")])
    assert len(missing) == 2
    first.record(missing)
    assert first.missing(access, [("general", "s"), ("workflow", "s")]) == []
    moments[0] += timedelta(minutes=1)
    second.record(second.missing(access, [("general", "s"), ("general", "new")]))
    rows = {(row["_id"]["layout"], row["_id"]["session_id"]): row for row in database.audit.find()}
    assert set(rows) == {("general", "s"), ("workflow", "s"), ("general", "new")}
    row = rows["general", "s"]
    assert list(row["_id"]) == ["key_id", "layout", "session_id", "window"]
    assert row["read_at"].replace(tzinfo=UTC) == NOW.replace(microsecond=0)  # of the first process
    moments[0] += timedelta(minutes=10)
    [later] = first.missing(access, [("general", "s")])
    first.record([later])
    assert database.audit.count_documents({}) == 4


def test_without_a_key_nothing_is_recorded():
    audit = ReadAudit(lambda: pytest.fail("nothing to store"))
    assert audit.missing(Access(Right.ADMIN), [("general", "s")]) == []


def test_an_id_that_no_document_can_have_is_left_out(connection, database):
    MongoAudit(connection, "audit").add([READING._replace(session_id="\ud800"), READING], NOW)
    assert [row["_id"]["session_id"] for row in database.audit.find()] == ["s"]


def test_a_collection_that_would_lose_or_mix_readings_is_not_written_to(connection, database):
    database.create_collection("capped", capped=True, size=10_000)
    database.create_collection("german", collation={"locale": "de", "strength": 1})
    database.orders.insert_many([{"_id": number, "total": 5} for number in range(20)])
    for name, error in (
        ("capped", UnsuitableCollection),
        ("german", UnsuitableCollection),
        ("orders", ForeignCollection),
    ):
        with pytest.raises(error):
            MongoAudit(connection, name).add([READING], NOW)
    assert [database[name].count_documents({}) for name in ("capped", "german", "orders")] == [0, 0, 20]


# --- every route and socket ------------------------------------------------------------------------------------------


def fill(server):
    """Sessions with a message each: in the cache and MongoDB, of a workflow and of general mode. Returns their ids."""
    services = server.services
    services.cache.record_chat_event("flat", "user", "refund please")
    started = server.client.post("/api/chats/t/wf/start", json={"user_id": "ana"}, headers=server.key()).json()
    event = {"type": "text", "content": {"uuid": "1", "content": "refund now", "sender": "user", "recipient": "a"}}
    services.agents_manager.save_event(
        event, chat_id=started["chat_id"], enterprise_id="t", user_id="ana", workflow_name="wf"
    )
    general = services.general.create_general_chat_session(app_id="t", user_id="ana")["chat_id"]
    services.general.append_general_message(
        general_chat_id=general, app_id="t", role="user", content="refund soon", user_id="ana"
    )
    return started["chat_id"], general


def test_every_route_and_socket_that_returns_messages_leaves_a_row(server, database, monkeypatch):
    monkeypatch.setattr(server.services.audit, "_clock", lambda: NOW)  # ten minutes may be over between two requests
    chat, general = fill(server)
    poll(lambda: database[server.services.settings.messages_collection].count_documents({}))
    routes = {
        "/api/chat/history?session_id=flat": {("messages", "flat")},
        "/api/conversation/history/flat": {("messages", "flat")},
        f"/api/general_chats/transcript/t/{general}": {("general", general)},
        f"/store/sessions/{chat}": {("workflow", chat)},
        f"/store/sessions/{chat}/messages": {("workflow", chat)},
        "/store/sessions/flat/messages": {("messages", "flat")},
        "/store/search?text=refund": {("messages", "flat"), ("workflow", chat), ("general", general)},
    }
    audit = database.chatstore_audit
    for path, expected in routes.items():
        key = server.key()
        key_id = server.services.keys.access(key["x-api-key"]).key_id
        assert server.client.get(path, headers=key).status_code == 200
        assert server.client.get(path, headers=key).status_code == 200
        rows = [row["_id"] for row in audit.find({"_id.key_id": key_id})]
        assert sorted((row["layout"], row["session_id"]) for row in rows) == sorted(expected)
    key = server.key("t")
    key_id = server.services.keys.access(key["x-api-key"]).key_id
    with server.socket(f"/ws/wf/t/{chat}/ana", key) as socket:
        while socket.receive_json()["type"] != "chat.resume_boundary":
            pass
    rows = [row["_id"] for row in audit.find({"_id.key_id": key_id})]
    assert {(row["layout"], row["session_id"]) for row in rows} == {("workflow", chat), ("general", general)}


def test_what_returns_no_messages_leaves_no_row(server, database):
    chat, general = fill(server)
    key = server.key()
    for path in (
        "/store/sessions",
        "/store/usage",
        "/api/sessions/list/t/ana",
        f"/api/chats/meta/t/wf/{chat}",
        "/api/general_chats/list/t/ana",
        "/api/chat/history?session_id=unknown",
        "/store/sessions/unknown",
        f"/api/general_chats/transcript/t/{general}?after_sequence=99",
        f"/store/sessions/{chat}?first=0&last=0",
    ):
        server.client.get(path, headers=key)
    assert database.chatstore_audit.count_documents({}) == 0


def test_no_route_and_no_deletion_changes_a_row(server, database, chatstore):
    chat, _ = fill(server)
    server.client.get(f"/store/sessions/{chat}/messages", headers=server.key())
    before = list(database.chatstore_audit.find())
    assert len(before) == 1
    assert chatstore("sessions", "delete", chat, "--yes").code == 0
    assert chatstore("sessions", "delete", "flat", "--yes").code in (0, 3)
    assert list(database.chatstore_audit.find()) == before
    paths = server.client.get("/openapi.json", headers=server.key()).json()["paths"]
    assert not [path for path in paths if "audit" in path]


def test_if_the_reading_cannot_be_stored_a_tenants_key_gets_no_messages(server, database, fail_point, monkeypatch):
    chat, general = fill(server)
    tenant, operator = server.key("t"), server.key()
    paths = (
        f"/api/general_chats/transcript/t/{general}",
        f"/store/sessions/{chat}",
        f"/store/sessions/{chat}/messages",
        "/store/search?text=refund&tenant=t",
    )
    namespace = f"{database.name}.chatstore_audit"
    with monkeypatch.context() as hasty, fail_point(["insert"], errorCode=11602, namespace=namespace):
        hasty.setattr(auditing, "_SECONDS", 0.1)
        for path in paths:
            answer = server.client.get(path, headers=tenant)
            assert (path, answer.status_code) == (path, 503)
            assert "refund" not in answer.text
            assert server.client.get(path, headers=operator).status_code == 200
        assert server.client.get("/store/sessions", headers=tenant).status_code == 200
        with server.socket(f"/ws/wf/t/{chat}/ana", tenant) as socket:
            frames = [socket.receive_json(), socket.receive_json()]
        assert [frame["type"] for frame in frames] == ["chat_meta", "chat.error"]
        assert "refund" not in str(frames)
    for path in paths:
        assert server.client.get(path, headers=tenant).status_code == 200


def test_while_mongodb_is_away_the_operator_reads_from_the_cache_and_the_log_has_it(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(auditing, "_SECONDS", 0.1)
    settings = settings_of(tmp_path, UNREACHABLE, timeout=0.2, read_seconds=0.3)
    with served(settings) as server:
        server.services.cache.record_chat_event("flat", "user", "hello")
        key = server.key()
        answer = server.client.get("/api/chat/history?session_id=flat", headers=key)
        assert [each["text"] for each in answer.json()["messages"]] == ["hello"]
        assert "read messages:flat" in caplog.text
        server.services.worker.stop(0)
