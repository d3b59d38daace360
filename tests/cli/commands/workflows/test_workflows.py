"""`chatstore workflows ...` as a process on a real server: what a support person does with client sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli import SessionRegistry
from chatstore_cli.cli.main import run
from tests.cli.test_output_contract import modules_of

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any

ANA = ("--tenant", "acme", "--user", "ana")
LAPTOP = (*ANA, "--session-key", "laptop")
HOSTILE = "$where\x1b[2J\u202e\n=1+1"


def ask(chatstore: Chatstore, *arguments: str, code: int = 0) -> Any:
    """The JSON that a command prints, or its JSON error. Only commands that write name their target, first of all."""
    outcome = chatstore("workflows", *arguments, "-o", "json")
    assert outcome.code == code, outcome.err
    if code:
        assert outcome.out == ""
        return json.loads(outcome.err.splitlines()[-1])["error"]
    result = json.loads(outcome.out)
    if arguments[0] in ("switch", "complete"):
        assert outcome.err.startswith(f"Target: {result['target']}\n")
    else:
        assert "Target" not in outcome.err
    return result


@pytest.fixture
def registered(database: Documents, mongo_uri: str) -> Documents:
    """A client session with three workflows, of which one is active and one is completed, and another one without any."""
    with SessionRegistry(mongo_uri, database.name) as registry:
        registry.attach("tab-1", "acme", "ana", "laptop")
        registry.add_workflow("tab-1", "done", "refund", "acme", "ana")
        registry.complete_workflow("tab-1", "done")
        registry.add_workflow("tab-1", "waiting", "trip", "acme", "ana", "artifact_1")
        registry.add_workflow("tab-1", HOSTILE, HOSTILE, "acme", "ana")
        registry.attach("tab-2", "acme", "ana", "phone")
        registry.enter_general_mode("tab-2")
    return database


def stored(database: Documents) -> list[dict[str, Any]]:
    """Every document of the registry."""
    return list(database.chat_session_registry.find().sort("_id", 1))


def statuses(chatstore: Chatstore) -> dict[str, str]:
    """The status of each workflow of the client session."""
    return {row["session_id"]: row["status"] for row in ask(chatstore, "list", *LAPTOP)["items"]}


def test_a_client_session_is_switched_completed_and_audited(chatstore: Chatstore, registered: Documents) -> None:
    assert statuses(chatstore) == {"done": "completed", "waiting": "paused", HOSTILE: "active"}

    switched = ask(chatstore, "switch", "waiting", *LAPTOP)
    names = ("session_key", "active", "session_id", "workflow", "status", "artifact_id", "general_mode", "changed")
    assert [switched[name] for name in names] == [
        "laptop", "waiting", "waiting", "trip", "active", "artifact_1", False, True,
    ]  # fmt: skip
    assert statuses(chatstore) == {"done": "completed", "waiting": "active", HOSTILE: "paused"}

    general = ask(chatstore, "switch", "--general", *LAPTOP)
    assert [general[name] for name in names] == ["laptop", None, None, None, None, None, True, True]
    assert statuses(chatstore) == {"done": "completed", "waiting": "paused", HOSTILE: "paused"}
    again = chatstore("workflows", "switch", "--general", *LAPTOP)
    assert (again.code, "The client session was not changed." in again.err) == (0, True)

    ask(chatstore, "switch", HOSTILE, *LAPTOP)
    completed = ask(chatstore, "complete", HOSTILE, *LAPTOP)
    assert [completed[name] for name in ("active", "status", "general_mode", "changed")] == [
        None, "completed", False, True,
    ]  # fmt: skip
    assert ask(chatstore, "complete", HOSTILE, *LAPTOP)["changed"] is False

    newest = ask(chatstore, "history", *LAPTOP, "--limit", "4")["items"]
    assert [(row["action"], row["from_session_id"], row["to_session_id"]) for row in newest] == [
        ("complete", HOSTILE, HOSTILE),
        ("switch", None, HOSTILE),
        ("general", "waiting", None),
        ("switch", HOSTILE, "waiting"),
    ]
    assert {(row["connection"], row["refused"]) for row in newest} == {("chatstore workflows", None)}
    assert ask(chatstore, "history", *LAPTOP)["items"][-1]["connection"] == "tab-1"


def test_a_refused_switch_exits_with_8_and_is_in_the_history(chatstore: Chatstore, registered: Documents) -> None:
    before = statuses(chatstore)
    error = ask(chatstore, "switch", "done", *LAPTOP, code=8)
    assert error["message"] == "Workflow session 'done' was not activated, because it is completed."
    assert statuses(chatstore) == before
    [refused] = ask(chatstore, "history", *LAPTOP, "--limit", "1")["items"]
    assert (refused["to_session_id"], refused["from_session_id"], bool(refused["refused"])) == ("done", HOSTILE, True)


def test_a_prerequisite_refuses_with_its_reason(chatstore: Chatstore, registered: Documents) -> None:
    (chatstore.folder / "guards.py").write_text("def ask(request):\n    return f'{request.workflow_name} is closed'\n")
    before = statuses(chatstore)
    settings = {"CHATSTORE_REGISTRY__PREREQUISITES": "guards:ask", "PYTHONPATH": str(chatstore.folder)}
    outcome = chatstore("workflows", "switch", "waiting", *LAPTOP, env=settings)
    assert (outcome.code, outcome.out) == (8, "")
    assert "trip is closed" in outcome.err
    assert statuses(chatstore) == before
    unknown = {"CHATSTORE_REGISTRY__PREREQUISITES": "no_such_guards:ask"}
    failed = chatstore("workflows", "switch", "waiting", *LAPTOP, env=unknown)
    assert failed.code == 8
    assert "so its module must be on PYTHONPATH." in failed.err


def test_what_a_prerequisite_prints_is_not_in_the_result(chatstore: Chatstore, registered: Documents) -> None:
    (chatstore.folder / "guards.py").write_text(
        "print('imported')\ndef ask(request):\n    print('asked')\n    return True\n"
    )
    settings = {"CHATSTORE_REGISTRY__PREREQUISITES": "guards:ask", "PYTHONPATH": str(chatstore.folder)}
    outcome = chatstore("workflows", "switch", "waiting", *LAPTOP, "-o", "json", env=settings)
    assert json.loads(outcome.out)["active"] == "waiting"
    assert "imported\nasked\n" in outcome.err


MISSING = [
    (("switch", "missing", *LAPTOP), "No session 'missing' in client session 'laptop'."),
    (("complete", "missing", *LAPTOP), "No session 'missing' in client session 'laptop'."),
    (("switch", "waiting", *ANA, "--session-key", "tablet"), "No client session 'tablet' of user 'ana'"),
    (("switch", "--general", *ANA, "--session-key", "tablet"), "No client session 'tablet' of user 'ana'"),
    (("history", "--tenant", "globex", "--user", "ana", "--session-key", "laptop"), "and tenant 'globex'."),
    (("list", "--tenant", "acme", "--user", "tomasz", "--session-key", "laptop"), "No client session 'laptop'"),
    (("list", "--tenant", '{"$gt": ""}', "--user", "ana", "--session-key", "laptop"), "No client session 'laptop'"),
]


def test_what_is_missing_exits_with_3_and_stores_nothing(chatstore: Chatstore, registered: Documents) -> None:
    before = stored(registered)
    for words, expected in MISSING:
        assert expected in ask(chatstore, *words, code=3)["message"], words
    assert stored(registered) == before
    hint = ask(chatstore, "switch", "missing", *LAPTOP, code=3)["hint"]
    assert hint.endswith("run: chatstore workflows list --tenant acme --user ana --session-key laptop")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("switch", *LAPTOP), "No workflow was named."),
        (("switch", "waiting", "--general", *LAPTOP), "SESSION_ID and --general exclude each other."),
        (("list", "--tenant", "", "--user", "ana"), "--tenant"),
        (("list", "--tenant", "acme", "--user", ""), "--user"),
        (("history", *ANA, "--session-key", ""), "--session-key"),
        (("list", "--tenant", "acme", "--user", "\udcff"), "--user"),
        (("history", *ANA, "--session-key", "x" * 4_001), "--session-key"),
        (("history", *LAPTOP, "--limit", "501"), "501 is not in the range 1 to 500."),
        (("history", *ANA), "Missing option '--session-key'."),
    ],
)
def test_wrong_use_exits_with_2_and_names_the_option(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands run in this process, on an empty database in memory."""
    assert run(["workflows", *words, "-o", "json", "--uri", "mongomock://"]) == 2
    assert expected in json.loads(capsys.readouterr().err.splitlines()[-1])["error"]["message"]


def test_read_only_rejects_changes(chatstore: Chatstore, registered: Documents) -> None:
    before = stored(registered)
    for words in (("switch", "waiting"), ("switch", "--general"), ("complete", "waiting")):
        assert ask(chatstore, *words, *LAPTOP, "--read-only", code=4)["kind"] == "not_allowed"
    assert stored(registered) == before
    assert chatstore("workflows", "list", *LAPTOP, "--read-only").code == 0


def test_every_client_session_of_a_user_is_listed(chatstore: Chatstore, registered: Documents) -> None:
    listed = ask(chatstore, "list", *ANA)
    assert list(listed) == ["items", "next_cursor", "client_sessions"]
    assert list(listed["items"][0]) == [
        "session_key", "session_id", "workflow", "status", "artifact_id", "created_at", "last_active_at",
    ]  # fmt: skip
    sessions = [(row["session_key"], row["active"], row["general_mode"]) for row in listed["client_sessions"]]
    assert sessions == [("phone", None, True), ("laptop", HOSTILE, False)]
    table = chatstore("workflows", "list", *ANA)
    assert "Client session 'phone' is in general mode." in table.err
    assert "\x1b" not in table.out
    assert "\u202e" not in table.out
    nothing = chatstore("workflows", "list", "--tenant", "acme", "--user", "nobody")
    assert (nothing.code, "has no client sessions" in nothing.err) == (0, True)
    first = chatstore("workflows", "list", *ANA, "--limit", "1")
    assert "There are more rows. Use a higher --limit or --session-key KEY for one client session.\n" in first.err
    assert "more rows" not in chatstore("workflows", "list", *ANA, "--limit", "2").err
    newest = chatstore("workflows", "history", *LAPTOP, "--limit", "3")
    assert newest.err.endswith("There are more rows. Use a higher --limit.\n")
    assert "more rows" not in chatstore("workflows", "history", *LAPTOP, "--limit", "4").err
    one = chatstore("workflows", "list", *ANA, "--session-key", "phone")
    assert one.err.startswith("The client session has no workflows.")


def test_lists_import_no_more_than_other_lists(chatstore: Chatstore, registered: Documents) -> None:
    modules = modules_of(chatstore, "workflows", "list", *ANA)
    assert {"pydantic", "rich", "chatstore_cli.library"} & modules == set()
