"""While MongoDB does not answer, no answer of the server names its host, its port or the password."""

from __future__ import annotations

import logging
import re

import pytest
from pymongo import common

from chatstore_cli.domain.api_keys import Right
from chatstore_cli.mongo.connection import time_limit
from chatstore_cli.server.entrance.masked_log import MaskingFormatter, secrets_of
from tests.server.test_two_tenants import ABSENT, ROUTES, cases
from tests.support.served_app import served, settings_of

URI = "mongodb://ana:geheim-word@mongohost.invalid:27999/?serverSelectionTimeoutMS=20"
# The port as a number of its own: the digits alone are also in measured times, as in 0.0027999.
NAMES = re.compile(r"geheim|mongohost|invalid:|\bana:|(?<![\w.])27999(?![\w.])")


def test_what_names_the_database_is_recognised():
    assert len(NAMES.findall(f"{URI}, port 27999")) == 6  # each part of the URI, and the port once more
    assert NAMES.findall('chatstore_request_seconds_sum{route="/health"} 0.0027999 1.27999e-05 adb-7') == []


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    folder = tmp_path_factory.mktemp("away")
    settings = settings_of(folder, URI, timeout=0.02, requests_per_minute=0)
    with served(settings) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "MIN_HEARTBEAT_INTERVAL", 0.01)  # otherwise it takes half a second to give up
        # The driver gives up at once, long before the server's own deadlines: its errors have the names.
        patch.setattr(server.services.stores, "within", lambda _: time_limit(0.02))
        yield server
        server.services.worker.stop(0)


@pytest.mark.parametrize("route", [each for each in ROUTES if each != "GET /store/events"])
def test_no_answer_names_the_database(away, route, caplog):
    caplog.set_level(logging.INFO)
    method = route.partition(" ")[0]
    path, body = (cases(ABSENT, ABSENT)[route] or [("/health", None)])[0]
    for key in (away.key(), away.key(ABSENT.tenant)):
        answer = away.client.request(method, path, json=body, headers=key)
        assert answer.status_code != 500, (path, answer.text)
        text = f"{answer.text} {dict(answer.headers)}"
        assert not NAMES.findall(text), (path, text)
    formatter = MaskingFormatter("%(message)s", secrets_of(away.services.settings))
    assert not [record for record in caplog.records if "geheim" in formatter.format(record)]


def test_no_socket_names_the_database(away):
    key = away.key(right=Right.WRITE)
    code, reason = away.close_frame(f"/ws/research/{ABSENT.tenant}/{ABSENT.chat}/{ABSENT.user}", key)
    assert code == 1013
    assert not NAMES.findall(reason)
    with away.socket("/ws/chat?session_id=s", key) as socket:
        frames = [socket.receive_json()]
        socket.send_json({"message": "hello"})
        while frames[-1].get("status") != "complete":
            frames.append(socket.receive_json())
    assert [frame["type"] for frame in frames] == ["system", "status", "response", "status"]
    assert not NAMES.findall(str(frames))
