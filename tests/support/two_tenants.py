"""Two tenants on one server, and the same server without the second one: `with two_worlds(...) as worlds`.

A tenant must not notice the other one. So a request of the tenant gets the same answer from both servers, whatever ids of the
other tenant it has.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from chatstore_cli.domain.api_keys import Right
from chatstore_cli.domain.responding import Event
from chatstore_cli.server.turns.input_requests import InputRequest
from tests.support.served_app import Served, served, settings_of

OWN, OTHER = "acme", "globex"
OWN_TEXT, OTHER_TEXT = "refund of acme", "refund of globex"
OWN_NUMBER, OTHER_NUMBER = "+4930111111", "+4930222222"
REQUEST = "input-1"
ROOM = "room-1"


@dataclass(frozen=True)
class Ids:
    """The ids of what one tenant has."""

    tenant: str
    user: str
    chat: str
    general: str
    agent: str
    version: str
    binding: str
    number: str
    call: str
    room: str


@dataclass
class Worlds:
    """`shared` has both tenants, `alone` has the first one only; `key` and `alone_key` are keys of the first one."""

    shared: Served
    alone: Served
    own: Ids
    other: Ids
    database: Any

    def of_other(self) -> list[str]:
        """Every document that names the second tenant, but for what the first one has asked for."""
        return sorted(
            repr(document)
            for name in self.database.list_collection_names()
            for document in self.database[name].find()
            if OTHER in repr(document) and f"'{OWN}'" not in repr(document)
        )


@contextlib.contextmanager
def two_worlds(
    folder: Path, uri: str, client: MongoClient[dict[str, Any]], database: Any, alone: Any
) -> Iterator[Worlds]:
    """Both servers. The database of the second one is a copy that is made before the second tenant has anything."""
    settings = settings_of(folder / "shared", uri, database.name, requests_per_minute=0)
    other_settings = settings_of(folder / "alone", uri, alone.name, requests_per_minute=0)
    for each in (database, alone):  # a test that stores a thread later leaves no collection that only one has
        each.create_collection("chat_threads")
        each.create_collection("chat_thread_messages")
    with served(settings) as server:
        server.wait_until_prepared()
        own = _fill(server, OWN, "ana", OWN_TEXT, OWN_NUMBER)
        for name in database.list_collection_names():
            if documents := list(database[name].find()):
                alone[name].insert_many(documents)
        other = _fill(server, OTHER, "bob", OTHER_TEXT, OTHER_NUMBER)
        with served(other_settings) as without:
            without.wait_until_prepared()
            _ask(without, own.tenant, own.user, own.chat)
            yield Worlds(server, without, own, other, database)


def _fill(server: Served, tenant: str, user: str, text: str, number: str) -> Ids:
    """Something of each kind for a tenant, made as the clients make it."""
    services, client = server.services, server.client
    key, operator = server.key(tenant, right=Right.WRITE), server.key()

    def post(path: str, body: Any, headers: Any = key) -> Any:
        answer = client.post(path, json=body, headers=headers)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json()

    chat = post(f"/api/chats/{tenant}/research/start", {"user_id": user, "client_request_id": "r"})["chat_id"]
    event = {"type": "text", "content": {"uuid": f"event-{tenant}", "content": text, "sender": user, "recipient": "a"}}
    services.agents_manager.save_event(
        event, chat_id=chat, enterprise_id=tenant, user_id=user, workflow_name="research"
    )
    general = services.general.create_general_chat_session(app_id=tenant, user_id=user)["chat_id"]
    services.general.append_general_message(
        general_chat_id=general, app_id=tenant, role="user", content=text, user_id=user
    )
    services.session_metrics.update_session_metrics(
        chat, user, "research", 10, 5, 0.5, tenant, agent_name=f"agent of {tenant}", turn_id=f"turn-{tenant}"
    )
    config = {"agent_name": "Reception", "llm": {"api_key": f"secret-of-{tenant}"}}
    agent = post("/v1/agents", {"config": config})["agent"]["id"]
    versions = client.get(f"/v1/agents/{agent}/versions", headers=key).json()["versions"]
    path = f"/v1/telephony/providers/telnyx/numbers/n-{tenant}/connect"
    binding = post(path, {"e164": number, "agentId": agent}, operator)["id"]
    call = post("/v1/sessions/start", {"userIdentity": user, "roomName": ROOM, "agentId": agent})
    _ask(server, tenant, user, chat)
    version = versions[0]["version_id"] if versions else "00000000-0000-4000-8000-000000000000"
    return Ids(tenant, user, chat, general, agent, version, binding, number, call["sessionId"], call["roomName"])


def _ask(server: Served, tenant: str, user: str, chat: str) -> None:
    """Note that a run of the chat waits for input, which a server has in its memory only."""
    event = Event("input_request", {"input_request_id": REQUEST})
    server.services.input_requests.note(event, InputRequest(tenant, user, chat, "research"))


_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
_NEW_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{24}\b")


_CURSOR = re.compile(r'(?<=cursor":")W[\w-]+|(?<=cursor=)W[\w-]+')
"""A cursor: a JSON array as base64, which may have a time."""


def comparable(text: str) -> str:
    """An answer without what differs between two runs of the same request: times, also in cursors, and new ids."""
    readable = _CURSOR.sub(_unpacked, text)
    return _NEW_ID.sub("<id>", _TIME.sub("<time>", readable))


def _unpacked(found: re.Match[str]) -> str:
    return base64.urlsafe_b64decode(found[0] + "=" * (-len(found[0]) % 4)).decode()
