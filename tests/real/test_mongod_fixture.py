"""The properties of the test servers that other tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, ServerSelectionTimeoutError

pytestmark = pytest.mark.real


def test_the_shared_server_has_transactions(database):
    database["c"].create_index("k")
    client = database.client
    with client.start_session() as session, session.start_transaction():
        database["c"].insert_one({"k": 1}, session=session)
    assert database["c"].count_documents({}) == 1


def test_a_fail_point_fails_the_command_and_is_removed(database, fail_point):
    with fail_point(["insert"], errorCode=8), pytest.raises(OperationFailure):
        database["c"].insert_one({})
    with fail_point(["insert"], times=2, closeConnection=True), pytest.raises(AutoReconnect):
        database["c"].insert_one({})
    database["c"].insert_one({})
    assert database["c"].count_documents({}) == 1


def test_data_survive_a_kill_and_a_paused_server_does_not_answer(second_server):
    server = second_server
    server.client()["d"]["c"].replace_one({"_id": 1}, {}, upsert=True)
    server.kill()
    server.start()
    assert server.client()["d"]["c"].find_one() == {"_id": 1}
    server.pause()
    with pytest.raises(ServerSelectionTimeoutError):
        server.client(serverSelectionTimeoutMS=300, connectTimeoutMS=300)["d"].command("ping")
    server.resume()
    assert server.client()["d"].command("ping")["ok"] == 1


def test_authentication_is_required_and_the_reader_only_reads(start_mongod):
    server = start_mongod(auth=True)
    server.client()["chats"]["c"].insert_one({"_id": 1})
    with pytest.raises(OperationFailure, match="requires authentication"):
        server.client(server.uri_without_user)["chats"]["c"].find_one()
    reader = server.client(server.reader_uri)
    assert reader["chats"]["c"].find_one() == {"_id": 1}
    with pytest.raises(OperationFailure, match="not authorized"):
        reader["chats"]["c"].insert_one({})


def test_tls_is_required(start_mongod):
    server = start_mongod(tls=True)
    assert server.client().admin.command("ping")["ok"] == 1
    with pytest.raises(ServerSelectionTimeoutError):
        MongoClient(f"mongodb://{server.host}/?directConnection=true", serverSelectionTimeoutMS=1000).admin.command(
            "ping"
        )
    with pytest.raises(ServerSelectionTimeoutError, match="certificate verify failed"):
        uri = f"mongodb://{server.host}/?tls=true&directConnection=true"
        MongoClient(uri, serverSelectionTimeoutMS=1000).admin.command("ping")


def test_a_standalone_server_has_no_transactions(standalone):
    client = standalone.client()
    with client.start_session() as session, pytest.raises(OperationFailure), session.start_transaction():
        client["d"]["c"].insert_one({}, session=session)


def test_any_database_is_empty(any_database):
    assert list(any_database["c"].find()) == []


def test_home_is_not_the_real_one(no_real_home):
    assert Path.home() == no_real_home
    assert os.environ["HOME"] == str(no_real_home)


def test_the_command_runs_in_its_own_home(chatstore):
    outcome = chatstore("--version")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("chatstore ")
