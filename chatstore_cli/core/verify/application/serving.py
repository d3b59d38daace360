"""The further checks of a server that chatstore itself started: the interfaces that only such a server has.

Everything that they write is in the scratch database of that server, which is dropped at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from chatstore_cli.core.verify.application.run import ApplicationRun, brief, read_json
from chatstore_cli.core.verify.checklist import Check, Verdict, failed, passed
from chatstore_cli.domain.checked_application import Response, WebSocketConnection
from chatstore_cli.domain.errors import ChatstoreError

_SERVER = "api-connection"
_TENANT = _USER = "verifier"
_WORKFLOW = "Verifier"
_HINT = "Report it with the output of chatstore verify --spawn."


def serving_checks(run: ApplicationRun) -> list[Check]:
    """Replay of a workflow session, a general chat, a saved agent, and the page."""
    checks: Mapping[str, Callable[[ApplicationRun], Verdict]] = {
        "api-replay": _replay,
        "api-general": _general,
        "api-agent": _agent,
        "api-page": _page,
    }
    return [Check(name, partial(_with_database, check, run), _SERVER) for name, check in checks.items()]


def _with_database(check: Callable[[ApplicationRun], Verdict], run: ApplicationRun) -> Verdict:
    """The verdict of a check. Without a database, it is the error of the database. Only the first check waits for it."""
    return run.why_nothing_is_sent() or check(run)


def _replay(run: ApplicationRun) -> Verdict:
    """A turn is answered, and a client that connects later gets both messages and the boundary."""
    path = _start(run)
    text = f"Hello from chatstore verify {run.token}."
    with _connected(run, path) as connection:
        _until(run, connection, "chat.resume_boundary")
        _send(run, connection, {"type": "user.input.submit", "text": text, "request_id": run.token})
        answer = _until(run, connection, "chat.text", role="assistant")
    with _connected(run, path) as connection:
        replayed = [*_frames_until(run, connection, "chat.resume_boundary")]
    contents = [frame["data"]["content"] for frame in replayed if frame["type"] == "chat.text"]
    expected = [text, answer["data"]["content"]]
    if contents != expected:
        return failed(f"the replay has {brief(contents)} instead of the two messages of the turn", _HINT)
    return passed("a turn was answered; a second client got both messages and the boundary")


def _general(run: ApplicationRun) -> Verdict:
    """A general chat is started and answered on the socket, and its transcript can be read."""
    with _connected(run, _start(run)) as connection:
        _send(run, connection, {"type": "chat.start_general_chat"})
        created = _until(run, connection, "chat.general_session_created")
        _send(run, connection, {"type": "user.input.submit", "text": "Hello.", "request_id": f"{run.token}-general"})
        _until(run, connection, "chat.text", role="assistant")
    chat_id = created["data"]["general_chat_id"]
    transcript = _got(run, f"/api/general_chats/transcript/{_TENANT}/{chat_id}")
    roles = [message.get("role") for message in transcript.get("messages", [])]
    if roles != ["user", "assistant"]:
        return failed(f"the transcript of {chat_id} has the roles {brief(roles)}", _HINT)
    return passed(f"{chat_id} was started and answered")


def _agent(run: ApplicationRun) -> Verdict:
    """An agent is saved, read and deleted."""
    config = {"engine": {"kind": "pipeline"}, "api_key": f"key-{run.token}"}
    created = _asked(run, "POST", "/agents", {"name": f"Verifier {run.token}", "config": config})["agent"]
    path = f"/agents/{created['id']}"
    stored = _got(run, path)["agent"]
    _asked(run, "DELETE", path)
    if run.token in json.dumps(stored["config"]):
        return failed("the answer has the agent's secret", _HINT)
    if stored["config"]["engine"] != config["engine"]:
        return failed(f"the agent has the configuration {brief(stored['config'])}", _HINT)
    if (status := run.application.request("GET", path, seconds=run.deadline).status) != 404:
        return failed(f"the deleted agent is still answered ({status})", _HINT)
    return passed("an agent was saved, read with its secret masked, and deleted")


def _page(run: ApplicationRun) -> Verdict:
    """The page shows the list of sessions, and its style and script can be loaded."""
    for path, expected in (
        ("/page/sessions", b"<h1>Sessions</h1>"),
        ("/page/static/page.css", b":root"),
        ("/page/static/page.js", b"fetch"),
    ):
        answer = run.application.request("GET", path, seconds=run.deadline)
        if answer.status != 200 or expected not in answer.body:
            return failed(f"GET {path} returned status {answer.status}", _HINT)
    return passed("the page shows the sessions")


def _start(run: ApplicationRun) -> str:
    """Start the workflow session of this run, or find it again. Returns the path of its socket."""
    body = {"user_id": _USER, "client_request_id": run.token}
    started = _asked(run, "POST", f"/api/chats/{_TENANT}/{_WORKFLOW}/start", body)
    return str(started["websocket_url"])


def _got(run: ApplicationRun, path: str) -> dict[str, Any]:
    return _asked(run, "GET", path)


def _asked(run: ApplicationRun, method: str, path: str, payload: Mapping[str, Any] | None = None) -> dict[str, Any]:
    answer = run.application.request(method, path, seconds=run.deadline, payload=payload)
    if answer.status == 204:
        return {}
    content = read_json(answer, f"{method} {path}")
    if not isinstance(content, dict):
        raise ChatstoreError(what=f"{method} {path} returned {brief(content)} instead of an object", hint=_HINT)
    return content


@contextmanager
def _connected(run: ApplicationRun, path: str) -> Iterator[WebSocketConnection]:
    """The socket of a path. Raises ChatstoreError if the server does not open it."""
    with run.application.open_websocket(path, run.deadline) as connection:
        if isinstance(connection, Response):
            raise ChatstoreError(what=f"WebSocket {path} was answered with status {connection.status}", hint=_HINT)
        yield connection


def _send(run: ApplicationRun, connection: WebSocketConnection, frame: Mapping[str, Any]) -> None:
    connection.send(json.dumps(frame), run.deadline)


def _until(run: ApplicationRun, connection: WebSocketConnection, kind: str, role: str | None = None) -> dict[str, Any]:
    *_, last = _frames_until(run, connection, kind, role)
    return last


def _frames_until(
    run: ApplicationRun, connection: WebSocketConnection, kind: str, role: str | None = None
) -> Iterator[dict[str, Any]]:
    """The frames until one of a type, and of a role if one is given. Raises ChatstoreError if it does not come."""
    deadline = run.timer() + run.deadline
    while (left := deadline - run.timer()) > 0:
        received = connection.receive(left)
        if received is None:
            break
        frame: dict[str, Any] = json.loads(received)
        if frame["type"] == "chat.error":
            raise ChatstoreError(what=f"the socket reported {brief(frame['data'].get('message'))}", hint=_HINT)
        yield frame
        if frame["type"] == kind and (role is None or frame["data"].get("role") == role):
            return
    raise ChatstoreError(what=f"no frame {kind} arrived within {run.deadline:g} seconds", hint=_HINT)
