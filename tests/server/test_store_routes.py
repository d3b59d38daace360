"""The routes of stored sessions answer what the commands print with -o json, on the same data, for every layout."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from urllib.parse import quote

import pytest

from chatstore_cli.core.sessions import totals
from chatstore_cli.domain.api_keys import Right
from tests.support.samples import store_sample
from tests.support.served_app import Served, served, settings_of

LAYOUTS = ("workflow", "messages", "threads", "general", "calls", "agent_sessions")
AGENT_SESSIONS = {"CHATSTORE_AGENTS__SESSIONS": "sessions", "CHATSTORE_AGENTS__MESSAGES": "messages"}
NOT_IN_THE_COMMAND = {"notes"}
"""Keys of the answers for what a command prints on stderr."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory, mongod, module_database, module_chatstore) -> Iterator[Served]:
    """An application over the samples of every layout, of which some sessions have labels."""
    store_sample(module_database, *LAYOUTS)
    for layout in ("workflow", "threads"):
        listed = module_chatstore("sessions", "list", "--layout", layout, "-o", "json", "--limit", "1")
        session_id = json.loads(listed.out)["items"][0]["session_id"]
        done = module_chatstore("sessions", "tag", session_id, "vip", "--layout", layout)
        assert done.code == 0, done.err
    with application_of(tmp_path_factory.mktemp("stored"), mongod, module_database) as server:
        yield server


def application_of(folder, mongod, database) -> AbstractContextManager[Served]:
    """An application that has the state and the journals of this folder."""
    settings = settings_of(folder, mongod.uri, database.name)
    agents = replace(settings.chatstore.agents, sessions="sessions", messages="messages")
    return served(replace(settings, chatstore=replace(settings.chatstore, agents=agents)))


def printed(chatstore, words: str):
    """What a command prints as JSON, without the name of the server."""
    done = chatstore(*shlex.split(words), "-o", "json", env=AGENT_SESSIONS)
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    answer.pop("target", None)
    return answer


def answered(server: Served, path: str, **headers):
    """What a route answers, without the keys that no command has."""
    answer = server.client.get(path, **headers)
    assert answer.status_code == 200, answer.text
    return {key: value for key, value in answer.json().items() if key not in NOT_IN_THE_COMMAND}


LISTS = [
    ("", ""),
    *((f"layout={each}", f"--layout {each}") for each in LAYOUTS),
    ("limit=3", "--limit 3"),
    ("status=running&since=2020-01-01", "--status running --since 2020-01-01"),
    ("until=2026-02-01&timezone=Europe/Berlin", "--until 2026-02-01 --timezone Europe/Berlin"),
    ("paused=true", "--paused"),
    ("tag=vip", "--tag vip"),
    ("title=a", "--title a"),
    ("sort=messages&limit=5", "--sort messages --limit 5"),
    ("sort=title:desc&limit=5", "--sort title:desc --limit 5"),
    ("min_messages=2&min_tokens=1&min_cost=0.0001", "--min-messages 2 --min-tokens 1 --min-cost 0.0001"),
]


@pytest.mark.parametrize(("query", "options"), LISTS)
def test_a_list_is_what_the_command_prints(stored, module_chatstore, query, options):
    expected = printed(module_chatstore, f"sessions list {options}")
    assert answered(stored, f"/store/sessions?{query}") == expected
    if not query or "layout" in query or "limit=3" in query:
        assert expected["items"]


def test_a_list_continues_at_the_cursor_of_either(stored, module_chatstore):
    first = answered(stored, "/store/sessions?limit=4")
    expected = printed(module_chatstore, f"sessions list --limit 4 --cursor {first['next_cursor']}")
    assert answered(stored, f"/store/sessions?limit=4&cursor={first['next_cursor']}") == expected
    assert [each for each in expected["items"] if each in first["items"]] == []


def test_a_list_can_count(stored, monkeypatch):
    monkeypatch.setattr(totals, "_SECONDS", 60.0)  # the count is exact on a slow machine too
    every = stored.client.get("/store/sessions?limit=1000&count=true").json()
    assert (every["total"], every["total_is_exact"]) == (len(every["items"]) + every["unaddressable_sessions"], True)
    some = stored.client.get("/store/sessions?limit=2&count=true").json()
    assert some["total"] == every["total"]
    assert stored.client.get("/store/sessions?tag=vip&count=true").json()["total"] is None
    assert stored.client.get("/store/sessions?sort=cost&limit=2&count=true").json()["total"] == len(every["items"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_session_and_its_messages_are_what_the_command_shows(stored, module_chatstore, layout):
    sessions = answered(stored, f"/store/sessions?layout={layout}&limit=100")["items"]
    assert sessions
    for session in sessions[:2]:
        path = f"/store/sessions/{quote(session['session_id'], safe='')}"
        named = f"{shlex.quote(session['session_id'])} --layout {layout}"
        assert answered(stored, f"{path}?layout={layout}&first=2&last=1") == printed(
            module_chatstore, f"sessions show {named} --first 2 --last 1"
        )
    for session in sessions:
        path = f"/store/sessions/{quote(session['session_id'], safe='')}/messages?layout={layout}"
        whole = answered(stored, f"{path}&limit=1000")
        assert whole["next_cursor"] is None
        for size in (1, 3) if session in sessions[:2] else (3,):
            assert paged(stored, f"{path}&limit={size}") == whole["items"]
        assert answered(stored, f"{path}&last=2")["items"] == whole["items"][-2:]
        if whole["items"] and session in sessions[:2]:
            shown = printed(
                module_chatstore, f"sessions show {shlex.quote(session['session_id'])} --layout {layout} --full"
            )
            assert [each["content"] for each in shown["items"]] == [each["content"] for each in whole["items"]]
            assert answered(stored, f"{path}&last=0")["items"] == []


def paged(server: Served, path: str) -> list:
    """The items of all pages."""
    items, cursor = [], ""
    while cursor is not None:
        page = answered(server, f"{path}&cursor={cursor}" if cursor else path)
        items += page["items"]
        cursor = page["next_cursor"]
    return items


SEARCHES = [
    ("text=the", "the"),
    ("text=order&layout=workflow&role=user", "order --layout workflow --role user"),
    ("text=e&substring=true&limit=3", "e --substring --limit 3"),
    ("text=E&substring=true&case=true", "E --substring --case"),
    ("text=e&substring=true&tag=vip", "e --substring --tag vip"),
]


@pytest.mark.parametrize(("query", "options"), SEARCHES)
def test_a_search_finds_what_the_command_finds(stored, module_chatstore, query, options):
    expected = printed(module_chatstore, f"search {options}")
    assert answered(stored, f"/store/search?{query}") == expected
    if "limit=3" in query:
        assert len(expected["items"]) == 3
        rest = printed(module_chatstore, f"search {options} --cursor {expected['next_cursor']}")
        assert answered(stored, f"/store/search?{query}&cursor={expected['next_cursor']}") == rest


USAGES = [
    ("", ""),
    ("by=day,model&timezone=Europe/Berlin", "--by day,model --timezone Europe/Berlin"),
    ("by=user&sort=cost&top=2&round=2", "--by user --sort cost --top 2 --round 2"),
    ("month=2026-02&cost=calculate", "--month 2026-02 --cost calculate"),
    ("this_month=true&layout=workflow&status=running", "--this-month --layout workflow --status running"),
    ("since=2020-01-01&until=2026-12-31&cost=auto", "--since 2020-01-01 --until 2026-12-31 --cost auto"),
    ("tag=vip&by=session", "--tag vip --by session"),
]


@pytest.mark.parametrize(("query", "options"), USAGES)
def test_a_usage_report_is_what_the_command_prints(stored, module_chatstore, query, options):
    expected = printed(module_chatstore, f"usage {options}")
    assert answered(stored, f"/store/usage?{query}") == expected


ERRORS = [
    ("/store/sessions?layout=nothing", 404, "not_found", "layout"),
    ("/store/sessions/unknown", 404, "not_found", "unknown"),
    ("/store/sessions/unknown/messages", 404, "not_found", "unknown"),
    ("/store/sessions/", 404, "not_found", "session"),
    ("/store/sessions?limit=0", 422, "invalid", "limit"),
    ("/store/sessions?limit=abc", 422, "invalid", "limit"),
    ("/store/sessions?since=someday", 400, "bad_value", "since"),
    ("/store/sessions?since=2026-02-02&until=2026-02-01", 400, "wrong_use", "since"),
    ("/store/sessions?timezone=Mars", 400, "bad_value", "timezone"),
    ("/store/sessions?cursor=abc", 400, "bad_value", "cursor"),
    ("/store/sessions?sort=mood", 400, "bad_value", "sort"),
    ("/store/sessions?sort=cost&cursor=abc", 400, "wrong_use", "cursor cannot be combined with sort"),
    ("/store/sessions?tag=%20", 400, "bad_value", "tag"),
    ("/store/search", 422, "invalid", "text"),
    ("/store/search?text=,", 400, "wrong_use", ","),
    ("/store/search?text=a&session=unknown", 404, "not_found", "unknown"),
    ("/store/usage?by=mood", 400, "bad_value", "by"),
    ("/store/usage?month=2026-13", 400, "bad_value", "month"),
    ("/store/usage?month=2026-01&last_month=true", 400, "wrong_use", "month"),
]


@pytest.mark.parametrize(("path", "status", "kind", "word"), ERRORS)
def test_a_wrong_value_has_a_clear_error(stored, path, status, kind, word):
    answer = stored.client.get(path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["kind"]) == (status, status, kind)
    assert word in error["message"]
    assert "--" not in f"{error['message']} {error['hint']}".replace("chatstore ", "") or "chatstore " in str(error)


def test_the_parameters_of_messages_exclude_each_other(stored):
    answer = stored.client.get("/store/sessions/x/messages?last=1&after_sequence=3")
    assert answer.json()["error"]["message"] == "after_sequence and last cannot be combined."


@pytest.fixture
def with_keys(stored, tmp_path, mongod, module_database) -> Iterator[Served]:
    """Another application over the same samples, so that the first one has no keys, in whatever order tests run."""
    with application_of(tmp_path, mongod, module_database) as server:
        yield server


def test_a_key_of_a_tenant_sees_its_sessions_and_nothing_of_others(stored, with_keys):
    every = answered(stored, "/store/sessions?limit=1000")["items"]
    tenants = sorted({each["tenant_id"] for each in every if each["tenant_id"]})
    assert len(tenants) > 1
    key = with_keys.key(tenants[0], right=Right.READ)
    mine = with_keys.client.get("/store/sessions?limit=1000", headers=key).json()
    assert mine["items"] == [each for each in every if each["tenant_id"] == tenants[0]]
    assert (mine["foreign_documents"], mine["unaddressable_sessions"]) == ([], 0)
    both = with_keys.key(*tenants[:2], right=Right.READ)
    merged = [each for each in every if each["tenant_id"] in tenants[:2]]
    collected, cursor = [], ""
    while cursor is not None:
        page = answered(with_keys, f"/store/sessions?limit=2{cursor and f'&cursor={cursor}'}", headers=both)
        collected += page["items"]
        cursor = page["next_cursor"]
    assert collected == merged
    by_messages = answered(with_keys, "/store/sessions?limit=3&sort=messages", headers=both)["items"]
    assert len(by_messages) == 3
    assert by_messages == sorted(by_messages, key=lambda each: -each["message_count"])
    for path in (
        "/store/sessions?{}", "/store/search?text=e&substring=true&{}", "/store/usage?by=session&{}",
    ):  # fmt: skip
        unknown, foreign = (
            with_keys.client.get(path.format(f"tenant={name}"), headers=key) for name in ("nobody", tenants[1])
        )
        assert (unknown.status_code, unknown.json()) == (200, foreign.json())
        assert unknown.json()["items"] == []
    for path in ("/store/search?text=e", "/store/usage"):
        assert with_keys.client.get(path, headers=both).status_code == 400
