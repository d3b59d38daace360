"""How an application gets its repository of threads: which settings count, and when it connects."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.library.threads import mongo as module
from chatstore_cli.threads import (
    BadConfig,
    BadValue,
    CreateChatThreadRequest,
    DatabaseConfig,
    MockConversationRepository,
    MongoConversationRepository,
    StateConfig,
    StateManager,
    create_repository,
)

NOWHERE = "mongodb://127.0.0.1:9"
REQUEST = CreateChatThreadRequest(user_id="u", org_id="o", name="n")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def imported_by(statement: str) -> set[str]:
    """The packages that a new process has imported after the statement, of those that cost time."""
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {"pymongo", "bson", "yaml", "dotenv", "typer", "rich", "pydantic"} & set(done.stdout.split())


def test_the_package_loads_nothing_and_the_threads_no_driver() -> None:
    assert imported_by("import chatstore_cli; chatstore_cli.__version__") == set()
    assert imported_by("from chatstore_cli.threads import *; create_repository(DatabaseConfig())") == {"pydantic"}


def test_the_variables_choose_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(create_repository()) is MockConversationRepository
    monkeypatch.setenv("DB_BACKEND", "mongodb")
    monkeypatch.setenv("DB_HOST", "has no meaning")
    monkeypatch.setenv("MONGO_URI", NOWHERE)
    monkeypatch.setenv("CHATSTORE_LAYOUTS__THREADS__THREADS", "theirs")
    config = StateConfig.from_env()
    made = create_repository(config.database)
    assert isinstance(made, MongoConversationRepository)
    assert (made.settings.mongo.uri, made.settings.layouts.threads.threads) == (NOWHERE, "theirs")


@pytest.mark.parametrize("backend", ["mock", "mongodb"])
def test_every_repository_is_a_context_manager(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_BACKEND", backend)
    monkeypatch.setenv("MONGO_URI", NOWHERE)
    with create_repository() as repository:
        assert isinstance(repository, MockConversationRepository | MongoConversationRepository)


def test_the_documented_way_to_a_manager() -> None:
    config = StateConfig.from_env()
    manager = StateManager(repository=create_repository(config.database), user_id=config.user_id, org_id=config.org_id)
    manager.create_thread("Trip")
    manager.add_message("user", "Plan a trip")
    assert [message.content for message in manager.load_conversation_history()] == ["Plan a trip"]


@pytest.mark.parametrize("backend", ["mock", "mongodb"])
def test_roles_are_strict_unless_declined(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGO_URI", "mongomock://")
    for strict in (True, False):
        repository = create_repository(DatabaseConfig(backend=backend), strict_roles=strict)
        manager = StateManager(repository)
        manager.create_thread("n")
        if strict:
            with pytest.raises(ValueError, match="'developer' is not one of"):
                manager.add_message("developer", "hello")
        else:
            assert manager.add_message("developer", "hello").sender_role == "developer"


def test_with_a_uri_no_configuration_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config.yaml").write_text("mongo: {database: of-file, ttl_day: 4}\n")
    monkeypatch.setenv("CHATSTORE_DATABASE", "of-variable")
    settings = MongoConversationRepository(NOWHERE).settings
    assert (settings.mongo.database, settings.mongo.timeout_seconds) == ("chatstore", 5.0)
    settings = MongoConversationRepository(
        NOWHERE, "chats", threads_collection="t", messages_collection="m", timeout_seconds=2, write_concern="1", journaled=False
    ).settings  # fmt: skip
    assert (settings.mongo.database, settings.mongo.timeout_seconds) == ("chats", 2)
    assert (settings.mongo.write_concern, settings.mongo.journaled) == ("1", False)
    assert (settings.layouts.threads.threads, settings.layouts.threads.messages) == ("t", "m")
    with pytest.raises(BadConfig, match="ttl_day"):
        MongoConversationRepository()


def test_without_a_uri_the_configuration_has_what_is_not_given(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "other.yaml"
    file.write_text("mongo: {database: of-file, timeout_seconds: 3}\nlayouts: {threads: {messages: m}}\n")
    assert MongoConversationRepository.from_config(str(file)).settings.layouts.threads.messages == "m"
    assert ["No server is configured" in message for message in caplog.messages] == [True]
    monkeypatch.setenv("CHATSTORE_CONFIG", str(file))
    monkeypatch.setenv("MONGO_URI", NOWHERE)
    settings = MongoConversationRepository(database="given").settings
    assert (settings.mongo.uri, settings.mongo.database, settings.mongo.timeout_seconds) == (NOWHERE, "given", 3)
    assert settings.layouts.threads.messages == "m"
    with pytest.raises(BadValue, match=r"^layouts\.threads\.messages: 'm' is not another collection than"):
        MongoConversationRepository(threads_collection="m")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"database": ""}, "mongo.database: '' is not a database's name"),
        ({"threads_collection": "a$b"}, "layouts.threads.threads: 'a$b' is not a collection's name"),
        ({"timeout_seconds": -1}, "mongo.timeout_seconds: -1 is not a number of seconds"),
        ({"timeout_seconds": "soon"}, "mongo.timeout_seconds: 'soon' is not a number"),
        ({"journaled": "perhaps"}, "mongo.journaled: 'perhaps' is not true or false"),
    ],
)
def test_a_wrong_argument_is_an_error_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue) as caught:
        MongoConversationRepository(NOWHERE, **arguments)
    assert caught.value.message.startswith(message)


def test_it_connects_for_the_first_call_once_and_again_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[object] = []
    real = module.thread_store

    def thread_store(stores: Any) -> Any:
        connected.append(stores.connection)
        return real(stores)

    monkeypatch.setattr(module, "thread_store", thread_store)
    with MongoConversationRepository("mongomock://", "chats") as repository:
        assert connected == []
        barrier = threading.Barrier(8)

        def create() -> None:
            barrier.wait()
            repository.create_thread(REQUEST)

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(connected), len(repository.list_threads())) == (1, 8)
    repository.create_thread(REQUEST)
    assert len(connected) == 2


@pytest.mark.real
def test_notices_are_logged_and_a_closed_repository_connects_again(
    mongo_uri: str, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with MongoConversationRepository(mongo_uri, database.name) as repository, caplog.at_level(logging.INFO):
        created = repository.ensure_indexes()
        assert len(created) == 4
        assert caplog.messages == [f"[CHAT THREADS] {line}" for line in created]
        assert repository.ensure_indexes() == []
        thread = repository.create_thread(REQUEST)
    assert repository.get_thread(thread.id) == thread
    repository.close()


@pytest.mark.real
def test_a_limit_of_time_is_for_all_calls_inside(mongo_uri: str, database: Any, fail_point: Any) -> None:
    from chatstore_cli.threads import Unreachable

    with MongoConversationRepository(mongo_uri, database.name) as repository:
        repository.list_threads()
        with (
            fail_point(["find", "aggregate"], blockConnection=True, blockTimeMS=500, appName="chatstore"),
            pytest.raises(Unreachable),
            repository.within(0.05),
        ):
            repository.list_threads()
