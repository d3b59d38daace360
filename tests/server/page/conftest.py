"""A browser and two servers on the demo's samples for all tests of the page: one without keys, one with them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Chatstore, chatstore_in
from tests.support.browsers import MILLISECONDS, find_chromium
from tests.support.server_processes import ServerProcess, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.support.mongod import Mongod

HOSTILE_ID = "hostile"
EVIL = "http://evil.example"
SCRIPT = f'<script src="{EVIL}/a.js"></script><img src="{EVIL}/b.png" onerror="alert(1)"><style>@import "{EVIL}/c.css"</style>'
MARKDOWN = f"[click](javascript:alert(2)) ![picture]({EVIL}/d.png) {SCRIPT}\n\n| a | b |\n|---|---|\n| 1 | {'x' * 400} |\n\n```\n{'y' * 600}\n```\nמה שלומך"


@dataclass
class Samples:
    """The servers, their commands, and what they serve."""

    open_server: ServerProcess
    keyed_server: ServerProcess
    database: Any
    chatstore: Chatstore
    admin_key: str
    tenant_key: str
    revoked_key: str


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory, mongod: Mongod) -> Iterator[Samples]:
    """Both servers on one database with the samples, and a session whose every text tries to run a script."""
    find_chromium()
    name = f"chatstore_page_{uuid.uuid4().hex[:8]}"
    variables = {"CHATSTORE_URI": mongod.uri, "CHATSTORE_DATABASE": name}
    chatstore, keyed = (chatstore_in(tmp_path_factory.mktemp(each), **variables) for each in ("open", "keyed"))
    demo = ("--demo", "--uri", mongod.uri, "--database", name)

    def key(*arguments: str) -> dict[str, str]:
        created: dict[str, str] = json.loads(keyed("serve", "keys", "create", "-o", "json", *arguments).out)
        return created

    database = mongod.client()[name]
    with running_server(chatstore, *demo, wait=False) as server, running_server(keyed, wait=False) as keyed_server:
        admin, tenant = key("--name", "a", "--right", "admin"), key("--name", "t", "--tenant", "oakline-travel")
        revoked = key("--name", "r")
        server.wait_until_it_serves()
        keyed_server.wait_until_it_serves()
        assert keyed("serve", "keys", "revoke", revoked["key_id"]).code == 0
        _store_hostile(database)
        tagged = chatstore("sessions", "tag", HOSTILE_ID, *(f"<b>{n}</b>" for n in range(50)))
        assert tagged.code == 0, tagged.err
        yield Samples(server, keyed_server, database, chatstore, admin["key"], tenant["key"], revoked["key"])
    mongod.client().drop_database(name)


def _store_hostile(database: Any) -> None:
    like = database["chat_sessions"].find_one({"messages.0": {"$exists": True}})
    message = {**like["messages"][0], "content": MARKDOWN, "name": SCRIPT}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    call = {"id": "c", "type": "function", "function": {"name": "pay", "arguments": SCRIPT}}
    messages = [message, {**message, "sequence": 2, "content": [picture], "tool_calls": [call]}]
    key = "chat_id" if "chat_id" in like else "_id"
    names = {name: SCRIPT for name in ("enterprise_id", "user_id", "workflow_name", "title") if name in like}
    database["chat_sessions"].insert_one(
        {**like, **names, "_id": HOSTILE_ID, key: HOSTILE_ID, "title": SCRIPT, "messages": messages}
    )
    database["Agent"].insert_one(_agent(database))


def _agent(database: Any) -> dict[str, Any]:
    like = dict(database["Agent"].find_one() or {})
    return {
        **like,
        "_id": "hostile",
        "id": "hostile",
        "name": SCRIPT,
        "config": {"prompt": SCRIPT, "api_key": "sk-hostile"},
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One chromium for a module: while it runs, this thread has an event loop, and other tests start loops of their own."""
    from playwright.sync_api import sync_playwright

    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=MILLISECONDS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page in its context, and what it did that it must not do."""

    page: Page
    context: BrowserContext
    offences: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def window(browser: Browser, samples: Samples) -> Iterator[Opened]:
    """The page of a module. One for each test would cost half a second each."""
    context = browser.new_context(base_url=samples.open_server.url)
    context.set_default_timeout(MILLISECONDS)
    opened = Opened(context.new_page(), context)
    _observe(opened)
    yield opened
    context.close()


@pytest.fixture
def tab(window: Opened) -> Iterator[Opened]:
    """A tab on the server without keys, as if it were new.

    The test fails if it loads from another host, opens a dialog or breaks the policy.
    """
    window.page.goto("about:blank")
    window.context.clear_cookies()
    window.page.emulate_media(color_scheme="light")
    window.page.set_viewport_size({"width": 1280, "height": 900})
    window.offences.clear()
    yield window
    assert window.offences == []


def _observe(opened: Opened) -> None:
    def request(sent: Any) -> None:
        if not sent.url.startswith(("http://127.0.0.1:", "data:")):
            opened.offences.append(sent.url)

    def dialog(shown: Any) -> None:
        opened.offences.append(f"dialog {shown.message}")
        shown.dismiss()

    def console(message: Any) -> None:
        if "Content Security Policy" in message.text:
            opened.offences.append(message.text)

    opened.page.on("request", request)
    opened.page.on("dialog", dialog)
    opened.page.on("console", console)
    opened.page.on("pageerror", lambda error: opened.offences.append(str(error)))
