"""`chatstore indexes` on a real server: compare, plan, create, change and drop."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import IndexModel

from chatstore_cli.core.indexes import check_indexes, perform, plan_steps
from chatstore_cli.domain.errors import Conflict, NotAllowed
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.maintenance.expiry_dates import MongoDocumentDates
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore

pytestmark = pytest.mark.real

YEAR_AGO = datetime.now(UTC) - timedelta(days=365)
ROW = {"session_id": "s1", "role": "user", "text": "hello"}
"""What a message of this layout has."""


@pytest.fixture
def messages(database):
    """The collection of flat messages."""
    return database["chat_messages"]


def findings(chatstore, *arguments) -> dict[tuple[str, str], dict]:
    """Of `indexes check`, by collection and name of the index."""
    items = json.loads(chatstore("indexes", "check", "-o", "json", *arguments).out)["items"]
    return {(item["collection"], item["name"]): item for item in items}


def keys_of(collection) -> set[tuple]:
    """The keys of every index but the one on _id."""
    return {tuple(facts["key"]) for name, facts in collection.index_information().items() if name != "_id_"}


def test_what_a_collection_lacks_that_does_not_exist_yet_is_shown_and_is_no_finding(chatstore, database):
    outcome = chatstore("indexes", "check")
    assert outcome.code == 0
    assert "expires_at_idx" in outcome.out
    assert "chatstore indexes apply" in outcome.err
    assert {item["state"] for item in findings(chatstore).values()} == {"missing"}
    assert database.list_collection_names() == []


def test_apply_creates_what_is_missing_names_its_target_and_does_nothing_twice(chatstore, database, messages):
    outcome = chatstore("indexes", "apply")
    assert outcome.code == 0
    assert f"database {database.name}" in outcome.err
    assert keys_of(messages) == {
        (("session_id", 1), ("created_at", -1)),
        (("expires_at", 1),),
        (("created_at", -1), ("session_id", 1)),
    }
    assert messages.index_information()["expires_at_idx"]["expireAfterSeconds"] == 0
    assert chatstore("indexes", "check").code == 0
    again = chatstore("indexes", "apply")
    assert (again.code, again.out) == (0, "")
    assert "Every index exists and has the right options." in again.err


def test_a_dry_run_and_read_only_create_nothing(chatstore, database):
    planned = chatstore("indexes", "apply", "--dry-run", "-o", "jsonl")
    assert planned.code == 0
    assert {json.loads(line)["outcome"] for line in planned.out.splitlines()} == {"planned"}
    refused = chatstore("indexes", "apply", "--read-only")
    assert (refused.code, refused.out) == (4, "")
    assert database.list_collection_names() == []


def test_names_do_not_matter(chatstore, messages):
    messages.create_index([("session_id", 1), ("created_at", -1)], name="made by the application")
    assert findings(chatstore)["chat_messages", "made by the application"]["state"] == "ok"
    assert chatstore("indexes", "apply").code == 0
    assert "session_ts_idx" not in messages.index_information()
    assert chatstore("indexes", "check").code == 0


def test_an_index_that_the_shell_made_with_floating_directions_is_the_same(chatstore, database):
    keys = {"session_id": 1.0, "created_at": -1.0}
    database.command("createIndexes", "chat_messages", indexes=[{"key": keys, "name": "floating"}])
    assert findings(chatstore)["chat_messages", "floating"]["state"] == "ok"


def test_another_index_under_our_name_is_no_obstacle(chatstore, messages):
    messages.create_index([("role", 1)], name="session_ts_idx")
    assert chatstore("indexes", "apply").code == 0
    assert chatstore("indexes", "check").code == 0
    assert messages.index_information()["session_ts_idx"]["key"] == [("role", 1)]


@pytest.mark.parametrize(
    ("keys", "options", "said"),
    [
        ([("session_id", 1), ("created_at", -1)], {"unique": True}, "unique"),
        ([("session_id", 1), ("created_at", -1)], {"sparse": True}, "sparse"),
        ([("session_id", 1), ("created_at", -1)], {"hidden": True}, "hidden"),
        (
            [("session_id", 1), ("created_at", -1)],
            {"partialFilterExpression": {"role": "user"}},
            "partial filter is {'role': 'user'}, and should be none",
        ),
        ([("expires_at", 1)], {}, "not a TTL index"),
        ([("expires_at", 1)], {"expireAfterSeconds": 3600}, "expireAfterSeconds is 3600, and should be 0"),
    ],
)
def test_other_options_are_drift_and_are_put_right_only_with_yes(chatstore, messages, keys, options, said):
    messages.create_index(keys, name="theirs", **options)
    found = findings(chatstore)["chat_messages", "theirs"]
    assert found["state"] == "drifted"
    assert said in found["detail"]
    assert chatstore("indexes", "check").code == 6

    before = messages.index_information()["theirs"]
    left = chatstore("indexes", "apply")
    assert left.code == 6
    assert "--yes" in left.err
    assert messages.index_information()["theirs"] == before
    assert len(messages.index_information()) == 4  # what was merely missing is there all the same

    assert chatstore("indexes", "apply", "--yes").code == 0
    assert chatstore("indexes", "check").code == 0
    assert len(messages.index_information()) == 4


def test_seconds_of_a_ttl_index_change_without_a_new_index(chatstore, messages):
    messages.create_index("expires_at", name="theirs", expireAfterSeconds=3600)
    outcome = chatstore("indexes", "apply", "--yes", "-o", "jsonl")
    assert "modify" in {json.loads(line)["action"] for line in outcome.out.splitlines()}
    assert messages.index_information()["theirs"]["expireAfterSeconds"] == 0


def test_a_ttl_index_that_would_delete_at_once_says_how_many_and_waits_for_a_yes(chatstore, messages):
    messages.insert_many({**ROW, "expires_at": YEAR_AGO} for _ in range(7))
    messages.insert_many(
        [{**ROW, "expires_at": datetime.now(UTC) + timedelta(days=9)}, {**ROW, "expires_at": str(YEAR_AGO)}, {}]
    )
    outcome = chatstore("indexes", "apply", "--layout", "messages", "-o", "json")
    assert outcome.code == 6
    assert "would delete 7 documents at once" in outcome.err
    steps = {item["name"]: item for item in json.loads(outcome.out)["items"]}
    assert (steps["expires_at_idx"]["outcome"], steps["expires_at_idx"]["expiring"]) == ("left", 7)
    assert steps["recent_idx"]["outcome"] == "done"
    assert "expires_at_idx" not in messages.index_information()
    assert chatstore("indexes", "apply", "--yes").code == 0
    assert "expires_at_idx" in messages.index_information()


def test_an_index_that_nobody_asks_for_is_reported_and_dropped_only_when_told(chatstore, messages):
    chatstore("indexes", "apply")
    messages.create_indexes([IndexModel("vector_ids"), IndexModel("session_id")])
    found = findings(chatstore)
    assert found["chat_messages", "vector_ids_1"]["state"] == "other"
    assert "prefix of session_ts_idx" in found["chat_messages", "session_id_1"]["detail"]
    assert chatstore("indexes", "check").code == 0
    assert chatstore("indexes", "apply", "--drop-unneeded", "--yes").code == 0
    assert chatstore("indexes", "apply", "--drop", "session_id_1").code == 6
    assert {"session_id_1", "vector_ids_1"} <= set(messages.index_information())
    named = ["--drop", "chat_messages.session_id_1", "--drop", "vector_ids_1"]
    assert chatstore("indexes", "apply", *named, "--yes").code == 0
    assert len(messages.index_information()) == 4


def test_an_index_that_is_named_wrongly_or_needed_is_not_dropped(chatstore, messages, database):
    chatstore("indexes", "apply")
    unknown = chatstore("indexes", "apply", "--drop", "nobodys", "--yes")
    assert unknown.code == 3
    assert "No index 'nobodys'" in unknown.err
    needed = chatstore("indexes", "apply", "--drop", "recent_idx", "--yes")
    assert needed.code == 8
    assert "is needed" in needed.err
    for name in ("chat_messages", "chat_sessions"):
        database[name].create_index("theirs")
    twice = chatstore("indexes", "apply", "--drop", "theirs_1", "--yes")
    assert twice.code == 8
    assert "chat_messages.theirs_1" in twice.err
    assert "theirs_1" in messages.index_information()


def test_only_what_chatstore_made_itself_is_unneeded(chatstore, messages):
    for_ever = {"CHATSTORE_MONGO__TTL_DAYS": "0"}
    messages.create_index("expires_at", name="expires_at_idx_2", expireAfterSeconds=0)
    messages.create_index("seen_at", name="expires_at_idx", expireAfterSeconds=60)
    outcome = chatstore("indexes", "check", "--layout", "messages", "-o", "jsonl", env=for_ever)
    states = {row["name"]: row["state"] for row in map(json.loads, outcome.out.splitlines())}
    assert (states["expires_at_idx_2"], states["expires_at_idx"]) == ("unneeded", "other")
    assert chatstore("indexes", "apply", "--drop-unneeded", "--yes", env=for_ever).code == 0
    left = messages.index_information()
    assert "expires_at_idx" in left
    assert "expires_at_idx_2" not in left


def test_unneeded_is_no_index_of_the_collections_own_collation(chatstore, database):
    database.create_collection("chat_messages", collation={"locale": "fr"})
    assert chatstore("indexes", "apply").code == 0
    assert chatstore("indexes", "check").code == 0


def test_with_ttl_days_0_no_ttl_index_is_asked_for(chatstore, messages):
    for_ever = {"CHATSTORE_MONGO__TTL_DAYS": "0"}
    assert chatstore("indexes", "apply", env=for_ever).code == 0
    assert "expires_at_idx" not in messages.index_information()
    messages.create_index("expires_at", name="left over", expireAfterSeconds=0)
    outcome = chatstore("indexes", "check", "-o", "jsonl", env=for_ever)
    left_over = next(row for row in map(json.loads, outcome.out.splitlines()) if row["name"] == "left over")
    assert left_over["state"] == "other"
    assert "it deletes documents" in left_over["detail"]


def test_layout_limits_it_and_an_unknown_layout_is_wrong_use(chatstore):
    assert {collection for collection, _ in findings(chatstore, "--layout", "messages")} == {"chat_messages"}
    outcome = chatstore("indexes", "check", "--layout", "mesages")
    assert outcome.code == 2
    assert "Did you mean 'messages'?" in outcome.err


def test_a_chat_stored_twice_is_named_and_costs_no_other_index(chatstore, database):
    database["chat_sessions"].insert_many(
        [{**chat, "messages": [{}]} for chat in [{"chat_id": "c1"}, {"chat_id": "c1"}, {"chat_id": "c2"}, {}, {}]]
    )
    outcome = chatstore("indexes", "apply")
    assert (outcome.code, outcome.out) == (8, "")
    assert "chat_id is not unique: 'c1' is in 2 documents." in outcome.err
    left = [name for (_, name), found in findings(chatstore).items() if found["state"] != "ok"]
    assert left == ["chat_id_idx"]
    database["chat_sessions"].delete_one({"chat_id": "c1"})
    assert chatstore("indexes", "apply").code == 0
    assert chatstore("indexes", "check").code == 0


def test_indexes_are_built_while_the_application_writes(chatstore, messages):
    messages.insert_many(
        {**ROW, "session_id": f"s{number % 100}", "created_at": str(number)} for number in range(50_000)
    )
    building = chatstore.popen("indexes", "apply")
    written = 0
    while building.poll() is None:
        messages.insert_one({**ROW, "created_at": "now"})
        written += 1
    assert building.returncode == 0
    assert written > 0
    assert messages.count_documents({"session_id": "s1", "created_at": "now"}) == written


# --- the engine, with indexes of the tests' own ----------------------------------------------------------------------


@pytest.fixture
def engine(connection):
    """The index store of the test's database."""
    return MongoIndexStore(connection, connection)


def steps_for(engine, connection, *specs: IndexSpec, drop_unneeded: bool = False):
    """What applying would do for these specs."""
    dates = MongoDocumentDates(connection, seconds=5, sample=10)
    return list(plan_steps(check_indexes(specs, engine), dates, datetime.now(UTC), drop_unneeded=drop_unneeded))


def test_values_that_should_be_unique_and_are_not_are_named_and_the_old_index_stays(engine, connection, database):
    database["s"].insert_many([{"chat_id": "c1"}, {"chat_id": "c1"}, {"chat_id": "c2"}, {"other": 1}, {"other": 2}])
    database["s"].create_index("chat_id", name="old")
    spec = IndexSpec("s", "new", (("chat_id", 1),), unique=True, partial_filter={"chat_id": {"$exists": True}})
    (step,) = steps_for(engine, connection, spec)
    with pytest.raises(Conflict, match=r"on s: chat_id is not unique: 'c1' is in 2 documents\."):
        perform(step, engine)
    assert "old" in database["s"].index_information()


def test_an_index_that_another_process_creates_first_is_no_failure(engine, connection, database, monkeypatch):
    spec = IndexSpec("s", "new", (("chat_id", 1),), unique=True)
    (step,) = steps_for(engine, connection, spec)
    before = engine.stored("s")
    engine.create(spec, "new")
    answers = [before]
    stored = engine.stored
    # The other process is between the look at the names and the creation, and has looked a little later.
    monkeypatch.setattr(engine, "stored", lambda name: answers.pop() if answers else stored(name))
    monkeypatch.setattr(engine, "create", lambda spec, name: MongoIndexStore.create(engine, spec, f"{name}_2"))
    perform(step, engine)
    assert set(database["s"].index_information()) == {"_id_", "new"}
    answers.append(before)
    with pytest.raises(Conflict):
        perform(replace(step, finding=replace(step.finding, spec=replace(spec, expire_after_seconds=60))), engine)


def test_documents_without_the_field_do_not_collide_under_a_partial_filter(engine, connection, database):
    database["s"].insert_many([{"other": 1}, {"other": 2}])
    spec = IndexSpec("s", "new", (("chat_id", 1),), unique=True, partial_filter={"chat_id": {"$exists": True}})
    (step,) = steps_for(engine, connection, spec)
    perform(step, engine)
    assert [finding.state.value for finding in check_indexes([spec], engine)] == ["ok"]


def test_the_same_keys_twice_are_one_match_and_one_too_many(engine, connection, database):
    keys = (("chat_id", 1),)
    database["s"].create_index("chat_id", name="plain")
    database["s"].create_index("chat_id", name="unique", unique=True)
    spec = IndexSpec("s", "wanted", keys, unique=True)
    states = {finding.name: finding.state.value for finding in check_indexes([spec], engine)}
    assert states == {"unique": "ok", "plain": "other"}


def test_a_rebuild_whose_difference_the_server_does_not_see_drops_first(engine, connection, database):
    database["s"].create_index("at", name="plain")
    spec = IndexSpec("s", "wanted", (("at", 1),), expire_after_seconds=60)
    (step,) = steps_for(engine, connection, spec)
    assert step.action.value == "rebuild"
    perform(step, engine)
    assert database["s"].index_information()["wanted"]["expireAfterSeconds"] == 60


def test_a_rejected_drop_is_an_error_and_not_an_index_that_is_gone(engine, database, fail_point):
    database["s"].create_index("a", name="theirs")
    with (
        fail_point(["dropIndexes"], times=1, errorCode=13),
        pytest.raises(NotAllowed, match="dropping index theirs of s"),
    ):
        engine.drop("s", "theirs")
    engine.drop("s", "theirs")
    engine.drop("s", "theirs")  # which is already gone


def test_apply_does_not_report_an_index_as_dropped_that_the_server_kept(chatstore, messages, fail_point):
    messages.create_index("role", name="theirs")
    with fail_point(["dropIndexes"], errorCode=13):
        outcome = chatstore("indexes", "apply", "--drop", "theirs", "--yes")
    assert (outcome.code, outcome.out) == (4, "")
    assert "dropping index theirs of chat_messages" in outcome.err
    assert "theirs" in messages.index_information()


def test_apply_asks_if_nobody_could_count_what_would_be_deleted(chatstore, messages, fail_point):
    messages.insert_one({**ROW, "expires_at": YEAR_AGO})
    with fail_point(["aggregate"], errorCode=50):
        outcome = chatstore("indexes", "apply", "--layout", "messages", "-o", "json")
    assert outcome.code == 6
    assert "they could not be counted in time" in outcome.err
    outcomes = {item["name"]: (item["outcome"], item["expiring"]) for item in json.loads(outcome.out)["items"]}
    assert outcomes == {"session_ts_idx": ("done", 0), "recent_idx": ("done", 0), "expires_at_idx": ("left", None)}
    assert "expires_at_idx" not in messages.index_information()


def test_counting_what_expires_leaves_other_types_out_and_takes_the_earliest_of_an_array(connection, database):
    future = datetime.now(UTC) + timedelta(days=1)
    database["s"].insert_many([{"at": value} for value in (YEAR_AGO, [future, YEAR_AGO], future, "2001-01-01", 5)])
    dates = MongoDocumentDates(connection, seconds=5, sample=10)
    assert dates.count_before("s", "at", datetime.now(UTC)) == 2


def test_an_array_with_a_date_in_it_expires_and_is_of_no_wrong_type(connection, database):
    database["s"].insert_many([{"at": [YEAR_AGO, "text"]}, {"at": ["text"]}, {"at": []}])
    dates = MongoDocumentDates(connection, seconds=5, sample=10)
    assert dates.field_types("s", "at").other_types == {"array": 1}


def test_counting_that_takes_too_long_is_not_counted_and_types_are_sampled(connection, database, fail_point):
    database["s"].insert_many({"at": str(number)} for number in range(30))
    dates = MongoDocumentDates(connection, seconds=5, sample=10)
    with fail_point(["aggregate"], times=1, errorCode=50):
        assert dates.count_before("s", "at", YEAR_AGO) is None
    with fail_point(["aggregate"], times=1, errorCode=50):
        found = dates.field_types("s", "at")
    assert (found.other_types, found.looked_at) == ({"string": 10}, 10)
    with fail_point(["aggregate"], times=2, errorCode=50):
        assert dates.field_types("s", "at") is None
