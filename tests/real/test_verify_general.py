"""The checks of `chatstore verify` that read general chats: counters and collided ids, as the platform left them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.verify.general import collision_verdict, counter_verdict
from chatstore_cli.domain.checks import CheckStatus
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.counter_merges import MongoCounterMerges
from chatstore_cli.mongo.general.samples import MongoGeneralSamples
from tests.conftest import Chatstore

pytestmark = pytest.mark.real


def chat(chat_id: str, user: str, speakers: tuple[Any, ...] = (), **tenant: Any) -> dict[str, Any]:
    """A chat as the platform stores it, with a message of each speaker."""
    messages = [{"role": "user", "content": "Hi", "metadata": {"user_id": speaker}} for speaker in speakers]
    number = int(chat_id.rpartition("-")[2])
    return {"_id": chat_id, **tenant, "user_id": user, "general_sequence": number, "messages": messages}


def verdicts(connection: Connection, seconds: float = 5.0) -> tuple[Any, Any]:
    """The verdicts about counters and about ids."""
    samples = MongoGeneralSamples(connection, Settings(), sample=200, seconds=seconds)
    merges = MongoCounterMerges(connection, Settings(), seconds)
    return counter_verdict(merges, samples, seconds), collision_verdict(samples, seconds)


def test_general_chats_without_a_fault_pass(connection: Connection, database: Any) -> None:
    database["GeneralChatSessions"].insert_many(
        [
            chat("generalchat-acme-ann-0002", "ann", ("ann",), app_id="acme"),
            chat("generalchat-acme-ann-0001", "ann", ("ann", None), enterprise_id="acme"),
            chat("generalchat-a-b-c-0001", "c", ("c", "operator"), app_id="a-b"),
            chat("generalchat-a-b%2Dc-0001", "b-c", ("b-c",), app_id="a"),
            {"_id": 7, "app_id": "acme", "user_id": "ann", "messages": "none"},
        ]
    )
    database["GeneralChatCounters"].insert_many(
        [
            {"app_id": "acme", "user_id": "ann", "sequence": 2},
            {"enterprise_id": "a-b", "user_id": "c", "sequence": 1.0},
            {"app_id": "a", "user_id": "b-c", "sequence": 3},
        ]
    )
    counters, ids = verdicts(connection)
    assert counters.status is CheckStatus.PASS
    assert counters.detail == "no counter is doubled, and none is lower than the numbers of 5 checked chats"
    assert ids.status is CheckStatus.PASS
    assert ids.detail == "no id was given twice in 5 checked chats"


def test_doubled_counters_and_counters_after_a_restore(chatstore: Chatstore, database: Any) -> None:
    database["GeneralChatSessions"].insert_many(
        [
            chat("generalchat-acme-ann-0012", "ann", app_id="acme"),
            chat("generalchat-acme-ben-0004", "ben", enterprise_id="acme"),
            chat("generalchat-acme-cid-0005", "cid", app_id="acme"),
        ]
    )
    database["GeneralChatCounters"].insert_many(
        [
            {"app_id": "acme", "user_id": "ann", "sequence": 9},
            {"app_id": "acme", "user_id": "ann", "sequence": 3},
            {"app_id": "acme", "user_id": "cid", "sequence": 5},
            {"enterprise_id": "acme", "user_id": "cid", "sequence": 1},
        ]
    )
    outcome = chatstore("verify", "--only", "general-counters", "-o", "json")
    assert outcome.code == 0
    (row,) = json.loads(outcome.out)["items"]
    assert row["status"] == "warn"
    assert row["detail"] == (
        "1 user has more than one counter in GeneralChatCounters (acme/ann); counters lower than a chat's number: 2 "
        "(acme/ann: 9, chat 12, acme/ben: no counter, chat 4)"
    )
    assert "run chatstore indexes apply" in row["hint"]
    assert "Raise `sequence` in the counter" in row["hint"]


def test_an_id_that_two_users_were_given(chatstore: Chatstore, database: Any) -> None:
    """The second creator's messages are in the chat of the first one, or were lost because the tenant is another one."""
    database["GeneralChatSessions"].insert_many(
        [
            chat("generalchat-a-b-c-0001", "c", ("c", "b-c"), app_id="a-b"),
            chat("generalchat-x-y-z-0002", "z", ("z",), enterprise_id="x-y"),
            chat("generalchat-x-y-z-0003", "z", ("z",), enterprise_id="x-y"),
            chat("generalchat-x-y%2Dz-0003", "y-z", app_id="x"),
        ]
    )
    database["GeneralChatCounters"].insert_one({"app_id": "x", "user_id": "y-z", "sequence": 3})
    outcome = chatstore("verify", "--only", "general-ids", "-o", "json")
    assert outcome.code == 0
    (row,) = json.loads(outcome.out)["items"]
    assert row["status"] == "warn"
    start, _, named = row["detail"].partition(" (")
    assert start == "ids that two users were given: 2 of 4 checked chats"
    assert "generalchat-a-b-c-0001 (also user b-c of tenant a)" in named
    assert "generalchat-x-y-z-0002 (also user y-z of tenant x)" in named
    assert "Messages of the second user" in row["hint"]


def test_checks_that_take_too_long(connection: Connection, database: Any, fail_point: Any) -> None:
    database["GeneralChatSessions"].insert_one(chat("generalchat-a-b-c-0001", "c", app_id="a-b"))
    database["GeneralChatCounters"].insert_one({"app_id": "a", "user_id": "b-c", "sequence": 1})
    for commands, skip in ((["aggregate"], 0), (["find"], 0), (["find"], 1)):
        with fail_point(commands, skip=skip, errorCode=50):
            counters, ids = verdicts(connection)
        assert ids.status is CheckStatus.SKIP, (commands, skip)
        assert "took longer than 5 seconds" in ids.detail
        assert (counters.status is CheckStatus.SKIP) == (skip == 0)


def test_a_user_id_with_hyphens_costs_one_look_up(connection: Connection, database: Any) -> None:
    """Such an id could belong to several pairs, and none of the others exists."""
    user = "6f1e2c3d-0000-4000-8000-000000000001"
    chats = [chat(f"generalchat-acme-{user}-{number:04d}", user, (user,), app_id="acme") for number in range(1, 6)]
    database["GeneralChatSessions"].insert_many(chats)
    database["GeneralChatCounters"].insert_one({"app_id": "acme", "user_id": user, "sequence": 5})
    assert [verdict.status for verdict in verdicts(connection)] == [CheckStatus.PASS] * 2
