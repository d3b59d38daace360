"""The forms of the views: a wrong value is reported at its field and nothing else is lost, and filters are folded on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from chatstore_cli.server.page.forms import Form
from tests.support.browsers import MILLISECONDS
from tests.support.samples import store_sample
from tests.support.served_app import Served, served, settings_of


@pytest.fixture(scope="module")
def server(tmp_path_factory, mongod, module_database) -> Iterator[Served]:
    """An application over the samples, with one session whose fields are empty."""
    store_sample(module_database, "workflow")
    module_database["chat_sessions"].insert_one(
        {"chat_id": "bare", "messages": [], "real_time_tracking": {"tokens": {}}}
    )
    with served(settings_of(tmp_path_factory.mktemp("forms"), mongod.uri, module_database.name)) as running:
        yield running


class Fields(HTMLParser):
    """The fields of a view's forms with their attributes and values, its errors by id, and whether filters are unfolded."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.values: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.is_open = False
        self.title = ""
        self._open, self._select = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name = found.get("name") or ""
        self._open = found["id"] or "" if found.get("class") == "error" else tag
        if tag in ("input", "select") and found.get("type") != "hidden":
            self.attributes[name] = found
            self.values[name] = found.get("value") or ""
            self._select = name
        elif tag == "option" and "selected" in found:
            self.values[self._select] = found.get("value") or ""
        elif tag == "details" and found.get("class") == "fold":
            self.is_open = "open" in found

    def handle_data(self, data: str) -> None:
        if self._open.startswith("error-"):
            self.errors[self._open] = self.errors.get(self._open, "") + data
        elif self._open == "title":
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def form_of(server: Served, address: str, status: int) -> Fields:
    answer = server.client.get(address, headers={"accept": "text/html"})
    assert answer.status_code == status, answer.text
    return Fields(answer.text)


def with_value(address: str, field: str, value: str) -> str:
    """The address with this value of one field."""
    path, _, query = address.partition("?")
    return f"{path}?{urlencode({**dict(parse_qsl(query)), field: value})}"


SESSIONS = "/page/sessions?tenant=acme&user=ana&workflow=trip&status=failed&title=tea&until=1d"
SEARCH = "/page/search?text=refund&tenant=acme&user=ana&role=user&until=1d"
USAGE = "/page/usage?by=model&tenant=acme&user=ana&workflow=trip&until=1d"
LONG = "x" * 1_001


@pytest.mark.parametrize(
    ("address", "field", "value", "words"),
    [
        *((view, "since", "yesterdy", "'yesterdy' is not a time: 7d, 24h") for view in (SESSIONS, SEARCH, USAGE)),
        *((view, "until", "soon", "'soon' is not a time") for view in (SESSIONS, SEARCH, USAGE)),
        *((view, "since", "1h", "is not earlier than until 1d") for view in (SESSIONS, SEARCH, USAGE)),
        *((view, "tenant", LONG, "This has 1,001 characters. Use at most 1,000.") for view in (SESSIONS, SEARCH, USAGE)),
        *((view, "layout", "workflows", "No layout 'workflows'. Did you mean") for view in (SESSIONS, SEARCH)),
        *((view, "tag", "a\x01", "is not a tag: 1 to 64 characters") for view in (SESSIONS, USAGE)),
        (SESSIONS, "status", "done", "'done' is not one of: running, completed, failed"),
        (SESSIONS, "title", LONG, "Use at most 1,000."),
        (SEARCH, "text", "!!", "The text '!!' has no words to search for."),
        (SEARCH, "text", LONG, "Use at most 1,000."),
        (USAGE, "by", "colour", "'colour' is not one of: day, week, month"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported_at_its_field_and_the_form_stays_filled(server, address, field, value, words):
    wrong = with_value(address, field, value)
    shown = form_of(server, wrong, 400)
    assert list(shown.errors) == [f"error-{field}"]
    assert words in shown.errors[f"error-{field}"]
    assert shown.attributes[field]["aria-describedby"] == f"error-{field}"
    assert shown.attributes[field]["aria-invalid"] == "true"
    assert [name for name, each in shown.attributes.items() if "autofocus" in each] == [field]
    given = dict(parse_qsl(urlsplit(wrong).query))
    assert {name: shown.values[name] for name in given} == given
    assert shown.is_open
    assert shown.title.startswith("Error: ")


def test_all_wrong_values_are_reported_at_once_and_the_first_has_the_focus(server):
    shown = form_of(server, "/page/sessions?tag=%01&since=x&until=y&status=z", 400)
    assert set(shown.errors) == {"error-tag", "error-since", "error-until", "error-status"}
    assert [name for name, each in shown.attributes.items() if "autofocus" in each] == ["status"]


def test_an_error_is_text_and_an_error_of_no_field_is_not_one_of_the_form(server):
    html = server.client.get("/page/sessions?since=<script>alert(1)</script>").text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    shown = server.client.get("/page/sessions?tenant=acme&cursor=x", headers={"accept": "text/html"})
    assert shown.status_code == 400
    assert "<h1>cursor: &#39;x&#39; is not the next_cursor" in shown.text


def test_what_the_fields_suggest_is_accepted(server):
    for view in ("/page/sessions", "/page/search?text=a", "/page/usage"):
        for name, attributes in form_of(server, view, 200).attributes.items():
            for suggested in (attributes.get("placeholder") or "").split(" or "):
                if suggested:
                    form_of(server, with_value(view, name, suggested), 200)


def test_a_value_that_the_list_of_a_field_lacks_stays_chosen(server):
    """The messages of an application can have other roles. Another choice in the form would not be what is shown."""
    shown = form_of(server, "/page/search?text=refund&role=narrator", 400)
    assert shown.values["role"] == "narrator"
    assert "'narrator' is not assistant, system, tool or user" in shown.errors["error-role"]


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("/page/sessions", False),
        ("/page/sessions?tenant=&since=&layout=", False),
        ("/page/sessions?tenant=acme", True),
        ("/page/search", False),
        ("/page/search?text=refund", False),
        ("/page/search?text=refund&substring=true", True),
        ("/page/usage", False),
        ("/page/usage?by=model&since=30d", False),
        ("/page/usage?period=last_week", False),
        ("/page/usage?since=90d", True),
        ("/page/usage?since=", True),
    ],
)
def test_filters_are_unfolded_if_one_is_set(server, address, is_open):
    assert form_of(server, address, 200).is_open is is_open


@pytest.mark.parametrize("address", ["/page/search?text=refund", "/page/usage"])
def test_the_first_tenant_of_a_key_for_several_is_not_a_filter_that_somebody_set(tmp_path, mongod, server, address):
    settings = settings_of(tmp_path, mongod.uri, server.services.settings.mongo.database)
    with served(settings) as keyed:
        keyed.client.headers.update(keyed.key("acme", "other"))
        assert not form_of(keyed, address, 200).is_open
        assert form_of(keyed, with_value(address, "tenant", "other"), 200).is_open


def test_a_form_raises_what_no_field_has_caused():
    form = Form({"since": ""})
    with pytest.raises(RuntimeError), form.reports():
        raise RuntimeError
    assert (form.errors, form.focused, form.status) == ({}, None, 200)


# --- in a browser ----------------------------------------------------------------------------------------------------


def test_the_wrong_field_has_the_focus_and_the_message_belongs_to_it(tab):
    page = tab.page
    page.goto("/page/sessions")
    page.get_by_label("Tenant", exact=True).fill("harbor-books")
    page.get_by_label("Since").fill("yesterdy")
    page.keyboard.press("Enter")
    page.wait_for_url("**since=yesterdy**")
    assert page.evaluate("document.activeElement.name") == "since"
    described = page.evaluate(
        "document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText"
    )
    assert described.startswith("'yesterdy' is not a time")
    assert page.get_by_label("Tenant", exact=True).input_value() == "harbor-books"
    page.get_by_label("Since").fill("30d")
    page.keyboard.press("Enter")
    page.wait_for_url("**since=30d**")
    assert set(page.locator("tbody td:nth-child(2)").all_inner_texts()) == {"harbor-books"}


@pytest.mark.parametrize("path", ["sessions", "search?text=order", "usage"])
def test_a_phone_shows_the_filters_on_demand_without_a_script_and_a_wide_screen_always(browser, samples, path):
    sizes = {"width": 390, "height": 844}
    context = browser.new_context(base_url=samples.open_server.url, java_script_enabled=False, viewport=sizes)
    context.set_default_timeout(MILLISECONDS)
    try:
        page = context.new_page()
        page.goto(f"/page/{path}")
        tenant = page.get_by_label("Tenant", exact=True)
        assert not tenant.is_visible()
        page.get_by_text("Filters", exact=True).click()
        tenant.fill("harbor-books")
        page.locator("form button.main").click()
        page.wait_for_url("**tenant=harbor-books**")
        assert tenant.is_visible()
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(f"/page/{path}")
        assert tenant.is_visible()
        assert not page.get_by_text("Filters", exact=True).is_visible()
    finally:
        context.close()
