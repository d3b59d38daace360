"""What an address of the page says: the page of a list, the time zone, and that nothing is there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chatstore_cli.domain.api_keys import Right
from chatstore_cli.server.app import ROUTERS
from chatstore_cli.server.page import refusals, session, trail, usage, views
from tests.support.samples import store_sample
from tests.support.served_app import Served, served, settings_of

WHEN = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
SESSIONS = 170
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def server(tmp_path_factory, mongod, module_database) -> Iterator[Served]:
    """An application whose zone is that of Kolkata, over the samples and many sessions."""
    store_sample(module_database, "workflow")
    module_database["chat_sessions"].insert_many(
        {
            "chat_id": f"many-{number:03}", "enterprise_id": "many", "user_id": "ana", "created_at": WHEN,
            "last_updated_at": WHEN - timedelta(minutes=number),
            "messages": [{"role": "user", "content": f"needle {number}", "sequence": 1, "timestamp": WHEN}],
            "real_time_tracking": {"tokens": {"total_tokens": 5, "prompt_tokens": 4, "completion_tokens": 1, "total_cost": 0.5}},
        }
        for number in range(SESSIONS)
    )  # fmt: skip
    settings = settings_of(tmp_path_factory.mktemp("page"), mongod.uri, module_database.name, requests_per_minute=0)
    with served(replace(settings, chatstore=replace(settings.chatstore, timezone="Asia/Kolkata"))) as running:
        yield running


def text_of(server: Served, address: str, status: int = 200) -> str:
    answer = server.client.get(address, headers=BROWSER)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def linked(html: str, words: str) -> str | None:
    """Where the link with these words leads."""
    before, found, _ = html.partition(f">{words}</a>")
    return unescape(before.rpartition('href="')[2].partition('"')[0]) if found else None


def rows(html: str) -> list[str]:
    """What the links to sessions name, in their order."""
    return [part.partition("</a>")[0].rpartition(">")[2] for part in html.split('href="/page/session?')[1:]]


# --- pages of lists --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "name"),
    [("/page/sessions?tenant=many&layout=workflow", "sessions"), ("/page/search?text=needle&tenant=many", "messages")],
)
def test_every_page_of_a_list_leads_back_to_the_one_before(server, address, name):
    html = text_of(server, address)
    assert linked(html, f"Newer {name}") is None
    pages = [rows(html)]
    while target := linked(html, f"Older {name}"):
        html = text_of(server, target)
        pages.append(rows(html))
    assert sorted(chain.from_iterable(pages)) == [f"many-{number:03}" for number in range(SESSIONS)]
    assert len(pages) == 4
    for expected in reversed(pages[:-1]):
        html = text_of(server, linked(html, f"Newer {name}") or "")
        assert rows(html) == expected
    assert linked(html, f"Newer {name}") is None
    assert linked(html, "Newest") is None


def test_a_session_on_one_page_has_no_links_to_others(server):
    html = text_of(server, linked(text_of(server, "/page/search?text=needle&tenant=many"), "many-000") or "")
    assert "data-marked" in html
    assert [linked(html, f"{which} messages") for which in ("First", "Previous", "Next", "Last")] == [None] * 4


@pytest.mark.parametrize("sequence", [0, 1, 2, 700, None])
def test_a_hit_that_is_the_only_message_has_no_links_to_others(server, module_database, sequence):
    """A number does not prove that a message is the first: an application may begin with any, and old messages are deleted."""
    message = {"role": "user", "content": "alone", "timestamp": WHEN, "sequence": sequence}
    stored = {"chat_id": "alone", "last_updated_at": WHEN, "messages": [message]}
    module_database["chat_sessions"].replace_one({"chat_id": "alone"}, stored, upsert=True)
    html = text_of(server, linked(text_of(server, "/page/search?text=alone"), "alone") or "")
    assert "data-marked" in html
    assert "data-live" in html
    assert 'class="pages"' not in html


@pytest.mark.parametrize(("place", "before"), [(0, 0), (2, 2), (3, 3), (4, 3), (40, 3)])
def test_a_page_around_a_hit_leads_back_only_if_it_does_not_begin_with_the_first_message(
    server, module_database, place, before
):
    messages = [
        {"role": "user", "content": f"expiring {n}", "timestamp": WHEN, "sequence": n} for n in range(700, 1_860)
    ]
    stored = {"chat_id": "began-earlier", "last_updated_at": WHEN, "messages": messages}
    module_database["chat_sessions"].replace_one({"chat_id": "began-earlier"}, stored, upsert=True)
    html = text_of(server, f"/page/session?layout=workflow&id=began-earlier&at={700 + place}")
    assert html.count("<article") == 50
    assert html.partition("data-marked")[0].count("<article") == before + 1
    assert (linked(html, "Previous messages") is not None) == (place > 3)
    assert linked(html, "Next messages") is not None


def test_links_lead_only_to_messages_that_are_still_there(server, module_database):
    """The messages of a page of a bookmark, or those around it, can be deleted later."""
    sessions = module_database["chat_sessions"]
    messages = [{"role": "user", "content": f"{n}", "timestamp": WHEN, "sequence": n} for n in range(1, 61)]
    sessions.insert_one({"chat_id": "shrinks", "last_updated_at": WHEN, "messages": messages})
    following = linked(text_of(server, "/page/session?layout=workflow&id=shrinks"), "Next messages") or ""
    assert linked(text_of(server, following), "Previous messages") is not None
    sessions.update_one({"chat_id": "shrinks"}, {"$set": {"messages": messages[50:]}})
    html = text_of(server, following)
    assert html.count("<article") == 10
    assert 'class="pages"' not in html
    sessions.update_one({"chat_id": "shrinks"}, {"$set": {"messages": messages[:40]}})
    html = text_of(server, following)
    assert "has no messages" not in html
    assert html.count("<article") == 40


def test_only_what_can_be_deleted_offers_it(server, module_database):
    store_sample(module_database, "calls")
    call = module_database["lk_transcripts"].find_one()["sessionId"]
    html = text_of(server, f"/page/session?layout=calls&id={call}")
    assert "Delete" not in html
    assert linked(text_of(server, "/page/session?layout=workflow&id=many-000"), "Delete …") is not None


def test_a_trail_that_would_be_too_long_ends_and_the_newest_page_stays_a_click_away(server, monkeypatch):
    html = text_of(server, "/page/sessions?tenant=many")
    [cursor] = parse_qs(urlsplit(linked(html, "Older sessions") or "").query)["cursor"]
    monkeypatch.setattr(trail, "_LONGEST", len(cursor) + 20)  # room for one
    while target := linked(html, "Older sessions"):
        html = text_of(server, target)
    html = text_of(server, linked(html, "Newer sessions") or "")
    assert rows(html)[0] == "many-100"
    assert linked(html, "Newer sessions") is None
    assert rows(text_of(server, linked(html, "Newest") or ""))[0] == "many-000"


def test_a_trail_that_no_link_has_is_refused(server):
    assert "not valid" in text_of(server, "/page/sessions?trail=a/b", 400)
    assert "not valid" in text_of(server, f"/page/sessions?trail={'a.' * 5_000}", 400)


@pytest.mark.parametrize("broken", ["cursor=x", "trail=a/b", "cursor=x&trail=."])
@pytest.mark.parametrize("filters", ["/page/sessions?tenant=many", "/page/search?text=needle&tenant=many"])
def test_a_broken_link_to_a_page_of_a_list_keeps_the_filters(server, filters, broken):
    html = text_of(server, f"{filters}&{broken}", 400)
    assert linked(html, "Show the first page") == filters
    assert linked(html, "Show the view in the usual time zone") is None


def test_saved_agents_come_in_pages(server, monkeypatch):
    for number in range(5):
        body = {"name": f"Agent {number}", "config": {"prompt": "x" * 50}}
        assert server.client.post("/agents", json=body).status_code == 201
    monkeypatch.setattr(views, "_AGENTS", 2)
    monkeypatch.setattr(views, "_LONGEST_CONFIG", 30)
    html, seen = text_of(server, "/page/agents"), []
    while target := linked(html, "Next agents"):
        seen.append(html)
        html = text_of(server, target)
    assert sum(each.count("<h2>") for each in (*seen, html)) == 5
    assert text_of(server, linked(html, "Previous agents") or "") == seen[-1]
    assert "more characters are not shown" in html
    assert "no more saved agents" in text_of(server, "/page/agents?offset=10")


def test_usage_by_session_shows_so_many_groups_and_totals_of_all(server, monkeypatch):
    assert "rows with the most tokens" not in text_of(server, "/page/usage?by=session&tenant=many&since=2026-01-01")
    monkeypatch.setattr(usage, "_MOST_GROUPS", 20)
    html = text_of(server, "/page/usage?by=session&tenant=many&since=2026-01-01")
    assert html.count('<th scope="row">') == 20
    assert "The 20 rows with the most tokens are shown." in html
    assert f"<dd>{SESSIONS}</dd>" in html


@pytest.mark.parametrize(
    ("by", "meaning"),
    [
        ("day", "sessions without a time"),
        ("week", "sessions without a time"),
        ("month", "sessions without a time"),
        ("tenant", "sessions without a tenant"),
        ("user", "sessions without a user"),
        ("workflow", "sessions without a workflow"),
        ("agent", "usage stored without an agent"),
        ("model", "usage stored without a model"),
    ],
)
def test_usage_explains_the_row_of_what_has_no_name(server, module_database, by, meaning):
    tokens = {"total_tokens": 5, "prompt_tokens": 4, "completion_tokens": 1, "total_cost": 0.5}
    bare = {"chat_id": "bare", "messages": [], "real_time_tracking": {"tokens": tokens}}
    module_database["chat_sessions"].replace_one({"chat_id": "bare"}, bare, upsert=True)
    html = text_of(server, f"/page/usage?by={by}&since=")
    assert f'<th scope="row">(none) <small>{meaning}</small></th>' in html
    assert html.count("<small>") == 1


@pytest.mark.parametrize("by", ["session", "status"])
def test_usage_has_no_such_row_if_everything_has_a_name(server, by):
    assert "(none)" not in text_of(server, f"/page/usage?by={by}&since=")


# --- time zones ------------------------------------------------------------------------------------------------------


def test_times_and_days_are_in_the_zone_of_the_settings_and_another_can_be_chosen(server):
    """Kolkata is 5:30 ahead, so the sessions of this evening in UTC count on the next day there."""
    address = "/page/usage?by=day&tenant=many&since=2026-01-01"
    days = {zone: text_of(server, f"{address}&timezone={zone}") for zone in ("", "UTC", "america/new_york")}
    assert '<th scope="row">2026-03-02</th>' in days[""]
    assert '<th scope="row">2026-03-01</th>' in days["UTC"]
    assert "Day (America/New_York)" in days["america/new_york"]
    assert "Times: Asia/Kolkata" in days[""]
    assert "From 2026-01-01 00:00:00 +05:30" in days[""]
    html = text_of(server, "/page/session?layout=workflow&id=many-000")
    assert "2026-03-02 05:00:00 +05:30" in html
    html = text_of(server, "/page/session?layout=workflow&id=many-000&timezone=UTC")
    assert "2026-03-01 23:30:00 UTC" in html
    copied = server.client.get("/page/session/copy?layout=workflow&id=many-000&form=markdown&timezone=UTC").text
    assert "23:30:00" in copied
    assert "05:00:00" in server.client.get("/page/session/copy?layout=workflow&id=many-000&form=markdown").text


def test_every_link_and_form_carries_the_zone(server):
    for path in ("sessions?tenant=many", "search?text=needle", "usage", "agents", "storage", "session?id=many-000"):
        html = text_of(server, f"/page/{path}{'&' if '?' in path else '?'}timezone=Asia/Tokyo")
        addresses = [unescape(part.partition('"')[0]) for part in html.split('href="/page/')[1:]]
        lost = [each for each in addresses if not each.startswith("static/") and "timezone=Asia%2FTokyo" not in each]
        assert lost == [], path
        assert html.count("<form") == html.count('name="timezone" value="Asia/Tokyo"'), path


@pytest.mark.parametrize("zone", ["Berlin", "x" * 90, "../../etc/passwd", "%00", "<script>alert(1)</script>", "+02:00"])
@pytest.mark.parametrize("path", ["sessions", "session?id=many-000", "storage", "agents", "time-zone", "usage"])
def test_a_zone_that_does_not_exist_is_refused_in_words_and_left_behind(server, zone, path):
    html = text_of(server, f"/page/{path}{'&' if '?' in path else '?'}timezone={zone}", 400)
    assert "is not the name of a time zone" in html
    assert linked(html, "Back to the sessions") == "/page/sessions"
    assert linked(html, "Show the view in the usual time zone") == f"/page/{path}"
    assert "<script>alert" not in html


def test_the_choice_of_a_zone_keeps_the_view_and_its_filters(server):
    html = text_of(server, linked(text_of(server, "/page/usage?by=day&tenant=a%26b"), "Times: Asia/Kolkata") or "")
    assert 'action="/page/usage"' in html
    assert '<input type="hidden" name="tenant" value="a&amp;b">' in html
    assert "<option selected>Asia/Kolkata</option>" in html


# --- keys ---------------------------------------------------------------------------------------------------------


def navigation(html: str) -> list[str]:
    """Where the links of the navigation lead."""
    part = html.partition('<nav aria-label="Views">')[2].partition("</nav>")[0]
    return [unescape(each.partition('"')[0]) for each in part.split('href="')[1:]]


def test_the_navigation_has_the_views_that_a_key_may_open(tmp_path, mongod, server):
    database = server.services.settings.mongo.database
    of_tenants = [f"/page/{name}" for name in ("sessions", "search", "usage", "agents")]
    assert navigation(text_of(server, "/page/sessions")) == [*of_tenants, "/page/storage"]
    with served(settings_of(tmp_path, mongod.uri, database, requests_per_minute=0)) as keyed:
        kinds = [(Right.READ, ()), (Right.READ, ("many",)), (Right.WRITE, ("acme", "many")), (Right.ADMIN, ("many",))]
        for right, tenants in kinds:
            keyed.client.headers.update(keyed.key(*tenants, right=right))
            found = navigation(text_of(keyed, "/page/sessions"))
            assert found == (of_tenants if tenants else [*of_tenants, "/page/storage"])
            for each in found:
                text_of(keyed, each)
        del keyed.client.headers["x-api-key"]
        assert navigation(text_of(keyed, "/page.html", 404)) == of_tenants


# --- keys for several tenants ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/page/search?text=needle", "/page/usage?by=tenant&since=2026-01-01"])
def test_a_key_for_several_tenants_sees_one_at_a_time_and_chooses_it(tmp_path, mongod, server, address):
    """The routes refuse such a request, but a person who follows a link of the navigation must get a view."""
    database = server.services.settings.mongo.database
    with served(settings_of(tmp_path, mongod.uri, database)) as keyed:
        headers = {**BROWSER, **keyed.key("acme", "many")}
        for tenant, chosen in (("", "acme"), ("&tenant=many", "many"), ("&tenant=other", "acme")):
            answer = keyed.client.get(address + tenant, headers=headers)
            assert answer.status_code == 200
            assert f'<option value="{chosen}" selected>' in answer.text
            assert ("id=many-" in answer.text or ">85.00<" in answer.text) == (chosen == "many")
            assert 'value="other"' not in answer.text


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sesions", "/page/sesions", "/page", "/store.html", "/usage/by-day", "/%00"])
def test_a_mistyped_address_is_reported_in_words_to_a_browser_and_as_json_to_a_program(server, path):
    html = text_of(server, path, 404)
    assert "<h1>There is no such page.</h1>" in html
    assert linked(html, "Back to the sessions") == "/page/sessions"
    answer = server.client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, 404)


def test_an_error_has_no_advice_for_a_shell(server):
    html = text_of(server, "/page/session?id=missing", 404)
    assert "No session" in html
    assert "Search finds sessions" in html
    assert "run:" not in html


def test_an_invalid_period_of_an_address_is_named_and_the_view_is_a_click_away(server):
    html = text_of(server, "/page/usage?period=next_week&tenant=many", 400)
    assert "not valid: period." in html
    assert linked(html, "Usage without filters") == "/page/usage"


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/store/nothing", "/agents/x/y", "/v1/nothing", "/chat/x", "/metrics/x"]
)
def test_a_path_of_programs_has_the_error_of_its_family_in_a_browser_too(server, path):
    answer = server.client.get(path, headers=BROWSER)
    assert answer.status_code in (404, 405)
    assert answer.headers["content-type"] == "application/json"


def test_every_route_is_one_of_the_page_or_one_for_programs():
    paths = [route.path for router in ROUTERS for route in router.routes]
    assert len(paths) > 60
    first_parts = {path.strip("/").partition("/")[0] for path in paths}
    assert first_parts - refusals.PATHS_OF_PROGRAMS == {"page"}


def test_without_a_key_a_mistyped_address_tells_no_more(tmp_path):
    with served(settings_of(tmp_path)) as keyed:
        keyed.key()
        assert "There is no such page." in text_of(keyed, "/sesions", 404)
        assert keyed.client.get("/sesions").status_code == 401
        assert keyed.client.get("/metrics", headers=BROWSER).status_code == 401
        answer = keyed.client.get("/page/sesions", headers=BROWSER, follow_redirects=False)
        assert answer.headers["location"] == "/page/sign-in?next=%2Fpage%2Fsesions"


def test_while_a_view_is_drawn_the_server_answers_others(server, monkeypatch):
    begun, released = threading.Event(), threading.Event()

    def turns_of(*_: Any) -> list[Any]:
        begun.set()
        assert released.wait(60)
        return []

    monkeypatch.setattr(session, "turns_of", turns_of)
    with ThreadPoolExecutor(1) as threads:
        drawn = threads.submit(server.client.get, "/page/session?layout=workflow&id=many-000")
        try:
            assert begun.wait(60)
            assert server.client.get("/healthz").status_code == 200
            assert not drawn.done()
        finally:
            released.set()
        assert drawn.result(60).status_code == 200
