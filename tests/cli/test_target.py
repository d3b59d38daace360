"""Server and database are named by every command that writes, and wherever the wrong one would surprise."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.cli.global_options import GlobalOptions
from chatstore_cli.cli.invocation import Invocation
from tests.conftest import Chatstore, Outcome
from tests.support.journals import as_line, record

Documents = Database[dict[str, Any]]

PASSWORD = "geheim"


@pytest.fixture
def application(chatstore: Chatstore, mongo_uri: str, database: Documents) -> Chatstore:
    """The command where only the application's own variables name the server, and no file exists."""
    del chatstore.environment["CHATSTORE_URI"], chatstore.environment["CHATSTORE_DATABASE"]
    chatstore.environment |= {"MONGO_URI": mongo_uri, "MONGO_DB": database.name, "MONGO_CHAT_COLLECTION": "turns"}
    (chatstore.folder / "j").mkdir()
    (chatstore.folder / "j" / "s1.jsonl").write_bytes(as_line(record(1)))
    return chatstore


def test_without_a_file_a_flush_stores_where_the_variables_of_the_application_point(
    application: Chatstore, database: Documents
) -> None:
    outcome = application("flush-cache", "j", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["stored"]) == (0, 1)
    assert json.loads(outcome.out)["target"].endswith(f", database {database.name}")
    assert database["turns"].count_documents({}) == 1
    assert "no server is configured" not in outcome.err
    shown = json.loads(application("config", "show", "-o", "json").out)["items"]
    sources = {row["key"]: row["source"] for row in shown}
    assert sources["mongo.uri"] == "default $MONGO_URI"
    assert sources["mongo.chat_collection"] == "default $MONGO_CHAT_COLLECTION"


def test_the_variables_of_dotenv_count_too(application: Chatstore, database: Documents) -> None:
    variables = {name: application.environment.pop(name) for name in ("MONGO_URI", "MONGO_DB")}
    (application.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    assert application("flush-cache", "j").code == 0
    assert database["turns"].count_documents({}) == 1


def _result(outcome: Outcome) -> Mapping[str, Any]:
    result: Mapping[str, Any] = json.loads(outcome.out)
    return result


def test_the_result_of_each_command_that_writes_has_its_target(application: Chatstore, database: Documents) -> None:
    database["chat_sessions"].insert_many(
        {"_id": name, "chat_id": name, "enterprise_id": "acme", "status": 0, "messages": []}
        for name in ("a", "b", "c", "d", "e")
    )
    commands = (
        "flush-cache j",
        "flush-cache j --dry-run",
        "worker j --once",
        "cache quarantine retry j",
        "cache prune j --older-than 1d --yes",
        "cache prune j --older-than 1d --dry-run",
        "sessions complete a",
        "sessions complete a",
        "sessions fail b",
        "sessions pause c",
        "sessions unpause c",
        "sessions delete d --yes",
        "sessions split a --yes",
        "indexes apply --yes",
        "indexes apply --dry-run",
        "ttl set --days 40 --yes",
        "usage rollup",
        "usage reconcile --yes",
        "threads repair --yes",
        "verify",
    )
    for command in commands:
        outcome = application(*command.split(), "-o", "json")
        assert outcome.err.startswith(f"Target: {_result(outcome)['target']}"), command
        assert _result(outcome)["target"].endswith(f", database {database.name}"), command
        assert outcome.err.count("Target: ") == 1, command
    row = application("flush-cache", "j", "-o", "yaml").out
    assert f"database {database.name}" in row


def test_an_empty_result_and_a_missing_session_name_the_target(application: Chatstore, database: Documents) -> None:
    where = f"database {database.name}"
    for command in ("sessions list", "sessions sizes", "usage", "usage reconcile", "threads repair"):
        outcome = application(*command.split())
        assert where in outcome.err, command
        assert outcome.err.count(where) == 1, command
    for command in ("sessions show gone", "resume gone", "history gone", "usage explain gone", "sessions delete gone"):
        outcome = application(*command.split())
        assert outcome.code == 3, command
        assert where in outcome.err, command
    error = json.loads(application("sessions", "show", "gone", "-o", "json").err)["error"]
    assert where in error["hint"]


def test_files_that_are_missing_are_reported_without_a_target(application: Chatstore) -> None:
    assert "database" not in application("cache", "quarantine", "list", "j").err
    outcome = application("flush-cache", "gone")
    assert outcome.code == 3
    assert "database" not in outcome.err


def test_verbose_names_the_target_of_every_command_once(application: Chatstore, database: Documents) -> None:
    for command in (
        "sessions list",
        "indexes check",
        "cache status j",
        "flush-cache j",
        "verify",
        "config show",
        "history gone",
    ):
        outcome = application(*command.split(), "--verbose")
        assert outcome.err.splitlines()[0].endswith(f", database {database.name}"), command
        assert outcome.err.count("Target: ") == 1, command


def test_a_target_has_no_password_and_no_options(chatstore: Chatstore) -> None:
    uri = f"mongodb://ana@corp.com:{PASSWORD}@127.0.0.1:9/db?authSource=admin&tlsCertificateKeyFilePassword={PASSWORD}"
    outcomes = [
        chatstore(*command.split(), "--uri", uri, env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.05"})
        for command in (
            "flush-cache .",
            "sessions list --verbose",
            "verify",
            "verify -o md",
            "verify -o json",
            "config show",
            "config check",
            f"resume {uri} {uri}",
            "nonsense",
        )
    ]
    assert PASSWORD not in "".join(outcome.out + outcome.err for outcome in outcomes)
    assert outcomes[0].err.startswith("Target: 127.0.0.1:9, database ")


@pytest.mark.parametrize(
    ("messages", "names_server", "reported"), [(3, False, True), (0, False, False), (3, True, False)]
)
def test_the_embedded_server_is_named_again_after_the_result_if_nobody_chose_it(
    capsys: pytest.CaptureFixture[str], messages: int, names_server: bool, reported: bool
) -> None:
    invocation = Invocation.__new__(Invocation)
    invocation.options = GlobalOptions()
    invocation.__dict__["configuration"] = types.SimpleNamespace(names_server=names_server)
    invocation.say_where_stored(messages)
    expected = (
        "Stored in the embedded MongoDB, because no server is configured. To use your own: set MONGO_URI, or "
        "mongo.uri in config.yaml (chatstore config init).\n"
    )
    assert capsys.readouterr().err == (expected if reported else "")


def test_every_command_takes_a_time_limit(chatstore_without_database: Chatstore) -> None:
    from chatstore_cli.cli.main import root_command

    def commands(group: Any, context: Any) -> Iterator[Any]:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            yield command
            if hasattr(command, "list_commands"):
                yield from commands(command, context)

    root = root_command()
    for command in commands(root, root.make_context("chatstore", ["config", "show"])):
        options = [word for parameter in command.params for word in parameter.opts]
        assert options.count("--timeout") == 1, command.name
    for arguments in (("--timeout", "3", "config", "show"), ("config", "show", "--timeout", "3")):
        rows = json.loads(chatstore_without_database(*arguments, "-o", "json").out)["items"]
        assert {"key": "mongo.timeout_seconds", "value": 3.0, "source": "--timeout"} in rows
    wrong = chatstore_without_database("config", "show", "--timeout", "0")
    assert (wrong.code, "a number of seconds above 0" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("own", "shared", "outage", "attempt"),
    [(None, None, 60, 10), (5, None, 5, 5), (None, 5, 5, 5), (90, None, 90, 10), (0, None, 0, 10), (2, 7, 2, 2)],
)
def test_no_attempt_of_a_command_that_retries_takes_longer_than_the_outage_may(
    own: float | None, shared: float | None, outage: float, attempt: float
) -> None:
    root = types.SimpleNamespace(obj=GlobalOptions(uri="mongodb://h", timeout=shared))
    context: Any = types.SimpleNamespace(find_root=lambda: root)
    invocation = Invocation(context)
    assert invocation.outage_limit(own, 60.0) == outage
    assert invocation.stores.settings.mongo.timeout_seconds == attempt
