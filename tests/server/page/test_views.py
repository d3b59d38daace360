"""Every view in a real browser: what it shows, that it can be used by everybody, and that stored text stays text."""

from __future__ import annotations

import json

import pytest

from chatstore_cli.server.page.words import cost

SESSION = "/page/session?layout=workflow&id=chat-5d1c07e2"
HOSTILE = "/page/session?layout=workflow&id=hostile"
VIEWS = {
    "sessions": "/page/sessions",
    "session": SESSION,
    "hostile": HOSTILE,
    "search": "/page/search?text=order",
    "usage": "/page/usage?by=tenant",
    "agents": "/page/agents",
    "storage": "/page/storage",
    "reference": "/docs",
    "sign-in": "/page/sign-in",
    "refused": "/page/session?id=missing",
    "deletion": SESSION.replace("?", "/delete?"),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_has_no_serious_finding_and_fits_a_narrow_screen(tab, theme):
    from axe_playwright_python.sync_playwright import Axe

    axe, page = Axe(), tab.page
    page.emulate_media(color_scheme=theme)
    found = []
    for name, path in VIEWS.items():
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(path)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wider > 0:
            found.append((name, "scrolls", wider))
        if page.locator("h1").count() != 1:
            found.append((name, "headings of the view", page.locator("h1").count()))
        page.set_viewport_size({"width": 1280, "height": 900})
        for each in axe.run(page).response["violations"]:
            if each["impact"] in ("serious", "critical"):
                found.append((name, each["id"], each["nodes"][0]["target"]))
    assert found == []


def test_filters_are_in_the_address_and_pages_follow_each_other(tab):
    page = tab.page
    page.goto("/page/sessions")
    page.get_by_label("Tenant", exact=True).fill("harbor-books")
    page.locator("[name=layout]").select_option("workflow")
    page.get_by_role("button", name="Filter").click()
    assert "tenant=harbor-books" in page.url
    assert set(page.locator("tbody td:nth-child(2)").all_inner_texts()) == {"harbor-books"}
    assert page.get_by_label("Tenant", exact=True).input_value() == "harbor-books"
    page.goto("/page/sessions?status=nonsense")
    assert page.locator("h1").inner_text() == "There is no such status."
    assert "completed" in page.locator("main").inner_text()
    page.goto("/page/sessions?tenant=nobody")
    assert page.locator(".empty").inner_text().startswith("No session matches.")


def test_older_sessions_are_a_page_away(tab, samples):
    page = tab.page
    like = samples.database["chat_sessions"].find_one({"chat_id": "chat-5d1c07e2"})
    old = [
        {**like, "_id": f"many-{n}", "chat_id": f"many-{n}", "enterprise_id": "many", "messages": []} for n in range(60)
    ]
    samples.database["chat_sessions"].insert_many(old)
    page.goto("/page/sessions?tenant=many")
    first = page.locator("tbody th a").all_inner_texts()
    page.get_by_role("link", name="Older sessions").click()
    page.wait_for_url("**cursor=**")
    second = page.locator("tbody th a").all_inner_texts()
    assert (len(first), len(second), len({*first, *second})) == (50, 10, 60)
    page.get_by_role("link", name="Newest", exact=True).click()
    assert page.locator("tbody th a").all_inner_texts() == first


def test_a_stored_session_appears_while_the_list_is_open(tab, samples):
    page = tab.page
    with page.expect_request("**/store/events"):
        page.goto("/page/sessions?layout=messages")
    row = page.get_by_role("link", name="appears-live")
    page.wait_for_load_state("load")
    page.get_by_label("Tenant", exact=True).fill("half a wo")
    with samples.open_server.client() as client:
        for n in range(2):
            assert client.post("/api/chat", json={"session_id": "appears-live", "message": f"hello {n}"}).is_success
    row.wait_for()
    assert page.get_by_label("Tenant", exact=True).input_value() == "half a wo"
    assert page.evaluate("document.activeElement.name") == "tenant"


def test_stored_text_neither_runs_nor_loads_anything(tab):
    page = tab.page
    page.goto(HOSTILE)
    assert "<script" in page.locator("h1").inner_text()
    assert page.locator("main img, main script, main style, a[href^=javascript]").count() == 0
    page.get_by_text("Tool call").first.click()
    page.goto("/page/sessions?title=%3Cscript")  # other tests store newer sessions
    assert "more tags" in page.locator("tr", has=page.get_by_role("link", name="<script")).first.inner_text()
    page.goto("/page/search?text=%3Cscript%3Ealert(1)%3C/script%3E%22%3E%3Cb%3E")
    page.goto("/page/sessions?tenant=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    page.goto("/page/agents")
    for each in page.locator("summary").all():
        each.click()
    assert "sk-hostile" not in page.content()
    # the fixture fails if any of these views opened a dialog or asked another host


def test_pictures_are_files_and_tool_calls_are_folded(tab):
    page = tab.page
    page.goto(HOSTILE)
    assert "image/png" in page.locator(".file").first.inner_text()
    folded = page.locator("details").first
    assert folded.get_attribute("open") is None
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded.get_attribute("open") is not None


def test_usage_has_the_words_of_the_command(tab, samples):
    page = tab.page
    printed = samples.chatstore("usage", "--by", "tenant", "--since", "30d", "-o", "json")
    rows = json.loads(printed.out)["items"]
    page.goto("/page/usage?by=tenant")
    costs = dict(
        zip(
            page.locator("tbody th").all_inner_texts(),
            page.locator("tbody td:nth-child(5)").all_inner_texts(),
            strict=True,
        )
    )
    assert costs == {row["tenant_id"] or "(none)": cost(row["usage"]["cost"], row["cost_complete"]) for row in rows}
    assert costs["(none)"] == "-"
    assert costs["harbor-books"].endswith(" + unknown")
    # The bars compare costs, so a row without any has none, however many tokens it has.
    known = [float(row["usage"]["cost"] or 0) for row in rows]
    widths = page.locator("tbody rect").evaluate_all("all => all.map(each => Number(each.getAttribute('width')))")
    assert widths == [pytest.approx(100 * each / max(known), abs=0.06) for each in known]


def test_copying_without_permission_selects_the_text(tab):
    page = tab.page
    page.goto(SESSION)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('denied')); }")
    page.get_by_role("button", name="Copy as Markdown").click()
    page.get_by_text("The text is selected.").wait_for()
    selected = page.evaluate("(f => f.value.slice(f.selectionStart, f.selectionEnd))(document.activeElement)")
    assert "chat-5d1c07e2" in selected
    assert "Nîmes" in selected


def test_the_keyboard_reaches_the_content_first(tab):
    page = tab.page
    page.goto("/page/sessions")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
