"""The cache: in the journal first, in memory, in the queue; in order whatever the clock does; refused without a trace."""

from __future__ import annotations

import gc
import logging
import math
import os
import random
import threading
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from chatstore_cli import ChatstoreError, LocalChatCache
from chatstore_cli.core.recording.cache import _STRIPES
from chatstore_cli.domain.errors import BadValue, NotRecorded
from chatstore_cli.files.session_names import journal_path
from tests.support.journals import START, as_line, record
from tests.support.open_files import open_files

LIMIT = 16 * 1024 * 1024


class Clock:
    """Returns the given instants, then the last one forever."""

    def __init__(self, *seconds: float) -> None:
        self.left = list(seconds)

    def __call__(self) -> datetime:
        second = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return START + timedelta(seconds=second)


@pytest.fixture
def cached(tmp_path: Path) -> Callable[..., LocalChatCache]:
    def made(**settings: Any) -> LocalChatCache:
        return LocalChatCache(**{"disk_path": tmp_path / "journals", **settings})

    return made


def lines_of(cache: LocalChatCache, session: str) -> list[dict[str, Any]]:
    assert cache.disk_path is not None
    path = journal_path(cache.disk_path, session)
    content = path.read_bytes() if path.exists() else b""
    assert content == b"" or content.endswith(b"\n")
    return [orjson.loads(line) for line in content.splitlines()]


def queued(cache: LocalChatCache) -> list[dict[str, Any]]:
    assert cache.pending is not None
    found = []
    while (batch := cache.pending.take(1_000, 1 << 30)) is not None:
        found += [entry.fields for entry in batch.entries]
    return found


# --- recording -------------------------------------------------------------------------------------------------------


def test_a_message_is_in_its_journal_in_memory_and_in_the_queue_when_the_call_returns(
    cached: Callable[..., LocalChatCache],
) -> None:
    cache = cached(clock=Clock(0))
    woken: list[int] = []
    cache.on_new_message(lambda: woken.append(1))
    message = cache.record_chat_event("s1", "user", "Hello ☕", {"channel": "web"})
    assert (message.session_id, message.role, message.content, message.metadata) == (
        "s1", "user", "Hello ☕", {"channel": "web"},
    )  # fmt: skip
    assert (message.created_at, message.sequence) == (START, 1)
    [line] = lines_of(cache, "s1")
    assert line == {
        "session_id": "s1",
        "role": "user",
        "text": "Hello ☕",
        "metadata": {"channel": "web"},
        "vector_ids": [],
        "created_at": "2026-03-02T11:41:00.195769+00:00",
        "message_id": message.message_id,
    }
    assert cache.messages("s1") == [message]
    assert queued(cache) == [line]
    assert woken == [1]


@pytest.mark.parametrize("session", [None, ""])
def test_no_session_is_the_session_default(cached: Callable[..., LocalChatCache], session: str | None) -> None:
    cache = cached()
    message = cache.record_chat_event(session, "user", "x")
    assert message.session_id == "default"
    assert cache.messages(session) == cache.messages("default") == [message]
    assert len(lines_of(cache, "default")) == 1


def test_what_an_application_does_to_a_message_it_was_given_is_not_stored(
    cached: Callable[..., LocalChatCache],
) -> None:
    cache = cached()
    message = cache.record_chat_event("s1", "user", "x", {"tags": ["a"]})
    bare = cache.record_chat_event("s1", "user", "x")
    message.metadata["tags"].append("b")
    bare.metadata["seen"] = True
    assert [fields["metadata"] for fields in queued(cache)] == [{"tags": ["a"]}, {}]
    assert cache.record_chat_event("s2", "user", "x").metadata == {}


def test_message_ids_never_repeat_not_even_of_another_cache_on_the_same_folder(
    cached: Callable[..., LocalChatCache],
) -> None:
    caches = [cached(), cached()]
    ids = {cache.record_chat_event("s1", "user", "x").message_id for _ in range(50) for cache in caches}
    assert len(ids) == 100
    assert {line["message_id"] for line in lines_of(caches[0], "s1")} == ids


def test_several_threads_record_into_one_session_each_message_once_and_numbered_as_it_stands(
    cached: Callable[..., LocalChatCache],
) -> None:
    cache = cached(max_messages_per_session=10_000)
    given: list[Any] = []

    def record_some(thread: int) -> None:
        chance = random.Random(thread)
        for number in range(250):
            given.append(cache.record_chat_event("s1", "user", f"{thread} {number} " + "é☕" * chance.randrange(200)))

    threads = [threading.Thread(target=record_some, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = lines_of(cache, "s1")
    assert len(lines) == len(given) == 2_000
    by_number = {message.sequence: message.message_id for message in given}
    assert [by_number[number] for number in range(1, 2_001)] == [line["message_id"] for line in lines]
    instants = [line["created_at"] for line in lines]
    assert instants == sorted(set(instants)), "the order of the journal is that of the instants, and none is twice"
    assert [message.message_id for message in cache.messages("s1")] == [line["message_id"] for line in lines]
    assert {fields["message_id"] for fields in queued(cache)} == {line["message_id"] for line in lines}


# --- time ------------------------------------------------------------------------------------------------------------


def test_the_order_of_recording_is_kept_while_the_clock_goes_back_or_stands_still(
    cached: Callable[..., LocalChatCache],
) -> None:
    cache = cached(clock=Clock(10, 10, 10, 3, -280, 11, 11))
    messages = [cache.record_chat_event("s1", "user", f"{number}") for number in range(7)]
    instants = [message.created_at for message in messages]
    assert instants == sorted(set(instants))
    assert instants[4] == START + timedelta(seconds=10, microseconds=4)
    assert instants[5] == START + timedelta(seconds=11)
    assert [message.content for message in cache.messages("s1")] == [str(number) for number in range(7)]


def test_the_order_is_kept_over_a_restart_with_a_clock_that_went_back(cached: Callable[..., LocalChatCache]) -> None:
    before = cached(clock=Clock(100)).record_chat_event("s1", "user", "before")
    cache = cached(clock=Clock(0))
    after = cache.record_chat_event("s1", "user", "after")
    assert before.created_at is not None
    assert after.created_at == before.created_at + timedelta(microseconds=1)


def test_the_order_is_kept_for_a_session_that_had_left_memory(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(clock=Clock(100, 100, 0), max_sessions=1)
    before = cache.record_chat_event("s1", "user", "before")
    cache.record_chat_event("s2", "user", "another")
    assert cache.messages("s1") == []
    after = cache.record_chat_event("s1", "user", "after")
    assert before.created_at is not None
    assert after.created_at == before.created_at + timedelta(microseconds=1)


YEARS_70 = 70 * 365 * 86_400


def test_a_clock_that_was_ahead_does_not_date_the_next_messages(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(clock=Clock(0, YEARS_70, YEARS_70, 2, 2, 1, 9))
    instants = [cache.record_chat_event("s1", "user", f"{number}").created_at for number in range(7)]
    seconds = [(moment - START) / timedelta(seconds=1) for moment in instants if moment is not None]
    micro = 1e-6
    assert seconds == pytest.approx([0, YEARS_70, YEARS_70 + micro, 2, 2 + micro, 2 + 2 * micro, 9], abs=micro / 10)
    assert [message.content for message in cache.messages("s1")] == ["0", "3", "4", "5", "6", "1", "2"]


def test_nor_those_of_another_process_that_finds_them_in_the_journal(cached: Callable[..., LocalChatCache]) -> None:
    cached(clock=Clock(YEARS_70)).record_chat_event("s1", "user", "from the future")
    assert cached(clock=Clock(3)).record_chat_event("s1", "user", "now").created_at == START + timedelta(seconds=3)
    loaded = cached(clock=Clock(2))
    loaded.load_journals()
    after = loaded.record_chat_event("s1", "user", "a clock that was set back by a second")
    assert after.created_at == START + timedelta(seconds=3, microseconds=1)


@pytest.mark.parametrize("ahead, believed", [(300, True), (300.001, False)])
def test_an_instant_is_believed_up_to_five_minutes_ahead(
    cached: Callable[..., LocalChatCache], ahead: float, believed: bool
) -> None:
    cache = cached(clock=Clock(ahead, 0))
    before = cache.record_chat_event("s1", "user", "before").created_at
    after = cache.record_chat_event("s1", "user", "after").created_at
    assert before is not None
    assert after == (before + timedelta(microseconds=1) if believed else START)


def test_a_given_instant_in_the_future_dates_only_its_own_message(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(clock=Clock(0))
    cache.record_chat_event("s1", "user", "given", created_at="2099-01-01T00:00:00Z")
    assert cache.record_chat_event("s1", "user", "next").created_at == START


def test_equal_instants_that_were_given_are_in_the_order_of_recording(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached()
    for number in range(5):
        cache.record_chat_event("s1", "user", f"{number}", created_at=START)
    assert [message.content for message in cache.messages("s1")] == ["0", "1", "2", "3", "4"]
    assert [message.sequence for message in cache.messages("s1")] == [1, 2, 3, 4, 5]
    assert {message.created_at for message in cache.messages("s1")} == {START}


def test_an_instant_that_was_given_orders_the_message(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(clock=Clock(10))
    cache.record_chat_event("s1", "user", "now")
    cache.record_chat_event("s1", "user", "earlier", created_at=START)
    cache.record_chat_event("s1", "user", "then")
    assert [message.content for message in cache.messages("s1")] == ["earlier", "now", "then"]
    assert [message.content for message in cache.messages("s1", limit=2)] == ["now", "then"]


@pytest.mark.parametrize(
    ("given", "instant"),
    [
        (datetime(2026, 3, 2, 11, 41), datetime(2026, 3, 2, 11, 41, tzinfo=UTC)),  # noqa: DTZ001 - a naive one is meant
        (datetime(2026, 3, 2, 11, 41, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 3, 2, 9, 41, tzinfo=UTC)),
        ("2026-03-02T11:41:00Z", datetime(2026, 3, 2, 11, 41, tzinfo=UTC)),
        ("2026-03-02T11:41:00.5-01:00", datetime(2026, 3, 2, 12, 41, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_an_instant_may_be_naive_aware_or_text(
    cached: Callable[..., LocalChatCache], given: Any, instant: datetime
) -> None:
    cache = cached()
    message = cache.record_chat_event("s1", "user", "x", created_at=given)
    assert message.created_at == instant
    assert lines_of(cache, "s1")[0]["created_at"] == instant.isoformat(timespec="microseconds")


def test_after_the_last_instant_there_is_recording_goes_on(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached()
    cache.record_chat_event("s1", "user", "0", created_at="9999-12-31T23:59:59.999999")
    for number in range(1, 4):
        cache.record_chat_event("s1", "user", f"{number}")
    assert [message.content for message in cache.messages("s1")] == ["1", "2", "3", "0"]
    assert cached().record_chat_event("s1", "user", "4").sequence == 5


# --- what is refused -------------------------------------------------------------------------------------------------

METADATA: dict[str, Any] = {}
METADATA["self"] = METADATA


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        pytest.param({"text": ""}, "text", id="empty text"),
        pytest.param({"text": None}, "text", id="no text"),
        pytest.param({"text": b"x"}, "text", id="bytes"),
        pytest.param({"text": "x\ud800y"}, "text", id="a lone surrogate"),
        pytest.param({"text": "x" * LIMIT}, "text", id="over 16 MiB"),
        pytest.param({"role": "bot"}, "role", id="another role"),
        pytest.param({"role": None}, "role", id="no role"),
        pytest.param({"session_id": 7}, "session_id", id="a session that is no text"),
        pytest.param({"session_id": "x\udfff"}, "session_id", id="a session with a lone surrogate"),
        pytest.param({"session_id": "x" * 1_001}, "session_id", id="a session's id that is too long"),
        pytest.param({"metadata": ["x"]}, "metadata", id="metadata that is no object"),
        pytest.param({"metadata": {"a": [math.nan]}}, "metadata.a[0]", id="NaN"),
        pytest.param({"metadata": {"a": 2**64}}, "metadata.a", id="a huge integer"),
        pytest.param({"metadata": {"a": START}}, "metadata.a", id="a datetime"),
        pytest.param({"metadata": {"a": {"b": b"x"}}}, "metadata.a.b", id="bytes in metadata"),
        pytest.param({"metadata": {"a": {1: 2}}}, "a key of metadata.a", id="a key that is no text"),
        pytest.param({"metadata": {"a\0": 2}}, "a key of metadata", id="a key with NUL"),
        pytest.param({"metadata": {"a": {"\ud800": 2}}}, "a key of metadata.a", id="a key with a lone surrogate"),
        pytest.param({"metadata": {"a": "\ud800"}}, "metadata.a", id="a lone surrogate in metadata"),
        pytest.param({"metadata": METADATA}, "metadata.self.self", id="metadata that contains itself"),
        pytest.param({"metadata": {"a": "x" * LIMIT}}, "metadata", id="metadata over 16 MiB"),
        pytest.param({"created_at": "yesterday"}, "created_at", id="an instant that is none"),
        pytest.param({"created_at": 1772451660}, "created_at", id="an instant in seconds"),
    ],
)
@pytest.mark.parametrize("on_disk", [True, False], ids=["journal", "no journal"])
def test_what_can_be_no_message_is_refused_with_its_place_and_leaves_no_trace(
    cached: Callable[..., LocalChatCache], arguments: dict[str, Any], name: str, on_disk: bool
) -> None:
    cache = cached() if on_disk else cached(disk_path=None)
    woken: list[int] = []
    cache.on_new_message(lambda: woken.append(1))
    with pytest.raises(BadValue) as error:
        cache.record_chat_event(**{"session_id": "s1", "role": "user", "text": "x", **arguments})
    assert str(error.value.facts["name"]).startswith(name)
    assert isinstance(error.value, ChatstoreError)
    assert len(error.value.message) < 600
    assert cache.messages("s1") == []
    assert cache.pending is not None
    assert (cache.pending.depth, woken) == (0, [])
    if cache.disk_path is not None:
        assert not list(cache.disk_path.rglob("*.jsonl"))
    assert cache.record_chat_event("s1", "user", "x").sequence == 1


@pytest.mark.parametrize(
    ("text", "metadata"),
    [
        pytest.param("x", {}, id="1 byte"),
        pytest.param("\0", {}, id="NUL"),
        pytest.param("\u202eevil\u2066", {}, id="RTL overrides"),
        pytest.param("𝄞" * 1_000, {"𝄞": "𝄞"}, id="4-byte characters"),
        pytest.param("\x01" * (15 << 20), {}, id="escaped it is six times as long"),
        pytest.param("x" * (LIMIT - 3_000), {}, id="as long as it may be"),
        pytest.param("x\r\ny\u2028z\n", {"a": "\n"}, id="line ends"),
    ],
)
def test_whatever_mongodb_takes_is_recorded(
    cached: Callable[..., LocalChatCache], text: str, metadata: dict[str, Any]
) -> None:
    cache = cached()
    message = cache.record_chat_event("s1", "user", text, metadata)
    [line] = lines_of(cache, "s1")
    assert line["text"] == text == message.content
    assert line["metadata"] == metadata


@pytest.mark.parametrize(
    "settings",
    [
        {"max_messages_per_session": 0},
        {"max_pending_messages": 0},
        {"max_pending_bytes": -1},
        {"max_sessions": 0},
        {"max_memory_bytes": 0},
        {"fsync": "sometimes"},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    cached: Callable[..., LocalChatCache], settings: dict[str, Any]
) -> None:
    with pytest.raises(BadValue, match=f"^{next(iter(settings))}: "):
        cached(**settings)


def test_a_full_queue_without_a_journal_raises_and_forgets_nothing(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(disk_path=None, max_pending_messages=3)
    for number in range(3):
        cache.record_chat_event("s1", "user", f"{number}")
    for _ in range(3):
        with pytest.raises(NotRecorded) as error:
            cache.record_chat_event("s1", "user", "one too many")
        assert error.value.hint
    assert [message.content for message in cache.messages("s1")] == ["0", "1", "2"]
    assert [fields["text"] for fields in queued(cache)] == ["0", "1", "2"]
    cache.record_chat_event("s1", "user", "3")
    assert [fields["text"] for fields in queued(cache)] == ["3"]


# --- memory ----------------------------------------------------------------------------------------------------------


def test_only_the_newest_messages_stay_in_memory_and_all_of_them_on_disk(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(max_messages_per_session=3)
    for number in range(10):
        cache.record_chat_event("s1", "user", f"{number}")
    assert [message.content for message in cache.messages("s1")] == ["7", "8", "9"]
    assert [message.content for message in cache.messages("s1", limit=2)] == ["8", "9"]
    assert cache.messages("s1", limit=0) == []
    assert len(lines_of(cache, "s1")) == 10
    assert_bytes_are_counted(cache)


def test_sessions_used_longest_ago_leave_memory_first(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(max_sessions=3)
    for session in ("a", "b", "c", "a", "d"):
        cache.record_chat_event(session, "user", "x")
    assert [len(cache.messages(session)) for session in "abcd"] == [2, 0, 1, 1]


def assert_bytes_are_counted(cache: LocalChatCache) -> None:
    sessions = cache._sessions.values()
    counted = [sum(size for _, size in recent.messages) for recent in sessions]
    assert [recent.bytes for recent in sessions] == counted
    assert cache._bytes == sum(counted)


def test_memory_is_bounded_in_bytes_and_what_leaves_it_is_counted(cached: Callable[..., LocalChatCache]) -> None:
    cache = cached(max_memory_bytes=100_000)
    chance = random.Random(3)
    for number in range(300):
        cache.record_chat_event(f"s{chance.randrange(20)}", "user", "x" * chance.randrange(20_000))
        assert cache._bytes <= 100_000
        if number % 50 == 0:
            assert_bytes_are_counted(cache)
    assert_bytes_are_counted(cache)
    large = cache.record_chat_event("s1", "user", "x" * 500_000)
    assert cache.messages("s1") == [large], "the newest one stays, however large"
    cache.record_chat_event("s2", "user", "x")
    assert cache._bytes <= 100_000


def test_bytes_are_counted_right_while_threads_push_each_others_sessions_out(
    cached: Callable[..., LocalChatCache],
) -> None:
    cache = cached(disk_path=None, max_sessions=2, max_memory_bytes=5_000, max_pending_messages=100_000)

    def record_some(thread: int) -> None:
        chance = random.Random(thread)
        for _ in range(400):
            cache.record_chat_event(f"s{chance.randrange(6)}", "user", "x" * chance.randrange(1, 2_000))

    threads = [threading.Thread(target=record_some, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache._sessions) <= 2
    assert_bytes_are_counted(cache)


def test_a_session_that_was_pushed_out_while_it_was_written_to_is_counted_once(
    cached: Callable[..., LocalChatCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cached(max_sessions=1)
    cache.record_chat_event("s1", "user", "first")
    other = next(f"o{number}" for number in range(100) if hash(f"o{number}") % _STRIPES != hash("s1") % _STRIPES)
    append = cache._journal.append

    def other_session_meanwhile(session_id: str, line: bytes) -> Any:
        monkeypatch.undo()
        cache.record_chat_event(other, "user", "x" * 1_000)
        return append(session_id, line)

    monkeypatch.setattr(cache._journal, "append", other_session_meanwhile)
    cache.record_chat_event("s1", "user", "second")
    assert [message.content for message in cache.messages("s1")] == ["first", "second"]
    assert_bytes_are_counted(cache)


def test_sessions_whose_messages_are_all_refused_do_not_fill_memory(
    cached: Callable[..., LocalChatCache], tmp_path: Path
) -> None:
    folder = tmp_path / "journals"
    cache = cached(max_sessions=5)
    folder.write_text("not a folder")
    for number in range(50):
        with pytest.raises(NotRecorded):
            cache.record_chat_event(f"s{number}", "user", "x")
    assert len(cache._sessions) <= 5


# --- a restart -------------------------------------------------------------------------------------------------------


def test_after_a_restart_the_tails_of_the_journals_are_loaded_and_nothing_is_queued(
    cached: Callable[..., LocalChatCache],
) -> None:
    before = cached(max_messages_per_session=3)
    recorded = {
        session: [before.record_chat_event(session, "user", f"{number}", {"n": number}) for number in range(5)]
        for session in ("a", "B/..", "c" * 600)
    }
    cache = cached(max_messages_per_session=3)
    assert cache.load_journals() == 9
    for session, messages in recorded.items():
        assert cache.messages(session) == messages[-3:]
    assert cache.pending is not None
    assert cache.pending.depth == 0
    assert_bytes_are_counted(cache)
    assert cache.load_journals() == 0


def test_damaged_lines_torn_tails_and_strange_files_do_not_stop_loading(
    cached: Callable[..., LocalChatCache], tmp_path: Path
) -> None:
    folder = tmp_path / "journals"
    (folder / "folder.jsonl").mkdir(parents=True)
    (folder / ".chatstore").mkdir()
    (folder / ".chatstore" / "quarantine.jsonl").write_bytes(as_line(record(0, session="no")))
    (folder / "Wrong Name.jsonl").write_bytes(as_line(record(0)))
    good = [as_line(record(number, session="a")) for number in range(4)]
    (folder / "a.jsonl").write_bytes(
        good[0] + b"\xff\n" + good[1] + b"[]\n{}\n" + good[2] + b"\n" + good[3] + b'{"session_id": "a", "te'
    )
    (folder / "empty.jsonl").touch()
    os.mkfifo(folder / "pipe.txt")
    cache = cached()
    assert cache.load_journals() == 4
    assert [message.content for message in cache.messages("a")] == [f"message {number}" for number in range(4)]


def test_loading_keeps_to_the_bounds_of_memory_and_takes_the_sessions_used_last(
    cached: Callable[..., LocalChatCache], tmp_path: Path
) -> None:
    before = cached()
    for number in range(6):
        before.record_chat_event(f"s{number}", "user", "x" * 1_000)
        os.utime(tmp_path / "journals" / f"s{number}.jsonl", (1_000 + number, 1_000 + number))
    cache = cached(max_sessions=4, max_memory_bytes=2_500)
    cache.load_journals()
    assert [len(cache.messages(f"s{number}")) for number in range(6)] == [0, 0, 0, 0, 1, 1]
    cache.record_chat_event("new", "user", "x")
    assert cache.messages("s5") != []
    assert_bytes_are_counted(cache)


def test_a_session_that_is_in_memory_already_is_left_as_it_is(cached: Callable[..., LocalChatCache]) -> None:
    cached().record_chat_event("s1", "user", "before")
    cache = cached()
    message = cache.record_chat_event("s1", "user", "after")
    assert cache.load_journals() == 0
    assert cache.messages("s1") == [message]
    assert message.sequence == 2


def test_what_is_logged_holds_no_text_of_a_message(
    cached: Callable[..., LocalChatCache], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cached().record_chat_event("s1\x1b[31m", "user", "a secret", {"key": "another secret"})
    assert "[CHAT CACHE] Recording session 's1\\x1b[31m'." in caplog.text
    assert "secret" not in caplog.text


def test_a_cache_that_nobody_holds_any_more_is_freed(cached: Callable[..., LocalChatCache]) -> None:
    """Also one that nobody closed: its files are."""
    gc.collect()
    cache = cached()
    for number in range(20):
        cache.record_chat_event(f"s{number}", "user", "x")
    gone, folder = weakref.ref(cache), cache.disk_path
    assert folder is not None
    assert open_files(folder)
    del cache
    gc.collect()
    assert gone() is None
    assert open_files(folder) == []
