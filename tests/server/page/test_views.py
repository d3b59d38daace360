"""Every view in a real browser: what it shows, that it can be used by everybody, and that stored text stays text."""

from __future__ import annotations

import json
import re

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
    "wrong value": "/page/usage?by=colour&since=x",
    "deletion": SESSION.replace("?", "/delete?"),
    "time zone": "/page/time-zone",
}
FINDINGS = """async (options) => {
  const { violations } = await axe.run({ resultTypes: ["violations"], ...options });
  return violations.filter(each => ["serious", "critical"].includes(each.impact)).map(each => [each.id, each.nodes[0].target]);
}"""


def test_every_view_has_no_serious_finding_and_fits_a_narrow_screen(tab):
    """Each view is loaded once. Colours are all that another theme changes, so the second run is about their contrast."""
    from axe_playwright_python.sync_playwright import Axe

    page, script = tab.page, Axe().axe_script
    found = []
    for name, path in VIEWS.items():
        page.emulate_media(color_scheme="light")
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(path)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wider > 0:
            found.append((name, "scrolls", wider))
        cut = "[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth).length"
        if name in ("sessions", "usage") and page.evaluate(cut):
            found.append((name, "a table is wider than the screen", 390))
        if page.locator("h1").count() != 1:
            found.append((name, "headings of the view", page.locator("h1").count()))
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate(script)
        found += [(name, "light", *each) for each in page.evaluate(FINDINGS, {})]
        page.emulate_media(color_scheme="dark")
        found += [(name, "dark", *each) for each in page.evaluate(FINDINGS, {"runOnly": ["color-contrast"]})]
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
    page.goto("/page/sessions?tenant=nobody")
    assert page.locator(".empty").inner_text().startswith("No session matches.")


def test_older_sessions_are_a_page_away(tab, samples):
    page = tab.page
    like = samples.database["chat_sessions"].find_one({"chat_id": "chat-5d1c07e2"}, {"title": 0})
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
    page.get_by_role("link", name="Newer sessions").click()
    page.wait_for_url(lambda address: "cursor=" not in address)
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


@pytest.mark.parametrize("by", ["tenant", "model"])
def test_usage_has_the_words_of_the_command(tab, samples, by):
    page = tab.page
    printed = samples.chatstore("usage", "--by", by, "--since", "30d", "-o", "json")
    rows = json.loads(printed.out)["items"]
    page.goto(f"/page/usage?by={by}")
    names = [each.partition("\n")[0] for each in page.locator("tbody th").all_inner_texts()]
    costs = dict(zip(names, page.locator("tbody td:nth-child(5)").all_inner_texts(), strict=True))
    key = {"tenant": "tenant_id", "model": "model"}[by]
    assert costs == {row[key] or "(none)": cost(row["usage"]["cost"], row["cost_complete"]) for row in rows}
    if by == "tenant":
        assert costs["(none)"] == "-"
        assert costs["harbor-books"].endswith(" + unknown")
    else:
        assert {"gpt-4o", "gpt-4o-mini"} <= costs.keys()
    # The bars compare costs, so a row without any has none, however many tokens it has.
    known = [float(row["usage"]["cost"] or 0) for row in rows]
    widths = page.locator("tbody rect").evaluate_all("all => all.map(each => Number(each.getAttribute('width')))")
    assert widths == [pytest.approx(100 * each / max(known), abs=0.06) for each in known]


def test_a_period_by_its_name_is_a_click_away_and_what_is_typed_replaces_it(tab):
    page = tab.page
    page.goto("/page/usage?by=tenant&timezone=Europe/Berlin")
    page.get_by_role("link", name="Last week").click()
    page.wait_for_url("**period=last_week**")
    page.get_by_label("By").select_option("day")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**by=day**")
    assert "period=last_week" in page.url
    assert "Day (Europe/Berlin)" in page.locator("thead").inner_text()
    assert re.search(r"From .* 00:00:00 \+0[12]:00 until .* 00:00:00 \+0[12]:00\.", page.locator("main").inner_text())
    page.get_by_label("Since").fill("2d")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**since=2d**")
    assert page.get_by_role("link", name="Last week").get_attribute("aria-current") is None


def test_the_chosen_time_zone_stays_from_view_to_view(tab):
    page = tab.page
    page.goto(SESSION)
    in_utc = page.locator("article time").first.inner_text()
    page.get_by_role("link", name="Times: UTC").click()
    page.get_by_label("Show times").select_option("Asia/Tokyo")
    page.get_by_role("button", name="Use this time zone").click()
    page.wait_for_url("**/page/session?**timezone=Asia%2FTokyo")
    moment = page.locator("article time").first
    assert moment.inner_text().endswith(" +09:00")
    assert moment.get_attribute("datetime")[:16].replace("T", " ") == in_utc[:16]
    page.get_by_role("link", name="Search").click()
    page.get_by_label("Words in a message").fill("train")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=train**")
    page.locator(".hits a").first.click()
    page.wait_for_url("**/page/session?**")
    assert page.get_by_role("link", name="Times: Asia/Tokyo").count() == 1
    assert page.locator("article[data-marked] time").inner_text().endswith(" +09:00")


def test_quarantined_lines_have_their_journal_and_reason(tab, samples):
    journals = next(samples.chatstore.folder.parent.rglob("journals"))
    (journals / "cut-<b>off.jsonl").write_text("not JSON\n")
    config = {"CHATSTORE_CONFIG": str(journals.parent / "config.yaml")}
    assert samples.chatstore("flush-cache", env=config).code == 7
    page = tab.page
    page.goto("/page/storage")
    row = page.locator("tbody tr", has_text="cut-<b>off.jsonl")
    assert row.locator("th, td").all_inner_texts()[:2] == ["cut-<b>off.jsonl", "1"]
    assert "not JSON" in row.locator("td").last.inner_text()
    assert str(journals) not in page.content()


def test_a_message_of_ten_megabytes_is_shown_shortened_with_a_way_to_all_of_it(tab, samples):
    page = tab.page
    like = samples.database["chat_sessions"].find_one({"chat_id": "chat-5d1c07e2"})
    text = "**word** and `code`\n\n" * 500_000 + "the-very-end"
    message = {**like["messages"][0], "content": text}
    samples.database["chat_sessions"].insert_one({**like, "_id": "big", "chat_id": "big", "messages": [message]})
    try:
        answer = page.goto("/page/session?layout=workflow&id=big")
        assert len(answer.body()) < 200_000
        assert page.evaluate("document.querySelectorAll('*').length") < 10_000
        assert "more characters are not shown." in page.locator("article .note").inner_text()
        target = page.get_by_role("link", name="The whole message as text").get_attribute("href")
        whole = tab.context.request.get(target)
        assert whole.headers["content-type"].startswith("text/plain")
        assert whole.text() == text
        page.get_by_role("link", name="Sessions").click()
        page.locator("tbody").wait_for()
    finally:
        samples.database["chat_sessions"].delete_one({"_id": "big"})


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
