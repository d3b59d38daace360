"""Answers that fail, are late or never arrive: each call is repeated, and nothing is stored twice or miscounted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import ConfigurationError
from pymongo.synchronous.pool import Connection as DriversConnection

from chatstore_cli.core.flush import run as flush_module
from chatstore_cli.domain.errors import NotAllowed, Unreachable
from chatstore_cli.mongo.connection import Connection, connect, translate
from tests.support.journals import COLLECTION, flush, forget, quarantined, record, stored, wanted_of, write_journal
from tests.support.lossy_proxy import LossyProxy
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
FailPoint = Callable[..., AbstractContextManager[None]]

LINES = [
    *(record(number, message_id=f"m{number}" if number % 2 else None) for number in range(200)),
    *(record(number) for number in (0, 0, 2)),
    *(record(number, message_id=f"m{number}") for number in (1, 3)),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of 200 messages, with equal lines and repeated message_ids, in batches of 50."""
    monkeypatch.setattr(flush_module, "_BATCH_MESSAGES", 50)
    write_journal(tmp_path / "journals" / "s.jsonl", LINES)
    return tmp_path / "journals"


def assert_all_there_once(connection: Connection, database: Documents, folder: Path) -> None:
    wanted = wanted_of(LINES)
    assert stored(database) == wanted
    assert quarantined(folder) == []
    forget(folder)
    again = flush(connection, folder)
    assert (again.stored, again.already_stored) == (0, len(LINES))


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param({"closeConnection": True}, id="connection closed"),
        pytest.param({"errorCode": 10107}, id="no longer the primary"),
        pytest.param({"errorCode": 11602}, id="state of the set changed"),
        pytest.param({"errorCode": 189}, id="primary stepped down"),
        pytest.param({"errorCode": 50}, id="time limit"),
        pytest.param({"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}, id="majority"),
        pytest.param({"writeConcernError": {"code": 91, "errmsg": "shutting down"}}, id="acknowledged by nobody"),
    ],
)
def test_a_failed_insert_is_retried(
    connection: Connection, database: Documents, folder: Path, fail_point: FailPoint, failure: dict[str, Any]
):
    said: list[str] = []
    with fail_point(["insert"], times=3, namespace=f"{database.name}.{COLLECTION}", **failure):
        result = flush(connection, folder, said=said)
    # Three times, and once more if the driver has not yet connected again after a connection was closed.
    assert sum("Retrying in" in line for line in said) >= 3
    assert (result.stored, result.already_stored, result.quarantined) == (sum(wanted_of(LINES).values()), 2, 0)
    assert_all_there_once(connection, database, folder)


@pytest.mark.parametrize(
    ("question", "code"), [("find", 189), ("distinct", 189), ("aggregate", 189), ("find", 43), ("distinct", 94)]
)
def test_a_failed_look_up_is_retried(
    connection: Connection, database: Documents, folder: Path, fail_point: FailPoint, question: str, code: int
):
    database[COLLECTION].insert_one(record(0))
    connection.own_collections.add(
        COLLECTION
    )  # the look at the documents, an aggregate too, is not retried at the start
    with fail_point([question], times=4, errorCode=code):
        result = flush(connection, folder)
    assert result.stored == sum(wanted_of(LINES).values()) - 1
    assert_all_there_once(connection, database, folder)


def test_a_member_that_was_restarted_is_read_although_the_driver_finds_no_sessions_there(
    connection: Connection, database: Documents, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    starting = ConfigurationError("Sessions are not supported by this MongoDB deployment")
    assert isinstance(translate(starting, "looking up messages"), Unreachable)

    # What a connection has noted that was made while the member started.
    never = property(lambda _: False, lambda *_: None)
    monkeypatch.setattr(DriversConnection, "supports_sessions", never, raising=False)
    database[COLLECTION].insert_one(record(0, message_id="m0"))
    said: list[str] = []
    assert flush(connection, folder, said=said).stored == sum(wanted_of(LINES).values()) - 1
    assert not any("Retrying" in line for line in said)
    assert_all_there_once(connection, database, folder)


@pytest.fixture
def lossy(mongod: Mongod, short_folder: Path) -> Iterator[LossyProxy]:
    proxy = LossyProxy(short_folder / "p.sock", mongod.socket_path)
    yield proxy
    proxy.close()


def test_a_write_whose_acknowledgement_is_lost_is_counted_once(
    lossy: LossyProxy, connection: Connection, database: Documents, folder: Path, short_folder: Path
):
    socket = str(short_folder / "p.sock").replace("/", "%2F")
    through = connect(f"mongodb://{socket}/?directConnection=true", database.name, timeout_seconds=10)
    lossy.lose = 3
    said: list[str] = []
    result = flush(through, folder, said=said)
    assert lossy.lost == 3
    assert sum("Retrying in" in line for line in said) >= 3
    assert (result.stored, result.already_stored) == (sum(wanted_of(LINES).values()), 2)
    assert_all_there_once(connection, database, folder)
    through.client.close()


def test_a_write_that_takes_effect_after_its_retry_is_counted_once(
    mongod: Mongod, connection: Connection, database: Documents, folder: Path, fail_point: FailPoint
):
    hasty = connect(mongod.uri, database.name, timeout_seconds=10, answer_seconds=0.3)
    with fail_point(["insert"], times=2, blockConnection=True, blockTimeMS=700):
        result = flush(hasty, folder)
    assert result.stored == sum(wanted_of(LINES).values())
    assert_all_there_once(connection, database, folder)
    hasty.client.close()


def test_after_the_timeout_it_reports_its_progress_and_the_next_run_continues(
    connection: Connection, database: Documents, folder: Path, fail_point: FailPoint
):
    with (
        fail_point(["insert"], skip=2, errorCode=189, namespace=f"{database.name}.{COLLECTION}"),
        pytest.raises(Unreachable) as told,
    ):
        flush(connection, folder, timeout=0.3)
    assert told.value.exit_code == 5
    assert told.value.hint == (
        f"100 messages stored of {len(LINES)} lines read. Run the same command again to continue: nothing is stored twice."
    )
    assert flush(connection, folder).stored == sum(wanted_of(LINES).values()) - 100
    assert_all_there_once(connection, database, folder)


def test_a_user_without_write_permission_gets_an_error_at_once(
    connection: Connection, database: Documents, folder: Path, fail_point: FailPoint
):
    said: list[str] = []
    with (
        fail_point(["insert"], errorCode=13, namespace=f"{database.name}.{COLLECTION}"),
        pytest.raises(NotAllowed),
    ):
        flush(connection, folder, said=said)
    assert not any("Retrying" in line for line in said)
    assert quarantined(folder) == []
