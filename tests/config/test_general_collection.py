"""The layout `general` in a database that was configured before the layout existed: its default name yields."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatstore_cli.config.loading import Configuration, load_configuration


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)


def load() -> Configuration:
    return load_configuration(None, uri=None, database=None)


def write(text: str) -> None:
    Path("config.yaml").write_text(text)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("mongo.session_collection", "mongo: {session_collection: GeneralChatSessions}"),
        ("layouts.workflow.sessions", "layouts: {workflow: {sessions: GeneralChatSessions}}"),
        ("mongo.chat_collection", "mongo: {chat_collection: GeneralChatSessions}"),
        ("layouts.messages.messages", "layouts: {messages: {messages: GeneralChatSessions}}"),
        ("layouts.threads.threads", "layouts: {threads: {threads: GeneralChatSessions}}"),
        ("layouts.threads.messages", "layouts: {threads: {messages: GeneralChatSessions}}"),
        ("layouts.workflow.usage", "layouts: {workflow: {usage: GeneralChatSessions}}"),
    ],
)
def test_the_default_collection_of_general_chats_yields_to_another_setting_that_names_it(key: str, text: str) -> None:
    write(text)
    loaded = load()
    assert loaded.problems == ()
    assert loaded.settings.layouts.general.sessions is None
    assert loaded.settings.collections.count("GeneralChatSessions") == 1
    assert loaded.sources["layouts.general.sessions"] == f"off, because {key} names the same collection"


def test_the_environment_may_name_the_collection_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSTORE_MONGO__SESSION_COLLECTION", "GeneralChatSessions")
    assert load().valid().settings.layouts.general.sessions is None


def test_without_such_a_setting_general_chats_have_their_default_collection() -> None:
    loaded = load()
    assert loaded.settings.layouts.general.sessions == "GeneralChatSessions"
    assert loaded.sources["layouts.general.sessions"] == "default"


def test_null_leaves_the_layout_general_out() -> None:
    write("layouts: {general: {sessions: null}}\nmongo: {session_collection: GeneralChatSessions}")
    loaded = load()
    assert (loaded.settings.layouts.general.sessions, loaded.problems) == (None, ())
    assert loaded.sources["layouts.general.sessions"] == "config.yaml:1"


def test_two_settings_that_both_name_the_collection_of_general_chats_are_an_error() -> None:
    write("layouts: {general: {sessions: GeneralChatSessions}}\nmongo: {session_collection: GeneralChatSessions}")
    [problem] = load().problems
    assert problem.serious
    assert "both name the collection GeneralChatSessions" in problem.what
    assert problem.hint is not None
    assert problem.hint.endswith("or set layouts.general.sessions: null.")


@pytest.mark.parametrize("name", ["WorkflowSessions", "lk_transcripts", "states"])
def test_the_default_name_of_another_platform_is_no_mistake_in_another_setting(name: str) -> None:
    write(f"mongo: {{session_collection: {name}}}")
    assert load().problems == ()


def test_a_collection_of_another_platform_must_differ_if_its_name_was_set() -> None:
    write("mongo: {session_collection: mine}\nlayouts: {general: {workflow_sessions: mine}}")
    assert "both name the collection mine" in load().problems[0].what
