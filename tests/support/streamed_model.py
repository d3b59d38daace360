"""A real HTTP server in the place of a model's: a test writes each answer byte by byte."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Write = Callable[[bytes], None]


@dataclass
class StreamedModel:
    """The endpoint: what it answers, and the requests that it got."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    parts: list[bytes] = field(default_factory=list)
    hang: threading.Event | None = None
    """If set, the connection stays open after the parts until the event is set."""
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


def chunk(text: str | None, finish: str | None = None, **more: Any) -> bytes:
    """An event of a stream."""
    delta = {} if text is None else {"content": text}
    event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "model-1"}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({**event, "choices": choices, **more}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


@contextmanager
def streamed_model() -> Iterator[StreamedModel]:
    """A running endpoint."""
    model = StreamedModel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            model.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(model.status)
            for name, value in model.headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for part in model.parts:
                    self.wfile.write(part)
                    self.wfile.flush()
                if model.hang is not None:
                    model.hang.wait(30)
            except OSError:
                return  # the client has closed the connection

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield model
    finally:
        if model.hang is not None:
            model.hang.set()
        server.shutdown()
        thread.join()
        server.server_close()
