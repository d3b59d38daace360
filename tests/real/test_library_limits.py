"""What an application may ask of the library beside recording: time limits, settings read back, errors it can name."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chatstore_cli
from chatstore_cli import BadValue, ChatPersistenceWorker, LocalChatCache, MongoChatStorage, NotRecorded, Unreachable
from chatstore_cli.domain import errors
from tests.support.mongod import Mongod, poll

pytestmark = pytest.mark.real


def test_health_and_history_of_a_hanging_server_answer_in_the_time_they_are_given(
    start_mongod: Callable[..., Mongod], tmp_path: Path
) -> None:
    server = start_mongod()
    storage = MongoChatStorage(server.uri, "chats")
    cache = LocalChatCache(disk_path=tmp_path, for_worker=False)
    cache.record_chat_event("s", "user", "hello")
    assert storage.health().status == "ok"
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        # It may take the kernel a moment to stop all of its threads.
        poll(lambda: storage.health(timeout=0.2).status == "error", what="a server that answers no more")
        began = time.monotonic()
        with storage.within(0.2):
            history = cache.history("s", storage)
        assert [shown.message.content for shown in history.messages] == ["hello"]
        assert isinstance(history.failure, Unreachable)
        with pytest.raises(Unreachable), storage.within(0.2):
            storage.history("s")
        assert time.monotonic() - began < 25, "without a limit each takes 30 s"
    finally:
        server.process.send_signal(signal.SIGCONT)
        storage.close()


def test_a_worker_takes_its_size_and_interval_from_the_storage_that_it_writes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(
        "mongo: {uri: 'mongomock://', worker: {batch_size: 7, interval_seconds: 0.25}, cache: {disk_path: chats}}\n"
    )
    cache, storage = LocalChatCache.from_config(), MongoChatStorage.from_config()
    assert (cache.disk_path, cache.max_messages_per_session, cache.fsync) == (tmp_path / "chats", 75, "never")
    worker = ChatPersistenceWorker(cache, storage)
    assert (worker._batch_size, worker._interval) == (7, 0.25)
    given = ChatPersistenceWorker(LocalChatCache(disk_path=None), storage, batch_size=3, interval=0)
    assert (given._batch_size, given._interval) == (3, 0)


@pytest.mark.parametrize("wrong", [{"disk_path": ""}, {"disk_path": 5}, {"max_sessions": "a"}, {"max_sessions": True}])
def test_a_wrong_setting_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(BadValue, match=next(iter(wrong))):
        LocalChatCache(**wrong)


def test_what_is_too_large_is_named_and_an_error_is_one_line(tmp_path: Path) -> None:
    cache = LocalChatCache(disk_path=tmp_path, for_worker=False)
    with pytest.raises(BadValue, match=r"^metadata: .*16 MiB"):
        cache.record_chat_event("s", "user", "hi", {"blob": "x" * 17_000_000})
    with pytest.raises(BadValue, match=r"^text: .*16 MiB"):
        cache.record_chat_event("s", "user", "x" * 17_000_000)
    with pytest.raises(BadValue) as caught:
        cache.record_chat_event("s", "user", "hi", {"a\nb\x1b[31m": {"c": float("nan")}})
    assert caught.value.message.isprintable()
    (tmp_path / "file").touch()
    with pytest.raises(NotRecorded, match="file"):
        LocalChatCache(disk_path=tmp_path / "file", for_worker=False).record_chat_event("s", "user", "hi")
    assert list(tmp_path.glob("*.jsonl")) == []


@pytest.mark.parametrize("limit", [0, -1, True, 2.0, "5", None, 2**40])
def test_a_history_with_an_invalid_limit_is_rejected_with_and_without_messages(
    mongo_uri: str, tmp_path: Path, limit: Any
) -> None:
    cache = LocalChatCache(disk_path=tmp_path, for_worker=False)
    cache.record_chat_event("s", "user", "hello")
    for session in ("s", "elsewhere"):
        for ask in (cache.history, MongoChatStorage(mongo_uri, "chats").history):
            with pytest.raises(BadValue, match="limit"):
                ask(session, limit=limit)


def test_every_public_name_can_be_imported_and_the_command_line_imports_none_of_them() -> None:
    for name in chatstore_cli.__all__:
        assert getattr(chatstore_cli, name).__name__ == name
        assert name in dir(chatstore_cli)
    of_errors = [
        each.__name__ for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)
    ]
    assert set(of_errors) - set(chatstore_cli.__all__) == set()
    with pytest.raises(AttributeError, match="nonsense"):
        _ = chatstore_cli.nonsense
