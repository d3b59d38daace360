"""The gate: keys, rights, Host, Origin, content type, size, rate, sockets; and what the log has of a request."""

from __future__ import annotations

import logging

import pytest

from chatstore_cli.domain.api_keys import Right
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.server.entrance.callers import OPEN_PATHS, BrowserRules
from chatstore_cli.server.entrance.limits import OpenSockets, RequestRate
from chatstore_cli.server.errors.error_bodies import Refusal
from tests.support.served_app import served, settings_of

CHAT = {"message": "hello", "session_id": "s"}


# --- keys ------------------------------------------------------------------------------------------------------------


def test_without_keys_nobody_is_asked_for_one(off):
    assert off.client.get("/store/status").status_code == 200
    assert off.client.post("/api/chat", json=CHAT).status_code == 200


def test_with_keys_every_path_but_the_open_ones_needs_one(off):
    key = off.key()
    paths = [path for path, found in off.client.get("/openapi.json", headers=key).json()["paths"].items() if found]
    asked = [path for path in [*paths, "/page/reference", "/openapi.json", "/unknown"] if path not in OPEN_PATHS]
    assert len(asked) > 30
    for path in asked:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = off.client.request(method, path)
            assert (path, method, answer.status_code) == (path, method, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
    for path in OPEN_PATHS:
        assert off.client.get(path, follow_redirects=False).status_code in (200, 303, 503)
    assert off.close_frame("/ws/chat")[0] == 1008
    assert off.close_frame("/ws/w/a/c/u")[0] == 1008


def test_a_key_is_read_from_either_header_and_for_sockets_from_the_query(off):
    text = off.key()["x-api-key"]
    get = off.client.get
    assert get("/config/tools", headers={"Authorization": f"Bearer {text}"}).status_code == 200
    assert get("/config/tools", headers={"authorization": f"bearer  {text} "}).status_code == 200
    assert get("/config/tools", headers={"X-Api-Key": text}).status_code == 200
    assert get(f"/config/tools?access_token={text}").status_code == 401
    wrong = (text[:-1] + ("0" if text[-1] != "0" else "1"), text[:-1], text + "0", "", "é", "x" * 5_000)
    for each in wrong:
        assert get("/config/tools", headers={"x-api-key": each.encode()}).status_code == 401
    with off.socket(f"/ws/chat?access_token={text}") as socket:
        assert socket.receive_json()["type"] == "system"
    assert off.close_frame("/ws/chat?access_token=wrong") == (1008, "The key is not valid.")


def test_a_request_with_several_different_keys_is_rejected(off):
    """A proxy adds a header, and its client sends another one: neither may silently win."""
    first, second = off.key()["x-api-key"], off.key()["x-api-key"]
    get = off.client.get
    for other in (second, "guess"):
        for headers in (
            [("authorization", f"Bearer {first}"), ("x-api-key", other)],
            [("authorization", f"Bearer {other}"), ("x-api-key", first)],
            [("x-api-key", first), ("x-api-key", other)],
            [("authorization", f"Bearer {first}"), ("authorization", f"bearer {other}")],
        ):
            assert get("/config/tools", headers=headers).status_code == 401
        refused = off.close_frame(f"/ws/chat?access_token={first}&access_token={other}")
        assert refused == (1008, "The request has several different keys. Send one.")
        assert off.close_frame(f"/ws/chat?access_token={first}", {"x-api-key": other})[0] == 1008
    for headers in (
        [("authorization", f"Bearer {first}"), ("x-api-key", first)],
        [("authorization", "Basic YTpi"), ("x-api-key", first)],
        [("authorization", "Bearer "), ("x-api-key", first)],
    ):
        assert get("/config/tools", headers=headers).status_code == 200


def test_figures_of_the_whole_server_need_a_key_for_all_tenants(off):
    limited, operator = off.key("acme"), off.key(right=Right.READ)
    for path in ("/metrics", "/store/status", "/api/storage/status"):
        refused = off.client.get(path, headers=limited)
        assert refused.status_code == 403
        assert "the figures of this route are of all tenants together" in refused.text
        assert off.client.get(path, headers=operator).status_code == 200
    refused = off.client.get("/api/chat/history?session_id=s", headers=limited)
    assert (refused.status_code, "flat messages have no tenant" in refused.text) == (403, True)


def test_keys_that_were_there_at_the_start_stay_required_if_their_file_is_deleted(off, tmp_path):
    off.key()
    assert off.services.keys.are_required()
    (tmp_path / "state/server-keys.json").unlink()
    assert off.client.get("/store/status").status_code == 401


def test_a_key_that_was_the_last_one_does_not_open_the_server_when_it_is_revoked(off):
    key = off.key()
    assert off.client.get("/store/status", headers=key).status_code == 200
    [stored] = off.services.keys.all()
    off.services.keys.revoke(stored.key_id)
    assert off.client.get("/store/status", headers=key).status_code == 401
    assert off.client.get("/store/status").status_code == 401


def test_keys_that_cannot_be_read_let_nobody_in_and_the_answer_names_no_folder(off, tmp_path, caplog):
    key = off.key()
    (tmp_path / "state/server-keys.json").chmod(0o644)
    answer = off.client.get("/store/status", headers=key)
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text
    assert "chmod 600" in caplog.text
    assert off.client.get("/healthz").status_code == 200
    (tmp_path / "state/server-keys.json").chmod(0o600)
    assert off.client.get("/store/status", headers=key).status_code == 200


def test_the_right_to_read_reads_and_does_not_write(off):
    reader = off.key(right=Right.READ)
    writer = off.key(right=Right.WRITE)
    operations = off.client.get("/openapi.json", headers=reader).json()["paths"]
    for path, methods in operations.items():
        for method in methods:
            if method.upper() == "GET":
                continue
            filled = path.replace("{", "").replace("}", "")
            answer = off.client.request(method, filled, headers=reader, json={})
            assert (path, answer.status_code) == (path, 403) or answer.status_code in (400, 422)
    for path in ("/metrics", "/store/status", "/config/tools", "/api/storage/status"):
        assert off.client.get(path, headers=reader).status_code == 200
    assert off.client.post("/api/chat", json=CHAT, headers=reader).status_code == 403
    assert off.client.post("/api/chat", json=CHAT, headers=writer).status_code == 200
    assert off.client.delete("/agents/0123456789abcdef01234567", headers=reader).status_code == 403


def test_a_socket_writes_so_a_key_that_only_reads_does_not_open_one(off):
    reader = off.key(right=Right.READ)
    assert off.close_frame("/ws/chat", reader) == (1008, "The key has the right read, and this needs write.")
    assert off.close_frame("/ws/w/a/c/u", reader) == (1008, "The key has the right read, and this needs write.")


# --- browsers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", "", "localhost:x", "[::2]"]
)
def test_an_unknown_host_is_rejected(off, host):
    """A page whose own name points to this machine sends that name."""
    assert off.client.get("/health", headers={"host": host}).status_code == 400
    assert off.close_frame("/ws/chat", {"host": host})[0] == 1008


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_the_names_of_this_machine_are_known(off, host):
    assert off.client.get("/health", headers={"host": host}).status_code == 200


def test_the_address_that_the_server_listens_on_is_known():
    for host, sent in (("10.1.2.3", "10.1.2.3:80"), ("fd00::1", "[fd00::1]:80"), ("Chat.example", "chat.example")):
        assert BrowserRules.of([host], [])._is_known(sent)
    assert not BrowserRules.of(["10.1.2.3"], [])._is_known("10.1.2.4")
    assert BrowserRules.of(["chat.example:8443"], [])._is_known(
        "chat.example:8443"
    )  # a port in the settings is ignored


def test_a_page_without_an_origin_is_not_that_of_a_request_without_a_host():
    rules = BrowserRules.of(["*"], [])
    for origin in ("null", "", "http://"):
        assert not rules._is_allowed(origin, "")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000.evil", "http://localhost:9999"]
)
def test_a_page_of_another_origin_changes_nothing_and_opens_no_socket(off, origin):
    headers = {"origin": origin}
    for path in ("/api/chat", "/agents", "/session", "/unknown"):
        assert off.client.post(path, json=CHAT, headers=headers).status_code == 403
    assert off.client.delete("/agents/0123456789abcdef01234567", headers=headers).status_code == 403
    assert off.close_frame("/ws/chat", headers) == (1008, "The Origin of the request is not allowed.")
    assert off.close_frame("/ws/w/a/c/u", headers) == (1008, "The Origin of the request is not allowed.")
    read = off.client.get("/config/tools", headers=headers)
    assert "access-control-allow-origin" not in read.headers  # the browser does not give it to the page


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://LOCALHOST:3000", "http://127.0.0.1:8000", None])
def test_the_pages_of_the_applications_and_programs_are_let_in(off, origin):
    headers = {} if origin is None else {"origin": origin}
    assert off.client.post("/api/chat", json=CHAT, headers=headers).status_code == 200
    with off.socket("/ws/chat", headers=headers) as socket:
        assert socket.receive_json()["type"] == "system"


def test_a_browser_may_ask_first_and_can_read_a_refusal(off):
    asking = {"origin": "http://localhost:3000", "access-control-request-method": "PUT"}
    asking["access-control-request-headers"] = "x-api-key, content-type"
    off.key()
    answer = off.client.options("/agents/1", headers=asking)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    refusal = off.client.get("/store/status", headers={"origin": "http://localhost:3000"})
    assert refusal.status_code == 401
    assert refusal.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert (
        "access-control-allow-origin"
        not in off.client.options("/agents/1", headers={**asking, "origin": "null"}).headers
    )


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_body_that_a_page_can_send_without_asking_is_rejected(off, kind):
    for path in ("/api/chat", "/agents", "/session", "/v1/sessions/end"):
        answer = off.client.post(path, content=b'{"message": "hello"}', headers={"content-type": kind})
        assert answer.status_code == 415
    assert off.services.cache.messages("default") == []


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_body_over_the_limit_is_rejected_with_and_without_a_length(tmp_path):
    with served(settings_of(tmp_path, body_bytes=1_000)) as server:
        large = b'{"message": "' + b"x" * 2_000 + b'"}'
        headers = {"content-type": "application/json"}
        for body in (large, iter([large[:500], large[500:1_200], large[1_200:]])):
            answer = server.client.post("/api/chat", content=body, headers=headers)
            assert (answer.status_code, answer.json()) == (413, {"detail": "The body has more than 1,000 bytes."})
        assert server.client.post("/api/chat", json=CHAT).status_code == 200


def test_each_caller_has_a_rate_and_the_answer_says_when_to_come_back(tmp_path):
    with served(settings_of(tmp_path, requests_per_minute=3)) as server:
        first, second = server.key(), server.key()
        for _ in range(3):
            assert server.client.get("/config/tools", headers=first).status_code == 200
        limited = server.client.get("/config/tools", headers=first)
        assert limited.status_code == 429
        assert limited.json() == {"error": "Too many requests, please try again later."}
        assert int(limited.headers["retry-after"]) >= 1
        assert server.client.get("/config/tools", headers=second).status_code == 200
        assert server.close_frame("/ws/chat", first)[0] == 1013
        guesses = [server.client.get("/config/tools", headers={"x-api-key": "guess"}).status_code for _ in range(5)]
        assert guesses == [401, 401, 401, 429, 429]


def test_the_rate_allows_a_burst_and_then_its_share():
    now = [0.0]
    rate = RequestRate(60, lambda: now[0])
    for _ in range(60):
        rate.check("a")
    with pytest.raises(Refusal) as caught:
        rate.check("a")
    assert caught.value.headers == {"Retry-After": "1"}
    rate.check("b")
    now[0] = 2.0
    rate.check("a")
    rate.check("a")
    with pytest.raises(Refusal):
        rate.check("a")
    now[0] = 1_000.0
    for _ in range(60):
        rate.check("a")
    with pytest.raises(Refusal):
        rate.check("a")


def test_no_rate_is_no_limit():
    rate = RequestRate(0)
    for _ in range(5_000):
        rate.check("a")


def test_sockets_have_a_limit_and_a_closed_one_makes_room(tmp_path):
    with served(settings_of(tmp_path, sockets=1)) as server:
        with server.socket("/ws/chat") as socket:
            socket.receive_json()
            assert server.close_frame("/ws/chat") == (1013, "Too many sockets are open.")
        with server.socket("/ws/chat") as socket:
            socket.receive_json()
    assert server.services.sockets.open == 0


def test_a_refused_socket_is_not_counted():
    sockets = OpenSockets(1)
    sockets.add()
    with pytest.raises(Refusal):
        sockets.add()
    sockets.remove()
    assert sockets.open == 0


# --- the log ---------------------------------------------------------------------------------------------------------


def test_the_access_log_has_neither_texts_nor_ids_nor_keys(off, caplog):
    caplog.set_level(logging.INFO)
    key = off.key()
    off.client.post("/api/chat", json={"message": "my-secret-text", "session_id": "my-id"}, headers=key)
    off.client.get("/store/search?text=my-secret-text", headers=key)
    off.client.get("/api/conversation/history/my-id", headers=key)
    with off.socket(f"/ws/chat?session_id=my-id&access_token={key['x-api-key']}") as socket:
        socket.receive_json()
    lines = [record.getMessage() for record in caplog.records if record.name == "chatstore.server.access"]
    assert [line.split(" ")[:3] for line in lines[:3]] == [
        ["POST", "/api/chat", "200"],
        ["GET", "/store/search", "503"],
        ["GET", "/api/conversation/history/{session_id}", "200"],
    ]
    assert all(f"key {off.services.keys.all()[0].key_id}" in line for line in lines)
    text = "\n".join(lines)
    assert "my-secret" not in text
    assert "my-id" not in text
    assert key["x-api-key"] not in caplog.text


def test_names_of_keys_are_checked(off):
    for name, tenants in (("", None), ("x" * 201, None), ("x", [""]), ("x", ["a\0b"]), ("x", ["é" * 300])):
        with pytest.raises(BadValue):
            off.services.keys.create(name, Right.READ, tenants)


def test_no_answer_is_kept_but_the_files_of_the_page(off):
    off.key()
    for path in ("/store/sessions", "/agents", "/page/sessions", "/nowhere", "/health"):
        assert off.client.get(path).headers["cache-control"] == "no-store", path
    assert "cache-control" not in off.client.get("/page/static/page.css").headers
