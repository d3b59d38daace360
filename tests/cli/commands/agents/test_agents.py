"""`chatstore agents ...` as a process on a real server: what an operator does with saved agents."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from bson import encode

from tests.cli.test_output_contract import modules_of
from tests.support.stored_agents import (
    ACTIVE,
    COLLECTION,
    DELETED,
    DESK,
    FOREIGN,
    NUMBER,
    OLD,
    PLAIN,
    SECRET,
    store_agents,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any
WRITING = {"create", "update", "edit", "delete", "restore", "purge", "activate", "bind", "unbind"}


def ask(chatstore: Chatstore, *arguments: str | Path, code: int = 0, stdin: str | None = None) -> Any:
    """The JSON that a command prints. Only commands that write name their target, first of all."""
    outcome = chatstore("agents", *arguments, "-o", "json", stdin=stdin)
    assert outcome.code == code, outcome.err
    assert ("Target: " in outcome.err) == bool(WRITING & set(arguments[:2]))
    return json.loads(outcome.out)


def everything(database: Documents) -> list[bytes]:
    """All stored documents, byte by byte."""
    names = (COLLECTION, "agents", "agent_versions", "lk_telephony_bindings")
    return [encode(each) for name in names for each in database[name].find().sort("_id", 1)]


@pytest.fixture
def agents(database: Documents) -> Documents:
    """The sample agents."""
    store_agents(database)
    return database


def test_an_agent_from_its_creation_to_its_purge(chatstore: Chatstore, database: Documents) -> None:
    (chatstore.folder / "agent.yaml").write_text(
        f"# desk\nengine: {{llm: x}}\ntools: [get_weather]\napi_key: {SECRET}\nlanguage: no\n"
    )
    created = ask(
        chatstore, "create", "  Front desk ", "--tenant", "acme", "--file", "agent.yaml",
        "--set", "engine.voice=alloy", "--set", 'tools[1]="1"', "--set", 'headers["a.b"].$x=[1, {}]', "--set", "empty=",
    )  # fmt: skip
    agent_id, first = created["agent_id"], created["version_id"]
    assert (created["name"], created["tenant_id"], created["target"].endswith(database.name)) == (
        "Front desk",
        "acme",
        True,
    )
    config = ask(chatstore, "show", agent_id, "--reveal")["config"]
    assert config == {
        "engine": {"llm": "x", "voice": "alloy"}, "tools": ["get_weather", "1"], "api_key": SECRET, "language": "no",
        "headers": {"a.b": {"$x": [1, {}]}}, "empty": "",
    }  # fmt: skip

    changed = ask(chatstore, "update", agent_id, "--set", "engine.llm=2.5", "--unset", "tools[0]", "--description", "d")
    second = changed["version_id"]
    assert changed["description"] == "d"
    conflict = chatstore("agents", "update", agent_id, "--name", "x", "--base-version", first, "-o", "json")
    assert (conflict.code, json.loads(conflict.err.splitlines()[-1])["error"]["kind"]) == (8, "agent_changed")
    ask(chatstore, "update", agent_id, "--no-description", "--base-version", second)
    versions = ask(chatstore, "history", agent_id)["items"]
    assert [(each["active"], each["version_id"]) for each in versions[1:]] == [(False, second), (False, first)]
    differences = ask(chatstore, "diff", agent_id, first, second)["items"]
    assert [(each["path"], each["change"], each["old"], each["new"]) for each in differences] == [
        ("description", "changed", None, "d"), ("config.engine.llm", "changed", "x", 2.5),
        ("config.tools[0]", "changed", "get_weather", "1"), ("config.tools[1]", "removed", "1", None),
    ]  # fmt: skip
    assert ask(chatstore, "activate", agent_id, first)["version_id"] == first
    assert ask(chatstore, "show", agent_id, "--version", second)["config"]["engine"]["llm"] == 2.5
    assert ask(chatstore, "show", agent_id)["config"]["api_key"] == "********"

    unconfirmed = chatstore("agents", "delete", agent_id)
    assert (unconfirmed.code, "No phone number is routed" in unconfirmed.err) == (2, True)
    assert ask(chatstore, "delete", agent_id, "--yes")["result"] == "deleted"
    assert [each["agent_id"] for each in ask(chatstore, "list", "--deleted")["items"]] == [agent_id]
    assert ask(chatstore, "restore", agent_id)["deleted_at"] is None
    ask(chatstore, "delete", agent_id, "--yes")
    planned = chatstore("agents", "purge", "--deleted-before", "2999-01-01")
    assert (planned.code, "1 document of agents and 0 documents of agent_versions" in planned.err) == (2, True)
    assert ask(chatstore, "purge", "--deleted-before", "1d", "--yes")["agents"] == 0
    assert ask(chatstore, "purge", agent_id, "--yes")["agents"] == 1
    assert everything(database) == []


def test_what_is_shown_and_stored_again_changes_no_byte(chatstore: Chatstore, agents: Documents) -> None:
    before = everything(agents)
    for output in ("json", "yaml"):
        shown = chatstore("agents", "show", DESK, "--config-only", "-o", output).out
        assert SECRET not in shown
        ask(chatstore, "update", DESK, "--file", "-", stdin=shown)
    ask(chatstore, "update", DESK, "--set", "avatar.api_key=********", "--set", "engine.llm=openai/gpt-4o-mini")
    assert everything(agents) == before
    ask(chatstore, "update", DESK, "--set", "engine.llm=x")
    stored = agents[COLLECTION].find_one({"config.engine.llm": "x"})
    assert stored is not None
    assert stored["config"]["avatar"]["api_key"] == SECRET
    assert stored["shared"] == ["x"]


def test_a_list_has_all_pages_and_chosen_columns(chatstore: Chatstore, agents: Documents) -> None:
    every = ask(chatstore, "list", "--all")
    assert [each["agent_id"] for each in every["items"]] == [
        each["agent_id"] for each in ask(chatstore, "list")["items"]
    ]
    assert list(every) == list(ask(chatstore, "list"))
    names = chatstore("agents", "list", "--tenant", "acme", "--all", "--columns", "agent_id", "-o", "csv")
    assert (names.out.split(), names.err) == (["agent_id", DESK, PLAIN], "")
    page = chatstore("agents", "list", "--tenant", "acme", "--limit", "1", "-o", "jsonl", "-q")
    assert "There are more rows. Use --cursor " in page.err
    for arguments, text in (
        (("--all", "--limit", "1"), "--all cannot be combined with --limit."),
        (("--columns", "agent_ids"), "Did you mean agent_id (AGENT)?"),
    ):
        outcome = chatstore("agents", "list", *arguments)
        assert (outcome.code, outcome.out, text in outcome.err) == (2, "", True), outcome.err


def test_a_tenant_sees_its_own_agents_only(chatstore: Chatstore, agents: Documents) -> None:
    first = ask(chatstore, "list", "--tenant", "acme", "--limit", "1")
    second = ask(chatstore, "list", "--tenant", "acme", "--limit", "1", "--cursor", first["next_cursor"])
    ids = [each["agent_id"] for page in (first, second) for each in page["items"]]
    assert (ids, second["next_cursor"]) == ([DESK, PLAIN], None)
    before = everything(agents)
    for command in (
        ("show", FOREIGN), ("update", FOREIGN, "--name", "x"), ("delete", FOREIGN, "--yes"), ("history", FOREIGN),
        ("diff", FOREIGN, OLD), ("activate", FOREIGN, OLD), ("resolve", FOREIGN), ("purge", FOREIGN, "--yes"),
        ("restore", FOREIGN), ("numbers", "bind", "+4930999999", FOREIGN), ("show", DELETED), ("show", "f" * 24),
    ):  # fmt: skip
        outcome = chatstore("agents", *command, "--tenant", "acme")
        assert (outcome.code, outcome.out) == (3, ""), command
    assert everything(agents) == before


def test_numbers_are_bound_resolved_and_unbound(chatstore: Chatstore, agents: Documents) -> None:
    plan = chatstore("agents", "delete", DESK)
    assert (plan.code, f"1 phone number is routed to it: {NUMBER}." in plan.err) == (2, True)
    call = ask(chatstore, "resolve", "--did", NUMBER[1:], "--tenant", "acme", "--set", "engine.kind=realtime")
    assert (call["agent_id"], call["reason"], call["default"]) == (DESK, "routed", False)
    assert (call["config"]["engine"]["kind"], call["config"]["tools"]) == ("realtime", ["get_weather"])
    assert chatstore("agents", "resolve", "--did", NUMBER, "--tenant", "globex").code == 3
    taken = chatstore("agents", "numbers", "bind", NUMBER, FOREIGN)
    assert (taken.code, taken.out) == (8, "")

    assert ask(chatstore, "delete", DESK, "--yes")["numbers"] == [NUMBER]
    none = chatstore("agents", "resolve", "--did", NUMBER)
    assert (none.code, "which is deleted, and no default agent is configured" in none.err) == (3, True)
    fallback = chatstore(
        "agents", "resolve", "--did", NUMBER, "-o", "json", env={"CHATSTORE_AGENTS__DEFAULT_AGENT": PLAIN}
    )
    assert (json.loads(fallback.out)["agent_id"], json.loads(fallback.out)["reason"]) == (PLAIN, "agent_deleted")
    assert f"so the default agent {PLAIN} answers" in fallback.err

    assert ask(chatstore, "numbers", "bind", NUMBER, PLAIN)["agent_id"] == PLAIN
    unconfirmed = chatstore("agents", "numbers", "unbind", NUMBER)
    assert (unconfirmed.code, "1 document of lk_telephony_bindings" in unconfirmed.err) == (2, True)
    assert ask(chatstore, "numbers", "unbind", NUMBER, "--yes")["number"] == NUMBER
    assert ask(chatstore, "numbers", "list")["items"] == []
    assert chatstore("agents", "numbers", "unbind", NUMBER, "--yes").code == 3


BAD = [
    (("show", "65bb"), "AGENT_ID: '65bb' is not the id of an agent. It has 24 hexadecimal digits."),
    (("show", "zz" * 12), "is not the id of an agent"),
    (("show", DESK, "--version", "1"), "--version: '1' is not the id of a version. To list versions, run:"),
    (("activate", DESK, "x"), "VERSION_ID: 'x' is not the id of a version."),
    (("create",), "NAME is empty"),
    (("create", "   "), "Agent name cannot be empty"),
    (("create", "x" * 129), "NAME must be 128 characters or less"),
    (("create", "x", "--tenant", ""), "--tenant is empty"),
    (("create", "x", "--set", "api_key=********"), "config.api_key: the value is the mask"),
    (("create", "x", "--set", "a"), "not PATH=VALUE"),
    (("create", "x", "--set", "config.engine.llm=x"), "a path begins inside the configuration. Write engine.llm"),
    (("create", "x", "--set", "a=[1"), "--set a: the value is not JSON. Write"),
    (("create", "x", "--set", 'api_key="hidden'), "--set api_key: the value is not JSON. Write"),
    (("create", "x", "--set", r'["a\u0000"]=1'), "has NUL"),
    (("create", "x", "--set", "a=" + "9" * 30), "beyond 64 bits"),
    (("update", DESK), "No change was given"),
    (("update", DESK, "--unset", "nothing"), "no such value"),
    (("update", DESK, "--set", "tools[9]=x"), "the list has 2 values"),
    (("update", DESK, "--base-version", "1", "--name", "x"), "--base-version: '1' is not the id of a version."),
    (("edit", DESK), "An editor needs a terminal"),
    (("purge",), "No agents were selected."),
    (("resolve",), "Give either AGENT_ID or --did"),
    (("resolve", "--did", "+49x30"), "--did must be a valid E.164 phone number"),
    (("resolve", "--did", "+4930123456789012"), "--did must be a valid E.164 phone number"),
    (("numbers", "bind", "0049301234", DESK), "NUMBER must be a valid E.164 phone number"),
    (("list", "--limit", "201"), "in the range 1 to 200"),
    (("list", "--cursor", "x"), "the next_cursor of an earlier page"),
]


@pytest.mark.parametrize(("arguments", "problem"), BAD)
def test_bad_input_is_named_and_nothing_is_stored(
    chatstore: Chatstore, module_agents: Documents, arguments: tuple[str, ...], problem: str
) -> None:
    before = everything(module_agents)
    outcome = chatstore("agents", *arguments, env={"CHATSTORE_DATABASE": module_agents.name})
    assert (outcome.code, outcome.out) == (2, "")
    assert problem in outcome.err
    assert everything(module_agents) == before


@pytest.fixture(scope="module")
def module_agents(module_database: Documents) -> Documents:
    """The sample agents, which no test of this module changes."""
    store_agents(module_database)
    return module_database


FILES = {
    "tag": ("a: !!python/name:os.system x\n", "line 1: tags are not allowed"),
    "alias": ("a: &a [x]\nb: [*a, *a]\n", "line 1: anchors (&) and aliases (*) are not allowed"),
    "twice": ("a: 1\nb: 2\na: 3\n", 'line 3: the key "a" is there twice'),
    "levels": ("[" * 1000 + "]" * 1000, "more than 100 objects and lists"),
    "levels-of-json": ('{"a":' * 150 + "1" + "}" * 150, "more than 100 levels"),
    "large": ("a: " + "x" * (17 << 20), "has more than 16 MiB"),
    "12-MiB": ("a: " + "x" * (12 << 20), "the configuration exceeds 12 MiB"),
    "nul": ('{"a\\u0000": 1}', "has NUL"),
    "list": ("- a\n", "is not an object with keys"),
    "empty": ("", "is not an object with keys"),
    "surrogate": ('{"a": "\\ud800"}', "lone surrogate"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_a_configuration_is_refused(
    chatstore: Chatstore, module_agents: Documents, name: str
) -> None:
    text, problem = FILES[name]
    (chatstore.folder / "agent.yaml").write_text(text)
    outcome = chatstore("agents", "create", "x", "--file", "agent.yaml", env={"CHATSTORE_DATABASE": module_agents.name})
    assert (outcome.code, outcome.out) == (2, "")
    assert problem in outcome.err
    assert len(outcome.err) < 600


def test_read_only_rejects_every_write(chatstore: Chatstore, agents: Documents) -> None:
    before = everything(agents)
    for command in (
        ("create", "x"), ("update", DESK, "--name", "x"), ("edit", DESK), ("delete", DESK, "--yes"), ("restore", DELETED),
        ("purge", DELETED, "--yes"), ("activate", DESK, OLD), ("numbers", "bind", NUMBER, DESK),
        ("numbers", "unbind", NUMBER, "--yes"),
    ):  # fmt: skip
        assert chatstore("agents", *command, "--read-only").code == 4, command
    assert everything(agents) == before


def test_no_output_has_a_secret_or_a_control_character(chatstore: Chatstore, agents: Documents) -> None:
    for command in (("show", DESK), ("resolve", DESK), ("diff", DESK, OLD), ("list",), ("history", DESK)):
        for output in ("table", "csv"):
            shown = chatstore("agents", *command, "-o", output)
            assert SECRET not in shown.out + shown.err
            assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", shown.out)
    assert SECRET in chatstore("agents", "show", DESK, "--reveal").out
    assert SECRET in chatstore("agents", "diff", DESK, OLD, ACTIVE, "--reveal").out


def test_a_collection_of_another_product_is_left_alone(chatstore: Chatstore, database: Documents) -> None:
    database["agents"].insert_many({"_id": n, "role": "planner"} for n in range(20))
    for command in (("list",), ("create", "x")):
        outcome = chatstore("agents", *command)
        assert (outcome.code, outcome.out, "chatstore.agents.collection" in outcome.err) == (8, "", True)


@pytest.mark.parametrize("name", ["list", "create", "edit", "resolve", "numbers"])
def test_help_imports_no_driver_and_no_yaml(chatstore_without_database: Chatstore, name: str) -> None:
    modules = modules_of(chatstore_without_database, "agents", name, "--help")
    assert not modules & {"pydantic", "pymongo", "orjson", "rich", "yaml", "chatstore_cli.wiring.stores"}
