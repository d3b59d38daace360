"""`sessions list` beyond a page, `sessions tenants|users`, and suggestions: as a process, over all layouts at once."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from bson import ObjectId, json_util

from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import TABLE_AND_JSON, check_golden
from tests.support.paths import SAMPLES
from tests.support.stored_sessions import NOON, store_chats

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

    Documents = Database[dict[str, Any]]

EVERY_LAYOUT = {
    "CHATSTORE_AGENTS__SESSIONS": "sessions",
    "CHATSTORE_AGENTS__MESSAGES": "messages",
}
SAMPLED = {layout: json.loads((SAMPLES / f"{layout}.json").read_text()) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def everything(module_database: Documents, module_chatstore: Chatstore) -> Chatstore:
    """The command over the samples of all layouts in one database."""
    for sample in SAMPLED.values():
        for collection, documents in sample["collections"].items():
            module_database[collection].insert_many([json_util.loads(json.dumps(each)) for each in documents])
    module_database["usage_events"].insert_one(
        {"chat_id": "chat-ours", "run": 1, "model": "gpt-9", "at": ObjectId().generation_time}
    )
    return module_chatstore


@pytest.fixture
def chats(database: Documents, chatstore: Chatstore) -> Chatstore:
    """The command over seven sessions of two layouts."""
    store_chats(database)
    return chatstore


def items(chatstore: Chatstore, *arguments: str, env: dict[str, str | None] | None = None) -> list[dict[str, Any]]:
    outcome = chatstore("sessions", *arguments, "-o", "json", env=env)
    assert outcome.code == 0, outcome.err
    rows: list[dict[str, Any]] = json.loads(outcome.out)["items"]
    return rows


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["session_id"] for row in rows]


# --- all sessions ----------------------------------------------------------------------------------------------------


def test_all_of_every_layout_are_the_samples_in_one_order_and_every_format_is_valid(everything: Chatstore) -> None:
    expected = {(row["layout"], row["session_id"]) for sample in SAMPLED.values() for row in sample["sessions"]}
    pages = json.loads(everything("sessions", "list", "--limit", "1000", "-o", "json", env=EVERY_LAYOUT).out)
    assert {(row["layout"], row["session_id"]) for row in pages["items"]} == expected

    def output(*arguments: str) -> str:
        outcome = everything("sessions", "list", "--all", *arguments, env=EVERY_LAYOUT)
        assert (outcome.code, "more rows" in outcome.err) == (0, False), outcome.err
        return outcome.out

    assert json.loads(output("-o", "json")) == pages
    assert [json.loads(line) for line in output("-o", "jsonl").splitlines()] == pages["items"]
    assert yaml.safe_load(output("-o", "yaml")) == pages
    rows = list(csv.DictReader(io.StringIO(output("-o", "csv"))))
    assert len(rows) == len(output("-o", "md").splitlines()) - 2 == len(output().splitlines()) - 1 == len(expected)


def test_all_continues_after_a_cursor_and_has_no_limit(chats: Chatstore) -> None:
    page = json.loads(chats("sessions", "list", "--limit", "3", "-o", "json").out)
    rest = items(chats, "list", "--all", "--cursor", page["next_cursor"])
    assert ids(page["items"] + rest) == ids(items(chats, "list"))
    both = chats("sessions", "list", "--all", "--limit", "3")
    assert (both.code, both.out) == (2, "")
    assert "--all cannot be combined with --limit." in both.err


def test_all_of_nothing_is_an_empty_list(chatstore: Chatstore) -> None:
    outcome = chatstore("sessions", "list", "--all", "-o", "json")
    assert json.loads(outcome.out) == json.loads(chatstore("sessions", "list", "-o", "json").out)
    assert "No sessions in " in outcome.err


# --- columns ---------------------------------------------------------------------------------------------------------


def test_columns_are_chosen_by_their_keys_in_tables_csv_and_markdown(chats: Chatstore) -> None:
    chosen = ("sessions", "list", "--limit", "2", "--columns", "usage.prompt_tokens, session_id,title,created_at")
    table = chats(*chosen).out.splitlines()
    assert table[0].split() == ["PROMPT", "SESSION", "TITLE", "CREATED", "(UTC)"]
    assert table[1].split()[:2] == ["120", "triage-0"]
    assert "Triage" not in table[1]  # the column title has the title alone
    assert chats(*chosen, "-o", "csv").out.splitlines()[:2] == [
        "usage.prompt_tokens,session_id,title,created_at",
        "120,triage-0,,2026-03-02T09:00:00Z",
    ]
    assert chats(*chosen, "-o", "md").out.splitlines()[0] == "| PROMPT | SESSION | TITLE | CREATED (UTC) |"
    assert items(chats, *chosen[1:]) == items(chats, "list", "--limit", "2")


def test_columns_are_chosen_by_their_headings_in_any_case(chats: Chatstore) -> None:
    chosen = ("sessions", "list", "--limit", "1", "--columns", "session, Title or Workflow,COST,UPDATED (UTC),Created")
    titles = ["SESSION", "TITLE OR WORKFLOW", "COST", "UPDATED (UTC)", "CREATED (UTC)"]
    assert chats(*chosen, "-o", "md").out.splitlines()[0] == f"| {' | '.join(titles)} |"
    assert "Triage" in chats(*chosen).out  # under its heading, the column has the workflow of a session without a title
    keys = chats(*chosen, "-o", "csv").out.splitlines()[0]
    assert keys == "session_id,title,usage.cost,updated_at,created_at"


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        ("sesion_id", "Did you mean session_id (SESSION)?"),
        ("total_tokens", "Did you mean usage.total_tokens (TOKENS)?"),
        ("mesages", "Did you mean message_count (MESSAGES)?"),
        ("TENNANT", "Did you mean tenant_id (TENANT)?"),
        ("session_id,,title", "Columns are session_id (SESSION), layout (LAYOUT), "),
        ("", "Columns are session_id (SESSION), layout (LAYOUT), "),
        ("$where", "Columns are session_id (SESSION), layout (LAYOUT), "),
    ],
)
def test_an_unknown_column_is_rejected_before_anything_is_read(
    chatstore_without_database: Chatstore, names: str, hint: str
) -> None:
    outcome = chatstore_without_database("sessions", "list", "--columns", names, env={"CHATSTORE_URI": "mongodb://h:1"})
    assert (outcome.code, outcome.out, hint in outcome.err) == (2, "", True), outcome.err


# --- how many there are ----------------------------------------------------------------------------------------------


def test_a_truncated_file_says_so_even_when_quiet(chats: Chatstore) -> None:
    for output in ("csv", "jsonl"):
        outcome = chats("sessions", "list", "--limit", "3", "-o", output, "-q")
        assert "There are more rows. Use --cursor " in outcome.err
        assert chats("sessions", "list", "--limit", "7", "-o", output, "-q").err == ""
    for output in ("json", "yaml", "md", "table"):
        assert chats("sessions", "list", "--limit", "3", "-o", output, "-q").err == ""
    sorted_page = chats("sessions", "list", "--limit", "3", "--sort", "created", "-o", "json", "-q")
    assert sorted_page.err == "There are more rows. Use a higher --limit or --all for all rows.\n"  # no cursor shows it


def test_below_a_table_is_how_many_there_are(chats: Chatstore) -> None:
    assert "3 of 7 sessions.\n" in chats("sessions", "list", "--limit", "3").err
    assert "1 of 2 sessions.\n" in chats("sessions", "list", "--limit", "1", "--tenant", "acme").err
    assert "2 of 7 sessions.\n" in chats("sessions", "list", "--limit", "2", "--sort", "messages").err
    assert " of 7" not in chats("sessions", "list", "--limit", "7").err
    assert chats("sessions", "list", "--limit", "3", "-q").err == ""


def test_more_than_10_000_are_not_counted_and_not_read_one_by_one(chatstore: Chatstore, database: Documents) -> None:
    database["chat_sessions"].insert_many(
        [
            {"chat_id": f"c{number}", "messages": [], "status": 1, "updated_at": NOON + timedelta(minutes=number)}
            for number in range(10_001)
        ]
    )
    assert "2 of more than 10,000 sessions.\n" in chatstore("sessions", "list", "--limit", "2").err
    outcome = chatstore("sessions", "list", "--status", "completed", "--all", "--sort", "title", "-o", "json")
    assert (outcome.code, outcome.out) == (2, "")
    error = json.loads(outcome.err)["error"]
    assert error["message"].startswith("More than 10,000 sessions match the other options, and --sort must read each")
    assert error["hint"].startswith("Narrow the list with --since, --until, --tenant,")


# --- what no index serves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--title", "REFUND, u"], ["triage-1"]),
        (["--min-messages", "3"], ["triage-0"]),
        (["--min-tokens", "150"], ["triage-0", "triage-1"]),
        (["--min-cost", "0.0021"], ["triage-0", "triage-1"]),
        (["--sort", "cost", "--limit", "2"], ["triage-1", "triage-0"]),
        (["--sort", "created:asc", "--limit", "1"], ["old-4"]),
        (["--sort", "messages", "--tenant", "acme"], ["triage-0", "triage-1"]),
        (["--model", "gpt-9"], []),
    ],
)
def test_filters_and_orders_without_an_index(chats: Chatstore, arguments: list[str], expected: list[str]) -> None:
    assert ids(items(chats, "list", *arguments)) == expected


def test_usage_and_models_are_looked_up_where_a_list_does_not_have_them(everything: Chatstore) -> None:
    cost = items(everything, "list", "--layout", "threads", "--sort", "cost")
    assert [row["usage"]["cost"] for row in cost] == ["0.25", *[None] * (len(cost) - 1)]
    calls = items(everything, "list", "--layout", "calls", "--min-tokens", "1")
    reported = SAMPLED["calls"].get("usage", {})
    assert {row["session_id"]: row["usage"] for row in calls} == {
        name: usage for name, usage in reported.items() if usage["total_tokens"]
    }
    of_model = everything("sessions", "list", "--model", "gpt-9", "-o", "json")
    assert ids(json.loads(of_model.out)["items"]) == ["chat-ours"]
    for layout in ("messages", "calls"):
        assert f"The layout {layout} has no model, so its sessions are left out." in of_model.err
    assert ids(items(everything, "list", "--model", "m")) == ["thread-1"]


def test_wrong_use(chats: Chatstore) -> None:
    cursor = json.loads(chats("sessions", "list", "--limit", "1", "-o", "json").out)["next_cursor"]
    for arguments, text in (
        (["--sort", "cost", "--cursor", cursor], "--cursor cannot be combined with --sort."),
        (["--sort", "costs"], "Did you mean 'cost'?"),
        (["--title", ""], "--title: '' is not a text"),
        (["--min-cost", "cheap"], "--min-cost: 'cheap' is not an amount such as 0.50."),
        (["--min-cost", "-1"], "--min-cost: '-1' is not an amount"),
        (["--min-cost", "NaN"], "--min-cost: 'NaN' is not an amount"),
        (["--min-messages", "0"], "--min-messages"),
    ):
        outcome = chats("sessions", "list", *arguments)
        assert (outcome.code, outcome.out, text in outcome.err) == (2, "", True), outcome.err


# --- tenants and users -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", TABLE_AND_JSON)
def test_tenants_byte_for_byte(chats: Chatstore, output: OutputFormat) -> None:
    check_golden(chats, "sessions-tenants", ("sessions", "tenants"), output)


def test_tenants_and_users_of_all_layouts_have_the_sessions_of_the_list(everything: Chatstore) -> None:
    listed = items(everything, "list", "--all", env=EVERY_LAYOUT)
    for by, lacking in (("tenant", {"messages", "agent_sessions"}), ("user", {"messages"})):
        rows = items(everything, f"{by}s", "--limit", "1000", env=EVERY_LAYOUT)
        key = f"{by}_id"
        assert {
            (row[key], layout): counted["sessions"] for row in rows for layout, counted in row["layouts"].items()
        } == {
            (name, layout): sum((row[key], row["layout"]) == (name, layout) for row in listed)
            for name, layout in {(row[key], row["layout"]) for row in listed if row["layout"] not in lacking}
        }
        for row in rows:
            own = [each for each in listed if each[key] == row[key] and each["layout"] not in lacking]
            assert row["sessions"] == len(own) == sum(each["sessions"] for each in row["layouts"].values())


def test_users_of_one_tenant(chats: Chatstore) -> None:
    assert [(row["user_id"], row["sessions"]) for row in items(chats, "users", "--tenant", "acme")] == [
        ("ada", 1),
        ("bob", 1),
    ]
    assert [row["tenant_id"] for row in items(chats, "tenants", "--limit", "1")] == ["acme"]
    one = chats("sessions", "tenants", "--limit", "1")
    assert "1 of 4 tenants.\n" in one.err
    assert "The layout messages has no tenant, so its sessions are left out." in one.err
    typo = chats("sessions", "users", "--tenant", "acmee")
    assert (typo.code, typo.out, "Did you mean 'acme'?" in typo.err) == (3, "", True)


# --- did you mean ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "show"), ("resume",), ("sessions", "delete"), ("sessions", "watch"), ("sessions", "transcript"),
        ("usage", "explain"), ("sessions", "split"),
    ],
)  # fmt: skip
def test_a_session_id_is_suggested(chats: Chatstore, command: tuple[str, ...]) -> None:
    for typed in ("triage-00", "TRIAGE-0", " triage-0\n", "'triage-0'"):
        outcome = chats(*command, typed)
        assert (outcome.code, outcome.out) == (3, "")
        assert "Did you mean 'triage-0'" in outcome.err, outcome.err


def test_the_beginning_of_an_id_and_an_object_id_are_suggested(chats: Chatstore, database: Documents) -> None:
    identity = database["chat_sessions"].insert_one({"enterprise_id": "x", "messages": [], "status": 1}).inserted_id
    for typed in (f"ObjectId('{identity}')", str(identity).upper()):
        assert f"Did you mean '{identity}'? " in chats("sessions", "show", typed).err
    assert "Did you mean 'journal-a' or 'journal-b'? " in chats("sessions", "show", "journal").err
    for hostile in ('{"$ne": null}', "x" * 5_000, "\x1b[31m", ".*", "%", "zzz"):
        outcome = chats("sessions", "show", hostile)
        assert (outcome.code, "Did you mean" in outcome.err, "\x1b" in outcome.err) == (3, False, False)


@pytest.mark.parametrize(
    ("command", "session_id", "text"),
    [
        (("sessions", "transcript"), "journal-a", "No session 'journal-a' in workflow or general."),
        (("sessions", "complete"), "journal-a", "No session 'journal-a' of an agent workflow."),
        (("sessions", "pause"), "journal-a", "No session 'journal-a' of an agent workflow."),
        (("sessions", "split"), "journal-a", "No session 'journal-a' in workflow or general."),
        (("sessions", "show", "--layout", "general"), "journal-a", "No session 'journal-a' in general."),
        (("general", "show"), "journal-a", "No session 'journal-a' in general."),
        (("threads", "show"), "journal-a", "Thread journal-a does not exist."),
        (("sessions", "show", "--layout", "messages"), "triage-0", "No session 'triage-0' in messages."),
    ],
)
def test_an_id_of_another_layout_is_reported_with_its_layout(
    chats: Chatstore, command: tuple[str, ...], session_id: str, text: str
) -> None:
    outcome = chats(*command, session_id)
    layout = "workflow" if session_id == "triage-0" else "messages"
    error = " ".join(outcome.err.split())
    assert (outcome.code, outcome.out) == (3, "")
    assert f"{text} A session with this id is in the layout {layout}." in error
    assert "Did you mean" not in error, error
    assert "The whole id is required. To list session ids" not in error, error


def test_an_id_that_no_layout_has_is_reported_without_remarks_about_lists(
    chats: Chatstore, database: Documents
) -> None:
    database["chat_messages"].drop_indexes()  # without an index, the list of the suggestion has a remark
    outcome = chats("sessions", "show", "journla-a")
    assert (outcome.code, "Did you mean 'journal-a'" in outcome.err) == (3, True), outcome.err
    assert "no index" not in outcome.err, outcome.err


def test_a_tenant_or_user_that_exists_nowhere_is_suggested(chats: Chatstore) -> None:
    for arguments, text in (
        (["--tenant", "ACME"], "No tenant 'ACME' in workflow, threads, general or calls. Did you mean 'acme'? "),
        (["--user", "adda"], "Did you mean 'ada'? "),
        (["--tenant", '{"$ne": null}'], "To list tenants: chatstore sessions tenants. "),
        (["--all", "--tenant", "zzz"], "To list tenants: chatstore sessions tenants. "),
    ):
        outcome = chats("sessions", "list", *arguments, "-o", "jsonl")
        assert (outcome.code, outcome.out, text in outcome.err) == (3, "", True), outcome.err
    for arguments in (["--tenant", "acme", "--until", "2001-01-01"], ["--layout", "messages", "--tenant", "zzz"]):
        assert chats("sessions", "list", *arguments).code == 0
    assert chats("sessions", "list", "--layout", "general", "--tenant", "acme").code == 0  # it has workflow sessions


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "list"), ("sessions", "tenants"), ("sessions", "sizes"), ("sessions", "show", "triage-0"), ("usage",),
        ("indexes", "check"), ("resume", "triage-0"), ("search", "x"),
    ],
)  # fmt: skip
def test_an_unknown_layout_is_wrong_use(chats: Chatstore, command: tuple[str, ...]) -> None:
    outcome = chats(*command, "--layout", "workflw")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--layout: 'workflw' is not a layout. Did you mean 'workflow'? Layouts are " in outcome.err


def test_threads_and_general_chats_have_the_options_of_lists(everything: Chatstore) -> None:
    titles = items_of(everything, "threads", "list", "--sort", "title:desc")
    assert [row["thread_id"] for row in titles] == [
        row["thread_id"] for row in items_of(everything, "threads", "list", "--all", "--sort", "title:desc")
    ]
    assert [row["title"] for row in items_of(everything, "threads", "list", "--name", "PLANNING")] == [
        "Product planning"
    ]
    csv_rows = everything("threads", "list", "--limit", "1", "--columns", "title,thread_id", "-o", "csv", "-q")
    assert csv_rows.out.splitlines()[0] == "title,thread_id"
    assert "There are more rows. Use --cursor " in csv_rows.err
    owner = next(row for row in SAMPLED["general"]["sessions"] if row["tenant_id"] and row["user_id"])
    of_owner = ("--tenant", owner["tenant_id"], "--user", owner["user_id"])
    chats = everything("general", "list", *of_owner, "--columns", "session_id", "-o", "csv")
    assert chats.out.splitlines()[0] == "session_id"
    suggested = everything("general", "list", "--tenant", "x" + owner["tenant_id"], "--user", owner["user_id"])
    assert (suggested.code, suggested.out) == (3, "")
    wrong = everything("threads", "list", "--sort", "tokens")
    assert (wrong.code, "updated, created, messages, title, tenant or user" in wrong.err) == (2, True)


def items_of(chatstore: Chatstore, *arguments: str) -> list[dict[str, Any]]:
    outcome = chatstore(*arguments, "-o", "json")
    assert outcome.code == 0, outcome.err
    rows: list[dict[str, Any]] = json.loads(outcome.out)["items"]
    return rows
