"""`chatstore ttl`: what MongoDB deletes by itself, and safe changes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.mongod import poll

pytestmark = pytest.mark.real

NOW = datetime.now(UTC)
DAY = 86_400
ROW = {"session_id": "s1", "role": "user", "text": "hello"}
"""What a message of this layout has."""


@pytest.fixture
def messages(database):
    """The collection of flat messages."""
    return database["chat_messages"]


def shown(chatstore, **settings) -> list[dict]:
    """The rows of `ttl show`."""
    return json.loads(chatstore("ttl", "show", "-o", "json", **settings).out)["items"]


def seconds_of(collection, name: str = "expires_at_idx") -> float | None:
    """expireAfterSeconds of an index; None where it is none, or not there."""
    return collection.index_information().get(name, {}).get("expireAfterSeconds")


def test_show_counts_what_goes_what_stays_and_what_never_goes(chatstore, messages):
    soon = datetime(NOW.year + 1, 1, 2, 3, 4, 5, tzinfo=UTC)
    gone = NOW - timedelta(days=1)
    values = [gone, gone, soon, soon + timedelta(days=9), "2020-01-01", "2020-01-02", 17, None]
    messages.insert_many([{**ROW, "expires_at": value} for value in values] + [{}])
    (row,) = shown(chatstore)
    assert row == {
        "layout": "messages",
        "collection": "chat_messages",
        "field": "expires_at",
        "index": None,
        "expire_after_seconds": None,
        "ttl_days": 30,
        "documents": 9,
        "expired": 2,
        "next_expiry": soon.isoformat().replace("+00:00", "Z"),
        "without_date": 2,
        "never_expiring": {"string": 2, "int": 1},
        "sampled": None,
    }
    assert "missing: MongoDB deletes nothing" in chatstore("ttl", "show").out


def test_show_counts_the_same_by_the_index(chatstore, messages):
    messages.insert_many([{**ROW, "expires_at": value} for value in [NOW + timedelta(days=1), "2020-01-01", 1.5, None]])
    messages.create_index("expires_at", name="expires_at_idx", expireAfterSeconds=0)
    (row,) = shown(chatstore)
    assert (row["index"], row["expire_after_seconds"], row["expired"]) == ("expires_at_idx", 0, 0)
    assert (row["without_date"], row["never_expiring"]) == (1, {"string": 1, "double": 1})


def test_show_includes_ttl_indexes_that_no_layout_asks_for(chatstore, messages):
    messages.create_index("seen_at", name="theirs", expireAfterSeconds=600)
    row = next(row for row in shown(chatstore) if row["field"] == "seen_at")
    assert (row["index"], row["expire_after_seconds"], row["ttl_days"]) == ("theirs", 600, None)


def test_an_empty_database_shows_the_missing_index_and_is_not_written_to(chatstore, database):
    (row,) = shown(chatstore)
    assert (row["documents"], row["index"], row["next_expiry"]) == (0, None, None)
    assert database.list_collection_names() == []


def test_set_creates_the_index_where_nothing_is_lost_by_it(chatstore, messages):
    messages.insert_one({**ROW, "expires_at": NOW + timedelta(days=3)})
    outcome = chatstore("ttl", "set", "--days", "30")
    assert outcome.code == 0
    assert seconds_of(messages) == 0
    assert "1 stored messages keep their dates" in outcome.err
    assert messages.count_documents({}) == 1


def test_set_waits_for_a_yes_where_documents_would_go_at_once(chatstore, messages):
    messages.insert_many({**ROW, "expires_at": NOW - timedelta(days=3)} for _ in range(4))
    outcome = chatstore("ttl", "set", "--days", "30")
    assert (outcome.code, outcome.out) == (2, "")
    assert "chat_messages" in outcome.err
    assert "would delete 4 documents at once" in outcome.err
    assert "--yes" in outcome.err
    assert "Nothing was done" in outcome.err
    assert list(messages.index_information()) == ["_id_"]
    assert chatstore("ttl", "set", "--days", "30", "--yes").code == 0
    assert seconds_of(messages) == 0


@pytest.mark.parametrize("index", [{}, {"expires_at": 5 * DAY}, {"created_at": 90 * DAY}], ids=["none", "own", "other"])
def test_set_asks_if_nobody_could_count_what_would_be_deleted(chatstore, messages, fail_point, index):
    messages.insert_one({**ROW, "expires_at": NOW - timedelta(days=1), "created_at": NOW - timedelta(days=60)})
    for field, seconds in index.items():
        messages.create_index(field, name="theirs", expireAfterSeconds=seconds)
    before = messages.index_information()
    with fail_point(["aggregate"], errorCode=50):
        outcome = chatstore("ttl", "set", "--days", "30")
    assert (outcome.code, outcome.out) == (2, "")
    assert "they could not be counted in time" in outcome.err
    assert "--yes" in outcome.err
    assert messages.index_information() == before


def test_set_changes_the_seconds_of_an_index_that_is_there_by_collmod(chatstore, messages):
    messages.create_index("expires_at", name="theirs", expireAfterSeconds=5 * DAY)
    messages.insert_many([{**ROW, "expires_at": NOW - timedelta(days=days)} for days in (1, 2, -3)])
    refused = chatstore("ttl", "set", "--days", "30")
    assert refused.code == 2
    assert "would delete 2 documents at once" in refused.err
    assert seconds_of(messages, "theirs") == 5 * DAY
    done = chatstore("ttl", "set", "--days", "30", "--yes", "-o", "json")
    assert [item["action"] for item in json.loads(done.out)["items"]] == ["modify"]
    assert seconds_of(messages, "theirs") == 0


def test_on_a_plain_date_the_days_reach_what_is_stored(chatstore, messages):
    messages.create_index("created_at", name="theirs", expireAfterSeconds=30 * DAY)
    messages.insert_many([{**ROW, "created_at": NOW - timedelta(days=days)} for days in (5, 10, 20)])
    messages.insert_one({**ROW, "_id": "expired already", "created_at": NOW - timedelta(days=90)})
    settings = {"CHATSTORE_MONGO__TTL_DAYS": "60"}
    assert chatstore("ttl", "set", "--days", "60", env=settings).code == 0
    assert seconds_of(messages, "theirs") == 60 * DAY
    messages.delete_one({"_id": "expired already"})
    settings = {"CHATSTORE_MONGO__TTL_DAYS": "7"}
    refused = chatstore("ttl", "set", "--days", "7", env=settings)
    assert refused.code == 2
    assert "would delete 2 documents at once" in refused.err
    assert seconds_of(messages, "theirs") == 60 * DAY
    assert chatstore("ttl", "set", "--days", "7", "--yes", env=settings).code == 0
    assert seconds_of(messages, "theirs") == 7 * DAY


def test_a_ttl_index_that_is_not_about_age_is_left_alone(chatstore, messages):
    messages.create_index("locked_until", name="lock", expireAfterSeconds=60)
    assert chatstore("ttl", "set", "--days", "30", "--yes").code == 0
    assert seconds_of(messages, "lock") == 60
    assert chatstore("ttl", "set", "--days", "0", "--yes", env={"CHATSTORE_MONGO__TTL_DAYS": "0"}).code == 0
    assert seconds_of(messages, "lock") == 60


def test_days_that_new_messages_do_not_get_are_told_and_end_with_6(chatstore, messages):
    outcome = chatstore("ttl", "set", "--days", "90")
    assert outcome.code == 6
    assert "set mongo.ttl_days: 90. It is 30 (default)." in outcome.err
    assert seconds_of(messages) == 0
    assert chatstore("ttl", "set", "--days", "90", env={"CHATSTORE_MONGO__TTL_DAYS": "90"}).code == 0


def test_0_days_keeps_for_ever_once_confirmed(chatstore, messages):
    chatstore("indexes", "apply")
    for_ever = {"CHATSTORE_MONGO__TTL_DAYS": "0"}
    refused = chatstore("ttl", "set", "--days", "0", env=for_ever)
    assert refused.code == 2
    assert seconds_of(messages) == 0
    assert chatstore("ttl", "set", "--days", "0", "--yes", env=for_ever).code == 0
    assert "expires_at_idx" not in messages.index_information()
    assert chatstore("indexes", "check", env=for_ever).code == 0


def test_documents_are_never_written(chatstore, messages):
    messages.insert_many(
        [{**ROW, "_id": 1, "expires_at": NOW + timedelta(days=3)}, {**ROW, "_id": 2, "expires_at": "2020"}, {"_id": 3}]
    )
    before = list(messages.find())
    chatstore("ttl", "set", "--days", "7", "--yes")
    assert list(messages.find()) == before


def test_a_dry_run_and_read_only_change_nothing(chatstore, messages, database):
    messages.insert_many({**ROW, "expires_at": NOW - timedelta(days=3)} for _ in range(4))
    planned = chatstore("ttl", "set", "--days", "30", "--dry-run", "-o", "json")
    assert planned.code == 0
    assert [(item["outcome"], item["expiring"]) for item in json.loads(planned.out)["items"]] == [("planned", 4)]
    assert chatstore("ttl", "set", "--days", "30", "--yes", "--read-only").code == 4
    assert list(messages.index_information()) == ["_id_"]


@pytest.mark.parametrize("days", ["-1", "24856", "ten", ""])
def test_days_that_are_no_number_of_days_are_wrong_use(chatstore, days):
    outcome = chatstore("ttl", "set", "--days", days)
    assert outcome.code == 2
    assert "--days" in outcome.err


def test_the_database_really_deletes_by_it(start_mongod, chatstore_without_database):
    server = start_mongod(extra=["--setParameter", "ttlMonitorSleepSecs=1"])
    server.client().admin.command("setParameter", 1, ttlMonitorEnabled=True)
    messages = server.client()["chats"]["chat_messages"]
    messages.insert_many(
        [{**ROW, "_id": 1, "expires_at": NOW - timedelta(days=1)}, {**ROW, "_id": 2, "expires_at": "2020"}]
    )
    target = {"CHATSTORE_URI": server.uri, "CHATSTORE_DATABASE": "chats"}
    assert chatstore_without_database("ttl", "set", "--days", "30", "--yes", env=target).code == 0
    poll(lambda: [row["_id"] for row in messages.find()] == [2], what="the sweep")


@pytest.mark.parametrize("ttl_first", [False, True])
@pytest.mark.parametrize("seconds", [0, 3_600])
def test_show_and_the_check_of_indexes_choose_the_same_index_of_several_with_equal_keys(
    chatstore, messages, ttl_first, seconds
):
    messages.insert_one({**ROW, "expires_at": NOW + timedelta(days=1)})
    plain = {"name": "plain", "sparse": True}  # MongoDB accepts a second index with these keys if an option differs
    ttl = {"name": "ttl", "expireAfterSeconds": seconds}
    for options in (ttl, plain) if ttl_first else (plain, ttl):
        messages.create_index("expires_at", **options)
    partial = {"expires_at": {"$exists": True}}
    messages.create_index("expires_at", name="third", expireAfterSeconds=DAY, partialFilterExpression=partial)

    rows = [(row["index"], row["expire_after_seconds"], row["ttl_days"]) for row in shown(chatstore)]
    assert rows == [("ttl", seconds, 30), ("third", DAY, None)]
    checked = json.loads(chatstore("indexes", "check", "-o", "json").out)["items"]
    states = {row["name"]: row["state"] for row in checked if row["keys"] == {"expires_at": 1}}
    assert states == {"ttl": "ok" if seconds == 0 else "drifted", "plain": "other", "third": "other"}
    planned = json.loads(chatstore("indexes", "apply", "--dry-run", "-o", "json").out)["items"]
    steps = [(row["name"], row["action"]) for row in planned if row["keys"] == {"expires_at": 1}]
    assert steps == ([] if seconds == 0 else [("ttl", "modify")])


def test_a_plain_index_alone_is_no_ttl_index_in_show_and_in_the_check(chatstore, messages):
    messages.insert_one({**ROW})
    messages.create_index("expires_at", name="plain")
    assert [row["index"] for row in shown(chatstore)] == [None]
    checked = json.loads(chatstore("indexes", "check", "-o", "json").out)["items"]
    assert [row["state"] for row in checked if row["keys"] == {"expires_at": 1}] == ["drifted"]
