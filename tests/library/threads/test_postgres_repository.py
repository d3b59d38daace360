"""The PostgreSQL repository of the library: its arguments, its configuration, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.threads import (
    BadConfig,
    BadValue,
    ChatstoreError,
    DatabaseConfig,
    PostgreSQLConversationRepository,
    StateManager,
    create_repository,
)

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

LIBRARIES = ("sqlalchemy", "psycopg", "alembic")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, whose `.env` and config.yaml are read."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome_of(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process."""
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_the_libraries_are_imported_only_for_postgresql() -> None:
    code = (
        "import sys; from chatstore_cli.threads import *; create_repository(DatabaseConfig()); "
        "import chatstore_cli.cli.commands.threads.threads, chatstore_cli.wiring.threads, chatstore_cli.aio.threads; "
        f"print({{*{LIBRARIES}}} & {{*sys.modules}})"
    )
    assert outcome_of(code).stdout == "set()\n"


def test_without_the_extra_one_line_names_the_command() -> None:
    hidden = "import sys; sys.modules['psycopg'] = sys.modules['sqlalchemy'] = None; "
    expected = (
        "Threads on PostgreSQL require the packages SQLAlchemy, psycopg and Alembic. "
        "Run pip install 'chatstore-cli[postgres]'."
    )
    library = outcome_of(
        hidden + "from chatstore_cli.threads import *\ntry: PostgreSQLConversationRepository('postgresql://h/d')\n"
        "except ChatstoreError as error: print(error.as_text())"
    )
    assert (library.stdout, library.stderr) == (f"{expected}\n", "")
    command = outcome_of(
        hidden + "import os; os.environ['CHATSTORE_THREADS__BACKEND'] = 'postgresql'; "
        "from chatstore_cli.cli.main import run; sys.exit(run(['threads', 'list']))"
    )
    assert (command.returncode, command.stdout) == (2, "")
    assert command.stderr.endswith(f"{expected}\n")
    assert command.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"connection_string": "geheim"}, "connection_string: 'its value' is not a URI like postgresql://"),
        (
            {"connection_string": "mysql://u:geheim@h/d"},
            "connection_string: 'its value' is not a URI like postgresql://",
        ),
        ({"pool_size": 0}, "pool_size: 0 is not a whole number from 1."),
        ({"max_overflow": -1}, "max_overflow: -1 is not a whole number from 0."),
        ({"timeout_seconds": 0}, "timeout_seconds: 0 is not above 0, up to 3600."),
    ],
)
def test_a_wrong_argument_is_an_error_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue) as caught:
        PostgreSQLConversationRepository(**{"connection_string": "postgresql://h/d", **arguments})
    assert caught.value.message.startswith(message)


def test_the_configuration_of_the_commands_and_of_the_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadConfig, match=r"chatstore.threads.backend is mongodb\."):
        PostgreSQLConversationRepository.from_config()
    (folder / "config.yaml").write_text(
        "chatstore: {threads: {backend: postgresql, uri: 'postgresql://u:geheim@of-file:1/chats'}}\n"
    )
    assert PostgreSQLConversationRepository.from_config().target == "of-file:1, database chats"
    monkeypatch.setenv("DB_HOST", "of-variable")
    monkeypatch.setenv("DB_BACKEND", "mongodb")
    assert PostgreSQLConversationRepository().target == "of-variable:5432, database fluxibly"
    config = DatabaseConfig(backend="postgresql", host="/run/postgresql", password="geheim")
    made = create_repository(config)
    assert isinstance(made, PostgreSQLConversationRepository)
    assert made.target == "/run/postgresql:5432, database fluxibly"
    assert "geheim" not in repr(made)


@pytest.mark.real
def test_a_manager_over_a_new_database(postgres: Postgres) -> None:
    uri = postgres.uri(postgres.new_database(migrated=False))
    with PostgreSQLConversationRepository(uri, pool_size=1, max_overflow=0) as repository:
        manager = StateManager(repository, user_id="ana", org_id="acme")
        with pytest.raises(ChatstoreError, match="has no tables of threads"):
            manager.create_thread("Trip")
        assert repository.migrate().condition == "absent"
        assert repository.migration_state().is_current
        manager.create_thread("Trip")
        manager.add_message("user", "Hello")
    with PostgreSQLConversationRepository(uri) as repository:
        [thread] = repository.list_threads("ana", "acme")
        assert [message.content["text"] for message in repository.get_messages(thread.id)] == ["Hello"]
