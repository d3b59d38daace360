"""The page with data that is large, odd or hostile: a hit is on the page that its link opens, and no view fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from bson import Binary, Decimal128, MaxKey, ObjectId, Regex, Timestamp
from pymongo import common

from chatstore_cli.server.page import copying
from chatstore_cli.server.routes import store_search
from tests.support.samples import store_sample
from tests.support.served_app import Served, served, settings_of

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
LAYOUTS = ("workflow", "messages", "threads", "general", "calls", "agent_sessions")
LONG = 130
"""Messages of a session with several pages."""


@pytest.fixture(scope="module")
def stored(tmp_path_factory, mongod, module_database) -> Iterator[Served]:
    """An application over the samples of every layout, and a long session in each."""
    store_sample(module_database, *LAYOUTS)
    store_long_sessions(module_database)
    settings = settings_of(tmp_path_factory.mktemp("page"), mongod.uri, module_database.name, requests_per_minute=0)
    agents = replace(settings.chatstore.agents, sessions="sessions", messages="messages")
    with served(replace(settings, chatstore=replace(settings.chatstore, agents=agents))) as server:
        yield server


def store_long_sessions(database: Any) -> None:
    """Sessions whose message number N has the word `needleN`; some have no sequence, some share one second."""
    moments = [WHEN + timedelta(seconds=number // 10) for number in range(LONG)]
    texts = [f"needle{number} and hay" for number in range(LONG)]
    role = ("user", "assistant")
    database["chat_messages"].insert_many(
        {
            "session_id": name, "role": role[number % 2], "text": texts[number],
            "created_at": moments[number] if name == "mixed" and number % 3 else moments[number].isoformat(),
            **({"sequence": number % 40 + 1} if name == "restarted" else {} if name == "bare" else {"sequence": number}),
        }
        for name in ("numbered", "restarted", "bare", "mixed")
        for number in range(LONG)
    )  # fmt: skip
    elements = [
        {"role": role[number % 2], "content": texts[number], "timestamp": moments[number], "event_id": f"e{number}"}
        | ({} if number % 7 == 3 else {"sequence": number})
        for number in range(LONG)
    ]
    elements[-1]["tool_calls"] = [{"id": "c1", "function": {"name": "find", "arguments": '{"word": "needlecall"}'}}]
    head = {"enterprise_id": "acme", "user_id": "ana", "created_at": WHEN, "status": 0, "last_sequence": LONG - 1}
    database["chat_sessions"].insert_one(
        {**head, "chat_id": "segmented", "last_updated_at": WHEN, "last_segment": 2, "moved_messages": 80}
        | {"messages": elements[80:]}
    )
    database["chat_session_segments"].insert_many(
        {"_id": f"segmented:{number + 1}", "chat_id": "segmented", "messages": elements[40 * number :][:40]}
        for number in range(2)
    )
    database["GeneralChatSessions"].insert_one(
        {"_id": "generalchat-long", "chat_id": "generalchat-long", "app_id": "acme", "user_id": "ana"}
        | {"session_type": "general", "created_at": WHEN, "last_updated_at": WHEN, "messages": elements}
    )
    database["chat_threads"].insert_one(
        {
            "_id": "thread-long",
            "name": "Long",
            "user_id": "ana",
            "org_id": "acme",
            "created_at": WHEN,
            "updated_at": WHEN,
        }
    )
    database["chat_thread_messages"].insert_many(
        {
            "_id": f"t{number}", "chat_thread_id": "thread-long", "sender_role": role[number % 2], "created_at": moments[number],
            "content": {"type": "text", "text": texts[number]}, **({"sequence": number} if number > 20 else {}),
        }
        for number in range(LONG)
    )  # fmt: skip
    items = [
        {"id": f"i{number}", "type": "message", "role": role[number % 2], "content": [texts[number]]}
        for number in range(LONG)
    ]
    database["sessions"].insert_one(
        {"session_id": "agent-long", "user_id": "ana", "agent_id": "helper", "created_at": WHEN, "updated_at": WHEN}
    )
    database["messages"].insert_many(
        {
            "session_id": "agent-long", "role": role[number % 2], "content": texts[number], "created_at": moments[number],
            **({"sequence": "odd"} if number % 10 == 9 else {"sequence": number} if number % 10 > 3 else {}),
        }
        for number in range(LONG)
    )  # fmt: skip
    sample = database["lk_transcripts"].find_one()
    database["lk_transcripts"].insert_one(
        sample | {"_id": ObjectId(), "sessionId": "call-long", "chatHistory": {"items": items}}
    )


SESSIONS = [
    ("messages", "numbered"), ("messages", "restarted"), ("messages", "bare"), ("messages", "mixed"),
    ("agent_sessions", "agent-long"), ("workflow", "segmented"), ("general", "generalchat-long"), ("threads", "thread-long"), ("calls", "call-long"),
]  # fmt: skip


def view(server: Served, path: str, **query: Any) -> str:
    """A view that was drawn."""
    answer = server.client.get(f"{path}?{urlencode(query)}", headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def links(html: str) -> list[str]:
    """The links to messages of sessions."""
    found = [unescape(part.partition('"')[0]) for part in html.split('href="')[1:]]
    return [each for each in found if each.startswith("/page/session?")]


def articles(html: str) -> list[str]:
    """The messages of a transcript."""
    return [part.partition("</article>")[0] for part in html.split("<article ")[1:]]


def linked(html: str, relation: str) -> str | None:
    """Where the link to the next or previous page leads; None without one."""
    found = [part for part in html.split("<a ") if f'rel="{relation}"' in part.partition(">")[0]]
    return unescape(found[0].partition('href="')[2].partition('"')[0]) if found else None


def numbered(messages: list[str]) -> list[int]:
    """The numbers of the long sessions' messages, in the order of the view."""
    return [int(each.partition("needle")[2].partition(" and")[0]) for each in messages]


@pytest.mark.parametrize(("layout", "session_id"), SESSIONS)
@pytest.mark.parametrize("number", [0, 1, 2, 3, 17, 66, 80, LONG - 1])
def test_a_hit_is_on_the_page_that_its_link_opens(stored, layout, session_id, number):
    found = view(stored, "/page/search", text=f"needle{number}", layout=layout)
    [target] = [each for each in links(found) if f"id={session_id}&" in each]
    html = stored.client.get(target).text
    [marked] = [each for each in articles(html) if "data-marked" in each]
    assert f"needle{number} and" in marked


def test_a_hit_in_a_tool_call_is_on_the_page_that_its_link_opens(stored):
    [target] = [each for each in links(view(stored, "/page/search", text="needlecall")) if "id=segmented" in each]
    [marked] = [each for each in articles(stored.client.get(target).text) if "data-marked" in each]
    assert "needlecall" in marked


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_hit_in_the_samples_is_marked_on_its_page(stored, layout):
    targets = []
    for word in ("the", "i", "hello", "ok"):
        targets += links(view(stored, "/page/search", text=word, layout=layout, substring="true"))[:6]
    assert targets
    for target in targets:
        assert "data-marked" in stored.client.get(target).text, target


@pytest.mark.parametrize(("layout", "session_id"), SESSIONS)
def test_the_pages_have_every_message_once(stored, layout, session_id):
    html = view(stored, "/page/session", layout=layout, id=session_id)
    assert not linked(html, "prev")
    assert html.count('rel="next"') == 2  # above and below the messages
    seen = articles(html)
    while target := linked(html, "next"):
        html = stored.client.get(target).text
        seen += articles(html)
    for number in range(LONG):
        assert sum(f"needle{number} and" in each for each in seen) == 1, number
    last = articles(view(stored, "/page/session", layout=layout, id=session_id, at="end"))
    assert f"needle{LONG - 1} and" in last[-1]
    assert len(last) == 50


@pytest.mark.parametrize(("layout", "session_id"), SESSIONS)
@pytest.mark.parametrize("begin", [{"at": "end"}, {"hit": 66}])
def test_the_pages_before_have_every_earlier_message_once_and_lead_back(stored, layout, session_id, begin):
    """From the last page, and from the page of a hit, of which the first messages are known by no cursor."""
    if "hit" in begin:
        found = view(stored, "/page/search", text=f"needle{begin['hit']}", layout=layout)
        [target] = [each for each in links(found) if f"id={session_id}&" in each]
        html = stored.client.get(target).text
    else:
        html = view(stored, "/page/session", layout=layout, id=session_id, **begin)
    seen = articles(html)
    while target := linked(html, "prev"):
        shown, html = numbered(articles(html)), stored.client.get(target).text
        earlier = articles(html)
        seen = earlier + seen
        following = numbered(articles(stored.client.get(linked(html, "next")).text))
        assert following[: len(shown)] == shown[: len(following)]
    assert len(earlier) <= 50
    assert sorted(numbered(seen)) == list(range(len(seen)))


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_a_copy_says_in_its_text_what_is_missing(stored, monkeypatch, form):
    query = urlencode({"layout": "workflow", "id": "segmented", "form": form})
    whole = stored.client.get(f"/page/session/copy?{query}").text
    assert all(f"needle{number} and" in whole for number in range(LONG))
    assert "Only the first" not in whole
    monkeypatch.setattr(copying, "_MOST_MESSAGES", 20)
    cut = stored.client.get(f"/page/session/copy?{query}").text
    assert "needle19 and" in cut
    assert "needle20 and" not in cut
    if form == "json":
        assert json.loads(cut)[-1]["note"].startswith("Only the first 20 messages")
    else:
        assert "> Only the first 20 messages" in cut


# --- odd data --------------------------------------------------------------------------------------------------------


ODD_IDS = [
    "it's \"quoted\"", "a/b/../c", "line\nbreak\r\n", "x" * 10_000, "<script>alert(1)</script>", "a?b=c&d#e", "%2e%2e",
    "ü😀", " ", "\u202e\x00\x1b[31m", "{{ 7 * 7 }}",
]  # fmt: skip


@pytest.mark.parametrize("session_id", ODD_IDS, ids=range(len(ODD_IDS)))
def test_a_session_with_an_odd_id_is_listed_and_opened(stored, module_database, session_id):
    head = {"chat_id": session_id, "enterprise_id": "odd ids", "user_id": "ana", "created_at": WHEN}
    message = {"role": "user", "content": "here it is", "sequence": 0}
    module_database["chat_sessions"].insert_one({**head, "messages": [message]})
    try:
        html = view(stored, "/page/sessions", tenant="odd ids", layout="workflow")
        assert "<script>alert" not in html
        [target] = links(html)
        opened = stored.client.get(target)
        assert opened.status_code == 200, opened.text
        assert "here it is" in opened.text
        assert "<script>alert" not in opened.text
        query = urlencode({"layout": "workflow", "id": session_id})
        assert "here it is" in stored.client.get(f"/page/session/copy?{query}&form=markdown").text
        assert stored.client.get(f"/page/session/delete?{query}").status_code == 200
    finally:
        module_database["chat_sessions"].delete_many({"enterprise_id": "odd ids"})


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


ODD_VALUES = [
    Decimal128("NaN"), Decimal128("1E400"), MaxKey(), ObjectId(), Regex("a("), Timestamp(1, 1), Binary(b"\xff\x00", 4),
    float("nan"), float("inf"), 2**62, True, None, {"$date": 1}, {"a": {"b": nested(60)}}, nested(80), [], {}, b"\x00",
]  # fmt: skip


def test_a_session_with_odd_values_is_listed_and_opened(stored, module_database):
    """Each odd value once in every field of a session and of a message."""
    fields = ("content", "sequence", "timestamp", "sender", "tool_calls", "metadata", "event_id", "role")
    heads = ("created_at", "last_updated_at", "status", "user_id", "workflow_name", "last_sequence", "title")
    for place, value in enumerate(ODD_VALUES):
        messages = [{"role": "user", "content": "sound", name: value} for name in fields]
        document = {
            "chat_id": f"odd-{place}",
            "enterprise_id": "odd values",
            "messages": [*messages, {"content": "end"}],
        }
        of_head = () if isinstance(value, list) else heads  # MongoDB indexes no two arrays
        module_database["chat_sessions"].insert_one(document | dict.fromkeys(of_head, value))
        flat = {"session_id": f"oddflat-{place}", "role": "user", "text": "sound", "created_at": WHEN.isoformat()}
        module_database["chat_messages"].insert_many([
            flat | {name: value} for name in ("text", "sequence", "created_at", "role", "metadata", "tool_calls")
        ])  # fmt: skip
    listed = links(view(stored, "/page/sessions", tenant="odd values"))
    assert len(listed) == len(ODD_VALUES)
    for place in range(len(ODD_VALUES)):
        for layout, name in (("workflow", f"odd-{place}"), ("messages", f"oddflat-{place}")):
            html = view(stored, "/page/session", layout=layout, id=name)
            assert "sound" in html
            for form in ("markdown", "json"):
                copied = stored.client.get(f"/page/session/copy?layout={layout}&id={name}&form={form}")
                assert copied.status_code == 200, (layout, name, form, copied.text)
    view(stored, "/page/search", text="sound")
    view(stored, "/page/usage")


def test_foreign_documents_are_left_out_with_a_note(stored, module_database):
    foreign = [{"_id": f"foreign-{number}", "chat_id": f"f{number}", "messages": 7} for number in range(5)]
    module_database["chat_sessions"].insert_many(foreign)
    module_database["chat_messages"].insert_many([{"x": number, "session_id": None} for number in range(5)])
    html = view(stored, "/page/sessions")
    assert 'id=f1"' not in html
    view(stored, "/page/search", text="needle5")


def test_a_message_of_a_megabyte_is_drawn_cut_with_a_way_to_the_whole_text(stored, module_database):
    text = "word " * 200_000 + "the-very-end"
    head = {"chat_id": "big", "enterprise_id": "acme", "user_id": "ana", "created_at": WHEN}
    module_database["chat_sessions"].insert_one(
        {**head, "messages": [{"role": "user", "content": text, "sequence": 0}]}
    )
    html = view(stored, "/page/session", layout="workflow", id="big")
    assert len(html) < 200_000
    assert "980,012 more characters are not shown." in html
    [target] = [part.partition('"')[0] for part in html.split('href="') if part.startswith("/page/session/message?")]
    assert stored.client.get(unescape(target)).text == text
    copied = stored.client.get("/page/session/copy?layout=workflow&id=big&form=markdown").text
    assert "the-very-end" in copied


def test_a_message_with_a_thousand_tool_calls_is_drawn(stored, module_database):
    calls = [
        {"id": f"c{number}", "type": "function", "function": {"name": f"tool{number}", "arguments": '{"a": 1}'}}
        for number in range(1_000)
    ]
    head = {"chat_id": "calls", "enterprise_id": "acme", "user_id": "ana", "created_at": WHEN}
    message = {"role": "assistant", "content": "", "sequence": 0, "tool_calls": calls}
    module_database["chat_sessions"].insert_one({**head, "messages": [message] * 3})
    html = view(stored, "/page/session", layout="workflow", id="calls")
    assert html.count("<details>") == 2_000
    assert "more characters are not shown" in html


# --- a search that takes long -----------------------------------------------------------------------------------------


def test_a_search_that_takes_long_ends_its_page_and_continues_on_the_next(stored, monkeypatch):
    query = {"text": "needle3", "limit": 200}
    whole = stored.client.get("/store/search", params=query).json()
    assert whole["items"]
    assert whole["next_cursor"] is None
    monkeypatch.setattr(store_search, "over_after", lambda seconds: lambda: True)
    pages = []
    cursor = None
    while cursor is not None or not pages:
        pages.append(stored.client.get("/store/search", params=query | ({"cursor": cursor} if cursor else {})).json())
        cursor = pages[-1]["next_cursor"]
        assert any("searched back to" in note for note in pages[-1]["notes"]) is (cursor is not None)
    assert len(pages) > 1
    assert [hit for page in pages for hit in page["items"]] == whole["items"]


def test_the_view_of_a_search_that_takes_long_says_that_it_has_not_ended(stored, monkeypatch):
    monkeypatch.setattr(store_search, "over_after", lambda seconds: lambda: True)
    html = view(stored, "/page/search", text="nothinghasthis", layout="general")
    assert "No message with these words was found yet." in html
    assert "Messages were searched back to" in html
    for _ in range(100):
        older = next((each for each in re.findall(r'href="([^"]*)" rel="next"', html)), None)
        if older is None:
            break
        html = stored.client.get(unescape(older), headers={"accept": "text/html"}).text
    assert "No message has these words." in html


# --- the database is away --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["sessions", "search?text=x", "usage", "agents", "session?id=x", "session/delete?id=x&layout=workflow"]
)
def test_without_the_database_a_view_says_so_and_the_others_go_on(tmp_path_factory, path, away):
    answer = away.client.get(f"/page/{path}", headers={"accept": "text/html"})
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>" in answer.text
    assert "mongohost" not in answer.text
    assert away.client.get("/page/storage", headers={"accept": "text/html"}).status_code == 200
    assert away.client.post("/api/chat", json={"session_id": "s", "message": "hello"}).status_code == 200


@pytest.fixture(scope="module")
def away(tmp_path_factory) -> Iterator[Served]:
    """An application whose database does not answer."""
    uri = "mongodb://mongohost.invalid:27999/?serverSelectionTimeoutMS=20"
    settings = settings_of(tmp_path_factory.mktemp("away"), uri, timeout=0.02, read_seconds=0.3, requests_per_minute=0)
    with served(settings) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "MIN_HEARTBEAT_INTERVAL", 0.01)  # otherwise it takes half a second to give up
        yield server
        server.services.worker.stop(0)


def test_while_the_database_hangs_a_view_says_so_within_the_deadline(stored, monkeypatch):
    """The driver waits; the thread that it holds is not that of the other views, and not that of the recording."""
    import threading

    stored.wait_until_prepared()  # the preparation reads the layouts too
    released = threading.Event()
    monkeypatch.setattr(stored.services.reading, "_seconds", 0.2)
    monkeypatch.setattr(type(stored.services.stores), "session_readers", lambda *_, **__: released.wait(30) and [])
    try:
        answer = stored.client.get("/page/sessions", headers={"accept": "text/html"})
        assert answer.status_code == 503, answer.text
        assert "<h1>" in answer.text
        assert '<a href="/page/sessions">Try again</a>' in answer.text
        assert stored.client.get("/page/storage", headers={"accept": "text/html"}).status_code == 200
        assert stored.client.post("/api/chat", json={"session_id": "s", "message": "hi"}).status_code == 200
    finally:
        released.set()
