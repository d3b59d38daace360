"""Authentication, TLS and a user who may only read, against servers that demand them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mongod import ADMIN, FOR_TESTS, READER, Mongod, short_temporary_folder, start_mongod

pytestmark = pytest.mark.real

SECRET = "geheim,/?:@&secret"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Mongod]:
    """A server that demands a user; the reader may only read the database chats."""
    with short_temporary_folder() as folder:
        server = start_mongod(folder, auth=True, reader_database="chats", extra=FOR_TESTS)
        try:
            yield server
        finally:
            server.remove()


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Mongod]:
    """A server that takes TLS only."""
    with short_temporary_folder() as folder:
        server = start_mongod(folder, tls=True, extra=FOR_TESTS)
        try:
            yield server
        finally:
            server.remove()


@pytest.fixture
def chats(guarded):
    """The database that the reader may read, emptied afterwards."""
    database = guarded.client()["chats"]
    yield database
    for name in database.list_collection_names():
        database[name].drop()


@pytest.fixture
def run(chatstore_without_database):
    """The real command on a database called chats."""
    chatstore_without_database.environment |= {
        "CHATSTORE_DATABASE": "chats",
        "CHATSTORE_MONGO__TIMEOUT_SECONDS": "5",
    }
    return chatstore_without_database


def journal(folder: Path) -> Path:
    """A journal with one line."""
    fields = {"session_id": "s1", "role": "user", "text": "hello", "metadata": {}, "vector_ids": []}
    path = folder / "s1.jsonl"
    path.write_text(json.dumps({**fields, "created_at": "2026-03-02T11:41:00.195769+00:00"}) + "\n")
    return path


def everything_written_by(run) -> str:
    """All text in the home and the working folder of the command: logs, ledgers, whatever it left."""
    root = run.folder.parent
    return "\n".join(path.read_bytes().decode("latin-1") for path in root.rglob("*") if path.is_file())


WRITING = [["indexes", "apply", "--search", "--yes"], ["ttl", "set", "--days", "30", "--yes"], ["flush-cache", "."]]
READING = [
    ["sessions", "list"],
    ["usage"],
    ["indexes", "check"],
    ["ttl", "show"],
    ["resume", "nobody"],
    ["verify", "--only", "connection"],
]


@pytest.mark.parametrize("arguments", [*READING, *WRITING], ids=" ".join)
@pytest.mark.parametrize("output", ["table", "json"])
def test_a_wrong_password_ends_with_4_and_appears_nowhere(guarded, run, arguments, output):
    journal(run.folder)
    uri = guarded.uri_as(ADMIN[0], SECRET)
    formatted = [] if output == "table" else ["-o", output]
    done = run(*arguments, *formatted, "--verbose", env={"CHATSTORE_URI": uri})
    assert done.code == (6 if arguments[0] == "verify" else 4)
    encoded = uri.partition(":")[2].partition("@")[0].rpartition(":")[2]
    for secret in (SECRET, encoded, "geheim"):
        assert secret not in done.out + done.err + everything_written_by(run)
    assert "Authentication failed" in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("path", "is_named"), [("/chats", True), ("/chats?authSource=chats", False), ("/", False), ("/?w=1", False)]
)
def test_a_failed_login_names_auth_source_if_the_uri_has_a_database_and_none_is_given(guarded, run, path, is_named):
    """The driver looks for the user in the database of the path, where most people have none."""
    uri = guarded.uri_as(*ADMIN).partition("/?")[0] + path
    done = run("sessions", "list", env={"CHATSTORE_URI": uri})
    if path.startswith("/chats"):
        assert done.code == 4
        assert "Authentication failed" in done.err
    assert ("names no authSource, so MongoDB looks for the user in the database chats" in done.err) == is_named


def test_no_user_at_all_ends_with_4(guarded, run):
    done = run("sessions", "list", env={"CHATSTORE_URI": guarded.uri_without_user})
    assert (done.code, done.out) == (4, "")
    assert done.err.count("\n") == 1


def test_the_right_password_with_every_odd_sign_in_it_works(guarded, run, chats):
    guarded.client()["admin"].command(
        "createUser",
        "odd",
        pwd=SECRET,
        roles=[{"role": "readWrite", "db": "chats"}, {"role": "dbAdmin", "db": "chats"}],
    )
    settings = {"CHATSTORE_URI": guarded.uri_as("odd", SECRET)}
    journal(run.folder)
    assert run("flush-cache", ".", env=settings).code == 0
    assert run("indexes", "apply", env=settings).code == 0
    assert run("verify", "--skip", "journal-folder,ignored-files,journal-flushed", env=settings).code == 0
    assert chats["chat_messages"].count_documents({}) == 1


def test_a_user_who_may_only_read_can_read(guarded, run, chats):
    journal(run.folder)
    assert run("flush-cache", ".", env={"CHATSTORE_URI": guarded.uri}).code == 0
    assert run("indexes", "apply", env={"CHATSTORE_URI": guarded.uri}).code == 0
    reader = {"CHATSTORE_URI": guarded.reader_uri}
    listed = run("sessions", "list", "-o", "json", env=reader)
    assert listed.code == 0
    assert [row["session_id"] for row in json.loads(listed.out)["items"]] == ["s1"]
    assert run("resume", "s1", env=reader).code == 0
    assert run("usage", env=reader).code == 0
    assert run("indexes", "check", env=reader).code == 0
    assert run("ttl", "show", env=reader).code == 0


def test_a_user_who_may_only_read_is_refused_what_writes(guarded, run, chats):
    journal(run.folder)
    chats["chat_messages"].insert_one({"session_id": "s0", "role": "user", "text": "hello"})
    for arguments in WRITING:
        done = run(*arguments, env={"CHATSTORE_URI": guarded.reader_uri})
        assert (arguments, done.code) == (arguments, 4)
        assert "not authorized" in done.err
        assert "Traceback" not in done.err
        assert READER[1] not in done.err
    assert chats["chat_messages"].count_documents({}) == 1
    assert list(chats["chat_messages"].index_information()) == ["_id_"]


def test_verify_of_a_user_who_may_only_read_fails_where_it_writes_and_not_with_read_only(guarded, run, chats):
    settings = {"CHATSTORE_URI": guarded.reader_uri}
    done = run("verify", "-o", "json", env=settings)
    assert done.code == 6
    rows = {row["name"]: row for row in json.loads(done.out)["items"]}
    assert [rows[name]["status"] for name in ("connection", "write-concern", "round-trip")] == ["pass", "fail", "fail"]
    assert "not authorized" in rows["round-trip"]["detail"]
    assert rows["round-trip"]["hint"]
    assert run("verify", "--read-only", env=settings).code == 0
    assert chats.list_collection_names() == []


def test_tls_with_the_authority_in_the_uri_works(encrypted, run):
    settings = {"CHATSTORE_URI": encrypted.uri}
    journal(run.folder)
    assert run("flush-cache", ".", env=settings).code == 0
    listed = run("sessions", "list", "-o", "json", env=settings)
    assert [row["session_id"] for row in json.loads(listed.out)["items"]] == ["s1"]
    assert run("verify", "--only", "connection,round-trip", env=settings).code == 0


def test_tls_without_the_authority_ends_with_5_and_says_why(encrypted, run):
    uri = f"mongodb://{encrypted.host}/?tls=true&directConnection=true"
    settings = {"CHATSTORE_URI": uri, "CHATSTORE_MONGO__TIMEOUT_SECONDS": "1"}
    done = run("sessions", "list", env=settings)
    assert (done.code, done.out) == (5, "")
    assert "certificate verify failed" in done.err
    assert done.err.count("\n") == 1


def test_no_tls_against_a_server_that_demands_it_ends_with_5(encrypted, run):
    uri = f"mongodb://{encrypted.host}/?directConnection=true"
    settings = {"CHATSTORE_URI": uri, "CHATSTORE_MONGO__TIMEOUT_SECONDS": "1"}
    done = run("sessions", "list", env=settings)
    assert (done.code, done.out) == (5, "")
    assert done.err.count("\n") == 1


def test_an_authority_file_that_is_not_there_is_wrong_use(encrypted, run):
    uri = f"mongodb://{encrypted.host}/?tls=true&tlsCAFile=/no/such/ca.pem"
    done = run("sessions", "list", env={"CHATSTORE_URI": uri})
    assert (done.code, done.out) == (2, "")
    assert "mongo.uri" in done.err


def test_a_user_who_may_not_list_collections_is_told_of_foreign_documents_in_those_that_they_may_read(
    guarded, run, chats
):
    """As a custom role of a hosted MongoDB may grant: rights on single collections, none on the database."""
    admin = guarded.client()["chats"]
    actions = ["find", "insert", "update", "remove", "listIndexes", "createIndex", "collStats"]
    names = [
        "chat_sessions",
        "chat_messages",
        "chat_session_segments",
        "usage_events",
        "usage_daily",
        "chatstore_tombstones",
    ]
    resources = [{"resource": {"db": "chats", "collection": name}, "actions": actions} for name in names]
    admin.command("createRole", "narrow", privileges=resources, roles=[])
    admin.command("createUser", "narrow", pwd="pw", roles=["narrow"])
    uri = guarded.uri_as("narrow", "pw").replace("authSource=admin", "authSource=chats")
    settings = {"CHATSTORE_URI": uri}
    chats["chat_sessions"].insert_many({"expires": 1, "session": "secret"} for _ in range(18))
    chats["elsewhere"].insert_one({})
    journal(run.folder)
    assert run("flush-cache", ".", env=settings).code == 0
    listed = run("sessions", "list", "-o", "json", env=settings)
    assert [row["session_id"] for row in json.loads(listed.out)["items"]] == ["s1"]
    assert "chat_sessions holds 18 documents that are not sessions" in listed.err
    assert "may not read chat_threads and chat_thread_messages, or they do not exist." in listed.err
    assert "The layout calls is left out: this user may not read lk_transcripts, or it does not exist." in listed.err
    assert run("sessions", "complete", "s1", env=settings).code in (3, 8)
    assert run("indexes", "apply", "--layout", "workflow", "--yes", env=settings).code == 8
    checked = run("indexes", "check", "--layout", "workflow", env=settings)
    assert checked.code == 6, checked.err
    assert run("indexes", "check", "--layout", "threads", env=settings).code == 4
    verified = run("verify", "--read-only", "--only", "connection,documents", "-o", "json", env=settings)
    rows = {row["name"]: row for row in json.loads(verified.out)["items"]}
    assert rows["documents"]["status"] == "fail"
    assert "chat_sessions holds 18 documents" in rows["documents"]["detail"]
    chats["chat_sessions"].drop()
    chats["chat_messages"].drop()
    nothing = run("sessions", "list", env=settings)
    assert (nothing.code, nothing.out) == (0, "")
    assert "elsewhere" not in nothing.err  # which this user may not see


def test_a_user_without_rights_on_general_chats_and_calls_reads_everything_else(guarded, run, chats):
    """The collections are those of other programs: before chatstore had layouts for them, no right on them was needed."""
    admin = guarded.client()["chats"]
    names = ["chat_sessions", "chat_session_segments", "chat_messages", "chat_threads", "usage_events", "usage_daily"]
    privileges = [{"resource": {"db": "chats", "collection": name}, "actions": ["find"]} for name in names]
    privileges.append({"resource": {"db": "chats", "collection": ""}, "actions": ["listCollections"]})
    admin.command("createRole", "others", privileges=privileges, roles=[])
    admin.command("createUser", "others", pwd="pw", roles=["others"])
    settings = {"CHATSTORE_URI": guarded.uri_as("others", "pw").replace("authSource=admin", "authSource=chats")}
    chats["chat_sessions"].insert_one({"chat_id": "w", "messages": [{"role": "user", "content": "hi"}]})
    chats["GeneralChatSessions"].insert_one({"_id": "g", "app_id": "acme", "messages": []})
    chats["lk_transcripts"].insert_one({"sessionId": "g", "chatHistory": []})
    of_general = "The layout general is left out: this user may not read GeneralChatSessions and general_chat_segments."
    of_calls = "The layout calls is left out: this user may not read lk_transcripts."
    for arguments in (["sessions", "list", "-o", "json"], ["usage", "--by", "session", "-o", "json"]):
        done = run(*arguments, env=settings)
        assert done.code == 0, done.err
        assert [row.get("session_id", row.get("session")) for row in json.loads(done.out)["items"]] == ["w"]
        assert (done.err.count(of_general), done.err.count(of_calls)) == (1, 1)
    for arguments in (
        ["sessions", "show", "w"],
        ["resume", "w"],
        ["sessions", "transcript", "w"],
        ["sessions", "watch", "w", "--for", "1", "--poll", "0.2"],
    ):
        assert run(*arguments, env=settings).code == 0
    for command in ("sessions show", "resume", "sessions transcript"):
        missing = run(*command.split(), "g", env=settings)
        assert missing.code == 3, missing.err
        assert missing.err.count("his user may not read GeneralChatSessions") == 1
    for command in ("general show", "general transcript", "sessions delete --yes"):
        refused = run(*command.split(), "g", env=settings)
        assert refused.code == 4, refused.err
        assert "GeneralChatSessions" in refused.err


@pytest.mark.parametrize("collection", ["agents", "states"])
def test_indexes_of_agents_are_left_out_without_rights_on_their_collections(guarded, run, chats, collection):
    """The collections are those of another program, and their names are common."""
    reads, user = ["find", "listIndexes", "collStats"], f"no-{collection}"
    resources = [{"resource": {"db": "chats", "collection": name}, "actions": reads} for name in ("chat_sessions",)]
    resources.append({"resource": {"db": "chats", "collection": ""}, "actions": ["listCollections"]})
    guarded.client()["chats"].command("createRole", user, privileges=resources, roles=[])
    guarded.client()["chats"].command("createUser", user, pwd="pw", roles=[user])
    settings = {"CHATSTORE_URI": guarded.uri_as(user, "pw").replace("authSource=admin", "authSource=chats")}
    chats[collection].insert_one({"name": "Ohio"})
    assert run("indexes", "check", "--layout", "agents", env=settings).code == 4
    stores = run("indexes", "check", env=settings)
    assert f"examining the documents of {collection}" not in stores.err
