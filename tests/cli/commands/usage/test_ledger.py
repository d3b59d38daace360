"""`chatstore usage` with a ledger, as a process on a real server: reports, explain, reconcile, rollup."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from tests.support.samples import store_sample
from tests.support.stored_sessions import store_chats
from tests.support.usage_snapshots import START, snapshot

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection
    from tests.conftest import Chatstore


@pytest.fixture(autouse=True)
def stored(connection: Connection, database: Database[dict[str, Any]]) -> None:
    """The usual sessions. Two of them have ledger entries, and one chat of the ledger has no session."""
    store_chats(database)
    recorder = UsageRecorder(MongoUsageLedger(connection, Settings()))
    recorder.record(
        [
            snapshot(0, 30, chat_id="triage-0", user_id="ada"),
            snapshot(1, 90, chat_id="triage-0", user_id="ada"),
            snapshot(2, 60, chat_id="triage-0", user_id="ada"),
            snapshot(3, 300, chat_id="triage-0", user_id="ada", model="m-2", cost=None),
            snapshot(4, 6, chat_id="triage-1", user_id="bob", agent="=cmd()"),
            snapshot(5, 9, chat_id="gone", tenant_id="other"),
        ]
    )


def reported(chatstore: Chatstore, *arguments: str) -> dict[str, Any]:
    outcome = chatstore("usage", "-o", "json", *arguments)
    assert outcome.code == 0, outcome.err
    report: dict[str, Any] = json.loads(outcome.out)
    return report


def test_a_session_counts_from_the_ledger_or_from_its_counters_and_never_from_both(chatstore: Chatstore) -> None:
    report = reported(chatstore, "--by", "session")
    found = {row["session_id"]: (row["usage"]["total_tokens"], row["source"]) for row in report["items"]}
    assert found["triage-0"] == (390 + 150, "ledger")  # 150 and 1,000 are the counters before the first report
    assert found["triage-1"] == (6 + 1_000, "ledger")
    assert found["gone"] == (9, "ledger")
    assert found["写作-2"] == (15, "counters")
    assert report["sources"] == {"ledger": 3, "counters": 5}
    assert report["totals"]["usage"]["total_tokens"] == 390 + 150 + 6 + 1_000 + 9 + 15 + 2
    assert report["totals"]["cost_unknown_sessions"] == 3


def test_several_groupings_at_once_with_commas_or_repeated(chatstore: Chatstore) -> None:
    report = reported(chatstore, "--by", "day,model", "--layout", "workflow", "--tenant", "acme")
    assert report == reported(chatstore, "--by", "day", "--by", "model", "--layout", "workflow", "--tenant", "acme")
    found = [(row["day"], row["model"], row["usage"]["total_tokens"], row["sessions"]) for row in report["items"]]
    assert found == [
        ("2026-03-01", None, 150, 1),
        ("2026-03-01", "m-1", 90, 1),
        ("2026-03-02", None, 1_000, 1),
        ("2026-03-02", "m-2", 300, 1),
        ("2026-03-02", "m-1", 6, 1),
    ]
    assert report["totals"]["sessions"] == 2


def test_days_are_those_of_the_time_zone(chatstore: Chatstore) -> None:
    def days(*arguments: str) -> dict[str, int]:
        rows = reported(chatstore, "--by", "day", "--tenant", "acme", *arguments)["items"]
        return {row["day"]: row["usage"]["total_tokens"] for row in rows}

    # Counters before the first report count at the session's last update, but with the first report at the latest.
    assert days() == {"2026-03-01": 150 + 90, "2026-03-02": 1_000 + 306}
    assert days("--timezone", "Europe/Berlin") == {"2026-03-01": 150 + 30, "2026-03-02": 1_000 + 366}
    assert days("--timezone", "europe/berlin") == days("--timezone", "Europe/Berlin")
    assert days("--timezone", "Europe/Berlin", "--since", "2026-03-02") == {"2026-03-02": 1_000 + 366}
    assert days("--timezone", "Asia/Tokyo", "--until", "2026-03-02T07:30") == {"2026-03-02": 150 + 30}


def test_status_comes_from_the_session(chatstore: Chatstore) -> None:
    rows = reported(chatstore, "--by", "status", "--layout", "workflow")["items"]
    assert {row["status"]: (row["usage"]["total_tokens"], row["sessions"]) for row in rows} == {
        "running": (540, 1), "completed": (1_008, 3), "failed": (15, 1), None: (9, 1)
    }  # fmt: skip
    assert reported(chatstore, "--status", "running", "--by", "agent")["totals"]["usage"]["total_tokens"] == 540


def test_top_and_sort_choose_groups_and_the_totals_stay(chatstore: Chatstore) -> None:
    top = chatstore("usage", "--by", "session", "--top", "2", "-o", "json")
    assert [row["session_id"] for row in json.loads(top.out)["items"]] == ["triage-1", "triage-0"]
    assert "6 more groups" in top.err
    assert json.loads(top.out)["totals"]["sessions"] == 8
    by_cost = reported(chatstore, "--by", "session", "--sort", "cost", "--top", "1")["items"]
    assert by_cost[0]["usage"]["cost"] == "1.106"
    by_name = reported(chatstore, "--by", "session", "--sort", "name", "--top", "2")["items"]
    assert [row["session_id"] for row in by_name] == ["gone", "journal-a"]


def test_notes_name_the_sources_of_the_numbers(chatstore: Chatstore) -> None:
    mixed = chatstore("usage").err
    assert (
        mixed
        == "Period: all times (UTC), currency: USD\n5 of 8 sessions have no ledger entries; their stored totals are used instead.\n"
    )
    by_day = chatstore("usage", "--by", "day", "--timezone", "Europe/Berlin", "--tenant", "other").err
    assert by_day.splitlines()[1] == "Usage counts on the day it was reported (Europe/Berlin)."


def test_csv_has_no_formulas(chatstore: Chatstore) -> None:
    rows = list(csv.DictReader(io.StringIO(chatstore("usage", "--by", "agent", "-o", "csv").out)))
    assert "'=cmd()" in {row["agent"] for row in rows}
    assert {row["usage.total_tokens"] for row in rows} == {"399", "1167", "6"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "day,colour"), "--by: 'colour' is not day, week"),
        (("--by", ""), "--by: '' is not day, week"),
        (("--timezone", "Mars/Base"), "'Mars/Base' is not in this machine's table of time zones"),
        (("--timezone", "../../etc/passwd"), "is not in this machine's table of time zones"),
        (("--timezone", "Europe"), "is not in this machine's table of time zones"),
        (("--top", "0"), "--top"),
        (("nonsense",), "nonsense"),
        (("--since", "7d", "explain", "triage-0"), "--since is an option of chatstore usage, not of"),
        (("--top", "3", "--by", "day", "rollup"), "--by, --top are options of chatstore usage, not of"),
        (("--since", "1d", "--until", "7d"), "is not earlier than --until 7d"),
        (("--timezone", "+02:00"), "use a name such as Europe/Berlin"),
    ],
)
def test_wrong_use_exits_with_2_and_names_the_problem(
    chatstore: Chatstore, arguments: tuple[str, ...], message: str
) -> None:
    outcome = chatstore("usage", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_global_options_are_accepted_before_and_after_the_subcommand(chatstore: Chatstore) -> None:
    expected = chatstore("usage", "--by", "day", "-o", "jsonl").out
    assert chatstore("-o", "jsonl", "usage", "--by", "day").out == expected
    explained = chatstore("usage", "explain", "triage-0", "-o", "json").out
    assert chatstore("usage", "-o", "json", "explain", "triage-0").out == explained
    assert chatstore("-o", "json", "usage", "explain", "triage-0").out == explained
    assert chatstore("usage", "--read-only", "rollup").code == 4


def test_explain_lists_each_row_with_its_reason(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    database["usage_events"].update_one({"chat_id": "triage-0", "total_tokens": 60}, {"$set": {"total_tokens": -1}})
    explained = json.loads(chatstore("usage", "explain", "triage-0", "-o", "json").out)
    assert [(row["counted"], row["added"]["total_tokens"]) for row in explained["items"]] == [
        (True, 150), (True, 30), (True, 60), (False, 0), (True, 300)
    ]  # fmt: skip
    assert "the session's counters before its first report" in explained["items"][0]["reason"]
    assert "is not a whole number from 0 to 1,000,000,000,000" in explained["items"][3]["reason"]
    assert explained["totals"]["total_tokens"] == explained["counters"]["total_tokens"] == 390 + 150
    assert "1 row of the usage ledger cannot be counted" in chatstore("usage").err
    table = chatstore("usage", "explain", "triage-0")
    assert "  first report" in table.out
    assert table.out.splitlines()[-1].startswith("TOTAL")
    assert "The session's counters: 540 tokens" in table.err


def test_explain_of_a_session_without_a_ledger_or_without_a_document(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    assert "Reports use its stored totals." in chatstore("usage", "explain", "写作-2").err
    assert "Session 'gone' does not exist" in chatstore("usage", "explain", "gone").err
    flat = chatstore("usage", "explain", "journal-a")
    assert flat.code == 0
    assert flat.err.startswith("Session 'journal-a' consists of flat messages, which have no usage. Target: ")
    database["chat_threads"].insert_one({"_id": "thread-a", "user_id": "u", "org_id": "o", "name": "n"})
    assert chatstore("usage", "explain", "thread-a").err.startswith(
        "Session 'thread-a' is a thread, which has no usage"
    )
    missing = chatstore("usage", "explain", "nobody")
    assert (missing.code, missing.out) == (3, "")


def test_reconcile_lists_what_differs_and_repairs_it_with_yes(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    assert chatstore("usage", "reconcile").code == 0
    tokens = {"real_time_tracking.tokens.total_tokens": 1}
    database["chat_sessions"].update_one({"chat_id": "triage-0"}, {"$set": tokens})

    found = chatstore("usage", "reconcile", "-o", "json")
    assert found.code == 6
    [row] = json.loads(found.out)["items"]
    assert (row["session_id"], row["counters"]["total_tokens"], row["wanted"]["total_tokens"], row["result"]) == (
        "triage-0", 1, 540, "planned"
    )  # fmt: skip
    assert row["differing"] == ["total_tokens"]
    assert chatstore("--read-only", "usage", "reconcile", "--yes").code == 4
    repaired = chatstore("usage", "reconcile", "--yes", "-o", "json")
    assert (repaired.code, json.loads(repaired.out)["items"][0]["result"]) == (0, "repaired")
    assert "Target:" in repaired.err
    assert chatstore("usage", "reconcile").code == 0


def test_reconcile_shows_the_numbers_that_differ_even_if_the_totals_are_equal(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    swapped = {"real_time_tracking.tokens.prompt_tokens": 130, "real_time_tracking.tokens.completion_tokens": 410}
    database["chat_sessions"].update_one({"chat_id": "triage-0"}, {"$set": swapped})
    lines = chatstore("usage", "reconcile").out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "SESSION WHAT DIFFERS RESULT",
        "triage-0 prompt 130, ledger 380; completion 410, ledger 160 planned",
    ]


def test_the_help_of_reconcile_explains_its_own_exit_statuses(chatstore: Chatstore) -> None:
    help_text = chatstore("usage", "reconcile", "--help").out
    assert "6  findings: counters differ from the ledger, or statistics from counters" in help_text
    assert "7  partly done: counters changed in the meantime and were not repaired" in help_text


def test_rollup_adds_new_rows_and_reports_do_not_change(
    chatstore: Chatstore, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    before = reported(chatstore, "--by", "day,agent")
    assert chatstore("--read-only", "usage", "rollup").code == 4
    rolled = json.loads(chatstore("usage", "rollup", "-o", "json").out)
    assert (rolled["rows"], rolled["chats"]) == (8, 3)
    assert reported(chatstore, "--by", "day,agent") == before

    late = snapshot(9, 50, chat_id="triage-1", at=START - timedelta(days=40))
    UsageRecorder(MongoUsageLedger(connection, Settings())).record([late])
    days = {row["day"]: row["usage"]["total_tokens"] for row in reported(chatstore, "--by", "day")["items"]}
    assert days["2026-01-20"] == 50
    assert json.loads(chatstore("usage", "rollup", "-o", "json").out)["rows"] == 1
    assert json.loads(chatstore("usage", "rollup", "--rebuild", "-o", "json").out)["rows"] == 9
    assert {row["day"]: row["usage"]["total_tokens"] for row in reported(chatstore, "--by", "day")["items"]} == days


def test_reconcile_and_rollup_report_that_a_database_has_no_ledger(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    assert chatstore("usage", "reconcile").err.startswith("All counters equal the sums of the ledger. Target: ")
    database["usage_events"].drop()
    notice = f"database {database.name}. Reports use the stored totals of sessions."
    for command in ("reconcile", "rollup"):
        outcome = chatstore("usage", command)
        assert outcome.code == 0
        assert "There is no usage ledger in " in outcome.err
        assert notice in outcome.err


@pytest.mark.parametrize("keep", [False, True])
def test_deleting_a_session_deletes_its_usage_unless_it_is_kept(
    chatstore: Chatstore, database: Database[dict[str, Any]], keep: bool
) -> None:
    chatstore("usage", "rollup")
    flags = ("--keep-usage",) if keep else ()
    plan = chatstore("sessions", "delete", "triage-0", *flags)
    assert ("5 documents of usage_events" in plan.err) is not keep
    assert chatstore("sessions", "delete", "triage-0", "--yes", *flags).code == 0
    assert database["usage_events"].count_documents({"chat_id": "triage-0"}) == (5 if keep else 0)
    report = reported(chatstore, "--by", "session")
    found = {row["session_id"]: row["usage"]["total_tokens"] for row in report["items"]}
    assert found.get("triage-0") == (540 if keep else None)


def test_usage_that_only_counters_have_is_kept_too(chatstore: Chatstore) -> None:
    total = reported(chatstore)["totals"]["usage"]
    assert chatstore("sessions", "delete", "写作-2", "--keep-usage", "--yes").code == 0
    assert reported(chatstore)["totals"]["usage"] == total
    [row] = json.loads(chatstore("usage", "explain", "写作-2", "-o", "json").out)["items"]
    assert (row["run"], row["added"]["total_tokens"]) == (0, 15)


def test_usage_of_a_session_without_a_document_can_be_deleted(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    assert "1 document of usage_events" in chatstore("sessions", "delete", "gone").err
    assert chatstore("sessions", "delete", "gone", "--keep-usage", "--yes").code == 3
    assert chatstore("sessions", "delete", "gone", "--yes").code == 0
    assert database["usage_events"].count_documents({"chat_id": "gone"}) == 0
    assert chatstore("sessions", "delete", "gone", "--yes").code == 3


def test_reconcile_compares_the_statistics_of_the_platform_and_never_writes_them(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_sample(database, "general", "multi_agent")
    before = list(database["WorkflowStats"].find())
    chat = "generalchat-acme-a.b@c.de-0001"
    assert chatstore("usage", "reconcile").code == 0
    database["GeneralChatSessions"].update_one({"_id": chat}, {"$inc": {"usage_total_tokens_final": 5}})
    found = chatstore("usage", "reconcile", "--yes", "-o", "json")
    [row] = json.loads(found.out)["items"]
    assert (found.code, row["session_id"], row["layout"], row["result"]) == (6, chat, "general", "reported")
    assert (row["counters"]["total_tokens"], row["statistics"]["total_tokens"], row["wanted"]) == (15, 10, None)
    table = chatstore("usage", "reconcile")
    assert "total 15, statistics 10" in table.out
    assert "chatstore never writes statistics" in table.err
    assert list(database["WorkflowStats"].find()) == before
