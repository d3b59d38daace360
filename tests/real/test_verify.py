"""`chatstore verify`: each check on a real server, with and without faults."""

from __future__ import annotations

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.mongod import poll

pytestmark = pytest.mark.real

NAMES = [
    "configuration",
    "connection",
    "server-version",
    "documents",
    "clock",
    "write-concern",
    "round-trip",
    "collections",
    "indexes",
    "ttl-types",
    "expired",
    "sequence-gaps",
    "document-sizes",
    "threads",
    "general-counters",
    "general-ids",
    "session-registry",
    "agent-versions",
    "phone-routes",
    "agent-states",
    "labels",
    "journal-folder",
    "ignored-files",
    "journal-times",
    "journal-flushed",
]
DATABASE_CHECKS = NAMES[NAMES.index("server-version") : NAMES.index("journal-folder")]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def journals(chatstore) -> Path:
    """The configured folder of the journals."""
    folder = chatstore.folder / "data/cache/chat_sessions"
    folder.mkdir(parents=True)
    return folder


def checks(chatstore, *arguments: str, env: dict[str, str] | None = None) -> dict[str, dict]:
    """The rows of a run, by name. Each check has time enough for a busy machine."""
    env = {"CHATSTORE_VERIFY__SECONDS_PER_CHECK": "60", **(env or {})}
    outcome = chatstore("verify", "-o", "json", *arguments, env=env)
    rows = {row["name"]: row for row in json.loads(outcome.out)["items"]}
    assert outcome.code == (6 if any(row["status"] == "fail" for row in rows.values()) else 0)
    return rows


def check(chatstore, name: str, *arguments: str, **settings) -> dict:
    """The row of one check, run alone."""
    return checks(chatstore, "--only", name, *arguments, **settings)[name]


def line(text: str = "hello", session: str = "s1") -> str:
    """A journal line."""
    fields = {"session_id": session, "role": "user", "text": text, "metadata": {}, "vector_ids": []}
    return json.dumps({**fields, "created_at": "2026-03-02T11:41:00.195769+00:00"}) + "\n"


def test_a_healthy_store_passes_everything_and_leaves_nothing_behind(chatstore, database, journals):
    (journals / "s1.jsonl").write_text(line())
    assert chatstore("flush-cache").code == 0
    assert chatstore("indexes", "apply").code == 0
    before = set(database.list_collection_names())
    outcome = chatstore("verify", "-o", "json")
    assert outcome.code == 0
    rows = json.loads(outcome.out)["items"]
    assert [row["name"] for row in rows] == NAMES
    without_pass = {row["name"]: row["detail"] for row in rows if row["status"] != "pass"}
    assert without_pass == {
        "sequence-gaps": "no session with numbered messages in chat_sessions or GeneralChatSessions",
        "threads": "chat_threads has no threads",
        "general-counters": "there are no general chats",
        "general-ids": "there are no general chats",
        "session-registry": "chat_session_registry has no active or paused workflow",
        "agent-versions": "agents has no agents",
        "phone-routes": "lk_telephony_bindings has no route to an agent",
        "agent-states": "states has no state with a current agent",
        "labels": "chatstore_labels has no labels of sessions that can be looked up",
    }
    assert all(row["seconds"] >= 0 and row["hint"] is None for row in rows)
    assert f"database {database.name}" in outcome.err
    assert set(database.list_collection_names()) == before


def test_markdown_is_a_checklist(chatstore):
    outcome = chatstore("verify", "-o", "md", "--skip", "journal-folder,ignored-files,journal-times,journal-flushed")
    lines = outcome.out.splitlines()
    assert len(lines) == len(NAMES) - 4
    assert all(re.fullmatch(r"- \[[x ]\] [a-z-]+ - .+", line) for line in lines)
    assert re.fullmatch(r"- \[x\] connection - .+ \(\d\.\d{3} s\)", lines[1])
    assert lines[NAMES.index("indexes")].startswith("- [ ] indexes - SKIP: ")


def test_only_and_skip_take_lists_and_may_be_repeated(chatstore):
    assert list(checks(chatstore, "--only", "connection,indexes", "--only", "expired")) == [
        "connection",
        "indexes",
        "expired",
    ]
    assert list(checks(chatstore, "--only", "connection,indexes", "--skip", "indexes")) == ["connection"]


@pytest.mark.parametrize("option", ["--only", "--skip"])
def test_an_unknown_check_is_wrong_use_and_the_error_lists_the_checks(chatstore, option):
    outcome = chatstore("verify", option, "conection")
    assert (outcome.code, outcome.out) == (2, "")
    assert option in outcome.err
    assert ", ".join(NAMES) in outcome.err


def test_an_unreachable_database_fails_the_connection_and_skips_what_needs_it(chatstore_without_database, short_folder):
    nowhere = {
        "CHATSTORE_URI": f"mongodb://{str(short_folder / 'no.sock').replace('/', '%2F')}",
        "CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5",
    }
    rows = checks(chatstore_without_database, env=nowhere)
    assert rows["connection"]["status"] == "fail"
    assert rows["connection"]["hint"]
    assert {rows[name]["status"] for name in [*DATABASE_CHECKS, "journal-flushed"]} == {"skip"}
    assert rows["indexes"]["detail"] == "skipped because connection failed"
    assert rows["journal-folder"]["status"] == "warn"


def test_a_server_that_hangs_fails_the_connection(chatstore_without_database, second_server):
    settings = {"CHATSTORE_URI": second_server.uri, "CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5"}
    second_server.pause()
    try:
        assert check(chatstore_without_database, "connection", env=settings)["status"] == "fail"
    finally:
        second_server.resume()


def test_an_invalid_configuration_fails_and_the_rest_is_skipped(chatstore):
    (chatstore.folder / "config.yaml").write_text("mongo: {ttl_day: 3}")
    rows = checks(chatstore)
    assert rows["configuration"]["status"] == "fail"
    assert "ttl_days" in rows["configuration"]["hint"]
    assert {row["status"] for name, row in rows.items() if name != "configuration"} == {"skip"}
    assert chatstore("verify", "--only", "connection").code == 2


def test_an_unusual_configuration_is_a_warning(chatstore):
    row = check(chatstore, "configuration", env={"CHATSTORE_MONGO__JOURNALED": "false"})
    assert (row["status"], row["hint"]) == ("warn", "Run chatstore config check.")
    assert "mongo.journaled" in row["detail"]


def test_an_unacknowledged_write_fails_and_the_scratch_collection_is_dropped(chatstore, database):
    settings = {"CHATSTORE_MONGO__WRITE_CONCERN": "3", "CHATSTORE_VERIFY__SECONDS_PER_CHECK": "0.3"}
    row = check(chatstore, "write-concern", env=settings)
    assert row["status"] == "fail"
    assert "mongo.write_concern" in row["hint"]
    assert database.list_collection_names() == []


def test_a_failed_round_trip_drops_its_scratch_collection(chatstore, database, fail_point):
    with fail_point(["find"], times=5, errorCode=8, appName="chatstore"):
        row = check(chatstore, "round-trip")
    assert row["status"] == "fail"
    assert database.list_collection_names() == []


def test_read_only_skips_what_writes(chatstore, database):
    rows = checks(chatstore, "--read-only")
    assert (rows["round-trip"]["status"], rows["write-concern"]["status"]) == ("skip", "skip")
    assert rows["connection"]["status"] == "pass"
    assert database.list_collection_names() == []


def test_a_secondary_fails_the_connection():
    from chatstore_cli.core.verify.database import DatabaseChecks
    from chatstore_cli.domain.indexes.ports import ServerFacts

    class Secondary:
        target = "somewhere"
        server_probe = type("Probe", (), {"facts": lambda _: ServerFacts("6.0.5", "replica set rs0", writable=False)})()

    verdict = DatabaseChecks(Secondary(), "s", 1.0, False, lambda: LONG_AGO).connection()
    assert verdict.status == "fail"
    assert "primary" in verdict.detail


@pytest.mark.parametrize(
    ("version", "status"),
    [("4.4.29", "fail"), ("5.0.0", "pass"), ("6.0.5", "pass"), ("8.2.1", "pass"), ("9.0.0", "warn"), ("10.1", "warn")],
)
def test_server_versions_from_5_0_to_8_are_supported(version, status):
    from chatstore_cli.core.verify.database import DatabaseChecks
    from chatstore_cli.domain.indexes.ports import ServerFacts

    class Server:
        server_probe = type("Probe", (), {"facts": lambda _: ServerFacts(version, "standalone", writable=True)})()

    assert DatabaseChecks(Server(), "s", 1.0, False, lambda: LONG_AGO).server_version().status == status


def test_missing_indexes_fail_but_not_those_of_a_collection_that_does_not_exist(chatstore, database):
    assert check(chatstore, "indexes")["status"] == "skip"
    database["chat_messages"].insert_one({"session_id": "s1", "role": "user", "text": "hello"})
    row = check(chatstore, "indexes")
    assert row["status"] == "fail"
    assert "chat_messages.session_ts_idx missing" in row["detail"]
    assert "chat_sessions" not in row["detail"]
    assert "chatstore indexes apply" in row["hint"]


def test_expiry_dates_that_are_text_fail_and_missing_ones_are_a_warning(chatstore, database):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    messages = database["chat_messages"]
    messages.insert_many({"expires_at": tomorrow} for _ in range(3))
    assert check(chatstore, "ttl-types")["status"] == "pass"
    messages.insert_one({})
    assert check(chatstore, "ttl-types")["status"] == "warn"
    messages.insert_many([{"expires_at": "2020-01-01"}, {"expires_at": "x"}])
    row = check(chatstore, "ttl-types")
    assert row["status"] == "fail"
    assert "2 with string, 1 without" in row["detail"]
    assert check(chatstore, "ttl-types", env={"CHATSTORE_MONGO__TTL_DAYS": "0"})["status"] == "skip"


def test_expired_documents_that_still_exist_are_a_warning(chatstore, database):
    database["chat_messages"].insert_many({"expires_at": LONG_AGO} for _ in range(2))
    row = check(chatstore, "expired")
    assert row["status"] == "warn"
    assert row["detail"].startswith("2 in chat_messages")


def test_gaps_and_duplicates_in_a_sessions_numbers_are_a_warning(chatstore, database):
    sessions = {"whole": [1, 2, 3], "reordered": [3, 1, 2], "none": [None, None], "gap": [1, 2, 4], "double": [5, 5, 6]}
    for name, numbers in sessions.items():
        database["chat_sessions"].insert_one(
            {"chat_id": name, "messages": [{"sequence": number} for number in numbers]}
        )
    for name, last_segment in (
        ("split", 2),
        ("torn", 2),
        ("foreign", None),
    ):  # 1, 2 | 3, 4 | 5, 6; and once without 3, 4
        moved = [] if last_segment is None else [("last_segment", last_segment)]
        head = {"chat_id": name, "messages": [{"sequence": 5}, {"sequence": 6}], **dict(moved)}
        database["chat_sessions"].insert_one(head)
        for number in (1, 2, 3):
            if (name == "torn" and number == 2) or (name == "foreign" and number == 3):
                continue
            inside = [
                {"sequence": 2 * number - 1},
                {"sequence": 2 * number},
            ]  # the third one is a copy: it does not count
            database["chat_session_segments"].insert_one({"_id": f"{name}:{number}", "messages": inside})
    database["chat_sessions"].insert_many([{"chat_id": "empty", "messages": []}, {"messages": "no list"}, {}])
    row = check(chatstore, "sequence-gaps")
    assert row["status"] == "warn"
    assert (
        "9 sessions were checked; sessions with gaps: 2 (gap, torn); sessions with a number twice: 1 (double)"
        in row["detail"]
    )


def test_general_chats_are_checked_beside_workflow_sessions(chatstore, database):
    database["chat_sessions"].insert_one({"chat_id": "w", "messages": [{"sequence": 1}, {"sequence": 3}]})
    chat = {"general_sequence": 1, "messages": [{"sequence": 1}, {"sequence": 4}]}
    split = {"general_sequence": 1, "last_segment": 1, "messages": [{"sequence": 2}], "blob": "x" * (9 * 2**20)}
    database["GeneralChatSessions"].insert_many([{"_id": "g", **chat}, {"_id": "s", **split}])
    database["general_chat_segments"].insert_one({"_id": "s:1", "messages": [{"sequence": 1}]})
    row = check(chatstore, "sequence-gaps")
    assert row["detail"] == "3 sessions were checked; sessions with gaps: 2 (w, g)"
    row = check(chatstore, "document-sizes")
    assert row["detail"] == "above half of 16 MiB: s in GeneralChatSessions: 9.0 MiB"
    assert "sessions split" in row["hint"]
    off = {"CHATSTORE_LAYOUTS__GENERAL__SESSIONS": "null"}
    assert check(chatstore, "sequence-gaps", env=off)["detail"].startswith("1 sessions were checked")


def test_a_document_above_half_of_the_limit_is_a_warning_that_names_it(chatstore, database):
    database["chat_sessions"].insert_many(
        [
            {"chat_id": name, "messages": [], "blob": "x" * size}
            for name, size in {"small": 1, "large": 9 * 2**20}.items()
        ]
    )
    row = check(chatstore, "document-sizes")
    assert row["status"] == "warn"
    assert "large in chat_sessions: 9.0 MiB" in row["detail"]
    assert "sessions split" in row["hint"]


def test_the_hint_for_a_large_flat_message_does_not_mention_split(chatstore, database):
    database["chat_messages"].insert_one({"_id": "long", "session_id": "s1", "role": "user", "text": "x" * (9 * 2**20)})
    row = check(chatstore, "document-sizes")
    assert row["status"] == "warn"
    assert "sessions split" not in row["hint"]
    assert "16 MiB" in row["hint"]


def test_only_a_sample_of_a_large_collection_is_read(chatstore, database):
    database["chat_sessions"].insert_many({"messages": [{"sequence": 1}]} for _ in range(500))
    row = check(chatstore, "sequence-gaps", env={"CHATSTORE_VERIFY__SAMPLE": "7"})
    assert row["detail"] == "no gaps in 7 checked sessions"


@pytest.mark.parametrize("name", ["ttl-types", "expired", "sequence-gaps", "document-sizes"])
def test_a_check_that_takes_too_long_is_skipped_with_the_setting_to_raise(chatstore, database, fail_point, name):
    for collection in ("chat_messages", "chat_sessions"):
        database[collection].insert_one({"expires_at": "x"})
    with fail_point(["aggregate", "count"], errorCode=50, appName="chatstore"):
        row = check(chatstore, name)
    assert (row["status"], row["hint"]) == ("skip", "Increase verify.seconds_per_check.")


def message_of_thread(thread_id: str, sequence: int, instant: datetime) -> dict:
    content = {"type": "text", "text": "hello"}
    fields = {"sender_id": None, "sender_role": "user", "content": content, "sequence": sequence}
    return {"chat_thread_id": thread_id, **fields, "created_at": instant, "updated_at": instant}


def test_messages_without_a_thread_and_a_last_sequence_that_is_behind_are_a_warning(chatstore, database):
    messages, now = database["chat_thread_messages"], datetime.now(UTC)
    owners = {"user_id": "u", "org_id": "o", "name": "n", "created_at": now, "updated_at": now}
    database["chat_threads"].insert_one({"_id": "t", **owners, "last_sequence": 0})
    messages.insert_many([message_of_thread("t", 1, now), message_of_thread("gone", 1, LONG_AGO)])
    messages.insert_one(message_of_thread("copied now", 1, LONG_AGO) | {"copied_at": now})
    row = check(chatstore, "threads")
    assert row["status"] == "fail"
    assert "chat_thread_messages has no unique index on (chat_thread_id, sequence)" in row["detail"]
    assert row["hint"] == "Run chatstore indexes apply."

    messages.create_index([("chat_thread_id", 1), ("sequence", 1)], unique=True, name="thread_sequence_idx")
    before = list(messages.find())
    row = check(chatstore, "threads", "--read-only")
    assert row["status"] == "warn"
    assert row["detail"] == (
        "3 threads compared; 1 message of 1 thread that does not exist; 1 thread whose last_sequence is behind the messages; "
        "1 message of 1 thread that does not exist was left alone: the newest is less than 1 hour old, or has no date. "
        "A fork or an import may be running"
    )
    assert "chatstore threads repair" in row["hint"]
    assert list(messages.find()) == before


def test_a_missing_journal_folder_is_a_warning_and_a_file_in_its_place_fails(chatstore):
    assert check(chatstore, "journal-folder")["status"] == "warn"
    (chatstore.folder / "plain").write_text("")
    row = check(chatstore, "journal-folder", env={"CHATSTORE_MONGO__CACHE__DISK_PATH": "plain"})
    assert row["status"] == "fail"


def test_a_read_only_journal_folder_is_a_warning_with_the_systems_reason(chatstore):
    # /proc rejects new files even from root.
    row = check(chatstore, "journal-folder", env={"CHATSTORE_MONGO__CACHE__DISK_PATH": "/proc/self/fdinfo"})
    assert row["status"] == "warn"
    assert "cannot be written to" in row["detail"]


def test_the_check_of_the_folder_leaves_nothing_behind(chatstore, journals):
    (journals / "s1.jsonl").write_text(line())
    row = check(chatstore, "journal-folder")
    assert row["status"] == "pass"
    assert "1 journal," in row["detail"]
    assert [path.name for path in journals.iterdir()] == ["s1.jsonl"]


def test_lines_that_are_not_stored_yet_are_a_warning_until_they_are_flushed(chatstore, journals, database):
    (journals / "s1.jsonl").write_text(line("a") + line("b") + '{"torn')
    (journals / "s2.jsonl").write_text(line("c", "s2"))
    row = check(chatstore, "journal-flushed")
    assert row["status"] == "warn"
    assert "3 are not stored yet" in row["detail"]
    assert "1 incomplete" in row["detail"]
    assert database.list_collection_names() == []
    assert chatstore("flush-cache").code == 0
    assert check(chatstore, "journal-flushed")["status"] == "pass"


def test_journals_and_folders_can_be_named(chatstore, database):
    for name, text in (("a/s1.jsonl", line("a") + line("b")), ("b/s2.jsonl", line("c", "s2"))):
        path = chatstore.folder / name
        path.parent.mkdir()
        path.write_text(text)
    names = ("--only", "connection,journal-folder,journal-flushed")
    rows = checks(chatstore, "a/s1.jsonl", "b", *names)
    assert rows["journal-flushed"]["detail"] == "3 lines in 2 journals: 3 are not stored yet"
    assert all(f"{name}: 1 journal," in rows["journal-folder"]["detail"] for name in ("a", "b"))
    assert checks(chatstore, "b", *names)["journal-flushed"]["detail"].startswith("1 line in 1 journal:")
    (chatstore.folder / "a" / "notes.txt").write_text("not a journal")
    ignored = [
        checks(chatstore, path, "--only", "ignored-files")["ignored-files"]["status"] for path in ("a/s1.jsonl", "a")
    ]
    assert ignored == ["skip", "warn"]
    missing = chatstore("verify", "b", "nowhere", *names)
    assert (missing.code, missing.out) == (3, "")
    assert "No journal file or folder 'nowhere'." in missing.err


def test_stored_lines_that_no_longer_exist_differ_from_new_and_expired_ones(chatstore, journals, database):
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    old, fresh = line("expired by now"), line("a").replace("2026-03-02T11:41:00.195769+00:00", now)
    (journals / "s1.jsonl").write_text(old + fresh)
    assert chatstore("flush-cache").code == 0
    database["chat_messages"].delete_many({})
    row = check(chatstore, "journal-flushed")
    assert row["status"] == "warn"
    assert "1 were stored and no longer exist" in row["detail"]
    assert "--ignore-ledger" in row["hint"]


def test_quarantined_lines_are_a_warning(chatstore, journals):
    (journals / "s1.jsonl").write_text(line("a") + "not JSON\n")
    assert chatstore("flush-cache").code == 7
    row = check(chatstore, "journal-flushed")
    assert row["status"] == "warn"
    assert "1 are quarantined" in row["detail"]


def test_journals_that_take_too_long_are_skipped(chatstore, journals):
    (journals / "s1.jsonl").write_text("".join(line(f"{number}" * 50) for number in range(20_000)))
    row = check(chatstore, "journal-flushed", env={"CHATSTORE_VERIFY__SECONDS_PER_CHECK": "0.01"})
    assert row["status"] == "skip"
    assert "longer than 0.01 seconds" in row["detail"]


def test_an_interrupt_drops_the_scratch_collection(chatstore, database, fail_point):
    with fail_point(["find"], blockConnection=True, blockTimeMS=2_000, appName="chatstore"):
        process = chatstore.popen("verify", "--only", "round-trip")
        poll(database.list_collection_names, what="the scratch collection")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
    assert database.list_collection_names() == []


def test_labels_of_a_deleted_session_are_named(chatstore, database):
    for name in ("c1", "c2"):
        fields = {"chat_id": name, "app_id": "acme", "workflow_name": "Generator", "status": 0, "messages": []}
        database["chat_sessions"].insert_one({"_id": name, **fields})
        assert chatstore("sessions", "tag", name, "billing").code == 0
    assert check(chatstore, "labels")["status"] == "pass"
    database["chat_sessions"].delete_one({"_id": "c2"})
    row = check(chatstore, "labels")
    assert (row["status"], row["detail"]) == (
        "warn",
        "2 sessions with labels looked up; workflow session c2 does not exist",
    )
    assert "prune-labels" in row["hint"]
    assert chatstore("sessions", "prune-labels", "--yes").code == 0
    assert check(chatstore, "labels")["status"] == "pass"
