"""What a support person does in the page: copy a conversation without personal data, and read the cost of a tenant."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chatstore_cli.server.page.words import cost
from tests.support.served_app import served, settings_of


@pytest.fixture
def page(tmp_path, mongod, database):
    with served(settings_of(tmp_path, mongod.uri, database.name)) as server:
        at = datetime(2026, 2, 1, tzinfo=UTC)
        database["chat_sessions"].insert_one(
            {
                "_id": "c-1",
                "chat_id": "c-1",
                "app_id": "acme",
                "user_id": "ana",
                "workflow_name": "refund",
                "status": 0,
                "created_at": at,
                "last_updated_at": at,
                "messages": [{"role": "user", "content": "I am ana@mail.example", "sequence": 1, "timestamp": at}],
            }
        )
        yield server.client


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_a_copy_without_personal_data_says_what_it_replaced(page, form):
    address = f"/page/session/copy?id=c-1&form={form}"
    assert "ana@mail.example" in page.get(address).text
    copied = page.get(f"{address}&redact=true")
    assert "ana@mail.example" not in copied.text and "[email 1]" in copied.text
    assert copied.headers["X-Chatstore-Note"].startswith("Redacted: 1 e-mail address.")


def test_the_session_offers_the_copy_without_personal_data(page):
    assert "redact=true" in page.get("/page/session?id=c-1").text


def test_an_unknown_cost_is_named_as_in_the_command():
    shown = [cost(None, True), cost(None, False), cost("0.00080925", True), cost("1", False)]
    assert shown == ["-", "unknown", "0.00080925", "1.00 + unknown"]


@pytest.mark.parametrize("path", ["/", "/health", "/healthz", "/readyz"])
def test_a_probe_may_ask_for_the_head_alone(page, path):
    answer = page.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_metrics_have_no_series_of_creation_times(page):
    page.get("/healthz")
    assert "_created" not in page.get("/metrics").text
