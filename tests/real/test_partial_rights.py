"""A user who may read some collections only: commands that read leave the other layouts out, and say so."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.layouts.rights import ReadRights
from tests.support.mongod import FOR_TESTS, Mongod, short_temporary_folder, start_mongod
from tests.support.samples import store_sample
from tests.support.served_app import served, settings_of

pytestmark = pytest.mark.real

LAYOUTS = {
    "chat_sessions": "workflow", "chat_session_segments": "workflow", "chat_messages": "messages",
    "chat_threads": "threads", "chat_thread_messages": "threads", "GeneralChatSessions": "general",
    "general_chat_segments": "general", "lk_transcripts": "calls",
}  # fmt: skip
READING = {
    "list": ("sessions", "list", "--all"),
    "search": ("search", "e", "--substring", "--limit", "1000"),
    "usage": ("usage", "--by", "session"),
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Mongod]:
    """A server that demands a user, with sessions of every layout in the database chats."""
    with short_temporary_folder() as folder:
        server = start_mongod(folder, auth=True, extra=FOR_TESTS)
        try:
            store_sample(server.client()["chats"], *dict.fromkeys(LAYOUTS.values()))
            yield server
        finally:
            server.remove()


@pytest.fixture(scope="module")
def uri_without(guarded: Mongod) -> Callable[..., str]:
    """Makes a user who may read every collection except some, and returns a URI with this user."""
    numbers = itertools.count()

    def make(*missing: str, may_list: bool = True) -> str:
        client, name = guarded.client(), f"user-{next(numbers)}"
        names = set(Settings().collections) - {*missing}
        rights: list[dict[str, Any]] = [
            {"resource": {"db": "chats", "collection": each}, "actions": ["find", "listIndexes", "collStats"]}
            for each in sorted(names)
        ]
        if may_list:
            rights.append({"resource": {"db": "chats", "collection": ""}, "actions": ["listCollections"]})
        client["chats"].command("createRole", name, privileges=rights, roles=[])
        client["admin"].command("createUser", name, pwd="x", roles=[{"role": name, "db": "chats"}])
        return guarded.uri_as(name, "x")

    return make


@pytest.fixture
def run(chatstore_without_database: Any) -> Any:
    """The real command on the database chats."""
    chatstore_without_database.environment |= {"CHATSTORE_DATABASE": "chats", "CHATSTORE_MONGO__TIMEOUT_SECONDS": "5"}
    return chatstore_without_database


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def every(guarded: Mongod, module_chatstore: Any) -> dict[str, list[dict[str, Any]]]:
    """What each command prints for a user who may read everything."""
    env = {"CHATSTORE_URI": guarded.uri, "CHATSTORE_DATABASE": "chats"}
    return {name: rows(module_chatstore(*command, "-o", "jsonl", env=env).out) for name, command in READING.items()}


@pytest.mark.parametrize(
    ("missing", "may_list"),
    [
        ("chat_sessions", True),
        ("chat_session_segments", False),
        ("chat_messages", True),
        ("chat_threads", False),
        ("chat_thread_messages", True),
        ("GeneralChatSessions", False),
        ("general_chat_segments", True),
        ("lk_transcripts", True),
    ],
)
def test_the_layout_of_a_collection_without_rights_is_left_out_with_a_notice(
    every: dict[str, list[dict[str, Any]]],
    uri_without: Callable[..., str],
    run: Any,
    missing: str,
    may_list: bool,
) -> None:
    layout, uri = LAYOUTS[missing], uri_without(missing, may_list=may_list)
    named = run("sessions", "list", "--layout", layout, env={"CHATSTORE_URI": uri})
    assert (named.code, named.out) == (4, "")
    assert missing in named.err
    for name, command in READING.items():
        done = run(*command, "-o", "jsonl", env={"CHATSTORE_URI": uri})
        assert done.code == 0, done.err
        assert rows(done.out) == [row for row in every[name] if row["layout"] != layout]
        assert any(row["layout"] == layout for row in every[name])
        [notice] = [line for line in done.err.splitlines() if "may not read" in line]
        assert missing in notice
        assert layout in notice


@pytest.mark.parametrize("command", [("sessions", "show"), ("resume",), ("history",)], ids=" ".join)
def test_a_session_that_is_not_found_may_be_in_the_layout_that_was_left_out(
    uri_without: Callable[..., str], run: Any, command: tuple[str, ...]
) -> None:
    done = run(*command, "nobody", env={"CHATSTORE_URI": uri_without("chat_thread_messages")})
    assert (done.code, done.out) == (3, "")
    assert "The layout threads is left out: this user may not read chat_thread_messages." in done.err


def test_a_quiet_command_names_the_layout_that_it_leaves_out(uri_without: Callable[..., str], run: Any) -> None:
    for command in READING.values():
        done = run(*command, "--quiet", "-o", "jsonl", env={"CHATSTORE_URI": uri_without("chat_threads")})
        assert done.code == 0
        assert "The layout threads is left out: this user may not read chat_threads." in done.err


def test_a_budget_is_not_compared_with_the_cost_of_some_layouts(uri_without: Callable[..., str], run: Any) -> None:
    done = run("usage", "--budget", "1000000", env={"CHATSTORE_URI": uri_without("chat_threads")})
    assert (done.code, done.out) == (4, "")
    assert "chat_threads" in done.err


def test_a_server_that_does_not_enforce_privileges_lets_the_user_read(
    mongod: Mongod, database: Database[dict[str, Any]]
) -> None:
    database.command("createUser", "limited", pwd="x", roles=[])
    try:
        uri = mongod.uri_as("limited", "x", authSource=database.name)
        connection = connect(uri, database.name, timeout_seconds=10)
        assert connection.database.command("connectionStatus")["authInfo"]["authenticatedUsers"]
        assert all(map(ReadRights(connection).may_read, ["chat_messages", "chat_threads"]))
    finally:
        database.command("dropUser", "limited")


def test_without_any_right_nothing_is_reported_as_empty(uri_without: Callable[..., str], run: Any) -> None:
    uri = uri_without(*LAYOUTS)
    for command in (READING["search"], ("sessions", "watch", "--for", "1")):
        done = run(*command, env={"CHATSTORE_URI": uri})
        assert (done.code, done.out) == (4, "")
        assert "chat_thread_messages" in done.err


@pytest.mark.parametrize("missing", ["chat_threads", "GeneralChatSessions"])
def test_what_is_deleted_does_not_depend_on_what_the_user_may_see(
    uri_without: Callable[..., str], run: Any, missing: str
) -> None:
    """A plan for a user's sessions that silently lacks those of a layout would look complete."""
    done = run(
        "sessions", "delete", "--user", "ann", "--plan", "plan.jsonl",
        env={"CHATSTORE_URI": uri_without(missing)},
    )  # fmt: skip
    assert done.code == 4
    assert not (run.folder / "plan.jsonl").exists()


def test_a_layout_that_the_database_does_not_have_needs_no_rights(guarded: Mongod, run: Any) -> None:
    client = guarded.client()
    client["flat"]["chat_messages"].insert_many(client["chats"]["chat_messages"].find())
    rights: list[dict[str, Any]] = [
        {"resource": {"db": "flat", "collection": "chat_messages"}, "actions": ["find", "listIndexes", "collStats"]},
        {"resource": {"db": "flat", "collection": ""}, "actions": ["listCollections"]},
    ]
    client["flat"].command("createRole", "flat", privileges=rights, roles=[])
    client["admin"].command("createUser", "flat", pwd="x", roles=[{"role": "flat", "db": "flat"}])
    env = {"CHATSTORE_URI": guarded.uri_as("flat", "x"), "CHATSTORE_DATABASE": "flat"}
    for command in READING.values():
        done = run(*command, "-o", "jsonl", env=env)
        assert done.code == 0, done.err
        assert rows(done.out)
        assert "left out: this user" not in done.err


def test_changes_of_the_other_layouts_are_watched(guarded: Mongod, uri_without: Callable[..., str], run: Any) -> None:
    done = run(
        "sessions", "watch", "--since", "2020-01-01", "--count", "1", "--poll", "0.2", "-o", "jsonl",
        env={"CHATSTORE_URI": uri_without("chat_threads")},
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "chat_threads" in done.err


def test_the_server_says_in_its_notes_what_is_left_out(uri_without: Callable[..., str], tmp_path: Any) -> None:
    settings = settings_of(tmp_path, uri_without("chat_thread_messages", "chat_messages"), "chats")
    with served(settings) as server:
        for path in ("/store/sessions", "/store/search?text=e&substring=true", "/store/usage?by=session"):
            answer = server.client.get(path)
            assert answer.status_code == 200, answer.text
            assert answer.json()["items"]
            assert any("chat_thread_messages" in note for note in answer.json()["notes"])
        shown = server.client.get("/store/sessions").json()["items"][0]["session_id"]
        for path in ("/store/session", "/store/session/messages", "/page/session", "/page/session/copy"):
            answer = server.client.get(path, params={"id": shown, "form": "json"})
            assert answer.status_code == 200, answer.text
        tenant = next(
            each["tenant_id"] for each in server.client.get("/store/sessions").json()["items"] if each["tenant_id"]
        )
        of_tenant = server.key(tenant)  # its totals lack the layouts too
        for path in ("/store/sessions", "/store/usage?by=session"):
            notes = server.client.get(path, headers=of_tenant).json()["notes"]
            assert any("The layout threads is left out" in note for note in notes), path
