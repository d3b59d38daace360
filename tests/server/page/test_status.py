"""The status of a session on the page: the words of `sessions list`, the reason, and the choice `paused` of the filter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest

from tests.support.samples import store_sample
from tests.support.served_app import Served, served, settings_of

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
STATUSES = {
    "waits": "running, paused",
    "resumed": "running",
    "broke": "failed",
    "broke-while-paused": "failed, paused",
    "bare": "unknown",
}
REASONS = {
    "waits": "needs <b>approval</b>",
    "broke": "the model did not answer",
    "broke-while-paused": "too expensive",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, mongod, module_database) -> Iterator[Served]:
    """An application over a session of each status, and over calls, which are never paused."""

    def session(name: str, **fields: Any) -> dict[str, Any]:
        return {"chat_id": name, "enterprise_id": "acme", "last_updated_at": WHEN, "messages": []} | fields

    module_database["chat_sessions"].insert_many(
        [
            session("waits", status=0, paused=True, pause_reason=REASONS["waits"], failure_reason="an older one"),
            session("resumed", status=0, paused=False, pause_reason="an older one"),
            session("broke", status=-1, failure_reason=REASONS["broke"]),
            session("broke-while-paused", status=-1, paused=True, pause_reason=REASONS["broke-while-paused"]),
            session("bare", real_time_tracking={"tokens": {}}),
        ]
    )
    store_sample(module_database, "calls")
    with served(settings_of(tmp_path_factory.mktemp("status"), mongod.uri, module_database.name)) as running:
        yield running


def html_of(server: Served, address: str) -> str:
    answer = server.client.get(address, headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def listed(server: Served, query: str) -> dict[str, str]:
    """The status of each session in the list, by id."""
    html = html_of(server, f"/page/sessions?{query}")
    statuses = re.findall(r'data-label="Status"><span[^>]*>([^<]*)<', html)
    names = re.findall(r'<th scope="row"[^>]*><a [^>]*>([^<]*)</a>', html)
    return dict(zip(names, statuses, strict=True))


def facts(server: Served, name: str) -> dict[str, str]:
    """The facts above the messages of a session, by title."""
    html = html_of(server, f"/page/session?layout=workflow&id={name}")
    return {title: unescape(text) for title, text in re.findall(r"<dt>(.*?)</dt><dd><bdi>(.*?)</bdi>", html)}


def test_the_list_has_the_status_in_the_words_of_the_command(server):
    assert listed(server, "layout=workflow") == STATUSES


@pytest.mark.parametrize("name", STATUSES)
def test_a_session_has_its_status_and_the_reason(server, name):
    shown = facts(server, name)
    assert (shown["Status"], shown.get("Reason")) == (STATUSES[name], REASONS.get(name))


def test_a_copied_session_has_them_too(server):
    copied = server.client.get("/page/session/copy?layout=workflow&id=waits&form=markdown").text
    assert "running, paused" in copied
    assert "approval" in copied


@pytest.mark.parametrize("layout", ["", "workflow", "calls"])
def test_paused_sessions_can_be_selected(server, layout):
    paused = {name: status for name, status in STATUSES.items() if status.endswith(", paused")}
    assert listed(server, f"layout={layout}&status=paused") == ({} if layout == "calls" else paused)


def test_each_status_of_the_list_is_a_choice(server):
    html = html_of(server, "/page/sessions?status=paused")
    [choices] = re.findall(r'<select name="status">(.*?)</select>', html, re.DOTALL)
    assert re.findall(r'value="(\w+)"', choices) == ["running", "completed", "failed", "unknown", "paused"]
    assert re.findall(r'value="(\w+)" selected', choices) == ["paused"]
    assert listed(server, "layout=workflow&status=unknown") == {"bare": "unknown"}
