"""A user who may read some collections only: commands that read leave the other layouts out, and say so."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.uri_parser import parse_uri

from chatstore_cli import SessionSearch
from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.api_keys import EVERYTHING
from chatstore_cli.domain.errors import NotAllowed
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.layouts import rights
from chatstore_cli.mongo.layouts.rights import SECONDS_TRUSTED, ReadRights
from chatstore_cli.server.routes import events
from chatstore_cli.server.services import Services
from chatstore_cli.server.turns.responders.registry import responder_of
from tests.support.mongod import FOR_TESTS, Mongod, poll, short_temporary_folder, start_mongod
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
        names = {*Settings().collections, "agents"} - {*missing}
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


@pytest.mark.parametrize("follows", [("sessions", "watch"), ("sessions", "watch", "chat-ours")], ids=" ".join)
def test_a_user_without_the_right_to_a_change_stream_watches_by_queries(
    uri_without: Callable[..., str], run: Any, follows: tuple[str, ...]
) -> None:
    """The right is one on the whole database. The server is a replica set, so a user who has it needs no queries."""
    done = run(
        *follows, "--since", "2020-01-01", "--count", "1", "-o", "jsonl",
        env={"CHATSTORE_URI": uri_without("lk_transcripts")},
    )  # fmt: skip
    assert (done.code, len(rows(done.out))) == (0, 1), done.err
    assert "The layout calls is left out: this user may not read lk_transcripts." in done.err
    assert "This user may not open a change stream of the database, so it is queried every 1 s" in done.err


@pytest.mark.parametrize("may_list", [True, False])
@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("chat_threads", ("threads", "list")),
        ("chat_thread_messages", ("threads", "messages", "thread-1")),
        ("GeneralChatSessions", ("general", "list", "--tenant", "acme", "--user", "ana")),
        ("GeneralChatSessions", ("general", "show", "generalchat-acme-ana-0003")),
        ("general_chat_segments", ("general", "transcript", "generalchat-acme-ana-0003")),
        ("lk_transcripts", ("sessions", "show", "x", "--layout", "calls")),
        ("lk_transcripts", ("sessions", "delete", "chat-ours", "--yes")),
        ("chat_threads", ("sessions", "delete", "chat-ours", "--yes")),
        ("GeneralChatSessions", ("sessions", "tag", "chat-ours", "a")),
        ("lk_transcripts", ("usage", "--budget", "1000000")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_whatever_needs_the_right_fails_without_it(
    uri_without: Callable[..., str], run: Any, missing: str, command: tuple[str, ...], *, may_list: bool
) -> None:
    """No reader hides a missing right, also if the user may not list collections."""
    done = run(*command, env={"CHATSTORE_URI": uri_without(missing, may_list=may_list)})
    assert (done.code, done.out) == (4, ""), done.err
    assert missing in done.err


@pytest.mark.parametrize("may_list", [True, False])
@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("GeneralChatSessions", ("usage", "explain", "chat-ours")),
        ("general_chat_segments", ("sessions", "transcript", "chat-ours")),
        ("lk_transcripts", ("history", "chat-ours")),
        ("chat_threads", ("resume", "chat-ours")),
        ("chat_threads", ("sessions", "tenants")),
        ("GeneralChatSessions", ("sessions", "users")),
        ("lk_transcripts", ("sessions", "prune-labels")),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_whatever_reads_one_session_or_counts_them_leaves_out_the_layout(
    uri_without: Callable[..., str], run: Any, missing: str, command: tuple[str, ...], *, may_list: bool
) -> None:
    done = run(*command, "--quiet", env={"CHATSTORE_URI": uri_without(missing, may_list=may_list)})
    assert done.code == 0, done.err
    [notice] = [line for line in done.err.splitlines() if "is left out" in line]
    assert f"The layout {LAYOUTS[missing]} is left out: this user may not read {missing}" in notice


def test_other_collections_need_no_rights_on_sessions(uri_without: Callable[..., str], run: Any) -> None:
    uri = uri_without(*LAYOUTS)
    for command in (("agents", "list"), ("states", "list")):
        done = run(*command, env={"CHATSTORE_URI": uri})
        assert (done.code, "may not read" in done.err) == (0, False), done.err


def test_the_notes_of_the_library_name_what_is_left_out(uri_without: Callable[..., str]) -> None:
    with SessionSearch(uri_without("chat_threads"), "chats") as search:
        found = search.search("e", mode="substring", limit=1_000)
        assert {hit.layout for hit in found.hits} >= {"workflow", "general"}
        assert "threads" not in {hit.layout for hit in found.hits}
        assert "The layout threads is left out: this user may not read chat_threads." in found.notes
        with pytest.raises(NotAllowed, match="chat_threads"):
            search.search("e", layout="threads")


class Commands(CommandListener):
    """Counts the commands that a connection sends."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        self.sent[event.command_name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Does nothing."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Does nothing."""


def change_right(guarded: Mongod, uri: str, collection: str, *, granted: bool) -> None:
    """Grant a user of `uri_without` the right to read a collection, or withdraw it."""
    command = "grantPrivilegesToRole" if granted else "revokePrivilegesFromRole"
    actions = ["find", "listIndexes", "collStats"]
    privilege = {"resource": {"db": "chats", "collection": collection}, "actions": actions}
    guarded.client()["chats"].command(command, str(parse_uri(uri)["username"]), privileges=[privilege])


def test_the_server_is_asked_for_the_rights_now_and_then(guarded: Mongod, uri_without: Callable[..., str]) -> None:
    commands, clock = Commands(), SimpleNamespace(now=0.0)
    uri = uri_without("chat_threads")
    connection = connect(uri, "chats", timeout_seconds=10, listener=commands)
    try:
        found = ReadRights(connection, clock=lambda: clock.now)
        names = ["chat_sessions", "chat_threads", "chat_messages"]
        for _ in range(20):
            assert [found.may_read(name) for name in names] == [True, False, True]
        assert (commands.sent["connectionStatus"], commands.sent["find"]) == (1, 1)
        change_right(guarded, uri, "chat_threads", granted=True)
        change_right(guarded, uri, "chat_messages", granted=False)
        clock.now += SECONDS_TRUSTED
        assert [found.may_read(name) for name in names] == [True, True, False]
        assert commands.sent["connectionStatus"] == 2
    finally:
        connection.client.close()


def test_requests_do_not_ask_for_the_rights_one_by_one(
    guarded: Mongod, uri_without: Callable[..., str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "SECONDS_TRUSTED", 3_600.0)

    def asked() -> int:
        commands = guarded.client().admin.command("serverStatus")["metrics"]["commands"]
        return int(commands["connectionStatus"]["total"])

    with served(settings_of(tmp_path, uri_without("chat_threads"), "chats")) as server:
        before = asked()
        for path in ("/store/sessions", "/store/search?text=e", "/store/usage", "/store/session?id=chat-ours") * 3:
            assert server.client.get(path).status_code == 200
        assert asked() - before == 1


def test_the_server_follows_changes_of_the_rights(
    guarded: Mongod, uri_without: Callable[..., str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "SECONDS_TRUSTED", 0.1)
    uri = uri_without("chat_threads")
    with served(settings_of(tmp_path, uri, "chats")) as server:

        def layouts() -> set[str]:
            answer = server.client.get("/store/sessions?limit=200")
            assert answer.status_code in (200, 403), answer.text
            return {each["layout"] for each in answer.json().get("items", ())}

        assert "threads" not in layouts()
        change_right(guarded, uri, "chat_threads", granted=True)
        poll(lambda: "threads" in layouts(), what="the granted layout")
        assert not any("left out" in note for note in server.client.get("/store/sessions").json()["notes"])
        change_right(guarded, uri, "chat_threads", granted=False)
        poll(lambda: (found := layouts()) and "threads" not in found, what="the list without the withdrawn layout")


def test_events_name_the_layouts_that_are_left_out_and_follow_changes_of_the_rights(
    guarded: Mongod, uri_without: Callable[..., str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "SECONDS_TRUSTED", 0.0)
    monkeypatch.setattr(events, "_SECONDS_BETWEEN_SIGNS", 0.05)
    uri = uri_without("chat_threads")
    settings = settings_of(tmp_path, uri, "chats")
    services = Services(settings, responder_of(settings))
    left_out = ": The layout threads is left out: this user may not read chat_threads.\n\n"

    async def stream_of(**filters: Any) -> Any:
        return (await events.events(services, EVERYTHING, last_event_id=None, **filters)).body_iterator

    async def beginning_of(stream: Any) -> list[str]:
        """The comments until the stream watches."""
        comments = []
        async with asyncio.timeout(60):
            while (text := await anext(stream)) != ": watching\n\n":
                comments.append(text)
        return [each for each in comments if "waiting" not in each]

    async def follow() -> None:
        with pytest.raises(NotAllowed, match="chat_threads"):
            await stream_of(layout="threads")
        first, of_one = await stream_of(), await stream_of(layout="workflow")
        assert await beginning_of(first) == [left_out]
        assert await beginning_of(of_one) == []
        change_right(guarded, uri, "chat_threads", granted=True)
        second = await stream_of(layout="threads")
        assert [each async for each in first if not each.startswith(":")] == ["event: missed\ndata: {}\n\n"]
        assert await beginning_of(second) == []
        now = datetime.now(UTC)
        thread = {"_id": "late", "name": "x", "user_id": "u", "org_id": "o", "created_at": now, "updated_at": now}
        guarded.client()["chats"]["chat_threads"].insert_one(thread)
        async with asyncio.timeout(60):
            found = [text async for text in until_event(second)]
        assert '"late"' in found[-1]
        for each in (of_one, second):
            await each.aclose()

    try:
        asyncio.run(follow())
    finally:
        guarded.client()["chats"]["chat_threads"].delete_one({"_id": "late"})
        services.live.stop()
        services.stores.close()


async def until_event(stream: Any) -> AsyncIterator[str]:
    """What a stream sends, up to its first event."""
    async for text in stream:
        yield text
        if not text.startswith(":"):
            return


def test_the_server_says_in_its_notes_what_is_left_out(uri_without: Callable[..., str], tmp_path: Any) -> None:
    settings = settings_of(tmp_path, uri_without("chat_thread_messages", "chat_messages"), "chats")
    with served(settings) as server:
        for path in ("/store/sessions", "/store/search?text=e&substring=true", "/store/usage?by=session"):
            answer = server.client.get(path)
            assert answer.status_code == 200, answer.text
            assert answer.json()["items"]
            assert any("chat_thread_messages" in note for note in answer.json()["notes"])
        shown = server.client.get("/store/sessions").json()["items"][0]["session_id"]
        for path in ("/store/session", "/store/session/messages", "/page/session", "/page/session/copy?form=json"):
            answer = server.client.get(httpx2.URL(path).copy_add_param("id", shown))
            assert answer.status_code == 200, answer.text
        tenant = next(
            each["tenant_id"] for each in server.client.get("/store/sessions").json()["items"] if each["tenant_id"]
        )
        of_tenant = server.key(tenant)  # its totals lack the layouts too
        for path in ("/store/sessions", "/store/usage?by=session"):
            notes = server.client.get(path, headers=of_tenant).json()["notes"]
            assert any("The layout threads is left out" in note for note in notes), path
