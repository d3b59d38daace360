"""`chatstore indexes apply --search` on a real server: planned with a size, confirmed, and never by a plain `apply`."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

import pytest

from chatstore_cli.core.search.indexes import OTHERS_INDEX, TEXT_INDEX, UNUSED_FIELD

pytestmark = pytest.mark.real
ROW = {"session_id": "s1", "role": "user", "text": "where is my parcel", "created_at": "2026-03-02T11:41:00+00:00"}


@pytest.fixture
def messages(chatstore, database):
    """Flat messages with the indexes that the layout needs. One has a language that the server does not know."""
    database["chat_messages"].insert_many([{**ROW, "_id": n} for n in range(20)])
    database["chat_messages"].insert_one({**ROW, "text": "un colis perdu", "language": "xx"})
    assert chatstore("indexes", "apply", "--layout", "messages").code == 0
    return database["chat_messages"]


def found(chatstore, text: str, *arguments: str) -> list[str]:
    """The snippets of a search, and that nothing was reported."""
    outcome = chatstore("search", text, "-o", "json", *arguments)
    assert outcome.code == 0, outcome.err
    return [item["snippet"] for item in json.loads(outcome.out)["items"]]


def apply(chatstore, *arguments: str):
    """`indexes apply --search` as JSON rows by the name of the index, and its outcome."""
    outcome = chatstore("indexes", "apply", "--search", "--layout", "messages", "-o", "jsonl", *arguments)
    return {(row := json.loads(line))["name"]: row for line in outcome.out.splitlines()}, outcome


def test_a_plan_states_the_size_and_only_a_yes_creates_the_text_index(chatstore, messages):
    assert TEXT_INDEX not in messages.index_information()  # a plain apply does not make it
    rows, outcome = apply(chatstore, "--dry-run")
    assert (outcome.code, rows[TEXT_INDEX]["outcome"]) == (0, "planned")
    assert "for 21 documents" in rows[TEXT_INDEX]["detail"]
    rows, outcome = apply(chatstore)
    assert (outcome.code, rows[TEXT_INDEX]["outcome"]) == (6, "left")
    assert TEXT_INDEX not in messages.index_information()
    rows, outcome = apply(chatstore, "--yes")
    assert (outcome.code, rows[TEXT_INDEX]["outcome"]) == (0, "done")
    index = messages.index_information()[TEXT_INDEX]
    assert (index["default_language"], index["language_override"]) == ("none", UNUSED_FIELD)
    messages.insert_one({**ROW, "text": "un autre colis", "language": "xx"})  # the server accepts any language
    assert sorted(found(chatstore, "colis")) == ["un autre colis", "un colis perdu"]
    rows, outcome = apply(chatstore, "--yes")
    assert (outcome.code, rows) == (0, {})


def test_check_reports_the_indexes_of_a_search_as_ok_and_they_can_be_dropped(chatstore, messages):
    apply(chatstore, "--yes")
    checked = chatstore("indexes", "check", "--layout", "messages", "-o", "json")
    assert checked.code == 0
    states = {item["name"]: item["state"] for item in json.loads(checked.out)["items"]}
    assert (states[TEXT_INDEX], states[OTHERS_INDEX]) == ("ok", "ok")
    dropped = chatstore(
        "indexes", "apply", "--layout", "messages", "--yes", "--drop", TEXT_INDEX, "--drop", OTHERS_INDEX
    )
    assert dropped.code == 0, dropped.err
    assert TEXT_INDEX not in messages.index_information()
    assert len(found(chatstore, "colis")) == 1


def test_an_existing_text_index_is_used_if_it_can_serve(chatstore, messages):
    messages.delete_many({"language": "xx"})  # the server would not make such an index
    messages.create_index([("text", "text"), ("role", "text")], default_language="none", name="theirs")
    rows, outcome = apply(chatstore, "--yes")
    assert "uses the text index theirs" in outcome.err
    assert list(rows) == [OTHERS_INDEX]
    # A document can name its own language in the field that this index reads, and then its words are cut.
    messages.insert_one({**ROW, "text": "running late", "language": "english"})
    assert found(chatstore, "running") == ["running late"]


@pytest.mark.parametrize(
    ("keys", "options", "reason"),
    [
        ([("text", "text")], {}, "its language is english"),
        ([("summary", "text")], {"default_language": "none"}, "it does not have the field text"),
        ([("text", "text")], {"default_language": "none", "textIndexVersion": 2}, "its version is 2"),
        ([("role", 1), ("text", "text")], {"default_language": "none"}, "it begins with role"),
        (
            [("text", "text")],
            {"default_language": "none", "partialFilterExpression": {"role": "user"}},
            "it has only a part",
        ),
    ],
)
def test_a_text_index_that_may_miss_messages_is_neither_used_nor_replaced(chatstore, messages, keys, options, reason):
    messages.delete_many({"language": "xx"})  # the server would not make such an index
    messages.create_index(keys, name="theirs", **options)
    before = messages.index_information()
    rows, outcome = apply(chatstore, "--yes")
    assert (outcome.code, rows) == (0, {})
    assert f"cannot use it: {reason}" in outcome.err
    assert messages.index_information() == before
    outcome = chatstore("search", "parcel", "--limit", "3")
    assert "theirs of chat_messages cannot serve" in outcome.err
    assert outcome.out.count("parcel") == 3
    assert chatstore("indexes", "check", "--layout", "messages").code == 0


def test_without_the_collection_nothing_is_created(chatstore, database):
    outcome = chatstore("indexes", "apply", "--search", "--layout", "messages", "--yes")
    assert outcome.code == 0
    assert TEXT_INDEX not in database["chat_messages"].index_information()


@pytest.mark.parametrize("kind", ["view", "capped", "time series"])
def test_a_collection_of_another_kind_is_searched_and_gets_no_index(chatstore, database, kind):
    stored = [{**ROW, "_id": n, "text": f"parcel {n}"} for n in range(3)]
    if kind == "view":
        database["elsewhere"].insert_many(stored)
        database.create_collection("chat_messages", viewOn="elsewhere", pipeline=[])
    elif kind == "capped":
        database.create_collection("chat_messages", capped=True, size=4096)
        database["chat_messages"].insert_many(stored)
    else:
        database.create_collection("chat_messages", timeseries={"timeField": "created_at"})
        at = datetime(2026, 3, 2, tzinfo=UTC)
        database["chat_messages"].insert_many([{**row, "created_at": at} for row in stored])
    rows, outcome = apply(chatstore, "--yes")
    assert (outcome.code, rows) == (1, {})
    assert "Nothing was written" in outcome.err
    assert sorted(found(chatstore, "parcel")) == ["parcel 0", "parcel 1", "parcel 2"]


def test_messages_that_are_written_during_the_build_are_found(chatstore, messages):
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            messages.insert_one({**ROW, "_id": f"new {number}", "text": f"late parcel{number}"})
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        rows, _ = apply(chatstore, "--yes")
    finally:
        stop.set()
        writer.join()
    assert rows[TEXT_INDEX]["outcome"] == "done"
    last = messages.count_documents({"_id": {"$type": "string"}}) - 1
    for number in {0, last // 2, last}:
        assert found(chatstore, f"parcel{number}") == [f"late parcel{number}"]
