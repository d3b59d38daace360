"""The commands with threads in PostgreSQL, as processes. No MongoDB answers, so a command that asks it fails."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.config.loading import load_configuration
from tests.support.fork_server import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from tests.conftest import Chatstore
    from tests.support.postgres import Postgres

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]] if TYPE_CHECKING else Any


@pytest.fixture
def chatstore_uri(mongo_uri: str, database: Documents) -> dict[str, str | None]:
    """The variables of the test's MongoDB database."""
    return {"CHATSTORE_URI": mongo_uri, "CHATSTORE_DATABASE": database.name}


def ask(chatstore: Chatstore, *arguments: str | Path, code: int = 0, env: dict[str, str | None] | None = None) -> Any:
    """The JSON that a command prints."""
    outcome = chatstore(*arguments, "-o", "json", env=env)
    assert outcome.code == code, outcome.err
    return json.loads(outcome.out)


def target_of(chatstore: Chatstore) -> str:
    """The database of threads, as commands print it."""
    from chatstore_cli.postgres.database import PostgresDatabase

    return f"PostgreSQL {PostgresDatabase(chatstore.environment['CHATSTORE_THREADS__URI']).target}"


def new_thread(chatstore: Chatstore, *texts: str, metadata: str = "{}") -> str:
    """The id of a new thread with messages."""
    thread_id: str = ask(chatstore, "threads", "create", "Trip", "--user", "ana", "--tenant", "acme")["thread_id"]
    for text in texts:
        assert (
            chatstore("threads", "add", thread_id, "--role", "user", "--text", text, "--metadata", metadata).code == 0
        )
    return thread_id


def test_a_thread_from_its_creation_to_its_deletion(postgres_chatstore: Chatstore) -> None:
    chatstore, target = postgres_chatstore, target_of(postgres_chatstore)
    created = chatstore("threads", "create", "Trip", "--user", "ana", "--tenant", "acme", "-o", "json")
    thread = json.loads(created.out)
    thread_id = thread["thread_id"]
    assert (created.err, thread["target"]) == (f"Target: {target}\n", target)
    usage = '{"usage": {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5}}'
    added = ask(chatstore, "threads", "add", thread_id, "--role", "user", "--text", "Which ferry?", "--metadata", usage)
    assert (added["sequence"], added["target"]) == (1, target)
    [listed] = ask(chatstore, "threads", "list")["items"]
    [session] = ask(chatstore, "sessions", "list", "--layout", "threads")["items"]
    assert (listed["thread_id"], session["session_id"], session["message_count"]) == (thread_id, thread_id, 1)
    assert ask(chatstore, "threads", "show", thread_id)["first_messages"][0]["content"] == "Which ferry?"
    shown = ask(chatstore, "sessions", "show", thread_id, "--layout", "threads")
    assert [message["content"] for message in shown["first_messages"]] == ["Which ferry?"]
    resumed = chatstore("resume", thread_id, "--layout", "threads", "-o", "jsonl")
    assert (resumed.code, json.loads(resumed.out)["content"]) == (0, "Which ferry?")
    report = ask(chatstore, "usage", "--layout", "threads", "--by", "tenant")
    assert (report["totals"]["usage"]["total_tokens"], report["totals"]["usage"]["cost"]) == (7, "0.5")
    assert ask(chatstore, "threads", "fork", thread_id)["forked_from"]["thread_id"] == thread_id
    plan = chatstore("sessions", "delete", thread_id, "--layout", "threads")
    assert plan.code == 2
    assert "1 document of chat_messages and 1 document of chat_threads would be deleted" in plan.err
    kept = chatstore("sessions", "delete", thread_id, "--layout", "threads", "--keep-usage", "--yes")
    assert (kept.code, "is stored in its messages" in kept.err) == (4, True)
    deleted = ask(chatstore, "sessions", "delete", thread_id, "--layout", "threads", "--yes")
    [row] = deleted["items"]
    assert [(part["collection"], part["deleted"]) for part in row["documents"]] == [
        ("chat_messages", 1),
        ("chat_threads", 1),
    ]
    assert deleted["target"] == target
    assert chatstore("sessions", "show", thread_id, "--layout", "threads").code == 3
    assert len(ask(chatstore, "threads", "list")["items"]) == 1


def test_with_mongodb_disabled_all_layouts_are_the_threads(postgres_chatstore: Chatstore) -> None:
    postgres_chatstore.environment["CHATSTORE_MONGO__ENABLED"] = "false"
    thread_id = new_thread(postgres_chatstore, "Hello")
    [session] = ask(postgres_chatstore, "sessions", "list")["items"]
    assert (session["session_id"], session["layout"]) == (thread_id, "threads")
    assert ask(postgres_chatstore, "usage")["totals"]["sessions"] == 1
    assert postgres_chatstore("resume", thread_id, "-o", "jsonl").code == 0
    checks = {row["name"]: row for row in ask(postgres_chatstore, "verify")["items"]}
    assert checks["threads"]["status"] == "pass"
    assert "the newest" in checks["threads"]["detail"]
    assert "connection" not in checks
    assert ask(postgres_chatstore, "sessions", "delete", thread_id, "--yes")["items"]
    refused = postgres_chatstore("sessions", "list", "--layout", "workflow")
    assert (refused.code, "The database is disabled" in refused.err) == (5, True)


def test_both_databases_are_read_and_each_is_named(
    postgres_chatstore: Chatstore, chatstore_uri: dict[str, str | None], database: Documents
) -> None:
    postgres_chatstore.environment |= {name: value or "" for name, value in chatstore_uri.items()}
    thread_id = new_thread(postgres_chatstore, "Hello")
    database["chat_sessions"].insert_one(
        {
            "_id": "chat-1",
            "chat_id": "chat-1",
            "enterprise_id": "acme",
            "workflow_name": "w",
            "status": 0,
            "messages": [],
        }
    )
    database["chat_threads"].insert_one({"_id": "left", "user_id": "u", "org_id": "o", "name": "of MongoDB"})
    listed = ask(postgres_chatstore, "sessions", "list")["items"]
    assert {row["session_id"] for row in listed} == {thread_id, "chat-1"}
    postgres_target, mongo_target = target_of(postgres_chatstore), database.name
    outcome = postgres_chatstore("sessions", "list", "--verbose")
    [line] = [line for line in outcome.err.splitlines() if line.startswith("Target: ")]
    assert line.endswith(f"database {mongo_target} and {postgres_target}")
    of_thread = postgres_chatstore("sessions", "delete", thread_id, "--yes")
    of_session = postgres_chatstore("sessions", "delete", "chat-1", "--yes")
    assert [outcome.code for outcome in (of_thread, of_session)] == [0, 0]
    assert of_thread.err.splitlines()[0] == f"Target: {postgres_target}"
    assert of_session.err.splitlines()[0].endswith(f"database {mongo_target}")
    assert "PostgreSQL" not in of_session.err
    checks = {row["name"]: row["status"] for row in ask(postgres_chatstore, "verify", code=6)["items"]}
    assert (checks["connection"], checks["threads"]) == ("pass", "pass")


def test_a_watch_queries_the_threads_and_says_so(postgres_chatstore: Chatstore) -> None:
    thread_id = new_thread(postgres_chatstore, "Hello")
    arguments = ("--layout", "threads", "--since", "1h", "--count", "1", "-o", "jsonl")
    watched = postgres_chatstore("sessions", "watch", *arguments)
    assert (watched.code, json.loads(watched.out)["session_id"]) == (0, thread_id)
    polled, greeting = watched.err.splitlines()
    assert polled.startswith("The layout threads cannot report changes, so it is queried every 1 s")
    assert greeting.startswith(f"Watching sessions in {target_of(postgres_chatstore)}.")
    messages = postgres_chatstore("sessions", "watch", thread_id, *arguments)
    assert (messages.code, json.loads(messages.out)["content"]) == (0, "Hello")


def test_maintenance_leaves_postgresql_alone(postgres_chatstore: Chatstore) -> None:
    repaired = postgres_chatstore("threads", "repair", "--yes")
    assert (repaired.code, "so there is nothing to repair" in repaired.err) == (0, True)
    for command in (("indexes", "check"), ("indexes", "apply"), ("ttl", "show")):
        assert ask(postgres_chatstore, *command, "--layout", "threads")["items"] == []
    checked = postgres_chatstore("indexes", "check", "--layout", "threads")
    assert "has version 0001 of the tables of threads, the newest." in checked.err
    refused = postgres_chatstore("ttl", "set", "--days", "3", "--layout", "threads")
    assert (refused.code, "PostgreSQL deletes nothing by itself" in refused.err) == (3, True)


def test_migrations_of_an_empty_database(postgres_chatstore: Chatstore, postgres: Postgres) -> None:
    chatstore, name = postgres_chatstore, postgres.new_database(migrated=False)
    chatstore.environment["CHATSTORE_THREADS__URI"] = postgres.uri(name)
    refused = chatstore("threads", "create", "Trip")
    assert refused.code == 5
    assert "has no tables of threads. This chatstore needs version 0001. Run chatstore threads migrate." in refused.err
    listed = chatstore("threads", "list")
    assert (listed.code, "Run chatstore threads migrate." in listed.err) == (5, True)
    row = ask(chatstore, "threads", "migrate", "--check", code=6)
    assert (row["version"], row["needed"], row["condition"], row["result"]) == (None, "0001", "absent", "checked")
    assert chatstore("indexes", "check", "--layout", "threads").code == 6
    verified = {row["name"]: row for row in ask(chatstore, "verify", "--only", "threads", code=6)["items"]}
    assert "Run chatstore threads migrate." in verified["threads"]["hint"]
    assert chatstore("threads", "migrate", "--read-only").code != 0
    printed = chatstore(
        "threads", "migrate", "--sql", env={"CHATSTORE_THREADS__URI": None, "DB_HOST": "nowhere.invalid"}
    )
    assert printed.code == 0
    assert "CREATE TABLE chat_threads" in printed.out

    outcomes: list[Any] = []
    both = [threading.Thread(target=lambda: outcomes.append(ask(chatstore, "threads", "migrate"))) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert sorted(outcome["result"] for outcome in outcomes) == ["migrated", "unchanged"]
    assert ask(chatstore, "threads", "migrate", "--check")["condition"] == "current"
    assert ask(chatstore, "threads", "migrate")["result"] == "unchanged"
    by_hand = postgres.new_database(migrated=False)
    with postgres.connect(by_hand) as connection:
        connection.execute(printed.out.encode())
    chatstore.environment["CHATSTORE_THREADS__URI"] = postgres.uri(by_hand)
    assert new_thread(chatstore, "Hello")
    with postgres.connect(by_hand) as connection:
        connection.execute("UPDATE chatstore_migrations SET version_num = '9999'")
    newer = chatstore("threads", "create", "Trip")
    assert newer.code == 5
    assert (
        "has version 9999 of the tables of threads. This chatstore needs 0001. A newer chatstore made them" in newer.err
    )
    for each in (name, by_hand):
        postgres.drop_database(each)


def test_without_postgresql_migrate_is_wrong_use(chatstore: Chatstore) -> None:
    outcome = chatstore("threads", "migrate")
    assert (outcome.code, "Threads are stored in MongoDB, which needs no migration." in outcome.err) == (2, True)


def test_threads_move_between_the_databases_in_both_directions(
    postgres_chatstore: Chatstore, chatstore_uri: dict[str, str | None], tmp_path: Path
) -> None:
    """Each field survives, also numbers, the order of keys, edits, and a fork's parent. Twice adds nothing."""
    chatstore, on_postgres = postgres_chatstore, chatstore_uri
    on_mongo: dict[str, str | None] = {**chatstore_uri, "CHATSTORE_THREADS__BACKEND": "mongodb"}
    thread = ask(chatstore, "threads", "create", "Trip \u2028", "--user", "$gt", "--tenant", "a'b")
    values = '{"type": "x", "b": 1.0, "a": [1, 1e+20, -0.5, {"z": null, "y": true}], "n": 9007199254740993, "t": "\U0001f989"}'
    add = ("threads", "add", thread["thread_id"], "--role", "assistant", "--sender", "planner", "--content", values)
    message_id = ask(chatstore, *add)["message_id"]
    ask(chatstore, "threads", "edit", message_id, "--text", "corrected")
    ask(chatstore, *add)

    def export(thread_id: str, env: dict[str, str | None]) -> Path:
        file = tmp_path / f"{thread_id}{len(list(tmp_path.iterdir()))}.json"
        assert chatstore("threads", "export", thread_id, "--to", file, env=env).code == 0
        return file

    def move(thread_id: str, source: dict[str, str | None], target: dict[str, str | None]) -> Path:
        file = export(thread_id, source)
        assert ask(chatstore, "threads", "import", file, env=target)["thread_id"] == thread_id
        again = export(thread_id, target)
        assert again.read_bytes() == file.read_bytes()
        assert chatstore("threads", "import", file, env=target).code == 8
        assert export(thread_id, target).read_bytes() == file.read_bytes()
        return file

    fork_id = ask(chatstore, "threads", "fork", thread["thread_id"])["thread_id"]
    file = move(fork_id, on_postgres, on_mongo)
    assert json.loads(file.read_text())["forked_from"]["thread_id"] == thread["thread_id"]
    assert "corrected" in file.read_text()
    copy_id = ask(chatstore, "threads", "import", file, "--as-copy", env=on_mongo)["thread_id"]
    assert copy_id != fork_id
    move(copy_id, on_mongo, on_postgres)


def test_the_server_of_the_documented_variables(postgres_chatstore: Chatstore, postgres: Postgres) -> None:
    """Without a URI the commands use DB_*, also from .env. DB_BACKEND does not choose, and passwords are masked."""
    chatstore = postgres_chatstore
    name = chatstore.environment.pop("CHATSTORE_THREADS__URI").partition("?")[0].rpartition("/")[2]
    (chatstore.folder / "config.yaml").write_text("chatstore: {threads: {uri: null}}\n")
    (chatstore.folder / ".env").write_text(f"DB_HOST={postgres.folder}\nDB_NAME={name}\nDB_PASSWORD=geheim\n")
    chatstore.environment["DB_BACKEND"] = "has no meaning"
    assert new_thread(chatstore, "Hello")
    rows = {row["key"]: row for row in ask(chatstore, "config", "show")["items"]}
    shown = rows["chatstore.threads.uri"]
    assert shown["value"] == f"postgresql://***@{str(postgres.folder).replace('/', '%2F')}:5432/{name}"
    assert "geheim" not in chatstore("config", "show").out
    assert shown["source"] == "default $DB_HOST $DB_PORT $DB_NAME $DB_USER"
    chatstore.environment["DB_PORT"] = "many"
    wrong = chatstore("threads", "list")
    assert wrong.code == 2
    assert "environment DB_PORT: 'many' is not a port from 1 to 65535." in wrong.err
    chatstore.environment["CHATSTORE_THREADS__BACKEND"] = "mongodb"
    checked = chatstore("config", "check")
    assert "DB_PORT" not in checked.out + checked.err


def test_a_wrong_password_is_not_shown(postgres_chatstore: Chatstore, postgres: Postgres) -> None:
    name = postgres_chatstore.environment["CHATSTORE_THREADS__URI"].partition("?")[0].rpartition("/")[2]
    postgres_chatstore.environment["CHATSTORE_THREADS__URI"] = postgres.uri(name, user="ana", password="geheim")
    for arguments in (
        ("threads", "list"),
        ("threads", "create", "x"),
        ("threads", "migrate"),
        ("--verbose", "threads", "list"),
    ):
        outcome = postgres_chatstore(*arguments)
        assert outcome.code == 4, outcome.err
        assert "rejects the user or the password" in outcome.err
        assert "geheim" not in outcome.err + outcome.out


def test_config_check_reads_the_uri_of_postgresql(chatstore_without_database: Chatstore) -> None:
    def problems(uri: str, code: int, backend: str = "postgresql") -> list[Any]:
        file = chatstore_without_database.folder / "config.yaml"
        file.write_text(json.dumps({"chatstore": {"threads": {"backend": backend, "uri": uri}}}))
        outcome = chatstore_without_database("config", "check", "-o", "json")
        assert (outcome.code, "geheim" in outcome.out + outcome.err) == (code, False), outcome.err
        return [(row["level"], row["message"]) for row in json.loads(outcome.out)["items"]]

    assert problems("postgresql://ana@h/d", 0) == []
    [(level, message)] = problems("postgresql://ana@h/d?sslmodus=geheim", 2)
    assert (level, "is not a URI like postgresql://" in message) == ("error", True)
    warnings = problems("postgresql://ana:geheim@h/d?sslmode=require", 0)
    assert [message for _, message in warnings] == [
        "chatstore.threads.uri: sslmode=require does not check the certificate of the server.",
        "chatstore.threads.uri: a file that others can read has a password.",
    ]
    [(_, message)] = problems("postgresql://ana@h/d", 0, backend="mongodb")
    assert message == "chatstore.threads.uri: it has no effect, because the backend is mongodb."


def test_the_documented_grants_are_enough_and_needed(postgres_chatstore: Chatstore, postgres: Postgres) -> None:
    """The statements of docs/operations.md, and the commands that its table lists for each role."""
    chatstore = postgres_chatstore
    name = chatstore.environment["CHATSTORE_THREADS__URI"].partition("?")[0].rpartition("/")[2]
    statements = re.findall(r"^GRANT .+;$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert len(statements) == 3
    roles = {role: f"{role}_{name}" for role in ("chats_writer", "chats_reader")}
    for role in roles.values():
        postgres.create_user(role, "geheim")
    with postgres.connect(name) as connection:
        for statement in statements:
            connection.execute(re.sub("chats_[a-z]+", lambda match: roles[match[0]], statement).encode())

    def as_role(role: str, *arguments: str) -> int:
        uri = postgres.uri(name, user=roles[role], password="geheim")
        return chatstore(*arguments, env={"CHATSTORE_THREADS__URI": uri, "CHATSTORE_MONGO__ENABLED": "false"}).code

    thread_id = new_thread(chatstore, "Hello")
    reading: list[tuple[str, ...]] = [
        ("threads", "show", thread_id), ("threads", "export", thread_id), ("threads", "repair"), ("sessions", "list"),
        ("resume", thread_id), ("usage",), ("verify", "--only", "threads"), ("indexes", "check", "--layout", "threads"),
        ("threads", "migrate", "--check"),
    ]  # fmt: skip
    assert [as_role("chats_reader", *command) for command in reading] == [0] * len(reading)
    writing: list[tuple[str, ...]] = [
        ("threads", "add", thread_id, "--role", "user", "--text", "x"), ("threads", "rename", thread_id, "x"),
        ("threads", "fork", thread_id), ("threads", "clear", thread_id, "--yes"),
        ("sessions", "delete", thread_id, "--layout", "threads", "--yes"),
    ]  # fmt: skip
    assert [as_role("chats_reader", *command) for command in writing] == [4] * len(writing)
    assert [as_role("chats_writer", *command) for command in writing] == [0] * len(writing)
    postgres.drop_database(name)
    for role in roles.values():
        postgres.run(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "uri", ["mysql://host/db", "postgresql://u:geheim", "postgresql://ana:ge heim@host/db", "'postgresql://h/d'", "x"]
)
def test_a_wrong_uri_is_an_error_that_does_not_show_it(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATSTORE_THREADS__URI", uri)
    [problem] = load_configuration(None, uri=None, database=None).problems
    assert "chatstore.threads.uri: its value is not a URI" in problem.what
    assert "heim" not in problem.what


def test_threads_are_listed_by_name_and_counted_without_mongodb(postgres_chatstore: Chatstore) -> None:
    chatstore = postgres_chatstore
    trip, _ = new_thread(chatstore, "a", "b"), new_thread(chatstore, "c")
    assert ask(chatstore, "threads", "rename", trip, "Ferry to Ærø")["title"] == "Ferry to Ærø"
    for arguments in (("--title", "ÆRØ"), ("--name", "ferry"), ("--sort", "messages", "--limit", "1")):
        [found] = ask(chatstore, "threads", "list", *arguments)["items"]
        assert (found["thread_id"], found["message_count"]) == (trip, 2)
    assert len(ask(chatstore, "threads", "list", "--all")["items"]) == 2
    [tenant] = ask(chatstore, "sessions", "tenants", "--layout", "threads")["items"]
    assert (tenant["tenant_id"], tenant["layouts"]["threads"]["sessions"]) == ("acme", 2)
    unknown = chatstore("threads", "list", "--user", "anna")
    assert (unknown.code, "No user 'anna' in threads." in unknown.err) == (3, True)
    assert chatstore("threads", "list", "--tenant", "acme", "--until", "2001-01-01").code == 0
    [owner] = ask(chatstore, "sessions", "users", "--layout", "threads")["items"]
    alone = {"CHATSTORE_MONGO__ENABLED": "false"}
    mistyped = chatstore("sessions", "delete", "--user", "anna", "--yes", env=alone)
    assert (mistyped.code, "No user 'anna' in threads." in mistyped.err) == (3, True)
    deleted = chatstore("sessions", "delete", "--user", owner["user_id"], "--yes", env=alone)
    assert (deleted.code, "embedded" in deleted.err) == (0, False)
    assert ask(chatstore, "threads", "list")["items"] == []


def test_tags_of_threads_are_in_mongodb_and_plans_have_the_threads(
    postgres_chatstore: Chatstore, chatstore_uri: dict[str, str | None], database: Documents
) -> None:
    chatstore, env = postgres_chatstore, chatstore_uri
    first, second, third = (new_thread(chatstore, "Hello") for _ in range(3))
    for thread_id in (first, second):
        ask(chatstore, "sessions", "tag", thread_id, "junk", env=env)
    assert ask(chatstore, "sessions", "rename", third, "New name", env=env)["items"][0]["title"] == "New name"
    assert database["chatstore_labels"].count_documents({}) == 2  # the thread has the name itself
    [named] = [row for row in ask(chatstore, "threads", "list")["items"] if row["title"] == "New name"]
    assert named["thread_id"] == third
    listed = ask(chatstore, "sessions", "list", "--tag", "junk", env=env)["items"]
    assert {row["session_id"] for row in listed} == {first, second}
    used = ask(chatstore, "usage", "--by", "session", "--tag", "junk", env=env)["items"]
    assert {row["session_id"] for row in used} == {first, second}
    ask(chatstore, "sessions", "delete", "--tag", "junk", "--plan", "junk.jsonl", env=env)
    assert chatstore("threads", "add", second, "--role", "user", "--text", "more").code == 0
    applied = ask(chatstore, "sessions", "delete", "--apply", "junk.jsonl", "--yes", code=8, env=env)
    assert {row["session_id"]: row["result"] for row in applied["items"]} == {first: "deleted", second: "changed"}
    assert {row["thread_id"] for row in ask(chatstore, "threads", "list")["items"]} == {second, third}
    assert database["chatstore_labels"].distinct("_id.session_id") == [second]
    # The plan is for both databases, so it is not for one of them alone.
    assert chatstore("sessions", "delete", "--apply", "junk.jsonl", "--yes").code == 8


def test_without_mongodb_there_are_names_and_no_tags(postgres_chatstore: Chatstore) -> None:
    postgres_chatstore.environment["CHATSTORE_MONGO__ENABLED"] = "false"
    thread_id = new_thread(postgres_chatstore, "Hello")
    assert ask(postgres_chatstore, "sessions", "rename", thread_id, "New")["items"][0]["title"] == "New"
    assert ask(postgres_chatstore, "sessions", "list")["items"][0]["tags"] == []
    for arguments in (("tag", thread_id, "x"), ("untag", thread_id, "x"), ("list", "--tag", "x"), ("prune-labels",)):
        refused = postgres_chatstore("sessions", *arguments)
        assert (refused.code, "are stored in MongoDB, which is disabled" in refused.err) == (5, True), refused.err
    ask(postgres_chatstore, "sessions", "delete", thread_id, "--plan", "plan.jsonl")
    applied = ask(postgres_chatstore, "sessions", "delete", "--apply", "plan.jsonl", "--yes")
    assert [row["result"] for row in applied["items"]] == ["deleted"]
