"""Migrations on a real server, and the refusal to write into tables of another version."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from chatstore_cli.domain.errors import Conflict, ExitCode, Unreachable
from chatstore_cli.domain.threads.models import ChatThread
from chatstore_cli.domain.threads.ports import ANYONE
from chatstore_cli.postgres import versions
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.migrate import _LOCK, migrate, sql, state
from chatstore_cli.postgres.schema import METADATA
from chatstore_cli.postgres.threads.store import PostgresThreadStore
from tests.support.mongod import poll
from tests.support.paths import ROOT
from tests.support.postgres import Postgres


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    """A database without tables."""
    name = postgres.new_database(migrated=False)
    yield name
    postgres.drop_database(name)


@pytest.fixture
def empty(postgres: Postgres, name: str) -> Iterator[PostgresDatabase]:
    """The same database."""
    database = PostgresDatabase(postgres.uri(name))
    yield database
    database.close()


def test_an_empty_database_gets_the_tables_once(empty: PostgresDatabase) -> None:
    assert state(empty).condition == "absent"
    assert migrate(empty).condition == "absent"
    assert (state(empty).condition, state(empty).version) == ("current", versions.NEEDED)
    assert migrate(empty).condition == "current"
    PostgresThreadStore(empty).insert_thread(ChatThread(user_id="alice", org_id="acme", name="first"))


def test_the_tables_are_those_of_the_schema(postgres_database: PostgresDatabase) -> None:
    def differences(**options: object) -> list[object]:
        with postgres_database.engine.connect() as connection:
            settings = {"version_table": versions.VERSION_TABLE, "compare_server_default": True, **options}
            return compare_metadata(MigrationContext.configure(connection, opts=settings), METADATA)

    assert differences() == []
    assert differences(version_table="other") != []  # it does look at the database


def test_the_versions_are_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "chatstore_cli" / "postgres" / "migrations"))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert [script.revision for script in scripts][::-1] == list(versions.VERSIONS)


def test_the_statements_make_the_same_tables(postgres: Postgres, name: str, empty: PostgresDatabase) -> None:
    with postgres.connect(name) as connection:
        connection.execute(sql().encode())
    assert state(empty).is_current
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": versions.VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []


def test_two_processes_migrate_at_once(postgres: Postgres, name: str) -> None:
    databases = [PostgresDatabase(postgres.uri(name)) for _ in range(2)]
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'advisory'"
    with ThreadPoolExecutor(2) as pool:
        with postgres.connect(name) as holder:
            holder.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            results = [pool.submit(migrate, database) for database in databases]
            poll(lambda: len(postgres.run(waiting)) == 2, what="two that wait")
        assert sorted(result.result().condition for result in results) == ["absent", "current"]
    for database in databases:
        database.close()


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, "has no tables of threads. This chatstore needs version 0001. Run chatstore threads migrate."),
        (
            "0000",
            "has version 0000 of the tables of threads. This chatstore needs 0001. Run chatstore threads migrate.",
        ),
        ("0099", "has version 0099 of the tables of threads. This chatstore needs 0001. A newer chatstore made them"),
    ],
)
def test_nothing_is_written_into_another_version(
    version: str | None,
    words: str,
    postgres: Postgres,
    name: str,
    empty: PostgresDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(versions, "VERSIONS", ("0000", "0001"))
    if version is not None:
        migrate(empty)
        postgres.run(f"UPDATE chatstore_migrations SET version_num = '{version}'", name)
    store = PostgresThreadStore(empty)
    for _ in range(2):
        with pytest.raises(Unreachable) as caught:
            store.insert_thread(ChatThread(user_id="alice", org_id="acme", name="first"))
        assert words in caught.value.as_text()
        assert name in caught.value.message
        assert caught.value.exit_code == ExitCode.UNREACHABLE
    if version is not None:
        assert store.newest_threads(ANYONE, 10) == []
        postgres.run(f"UPDATE chatstore_migrations SET version_num = '{versions.NEEDED}'", name)
    else:
        migrate(empty)
    store.insert_thread(ChatThread(user_id="alice", org_id="acme", name="first"))


def test_newer_tables_are_left_alone(postgres: Postgres, name: str, empty: PostgresDatabase) -> None:
    migrate(empty)
    postgres.run("UPDATE chatstore_migrations SET version_num = '0099'", name)
    with pytest.raises(Unreachable, match="0099"):
        migrate(empty)
    assert state(empty).condition == "ahead"


def test_tables_of_another_program_are_left_alone(postgres: Postgres, name: str, empty: PostgresDatabase) -> None:
    postgres.run("CREATE TABLE chat_threads (id int)", name)
    with pytest.raises(Conflict, match="a table chat_threads that chatstore did not make"):
        migrate(empty)
    assert state(empty).condition == "absent"


def test_tables_that_are_dropped_later_are_reported_by_the_next_change(
    postgres: Postgres, name: str, empty: PostgresDatabase
) -> None:
    migrate(empty)
    store = PostgresThreadStore(empty)
    store.insert_thread(ChatThread(user_id="alice", org_id="acme", name="first"))
    postgres.run("DROP TABLE chat_messages, chat_threads, chatstore_migrations", name)
    with pytest.raises(Unreachable, match="the tables of threads do not exist"):
        store.newest_threads(ANYONE, 10)
    with pytest.raises(Unreachable, match="has no tables of threads"):
        store.insert_thread(ChatThread(user_id="alice", org_id="acme", name="second"))
