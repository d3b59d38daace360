"""The demo's configuration and steps, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from chatstore_cli.config.settings import GeneralCollections, LayoutSettings, MongoSettings, Settings
from chatstore_cli.core.demo.setup import STEPS, DemoSetup, check_results, result_row, run_steps
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.files.demo_folder import MarkedFolder
from chatstore_cli.wiring.demo import demo_setup
from chatstore_cli.wiring.stores import Stores


class _NoStore:
    """A SampleStore that must not be used."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


def _setup(folder: Path, uri: str = "embedded", data_dir: str | None = None) -> DemoSetup:
    return DemoSetup(
        store=_NoStore(),
        usage=_NoStore(),
        conversations=_NoStore(),
        general=_NoStore(),
        agents=_NoStore(),
        folder=MarkedFolder(folder),
        uri=uri,
        database="chatstore_demo",
        sessions_collection="chat_sessions",
        messages_collection="chat_messages",
        usage_collection="usage_events",
        daily_sums_collection="usage_daily",
        threads_collection="chat_threads",
        thread_messages_collection="chat_thread_messages",
        general_collections={"sessions": "GeneralChatSessions", "registry": "chat_session_registry"},
        data_dir=data_dir,
    )


def test_the_configuration_names_journals_and_database(tmp_path: Path) -> None:
    settings = yaml.safe_load(_setup(tmp_path, data_dir="/srv/mongodb").configuration())
    assert settings["mongo"] == {
        "uri": "embedded",  # otherwise MONGO_URI of the user's environment would count
        "database": "chatstore_demo",
        "cache": {"disk_path": str(tmp_path / "journals")},
        "embedded": {"data_dir": "/srv/mongodb"},
    }
    assert settings["state"] == {"folder": str(tmp_path / "state")}
    assert settings["layouts"] == {
        "workflow": {"sessions": "chat_sessions", "usage": "usage_events", "usage_rollups": "usage_daily"},
        "messages": {"messages": "chat_messages"},
        "threads": {"threads": "chat_threads", "messages": "chat_thread_messages"},
        "general": {"sessions": "GeneralChatSessions", "registry": "chat_session_registry"},
    }


def test_general_chats_have_a_collection_if_another_layout_has_their_usual_one(tmp_path: Path) -> None:
    general = GeneralCollections(sessions=None)
    settings = Settings(mongo=MongoSettings(uri="mongomock://"), layouts=LayoutSettings(general=general))
    setup = demo_setup(Stores(settings, say=print), tmp_path, print)
    assert yaml.safe_load(setup.configuration())["layouts"]["general"]["sessions"] == "demo_general_chats"
    assert setup.general.chats.create_general_chat_session(app_id="acme", user_id="ana")["sequence"] == 1


def test_the_configuration_has_no_uri_and_no_password(tmp_path: Path) -> None:
    text = _setup(tmp_path, uri="mongodb://ana:secret@db.example").configuration()
    assert "secret" not in text
    assert "uri" not in text


def test_a_path_that_looks_like_a_variable_stays_a_path(tmp_path: Path) -> None:
    assert json.dumps(str(tmp_path / "$${HOME}" / "journals")) in _setup(tmp_path / "${HOME}").configuration()


def test_no_setting_of_the_environment_reaches_the_commands(tmp_path: Path) -> None:
    outer = {"PATH": "/bin", "CHATSTORE_URI": "mongodb://production", "CHATSTORE_MONGO__TTL_DAYS": "1", "CHATSTORE_MONGOD": "/m"}  # fmt: skip
    assert _setup(tmp_path).environment(outer) == {
        "PATH": "/bin",
        "CHATSTORE_MONGOD": "/m",
        "CHATSTORE_CONFIG": str(tmp_path / "config.yaml"),
        "CHATSTORE_URI": "embedded",
        "CHATSTORE_DATABASE": "chatstore_demo",
        "CHATSTORE_MONGO__CACHE__DISK_PATH": str(tmp_path / "journals"),
        "CHATSTORE_STATE__FOLDER": str(tmp_path / "state"),
        "CHATSTORE_THREADS__BACKEND": "mongodb",
    }


def test_only_needed_variables_are_exported(tmp_path: Path) -> None:
    assert _setup(tmp_path).exports({}, uri_named=False) == [f"export CHATSTORE_CONFIG={tmp_path}/config.yaml"]
    outer = {"CHATSTORE_PROFILE": "production"}
    assert _setup(tmp_path).exports(outer, uri_named=False)[-1] == "unset CHATSTORE_PROFILE"


def test_folders_of_the_users_environment_are_replaced_and_restored_after_the_removal(tmp_path: Path) -> None:
    """Otherwise the keys of the demo would be those of the user's server, or later the other way around."""
    setup, outer = _setup(tmp_path), {"CHATSTORE_STATE__FOLDER": "/srv/my state"}
    assert f"export CHATSTORE_STATE__FOLDER={tmp_path}/state" in setup.exports(outer, uri_named=False)
    restoring = "export CHATSTORE_STATE__FOLDER='/srv/my state'"
    assert restoring in setup.removal(outer, options=(), config=None)
    of_demo = {"CHATSTORE_STATE__FOLDER": f"{tmp_path}/state"}
    for other in ({}, of_demo):
        assert not any("STATE" in line for line in setup.removal(other, options=(), config=None))


def test_exported_variables_have_no_password(tmp_path: Path) -> None:
    exports = _setup(tmp_path, uri="mongodb://ana:secret@db.example").exports({}, uri_named=True)
    assert exports[1] == "export CHATSTORE_URI='mongodb://***@db.example'"


def test_the_demo_stops_at_the_first_unexpected_exit_status() -> None:
    results = list(run_steps(lambda step: 6 if step is STEPS[2] else 0, with_server=False))
    assert [result.exit_code for result in results] == [0, 0, 6]
    assert result_row(results[-1])["expected"] == 0
    with pytest.raises(ChatstoreError, match="exited with status 6, not 0"):
        check_results(results)


def test_running_all_steps_is_a_success() -> None:
    results = list(run_steps(lambda step: 0, with_server=True))
    assert results[-1].step.arguments == ("verify", "--spawn")
    assert len(results) == len(STEPS) + 1
    check_results(results)
