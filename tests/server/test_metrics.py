"""The metrics of one process and of several."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.mongod import poll
from tests.support.served_app import Served, served, settings_of

PROGRAM = """
import sys
from pathlib import Path
from tests.support.served_app import served, settings_of

with served(settings_of(Path(sys.argv[1]))) as server:
    for _ in range(int(sys.argv[2])):
        assert server.client.get("/healthz").status_code == 200
    print(server.client.get("/metrics").text)
"""


def _value(text: str, name: str) -> float | None:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return None if found is None else float(found[1])


def test_requests_are_counted_by_their_route_without_ids(off: Served) -> None:
    off.client.get("/agents/65f000000000000000000001")
    text = off.client.get("/metrics").text
    assert _value(text, 'chatstore_requests_total{method="GET",route="/agents/{agent_id}",status="503"}') == 1
    assert "65f000000000000000000001" not in text


def test_open_sockets(off: Served) -> None:
    with off.socket("/ws/chat?session_id=s-1") as socket:
        socket.receive_json()
        assert _value(off.client.get("/metrics").text, "chatstore_open_sockets") == 1
    assert _value(off.client.get("/metrics").text, "chatstore_open_sockets") == 0


@pytest.mark.real
def test_the_worker_is_reported_in_seconds(server: Served) -> None:
    preparation = server.services.preparation
    assert preparation is not None
    while not preparation.is_complete:  # which stores the messages of earlier processes, and would take these for some
        time.sleep(0.01)
    assert server.client.post("/api/chat", json={"message": "a"}).status_code == 200
    while (worker := server.services.worker) is None or worker.stats().flushed < 2:
        time.sleep(0.01)  # the limit is that of the test
    # The worker counts what it has stored before the queue is shorter.
    while _value(text := server.client.get("/metrics").text, "chatstore_queue_depth") != 0:
        time.sleep(0.01)
    assert _value(text, 'chatstore_messages_total{result="stored"}') == 2
    milliseconds = worker.stats().flush_latency_p50
    assert milliseconds is not None
    assert _value(text, 'chatstore_flush_seconds{quantile="0.5"}') == pytest.approx(milliseconds / 1000)


@pytest.mark.soak
def test_processes_with_a_common_folder_report_the_requests_of_all(tmp_path: Path) -> None:
    together = tmp_path / "metrics"
    together.mkdir()
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(together)}
    for expected in (2, 5):
        folder = tmp_path / str(expected)
        folder.mkdir()
        count = str(2 if expected == 2 else 3)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, folder, count], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        name = 'chatstore_requests_total{method="GET",route="/healthz",status="200"}'
        assert _value(done.stdout, name) == expected
        assert _value(done.stdout, "chatstore_open_sockets") == 0


def test_the_status_of_the_cache_names_the_worker_of_the_server(tmp_path, mongo_uri, database, chatstore):
    settings = settings_of(tmp_path, mongo_uri, database.name)
    folder = settings.mongo.cache.disk_path

    def worker():
        return json.loads(chatstore("cache", "status", folder, "-o", "json").out)["worker"]

    with served(settings) as server:
        preparation = server.services.preparation
        poll(lambda: preparation.is_complete, what="the end of the preparation")
        server.client.post("/api/chat", json={"message": "hello", "session_id": "s"})
        shown = worker()
        assert (shown["command"], shown["pid"]) == ("chatstore serve", os.getpid())
    assert worker() is None
