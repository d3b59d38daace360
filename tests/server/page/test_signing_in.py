"""Keys in the browser: signing in and out, what each right shows, and deleting after a look at the plan."""

from __future__ import annotations

import pytest


@pytest.fixture
def keyed(tab, samples):
    """The tab, and a function that signs in to the server with keys and opens a view."""
    page, base = tab.page, samples.keyed_server.url

    def sign_in(key, following="/page/sessions"):
        page.goto(f"{base}/page/sign-in?next={following}")
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()

    return page, base, sign_in


def test_a_key_becomes_a_cookie_that_scripts_cannot_read(keyed, tab, samples):
    page, base, _ = keyed
    page.goto(f"{base}/page/usage?by=tenant")
    assert "/page/sign-in?next=" in page.url
    page.get_by_label("Key").fill(samples.admin_key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base}/page/usage?by=tenant")
    [cookie] = tab.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{base}/page/sign-in")
    assert tab.context.cookies() == []


def test_wrong_and_revoked_keys_are_refused_in_words(keyed, tab, samples):
    page, _, sign_in = keyed
    for key in ("nonsense", samples.revoked_key):
        sign_in(key)
        page.get_by_text("The key is not valid.").wait_for()
        field = page.get_by_label("Key")
        assert field.get_attribute("aria-invalid") == "true"
        assert page.evaluate("document.activeElement.name") == "key"
        assert field.input_value() == key
    assert tab.context.cookies() == []


OF_TENANTS = ["Sessions", "Search", "Usage", "Agents"]
FOREIGN = [
    "http://evil.example/",
    "//evil.example/",
    "/page/../%5Cevil.example",
    "/page/sign-out",
    "javascript:alert(1)",
]


def test_signing_in_leads_only_to_views_of_this_server(keyed, samples):
    page, base, sign_in = keyed
    for each in FOREIGN:
        form = page.request.get(f"{base}/page/sign-in", params={"next": each}).text()
        assert 'data-next="/page/sessions"' in form, each
    sign_in(samples.admin_key, FOREIGN[0])
    page.get_by_role("button", name="Sign out").wait_for()
    assert page.url.startswith(base)
    for each in FOREIGN:
        form = page.request.get(f"{base}/page/time-zone", params={"next": each}).text()
        assert 'action="/page/sessions"' in form, each


def test_a_tenants_key_sees_its_sessions_and_cannot_delete(keyed, samples):
    page, base, sign_in = keyed
    sign_in(samples.tenant_key)
    page.locator("tbody").wait_for()
    assert set(page.locator("tbody td:nth-child(2)").all_inner_texts()) == {"oakline-travel"}
    page.goto(f"{base}/page/session?id=chat-5d1c07e2")
    assert page.get_by_role("link", name="Delete").count() == 0
    assert page.goto(f"{base}/page/session/delete?layout=workflow&id=chat-5d1c07e2").status == 403
    assert page.goto(f"{base}/page/session?id=chat-93b8f1aa").status == 404
    assert page.get_by_role("navigation").get_by_role("link").all_inner_texts() == OF_TENANTS
    assert page.goto(f"{base}/page/storage").status == 403
    assert page.locator("h1").inner_text()
    assert page.get_by_role("navigation").get_by_role("link").all_inner_texts() == OF_TENANTS


def test_deleting_shows_the_plan_first(keyed, samples):
    page, base, sign_in = keyed
    sign_in(samples.admin_key)
    page.locator("tbody").wait_for()
    page.goto(f"{base}/page/session?layout=workflow&id=chat-0c7be44d")
    page.get_by_role("link", name="Delete").click()
    plan = page.get_by_text("would be deleted").inner_text()
    assert samples.database["chat_sessions"].find_one({"chat_id": "chat-0c7be44d"}) is not None
    page.get_by_role("button", name="Delete the session").click()
    page.wait_for_url(f"{base}/page/sessions")
    assert samples.database["chat_sessions"].find_one({"chat_id": "chat-0c7be44d"}) is None
    said = page.get_by_role("status").filter(has_text="deleted")
    assert said.inner_text() == plan.partition(" would be deleted")[0] + " were deleted."
    page.locator("tbody").get_by_text("chat-0c7be44d").wait_for(state="detached")
    with page.expect_response("**/page/sessions"):  # the list shows a change by itself
        samples.database["chat_sessions"].insert_one({"_id": "joins", "chat_id": "joins", "messages": []})
    assert said.is_visible()
    page.reload()
    page.locator("tbody").wait_for()
    assert said.count() == 0


def test_a_session_that_no_longer_exists_is_not_reported_as_deleted(keyed, samples):
    page, base, sign_in = keyed
    sign_in(samples.admin_key)
    page.locator("tbody").wait_for()
    samples.database["chat_sessions"].insert_one({"_id": "goes", "chat_id": "goes", "messages": []})
    page.goto(f"{base}/page/session/delete?layout=workflow&id=goes")
    samples.database["chat_sessions"].delete_one({"_id": "goes"})
    page.get_by_role("button", name="Delete the session").click()
    page.get_by_role("alert").filter(has_text="No session 'goes'").wait_for()
    page.goto(f"{base}/page/sessions")
    assert page.get_by_role("status").filter(has_text="deleted").count() == 0
