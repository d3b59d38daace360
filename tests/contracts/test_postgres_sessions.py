"""The contract of a layout's reader for threads on PostgreSQL: the tests of test_layouts.py on rows of tables.

The sample is that of MongoDB, without the documents that only another program can have stored there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bson import json_util

from chatstore_cli.domain.errors import NotAllowed, NotFound, Overdue
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import COUNT_CAP
from chatstore_cli.domain.usage import UNKNOWN_USAGE, KnownUsage
from tests.contracts.test_layouts import (  # noqa: F401 - pytest runs them here with the fixture `sample` of this file
    test_a_count_is_the_length_of_the_list_and_stops_at_its_limit,
    test_a_filter_returns_exactly_the_sessions_with_its_value,
    test_a_message_has_the_session_id_of_the_request,
    test_a_query_for_another_layout_returns_nothing,
    test_a_stream_of_pages_is_the_whole_list,
    test_after_sequence_returns_the_messages_with_a_higher_one,
    test_all_pages_together_are_the_whole_list,
    test_an_id_is_a_value_and_never_an_operator,
    test_every_session_is_found_by_its_id,
    test_filters_can_be_combined,
    test_last_returns_the_end_of_the_conversation,
    test_messages_are_in_the_order_of_the_conversation,
    test_reports_read_every_session_once_with_its_usage,
    test_sessions_are_listed_newest_first_with_all_fields,
    test_since_is_inclusive_and_until_is_exclusive,
    test_tenants_and_users_have_the_sessions_of_the_list,
    test_the_beginning_of_an_id_finds_it,
    test_the_list_is_sorted_by_the_key_and_no_key_occurs_twice,
    test_without_the_general_agent_last_counts_only_the_other_messages,
)
from tests.support.paths import SAMPLES

if TYPE_CHECKING:
    from chatstore_cli.postgres.database import PostgresDatabase
    from chatstore_cli.postgres.threads.sessions import PostgresThreadSessions
    from tests.support.postgres import Postgres

pytestmark = pytest.mark.real

IDS = ("thread-1", "thread-3", "thread-2")
AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Sample:
    """The reader over the sample rows, and what it must return."""

    reader: PostgresThreadSessions
    sessions: list[dict[str, Any]]
    messages: dict[str, list[dict[str, Any]]]
    reported: dict[str, dict[str, Any]]


def insert(database: PostgresDatabase, threads: list[dict[str, Any]], messages: list[dict[str, Any]]) -> None:
    """Store rows without the rules of the store."""
    from chatstore_cli.postgres.schema import MESSAGES, THREADS

    with database.engine.begin() as connection:
        connection.execute(THREADS.insert(), threads)
        if messages:
            connection.execute(MESSAGES.insert(), messages)


def thread(name: str, **facts: Any) -> dict[str, Any]:
    return {"id": name, "user_id": "u", "org_id": "o", "name": "n", "created_at": AT, "updated_at": AT, **facts}


def message(of: str, number: int, content: Any) -> dict[str, Any]:
    identity = {"id": f"{of}-{number}", "chat_thread_id": of, "sequence": number}
    return {**identity, "sender_role": "user", "content": content, "created_at": AT, "updated_at": AT}


@pytest.fixture(scope="module")
def sample(postgres: Postgres) -> Iterator[Sample]:
    """The sample rows, stored once, because no test here changes them."""
    from chatstore_cli.postgres.database import PostgresDatabase
    from chatstore_cli.postgres.threads.sessions import PostgresThreadSessions

    content = json.loads((SAMPLES / "threads.json").read_text())
    stored = {name: [json_util.loads(json.dumps(row)) for row in rows] for name, rows in content["collections"].items()}
    facts = ("user_id", "org_id", "name", "created_at", "updated_at")
    of_message = ("chat_thread_id", "sender_id", "sender_role", "content", "created_at", "updated_at", "sequence")
    name = postgres.new_database()
    database = PostgresDatabase(postgres.uri(name), timeout_seconds=10)
    insert(
        database,
        [{"id": row["_id"], **{key: row[key] for key in facts}} for row in stored["chat_threads"] if row["_id"] in IDS],
        [
            {"id": row["_id"], **{key: row.get(key) for key in of_message}}
            for row in stored["chat_thread_messages"]
            if row["chat_thread_id"] in IDS
        ],
    )
    yield Sample(
        PostgresThreadSessions(database),
        [row for row in content["sessions"] if row["session_id"] in IDS],
        {key: rows for key, rows in content["messages"].items() if key in IDS},
        content["usage"],
    )
    database.close()
    postgres.drop_database(name)


@pytest.fixture
def reader(postgres_database: PostgresDatabase) -> PostgresThreadSessions:
    """The reader of an empty database."""
    from chatstore_cli.postgres.threads.sessions import PostgresThreadSessions

    return PostgresThreadSessions(postgres_database)


def test_an_empty_database_has_no_sessions(reader: PostgresThreadSessions) -> None:
    assert (reader.layout, reader.index_specs()) == ("threads", ())
    assert list(reader.newest_first(SessionQuery(), None, 10)) == list(reader.all_facts(SessionQuery())) == []
    assert reader.find("chat") is None
    assert reader.parts("chat") == reader.remove("chat", AT) == []
    with pytest.raises(NotFound):
        reader.messages("chat", MessageSelection())


def test_a_list_looks_up_usage_and_models(sample: Sample) -> None:
    listed = list(sample.reader.newest_first(SessionQuery(), None, 10))
    assert sample.reader.with_usage(listed)[0].usage == KnownUsage(30, 10, 40, Decimal("0.25"))
    assert [session.usage for session in listed] == [None] * 3
    assert sample.reader.having_used("m", [session.session_id for session in listed]) == {"thread-1"}
    assert sample.reader.having_used("%", ["thread-1"]) == sample.reader.having_used("m\0", ["thread-1"]) == set()


def test_a_time_limit_ends_a_slow_statement(sample: Sample) -> None:
    from sqlalchemy import text

    database = sample.reader._database
    with pytest.raises(Overdue), sample.reader.within(0.01):
        database.read("sleeping", lambda connection: connection.execute(text("select pg_sleep(5)")))
    assert database.read("asking", lambda connection: connection.scalar(text("show statement_timeout"))) == "10s"


def test_a_page_after_a_session_of_another_layout(sample: Sample) -> None:
    """The layouts of one instant are in descending order: workflow, threads, messages."""
    first, *others = sample.reader.newest_first(SessionQuery(), None, 10)
    same_instant = SessionKey.of(others[0])
    ids = {
        layout: [
            session.session_id
            for session in sample.reader.newest_first(SessionQuery(), replace(same_instant, layout=layout), 10)
        ]
        for layout in ("workflow", "messages")
    }
    assert first.session_id == "thread-1"
    assert ids == {"workflow": ["thread-3", "thread-2"], "messages": []}


@pytest.mark.parametrize(
    ("usages", "expected", "invalid"),
    [
        ([{"prompt_tokens": 3, "completion_tokens": 4}], KnownUsage(3, 4, 7), ()),
        ([{"input_tokens": " 3 ", "output_tokens": "4.0", "cost": "1e-3"}], KnownUsage(3, 4, 7, Decimal("0.001")), ()),
        ([{"prompt_tokens": None, "input_tokens": 2, "total_tokens": 9}], KnownUsage(2, 0, 9), ()),
        ([{"prompt_tokens": 1, "total_cost": 0.5}, {"cost": 0.25}], KnownUsage(1, 0, 1, Decimal("0.75")), ()),
        ([{"cost": 2}], KnownUsage(cost=Decimal(2)), ()),
        ([{"prompt_tokens": -1}], KnownUsage(), ("prompt_tokens",)),
        ([{"prompt_tokens": 1.5, "completion_tokens": 1}], KnownUsage(0, 1, 1), ("prompt_tokens",)),
        ([{"prompt_tokens": "many", "input_tokens": 5}], KnownUsage(), ("prompt_tokens",)),
        ([{"completion_tokens": True}], KnownUsage(), ("completion_tokens",)),
        ([{"total_tokens": "9" * 101}], KnownUsage(), ("total_tokens",)),
        ([{"total_tokens": "1e999"}], KnownUsage(), ("total_tokens",)),
        ([{"total_tokens": "NaN"}], KnownUsage(), ("total_tokens",)),
        ([{"cost": "1e-61"}], KnownUsage(), ("cost",)),
        ([{"total_cost": "x", "cost": 1}], KnownUsage(cost=Decimal(1)), ("total_cost",)),
        ([{"prompt_tokens": 10**12}, {"prompt_tokens": 1}], UNKNOWN_USAGE, ("*",)),
        (["a text", 7, None, [], {}], KnownUsage(), ()),
    ],
)
def test_usage_is_added_up_by_the_rules_of_the_layout(
    reader: PostgresThreadSessions,
    postgres_database: PostgresDatabase,
    usages: list[Any],
    expected: KnownUsage,
    invalid: tuple[str, ...],
) -> None:
    contents = [{"metadata": {"usage": usage}} for usage in usages]
    rows = [message("t", number, content) for number, content in enumerate([*contents, {}, {"metadata": 3}, "text"], 1)]
    insert(postgres_database, [thread("t"), thread("without")], rows)
    found = {session.session_id: session for session in reader.all_facts(SessionQuery())}
    assert found["without"].usage is None
    assert (found["t"].usage or KnownUsage()) == expected
    assert found["t"].invalid_numbers == tuple(f"content.metadata.usage.{name}" for name in invalid)


def test_reports_read_more_threads_than_one_query(
    reader: PostgresThreadSessions, postgres_database: PostgresDatabase
) -> None:
    insert(postgres_database, [thread(f"t{number:04}") for number in range(201)], [])
    ids = [session.session_id for session in reader.all_facts(SessionQuery())]
    assert sorted(ids) == [f"t{number:04}" for number in range(201)]


def test_a_page_counts_up_to_the_limit_and_a_found_thread_exactly(
    reader: PostgresThreadSessions, postgres_database: PostgresDatabase
) -> None:
    from sqlalchemy import text

    insert(postgres_database, [thread("t")], [])
    with postgres_database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO chat_messages (id, chat_thread_id, sender_role, content, created_at, updated_at, sequence) "
                "SELECT 'm' || n, 't', 'user', '{}', now(), now(), n FROM generate_series(1, :number) AS n"
            ),
            {"number": COUNT_CAP + 2},
        )
    [listed] = reader.newest_first(SessionQuery(), None, 10)
    assert (listed.message_count, listed.message_count_capped) == (COUNT_CAP, True)
    found = reader.find("t")
    assert found is not None
    assert (found.message_count, found.message_count_capped) == (COUNT_CAP + 2, False)
    limited = reader.find("t", 7)
    assert limited is not None
    assert (limited.message_count, limited.message_count_capped) == (7, True)
    page = reader.messages("t", MessageSelection(after_sequence=5, first=3))
    assert [message.sequence for message in page] == [6, 7, 8]


def test_a_thread_is_removed_with_its_messages_and_no_other(
    reader: PostgresThreadSessions, postgres_database: PostgresDatabase
) -> None:
    rows = [message("t", 1, {"a": 1}), message("t", 2, {}), message("other", 1, {})]
    insert(postgres_database, [thread("t"), thread("other")], rows)
    with pytest.raises(NotAllowed, match="The usage of thread 't' is stored in its messages"):
        reader.parts("t", keep_usage=True)
    plan = [("chat_messages", 2), ("chat_threads", 1)]
    assert reader.parts("t") == reader.remove("t", AT) == plan
    assert reader.find("t") is None
    assert [session.message_count for session in reader.newest_first(SessionQuery(), None, 10)] == [1]


def test_the_first_page_reads_only_its_rows_of_the_index(postgres_database: PostgresDatabase) -> None:
    """Each filter has its index, so a page costs no more if there are more threads."""
    from sqlalchemy import select, text

    from chatstore_cli.domain.threads.ports import Owner
    from chatstore_cli.postgres.schema import THREADS
    from chatstore_cli.postgres.threads.reading import owned_by

    threads = [thread(f"t{number}", user_id=f"u{number % 7}", org_id=f"o{number % 5}") for number in range(3000)]
    insert(postgres_database, threads, [])
    order = (THREADS.c.updated_at.desc(), THREADS.c.id.desc())
    with postgres_database.engine.begin() as connection:
        connection.execute(text("ANALYZE chat_threads"))
        for owner, index in ((Owner(), ""), (Owner("u1"), "user_"), (Owner(None, "o1"), "org_")):
            query = select(THREADS.c.id).where(*owned_by(owner)).order_by(*order).limit(20)
            compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = "\n".join(connection.execute(text(f"EXPLAIN {compiled}".replace(":", r"\:"))).scalars())
            assert f"chat_threads_{index}updated_idx" in plan
            assert "Sort" not in plan
