"""Every cursor that an answer or the page has is accepted, and a deleted message does not lead back to the beginning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from bson import Decimal128
from pymongo.database import Database

from tests.support.mongod import Mongod
from tests.support.served_app import Served, served, settings_of

THREAD = {"user_id": "ana", "org_id": "acme", "name": "plan"}


@pytest.fixture
def server(tmp_path: Any, mongod: Mongod, database: Database[Any]) -> Iterator[Served]:
    """An application over an empty database."""
    with served(settings_of(tmp_path, mongod.uri, database.name)) as each:
        yield each


def contents(server: Served, path: str) -> list[Any]:
    """All messages of a session, a page of one message after the other."""
    found: list[Any] = []
    cursor = ""
    while True:
        answer = server.client.get(f"{path}?limit=1{cursor}")
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += [each["content"] for each in body["items"]]
        if body["next_cursor"] is None:
            return found
        assert len(found) < 100, "the pages do not end"
        cursor = f"&cursor={quote(body['next_cursor'])}"


@pytest.mark.parametrize("layout", ["messages", "threads", "workflow"])
def test_cursors_of_sequences_beyond_64_bits_and_of_long_ids_are_accepted(
    server: Served, database: Database[Any], layout: str
) -> None:
    sequences = [1, 2, 2.0**63, 1e300, Decimal128("1e40"), "99999999999999999999", "a"]
    ids = [f"{number}{'é' * 9_000}" for number in range(len(sequences))]
    texts = list(map(str, range(len(sequences))))
    if layout == "messages":
        database["chat_messages"].insert_many([
            {"session_id": "s", "message_id": each_id, "role": "user", "text": text, "metadata": {},
             "created_at": f"2026-03-05T10:00:0{text}Z", "sequence": sequence}
            for each_id, text, sequence in zip(ids, texts, sequences, strict=True)
        ])  # fmt: skip
    elif layout == "threads":
        database["chat_threads"].insert_one({"_id": "s", **THREAD})
        database["chat_thread_messages"].insert_many([
            {"_id": each_id, "chat_thread_id": "s", "sender_role": "user", "content": text, "sequence": sequence}
            for each_id, text, sequence in zip(ids, texts, sequences, strict=True)
        ])  # fmt: skip
        texts = [texts[each] for each in (0, 1, 2, 4, 3, 5, 6)]
    else:
        stored = [
            {"event_id": each_id, "role": "user", "content": text, "sequence": sequence}
            for each_id, text, sequence in zip(ids, texts, sequences, strict=True)
        ]
        session = {"_id": "s", "enterprise_id": "acme", "workflow_name": "w", "status": 0, "messages": stored}
        database["chat_sessions"].insert_one(session)
    assert contents(server, "/store/sessions/s/messages") == texts


def test_messages_after_a_sequence_are_found_beside_decimals(server: Served, database: Database[Any]) -> None:
    database["chat_messages"].insert_many([
        {"session_id": "s", "role": "user", "text": str(number), "created_at": f"2026-03-05T10:00:0{number}Z",
         "sequence": Decimal128(str(number))}
        for number in range(4)
    ])  # fmt: skip
    answer = server.client.get("/store/sessions/s/messages?after_sequence=1")
    assert [each["content"] for each in answer.json()["items"]] == ["2", "3"], answer.text


def shown(server: Served, **query: str) -> tuple[list[int], str, dict[str, str]]:
    """The numbers of the messages that the page shows, its text, and the query of its link to the previous messages."""
    answer = server.client.get("/page/session", params={"id": "s", **query})
    assert answer.status_code == 200, answer.text
    link = re.search(r'href="([^"]*)#below" rel="prev"', answer.text)
    previous = parse_qs(urlsplit(unescape(link[1])).query) if link else {}
    numbers = [int(each) for each in re.findall(r"message (\d+)\D", answer.text)]
    return numbers, answer.text, {name: value for name, [value] in previous.items() if name != "id"}


def test_the_page_before_a_deleted_message_has_what_was_before_it(server: Served, database: Database[Any]) -> None:
    database["chat_threads"].insert_one({"_id": "s", **THREAD})
    database["chat_thread_messages"].insert_many([
        {"_id": f"m{number}", "chat_thread_id": "s", "sender_role": "user", "sequence": number,
         "content": f"message {number}!"}
        for number in range(200)
    ])  # fmt: skip
    numbers, _, previous = shown(server, at="end")
    assert sorted(set(numbers)) == list(range(150, 200))
    database["chat_thread_messages"].delete_many({"sequence": {"$in": [148, 150]}})
    numbers, text, _ = shown(server, **previous)
    assert sorted(set(numbers)) == [*range(99, 148), 149]
    assert "was deleted" not in text


def test_the_page_reports_that_a_place_is_gone(server: Served, database: Database[Any]) -> None:
    stored = [{"role": "user", "content": f"message {number}!"} for number in range(120)]
    session = {"_id": "s", "enterprise_id": "acme", "workflow_name": "w", "status": 0, "messages": stored}
    database["chat_sessions"].insert_one(session)
    _, _, previous = shown(server, at="end")
    database["chat_sessions"].update_one({}, {"$pull": {"messages": {"content": "message 70!"}}})
    numbers, text, _ = shown(server, **previous)
    assert numbers == list(range(50))
    assert "was deleted. These are the first messages." in text
    _, text, _ = shown(server, at="7")
    assert "does not have this message" in text
    gone = server.client.get("/store/sessions/s/messages?limit=50").json()["next_cursor"]
    database["chat_sessions"].update_one({}, {"$pull": {"messages": {"content": "message 49!"}}})
    answer = server.client.get("/store/sessions/s/messages", params={"cursor": gone})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (409, "place_gone"), answer.text
