"""The server on a real port in this process, with a responder that does what a message says, and clients of its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import uvicorn
from websockets.sync.client import ClientConnection, connect

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.responding import Event, Part, Question, TurnUsage
from chatstore_cli.domain.usage import Usage
from chatstore_cli.server import run
from chatstore_cli.server.services import Services

_WITHIN = 120.0
"""Seconds. Long, because a busy machine is not a defect."""


class Scripted:
    """A responder that does what the message says; by default it repeats it. `asked` are the questions so far."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.released = threading.Event()
        """Set it to let the answer to `wait` end."""

    async def respond(self, question: Question) -> AsyncIterator[Part]:
        self.asked.append(question)
        if question.text == "hang":
            await asyncio.Event().wait()
        elif question.text == "wait":
            await asyncio.to_thread(self.released.wait, _WITHIN)
        elif question.text == "raise":
            raise ValueError("the secret of the responder")
        elif question.text == "nothing":
            return
        elif question.text == "usage":
            yield TurnUsage(Usage(prompt_tokens=7, completion_tokens=3), f"turn-{len(self.asked)}", "model-1")
        elif question.text == "tool":
            yield Event("tool_call", {"tool_name": "search", "event_id": "e-1"})
        elif question.text.startswith("ask "):
            yield Event("input_request", {"input_request_id": question.text[4:], "prompt": "Which one?"})
        elif question.text == "unusable":
            yield Event("tool_call", {("a", "tuple"): 1})
        yield f"re: {question.text}"


class Client:
    """One client of the platform's socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, kind: str, **data: Any) -> None:
        """Send a frame."""
        self.connection.send(json.dumps({"type": kind, **data}))

    def next(self) -> dict[str, Any]:
        """The next frame."""
        return json.loads(self.connection.recv(timeout=_WITHIN))

    def until(self, kind: str, where: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> list[dict[str, Any]]:
        """The frames up to the first one of this type whose data are as asked, which is the last."""
        frames: list[dict[str, Any]] = []
        while True:
            frames.append(self.next())
            if frames[-1]["type"] == kind and where(frames[-1].get("data", {})):
                return frames

    def data(self, kind: str, where: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The data of the next frame of this type."""
        return self.until(kind, where)[-1]["data"]

    def text(self, content: str) -> list[dict[str, Any]]:
        """The frames up to the turn with this content."""
        return self.until("chat.text", lambda data: data["content"] == content)

    def say(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        """Send a message of the user; the frames up to its answer."""
        self.send("user.input.submit", text=text, **fields)
        return self.text(f"re: {text}")

    def end(self) -> int:
        """The code with which the server closes the socket."""
        with contextlib.suppress(Exception):
            while True:
                self.connection.recv(timeout=_WITHIN)
        code = self.connection.protocol.close_code
        assert code is not None
        return code


class PlatformServer:
    """A running server."""

    def __init__(self, services: Services, responder: Scripted, port: int) -> None:
        self.services, self.responder, self.port = services, responder, port

    @contextlib.contextmanager
    def client(self, path: str, **options: Any) -> Iterator[Client]:
        """A client of a socket."""
        options = {"open_timeout": _WITHIN, "max_size": None, **options}
        with connect(f"ws://127.0.0.1:{self.port}{path}", **options) as connection:
            yield Client(connection)

    def start_chat(self, tenant: str, user: str = "ana", workflow: str = "flow") -> str:
        """A new workflow session; the path of its socket."""
        started = self.services.platform.start(tenant, workflow, user, request_id=None, force_new=True, reuse_seconds=0)
        return f"/ws/{workflow}/{tenant}/{started.chat_id}/{user}"


@contextlib.contextmanager
def running(settings: Settings, adapt: Callable[[uvicorn.Config], None] = lambda _: None) -> Iterator[PlatformServer]:
    """The server of these settings on a free port. `adapt` may change how uvicorn serves it."""
    responder = Scripted()
    services = Services(settings, responder)
    config = run.configuration(services)
    adapt(config)
    server = uvicorn.Server(config)
    listening = run.listen("127.0.0.1", 0)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # it is full soon if a client does not read
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield PlatformServer(services, responder, listening.getsockname()[1])
    finally:
        responder.released.set()
        server.should_exit = True
        thread.join(_WITHIN)
        listening.close()
