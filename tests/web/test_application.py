"""Requests to an untrusted server: each ends with a response or a ChatstoreError that describes the failure."""

from __future__ import annotations

import contextlib
import gzip
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from chatstore_cli.domain.checked_application import Response
from chatstore_cli.domain.errors import ChatstoreError, Overdue, Unreachable, WrongUse
from chatstore_cli.web.address import read_address
from chatstore_cli.web.application import WebApplication
from tests.support.applications.raw_server import accept_websocket, frame, raw_server, response

TIME_LIMIT = 0.4
"""Seconds for servers that never respond: only a client that gives up passes their tests."""


def application(port: int, *headers: str, scheme: str = "http") -> WebApplication:
    """The server of a test."""
    return WebApplication(read_address(f"{scheme}://127.0.0.1:{port}", headers))


def get(port: int, seconds: float = 60.0, scheme: str = "http") -> Response:
    """One request."""
    return application(port, scheme=scheme).request("GET", "/api/x", seconds=seconds)


def hang(connection, _head: bytes) -> None:
    """Send nothing until the client closes the connection."""
    connection.recv(1)


def drip(connection, data: bytes) -> None:
    """Send byte by byte, for minutes."""
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def test_a_request_has_its_headers_and_the_payload_as_json():
    requests = []

    def handle(connection, head):
        requests.append(head + (b"" if head.endswith(b"}") else connection.recv(65536)))
        connection.sendall(response(b"{}"))

    with raw_server(handle) as port:
        received = application(port, "Authorization: Bearer x", "Accept: text/x").request(
            "POST", "/a/b?c=1", seconds=60, query={"d": "ä&="}, payload={"message": "Grüße"}
        )
    assert received == Response(200, b"{}")
    [request] = requests
    head, _, body = request.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /a/b?c=1&d=%C3%A4%26%3D HTTP/1.1"
    assert {"Authorization: Bearer x", "Accept: text/x", "accept-encoding: identity"} <= {
        line.replace("accept: ", "Accept: ").replace("authorization", "Authorization") for line in lines
    }
    assert body == '{"message": "Gr\\u00fc\\u00dfe"}'


@pytest.mark.parametrize(
    ("handle", "error", "text"),
    [
        (hang, Overdue, "GET /api/x: no .*response within 0.4 seconds"),
        (lambda connection, _: drip(connection, b"HTTP/1.1 200 OK\r\n" + b"x" * 10_000), Overdue, "no .*response within"),
        (
            lambda connection, _: drip(connection, b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + b"[" * 9000),
            Overdue,
            "no .*response within",
        ),
        (lambda connection, _: None, ChatstoreError, "not valid HTTP: Server disconnected"),
        (lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), ChatstoreError, "not valid HTTP"),
        (lambda connection, _: connection.sendall(response(b"{}")[:-1]), ChatstoreError, "not valid HTTP"),
        (lambda connection, _: connection.sendall(response(b"", "x: " + "y" * 500_000 + "\r\n")), ChatstoreError, "HTTP"),
        (lambda connection, _: connection.sendall(response(b"x" * (5 << 20))), ChatstoreError, "is over 4 MiB"),
        (
            lambda connection, _: connection.sendall(
                response(gzip.compress(b"0" * (20 << 20), 1), "content-encoding: gzip\r\n")
            ),
            ChatstoreError,
            r"compressed \(gzip\), though only identity was accepted",
        ),
        (
            lambda connection, _: connection.sendall(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"100000\r\n" + b"x" * (1 << 20) + b"\r\n" * 1
                + b"".join(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n" for _ in range(6))
            ),
            ChatstoreError,
            "is over 4 MiB",
        ),
    ],
    ids=["silent", "drip-head", "drip-body", "closing", "ssh", "cut-off", "long-head", "long-body", "packed", "chunks"],
)  # fmt: skip
def test_a_server_that_misbehaves_is_an_error_that_describes_it(handle, error, text):
    with raw_server(handle) as port, pytest.raises(error, match=text) as raised:
        get(port, TIME_LIMIT if error is Overdue else 60.0)
    assert raised.value.hint


def test_a_port_without_a_listener_is_unreachable():
    with raw_server(lambda *_: None) as port:
        pass
    with pytest.raises(Unreachable, match=r"cannot connect: .*Connection refused") as raised:
        get(port)
    assert type(raised.value) is Unreachable
    with pytest.raises(Unreachable, match="cannot connect: "):
        WebApplication(read_address("http://nowhere.invalid", [])).request("GET", "/", seconds=10)


def test_a_redirect_is_returned_without_its_credentials_and_not_followed():
    followed = []

    def handle(connection, head):
        followed.append(head.split()[1])
        where = f"location: http://ana:word@127.0.0.1:{port}/elsewhere?token=word\r\n"
        connection.sendall(response(b"", where, "302 Found"))

    with raw_server(handle) as port:
        assert get(port) == Response(302, b"", f"http://127.0.0.1:{port}/elsewhere")
        with application(port, "X-Key: Geheimnis").open_websocket("/ws", 60) as refused:
            assert refused == Response(302, b"")
    assert followed == [b"/api/x", b"/ws"]


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with raw_server(lambda connection, _: connection.sendall(response(b"{}"))) as port:
        assert get(port) == Response(200, b"{}")
        with application(port).open_websocket("/ws", 60) as refused:
            assert refused == Response(200, b"{}")


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key."""
    file = tmp_path / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", file, "-out", tmp_path / "crt"], check=True, capture_output=True)
    file.write_text(file.read_text() + (tmp_path / "crt").read_text())
    return file


def test_an_unknown_certificate_is_rejected_and_one_of_a_private_authority_is_accepted(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def handle(connection, head):
        if b"upgrade" in head.lower():
            accept_websocket(connection, head)
            connection.sendall(frame(b"{}"))
            connection.recv(100)
        else:
            connection.sendall(response(b"{}"))

    with raw_server(handle, context) as port:
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED") as raised:
            get(port, scheme="https")
        assert "SSL_CERT_FILE" in str(raised.value.hint)
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            application(port, scheme="https").open_websocket("/ws", 60).__enter__()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert get(port, scheme="https") == Response(200, b"{}")
        with application(port, scheme="https").open_websocket("/ws", 60) as websocket:
            assert not isinstance(websocket, Response)
            assert websocket.receive(60) == "{}"


def test_tls_to_a_server_without_tls_is_an_error():
    with raw_server(lambda connection, _: connection.sendall(response(b"{}"))) as port:
        for attempt in (
            lambda: get(port, scheme="https"),
            lambda: application(port, scheme="https").open_websocket("/ws", 60).__enter__(),
        ):
            with pytest.raises(ChatstoreError) as raised:
                attempt()
            assert raised.value.hint


# --- WebSocket -------------------------------------------------------------------------------------------------------


def test_a_websocket_sends_and_receives_frames_of_both_kinds_with_the_headers():
    heads = []

    def handle(connection, head):
        heads.append(head)
        accept_websocket(connection, head)
        connection.sendall(frame(b"{}") + frame(b"\x00\xff", 2))
        connection.recv(100)
        connection.sendall(frame(b"taken"))
        connection.recv(100)

    with raw_server(handle) as port, application(port, "X-Key: abc").open_websocket("/ws?a=1", 60) as websocket:
        assert not isinstance(websocket, Response)
        assert websocket.receive(60) == "{}"
        assert websocket.receive(60) == b"\x00\xff"
        assert websocket.receive(0.01) is None
        websocket.send("hello", 60)
        assert websocket.receive(60) == "taken"
    assert b"GET /ws?a=1 HTTP/1.1" in heads[0]
    assert b"x-key: abc" in heads[0].lower()


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "426 Upgrade Required", "500 Oh", "200 OK"])
def test_a_server_that_opens_no_websocket_gives_its_status(status):
    with (
        raw_server(lambda connection, _: connection.sendall(response(b"no", status=status))) as port,
        application(port).open_websocket("/ws", 60) as refused,
    ):
        assert isinstance(refused, Response)
        assert refused.status == int(status[:3])


@pytest.mark.parametrize(
    ("handle", "error"),
    [
        (hang, Overdue),
        (lambda connection, _: drip(connection, b"HTTP/1.1 101 Switching Protocols\r\n" * 500), Overdue),
        (lambda connection, _: None, ChatstoreError),
        (lambda connection, _: connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), ChatstoreError),
        (
            lambda connection, _: connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: abc\r\n\r\n"
            ),
            ChatstoreError,
        ),
    ],
    ids=["silent", "drip", "closing", "ssh", "wrong-key"],
)
def test_a_websocket_that_is_opened_wrong_is_an_error(handle, error):
    with raw_server(handle) as port, pytest.raises(error, match="WebSocket /ws: ") as raised:
        application(port).open_websocket("/ws?token=Geheimnis", TIME_LIMIT if error is Overdue else 60).__enter__()
    assert "Geheimnis" not in raised.value.message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (frame(b"\x03\xf3no more", 8), r"closed the connection with code 1011 \(no more\)"),
        (b"", "the connection was lost"),
        (frame(b"x" * (1 << 20) + b"x"), "a frame is over 1,024 KiB"),
        (frame(b"\xff\xfe"), "broke the WebSocket protocol|not UTF-8"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", "broke the WebSocket protocol"),
    ],
    ids=["closed", "gone", "long", "not-utf8", "garbage"],
)
def test_a_websocket_that_fails_reports_how(data, text):
    def handle(connection, head):
        accept_websocket(connection, head)
        connection.sendall(data)
        if data:
            connection.recv(100)

    with raw_server(handle) as port, application(port).open_websocket("/ws", 60) as websocket:
        assert not isinstance(websocket, Response)
        with pytest.raises(ChatstoreError, match=text):
            while websocket.receive(60) is not None:
                pass
        with pytest.raises(ChatstoreError):
            websocket.send("hello", 1)


def test_a_flood_of_frames_is_received_one_by_one_and_leaving_does_not_wait_for_its_end():
    def handle(connection, head):
        accept_websocket(connection, head)
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(frame(b"x" * 100_000))

    with raw_server(handle) as port, application(port).open_websocket("/ws", 60) as websocket:
        assert not isinstance(websocket, Response)
        for _ in range(50):
            assert websocket.receive(60)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown", "socket"),
    [
        ("http://localhost:8000", "http://localhost:8000", "ws://localhost:8000/ws"),
        ("https://chat.example/app/", "https://chat.example/app", "wss://chat.example/app/ws"),
        ("http://ana:p%40ss@[::1]:8000/", "http://[::1]:8000", "ws://[::1]:8000/ws"),
        ("HTTP://Chat.Example:80", "http://chat.example", "ws://chat.example/ws"),
    ],
)
def test_an_address_is_shown_without_credentials(url, shown, socket):
    address = read_address(url, [])
    assert (address.shown, address.url("/ws", websocket=True)) == (shown, socket)
    assert "p@ss" not in repr(address)


def test_credentials_of_the_url_become_a_header_unless_there_is_one():
    address = read_address("http://ana:p%40ss-word@host", [])
    assert address.headers == (("Authorization", "Basic YW5hOnBAc3Mtd29yZA=="),)
    assert read_address("http://ana:p@host", ["authorization: x"]).headers == (("authorization", "x"),)
    hidden = WebApplication(address).without_secrets("p@ss-word p%40ss-word Basic YW5hOnBAc3Mtd29yZA== ana")
    assert hidden == "*** *** Basic *** ana"


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://host", "http://", "http://host:port", "http://host:99999", "http://[::1", "http://a b",
     "http://host/?a", "http://host#a", "http://a:b/c@host", "http://host\n", "http://höst"],
)  # fmt: skip
def test_an_invalid_address_is_wrong_use_that_does_not_show_it(url):
    with pytest.raises(WrongUse) as raised:
        read_address(url, [])
    assert raised.value.message.startswith("--api-url is not the URL of an application: ")


@pytest.mark.parametrize("header", ["", "no colon", ": Geheimnis", "a b: c", "A: \x00", "A: ä", "A: b\r\nC: d"])
def test_an_invalid_header_is_wrong_use_that_does_not_show_its_value(header):
    with pytest.raises(WrongUse) as raised:
        read_address("http://host", [header])
    assert header.partition(":")[2].strip() not in raised.value.message or not header.partition(":")[2].strip()
